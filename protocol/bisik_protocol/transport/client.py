"""The client's endpoint: one attempt to reach one server at one address, and the connection it ends in."""

from collections import Counter, deque
from enum import Enum, auto
from typing import Final

from bisik_protocol.crypto.handshake import ClientHandshake, SessionSecrets
from bisik_protocol.crypto.identity import ServerPublic
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.randomness import RandomSource
from bisik_protocol.transport.addresses import Address
from bisik_protocol.transport.config import CLIENT_CONFIG, TransportConfig
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import (
    CloseCode,
    Closed,
    Connected,
    IdentityMismatch,
    ServerIdentified,
)
from bisik_protocol.wire.handshake import TYPE_RETRY, TYPE_SKEX
from bisik_protocol.wire.packets import RESET_TYPE, is_data, parse_reset_untrusted

# Nobody has answered yet, so nothing is known of the link: a few quick tries, then ever slower ones.
FIRST_GAP_S: Final = 0.2
QUICK_TRIES: Final = 5
GAP_GROWTH: Final = 1.5
MAX_GAP_S: Final = 3.0
ANONYMOUS_AFTER: Final = 3  # unanswered tries, until we also ask whether someone else is there
ATTEMPT_S: Final = 20.0  # the server's cookie lives 30: an exchange older than this starts afresh
MAX_EXCHANGE_TRIES: Final = 10  # unanswered: then the RETRY may have been damaged on its way, and we ask for another
MIN_EXCHANGE_GAP_S: Final = 0.03

ClientEvent = ServerIdentified | IdentityMismatch | Connected | Closed


class _State(Enum):
    GREETING = auto()  # HELLO goes out
    ASKING = auto()  # a person looks at the fingerprint
    EXCHANGING = auto()  # KEX goes out
    CONNECTED = auto()
    CLOSED = auto()


