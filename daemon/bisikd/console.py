"""What the operator sees on stdout: lines for people, or one JSON object a line for programs; talk goes to stderr.

A reader that does not read must never hold up the chat: lines wait in a bounded queue and are written by a worker
thread; what does not fit is counted and said. Text that others wrote passes `harmless` on its way to people, and JSON
is pure ASCII, so no control byte of anyone's reaches a terminal.
"""

import json
import sys
import threading
from collections import deque
from datetime import datetime
from typing import Any, Final, TextIO

import trio

from bisik_protocol.chat.messages import (
    Act,
    Entry,
    JoinEntry,
    LeaveEntry,
    MessageEntry,
    ModerationEntry,
    TopicEntry,
)
from bisik_protocol.chat.statements import AnyStatement, Kind, SealedStatement, Statement, message_id
from bisik_protocol.chat.text import harmless
from bisik_protocol.crypto.identity import fingerprint_groups, fingerprint_text
from bisikd.invitation import Ready
from bisikd.journald import Happening, JournalSocket
from bisikd.times import rfc3339

MAX_WAITING_CHARACTERS: Final = 4 * 1024 * 1024


def json_line(value: dict[str, Any]) -> str:
    """One compact line of ASCII."""
    return json.dumps(value, separators=(",", ":")) + "\n"


def entry_as_json(entry: Entry, statement: AnyStatement | None) -> dict[str, Any]:
    """An entry as programs read it. `statement` is what a MessageEntry holds."""
    time = rfc3339(entry.time)
    if isinstance(entry, MessageEntry):
        assert statement is not None  # noqa: S101 # whoever took the message has read it
        value = {
            "type": "message",
            "room": entry.room,
            "author": entry.author,
            **_content(statement),
            "seq": entry.seq,
            "id": message_id(entry.statement),
            "time": time,
        }
        return value | {"kind": "act"} if isinstance(statement, Statement) and statement.kind is Kind.ACT else value
    who = {"room": entry.room, "author": entry.author}
    where = {"time": time, "seq": entry.seq}
    if isinstance(entry, TopicEntry):
        return {"type": "topic", **who, "text": entry.topic, **where}
    if isinstance(entry, ModerationEntry):
        until = None if entry.until is None else rfc3339(entry.until)
        done = {"act": entry.act.value, "target": entry.target, "text": entry.reason, "until": until}
        return {"type": "moderation", **who, **done, **where}
    return {"type": "join" if isinstance(entry, JoinEntry) else "leave", **who, **where}


def _content(statement: AnyStatement) -> dict[str, Any]:
    """What was said, or, where this server cannot read it, how long the ciphertext is."""
    if isinstance(statement, SealedStatement):
        return {"sealed": len(statement.sealed.ciphertext)}
    return {"text": statement.text}


