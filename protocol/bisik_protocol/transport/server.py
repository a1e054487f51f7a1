"""The server's endpoint: tells connections apart, answers handshakes, and forgets what is over.

No state is kept for an address that has not proved to receive, and no datagram that fails is answered with more
bytes than it had.
"""

import hmac
from collections import Counter, deque
from typing import Final

from bisik_protocol.crypto.handshake import KexPart, ServerHandshake
from bisik_protocol.crypto.identity import ServerIdentity
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.randomness import RandomSource
from bisik_protocol.transport.addresses import Address, address_bytes, host_bytes
from bisik_protocol.transport.config import SERVER_CONFIG, TransportConfig
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.deadlines import Deadlines
from bisik_protocol.transport.events import CloseCode, ConnectionOpened, ConnectionReady
from bisik_protocol.transport.half_open import HalfOpenTable
from bisik_protocol.transport.handshake_limit import HandshakeLimit
from bisik_protocol.wire.handshake import TYPE_HELLO, TYPE_KEX
from bisik_protocol.wire.packets import CONNECTION_ID_BYTES, RESET_BYTES, TOKEN_BYTES, encode_reset, is_data

UNCONFIRMED_S: Final = 10.0  # for the first packet of a client whose handshake is complete
MAX_UNCONFIRMED: Final = 1024
MAX_CONNECTIONS: Final = 20_000
RESETS_A_SECOND: Final = 200

ServerEvent = ConnectionOpened | ConnectionReady


