"""How long after an outage the chat is back.

Two clients and a server, RTT 100 ms, no loss but for a blackout of both legs, both ways, in which people go on to say
something every 200 ms. When the link has returned: how long until the first of what was missed is shown, and how long
until all of it is. All contenders run at the same time, each over a link of its own.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, ALL, CHAT, Client, Contender
from benchmarks.conversation import Conversation, open_conversation
from benchmarks.link import Conditions
from benchmarks.stage import RelayProgram, open_stage
from benchmarks.tables import number, percentile, ratio, table

LINK = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    blackouts: Sequence[tuple[float, int]] = ((5.0, 8), (60.0, 2))  # seconds, how often
    contenders: Sequence[Contender] = ALL
    conditions: Conditions = LINK
    gap_s: float = 0.2
    calm_s: float = 3.0  # before each blackout
    patience_s: float = 60.0  # for what was missed
    seed: int = 1


FULL = Plan()
SMALL = Plan(
    blackouts=((0.5, 1),),
    contenders=(AIOQUIC, CHAT),
    conditions=Conditions(delay_s=0.01),
    gap_s=0.1,
    calm_s=0.3,
    patience_s=20.0,
)


@dataclass(slots=True)
class Outcome:
    """Milliseconds since the link's return, for each blackout."""

    first_ms: list[float] = field(default_factory=list)
    all_ms: list[float] = field(default_factory=list)
    never: int = 0  # blackouts after which something was still missing when patience ended


async def _recover(plan: Plan, contender: Contender, blackout_s: float, times: int, outcome: Outcome) -> None:
    rng = random.Random(plan.seed)
    conversation = Conversation()
    async with open_stage() as stage:
        server = await contender.start(stage)
        relay = await stage.start_relay([server, server], conditions=plan.conditions, seed=plan.seed)
        async with (
            open_conversation(conversation, contender, stage, server, relay) as speaker,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_talk, plan, speaker, conversation)
            for _ in range(times):
                await trio.sleep(plan.calm_s + rng.random())  # anywhere between two messages
                await _live_through(plan, relay, blackout_s, conversation, outcome)
            nursery.cancel_scope.cancel()


async def _talk(plan: Plan, speaker: Client, conversation: Conversation) -> None:
    next_at = trio.current_time()
    while True:
        speaker.send(conversation.say())
        next_at += plan.gap_s
        await trio.sleep_until(next_at)


async def _live_through(
    plan: Plan, relay: RelayProgram, blackout_s: float, conversation: Conversation, outcome: Outcome
) -> None:
    returns_at = await relay.blackout(blackout_s)
    await trio.sleep(returns_at - time.monotonic())
    missed = {index for index in range(len(conversation.said)) if index not in conversation.heard}
    with trio.move_on_after(plan.patience_s) as patience:
        await conversation.until_heard()
    if patience.cancelled_caught:
        outcome.never += 1
        return
    heard_at = [conversation.heard[index] for index in missed]
    outcome.first_ms.append((min(heard_at) - returns_at) * 1000)
    outcome.all_ms.append((max(heard_at) - returns_at) * 1000)


async def run(plan: Plan) -> str:
    """One table a length of blackout."""
    tables = []
    for blackout_s, times in plan.blackouts:
        progress(f"recovery: {times} blackouts of {blackout_s:g} s")
        outcomes = {contender.name: Outcome() for contender in plan.contenders}
        async with trio.open_nursery() as nursery:
            for contender in plan.contenders:
                nursery.start_soon(_recover, plan, contender, blackout_s, times, outcomes[contender.name])
        header = ["ms after the link's return", "first p50", "worst", "all p50", "worst", "never", "all p50 ratio"]
        theirs = outcomes[AIOQUIC.name].all_ms
        rows = [_row(name, outcome, theirs) for name, outcome in outcomes.items()]
        tables.append(table(f"Recovery from a blackout of {blackout_s:g} s, {times} times", header, rows))
    return "\n\n".join(tables)


def _row(name: str, outcome: Outcome, theirs: list[float]) -> list[str]:
    times = [percentile(values, share) for values in (outcome.first_ms, outcome.all_ms) for share in (0.5, 1.0)]
    return [name, *(number(value) for value in times), str(outcome.never), ratio(percentile(theirs, 0.5), times[2])]


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
