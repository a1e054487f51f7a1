"""How many newcomers a server can greet in a second, on one core.

The server has a core for itself and the clients another one, where there are two; 24 handshakes are under way at any
time, on loopback, and each client leaves as soon as it is connected. `on one core` is by the server's own CPU time,
whatever the clients could keep up with. aioquic's server has a P-256 certificate, which is its cheapest usual
handshake; ours signs and decrypts with RSA-3072, and both sides add X25519 and ML-KEM-768.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, CHAT, TRANSPORT, Contender
from benchmarks.crowd import AT_ONCE, Crowd
from benchmarks.processes import cpu_s, kept_apart
from benchmarks.stage import open_stage
from benchmarks.tables import number, table

CONTENDERS = (
    ("aioquic", AIOQUIC, AIOQUIC),
    ("bisik transport", TRANSPORT, TRANSPORT),
    ("bisikd", CHAT, TRANSPORT),  # the daemon's own handshake, without a login
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    contenders: Sequence[tuple[str, Contender, Contender]] = CONTENDERS
    handshakes: int = 3000
    warm_up: int = 100


FULL = Plan()
SMALL = Plan(handshakes=30, warm_up=2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`cpu_ms` is the server's, for one handshake."""

    a_second: float
    cpu_ms: float


async def _measure(plan: Plan, server_kind: Contender, client_kind: Contender) -> Outcome:
    async with open_stage() as stage:
        server = await server_kind.start(stage)
        crowd = Crowd(stage, server, client_kind, lambda _, message: None)
        pid = server.program.pid
        with kept_apart(pid):
            await _greet(crowd, plan.warm_up)
            began, before = trio.current_time(), cpu_s(pid)
            await _greet(crowd, plan.handshakes)
            lasted_s, used_s = trio.current_time() - began, cpu_s(pid) - before
    return Outcome(a_second=plan.handshakes / lasted_s, cpu_ms=used_s / plan.handshakes * 1000)


async def _greet(crowd: Crowd, count: int) -> None:
    numbers = iter(range(count))
    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(_come_and_go, crowd, numbers)


async def _come_and_go(crowd: Crowd, numbers: Iterator[int]) -> None:
    for number_ in numbers:
        crowd.leave(await crowd.come_in(number_))


async def run(plan: Plan) -> str:
    """One table."""
    outcomes: dict[str, Outcome] = {}
    for name, server_kind, client_kind in plan.contenders:
        progress(f"handshakes: {name}")
        outcomes[name] = await _measure(plan, server_kind, client_kind)
    theirs = outcomes["aioquic"]
    rows = [
        [
            name,
            number(1000 / outcome.cpu_ms),
            f"{theirs.cpu_ms / outcome.cpu_ms:.2f}x",
            number(outcome.cpu_ms, 2),
            number(outcome.a_second),
        ]
        for name, outcome in outcomes.items()
    ]
    header = ["handshakes a second", "on one core", "ratio", "server CPU ms each", "here, with clients"]
    return table(f"Handshakes, {plan.handshakes:,} of them", header, rows)


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
