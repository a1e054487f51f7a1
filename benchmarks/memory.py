"""What an idle session costs the server's memory, and whether all of them are still there.

Clients come in over loopback, a few at a time, and stay. The server process's own memory is read when nothing has
happened for a while, against what it had with one session. Then one of them says something, and everybody who hears
it was reachable. `bisik chat` is bisikd with everybody in one room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, ALL, CHAT, Contender
from benchmarks.crowd import Crowd
from benchmarks.processes import allow_descriptors, memory_kib
from benchmarks.stage import open_stage
from benchmarks.tables import number, ratio, table

SPEAKER: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    contenders: Sequence[Contender] = ALL
    sizes: Sequence[int] = (1_000, 10_000)
    settle_s: float = 5.0
    patience_s: float = 120.0  # for everybody to hear


FULL = Plan()
SMALL = Plan(contenders=(AIOQUIC, CHAT), sizes=(10, 20), settle_s=0.2, patience_s=10.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One server with so many sessions."""

    kib_a_session: float
    reached: int
    come_in_s: float


async def _measure(plan: Plan, contender: Contender) -> list[Sample]:
    heard: set[int] = set()

    def on_message(index: int, message: bytes) -> None:
        if index != SPEAKER:
            heard.add(index)

    samples = []
    async with open_stage() as stage:
        server = await contender.start(stage)
        crowd = Crowd(stage, server, contender, on_message)
        await crowd.grow(1)
        await trio.sleep(plan.settle_s)
        alone_kib = memory_kib(server.program.pid)
        began = trio.current_time()
        for size in plan.sizes:
            await crowd.grow(size)
            come_in_s = trio.current_time() - began
            await trio.sleep(plan.settle_s)
            kib = (memory_kib(server.program.pid) - alone_kib) / (size - 1)
            heard.clear()
            crowd.say(SPEAKER, b"Is everybody there?")
            with trio.move_on_after(plan.patience_s):
                while len(heard) < size - 1:
                    await stage.fleet.turn()
            samples.append(Sample(kib, len(heard) + 1, come_in_s))
    return samples


async def run(plan: Plan) -> str:
    """One table a number of sessions."""
    allow_descriptors(max(plan.sizes) + 1000)
    samples: dict[str, list[Sample]] = {}
    for contender in plan.contenders:
        progress(f"memory: {contender.name}")
        samples[contender.name] = await _measure(plan, contender)
    header = ["KiB", "a session", "ratio", "reached", "all there after s"]
    tables = []
    for place, size in enumerate(plan.sizes):
        theirs = samples[AIOQUIC.name][place].kib_a_session
        rows = [
            [
                name,
                number(own[place].kib_a_session, 1),
                ratio(theirs, own[place].kib_a_session),
                f"{own[place].reached:,} of {size:,}",
                number(own[place].come_in_s),
            ]
            for name, own in samples.items()
        ]
        tables.append(table(f"Memory of an idle session, {size:,} sessions", header, rows))
    return "\n\n".join(tables)


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
