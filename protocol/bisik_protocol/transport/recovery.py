"""Which packets are in flight, which have arrived, which are lost: RFC 9002 sections 6.1 and 7.6.

Knows packet numbers, times and sizes. Does not know what packets hold beyond handing it back, and decides nothing
about when to send.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.control import SentFrame
from bisik_protocol.transport.rtt import RttEstimator

PACKET_THRESHOLD: Final = 3
PERSISTENT_CONGESTION_PTOS: Final = 3
MAX_REMEMBERED_LOSSES: Final = 64  # numbers given up, in case they arrive after all


class SentPacket(Struct, frozen=True, eq=False, gc=False):
    """An ack-eliciting packet in flight. `told` is the highest number that its ACK frame told of, -1 without one.

    `probes_mtu`: it was padded to find out whether its size arrives.
    """

    number: int
    sent_at: float
    size: int
    chunks: list[Chunk]
    controls: list[SentFrame]
    told: int
    probes_mtu: bool = False


class AckOutcome:
    """What an ACK frame changed."""

    __slots__ = ("acknowledged", "returned_late")

    def __init__(self) -> None:
        self.acknowledged: list[SentPacket] = []
        self.returned_late = 0  # packets that had been given up as lost


class Recovery:
    """The ledger of packets in flight, in the order of their numbers."""

    __slots__ = (
        "_given_up",
        "_is_skipped",
        "_loss_time",
        "in_flight",
        "largest_acknowledged",
        "last_eliciting_sent",
        "measure_from",
        "rtt",
    )

    def __init__(self, rtt: RttEstimator, is_skipped: Callable[[int, int], bool] = lambda low, high: False) -> None:
        self.rtt = rtt
        self.in_flight: dict[int, SentPacket] = {}
        self.largest_acknowledged = -1
        self.last_eliciting_sent = 0.0
        self.measure_from = float("-inf")  # what was sent before says nothing about the way as it is now
        self._loss_time: float | None = None
        self._given_up: dict[int, None] = {}
        self._is_skipped = is_skipped

    @property
    def loss_time(self) -> float | None:
        """When `detect_losses` has to be called next, though no ACK came."""
        return self._loss_time

    def on_sent(self, packet: SentPacket) -> None:
        self.in_flight[packet.number] = packet
        self.last_eliciting_sent = packet.sent_at

    def on_ack(self, ranges: list[tuple[int, int]], next_number: int, now: float) -> AckOutcome:
        """Take an ACK frame. Raises RemoteProtocolError("ack") for numbers that were never sent."""
        outcome = AckOutcome()
        largest = ranges[0][1]
        if largest >= next_number:
            raise RemoteProtocolError("ack")
        in_flight = self.in_flight
        for low, high in ranges:
            if low == high:
                packet = in_flight.pop(low, None)
                if packet is not None:
                    outcome.acknowledged.append(packet)
                elif self._is_skipped(low, low):
                    raise RemoteProtocolError("ack")
            elif in_flight or high > self.largest_acknowledged:
                self._take_range(low, high, outcome)
            if self._given_up:
                self._take_back(low, high, outcome)
        if outcome.acknowledged and largest > self.largest_acknowledged:
            acknowledged = outcome.acknowledged
            newest = acknowledged[0] if len(acknowledged) == 1 else max(acknowledged, key=_number)
            if newest.number == largest and newest.sent_at >= self.measure_from:
                self.rtt.add_sample(now - newest.sent_at)
        if largest > self.largest_acknowledged:
            self.largest_acknowledged = largest
        return outcome

    def _take_range(self, low: int, high: int, outcome: AckOutcome) -> None:
        in_flight = self.in_flight
        if len(in_flight) == 1:  # nearly always, in a chat
            (number,) = in_flight
            if low <= number <= high:
                outcome.acknowledged.append(in_flight.pop(number))
                if self._is_skipped(low, high):
                    raise RemoteProtocolError("ack")
            return
        # Whichever is shorter: the range, or what is in flight.
        numbers: Iterable[int] = (
            range(low, high + 1) if high - low < len(in_flight) else [n for n in in_flight if low <= n <= high]
        )
        before = len(in_flight)
        for number in numbers:
            packet = in_flight.pop(number, None)
            if packet is not None:
                outcome.acknowledged.append(packet)
        if len(in_flight) != before and self._is_skipped(low, high):
            raise RemoteProtocolError("ack")

    def _take_back(self, low: int, high: int, outcome: AckOutcome) -> None:
        late = [number for number in self._given_up if low <= number <= high]
        for number in late:
            del self._given_up[number]
        outcome.returned_late += len(late)

    def detect_losses(self, now: float) -> list[SentPacket]:
        """Packets that newer ones have overtaken by number or by time; they leave the ledger."""
        self._loss_time = None
        lost: list[SentPacket] = []
        delay = self.rtt.loss_delay
        for number, packet in self.in_flight.items():
            if number > self.largest_acknowledged:
                break
            lost_at = packet.sent_at + delay
            if self.largest_acknowledged - number >= PACKET_THRESHOLD or lost_at <= now:
                lost.append(packet)
            elif self._loss_time is None or lost_at < self._loss_time:
                self._loss_time = lost_at
        self._give_up(lost)
        return lost

    def give_up_sent_before(self, moment: float) -> list[SentPacket]:
        """After an outage: everything older than `moment` is taken as lost without waiting for proof."""
        lost = [packet for packet in self.in_flight.values() if packet.sent_at < moment]
        self._give_up(lost)
        if not self.in_flight:
            self._loss_time = None
        return lost

    def _give_up(self, lost: list[SentPacket]) -> None:
        for packet in lost:
            del self.in_flight[packet.number]
            self._given_up[packet.number] = None
        while len(self._given_up) > MAX_REMEMBERED_LOSSES:
            del self._given_up[next(iter(self._given_up))]

    def is_persistent(self, lost: list[SentPacket]) -> bool:
        """Whether these losses, with nothing acknowledged between them, span persistent congestion."""
        if len(lost) < 2 or not self.rtt.has_sample:
            return False
        return lost[-1].sent_at - lost[0].sent_at > PERSISTENT_CONGESTION_PTOS * self.rtt.probe_timeout


def _number(packet: SentPacket) -> int:
    return packet.number
