"""What is measured, each in a process of its own: ours, the bare limits, and peers in environments of their own."""
