"""Handshakes under way at a server: first parts that wait for their second, and answers kept to be repeated.

Everything in here was sent from an address that proved to receive (its cookie is good), and all of it is bounded,
in number, for each host, and in time.
"""

from typing import Final, NamedTuple

from bisik_protocol.crypto.handshake import KexPart
from bisik_protocol.errors import RemoteProtocolError

HALF_OPEN_S: Final = 5.0
ANSWER_S: Final = 40.0  # longer than a cookie lives: until then a repeated KEX must not make a second session
MAX_HALF_OPEN_HOST: Final = 64
MAX_HALF_OPEN: Final = 1024
MAX_ANSWERS: Final = 4096

Key = tuple[bytes, bytes]  # nonce and cookie


Pair = tuple[bytes, bytes]


class _Answer(NamedTuple):
    until: float
    chunks: Pair  # of the KEX
    skex: Pair


class _Waiting:
    __slots__ = ("chunks", "host", "until")

    def __init__(self, host: object, until: float) -> None:
        self.host = host
        self.until = until
        self.chunks: list[bytes | None] = [None, None]


class HalfOpenTable:
    """Parts of KEX messages, and the SKEX datagrams of those that were completed. Times in seconds."""

    def __init__(self) -> None:
        self._waiting: dict[Key, _Waiting] = {}  # oldest first
        self._by_host: dict[object, int] = {}
        self._answers: dict[Key, _Answer] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def answer(self, part: KexPart) -> bytes | None:
        """The SKEX datagram to repeat for a repeated KEX part: one for one, and smaller than what asked for it.

        A part that differs from what was answered shows that one of the two was damaged on its way: the answer is
        dropped, and the exchange completed again from what comes now.
        """
        key = (part.nonce, part.cookie)
        kept = self._answers.get(key)
        if kept is None:
            return None
        if kept.chunks[part.index] != part.chunk:
            del self._answers[key]
            return None
        return kept.skex[part.index]

    def add_untrusted(self, part: KexPart, host: object, now: float) -> Pair | None:
        """Keep a part; both chunks when the other was there. Raises RemoteProtocolError("half-open") when full."""
        self._forget_old(now)
        key = (part.nonce, part.cookie)
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= MAX_HALF_OPEN or self._by_host.get(host, 0) >= MAX_HALF_OPEN_HOST:
                raise RemoteProtocolError("half-open")
            waiting = self._waiting[key] = _Waiting(host, now + HALF_OPEN_S)
            self._by_host[host] = self._by_host.get(host, 0) + 1
        # The newest chunk stands: where somebody forged the first one, the client's repeats get their chance.
        waiting.chunks[part.index] = part.chunk
        first, second = waiting.chunks
        if first is None or second is None:
            return None
        self._remove(key)
        return first, second

    def keep_answer(self, part: KexPart, chunks: Pair, skex: Pair, now: float) -> None:
        """Repeats of this KEX are answered with these datagrams from now on, without any more work."""
        self._answers[part.nonce, part.cookie] = _Answer(now + ANSWER_S, chunks, skex)
        while len(self._answers) > MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]

    def _forget_old(self, now: float) -> None:
        while self._waiting and self._waiting[key := next(iter(self._waiting))].until <= now:
            self._remove(key)
        while self._answers and self._answers[key := next(iter(self._answers))].until <= now:
            del self._answers[key]

    def _remove(self, key: Key) -> None:
        host = self._waiting.pop(key).host
        left = self._by_host[host] - 1
        if left:
            self._by_host[host] = left
        else:
            del self._by_host[host]
