"""The way to the peer: its address, whether it proved to receive there, and the limit until it has.

As mosh does, the newest authentic packet's source is followed at once; as QUIC does, at most three times what came
from there is sent until a PATH_RESPONSE proves it (RFC 9000 sections 8.1 and 9.3).
"""

from typing import Final

from bisik_protocol.transport.addresses import Address
from bisik_protocol.wire.frames import encode_path_challenge

AMPLIFICATION_FACTOR: Final = 3
MAX_CHALLENGES: Final = 5  # unasked; after that, one for what arrives
UNLIMITED: Final = 1 << 30


class Path:
    __slots__ = (
        "_challenges",
        "_received",
        "_rest_until",
        "_sent",
        "address",
        "challenge",
        "challenge_at",
        "validated",
    )

    def __init__(self, address: Address, *, validated: bool) -> None:
        self.address = address
        self.validated = validated
        self._received = 0
        self._sent = 0
        self.challenge: bytes | None = None
        self.challenge_at: float | None = None  # when the next challenge goes out
        self._challenges = 0
        self._rest_until = 0.0

    def on_received(self, size: int, now: float) -> None:
        """Before it is validated. Who goes on sending when all challenges were lost is challenged again."""
        self._received += size
        if self._challenges >= MAX_CHALLENGES and not self.validated and self.challenge_at is None:
            self.challenge_at = max(self._rest_until, now)

    def on_sent(self, size: int) -> None:
        """Before the path is validated."""
        self._sent += size

    def allowance(self) -> int:
        """Bytes that may be sent now."""
        return UNLIMITED if self.validated else AMPLIFICATION_FACTOR * self._received - self._sent

    def start_validation(self, challenge: bytes, now: float) -> None:
        """`challenge` is 8 unpredictable bytes."""
        self.challenge = challenge
        self.challenge_at = now

    def challenge_frame(self) -> bytes:
        """What every datagram to an unproven path carries, so that its answer does not depend on one of them."""
        return b"" if self.validated or self.challenge is None else encode_path_challenge(self.challenge)

    def on_challenge_sent(self, now: float, interval: float) -> bool:
        """Plan the next one `interval` seconds ahead; returns whether one was due at all."""
        if self.challenge_at is None or now < self.challenge_at:
            return False
        self._challenges += 1
        self._rest_until = now + interval
        self.challenge_at = self._rest_until if self._challenges < MAX_CHALLENGES else None
        return True

    def on_response(self, data: bytes) -> bool:
        """Returns whether this proved the path."""
        if self.validated or data != self.challenge:
            return False
        self.validated = True
        self.challenge_at = None
        return True
