"""What must hold in the transport at every step, held against every connection of a run.

- No key meets a nonce twice, and no connection takes a packet number twice.
- What comes out of a lane is what went into it at the other end: the same bytes, in order, once.
- Bytes in flight are those of the packets in flight, and everything that a peer can make grow keeps its bound.
- No honest end breaks the protocol, and no connection is reset unless the daemon was restarted.

It looks into the core's objects, which no test of behaviour should; in return it sees a breach where it happens.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

from bisik_protocol.crypto import protection
from bisik_protocol.transport import half_open, inbound, ranges, recovery, repair, server
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.deadlines import SPARE_ENTRIES
from bisik_protocol.transport.events import CloseCode, Closed, ConnectionEvent, MessageReceived
from bisik_protocol.transport.outgoing import MAX_QUEUED_RESPONSES
from bisik_protocol.transport.receiving import PacketReader
from bisik_protocol.transport.server import ServerEndpoint
from bisik_protocol.transport.skipping import REMEMBERED
from tests.simulation.trace import Trace

MAX_CHECKED_PACKETS = 4096
Replace = Callable[[Any, str, Any], None]

_BROKEN = {CloseCode.PROTOCOL, CloseCode.FLOW_CONTROL, CloseCode.INTERNAL}


class Watch:
    """Everything that is remembered of one run's connections. `install` puts it between the core's parts."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._nonces: dict[bytes, set[bytes]] = defaultdict(set)
        self._numbers: dict[PacketReader, set[int]] = defaultdict(set)
        self._lanes: dict[tuple[bytes, bool, int], deque[bytes]] = defaultdict(deque)
        self.packets = 0
        self.restarts = 0
        self._born: dict[Connection, int] = {}

    def install(self, replace: Replace) -> None:
        self._watch_nonces(replace)
        self._watch_numbers(replace)
        self._watch_lanes(replace)

    # Keys and nonces ---------------------------------------------------------------------------------------------

    def _watch_nonces(self, replace: Replace) -> None:
        make_cipher = protection._cipher
        watch = self

        class Cipher:
            def __init__(self, secret: bytes) -> None:
                cipher = make_cipher(secret)
                self.decrypt = cipher.decrypt
                self._encrypt = cipher.encrypt
                self._used = watch._nonces[secret]

            def encrypt(self, nonce: bytes, plaintext: bytes, header: bytes | None) -> bytes:
                if nonce in self._used:
                    raise watch._trace.violation("a key met a nonce twice")
                self._used.add(nonce)
                watch.packets += 1
                return self._encrypt(nonce, plaintext, header)

        replace(protection, "_cipher", Cipher)

    def _watch_numbers(self, replace: Replace) -> None:
        on_arrived = PacketReader.on_arrived
        numbers, trace = self._numbers, self._trace

        def watched(reader: PacketReader, number: int) -> bool:
            seen = numbers[reader]
            if number in seen:
                raise trace.violation(f"packet {number} was taken twice by one connection")
            seen.add(number)
            return on_arrived(reader, number)

        replace(PacketReader, "on_arrived", watched)

    # Lanes ---------------------------------------------------------------------------------------------------------

    def _watch_lanes(self, replace: Replace) -> None:
        send, next_event, init = Connection.send, Connection.next_event, Connection.__init__

        def watched_init(connection: Connection, **arguments: Any) -> None:
            init(connection, **arguments)
            self._born[connection] = self.restarts

        def watched_send(connection: Connection, lane: int, data: bytes) -> None:
            if not connection.closed:
                self._lanes[connection.channel_binding, connection._is_client, lane].append(bytes(data))
            send(connection, lane, data)

        def watched_next_event(connection: Connection) -> ConnectionEvent | None:
            event = next_event(connection)
            if type(event) is MessageReceived:
                self._on_message(connection, event)
            elif type(event) is Closed:
                self._on_closed(connection, event)
            return event

        replace(Connection, "__init__", watched_init)
        replace(Connection, "send", watched_send)
        replace(Connection, "next_event", watched_next_event)

    def _on_message(self, connection: Connection, message: MessageReceived) -> None:
        sent = self._lanes[connection.channel_binding, not connection._is_client, message.lane]
        if not sent:
            raise self._trace.violation(f"lane {message.lane} gave a message that nobody sent, or gave it twice")
        if sent.popleft() != message.data:
            raise self._trace.violation(f"lane {message.lane} gave something else than what was sent next")

    def _on_closed(self, connection: Connection, closed: Closed) -> None:
        side = "member" if connection._is_client else "daemon"
        self._trace.note("closed", side, CloseCode(closed.code).name, closed.reason, f"by_peer={closed.by_peer}")
        if closed.code in _BROKEN:
            raise self._trace.violation(f"honest ends do not end with {CloseCode(closed.code).name}: {closed.reason}")
        unproven = connection._reset_token is None  # then a reset is believed after a long silence
        if closed.code == CloseCode.RESET and self._born[connection] == self.restarts and not unproven:
            raise self._trace.violation("a connection was reset, and the daemon was never restarted")

    # Bounds --------------------------------------------------------------------------------------------------------

    def check_connection(self, connection: Connection) -> None:
        """Raise a Violation if a connection's books do not balance or one of its bounds does not hold."""
        outgoing = connection._outgoing
        in_flight = outgoing._recovery.in_flight
        window = outgoing.window
        if len(in_flight) <= MAX_CHECKED_PACKETS and window.in_flight != sum(p.size for p in in_flight.values()):
            raise self._trace.violation(
                f"{window.in_flight} bytes are counted in flight, and {sum(p.size for p in in_flight.values())} are"
            )
        for name, size, bound in (
            ("ACK ranges", len(connection._reader._ranges), ranges.MAX_ACK_RANGES),
            ("losses remembered", len(outgoing._recovery._given_up), recovery.MAX_REMEMBERED_LOSSES),
            ("responses", len(outgoing.responses), MAX_QUEUED_RESPONSES),
            ("skipped numbers", len(outgoing._writer.numbers._skipped), REMEMBERED),
            ("watched chunks", len(outgoing._repair.watched), repair.MAX_THIN_CHUNKS),
            ("lanes in", len(connection._inbound._lanes), inbound.MAX_LANES),
            ("bytes buffered", connection._inbound._credit.buffered, inbound.CONNECTION_WINDOW),
            ("cost spent", outgoing.queue.spent, outgoing.queue.limit),
        ):
            if size > bound:
                raise self._trace.violation(f"{name}: {size}, and the bound is {bound}")
        if not in_flight and outgoing._owed_since is not None and not outgoing.ping_due:
            raise self._trace.violation("an answer is waited for, and nothing is in flight that could be answered")
        if window.window < window.minimum:
            raise self._trace.violation(f"a congestion window of {window.window} bytes is below the smallest one")

    def check_server(self, endpoint: ServerEndpoint) -> None:
        """The same for what the server's endpoint keeps."""
        table = endpoint._half_open
        deadlines = endpoint._deadlines
        for name, size, bound in (
            ("half-open handshakes", len(table), half_open.MAX_HALF_OPEN),
            (
                "of one host",
                max(Counter(waiting.host for waiting in table._waiting.values()).values(), default=0),
                half_open.MAX_HALF_OPEN_HOST,
            ),
            ("answers kept", len(table._answers), half_open.MAX_ANSWERS),
            ("unconfirmed connections", len(endpoint._unconfirmed), server.MAX_UNCONFIRMED),
            ("connections", len(endpoint._by_id), server.MAX_CONNECTIONS),
            ("deadlines", len(deadlines._heap), 2 * len(deadlines._armed) + SPARE_ENTRIES + 1),
            ("connections told ready", len(endpoint._told_ready), len(endpoint._ids)),
        ):
            if size > bound:
                raise self._trace.violation(f"{name}: {size}, and the bound is {bound}")


def unsent(connection: Connection) -> str | None:
    """What keeps a connection from being at rest, in words."""
    outgoing = connection._outgoing
    if outgoing.window.in_flight:
        return f"{outgoing.window.in_flight} bytes in flight"
    if outgoing.queue.backlog:
        return f"{outgoing.queue.backlog} bytes not acknowledged"
    if outgoing._repair.watched or outgoing.queue.lost:
        return "chunks wait to be sent again"
    return None
