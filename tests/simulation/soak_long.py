"""A day in virtual time, and whether anything grew. `make soak-long` calls it.

make soak-long                       24 hours, a sample each hour
make soak-long HOURS=48 SEED=2       two days of another seed
make soak-long SLICE=1               an hour in rounds of five minutes, and another with a leak that must be seen
"""

import argparse
import sys
import time
from typing import Any

from bisikd.session import Session
from bisikd.sessions import Sessions
from tests.simulation.day import SLICE, DayPlan, live
from tests.simulation.day_memory import HEADER, growing
from tests.simulation.watch import Replace


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def closed_sessions_are_kept(replace: Replace) -> None:
    """The table of sessions keeps each of them after its end, until the daemon is restarted."""
    run = Sessions._run

    async def kept(sessions: Any, session: Session) -> None:
        vars(sessions).setdefault("_closed", {})[id(session)] = session
        await run(sessions, session)

    replace(Sessions, "_run", kept)


def leak_is_seen() -> bool:
    """Whether it is, though each restart of the daemon wipes it: it grows within the daemon's lives."""
    found = growing(live(SLICE, bug=closed_sessions_are_kept).samples)
    return any(sentence.split()[:2] == ["lives", "objects"] for sentence in found)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the chat for a day of virtual time and look for what grows.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slice", action="store_true")
    arguments = parser.parse_args()
    plan = SLICE if arguments.slice else DayPlan(hours=arguments.hours, seed=arguments.seed)
    began = time.monotonic()
    say(HEADER)
    day = live(plan, on_sample=lambda sample: say(sample.row()))
    say(
        f"{plan.hours:g} hours in {time.monotonic() - began:.0f} s: {day.said} messages said, each stored once,"
        f" {day.network.counts['up'] + day.network.counts['down']} datagrams"
    )
    found = growing(day.samples, say)
    say("grows: " + "; ".join(found) if found else "flat")
    if arguments.slice:
        seen = leak_is_seen()
        say("a table that keeps closed sessions is " + ("seen to grow" if seen else "NOT seen to grow"))
        return bool(found) or not seen
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
