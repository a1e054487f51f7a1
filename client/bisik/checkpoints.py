"""The server's signed word on its log, and whether it is kept: the log may grow, and nothing in it may change or go.

The newest checkpoint that this home has seen is held. On every connection the server has to prove that its log
continues that one (RFC 6962 consistency), and again for every newer one that it shows; until it has, nothing is sent
that a person writes. A server that cannot, or whose head is not signed with its own key, raises an alarm, which stays
until the person decides (`trust` in the store): a log that was restored from an older copy looks exactly like one
that somebody rewrote, and only people can tell.

Sans-IO: it makes the question and judges the answer. Who asks is `conversation`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bisik.i18n import _
from bisik.store import Store
from bisik_protocol.chat.checkpoint import (
    Checkpoint,
    origin_of,
    read_checkpoint_untrusted,
    verify_checkpoint_untrusted,
)
from bisik_protocol.chat.messages import Code, Consistency, Refused, Reply
from bisik_protocol.chat.tree import verify_consistency
from bisik_protocol.crypto.identity import ServerPublic
from bisik_protocol.errors import RemoteProtocolError

_NOT_DECIDED: Final = frozenset({Code.TRY_LATER, Code.STORAGE})  # the server says that it cannot prove it just now
_NOT_ASKED: Final = frozenset({Code.NOT_ADMITTED, Code.INCORRECT_PASSWORD})  # the login was refused, and says why


class Alarm(Enum):
    """What is wrong with the server's log."""

    SHORTER = "shorter"  # it has fewer entries than it once signed for
    REWRITTEN = "rewritten"  # it has as many or more, and they are not the same
    UNSIGNED = "unsigned"  # its head is not signed with the server's key, so it proves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAlarm:
    """The server's log is not the one that this home knows. `held` and `shown` are numbers of entries."""

    kind: Alarm
    held: int
    shown: int | None

    @property
    def sentence(self) -> str:
        """What a person has to know, and what they can do."""
        return " ".join((self._what(), *self._what_now()))

    def _what(self) -> str:
        if self.kind is Alarm.UNSIGNED:
            return _("What the server says about its log is not signed with the server's key.")
        if self.kind is Alarm.REWRITTEN:
            return _(
                "The server's log is NOT a continuation of the one that this device has seen ({held} entries, signed"
                " by the server): something in it was changed or removed."
            ).format(held=self.held)
        return _(
            "The server's log is shorter than it was: this device has seen {held} entries signed by the server, and"
            " now it can show only {shown}."
        ).format(held=self.held, shown=self.shown or 0)

    def _what_now(self) -> tuple[str, ...]:
        kept = _("Nothing that you write is sent now; it is kept here.")
        if self.kind is Alarm.UNSIGNED:
            return (kept, _("Ask the server's operator, by another way than this server."))
        return (
            kept,
            _("Ask the server's operator, by another way than this server, whether it was restored from a copy."),
            _("If that explains it, `bisik trust-log` goes on with the log as it is now."),
        )


class Checkpoints:
    """The newest checkpoint that this home has seen, and where the proof of its continuation stands."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._server: ServerPublic | None = None
        self._shown: Checkpoint | None = None  # what the server has shown last, and signed, on this connection
        self._shown_note: bytes | None = None
        self.alarm: LogAlarm | None = None
        self.proved = False
        """Whether the server has proved, on this connection, that its log continues what was held."""
        self._held = self._read()

    @property
    def root(self) -> bytes | None:
        """Root hash of the log as it was when it was last proved, 32 bytes; None before the first checkpoint."""
        return None if self._held is None else self._held.root

    @property
    def size(self) -> int:
        """How many entries that log had."""
        return 0 if self._held is None else self._held.size

    @property
    def server(self) -> ServerPublic | None:
        """Whose log it is; None before the first connection."""
        return self._server

    def begin(self, server: ServerPublic) -> int | None:
        """A connection stands. The size to ask a consistency proof for; None where nothing is held yet."""
        self._server = server
        self._shown = self._shown_note = self.alarm = None
        self.proved = False
        self._held = self._read()  # another process of this home may have seen more, or the person has decided
        return None if self._held is None else self._held.size

    def again(self) -> int | None:
        """Like `begin`, on the connection that stands: the person has decided, or the server was not able to."""
        size = None if self._server is None else self.begin(self._server)
        if size is None:
            self._on_proved()
        return size

    def on_admitted(self, note: bytes | None) -> None:
        """The newest checkpoint comes with the login. Where nothing is held, it is what is held from now on."""
        if note is not None and self._verified(note) is None:
            self._raise_alarm(Alarm.UNSIGNED)
        elif self._held is None:
            if note is not None and self._shown is not None:
                self._keep(self._shown, note)
            self._on_proved()

    def on_seen(self, note: bytes) -> int | None:
        """The server announces a checkpoint. The size to ask a proof for, where it is another one than is held.

        What is announced may be lies; only what was proved is kept.
        """
        if self._verified(note) is None:
            self._raise_alarm(Alarm.UNSIGNED)
            return None
        if self._held is None:
            self.on_admitted(note)
            return None
        return self._held.size if self.alarm is None and self._shown != self._held else None

    def on_reply_untrusted(self, asked: int, reply: Reply) -> bool:
        """The answer to a question for a proof of what was held then. False where it must be asked again later.

        Raises RemoteProtocolError("reply") for what is no answer to it.
        """
        if isinstance(reply, Refused):
            if reply.code in _NOT_DECIDED:
                return False
            if reply.code not in _NOT_ASKED:
                self._raise_alarm(Alarm.SHORTER)
            return True
        if not isinstance(reply, Consistency):
            raise RemoteProtocolError("reply")
        held = self._held
        if held is None or held.size != asked:
            return True  # a longer one was proved meanwhile, which says more
        shown = self._verified(reply.note)
        if shown is None:
            self._raise_alarm(Alarm.UNSIGNED)
        elif shown.size < held.size:
            self._raise_alarm(Alarm.SHORTER)
        elif not verify_consistency(held.size, held.root, shown.size, shown.root, reply.proof):
            self._raise_alarm(Alarm.REWRITTEN)
        else:
            self._keep(shown, reply.note)
            self._on_proved()
        return True

    @property
    def decided(self) -> bool:
        """Whether the person has decided, perhaps in another process, about the alarm that is raised here."""
        return self.alarm is not None and self._store.log_alarm() is None

    def _on_proved(self) -> None:
        self.proved = self.alarm is None
        if self.proved and self._store.log_alarm() is not None:
            self._store.clear_log_alarm()

    def _raise_alarm(self, kind: Alarm) -> None:
        self.proved = False
        self.alarm = LogAlarm(kind=kind, held=self.size, shown=None if self._shown is None else self._shown.size)
        note = None if kind is Alarm.UNSIGNED else self._shown_note
        self._store.raise_log_alarm(kind.value, self.size, note)

    def _verified(self, note: bytes) -> Checkpoint | None:
        if self._server is None:
            return None
        try:
            shown = verify_checkpoint_untrusted(note, origin_of(self._server.fingerprint), self._server.signing)
        except RemoteProtocolError:
            return None
        self._shown, self._shown_note = shown, note
        return shown

    def _keep(self, checkpoint: Checkpoint, note: bytes) -> None:
        if self._held is None or checkpoint.size > self._held.size:
            self._store.remember_checkpoint(checkpoint.size, note)
            self._held = checkpoint

    def _read(self) -> Checkpoint | None:
        newest = self._store.checkpoint()
        return None if newest is None else read_checkpoint_untrusted(newest[1])
