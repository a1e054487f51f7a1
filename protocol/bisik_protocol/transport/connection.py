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
from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.closing import Closing
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.congestion import CongestionWindow
from bisik_protocol.transport.control import ControlFrames, SentFrame
from bisik_protocol.transport.events import CloseCode, Closed, ConnectionEvent, LaneDrained, MessageReceived
from bisik_protocol.transport.inbound import Inbound
from bisik_protocol.transport.loss_meter import LossMeter
from bisik_protocol.transport.pacing import Pacer
from bisik_protocol.transport.path import Path
from bisik_protocol.transport.receiving import PacketReader
from bisik_protocol.transport.recovery import Recovery, SentPacket
from bisik_protocol.transport.repair import Repair, silent_interval
from bisik_protocol.transport.rtt import RttEstimator
from bisik_protocol.transport.sealing import PacketWriter
from bisik_protocol.transport.sending import SendQueue
from bisik_protocol.transport.stats import ConnectionStats, Counters
from bisik_protocol.wire import frames
from bisik_protocol.wire.packets import CONNECTION_ID_BYTES, HEADER_BYTES, MIN_DATAGRAM_BYTES, TAG_BYTES

OVERHEAD_BYTES: Final = HEADER_BYTES + TAG_BYTES
MAX_DATAGRAMS_A_CALL: Final = 64  # so that one connection's bulk does not hold up all the others
MAX_QUEUED_RESPONSES: Final = 4
PATH_DATA_BYTES: Final = frames.PATH_DATA_BYTES
MAX_PTO_S: Final = 3.0
FEW_SAMPLES: Final = 16  # below it, what the link loses inbound is the better guess for outbound too


class _State(Enum):
    OPEN = auto()
    CLOSING = auto()  # we said CLOSE and repeat it until we hear it back
    CLOSED = auto()