def entry_for_people(entry: Entry, statement: AnyStatement | None) -> str:
    """An entry as one line, in the operator's own time."""
    time = datetime.fromtimestamp(entry.time // 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    room, author = harmless(entry.room), harmless(entry.author)
    if isinstance(entry, MessageEntry):
        assert statement is not None  # noqa: S101 # whoever took the message has read it
        if isinstance(statement, SealedStatement):
            return f"{time} {room} <{author}> (sealed, {len(statement.sealed.ciphertext)} bytes)\n"
        text = harmless(statement.text)
        said = f"* {author} {text}" if statement.kind is Kind.ACT else f"<{author}> {text}"
        return f"{time} {room} {said}\n"
    return f"{time} {room} {author} {_done(entry)}\n"


_ACTS: Final = {
    Act.KICK: "put {} out",
    Act.BAN: "banned {}",
    Act.UNBAN: "took the ban on {} back",
    Act.MUTE: "muted {}",
    Act.UNMUTE: "unmuted {}",
    Act.PRIVATE: "made the room private",
    Act.PUBLIC: "made the room public",
    Act.READ_ONLY: "made the room read-only",
    Act.WRITABLE: "made the room writable",
    Act.ALLOW: "let {} in",
    Act.DISALLOW: "lets {} in no longer",
    Act.DROPPED: "no longer keeps what stood here",
    Act.LOST: "had to go on without what stood here: it was lost with a damaged part of the log",
}


def _done(entry: JoinEntry | LeaveEntry | TopicEntry | ModerationEntry) -> str:
    """What somebody did, without who it was."""
    if isinstance(entry, TopicEntry):
        return f"set the topic: {harmless(entry.topic)}" if entry.topic else "took the topic away"
    if isinstance(entry, ModerationEntry):
        until = "" if entry.until is None else f" until {rfc3339(entry.until)}"
        reason = f": {harmless(entry.reason)}" if entry.reason else ""
        return _ACTS[entry.act].format(harmless(entry.target) or "an address") + until + reason
    return "joined" if isinstance(entry, JoinEntry) else "left"


class Console:
    """Prints to `out` (stdout) what happens, to `talk` (stderr) or the journal what has to be said about it."""

    def __init__(
        self,
        *,
        as_json: bool,
        out: TextIO | None = None,
        talk: TextIO | None = None,
        journal: JournalSocket | None = None,
    ) -> None:
        self._as_json = as_json
        self._journal = journal
        self._out = sys.stdout if out is None else out
        self._talk = sys.stderr if talk is None else talk
        self._waiting: deque[tuple[TextIO, str]] = deque()
        self._waiting_characters = 0
        self._skipped = 0
        self._wake = trio.Event()
        self._writing = threading.Lock()
        self._broken: set[int] = set()

    def ready(self, ready: Ready) -> None:
        """The first line, or for people the first few: written before this returns.

        The journal, which many may read and which is kept, is not told the join password.
        """
        if self._journal is not None:
            fingerprint = fingerprint_text(ready.fingerprint)
            words = f"bisikd listens on {ready.listen}, fingerprint {fingerprint}. `bisikd invite` prints the invite."
            self._journal.send(Happening.READY, words, listen=ready.listen, fingerprint=fingerprint)
            if not self._as_json:
                return
        if self._as_json:
            text = json_line(ready.as_json())
        else:
            text = (
                f"bisikd listens on {ready.listen}\n"
                f"  fingerprint    {fingerprint_groups(ready.fingerprint)}\n"
                f"  join password  {ready.join_password}\n"
                f"  invite         {ready.invite}\n"
            )
        self._write([(self._out, text)])

    def entry(self, entry: Entry, statement: Statement | None) -> None:
        """Something was stored and shown to people."""
        if self._as_json:
            self._put(self._out, json_line(entry_as_json(entry, statement)))
        else:
            self._put(self._out, entry_for_people(entry, statement))

    def stopping(self) -> None:
        """An orderly end begins; only the journal wants to know."""
        if self._journal is not None:
            self._journal.send(Happening.STOPPING, "bisikd stores what was taken, tells its clients, and stops.")

    def note(self, sentence: str, happening: Happening) -> None:
        """Something that the operator should know."""
        if self._journal is None or not self._journal.send(happening, sentence):
            self._put(self._talk, f"bisikd: {sentence}\n")

    async def run(self) -> None:
        """Write until cancelled, and on the way out what still waits."""
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                await trio.to_thread.run_sync(self._write, self._take(), abandon_on_cancel=True)
        finally:
            with trio.move_on_after(1) as clean_up:
                clean_up.shield = True
                await trio.to_thread.run_sync(self._write, self._take(), abandon_on_cancel=True)

    def _put(self, stream: TextIO, text: str) -> None:
        if self._waiting_characters + len(text) > MAX_WAITING_CHARACTERS:
            self._skipped += 1
            return
        self._waiting_characters += len(text)
        self._waiting.append((stream, text))
        self._wake.set()

    def _take(self) -> list[tuple[TextIO, str]]:
        lines = list(self._waiting)
        self._waiting.clear()
        self._waiting_characters = 0
        if self._skipped:
            lines.append((self._out, self._skipped_line()))
            self._skipped = 0
        return lines

    def _skipped_line(self) -> str:
        if self._as_json:
            return json_line({"type": "skipped", "lines": self._skipped})
        return f"({self._skipped} lines are not shown: whoever reads this was too slow)\n"

    def _write(self, lines: list[tuple[TextIO, str]]) -> None:
        """Called in worker threads. A stream whose reader has gone is left alone from then on."""
        with self._writing:
            for stream in (self._out, self._talk):
                text = "".join(line for target, line in lines if target is stream)
                if not text or id(stream) in self._broken:
                    continue
                try:
                    stream.write(text)
                    stream.flush()
                except (OSError, ValueError):
                    self._broken.add(id(stream))
