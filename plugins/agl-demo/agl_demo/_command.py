"""`agl demo`: the main job, from nothing to a table."""

from __future__ import annotations

import click

from agl_core.cli.commands import as_json, driving, log_level, log_path, print_json, quiet, store_url

__all__ = ["demo"]


@click.command()
@click.option(
    "--model",
    type=click.Choice(["tiny", "smollm2"]),
    default="tiny",
    show_default=True,
    help="What is trained: a small Llama born in the demo, or SmolLM2-135M-Instruct with LoRA.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same tasks, weights and samples.")
@click.option("--steps", type=click.IntRange(min=1), help="Rounds of GRPO; default: what the model is known to need.")
@click.option("--deterministic", is_flag=True, help="One request at a time: slower, and exactly the same curve again.")
@click.option("--stream", is_flag=True, help="The agent takes each reply as it is written; the numbers are the same.")
@log_path
@log_level
@quiet
@as_json
def demo(
    *,
    model: str,
    seed: int,
    steps: int | None,
    deterministic: bool,
    stream: bool,
    log_path: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train an ordinary tool-calling agent on this machine, and measure it on tasks it never saw."""
    from agl_core.cli.commands import Progress
    from agl_demo._job import Job
    from agl_demo._report import as_object, show

    job = Job.of(model, seed=seed, steps=steps, deterministic=deterministic, stream=stream, log=store_url(log_path))
    if not quiet:
        click.echo(f"training {job.preset.title}; every fact of it goes to {job.log}", err=True)
    progress = Progress(quiet=quiet, steps=job.steps)
    with driving(progress, job.log):
        summary = job.run(progress.heard)
    if as_json:
        print_json(as_object(summary, model))
    else:
        show(summary, model)