class ClientEndpoint:
    """Drive it like a connection; after `Connected`, take the connection's own events from `connection`."""

    def __init__(
        self,
        address: Address,
        fingerprint: bytes | None,
        *,
        random: RandomSource,
        now: float,
        config: TransportConfig = CLIENT_CONFIG,
    ) -> None:
        """`fingerprint`: the pinned one; without it `ServerIdentified` is told and `trust` has to be called."""
        self._address = address
        self._fingerprint = fingerprint
        self._random = random
        self._config = config
        self._state = _State.GREETING
        self._handshake = ClientHandshake(random, fingerprint)
        self._attempt_until = float("inf")  # when the exchange is given up and a new HELLO goes out
        self._tries = 0
        self._next_try: float = now
        self._sent_at = now
        self._rtt_s: float | None = None
        self._lossy = False
        self._mismatch_told = False
        self._strangers: deque[bytes] = deque(maxlen=4)
        self._events: deque[ClientEvent] = deque()
        self.drops: Counter[str] = Counter()
        self.connection: Connection | None = None
        self.server: ServerPublic | None = None
        """Whose keys the exchange is made with; once connected, who proved to hold them."""

    def next_event(self) -> ClientEvent | None:
        return self._events.popleft() if self._events else None

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    def trust(self, now: float) -> None:
        """The person has confirmed the fingerprint that `ServerIdentified` told."""
        if self._state is not _State.ASKING:
            raise LocalProtocolError("there is no fingerprint to confirm")
        if now < self._attempt_until:
            self._start_exchange(now)
        else:
            self._greet_again(now)

    def close(self, code: CloseCode = CloseCode.NORMAL, reason: str = "") -> None:
        if self.connection is not None:
            self.connection.close(code, reason)
        elif self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._events.append(Closed(code=code, reason=reason, by_peer=False))

    def network_changed(self, now: float) -> None:
        """Our address changed or the machine woke up."""
        if self.connection is not None:
            self.connection.network_changed(now)
        elif self._state in (_State.GREETING, _State.EXCHANGING):
            self._tries = 0
            self._next_try = now

    @property
    def finished(self) -> bool:
        return self._state is _State.CLOSED or (self.connection is not None and self.connection.finished)

    def receive_datagram(self, datagram: bytes, address: Address, now: float) -> None:
        """Take a datagram from anybody. Never raises; what is wrong is counted in `drops`."""
        try:
            self._receive_untrusted(datagram, now)
        except RemoteProtocolError as error:
            self.drops[error.reason] += 1

    def _receive_untrusted(self, datagram: bytes, now: float) -> None:
        kind = datagram[0] if datagram else -1
        if is_data(datagram):
            self._receive_data_untrusted(datagram, now)
        elif kind == RESET_TYPE:
            self._receive_reset_untrusted(datagram, now)
        elif kind == TYPE_RETRY:
            self._receive_retry_untrusted(datagram, now)
        elif kind == TYPE_SKEX:
            self._receive_skex_untrusted(datagram, now)
        else:
            raise RemoteProtocolError("type")

    def next_timeout(self) -> float | None:
        if self.connection is not None:
            return self.connection.next_timeout()
        if self._state is _State.EXCHANGING:
            return min(self._next_try, self._attempt_until)
        return self._next_try if self._state is _State.GREETING else None

    def handle_timeout(self, now: float) -> None:
        if self.connection is not None:
            self.connection.handle_timeout(now)
        elif self._state is _State.EXCHANGING and (
            now >= self._attempt_until or (self._tries >= MAX_EXCHANGE_TRIES and now >= self._next_try)
        ):
            self._greet_again(now)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that may go now."""
        if self.connection is not None:
            return self.connection.datagrams_to_send(now)
        if self._state not in (_State.GREETING, _State.EXCHANGING) or now < self._next_try:
            return []
        self._tries += 1
        self._sent_at = now
        if self._state is _State.EXCHANGING:
            self._next_try = now + self._exchange_gap()
            return [(part, self._address) for part in self._handshake.kex()]
        self._next_try = now + _greeting_gap(self._tries)
        datagrams = [(self._handshake.hello(), self._address)]
        if self._fingerprint is not None and self._tries > ANONYMOUS_AFTER:
            datagrams.append((self._handshake.hello(anonymous=True), self._address))
        return datagrams

    # The handshake -----------------------------------------------------------------------------------------------

    def _receive_retry_untrusted(self, datagram: bytes, now: float) -> None:
        if self._state is not _State.GREETING:
            raise RemoteProtocolError("late")
        server = self._handshake.receive_retry_untrusted(datagram)
        if self._fingerprint is not None and server.fingerprint != self._fingerprint:
            self._meet_stranger(server.fingerprint)
            return
        self.server = server
        self._rtt_s = now - self._sent_at
        self._lossy = self._tries > 1
        self._attempt_until = now + ATTEMPT_S
        if self._fingerprint is None:
            self._fingerprint = server.fingerprint  # once confirmed, no other will do
            self._state = _State.ASKING
            self._events.append(ServerIdentified(server=server))
        else:
            self._start_exchange(now)

    def _meet_stranger(self, fingerprint: bytes) -> None:
        """Told once, and not of a single RETRY, which may be the right server's, damaged on its way."""
        if fingerprint in self._strangers and not self._mismatch_told:
            self._mismatch_told = True
            self._events.append(IdentityMismatch(presented=fingerprint))
        self._strangers.append(fingerprint)

    def _start_exchange(self, now: float) -> None:
        self._handshake.start_exchange()
        self._state = _State.EXCHANGING
        self._tries = 0
        self._next_try = now

    def _greet_again(self, now: float) -> None:
        self._handshake = ClientHandshake(self._random, self._fingerprint)
        self._attempt_until = float("inf")
        self._state = _State.GREETING
        self._tries = 0
        self._next_try = now

    def _exchange_gap(self) -> float:
        """Where HELLOs were lost, KEX is repeated before the round trip is over, as a message would be."""
        rtt = self._rtt_s or self._config.initial_rtt_s
        share = 0.35 if self._lossy and self._tries <= QUICK_TRIES else 1.25
        growth = GAP_GROWTH ** max(self._tries - QUICK_TRIES, 0)
        return min(max(rtt * share, MIN_EXCHANGE_GAP_S) * growth, MAX_GAP_S)

    def _receive_skex_untrusted(self, datagram: bytes, now: float) -> None:
        if self._state is not _State.EXCHANGING:
            raise RemoteProtocolError("late")
        secrets = self._handshake.receive_skex_untrusted(datagram)
        if secrets is not None:
            self._connect(secrets, now)

    def _connect(self, secrets: SessionSecrets, now: float) -> None:
        self._state = _State.CONNECTED
        self.connection = Connection(
            is_client=True,
            secrets=secrets,
            address=self._address,
            now=now,
            random=self._random,
            config=self._config,
            rtt_s=self._rtt_s,
            drops=self.drops,
        )
        self.connection.ping()  # shows the server that the client holds the keys
        self._events.append(Connected(connection=self.connection))

    # The connection ------------------------------------------------------------------------------------------------

    def _receive_data_untrusted(self, datagram: bytes, now: float) -> None:
        if self.connection is None or not self.connection.is_addressed_by(datagram):
            raise RemoteProtocolError("unknown-connection")
        self.connection.receive_datagram(datagram, self._address, now)

    def _receive_reset_untrusted(self, datagram: bytes, now: float) -> None:
        connection_id, token = parse_reset_untrusted(datagram)
        if self.connection is None or not self.connection.is_reset(connection_id, token, now):
            raise RemoteProtocolError("reset")
        self.connection.forgotten_by_peer()


def _greeting_gap(tries: int) -> float:
    if tries <= QUICK_TRIES:
        return FIRST_GAP_S
    return float(min(FIRST_GAP_S * GAP_GROWTH ** (tries - QUICK_TRIES), MAX_GAP_S))
