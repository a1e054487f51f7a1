"""Run the campaigns and print what came of each. `make soak-log` calls it.

make soak-log                          all of it: most of an hour on two cores
make soak-log BUDGET=600               as much as fits in ten minutes; the lines say how far each came
make soak-log SLICE=1                  what continuous integration runs, half a minute
make soak-log ONLY=kills KILLS=100000  one campaign, with its own count
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import click

from tests.soak_log.bits import run_cuts, run_flips
from tests.soak_log.campaign import Budget, Campaign, Result
from tests.soak_log.faults import run_faults
from tests.soak_log.fuse import run_fuse
from tests.soak_log.kills import run_kills
from tests.soak_log.nonces import run_nonces
from tests.soak_log.states import run_states


@dataclass(frozen=True)
class Entry:
    """A campaign, its counts in full and in continuous integration (0: all there are), and its part of a budget."""

    run: Campaign
    full: int
    slice: int
    share: float


CAMPAIGNS = {
    "kills": Entry(run_kills, 20_000, 500, 0.4),
    "states": Entry(run_states, 300_000, 4_000, 0.2),
    "nonces": Entry(run_nonces, 10_000_000, 200_000, 0.12),
    "flips": Entry(run_flips, 0, 20_000, 0.12),
    "faults": Entry(run_faults, 0, 60, 0.06),
    "fuse": Entry(run_fuse, 1_000, 20, 0.06),
    "cuts": Entry(run_cuts, 0, 10_000, 0.04),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Try to make the log lose, double or invent something.")
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds for all of them together")
    parser.add_argument("--slice", action="store_true", help="the counts of continuous integration")
    parser.add_argument("--only", choices=CAMPAIGNS, help="this one alone")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    for name in CAMPAIGNS:
        parser.add_argument(f"--{name}", type=int, help=f"how many {name}; 0: all there are")
    arguments = parser.parse_args()
    chosen = [arguments.only] if arguments.only else list(CAMPAIGNS)
    counts = {name: getattr(arguments, name) for name in chosen}
    for name in chosen:
        if counts[name] is None:
            counts[name] = CAMPAIGNS[name].slice if arguments.slice else CAMPAIGNS[name].full
    results = _run(chosen, counts, arguments.budget, arguments.workers)
    broken = [(name, problem) for name, result in results.items() for problem in result.problems]
    for name, problem in broken:
        click.echo(f"{name}: {problem}")
    unfinished = [name for name, result in results.items() if not result.skipped and result.done < result.wanted]
    if unfinished:
        click.echo(f"The budget ended before these had reached their counts: {', '.join(unfinished)}.")
    return bool(broken)


def _run(chosen: list[str], counts: dict[str, int], budget_s: float, workers: int) -> dict[str, Result]:
    shares = sum(CAMPAIGNS[name].share for name in chosen)
    results: dict[str, Result] = {}
    # spawn: a campaign begins with nothing of another in it
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {}
        for name in chosen:
            seconds = min(budget_s, budget_s * workers * CAMPAIGNS[name].share / shares)
            running[pool.submit(_one, name, seconds, counts[name])] = name
        for future in as_completed(running):
            name = running[future]
            results[name] = future.result()
            click.echo(results[name].line(name))
    return results


def _one(name: str, seconds: float, count: int) -> Result:
    began = time.monotonic()
    result = CAMPAIGNS[name].run(Budget(seconds), count)
    result.seconds = time.monotonic() - began
    return result


if __name__ == "__main__":
    sys.exit(main())
