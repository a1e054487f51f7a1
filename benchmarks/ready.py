"""How long it takes to come in: from nothing to the moment at which one can speak.

RTT 100 ms, one visit after the other. For aioquic and for our transport that is the handshake. For the chat it is a
first visit (a key for this device, the handshake, join password, registration, the lobby) or a
return (the handshake, a login by key, the lobby).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import trio

from benchmarks.command import command, progress
from benchmarks.contenders import AIOQUIC, CHAT, TRANSPORT, Client, Contender, open_library
from benchmarks.link import Conditions
from benchmarks.peers.transport_chat import OnMessage
from benchmarks.stage import Server, Stage, open_stage
from benchmarks.tables import number, percentile, ratio, table

LINKS = (
    ("clean", Conditions()),
    ("30% loss", Conditions(loss=0.3)),
)

ComeIn = Callable[[Stage, Server, tuple[str, int], OnMessage], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    links: Sequence[tuple[str, Conditions]] = LINKS
    visits: int = 100
    seed: int = 1


FULL = Plan()
SMALL = Plan(links=(("10% loss", Conditions(delay_s=0.01, loss=0.1)),), visits=1)


async def _visit(plan: Plan, contender: Contender, conditions: Conditions, times_ms: dict[str, list[float]]) -> None:
    async with open_stage() as stage:
        server = await contender.start(stage)
        relay = await stage.start_relay([server], conditions=conditions, seed=plan.seed)
        visits: list[tuple[str, ComeIn]] = [(contender.name, contender.open_client)]
        if contender is CHAT:
            home = stage.new_path("home")
            async with open_library(stage, server, server.address, _ignore, home=home):
                pass
            visits = [
                (f"{contender.name}, first visit", _first_visit),
                (f"{contender.name}, return", partial(open_library, home=home)),
            ]
        for name, come_in in visits:
            times = times_ms[name] = []
            for _ in range(plan.visits):
                began = time.monotonic()
                async with come_in(stage, server, relay.address(), _ignore):
                    times.append((time.monotonic() - began) * 1000)


def _first_visit(
    stage: Stage, server: Server, address: tuple[str, int], on_message: OnMessage
) -> AbstractAsyncContextManager[Client]:
    return open_library(stage, server, address, on_message, home=stage.new_path("home"))


def _ignore(message: bytes) -> None:
    """Nobody listens here."""


async def run(plan: Plan) -> str:
    """One table a link."""
    tables = []
    for title, conditions in plan.links:
        progress(f"ready: {title}")
        times_ms: dict[str, list[float]] = {}
        async with trio.open_nursery() as nursery:
            for contender in (AIOQUIC, TRANSPORT, CHAT):
                nursery.start_soon(_visit, plan, contender, conditions, times_ms)
        header = ["ms", "p50", "p90", "p99", "worst", "p50 ratio", "p99 ratio"]
        rows = [_row(name, times_ms[name], times_ms[AIOQUIC.name]) for name in sorted(times_ms)]
        tables.append(table(f"Ready to speak, {title}, {plan.visits} visits", header, rows))
    return "\n\n".join(tables)


def _row(name: str, own: list[float], theirs: list[float]) -> list[str]:
    shares = (0.5, 0.9, 0.99, 1.0)
    return [
        name,
        *(number(percentile(own, share)) for share in shares),
        *(ratio(percentile(theirs, share), percentile(own, share)) for share in (0.5, 0.99)),
    ]


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
