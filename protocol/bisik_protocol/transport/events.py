"""What the core tells the program that drives it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from bisik_protocol.crypto.identity import ServerPublic

if TYPE_CHECKING:
    from bisik_protocol.transport.connection import Connection


class CloseCode(IntEnum):
    """Why a connection ended, on the wire in CLOSE frames."""

    NORMAL = 0
    PROTOCOL = 1  # the far side broke the protocol
    FLOW_CONTROL = 2  # it sent beyond its credit
    GOING_AWAY = 3  # the daemon stops; come back
    REFUSED = 4  # too many tries, or put out
    IDLE = 5  # nothing heard for too long; never on the wire
    RESET = 6  # the far side no longer knows the connection; never on the wire
    INTERNAL = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """The next message of a lane: exactly once, in the lane's order. `cost` is what it took of the lane's credit."""

    lane: int
    data: bytes
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDrained:
    """A lane's backlog has fallen to the low water mark after having been above it."""

    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The connection is over; nothing follows. `reason` is the peer's text when `by_peer`: treat it as hostile."""

    code: int
    reason: str
    by_peer: bool


ConnectionEvent = MessageReceived | LaneDrained | Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentified:
    """Client: a server answered and no fingerprint was given to compare with. `trust()` or close."""

    server: ServerPublic


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityMismatch:
    """Client: whoever answers has other keys than the pinned ones."""

    presented: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Client: the handshake is complete and the server proved its identity."""

    connection: "Connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened:
    """Server: the client has proved that it holds the session's keys."""

    connection: "Connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReady:
    """Server: `connection.next_event()` has something. Told once until the events have been taken."""

    connection: "Connection"
