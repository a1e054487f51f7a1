"""What a delivered message costs the server's CPU: one room, one speaker, 100 listeners, loopback.

A slow stream is a message every 200 ms, so that nothing can be shared between two of them. Saturated is as fast as
the listeners get them, with at most 32 messages under way. The time is the server process's own, user and system,
with all its threads, divided by deliveries. `bisik chat` is bisikd: it checks the author's signature, stores the
message in its log with an fsync, and prints it; its listeners do not check signatures, which costs the server nothing
and keeps this process from being what is measured.

`bare sockets` has no protocol at all: the same driver under Trio, one datagram out and one short answer in for each
delivery. What it takes no chat on this machine can be below, and it has no saturated figure, since nothing would
send again what a full socket drops.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import ALL, BARE, Contender
from benchmarks.crowd import Crowd
from benchmarks.processes import cpu_s, kept_apart
from benchmarks.stage import MESSAGE_BYTES, open_stage
from benchmarks.tables import number, ratio, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    contenders: Sequence[Contender] = (*ALL, BARE)
    listeners: int = 100
    slow_messages: int = 100
    gap_s: float = 0.2
    fast_messages: int = 1000
    window: int = 32
    patience_s: float = 120.0


FULL = Plan()
SMALL = Plan(listeners=5, slow_messages=5, gap_s=0.02, fast_messages=20, patience_s=10.0)


@dataclass(slots=True)
class Outcome:
    """Microseconds of the server for one delivery."""

    slow_us: float
    fast_us: float
    fast_a_second: float  # deliveries
    busy: float  # share of the saturated time in which the server was at work

    @classmethod
    def only_slow(cls, slow_us: float) -> "Outcome":
        """Of a server that is not asked for more."""
        return cls(slow_us, math.nan, math.nan, math.nan)


class Deliveries:
    """Counts them, and lets the speaker go on when all listeners have heard enough."""

    def __init__(self) -> None:
        self.count = 0
        self.at_least = 0
        self.reached = trio.Event()

    def on_message(self, index: int, message: bytes) -> None:
        self.count += 1
        if self.count >= self.at_least:
            self.reached.set()

    async def wait(self, at_least: int) -> None:
        self.at_least = at_least
        if self.count < at_least:
            self.reached = trio.Event()
            await self.reached.wait()


async def _measure(plan: Plan, contender: Contender) -> Outcome:
    deliveries = Deliveries()
    async with open_stage() as stage:
        server = await contender.start(stage)
        crowd = Crowd(stage, server, contender, deliveries.on_message)
        await crowd.grow(plan.listeners + 1)
        messages = [_message(number) for number in range(plan.slow_messages + plan.fast_messages)]
        prepare = getattr(crowd.members[0], "prepare", None)
        if prepare is not None:
            await trio.to_thread.run_sync(prepare, messages)
        hearing = plan.listeners + (prepare is not None)  # a chat's speaker hears itself, which is its receipt
        pid = server.program.pid
        with kept_apart(pid), trio.fail_after(plan.patience_s):
            await _speak(plan, crowd, messages[:1], deliveries, hearing)  # nothing is warm before
            before = cpu_s(pid)
            await _speak(plan, crowd, messages[1 : plan.slow_messages], deliveries, hearing, gap_s=plan.gap_s)
            slow_s = cpu_s(pid) - before
            slow_us = slow_s / ((plan.slow_messages - 1) * hearing) * 1e6
            if contender is BARE:
                return Outcome.only_slow(slow_us)
            began, before = trio.current_time(), cpu_s(pid)
            await _speak(plan, crowd, messages[plan.slow_messages :], deliveries, hearing)
            fast_s, lasted_s = cpu_s(pid) - before, trio.current_time() - began
    fast_deliveries = plan.fast_messages * hearing
    return Outcome(
        slow_us=slow_us,
        fast_us=fast_s / fast_deliveries * 1e6,
        fast_a_second=fast_deliveries / lasted_s,
        busy=fast_s / lasted_s,
    )


def _message(index: int) -> bytes:
    return f"{index:08d} ".ljust(MESSAGE_BYTES, "x").encode()


async def _speak(
    plan: Plan, crowd: Crowd, messages: list[bytes], deliveries: Deliveries, hearing: int, *, gap_s: float = 0.0
) -> None:
    """Say them all, and wait until all have heard them."""
    before = deliveries.count
    for index, message in enumerate(messages):
        crowd.say(0, message)
        if gap_s:
            await trio.sleep(gap_s)
        await deliveries.wait(before + (index + 1 - plan.window) * hearing)
    await deliveries.wait(before + len(messages) * hearing)


async def run(plan: Plan) -> str:
    """One table."""
    outcomes: dict[str, Outcome] = {}
    for contender in plan.contenders:
        progress(f"cpu: {contender.name}")
        outcomes[contender.name] = await _measure(plan, contender)
    theirs = outcomes[plan.contenders[0].name]
    header = ["us of server CPU a delivery", "slow", "saturated", "slow ratio", "saturated ratio", "a second", "busy"]
    rows = [
        [
            name,
            number(outcome.slow_us),
            number(outcome.fast_us),
            ratio(theirs.slow_us, outcome.slow_us),
            ratio(theirs.fast_us, outcome.fast_us),
            number(outcome.fast_a_second),
            "-" if math.isnan(outcome.busy) else f"{outcome.busy:.0%}",
        ]
        for name, outcome in outcomes.items()
    ]
    return table(f"CPU, {plan.listeners} listeners", header, rows)


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
