"""How long a message takes from one person to another, and what it costs the link.

Two clients and a server; both legs cross the link, 50 ms each way. One 90-byte message every 200 ms; a time is from
the call that says it to the callback that shows it. All contenders run at the same time, each over a link of its own
with the same seed, and a third of a gap apart, so that they do not wait for each other's CPU.

Datagrams are those that can hold a message (acknowledgements cannot), bytes are all, both ways, with IP and UDP
headers; each is for one message on one leg. The chat's messages are signed and stored, and its speaker gets a
receipt. In outages nobody can do better than the row `the outages alone`: the delays, and what is left of the
outage that a message meets on each leg, as if its sender repeated it without a pause.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, ALL, Contender
from benchmarks.conversation import Conversation, open_conversation
from benchmarks.link import Conditions, Outages
from benchmarks.stage import FlowCounts, open_stage
from benchmarks.tables import number, percentile, ratio, table

LINKS = (
    ("clean", Conditions()),
    ("10% loss", Conditions(loss=0.1)),
    ("30% loss", Conditions(loss=0.3)),
    ("50% loss", Conditions(loss=0.5)),
    ("out 30%, 200 ms", Conditions(outage_s=0.2, outage_share=0.3)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    links: Sequence[tuple[str, Conditions]] = LINKS
    contenders: Sequence[Contender] = ALL
    messages: int = 500  # the p99 of fewer is the luck of one or two messages
    gap_s: float = 0.2
    patience_s: float = 60.0  # after the last message, for those that are still missing
    seed: int = 1
    floor_messages: int = 100_000  # of which the floor is computed


FULL = Plan()
SMALL = Plan(
    links=(("10% loss", Conditions(delay_s=0.01, loss=0.1)),),
    messages=10,
    gap_s=0.04,
    patience_s=20.0,
)


@dataclass(slots=True)
class Outcome:
    """One contender on one link. Milliseconds; the counts are for one message."""

    latencies_ms: list[float]
    missing: int
    datagrams_out: float
    datagrams_in: float
    bytes_a_leg: float


async def converse(plan: Plan, contender: Contender, conditions: Conditions, start_at: float) -> Outcome:
    """Start everything, talk, and wait for what is missing."""
    conversation = Conversation()
    async with open_stage() as stage:
        server = await contender.start(stage)
        relay = await stage.start_relay([server, server], conditions=conditions, seed=plan.seed)
        async with open_conversation(conversation, contender, stage, server, relay) as speaker:
            start_at += plan.gap_s * max(0, round((trio.current_time() - start_at) / plan.gap_s) + 5)
            await trio.sleep_until(start_at)
            before = await relay.counts()
            for index in range(plan.messages):
                await trio.sleep_until(start_at + index * plan.gap_s)
                speaker.send(conversation.say())
            with trio.move_on_after(plan.patience_s):
                await conversation.until_heard()
            await trio.sleep(plan.gap_s)  # the last acknowledgements are part of the cost
            after = await relay.counts()
    return _outcome(plan, conversation, before, after)


def _outcome(plan: Plan, conversation: Conversation, before: list[FlowCounts], after: list[FlowCounts]) -> Outcome:
    def offered_bytes(counts: list[FlowCounts]) -> int:
        return sum(flow.up.offered_bytes + flow.down.offered_bytes for flow in counts)

    return Outcome(
        latencies_ms=conversation.latencies_ms,
        missing=conversation.missing,
        datagrams_out=(after[0].up.large - before[0].up.large) / plan.messages,
        datagrams_in=(after[1].down.large - before[1].down.large) / plan.messages,
        bytes_a_leg=(offered_bytes(after) - offered_bytes(before)) / 2 / plan.messages,
    )


async def run(plan: Plan) -> str:
    """One table a link."""
    tables = []
    for title, conditions in plan.links:
        progress(f"latency: {title}")
        outcomes: dict[str, Outcome] = {}
        await _together(plan, conditions, outcomes)
        theirs = outcomes.get(AIOQUIC.name)
        rows = [_row(contender.name, outcomes[contender.name], theirs) for contender in plan.contenders]
        if conditions.outage_s:
            rows.append(_row("the outages alone", floor(plan, conditions), theirs))
        header = [
            "ms", "p50", "p90", "p99", "p50 ratio", "p99 ratio", "missing", "datagrams out", "in", "bytes a leg"
        ]  # fmt: skip
        tables.append(table(f"Latency, {title}, {plan.messages} messages", header, rows))
    return "\n\n".join(tables)


async def _together(plan: Plan, conditions: Conditions, outcomes: dict[str, Outcome]) -> None:
    async def one(contender: Contender, start_at: float) -> None:
        outcomes[contender.name] = await converse(plan, contender, conditions, start_at)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for index, contender in enumerate(plan.contenders):
            nursery.start_soon(one, contender, began + index * plan.gap_s / len(plan.contenders))


def floor(plan: Plan, conditions: Conditions) -> Outcome:
    """What the delays and outages of both legs take of each message, whatever its sender does."""
    up, down = (Outages(conditions, random.Random(f"{plan.seed} {way} floor")) for way in ("up", "down"))
    latencies_ms = []
    for index in range(plan.floor_messages):
        said = index * plan.gap_s
        stored = up.clear_at(said) + conditions.delay_s
        latencies_ms.append((down.clear_at(stored) + conditions.delay_s - said) * 1000)
    return Outcome(latencies_ms, 0, math.nan, math.nan, math.nan)


def _row(name: str, outcome: Outcome, theirs: Outcome | None) -> list[str]:
    shares = (0.5, 0.9, 0.99)
    own = [percentile(outcome.latencies_ms, share) for share in shares]
    others = [percentile(theirs.latencies_ms if theirs else [], share) for share in shares]
    return [
        name,
        *(number(value) for value in own),
        ratio(others[0], own[0]),
        ratio(others[2], own[2]),
        str(outcome.missing),
        number(outcome.datagrams_out, 2),
        number(outcome.datagrams_in, 2),
        number(outcome.bytes_a_leg),
    ]


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
