"""Prints how long an outage is: a daemon that is killed, one that hangs, and whether anybody lost a word by it.

`make measure-service CYCLES=50 HANGS=5`. Exits 1 where a number is beyond its bound, and 0 with a word where no
systemd can be booted. Times are from the signal to the first answered datagram, beside whatever else this machine
does, so the load average stands beside them, and what a start costs in processor time, which does not depend on it.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from bisik_protocol.chat.invite import parse_invite
from tests.support.booted import BootedMachine, booted, why_not
from tests.system.booted.outage import UNIT, Caller, after_hang, after_kill, cost_of_start
from tests.system.booted.talk import talking

KILLED_P99_S: Final = 1.0
WATCHDOG_S: Final = 2
HUNG_S: Final = WATCHDOG_S + 1.0
# So many ends in so little time are what systemd would give up on.
UNLIMITED: Final = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec={WATCHDOG_S}\n"

Outage = Callable[[BootedMachine, Caller], float]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def outages(
    machine: BootedMachine, invite: str, caller: Caller, homes: Path, plan: Sequence[tuple[Outage, int]]
) -> tuple[list[list[float]], list[float], int]:
    """The times of each kind of outage, what each start cost, and how many messages went through all of it."""
    times, costs = [], []
    async with talking(invite, homes) as talk:
        for outage, count in plan:
            taken = []
            for _ in range(count):
                taken.append(await trio.to_thread.run_sync(outage, machine, caller))
                costs.append(cost_of_start(machine))
                await talk.more()
            times.append(taken)
        return times, costs, await talk.check()


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def row(what: str, times: list[float], measured: float, bound: float) -> bool:
    middle, last = statistics.median(times), max(times)
    verdict = "ok" if measured <= bound else "TOO LONG"
    say(f"{what:28} {len(times):3} times   p50 {middle:.3f} s   max {last:.3f} s   {verdict} (bound {bound:.1f} s)")
    return measured <= bound


def measure(machine: BootedMachine, homes: Path, cycles: int, hangs: int) -> bool:
    machine.bisikd("install", "--yes", "--public-host", "127.0.0.1")
    machine.configure(UNIT, UNLIMITED)
    machine.run("systemctl", "restart", UNIT)
    invite = machine.bisikd("invite").strip()
    with machine.network():
        caller = Caller(parse_invite(invite))
        main = partial(outages, machine, invite, caller, homes, [(after_kill, cycles), (after_hang, hangs)])
        (killed, hung), costs, messages = trio.run(main)
    say(f"{'killed: p99':28} {quantile(killed, 0.99):.3f} s")
    load = os.getloadavg()[0]
    say(f"{'a start, processor time':28} {statistics.median(costs):.3f} s   load average now {load:.1f}")
    good = row("killed to first answer", killed, quantile(killed, 0.99), KILLED_P99_S)
    good &= row(f"hung, WatchdogSec={WATCHDOG_S}", hung, max(hung), HUNG_S)
    report = json.loads(machine.bisikd("log", "verify", "--json"))
    say(f"{messages} messages said meanwhile, each stored once and heard once, in order")
    say(f"the log is {'whole' if report['ok'] else 'NOT WHOLE'}: {report['messages']} messages")
    return good and bool(report["ok"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--hangs", type=int, default=5)
    arguments = parser.parse_args()
    if reason := why_not():
        say(f"Nothing was measured: {reason}.")
        return
    with TemporaryDirectory() as scratch, booted(Path(scratch)) as machine:
        good = measure(machine, Path(scratch), arguments.cycles, arguments.hangs)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
