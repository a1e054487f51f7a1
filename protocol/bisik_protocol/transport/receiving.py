"""Packets in: opening them, each once, remembering what came, and telling it back in ACK frames."""

from typing import Final

from bisik_protocol.crypto.protection import PacketOpener
from bisik_protocol.crypto.replay import ReplayWindow
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.loss_meter import LossMeter
from bisik_protocol.transport.ranges import PacketRanges
from bisik_protocol.wire.frames import encode_ack
from bisik_protocol.wire.packets import CONNECTION_ID_BYTES, HEADER_BYTES, PHASE_MASK, is_data

# Who only listens sends nothing that is acknowledged, so nothing tells it which ranges the far side has seen: every
# number that was left out would add a range to all its acknowledgements from then on. What lies this far behind was
# told many times, and where all of those were lost, the far side has long given it up for lost.
MAX_TOLD_BEHIND: Final = 256


class PacketReader:
    """`ack_due` is set by whoever finds that a packet wants an answer; `loss` is what its gaps tell."""

    __slots__ = ("_opener", "_ranges", "_replay", "ack_due", "largest", "loss")

    def __init__(self, secret: bytes) -> None:
        self._opener = PacketOpener(secret)
        self._replay = ReplayWindow()
        self._ranges = PacketRanges()
        self.loss = LossMeter()
        self.largest = -1
        self.ack_due = False

    def open_untrusted(self, datagram: bytes) -> tuple[int, bytes]:
        """Packet number and frames of a packet that is authentic and new."""
        if not is_data(datagram):
            raise RemoteProtocolError("packet")
        number = int.from_bytes(datagram[1 + CONNECTION_ID_BYTES : HEADER_BYTES])
        header = datagram[:HEADER_BYTES]
        payload = self._opener.open_untrusted(datagram[0] & PHASE_MASK, number, header, datagram[HEADER_BYTES:])
        if not self._replay.accept(number):
            raise RemoteProtocolError("replay")
        return number, payload

    def on_arrived(self, number: int) -> bool:
        """Take note of a packet; returns whether it is the newest so far."""
        gap = number - self.largest - 1
        self._ranges.add(number)
        if gap < 0:
            self.loss.on_not_lost_after_all()
            self.loss.on_arrived()
            return False
        if gap:
            self.loss.on_lost(gap)
        self.loss.on_arrived()
        self.largest = number
        return True

    def encode_ack(self) -> bytes:
        """The ACK frame of everything that is remembered."""
        self._ranges.forget_up_to(self.largest - MAX_TOLD_BEHIND)
        return encode_ack(self._ranges.newest_first())

    def forget_up_to(self, number: int) -> None:
        """The far side has seen an ACK frame that told of everything up to `number`."""
        self._ranges.forget_up_to(number)
