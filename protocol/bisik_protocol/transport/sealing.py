"""Packets out: numbers that are never used twice, sealing, and when the key ratchets."""

from typing import Final

from bisik_protocol.crypto.protection import MAX_NUMBERS_PER_KEY, PacketSealer
from bisik_protocol.randomness import RandomSource
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.skipping import NumberSkipper
from bisik_protocol.wire.packets import data_header, data_prefix

GOODBYE_NUMBERS: Final = 128  # of a key's numbers, kept for closing when the far side lets the key wear out


class PacketWriter:
    """Seals one end's packets to the far side's `connection_id`."""

    __slots__ = ("_acknowledged", "_config", "_connection_id", "_phase_started", "_prefix", "_sealer", "numbers")

    def __init__(
        self, secret: bytes, connection_id: bytes, config: TransportConfig, random: RandomSource, now: float
    ) -> None:
        self._sealer = PacketSealer(secret)
        self._connection_id = connection_id
        self._prefix = data_prefix(connection_id, 0)
        self._config = config
        self.numbers = NumberSkipper(random)
        self._phase_started = now
        self._acknowledged = False  # whether the far side has shown that it holds this phase's key

    def seal(self, payload: bytes, now: float) -> tuple[int, bytes]:
        """The packet number and the datagram."""
        sealer = self._sealer
        config = self._config
        if self._acknowledged and (
            sealer.sealed >= config.ratchet_packets or now >= self._phase_started + config.ratchet_s
        ):
            sealer.ratchet()
            self._prefix = data_prefix(self._connection_id, sealer.phase)
            self._phase_started = now
            self._acknowledged = False  # the far side computes one key ahead, not two
        number = self.numbers.take()
        header = data_header(self._prefix, number)
        return number, header + sealer.seal(number, header, payload)

    @property
    def wants_answer(self) -> bool:
        """Whether the key is due for a ratchet and only waits for any packet of its phase to be acknowledged.

        Who only ever acknowledges is never acknowledged himself, so such packets have to ask for it.
        """
        return not self._acknowledged and self._sealer.sealed >= self._config.ratchet_packets

    @property
    def is_worn_out(self) -> bool:
        """Whether a far side that acknowledges nothing has let the key come to its end."""
        used = self.numbers.next_number - self._sealer.first_number
        return used >= MAX_NUMBERS_PER_KEY - GOODBYE_NUMBERS

    def on_acknowledged(self, number: int) -> None:
        if number >= self._sealer.first_number:
            self._acknowledged = True
