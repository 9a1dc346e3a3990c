"""Figures: ours beside peers and beside bare limits, taken in the same rounds. `python -m bench` lists them."""