class Connection:
    """See the module's docstring; `wake` is called when something was queued to send outside of the I/O methods."""

    __slots__ = (
        "_closing",
        "_config",
        "_controls",
        "_counters",
        "_drops",
        "_events",
        "_inbound",
        "_is_client",
        "_loss_out",
        "_owed_since",
        "_pacer",
        "_pad",
        "_ping_due",
        "_pto_count",
        "_random",
        "_reader",
        "_recovery",
        "_repair",
        "_reset_token",
        "_responses",
        "_rtt",
        "_secrets",
        "_sending",
        "_state",
        "_wake",
        "_window",
        "_woken",
        "_writer",
        "last_heard",
        "last_sent",
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
        self._counters = Counters()
        self.last_heard = now
        self.last_sent = now  # something that elicits an answer
        self.path = Path(address, validated=True)

        ours, theirs, peer = secrets.client_traffic, secrets.server_traffic, secrets.server_connection_id
        if not is_client:
            ours, theirs, peer = theirs, ours, secrets.client_connection_id
        self._writer = PacketWriter(ours, peer, config, random, now)
        self._reader = PacketReader(theirs)

        self._rtt = RttEstimator(config.initial_rtt_s if rtt_s is None else rtt_s)
        self._recovery = Recovery(self._rtt, self._writer.numbers.is_skipped)
        self._window = CongestionWindow(MIN_DATAGRAM_BYTES)
        self._pacer = Pacer(self._window.window, now)
        self._repair = Repair(self._rtt, config.eager_s, now)
        self._sending = SendQueue(self._window, self._pacer, self._rtt, self._repair)
        self._loss_out = LossMeter()
        self._pto_count = 0
        self._owed_since: float | None = None  # since when we wait to hear anything

        self._ping_due = False
        self._pad = False  # the next packet fills its datagram, to earn a new path's allowance
        self._responses: deque[bytes] = deque(maxlen=MAX_QUEUED_RESPONSES)
        self._controls = ControlFrames()
        self._inbound = Inbound(self._controls)
        self._reset_token: bytes | None = None
        if reset_token is not None:
            frame = frames.encode_new_connection_id(0, secrets.server_connection_id, reset_token)
            self._controls.put((frames.NEW_CONNECTION_ID, 0), frame)

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
        return self._counters.datagrams_received > 0

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    def send(self, lane: int, data: bytes) -> None:
        """Queue a message of 1 to 65536 bytes. Nothing bounds the queue but the caller, who asks `backlog`."""
        if self._state is not _State.OPEN:
            return  # the Closed event tells, and there is no other answer to give
        self._sending.push(lane, data)
        self._wake_up()

    def backlog(self, lane: int) -> int:
        """Bytes of the lane's messages that are queued or not yet acknowledged."""
        sending = self._sending.lanes.get(lane)
        return 0 if sending is None else sending.backlog

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
        self._ping_due = True
        self._wake_up()

    def guess_rtt(self, rtt_s: float) -> None:
        """What the handshake took, which is better than no idea; lost datagrams may be in it."""
        self._rtt.guess(rtt_s)

    def stats(self, now: float) -> ConnectionStats:
        counters = self._counters
        return ConnectionStats(
            srtt_s=self._rtt.smoothed,
            min_rtt_s=self._rtt.minimum,
            loss_out=self._loss_out.rate,
            loss_in=self._reader.loss.rate,
            in_flight_bytes=self._window.in_flight,
            window_bytes=self._window.window,
            backlog_bytes=self._sending.backlog,
            silence_s=self._silence(now),
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
        self._counters.datagrams_received += 1
        self._counters.bytes_received += len(datagram)
        silence = self._silence(now)
        self.last_heard = now
        self._owed_since = now if self._recovery.in_flight else None
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
        except RemoteProtocolError as error:
            self._drops[error.reason] += 1
            code = CloseCode.FLOW_CONTROL if error.reason == "flow-control" else CloseCode.PROTOCOL
            self.close(code, f"protocol violation: {error.reason}")
            return
        if silence > max(3 * self._rtt.probe_timeout, 1.0):
            self._recover_from_silence(now)

    def is_addressed_by(self, datagram: bytes) -> bool:
        """Whether a data packet is for this client's connection."""
        return datagram[1 : 1 + CONNECTION_ID_BYTES] == self._secrets.client_connection_id

    def is_reset(self, connection_id: bytes, token: bytes) -> bool:
        """Whether a stateless reset comes from the server that gave us its token; it ends the connection."""
        return (
            self._reset_token is not None
            and connection_id == self._secrets.server_connection_id
            and hmac.compare_digest(token, self._reset_token)
        )

    def forgotten_by_peer(self) -> None:
        """The far side proved that it no longer knows this connection, so there is nobody to say goodbye to."""
        self._closing = None
        self._end(CloseCode.RESET, "the other side was restarted", by_peer=True)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` or `datagrams_to_send` has something to do; None: only when something arrives."""
        if self._state is not _State.OPEN:
            return self._closing.next_at if self._state is _State.CLOSING and self._closing is not None else None
        config = self._config
        times = [self._recovery.loss_time, self.path.challenge_at]
        if self.path.allowance() >= MIN_DATAGRAM_BYTES:  # otherwise an arrival has to come first, not a time
            times += [self._repair.next_due(), self._sending.paced_until, self._pto_at()]
            if config.keepalive_s is not None:
                times.append(self.last_sent + config.keepalive_s)
        if config.idle_timeout_s is not None:
            times.append(self.last_heard + config.idle_timeout_s)
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; ask `datagrams_to_send` afterwards."""
        if self._state is not _State.OPEN:
            if self._closing is not None and self._closing.handle_timeout(now):
                self._state = _State.CLOSED
            return
        config = self._config
        if config.idle_timeout_s is not None and now >= self.last_heard + config.idle_timeout_s:
            self._end(CloseCode.IDLE, "nothing was heard for too long", by_peer=False)
            return
        loss_time = self._recovery.loss_time
        if loss_time is not None and now >= loss_time:
            self._detect_losses(now)
        pto_at = self._pto_at()
        if pto_at is not None and now >= pto_at:
            self._pto_count += 1
            self._sending.probe = self._oldest_unacknowledged()
            self._ping_due = True
        if config.keepalive_s is not None and now >= self.last_sent + config.keepalive_s:
            self._ping_due = True
        path = self.path
        if path.challenge_at is not None and now >= path.challenge_at and path.challenge is not None:
            self._responses.append(frames.encode_path_challenge(path.challenge))
            path.on_challenge_sent(now, self._rtt.probe_timeout)
            self._ping_due = True

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that may go now."""
        self._woken = False
        if self._state is not _State.OPEN:
            return self._goodbyes(now)
        datagrams: list[tuple[bytes, Address]] = []
        while len(datagrams) < MAX_DATAGRAMS_A_CALL:
            datagram = self._next_datagram(now)
            if datagram is None:
                break
            datagrams.append((datagram, self.path.address))
        return datagrams

    def network_changed(self, now: float) -> None:
        """Our own address changed, or the machine woke up: find out at once what the way is like now."""
        self._window.reset()
        self._pad = True
        self._owed_since = None  # the silence of the old way, or of the sleep, says nothing about this one
        self._recover_from_silence(now)
        self._wake_up()

    # Receiving ---------------------------------------------------------------------------------------------------

    def _follow(self, newest: bool, size: int, address: Address, now: float) -> None:
        """Go after a peer that moved: the newest packet's source is where it is."""
        path = self.path
        if address == path.address:
            path.on_received(size, now)
            return
        if not newest or self._is_client:  # a server may answer from another of its addresses; it does not roam
            return
        if not same_host(address, path.address):
            self._window.reset()
            self._rtt.has_sample = False
        self.path = Path(address, validated=False)
        self.path.on_received(size, now)
        self.path.start_validation(self._random(PATH_DATA_BYTES), now)

    def _on_ping(self, frame: frames.Ping, now: float) -> bool:
        return True

    def _on_ack(self, frame: frames.Ack, now: float) -> bool:
        outcome = self._recovery.on_ack(frame.ranges, self._writer.numbers.next_number, now)
        for _ in range(outcome.returned_late):
            self._loss_out.on_not_lost_after_all()
        if outcome.acknowledged:
            self._pto_count = 0
            for packet in outcome.acknowledged:
                self._on_packet_acknowledged(packet)
            self._owed_since = now if self._recovery.in_flight else None
        if self._recovery.in_flight:
            self._detect_losses(now)
        return False

    def _on_packet_acknowledged(self, packet: SentPacket) -> None:
        self._window.on_acknowledged(packet.size, packet.sent_at)
        self._loss_out.on_arrived()
        self._writer.on_acknowledged(packet.number)
        if packet.told >= 0:
            self._reader.forget_up_to(packet.told)
        if packet.controls:
            self._controls.on_acknowledged(packet.controls)
        for chunk in packet.chunks:
            chunk.outstanding -= 1
            if not chunk.acknowledged:
                chunk.acknowledged = True
                drained = self._sending.on_acknowledged(chunk)
                if drained is not None:
                    self._events.append(LaneDrained(lane=drained))

    def _detect_losses(self, now: float) -> None:
        lost = self._recovery.detect_losses(now)
        if lost:
            self._on_lost(lost, now)
            if self._recovery.is_persistent(lost):
                self._window.on_persistent_congestion()
                self._repair.bucket.empty()

    def _on_lost(self, lost: list[SentPacket], now: float) -> None:
        self._counters.packets_lost += len(lost)
        for packet in lost:
            self._loss_out.on_lost()
            self._window.on_lost(packet.size, packet.sent_at, now)
            if packet.controls:
                self._controls.on_lost(packet.controls)
            for chunk in packet.chunks:
                chunk.outstanding -= 1
                if chunk.outstanding == 0 and not chunk.acknowledged:
                    self._sending.on_lost(chunk, now)

    def _on_message(self, frame: frames.Message, now: float) -> bool:
        self._events += self._inbound.receive_untrusted(frame)
        return True

    def _on_max_data(self, frame: frames.MaxData, now: float) -> bool:
        self._sending.limit = max(self._sending.limit, frame.limit)
        return True

    def _on_max_lane_data(self, frame: frames.MaxLaneData, now: float) -> bool:
        lane = self._sending.lanes.get(frame.lane)
        if lane is None:
            raise RemoteProtocolError("lanes")  # credit for a lane that we never used
        lane.limit = max(lane.limit, frame.limit)
        return True

    def _on_path_challenge(self, frame: frames.PathChallenge, now: float) -> bool:
        self._responses.append(frames.encode_path_response(frame.data))
        self._ping_due = True
        return True

    def _on_path_response(self, frame: frames.PathResponse, now: float) -> bool:
        if self.path.on_response(frame.data):
            self._repair.hurry(now)  # what the limit held back
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

    # Sending -----------------------------------------------------------------------------------------------------

    def _next_datagram(self, now: float) -> bytes | None:
        room = min(MIN_DATAGRAM_BYTES, self.path.allowance()) - OVERHEAD_BYTES
        if room <= 0:
            return None
        parts: list[bytes] = []
        while self._responses and room >= len(self._responses[0]):
            parts.append(self._responses.popleft())
            room -= len(parts[-1])
        told = -1
        if self._reader.ack_due:
            ack = self._reader.encode_ack()
            if len(ack) <= room:
                parts.append(ack)
                room -= len(ack)
                told = self._reader.largest
        controls: list[SentFrame] = []
        if self._controls:
            controls = self._controls.take(room)
            for _, frame in controls:
                parts.append(frame)
                room -= len(frame)
        chunks = self._sending.choose(room, now, self._loss_guess(), self._silence(now))
        for chunk in chunks:
            parts.append(chunk.head)
            parts.append(chunk.data)
        if self._ping_due and not chunks and room:
            parts.append(frames.PING_FRAME)
        if not parts:
            return None
        return self._seal(parts, chunks, controls, told, now)

    def _seal(
        self, parts: list[bytes], chunks: list[Chunk], controls: list[SentFrame], told: int, now: float
    ) -> bytes:
        eliciting = bool(chunks or controls or self._ping_due)
        payload = b"".join(parts)
        if self._pad and self.path.validated:
            payload = payload.ljust(MIN_DATAGRAM_BYTES - OVERHEAD_BYTES, b"\x00")
        if told >= 0:
            self._reader.ack_due = False
        number, datagram = self._writer.seal(payload, now)
        size = len(datagram)
        self._counters.datagrams_sent += 1
        self._counters.bytes_sent += size
        self.path.on_sent(size)
        self._pacer.on_sent(size)
        if eliciting:
            self._ping_due = self._pad = False
            self.last_sent = now
            if self._owed_since is None:
                self._owed_since = now
            self._window.on_sent(size)
            self._recovery.on_sent(SentPacket(number, now, size, tuple(chunks), tuple(controls), told))
            if chunks:
                self._on_chunks_sent(chunks, now)
        return datagram

    def _on_chunks_sent(self, chunks: list[Chunk], now: float) -> None:
        for chunk in chunks:
            if chunk.copies == 0:
                chunk.first_sent = now
                self._counters.chunks_sent += 1
            else:
                self._counters.copies_sent += 1
            chunk.copies += 1
            chunk.outstanding += 1
            chunk.last_sent = now
            if chunk.thin:
                self._repair.on_copy_sent(chunk, now, self._loss_guess(), self._silence(now))

    def _goodbyes(self, now: float) -> list[tuple[bytes, Address]]:
        closing = self._closing
        if closing is None or not closing.due(now):
            return []
        closing.on_sent(now, self._rtt.probe_timeout)
        if len(closing.frame) + OVERHEAD_BYTES > self.path.allowance():
            return []
        datagram = self._writer.seal(closing.frame, now)[1]
        self.path.on_sent(len(datagram))
        return [(datagram, self.path.address)]

    # Timers and outages --------------------------------------------------------------------------------------------

    def _silence(self, now: float) -> float:
        return 0.0 if self._owed_since is None else now - self._owed_since

    def _loss_guess(self) -> float:
        """What to expect of the next packet. Early on, loss inbound is the better guess: links lose both ways."""
        if self._loss_out.samples < FEW_SAMPLES:
            return max(self._loss_out.rate, self._reader.loss.rate)
        return self._loss_out.rate

    def _pto_at(self) -> float | None:
        """When to probe for acknowledgements that are overdue. Watched chunks probe by themselves."""
        if not self._recovery.in_flight or self._repair.watched or self.path.allowance() <= OVERHEAD_BYTES:
            return None
        rtt = self._rtt
        if self._config.eager_s > self._silence(self._recovery.last_eliciting_sent) > rtt.probe_timeout:
            wait = max(
                silent_interval(self._silence(self._recovery.last_eliciting_sent), rtt, self._config.eager_s),
                rtt.smoothed,
            )
        else:
            wait = min(rtt.probe_timeout * 2.0 ** min(self._pto_count, 10), max(MAX_PTO_S, rtt.probe_timeout))
        return self._recovery.last_eliciting_sent + wait

    def _oldest_unacknowledged(self) -> Chunk | None:
        for packet in self._recovery.in_flight.values():
            for chunk in packet.chunks:
                if not chunk.acknowledged:
                    return chunk
        return None

    def _recover_from_silence(self, now: float) -> None:
        """The link is back, or may be: send everything unacknowledged at once instead of waiting for timers."""
        self._pto_count = 0
        lost = self._recovery.give_up_sent_before(now - self._rtt.smoothed)
        if lost:
            self._on_lost(lost, now)
        self._repair.hurry(now)
        self._ping_due = True

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
