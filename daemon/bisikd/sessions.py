"""All sessions: who gets one, how many there may be, and what happens to the rest of the daemon when one fails.

Where a bound is reached it is the quietest that goes: a stranger who waits at the door before a member, and of a
user's sessions the one that was not heard from for longest. A phone that dies leaves such sessions behind.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from bisik_protocol.chat.messages import CONTROL_LANE, CheckpointSeen, encode
from bisik_protocol.transport.events import CloseCode
from bisikd.session import Session

if TYPE_CHECKING:
    import trio

    from bisik_protocol.transport.connection import Connection
    from bisikd.chat import Chat

MAX_ANNOUNCED_BACKLOG_BYTES: Final = 4096


class Sessions:
    """The table of sessions. `on_failure` is given the text of a failure that is a bug in this program."""

    def __init__(self, chat: "Chat", nursery: "trio.Nursery", on_failure: Callable[[str], None]) -> None:
        self._chat = chat
        self._nursery = nursery
        self._on_failure = on_failure
        self._sessions: dict[Connection, Session] = {}
        self._unadmitted: dict[Session, None] = {}
        self._of_user: dict[str, list[Session]] = {}
        self.counters: Counter[str] = Counter()
        chat.sessions = self
        nursery.start_soon(chat.confirmations.run)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def open(self, connection: "Connection") -> None:
        """A client proved that it holds a channel's keys; it may log in."""
        limits = self._chat.limits
        if (refusal := self._chat.permissions.refusal_of_address(str(connection.peer_address[0]))) is not None:
            self.counters["banned"] += 1
            connection.close(CloseCode.REFUSED, refusal)
            return
        if len(self._unadmitted) >= min(limits.unadmitted_sessions, limits.sessions):
            self._put_out(next(iter(self._unadmitted)), "Others were waiting. Connect again.")
        elif len(self._sessions) >= limits.sessions:
            self.counters["full"] += 1
            connection.close(CloseCode.REFUSED, "This server is full. Try again later.")
            return
        session = self._sessions[connection] = Session(connection, self._chat, self._on_admitted)
        self._unadmitted[session] = None
        self._nursery.start_soon(self._run, session)

    def on_ready(self, connection: "Connection") -> None:
        """The connection has events for its session."""
        if session := self._sessions.get(connection):
            session.on_ready()

    def _on_admitted(self, session: Session) -> None:
        del self._unadmitted[session]
        theirs = self._of_user.setdefault(session.user.name, [])
        if len(theirs) >= self._chat.limits.sessions_per_user:
            quietest = min(theirs, key=lambda other: other.connection.last_heard)
            self._put_out(quietest, "You are logged in too many times; this was the quietest session.")
        theirs.append(session)

    def announce_checkpoint(self, note: bytes) -> None:
        """Tell everybody of a new head of the log, but for those who do not take what they were sent before."""
        message = encode(CheckpointSeen(note))
        for sessions in self._of_user.values():
            for session in sessions:
                connection = session.connection
                if not connection.closed and connection.backlog(CONTROL_LANE) < MAX_ANNOUNCED_BACKLOG_BYTES:
                    connection.send(CONTROL_LANE, message)

    def of_user(self, name: str) -> list[Session]:
        """The sessions of a person who is logged in."""
        return self._of_user.get(name, [])

    def put_out(self, name: str, code: CloseCode, reason: str) -> None:
        """End all sessions of a user, and tell them why."""
        for session in list(self._of_user.get(name, ())):
            self._put_out(session, reason, code)

    def expel(self, session: Session, reason: str) -> None:
        """End a session whose user is not to come back: nobody waits for them."""
        session.leave_rooms()
        self._put_out(session, reason)

    def _put_out(self, session: Session, reason: str, code: CloseCode = CloseCode.REFUSED) -> None:
        self.counters["put-out"] += 1
        self._forget(session)
        session.close(code, reason)
        session.on_ready()

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except Exception:  # a bug in one session's handling must not end everybody's
            self.counters["failed"] += 1
            self._on_failure(traceback.format_exc())
            session.close(CloseCode.INTERNAL, "Something went wrong here. Connect again.")
        finally:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.connection, None)
        self._unadmitted.pop(session, None)
        if session.admitted and (theirs := self._of_user.get(session.user.name)) and session in theirs:
            theirs.remove(session)
            if not theirs:
                del self._of_user[session.user.name]
