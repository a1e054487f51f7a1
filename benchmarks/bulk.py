"""How fast something large gets through: 10 MB in messages of 50,000 bytes, from one client to another.

RTT 50 ms, 20 Mbit/s each way, 50 ms of queue at the bottleneck and then the tail is dropped; both legs cross the
link. The time is from the first message said to the last one heard. The chat's speaker gets its own messages back, as
receipts, by the same way down as the listener's: it has 20 MB to carry there. Contenders run one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, ALL, TRANSPORT, Contender
from benchmarks.conversation import Conversation, open_conversation
from benchmarks.link import Conditions
from benchmarks.stage import open_stage
from benchmarks.tables import number, ratio, table

LINK = Conditions(delay_s=0.025, rate_bps=20e6, queue_s=0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    contenders: Sequence[Contender] = ALL
    conditions: Conditions = LINK
    messages: int = 200
    message_bytes: int = 50_000
    patience_s: float = 120.0
    seed: int = 1


FULL = Plan()
SMALL = Plan(contenders=(AIOQUIC, TRANSPORT), messages=4, patience_s=10.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    seconds: float
    dropped: int  # at the bottleneck, both legs
    overhead: float  # bytes offered to the two legs, all directions, over what they had to carry


async def _measure(plan: Plan, contender: Contender) -> Outcome:
    conversation = Conversation(plan.message_bytes)
    async with open_stage() as stage:
        server = await contender.start(stage)
        relay = await stage.start_relay([server, server], conditions=plan.conditions, seed=plan.seed)
        async with open_conversation(conversation, contender, stage, server, relay) as speaker:
            before = await relay.counts()
            for _ in range(plan.messages):
                speaker.send(conversation.say())
            with trio.fail_after(plan.patience_s):
                await conversation.until_heard()
            after = await relay.counts()
    ways = [
        (old, new)
        for earlier, later in zip(before, after, strict=True)
        for old, new in ((earlier.up, later.up), (earlier.down, later.down))
    ]
    return Outcome(
        seconds=max(conversation.heard.values()) - conversation.said[0],
        dropped=sum(new.dropped - old.dropped for old, new in ways),
        overhead=sum(new.offered_bytes - old.offered_bytes for old, new in ways)
        / (2 * plan.messages * plan.message_bytes),
    )


async def run(plan: Plan) -> str:
    """One table."""
    outcomes: dict[str, Outcome] = {}
    for contender in plan.contenders:
        progress(f"bulk: {contender.name}")
        outcomes[contender.name] = await _measure(plan, contender)
    bits = plan.messages * plan.message_bytes * 8
    rows = [
        [
            name,
            number(outcome.seconds, 2),
            number(bits / outcome.seconds / 1e6, 2),
            ratio(outcomes[AIOQUIC.name].seconds, outcome.seconds),
            str(outcome.dropped),
            f"{outcome.overhead:.2f}",
        ]
        for name, outcome in outcomes.items()
    ]
    header = ["", "seconds", "Mbit/s", "ratio", "dropped", "bytes sent a byte"]
    title = f"Bulk, {bits / 8e6:g} MB over {plan.conditions.rate_bps / 1e6:g} Mbit/s"
    return table(title, header, rows)


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
