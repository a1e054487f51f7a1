"""What share of a bottleneck two flows get, when each has as much to send as it may.

RTT 50 ms, 10 Mbit/s, 50 ms of queue and then the tail is dropped. Two clients send upwards to a server each, through
one bottleneck; the second begins a second later. What passes the bottleneck is counted after both have had time to
find their place. A share of 1 is half of what passed. aioquic beside itself shows what is usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, TRANSPORT, Client, Contender
from benchmarks.link import Conditions
from benchmarks.stage import FlowCounts, RelayProgram, open_stage
from benchmarks.tables import table

PIECE_BYTES: Final = 50_000
AHEAD_BYTES: Final = 2_000_000  # what a flow is kept supplied with beyond what has passed
LOOK_EVERY_S: Final = 0.1

LINK = Conditions(delay_s=0.025, rate_bps=10e6, queue_s=0.05)
PAIRS = ((TRANSPORT, TRANSPORT), (TRANSPORT, AIOQUIC), (AIOQUIC, TRANSPORT), (AIOQUIC, AIOQUIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    pairs: Sequence[tuple[Contender, Contender]] = PAIRS
    conditions: Conditions = LINK
    second_begins_s: float = 1.0
    find_place_s: float = 10.0
    count_s: float = 30.0
    rounds: int = 3
    seed: int = 1


FULL = Plan()
SMALL = Plan(pairs=PAIRS[1:2], second_begins_s=0.1, find_place_s=0.6, count_s=0.6, rounds=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One round: both flows' shares, and how much of the bottleneck was used."""

    shares: tuple[float, float]
    used: float


async def _measure(plan: Plan, pair: tuple[Contender, Contender], seed: int) -> Outcome:
    async with open_stage() as stage:
        servers = [await contender.start(stage) for contender in pair]
        relay = await stage.start_relay(
            servers, conditions=plan.conditions, down=Conditions(delay_s=plan.conditions.delay_s), seed=seed
        )
        async with (
            pair[0].open_client(stage, servers[0], relay.address(0), _ignore) as first,
            pair[1].open_client(stage, servers[1], relay.address(1), _ignore) as second,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_supply, plan, relay, [first, second])
            await trio.sleep(plan.find_place_s)
            before, began = await relay.counts(), trio.current_time()
            await trio.sleep(plan.count_s)
            after, ended = await relay.counts(), trio.current_time()
            nursery.cancel_scope.cancel()
    passed = [_passed(new) - _passed(old) for old, new in zip(before, after, strict=True)]
    fair = sum(passed) / 2
    return Outcome(
        shares=(passed[0] / fair, passed[1] / fair),
        used=sum(passed) * 8 / (ended - began) / plan.conditions.rate_bps,
    )


async def _supply(plan: Plan, relay: RelayProgram, speakers: list[Client]) -> None:
    """Keep both supplied, by what has passed and not by what they say of themselves."""
    supplied = [0] * len(speakers)
    began = trio.current_time()
    while True:
        for place, (speaker, counts) in enumerate(zip(speakers, await relay.counts(), strict=True)):
            if trio.current_time() < began + place * plan.second_begins_s:
                continue
            while supplied[place] < _passed(counts) + AHEAD_BYTES:
                speaker.send(bytes(PIECE_BYTES))
                supplied[place] += PIECE_BYTES
        await trio.sleep(LOOK_EVERY_S)


def _passed(counts: FlowCounts) -> int:
    return counts.up.carried_bytes


def _ignore(message: bytes) -> None:
    """Nobody else is in these rooms."""


async def run(plan: Plan) -> str:
    """One table."""
    rows = []
    for pair in plan.pairs:
        names = [contender.name for contender in pair]
        progress(f"fairness: {names[0]} and {names[1]}")
        outcomes = [await _measure(plan, pair, plan.seed + round_) for round_ in range(plan.rounds)]
        firsts, seconds = ([outcome.shares[place] for outcome in outcomes] for place in (0, 1))
        rows.append(
            [
                f"{names[0]} | {names[1]}",
                f"{fmean(firsts):.2f}",
                f"{fmean(seconds):.2f}",
                f"{min(firsts):.2f} to {max(firsts):.2f}",
                f"{fmean(firsts) / fmean(seconds):.2f}x",
                f"{fmean(outcome.used for outcome in outcomes):.0%}",
            ]
        )
    header = ["share of an equal part", "first", "second", "first, all rounds", "ratio", "used"]
    title = f"Fairness, {plan.conditions.rate_bps / 1e6:g} Mbit/s, {plan.rounds} rounds of {plan.count_s:g} s"
    return table(title, header, rows)


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
