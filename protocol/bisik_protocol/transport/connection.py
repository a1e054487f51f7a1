"""One connection: orchestrates the parts around it, each of which owns its own rules.

Sans-IO: datagrams and the time go in, datagrams and events come out. Everything here is for one authenticated
session between two ends that hold the same `SessionSecrets`.
"""

import hmac
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

from bisik_protocol.crypto.session import SessionSecrets
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.randomness import RandomSource
from bisik_protocol.transport.addresses import Address, same_host
from bisik_protocol.transport.closing import Closing
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.events import CloseCode, Closed, ConnectionEvent, LaneDrained, MessageReceived
from bisik_protocol.transport.inbound import Inbound
from bisik_protocol.transport.outgoing import Outgoing
from bisik_protocol.transport.path import Path
from bisik_protocol.transport.receiving import PacketReader
from bisik_protocol.transport.sealing import PacketWriter
from bisik_protocol.transport.stats import ConnectionStats
from bisik_protocol.wire import frames
from bisik_protocol.wire.packets import CONNECTION_ID_BYTES, MIN_DATAGRAM_BYTES

UNPROVEN_RESET_S: Final = 3.0  # of silence, until a reset is believed by a client that was given no token
MAX_DATAGRAMS_A_CALL: Final = 64  # so that one connection's bulk does not hold up all the others
PATH_DATA_BYTES: Final = frames.PATH_DATA_BYTES


class _State(Enum):
    OPEN = auto()
    CLOSING = auto()  # we said CLOSE and repeat it until we hear it back
    CLOSED = auto()


