"""`python -m examples.learning`: a proof by one command, and its curve by another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli.commands import (
    Progress,
    as_json,
    driving,
    duration,
    log_path,
    print_json,
    print_table,
    quiet,
    store_url,
)
from agl_core.errors import AglError

if TYPE_CHECKING:
    from agl_core.trainer import RunSummary

__all__ = ["main"]


@click.group()
def main() -> None:
    """SmolLM2-135M-Instruct learns on two cores: by GRPO, by fine-tuning on its own best, by a better prompt."""
    # Before torch is imported: threads that wait in a spin take the core that the work needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _proof(name: str, about: str) -> None:
    @main.command(name, help=about)
    @click.option("--seed", default=0, show_default=True, help="The same seed gives the same tasks and samples.")
    @click.option("--short", "is_short", is_flag=True, help="A minute of it: it shows that it runs, and no gain.")
    @click.option("--assert-gain", type=float, metavar="GAIN", help="Exit with 1 when the test reward gains less.")
    @log_path
    @quiet
    @as_json
    def command(
        *,
        seed: int,
        is_short: bool,
        assert_gain: float | None,
        log_path: str | None,
        quiet: bool,
        as_json: bool,
    ) -> None:
        from examples.learning.proofs import prove

        log, progress = store_url(log_path), Progress(quiet=quiet)
        with _in_words(), driving(progress, log):
            _no_progress_bars()
            summary = prove(name, seed=seed, log=log, heard=progress.heard, is_short=is_short)
        found = told(name, seed, summary)
        print_json(found) if as_json else _show(found)
        gained = (found["difference"] or {"mean": 0.0})["mean"]
        if assert_gain is not None and gained < assert_gain:
            raise click.ClickException(
                f"it gained {gained:+.3f} on the test split, and {assert_gain:+.3f} was expected"
            )


_proof("grpo", "Arithmetic of reasoning-gym, from reward alone.")
_proof("sft", "Function calls of the Berkeley leaderboard, from the best of its own.")
_proof("apo", "Arithmetic of reasoning-gym, by a better prompt; a double stands for the critic.")


@main.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the drawings.")
def curves(sources: Sequence[Path], out: Path) -> None:
    """Draw what logs came to; or, from the figures that were kept of them, draw it again."""
    from examples.learning.curves import drawn
    from examples.learning.figures import gathered

    with _in_words():
        found = gathered(sources)
    out.mkdir(parents=True, exist_ok=True)
    for name, figures in found.items():
        (out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
        (out / f"{name}.svg").write_text(drawn(figures))
        click.echo(out / f"{name}.svg")


def told(name: str, seed: int, summary: RunSummary) -> dict[str, Any]:
    """A run in one object."""
    result = summary.result
    return {
        "proof": name,
        "seed": seed,
        "run_id": summary.run_id,
        "log": summary.log,
        "reward_before": result.get("reward_before"),
        "reward_after": result.get("reward_after"),
        "difference": result.get("difference"),
        "verdict": result.get("verdict"),
        "seconds": round(summary.seconds, 1),
    }


def _show(found: dict[str, Any]) -> None:
    rows = [(title, *_estimate(found[key])) for title, key in _ROWS]
    print_table(("on the sealed test split", "mean reward", "95 % interval", "tasks"), rows)
    verdict = f"{found['verdict']}\n" if found["verdict"] else ""
    click.echo(f"\n{verdict}{duration(found['seconds'])}; log {found['log']}")


_ROWS = (("before", "reward_before"), ("after", "reward_after"), ("difference, paired", "difference"))


def _estimate(found: dict[str, Any] | None) -> tuple[str, str, str]:
    if found is None:
        return "not examined", "", ""
    interval = "unknown" if found["ci95"] is None else f"{found['ci95'][0]:.3f} to {found['ci95'][1]:.3f}"
    return f"{found['mean']:.3f}", interval, str(found["n"])


@contextmanager
def _in_words() -> Iterator[None]:
    """What is wrong, with its code, and no traceback."""
    try:
        yield
    except AglError as error:
        raise click.ClickException("\n".join([f"[{error.code}] {error}", *getattr(error, "__notes__", ())])) from None


def _no_progress_bars() -> None:
    try:
        from transformers.utils import logging
    except ModuleNotFoundError:
        return  # the model says it better
    logging.disable_progress_bar()  # it would draw over ours


if __name__ == "__main__":
    main(prog_name="python -m examples.learning")
