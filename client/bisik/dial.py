"""Reaching a server: all its addresses, tried with a short stagger, until one of them proves to be it.

It knows addresses, identities and deadlines; what is done with the line that it returns is not its matter.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from bisik.errors import IdentityMismatch, Unreachable
from bisik.i18n import _
from bisik.line import Line, Target, resolve
from bisik_protocol.crypto.identity import fingerprint_groups
from bisik_protocol.transport import events

STAGGER_S: Final = 0.25  # RFC 8305 section 5
REFUSALS: Final = 2  # a single ICMP message may be about an older datagram


@dataclass(slots=True)
class _Attempts:
    winner: Line | None = None
    identified: bytes | None = None
    presented: bytes | None = None
    refused: bool = False  # nobody listens at an address
    no_way: bool = False  # the system knows no way to an address
    over: trio.Event = field(default_factory=trio.Event)


async def dial(host: str, port: int, fingerprint: bytes, *, timeout_s: float) -> Line:
    """A line whose endpoint is connected. Raises Unreachable or IdentityMismatch."""
    attempts = await _try_all(host, port, fingerprint, timeout_s)
    if attempts.winner is not None:
        return attempts.winner
    if attempts.presented is not None:
        raise IdentityMismatch(
            _(
                "The server at {host} port {port} is NOT the one that is known here: its fingerprint is\n"
                "  {presented}\n"
                "and should be\n"
                "  {fingerprint}\n"
                "Somebody may be listening in. Nothing was sent. If the server really has new keys, its operator"
                " can give you a new invite, and this brings you there: bisik join INVITE"
            ).format(
                host=host,
                port=port,
                presented=fingerprint_groups(attempts.presented),
                fingerprint=fingerprint_groups(fingerprint),
            )
        )
    raise _unreachable(host, port, attempts, timeout_s)


async def identify(host: str, port: int, *, timeout_s: float) -> bytes:
    """The fingerprint of whoever answers, which proves nothing yet. Raises Unreachable."""
    attempts = await _try_all(host, port, None, timeout_s)
    if attempts.identified is None:
        raise _unreachable(host, port, attempts, timeout_s)
    return attempts.identified


async def _try_all(host: str, port: int, fingerprint: bytes | None, timeout_s: float) -> _Attempts:
    attempts = _Attempts()
    try:
        with trio.move_on_after(timeout_s):
            targets = await resolve(host, port)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_try_in_turn, attempts, targets, fingerprint)
                await attempts.over.wait()
                nursery.cancel_scope.cancel()
    except BaseException:  # who asked does not want it any more, and it may have been found in the same moment
        if attempts.winner is not None:
            attempts.winner.close()
        raise
    return attempts


async def _try_in_turn(attempts: _Attempts, targets: list[Target], fingerprint: bytes | None) -> None:
    async with trio.open_nursery() as nursery:
        for n, target in enumerate(targets):
            if n:
                await trio.sleep(STAGGER_S)
            nursery.start_soon(_try_one, attempts, target, fingerprint)
    attempts.over.set()  # all of them have ended, and none was it


async def _try_one(attempts: _Attempts, target: Target, fingerprint: bytes | None) -> None:
    try:
        line = Line(target, fingerprint)
    except OSError:
        attempts.no_way = True
        return
    try:
        with trio.CancelScope() as scope:
            line.on_events = _on_events(attempts, line, scope)
            await line.run()
    finally:
        line.on_events = lambda: None
        if attempts.winner is not line:
            line.close()


def _on_events(attempts: _Attempts, line: Line, scope: trio.CancelScope) -> Callable[[], None]:
    def on_events() -> None:
        event = line.endpoint.next_event()
        if isinstance(event, events.Connected):
            if attempts.winner is None:
                attempts.winner = line
            attempts.over.set()
        elif isinstance(event, events.ServerIdentified):
            attempts.identified = event.server.fingerprint
            attempts.over.set()
        elif isinstance(event, events.IdentityMismatch):
            attempts.presented = event.presented
            scope.cancel()
        elif line.refusals >= REFUSALS:
            attempts.refused = True
            scope.cancel()

    return on_events


def _unreachable(host: str, port: int, attempts: _Attempts, timeout_s: float) -> Unreachable:
    if attempts.refused:
        return Unreachable(
            _("Nobody is listening at {host} port {port}. Is the server running, and are both right?").format(
                host=host, port=port
            )
        )
    if attempts.no_way:
        return Unreachable(
            _("There is no way to {host} from here. Is this machine connected to a network?").format(host=host)
        )
    return Unreachable(
        _(
            "No answer from {host} port {port} in {timeout_s:.0f} s. Is the server running, and does the network"
            " let UDP through?"
        ).format(host=host, port=port, timeout_s=timeout_s)
    )
