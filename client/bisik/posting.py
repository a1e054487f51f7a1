"""One room's outbox on its way to the server: when to send what, and what to do when the server says no.

All that waits in the room is sent in order, a window of it at a time. Every post ends in its entry or in a refusal.
After a refusal nothing that was sent behind it can have been stored, because each statement names the one before.
So once all that was sent has been answered (a refusal of that time would pass for one of what is sent next), the room
is joined again, which shows where the server's chain of this device ends, and sending starts anew:

- the chain ends before the refused statement and still leads to it: it is sent again as it is (the log was full, or
  another process of this home has not come so far);
- twice the same refusal, or an end of the chain that this home has never signed: the contradiction is real, and what
  was refused is renumbered;
- it was sealed to other devices than it should be: it waits until those are known, and is then sealed anew under its
  number.

It decides; the outbox keeps. It knows nothing of connections but the lane's number, and has no clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bisik.outbox import Outbox
from bisik_protocol.chat.messages import Code, Joined, Post, PostRefused, encode

WINDOW_POSTS: Final = 64
WINDOW_BYTES: Final = 256 * 1024
RECIPIENTS_RETRY_S: Final = 5.0  # what was sealed to the devices that the server named is refused all the same
STORAGE_RETRY_S: Final = 5.0  # where the server does not say when to try again: its disk is full

_REJOIN: Final = {Code.CHAIN, Code.NOT_JOINED, Code.NOT_ADMITTED}
_LATER: Final = {Code.STORAGE, Code.TRY_LATER}


@dataclass(frozen=True, slots=True)
class _Sent:
    seq: int
    hash: bytes
    size: int


class Posting:
    """What one session posts in one room."""

    def __init__(self, room: str, outbox: Outbox) -> None:
        self.room = room
        self.wants_keys = False
        """The devices that the room is sealed to are to be asked for; `on_keys` is what comes of it."""
        self.retry_at: float | None = None
        self._outbox = outbox
        self._joined = False
        self._rejoin = False
        self._sent: deque[_Sent] = deque()  # in order; neither entry nor refusal has come
        self._sent_seq = 0
        self._refused: bytes | None = None  # what the next Joined is to decide on
        self._refused_before: bytes | None = None
        self._recipients_refused = False  # and nothing was stored since

    def on_joined(self, joined: Joined) -> None:
        """The server's word on where this device's chain ends."""
        if self._refused is not None:
            self._resolve(self._refused, joined.chain_seq, joined.chain_hash)
        else:
            self._outbox.adopt(self.room, joined.chain_seq, joined.chain_hash)
        self._refused = None
        self._joined = True
        self._sent_seq = 0

    def on_disconnected(self) -> None:
        self._joined = self._rejoin = self.wants_keys = False
        self.retry_at = self._refused = None
        self._recipients_refused = False
        self._sent.clear()
        self._sent_seq = 0

    @property
    def idle(self) -> bool:
        """Nothing is under way, and nothing stands in the way."""
        return self._joined and self._refused is None and not self._sent

    def take_rejoin(self) -> bool:
        """Whether the room is to be joined again now, told once; `on_joined` is what comes of it."""
        if not self._rejoin or self._sent:
            return False
        self._rejoin = False
        return True

    def posts(self) -> list[bytes]:
        """What is to be sent on the room's lane now: encoded Posts."""
        if not self._joined or self._refused is not None:
            return []
        posts: list[bytes] = []
        size = sum(sent.size for sent in self._sent)
        for queued in self._outbox.queued(
            self.room, after_seq=self._sent_seq, limit=max(0, WINDOW_POSTS - len(self._sent))
        ):
            if size > WINDOW_BYTES:
                break
            post = encode(Post(queued.statement, queued.signature))
            size += len(post)
            self._sent.append(_Sent(queued.seq, queued.hash, len(post)))
            self._sent_seq = queued.seq
            posts.append(post)
        return posts

    def on_entry(self, digest: bytes) -> None:
        """An own statement came back: it is stored."""
        self._take(lambda sent: sent.hash == digest)
        if self._refused_before == digest:
            self._refused_before = None
        self._recipients_refused = False

    def on_keys(self) -> None:
        """The devices that the room is sealed to are known now."""
        if self._refused is not None:
            self._outbox.seal_again(self._refused)
            self._rejoin = True

    def on_refused(self, refused: PostRefused, now: float) -> int | None:
        """A post was refused. `take_rejoin`, `wants_keys` or `retry_at` may say more afterwards.

        Returns the outbox id of a message that the server will never take.
        """
        sent = self._take(lambda sent: sent.seq == refused.seq)
        if sent is None or self._refused is not None:
            return None  # it follows from the refusal that is being dealt with
        if not self._outbox.waits(sent.hash):
            return None  # stored through another process, or renumbered
        if refused.code in _REJOIN:
            self._refused = sent.hash
            self._rejoin = True
            return None
        if refused.code is Code.RECIPIENTS:
            again, self._recipients_refused = self._recipients_refused, True
            self._refused = sent.hash
            self.wants_keys = not again
            self.retry_at = now + RECIPIENTS_RETRY_S if again else None
            return None
        if refused.code in _LATER:
            self._refused = sent.hash
            self.retry_at = now + (refused.wait_ms / 1000 if refused.wait_ms else STORAGE_RETRY_S)
            return None
        self._sent_seq = 0
        return self._outbox.fail(refused=sent.hash, reason=refused.text)

    def handle_timeout(self, now: float) -> None:
        if self.retry_at is not None and now >= self.retry_at:
            self.retry_at = None
            self.wants_keys, self._recipients_refused = self._recipients_refused, False
            self._rejoin = not self.wants_keys

    def _resolve(self, refused: bytes, chain_seq: int, chain_hash: bytes) -> None:
        again, self._refused_before = refused == self._refused_before, refused
        if self._outbox.continues(chain_seq, chain_hash, refused=refused):
            return
        if again or not self._outbox.knows(self.room, chain_seq, chain_hash):
            self._outbox.renumber(refused=refused, seq=chain_seq, digest=chain_hash)

    def _take(self, wanted: Callable[[_Sent], bool]) -> _Sent | None:
        for sent in self._sent:
            if wanted(sent):
                self._sent.remove(sent)
                return sent
        return None