class ServerEndpoint:
    """`drops` counts refused datagrams by reason; iterate `connections` for those that are confirmed."""

    def __init__(
        self,
        *,
        identity: ServerIdentity,
        cookie_key: bytes,
        reset_key: bytes,
        random: RandomSource,
        config: TransportConfig = SERVER_CONFIG,
        limit: HandshakeLimit | None = None,
    ) -> None:
        """`cookie_key` lives as long as the process; `reset_key` outlives it, so that clients learn of a restart.

        Without a `limit` every handshake whose cookie is good is completed.
        """
        self._limit = limit
        self._handshake = ServerHandshake(identity, cookie_key, random)
        self._reset_key = reset_key
        self._random = random
        self._config = config
        self.drops: Counter[str] = Counter()
        self._half_open = HalfOpenTable()
        self._by_id: dict[bytes, Connection] = {}
        self._ids: dict[Connection, bytes] = {}
        self._unconfirmed: dict[Connection, float] = {}  # until when, oldest first
        self._deadlines: Deadlines[Connection] = Deadlines()
        self._dirty: dict[Connection, None] = {}  # have something to send
        self._told_ready: set[Connection] = set()
        self._events: deque[ServerEvent] = deque()
        self._replies: list[tuple[bytes, Address]] = []
        self._resets = 0
        self._resets_since = 0.0

    def __len__(self) -> int:
        return len(self._by_id) - len(self._unconfirmed)

    @property
    def connections(self) -> list[Connection]:
        """Confirmed connections."""
        return [connection for connection in self._ids if connection not in self._unconfirmed]

    def next_event(self) -> ServerEvent | None:
        """ConnectionOpened, or ConnectionReady once until its connection has new events again."""
        if not self._events:
            return None
        event = self._events.popleft()
        if type(event) is ConnectionReady:
            self._told_ready.discard(event.connection)
        return event

    def receive_datagram(self, datagram: bytes, address: Address, now: float) -> None:
        """Take a datagram from anybody. Never raises; what is wrong is counted in `drops`."""
        connection = self._by_id.get(datagram[1 : 1 + CONNECTION_ID_BYTES])
        if connection is not None:
            connection.receive_datagram(datagram, address, now)
            if self._unconfirmed and connection in self._unconfirmed and connection.heard:
                created = self._unconfirmed.pop(connection) - UNCONFIRMED_S
                connection.guess_rtt(now - created)
                self._events.append(ConnectionOpened(connection=connection))
            self._touch(connection)
            return
        if is_data(datagram):
            self._answer_unknown(datagram, address, now)
            return
        try:
            self._receive_handshake_untrusted(datagram, address, now)
        except RemoteProtocolError as error:
            self.drops[error.reason] += 1

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do."""
        unconfirmed = next(iter(self._unconfirmed.values()), None)
        deadline = self._deadlines.next()
        if unconfirmed is None or deadline is None:
            return deadline if unconfirmed is None else unconfirmed
        return min(unconfirmed, deadline)

    def handle_timeout(self, now: float) -> None:
        while self._unconfirmed:
            connection, until = next(iter(self._unconfirmed.items()))
            if until > now:
                break
            self.drops["unconfirmed"] += 1
            self._forget(connection)
        for connection in self._deadlines.due(now):
            deadline = connection.next_timeout()
            if deadline is not None and deadline <= now:
                connection.handle_timeout(now)
                self._touch(connection)
            else:  # what it was armed for has been dealt with
                self._deadlines.arm(connection, deadline)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that may go now, to whom."""
        datagrams, self._replies = self._replies, []
        dirty, self._dirty = self._dirty, {}
        for connection in dirty:
            datagrams += connection.datagrams_to_send(now)
            if connection.finished:
                self._forget(connection)
            else:
                self._deadlines.arm(connection, connection.next_timeout())
        return datagrams

    def close_all(self, code: CloseCode, reason: str = "") -> None:
        """Say goodbye to everyone, as when the program stops."""
        for connection in self._ids:
            connection.close(code, reason)
            self._touch(connection)

    # Handshakes --------------------------------------------------------------------------------------------------

    def _receive_handshake_untrusted(self, datagram: bytes, address: Address, now: float) -> None:
        kind = datagram[0] if datagram else -1
        if kind == TYPE_HELLO:
            retry = self._handshake.answer_hello_untrusted(datagram, address_bytes(address), now)
            self._replies.append((retry, address))
        elif kind == TYPE_KEX:
            part = self._handshake.read_kex_part_untrusted(datagram, address_bytes(address), now)
            self._receive_kex_untrusted(part, address, now)
        else:
            raise RemoteProtocolError("type")

    def _receive_kex_untrusted(self, part: KexPart, address: Address, now: float) -> None:
        repeat = self._half_open.answer(part)
        if repeat is not None:
            self._replies.append((repeat, address))
            return
        chunks = self._half_open.add_untrusted(part, host_bytes(address), now)
        if chunks is None:
            return
        if self._limit is not None and not self._limit.allow(host_bytes(address), now):
            raise RemoteProtocolError("busy")
        if len(self._unconfirmed) >= MAX_UNCONFIRMED or len(self._by_id) >= MAX_CONNECTIONS:
            raise RemoteProtocolError("full")
        skex, secrets = self._handshake.complete_untrusted(part.nonce, part.cookie, *chunks)
        connection_id = secrets.server_connection_id
        if connection_id in self._by_id:  # one in 2**64; the client's next attempt has another
            raise RemoteProtocolError("connection-id")
        self._half_open.keep_answer(part, chunks, skex, now)
        connection = Connection(
            is_client=False,
            secrets=secrets,
            address=address,
            now=now,
            random=self._random,
            config=self._config,
            reset_token=self._reset_token(connection_id),
            drops=self.drops,
            wake=self._touch,
        )
        self._by_id[connection_id] = connection
        self._ids[connection] = connection_id
        self._unconfirmed[connection] = now + UNCONFIRMED_S
        self._replies += [(datagram, address) for datagram in skex]

    def _reset_token(self, connection_id: bytes) -> bytes:
        return hmac.digest(self._reset_key, b"bisik reset v1" + connection_id, "sha256")[:TOKEN_BYTES]

    def _answer_unknown(self, datagram: bytes, address: Address, now: float) -> None:
        """A connection from before a restart, perhaps: tell its client, in fewer bytes than it took to ask."""
        self.drops["unknown-connection"] += 1
        if now >= self._resets_since + 1.0:
            self._resets, self._resets_since = 0, now
        if len(datagram) > RESET_BYTES and self._resets < RESETS_A_SECOND:
            self._resets += 1
            connection_id = datagram[1 : 1 + CONNECTION_ID_BYTES]
            self._replies.append((encode_reset(connection_id, self._reset_token(connection_id)), address))

    # Bookkeeping -------------------------------------------------------------------------------------------------

    def _touch(self, connection: Connection) -> None:
        """Something happened to the connection: it may have datagrams, deadlines and events."""
        if connection not in self._unconfirmed:
            self._dirty[connection] = None
            if connection.has_events and connection not in self._told_ready:
                self._told_ready.add(connection)
                self._events.append(ConnectionReady(connection=connection))

    def _forget(self, connection: Connection) -> None:
        connection_id = self._ids.pop(connection, None)
        if connection_id is not None:
            del self._by_id[connection_id]
        self._unconfirmed.pop(connection, None)
        self._deadlines.forget(connection)
