"""Packets out and what came of them: building each, and acting on what is acknowledged, lost or overdue.

Owns everything that RFC 9002 is about. Knows nothing of peers that move, of goodbyes or of the application's events;
`Connection` asks it for the next datagram and tells it what was heard.
"""

from collections import deque
from math import inf
from typing import Final

from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.congestion import CongestionWindow
from bisik_protocol.transport.control import ControlFrames, SentFrame
from bisik_protocol.transport.loss_meter import LossMeter
from bisik_protocol.transport.mtu import BASE_BYTES, PathMtu
from bisik_protocol.transport.pacing import Pacer
from bisik_protocol.transport.path import Path
from bisik_protocol.transport.receiving import PacketReader
from bisik_protocol.transport.recovery import Recovery, SentPacket
from bisik_protocol.transport.repair import LINEAR_S, Repair, silent_interval
from bisik_protocol.transport.rtt import RttEstimator
from bisik_protocol.transport.sealing import PacketWriter
from bisik_protocol.transport.sending import SendQueue
from bisik_protocol.transport.stats import Counters
from bisik_protocol.wire import frames
from bisik_protocol.wire.packets import HEADER_BYTES, MIN_DATAGRAM_BYTES, TAG_BYTES

OVERHEAD_BYTES: Final = HEADER_BYTES + TAG_BYTES
MAX_QUEUED_RESPONSES: Final = 4
MAX_PTO_S: Final = 3.0
MIN_SILENCE_S: Final = 1.0  # shorter ones are left to the timers
LONGEST_FIRST_RTT_S: Final = 10.0  # a first answer that took longer came after an outage
FEW_SAMPLES: Final = 16  # below it, what the link loses inbound is the better guess for outbound too