class Connection:
    """See the module's docstring; `wake` is called when something was queued to send outside of the I/O methods."""

    __slots__ = (
        "_closing",
        "_config",
        "_drops",
        "_events",
        "_inbound",
        "_is_client",
        "_outgoing",
        "_random",
        "_reader",
        "_reset_token",
        "_secrets",
        "_state",
        "_wake",
        "_woken",
        "last_heard",
        "path",
    )

    def __init__(
        self,
        *,
        is_client: bool,
        secrets: SessionSecrets,
        address: Address,
        now: float,
        random: RandomSource,
        config: TransportConfig,
        reset_token: bytes | None = None,
        rtt_s: float | None = None,
        drops: Counter[str] | None = None,
        wake: Callable[["Connection"], None] | None = None,
    ) -> None:
        """`reset_token` (servers only) is given to the client; `rtt_s` is what the handshake measured."""
        self._is_client = is_client
        self._secrets = secrets
        self._config = config
        self._random = random
        self._drops: Counter[str] = Counter() if drops is None else drops
        self._wake = wake
        self._woken = False
        self._state = _State.OPEN
        self._closing: Closing | None = None
        self._events: deque[ConnectionEvent] = deque()
        self.last_heard = now
        self.path = Path(address, validated=True)

        ours, theirs, peer = secrets.client_traffic, secrets.server_traffic, secrets.server_connection_id
        if not is_client:
            ours, theirs, peer = theirs, ours, secrets.client_connection_id
        self._reader = PacketReader(theirs)
        writer = PacketWriter(ours, peer, config, random, now)
        self._outgoing = Outgoing(writer, self._reader, config, rtt_s, now)
        self._inbound = Inbound(self._outgoing.controls)
        self._reset_token: bytes | None = None
        if reset_token is not None:
            frame = frames.encode_new_connection_id(0, secrets.server_connection_id, reset_token)
            self._outgoing.controls.put((frames.NEW_CONNECTION_ID, 0), frame)

    # What an application uses ------------------------------------------------------------------------------------

    @property
    def channel_binding(self) -> bytes:
        """32 bytes that both ends share and no other connection has."""
        return self._secrets.channel_binding

    @property
    def peer_address(self) -> Address:
        return self.path.address

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent or received any more."""
        return self._state is not _State.OPEN

    @property
    def finished(self) -> bool:
        """Whether even the goodbyes are over and the connection can be forgotten."""
        return self._state is _State.CLOSED and (self._closing is None or not self._closing.has_more)

    @property
    def heard(self) -> bool:
        """Whether the far side has proved that it holds the session's keys."""
        return self._outgoing.counters.datagrams_received > 0

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    def send(self, lane: int, data: bytes) -> None:
        """Queue a message of 1 to 65536 bytes. Nothing bounds the queue but the caller, who asks `backlog`."""
        if self._state is not _State.OPEN:
            return  # the Closed event tells, and there is no other answer to give
        self._outgoing.queue.push(lane, data)
        self._wake_up()

    def backlog(self, lane: int) -> int:
        """Bytes of the lane's messages that are queued or not yet acknowledged."""
        queue = self._outgoing.queue.lanes.get(lane)
        return 0 if queue is None else queue.backlog

    def next_event(self) -> ConnectionEvent | None:
        """The next event, or None. Taking a message is what lets the far side send more."""
        if not self._events:
            return None
        event = self._events.popleft()
        if type(event) is MessageReceived and self._inbound.on_taken(event):
            self._wake_up()
        return event

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Say goodbye and repeat it until it is heard; what is still queued is dropped."""
        if self._state is _State.OPEN:
            self._events.append(Closed(code=code, reason=reason, by_peer=False))
            self._state = _State.CLOSING
            self._closing = Closing(frames.encode_close(code, reason))
            self._wake_up()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._outgoing.ping_due = True
        self._wake_up()

    def guess_rtt(self, rtt_s: float) -> None:
        """What the handshake took, which is better than no idea; lost datagrams may be in it."""
        self._outgoing.rtt.guess(rtt_s)

    def stats(self, now: float) -> ConnectionStats:
        outgoing = self._outgoing
        counters = outgoing.counters
        return ConnectionStats(
            srtt_s=outgoing.rtt.smoothed,
            min_rtt_s=outgoing.rtt.minimum,
            loss_out=outgoing.loss,
            loss_in=self._reader.loss.rate,
            in_flight_bytes=outgoing.window.in_flight,
            window_bytes=outgoing.window.window,
            datagram_bytes=outgoing.datagram_bytes,
            backlog_bytes=outgoing.queue.backlog,
            silence_s=outgoing.silence(now),
            unanswered_s=outgoing.unanswered(now),
            datagrams_sent=counters.datagrams_sent,
            datagrams_received=counters.datagrams_received,
            bytes_sent=counters.bytes_sent,
            bytes_received=counters.bytes_received,
            repair_datagrams=counters.copies_sent,
            packets_lost=counters.packets_lost,
        )

    # What moves the connection -----------------------------------------------------------------------------------

    def receive_datagram(self, datagram: bytes, address: Address, now: float) -> None:
        """Take a data packet that was addressed to this connection; anything wrong with it is counted and dropped."""
        try:
            number, payload = self._reader.open_untrusted(datagram)
        except RemoteProtocolError as error:
            self._drops[error.reason] += 1
            if error.reason == "exhausted":
                self._end(CloseCode.PROTOCOL, error.reason, by_peer=False)
            return
        counters = self._outgoing.counters
        counters.datagrams_received += 1
        counters.bytes_received += len(datagram)
        self.last_heard = now
        silence_ended = self._outgoing.on_heard(now)
        newest = self._reader.on_arrived(number)
        try:
            parsed = frames.parse_frames_untrusted(payload)
            if self._state is not _State.OPEN:
                self._hear_while_closing(parsed)
                return
            self._follow(newest, len(datagram), address, now)
            for frame in parsed:
                if _HANDLERS[type(frame)](self, frame, now):
                    self._reader.ack_due = True
                elif self.closed:
                    return  # nothing behind a CLOSE counts
        except RemoteProtocolError as error:
            self._drops[error.reason] += 1
            code = CloseCode.FLOW_CONTROL if error.reason == "flow-control" else CloseCode.PROTOCOL
            self.close(code, f"protocol violation: {error.reason}")
            return
        if silence_ended:
            self._outgoing.recover_from_silence(now)

    def is_addressed_by(self, datagram: bytes) -> bool:
        """Whether a data packet is for this client's connection."""
        return datagram[1 : 1 + CONNECTION_ID_BYTES] == self._secrets.client_connection_id

    def is_reset(self, connection_id: bytes, token: bytes, now: float) -> bool:
        """Whether a stateless reset comes from the server that gave us its token; it ends the connection.

        The packet with the token may have been lost, and the server's memory of us after it. Then nothing can be
        proved, and a reset is believed once the server has been silent for long: whoever knows the connection ID is
        on the way and could add datagrams, but not keep a living server from being heard.
        """
        if connection_id != self._secrets.server_connection_id:
            return False
        if self._reset_token is None:
            return self._outgoing.silence(now) >= UNPROVEN_RESET_S
        return hmac.compare_digest(token, self._reset_token)

    def forgotten_by_peer(self) -> None:
        """The far side proved that it no longer knows this connection, so there is nobody to say goodbye to."""
        self._closing = None
        self._end(CloseCode.RESET, "the other side was restarted", by_peer=True)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` or `datagrams_to_send` has something to do; None: only when something arrives."""
        if self._state is not _State.OPEN:
            return self._closing.next_at if self._state is _State.CLOSING and self._closing is not None else None
        path = self.path
        soonest = path.challenge_at
        # Where the path allows nothing, an arrival has to come first, not a time.
        if path.validated or path.allowance() >= MIN_DATAGRAM_BYTES:
            time = self._outgoing.next_timeout()
            if time is not None and (soonest is None or time < soonest):
                soonest = time
        if self._config.idle_timeout_s is not None:
            idle_at = self.last_heard + self._config.idle_timeout_s
            if soonest is None or idle_at < soonest:
                soonest = idle_at
        return soonest

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; ask `datagrams_to_send` afterwards."""
        if self._state is not _State.OPEN:
            if self._closing is not None and self._closing.handle_timeout(now):
                self._state = _State.CLOSED
            return
        idle_timeout_s = self._config.idle_timeout_s
        if idle_timeout_s is not None and now >= self.last_heard + idle_timeout_s:
            self._end(CloseCode.IDLE, "nothing was heard for too long", by_peer=False)
            return
        outgoing = self._outgoing
        outgoing.handle_timeout(now)
        path = self.path
        if path.on_challenge_sent(now, outgoing.rtt.probe_timeout):
            outgoing.ping_due = True  # its datagram carries the challenge

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that may go now."""
        self._woken = False
        if self._state is not _State.OPEN:
            return self._goodbyes(now)
        outgoing = self._outgoing
        if not outgoing.has_work(now):
            return []
        if outgoing.is_worn_out:
            self.close(CloseCode.PROTOCOL, "protocol violation: nothing is acknowledged")
            return self._goodbyes(now)
        path = self.path
        datagrams: list[tuple[bytes, Address]] = []
        while (datagram := outgoing.next_datagram(path, now)) is not None:
            datagrams.append((datagram, path.address))
            if len(datagrams) == MAX_DATAGRAMS_A_CALL or not outgoing.has_work(now):
                break
        return datagrams

    def network_changed(self, now: float) -> None:
        """Our own address changed, or the machine woke up: find out at once what the way is like now."""
        self._outgoing.start_on_new_way(now)
        self._wake_up()

    # Receiving ---------------------------------------------------------------------------------------------------

    def _follow(self, newest: bool, size: int, address: Address, now: float) -> None:
        """Go after a peer that moved: the newest packet's source is where it is."""
        path = self.path
        if address == path.address:
            if not path.validated:
                path.on_received(size, now)
            return
        if not newest or self._is_client:  # a server may answer from another of its addresses; it does not roam
            return
        if not same_host(address, path.address):
            self._outgoing.forget_way(now)
        self.path = Path(address, validated=False)
        self.path.on_received(size, now)
        self.path.start_validation(self._random(PATH_DATA_BYTES), now)

    def _on_ping(self, frame: frames.Ping, now: float) -> bool:
        return True

    def _on_ack(self, frame: frames.Ack, now: float) -> bool:
        for lane in self._outgoing.on_ack(frame, now):
            self._events.append(LaneDrained(lane=lane))
        return False

    def _on_message(self, frame: frames.Message, now: float) -> bool:
        self._events += self._inbound.receive_untrusted(frame)
        return True

    def _on_max_data(self, frame: frames.MaxData, now: float) -> bool:
        queue = self._outgoing.queue
        queue.limit = max(queue.limit, frame.limit)
        return True

    def _on_max_lane_data(self, frame: frames.MaxLaneData, now: float) -> bool:
        lane = self._outgoing.queue.lanes.get(frame.lane)
        if lane is None:
            raise RemoteProtocolError("lanes")  # credit for a lane that we never used
        lane.limit = max(lane.limit, frame.limit)
        return True

    def _on_path_challenge(self, frame: frames.PathChallenge, now: float) -> bool:
        self._outgoing.responses.append(frames.encode_path_response(frame.data))
        self._outgoing.ping_due = True
        return True

    def _on_path_response(self, frame: frames.PathResponse, now: float) -> bool:
        if self.path.on_response(frame.data):
            self._outgoing.hurry(now)
        return True

    def _on_new_connection_id(self, frame: frames.NewConnectionId, now: float) -> bool:
        if not self._is_client or frame.connection_id != self._secrets.server_connection_id:
            raise RemoteProtocolError("connection-id")
        self._reset_token = frame.token
        return True

    def _on_close(self, frame: frames.Close, now: float) -> bool:
        self._closing = Closing(frames.encode_close(frame.code, ""), answer=True)
        self._end(frame.code, frame.reason, by_peer=True)
        return False

    def _hear_while_closing(self, parsed: list[frames.Frame]) -> None:
        if self._state is _State.CLOSING and any(type(frame) is frames.Close for frame in parsed):
            self._state = _State.CLOSED
            self._closing = None

    def _goodbyes(self, now: float) -> list[tuple[bytes, Address]]:
        closing = self._closing
        if closing is None or not closing.due(now):
            return []
        closing.on_sent(now, self._outgoing.rtt.probe_timeout)
        datagram = self._outgoing.seal_goodbye(closing.frame, self.path, now)
        return [] if datagram is None else [(datagram, self.path.address)]

    def _end(self, code: int, reason: str, *, by_peer: bool) -> None:
        if self._state is _State.OPEN:
            self._events.append(Closed(code=code, reason=reason, by_peer=by_peer))
        self._state = _State.CLOSED
        self._wake_up()

    def _wake_up(self) -> None:
        if not self._woken and self._wake is not None:
            self._woken = True
            self._wake(self)


_HANDLERS: Final[dict[type, Callable[[Connection, Any, float], bool]]] = {
    frames.Ping: Connection._on_ping,
    frames.Ack: Connection._on_ack,
    frames.Message: Connection._on_message,
    frames.MaxData: Connection._on_max_data,
    frames.MaxLaneData: Connection._on_max_lane_data,
    frames.PathChallenge: Connection._on_path_challenge,
    frames.PathResponse: Connection._on_path_response,
    frames.NewConnectionId: Connection._on_new_connection_id,
    frames.Close: Connection._on_close,
}
