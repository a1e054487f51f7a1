"""bisik demo: the main job, run for real."""

import click

from bisik.demo.run import Plan, run_demo

DEFAULTS = Plan()


@click.command()
@click.option(
    "--loss",
    type=click.FloatRange(0.05, 0.5),
    default=DEFAULTS.loss,
    show_default=True,
    help="The share of all datagrams that is lost, each way.",
)
@click.option("--seed", type=int, default=DEFAULTS.seed, show_default=True, help="Another seed is other weather.")
@click.option("--lines", type=click.IntRange(min=4), help="How many lines are said, instead of all.")
@click.option(
    "--pause",
    "pause_s",
    type=click.FloatRange(min=0),
    default=DEFAULTS.pause_s,
    show_default=True,
    metavar="SECONDS",
    help="Between two lines.",
)
def command(loss: float, seed: int, lines: int | None, pause_s: float) -> None:
    """Show the main job: a daemon and two people, on a network that loses much, with a crash in the middle.

    Everything runs on this machine, in a temporary directory. Exit code 0 means that every claim at the end is true.
    """
    raise SystemExit(run_demo(Plan(lines=lines, pause_s=pause_s, loss=loss, seed=seed)))
