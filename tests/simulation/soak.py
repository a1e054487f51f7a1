"""The campaign: many seeds on several processes, or one seed with its whole story. `make soak` calls it.

make soak                    a thousand seeds
make soak SEEDS=10000        ten thousand, and BUDGET=1800 ends it after half an hour
make soak SEED=42            that one, with the last EVENTS=80 events if it fails
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice

import click

from tests.simulation.plan import draw_plan
from tests.simulation.world import Outcome, simulate

CHUNK = 5  # seeds that a worker takes at a time
REPORT_EVERY_S = 10.0
REPORTED_IN_FULL = 3


class Campaign:
    """What came of the seeds so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seeds = 0
        self.datagrams = 0
        self.virtual_s = 0.0
        self.broken: list[Outcome] = []
        self.slowest_to_settle = (0.0, -1)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.datagrams += outcome.datagrams
        self.virtual_s += outcome.virtual_s
        self.slowest_to_settle = max(self.slowest_to_settle, (outcome.settled_s, outcome.plan.seed))
        if outcome.broken is not None:
            self.broken.append(outcome)
            click.echo(f"seed {outcome.plan.seed}: {outcome.broken.splitlines()[0]}")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds in {self.seconds:.0f} s ({self.seeds / max(self.seconds, 0.001):.1f} a second), "
            f"{self.datagrams} datagrams, {self.virtual_s / 3600:.1f} hours of virtual time, "
            f"{len(self.broken)} violations"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the chat in virtual time, under many seeds.")
    parser.add_argument("--seed", type=int, help="run this one seed and tell its story")
    parser.add_argument("--events", type=int, default=80, help="events to show of a seed that fails")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds, after which it ends")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _run_one(arguments.seed, arguments.events)
    campaign = _run_many(
        range(arguments.first, arguments.first + arguments.seeds), arguments.workers, arguments.budget
    )
    for outcome in campaign.broken[:REPORTED_IN_FULL]:
        click.echo(f"\n{outcome.report}")
    click.echo(f"\n{campaign}")
    settled_s, seed = campaign.slowest_to_settle
    click.echo(f"slowest to come to rest after the network healed: {settled_s:.1f} s, seed {seed}")
    if campaign.broken:
        click.echo(f"violations in seeds {sorted(outcome.plan.seed for outcome in campaign.broken)}")
    return bool(campaign.broken)


def _run_one(seed: int, events: int) -> int:
    click.echo(str(draw_plan(seed)))
    outcome = simulate(seed, kept_events=events)
    click.echo(outcome.report or f"all held: {outcome.datagrams} datagrams, {outcome.entries} entries")
    return outcome.broken is not None


def _run_many(seeds: range, workers: int, budget_s: float) -> Campaign:
    campaign = Campaign()
    chunks: Iterator[range] = (seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK))
    reported = 0.0
    # spawn: a worker begins with nothing of this process in it
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running: set[Future[list[Outcome]]] = {
            pool.submit(_run_chunk, chunk) for chunk in islice(chunks, 2 * workers)
        }
        while running:
            done, running = wait(running, timeout=REPORT_EVERY_S, return_when=FIRST_COMPLETED)
            for outcome in (outcome for future in done for outcome in future.result()):
                campaign.add(outcome)
            if campaign.seconds < budget_s:
                running |= {pool.submit(_run_chunk, chunk) for chunk in islice(chunks, len(done))}
            if campaign.seconds > reported + REPORT_EVERY_S:
                reported = campaign.seconds
                click.echo(str(campaign))
    return campaign


def _run_chunk(seeds: range) -> list[Outcome]:
    return [simulate(seed) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