class Outgoing:
    """The sending half of a connection; it reads from `reader` what is to be acknowledged. Times in seconds."""

    __slots__ = (
        "_config",
        "_loss",
        "_mtu",
        "_owed_since",
        "_pacer",
        "_pto_count",
        "_reader",
        "_recovery",
        "_repair",
        "_unanswered_since",
        "_writer",
        "controls",
        "counters",
        "last_sent",
        "pad",
        "ping_due",
        "queue",
        "responses",
        "rtt",
        "window",
    )

    def __init__(
        self, writer: PacketWriter, reader: PacketReader, config: TransportConfig, rtt_s: float | None, now: float
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._config = config
        self.rtt = RttEstimator(config.initial_rtt_s if rtt_s is None else rtt_s)
        self._recovery = Recovery(self.rtt, writer.numbers.is_skipped)
        self.window = CongestionWindow(MIN_DATAGRAM_BYTES)
        self._pacer = Pacer(self.window.window, now)
        self._repair = Repair(self.rtt, config.eager_s, now)
        self.queue = SendQueue(self.window, self._pacer, self.rtt, self._repair)
        self.controls = ControlFrames()
        self.counters = Counters()
        self._loss = LossMeter()
        self._mtu = PathMtu(config.max_datagram_bytes)
        self._pto_count = 0
        self._owed_since: float | None = None  # since when we wait to hear anything
        self._unanswered_since: float | None = None  # since when nothing was acknowledged
        self.last_sent = now  # something that elicits an answer
        self.ping_due = False
        self.pad = False  # the next packet fills its datagram, to earn a new path's allowance
        self.responses: deque[bytes] = deque(maxlen=MAX_QUEUED_RESPONSES)

    @property
    def loss(self) -> float:
        """What to expect of the next packet. Early on, loss inbound is the better guess: links lose both ways."""
        if self._loss.samples < FEW_SAMPLES:
            return max(self._loss.rate, self._reader.loss.rate)
        return self._loss.rate

    @property
    def datagram_bytes(self) -> int:
        """How large a datagram the path is known to carry."""
        return self._mtu.size

    def silence(self, now: float) -> float:
        """Seconds since anything was heard, while something was owed to us."""
        return 0.0 if self._owed_since is None else now - self._owed_since

    def unanswered(self, now: float) -> float:
        """Seconds since anything was acknowledged, while something was in flight: a link may work one way only."""
        return 0.0 if self._unanswered_since is None else now - self._unanswered_since

    # Sending -----------------------------------------------------------------------------------------------------

    def has_work(self, now: float) -> bool:
        """A quick look, so that nothing is prepared for the many calls that find nothing to do."""
        if self._reader.ack_due or self.ping_due or self.queue.is_waiting or self.controls.waiting or self.responses:
            return True
        return bool(self._repair.watched) and self._repair.next_due() <= now

    def next_datagram(self, path: Path, now: float) -> bytes | None:
        """The next datagram that may go now, if one may; to be asked where there `has_work`."""
        unanswered = self.unanswered(now)
        overdue = unanswered > self.rtt.probe_timeout
        if self.queue.missing and path.validated and not overdue:
            probe = self._mtu.probe_size(self.queue.missing, now)
            if probe is not None and self.window.has_room(probe):
                return self._probe_mtu(probe, path, now)
        challenge = path.challenge_frame()
        # Where acknowledgements are overdue, whatever the matter is, it shall not be the size.
        size = self._mtu.size if path.validated and not overdue else min(BASE_BYTES, path.allowance())
        room = size - OVERHEAD_BYTES - len(challenge)
        if room <= 0:
            return None
        parts: list[bytes] = []
        told = -1
        if self._reader.ack_due or self.responses:
            room, told = self._put_answers(parts, room)
        controls: list[SentFrame] = []
        if self.controls.waiting:
            room, controls = self._put_controls(parts, room)
        chunks = self.queue.choose(room, now, self.loss, unanswered, answering=told >= 0)
        for chunk in chunks:
            parts.append(chunk.head)
            parts.append(chunk.data)
        if parts and self._writer.wants_answer:
            self.ping_due = True
        if self.ping_due and not chunks and room:
            parts.append(frames.PING_FRAME)
        if not parts:
            return None
        if challenge:
            parts.append(challenge)
            path.on_challenge_sent(now, self.rtt.probe_timeout)
        payload = b"".join(parts)
        if self.pad and path.validated:
            payload = payload.ljust(BASE_BYTES - OVERHEAD_BYTES, b"\x00")
        number, datagram = self._seal(payload, path, now)
        if chunks or controls or self.ping_due:
            packet = SentPacket(number, now, len(datagram), chunks, controls, told)
            self._on_eliciting_sent(packet, now)
        return datagram

    def _probe_mtu(self, size: int, path: Path, now: float) -> bytes:
        """A datagram of exactly that size, with nothing in it that would be missed."""
        number, datagram = self._seal(frames.PING_FRAME.ljust(size - OVERHEAD_BYTES, b"\x00"), path, now)
        self._mtu.on_probe_sent()
        self._on_eliciting_sent(SentPacket(number, now, size, [], [], -1, probes_mtu=True), now)
        return datagram

    def _put_answers(self, parts: list[bytes], room: int) -> tuple[int, int]:
        """Path responses and the ACK; the room that is left, and the highest number told of, -1 without an ACK."""
        while self.responses and room >= len(self.responses[0]):
            parts.append(self.responses.popleft())
            room -= len(parts[-1])
        if self._reader.ack_due:
            ack = self._reader.encode_ack()
            if len(ack) <= room:
                parts.append(ack)
                self._reader.ack_due = False
                return room - len(ack), self._reader.largest
        return room, -1

    def _put_controls(self, parts: list[bytes], room: int) -> tuple[int, list[SentFrame]]:
        """What of the control frames fits; the room that is left."""
        controls = self.controls.take(room)
        for _, frame in controls:
            parts.append(frame)
            room -= len(frame)
        return room, controls

    def seal_goodbye(self, frame: bytes, path: Path, now: float) -> bytes | None:
        """A datagram with nothing but a CLOSE frame, if the path allows one."""
        return self._seal(frame, path, now)[1] if len(frame) + OVERHEAD_BYTES <= path.allowance() else None

    def _seal(self, payload: bytes, path: Path, now: float) -> tuple[int, bytes]:
        number, datagram = self._writer.seal(payload, now)
        size = len(datagram)
        self.counters.datagrams_sent += 1
        self.counters.bytes_sent += size
        if not path.validated:
            path.on_sent(size)
        self._pacer.on_sent(size)
        return number, datagram

    def _on_eliciting_sent(self, packet: SentPacket, now: float) -> None:
        self.ping_due = self.pad = False
        self.last_sent = now
        if self._owed_since is None:
            self._owed_since = now
        if self._unanswered_since is None:
            self._unanswered_since = now
        self.window.on_sent(packet.size)
        self._recovery.on_sent(packet)
        if not packet.chunks:
            return
        counters = self.counters
        loss, unanswered = self.loss, self.unanswered(now)
        for chunk in packet.chunks:
            if chunk.copies == 0:
                chunk.first_sent = now
                counters.chunks_sent += 1
            else:
                counters.copies_sent += 1
            chunk.copies += 1
            chunk.outstanding += 1
            chunk.last_sent = now
            if chunk.thin:
                self._repair.on_copy_sent(chunk, now, loss, unanswered)

    @property
    def is_worn_out(self) -> bool:
        """Whether no more than goodbyes may be sealed, because the far side never acknowledged anything."""
        return self._writer.is_worn_out

    # What came of it ---------------------------------------------------------------------------------------------

    def on_heard(self, now: float) -> bool:
        """An authentic packet came; returns whether it ended a silence too long to leave the rest to timers."""
        silence = self.silence(now)
        self._owed_since = now if self._recovery.in_flight else None
        ended = silence > MIN_SILENCE_S and silence > 3 * self.rtt.probe_timeout
        if ended and (self.rtt.has_sample or silence > LONGEST_FIRST_RTT_S):
            self._recovery.measure_from = now  # an outage, or a sleep, is no round trip
        return ended

    def on_ack(self, frame: frames.Ack, now: float) -> list[int]:
        """Take an ACK frame; the lanes whose backlog has just drained. Raises RemoteProtocolError("ack")."""
        outcome = self._recovery.on_ack(frame.ranges, self._writer.numbers.next_number, now)
        for _ in range(outcome.returned_late):
            self._loss.on_not_lost_after_all()
        drained: list[int] = []
        if outcome.acknowledged:
            self._pto_count = 0
            for packet in outcome.acknowledged:
                self._on_packet_acknowledged(packet, drained)
            self._owed_since = self._unanswered_since = now if self._recovery.in_flight else None
        if self._recovery.in_flight:
            self._detect_losses(now)
        return drained

    def _on_packet_acknowledged(self, packet: SentPacket, drained: list[int]) -> None:
        self.window.on_acknowledged(packet.size, packet.sent_at)
        self._loss.on_arrived()
        if packet.probes_mtu:
            self._mtu.on_probe_arrived(packet.size)
        elif packet.size > BASE_BYTES:
            self._mtu.on_arrived()
        self._writer.on_acknowledged(packet.number)
        if packet.told >= 0:
            self._reader.forget_up_to(packet.told)
        if packet.controls:
            self.controls.on_acknowledged(packet.controls)
        for chunk in packet.chunks:
            chunk.outstanding -= 1
            if not chunk.acknowledged:
                chunk.acknowledged = True
                lane = self.queue.on_acknowledged(chunk)
                if lane is not None:
                    drained.append(lane)

    def _detect_losses(self, now: float) -> None:
        lost = self._recovery.detect_losses(now)
        if lost:
            self._on_lost(lost, now)
            if self._recovery.is_persistent([packet for packet in lost if not packet.probes_mtu]):
                self.window.on_persistent_congestion()
                self._repair.bucket.empty()
            if not self._recovery.in_flight:  # nobody owes us an answer to what has been given up
                self._owed_since = self._unanswered_since = None

    def _on_lost(self, lost: list[SentPacket], now: float) -> None:
        self.counters.packets_lost += len(lost)
        for packet in lost:
            if packet.probes_mtu:  # its loss tells of its size, and nothing of the link
                self._mtu.on_probe_lost(packet.size)
                self.window.on_forgotten(packet.size)
                continue
            if packet.size > BASE_BYTES:
                self._mtu.on_lost(now)
            self._loss.on_lost()
            self.window.on_lost(packet.size, packet.sent_at, now)
            if packet.controls:
                self.controls.on_lost(packet.controls)
            for chunk in packet.chunks:
                chunk.outstanding -= 1
                if chunk.outstanding == 0 and not chunk.acknowledged:
                    self.queue.on_lost(chunk, now)

    # Time --------------------------------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When something is overdue or may go, if nothing is heard before."""
        keepalive = self._config.keepalive_s
        soonest = inf if keepalive is None else self.last_sent + keepalive
        paced_until = self.queue.paced_until
        if paced_until is not None and paced_until < soonest:
            soonest = paced_until
        watched = self._repair.watched
        if watched:
            due = self._repair.next_due()
            if due < soonest:
                soonest = due
        if self._recovery.in_flight:
            loss_time = self._recovery.loss_time
            if loss_time is not None and loss_time < soonest:
                soonest = loss_time
            if not watched:  # watched chunks probe by themselves
                pto_at = self._pto_at()
                if pto_at < soonest:
                    soonest = pto_at
        return None if soonest == inf else soonest

    def handle_timeout(self, now: float) -> None:
        loss_time = self._recovery.loss_time
        if loss_time is not None and now >= loss_time:
            self._detect_losses(now)
        if self.unanswered(now) > LINEAR_S:  # the probes of a long outage would pile up in flight
            given_up = self._recovery.give_up_sent_before(now - LINEAR_S)
            self._on_lost(given_up, now)
            if given_up and not self._recovery.in_flight:  # we still wait for an answer, so something has to ask
                self.ping_due = True
        if self._recovery.in_flight and not self._repair.watched and now >= self._pto_at():
            self._pto_count += 1
            self.queue.probe = self._oldest_unacknowledged()
            for (
                packet
            ) in self._recovery.in_flight.values():  # a probe tells what may have been lost, and not only asks
                self.controls.on_lost(packet.controls)
            self.ping_due = True
        keepalive = self._config.keepalive_s
        if keepalive is not None and now >= self.last_sent + keepalive:
            self.ping_due = True

    def _pto_at(self) -> float:
        """When to probe for acknowledgements that are overdue."""
        rtt, last = self.rtt, self._recovery.last_eliciting_sent
        unanswered, eager_s = self.unanswered(last), self._config.eager_s
        if eager_s > unanswered > rtt.probe_timeout:
            return last + max(silent_interval(unanswered, rtt, eager_s), rtt.smoothed)
        return last + min(rtt.probe_timeout * 2.0 ** min(self._pto_count, 10), max(MAX_PTO_S, rtt.probe_timeout))

    def _oldest_unacknowledged(self) -> Chunk | None:
        for packet in self._recovery.in_flight.values():
            for chunk in packet.chunks:
                if not chunk.acknowledged:
                    return chunk
        return None

    def hurry(self, now: float) -> None:
        """What a limit held back may go now."""
        self._repair.hurry(now)

    def recover_from_silence(self, now: float) -> None:
        """The link is back, or may be: send everything unacknowledged at once instead of waiting for timers."""
        self._pto_count = 0
        lost = self._recovery.give_up_sent_before(now - self.rtt.smoothed)
        if lost:
            self._on_lost(lost, now)
        self._repair.hurry(now)
        self.ping_due = True

    def forget_way(self, now: float) -> None:
        """The far side is reached another way from now on: what was learned of the old one does not hold."""
        self.window.reset()
        self._mtu.start_over()
        self.rtt.has_sample = False
        self._recovery.measure_from = now

    def start_on_new_way(self, now: float) -> None:
        """Our own address changed, or the machine woke up."""
        self.forget_way(now)
        self.pad = True
        # The silence of the old way, or of the sleep, says nothing about this one.
        self._owed_since = self._unanswered_since = None
        self.recover_from_silence(now)
