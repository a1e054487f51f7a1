"""One session: a connection, the user it belongs to once admitted, and the rooms it is in.

Its nursery holds one task that takes the connection's messages strictly in order (taking is what gives the far side
credit to send more, so a session that waits for the disk or for Argon2 holds up only itself) and, while a room is
behind, its feed. All of it ends with the session.
"""

import math
from typing import TYPE_CHECKING, Final

import trio

from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    Confirm,
    FromDaemon,
    PutOut,
    Refused,
    decode_from_member_untrusted,
    decode_request_untrusted,
    encode,
)
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.events import CloseCode, Closed, LaneDrained, MessageReceived
from bisik_protocol.transport.inbound import MAX_LANES
from bisikd.admission import Admission
from bisikd.feed import Feed
from bisikd.requests import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bisik_protocol.transport.connection import Connection
    from bisikd.admission import AdmittedUser
    from bisikd.chat import Chat
    from bisikd.rooms import Membership

ADMISSION_S: Final = 300.0  # a person may be typing a password
MAX_ROOM_LANES: Final = MAX_LANES - 1  # beside the control lane
FAREWELL_S: Final = 3.0
MAX_OWED_BYTES: Final = 2 * 1024 * 1024  # replies that a session asked for and does not take; above it is put out


class Session:
    """`on_admitted` is told when the session has a user; it may close the session.

    Thousands are idle at a time, so it keeps what an idle one needs: what admission takes goes with admission.
    """

    __slots__ = (
        "_admission",
        "_closed",
        "_lanes",
        "_lanes_used",
        "_on_admitted",
        "_patience",
        "_user",
        "_wake",
        "away",
        "chat",
        "connection",
        "feed",
        "rooms",
        "since",
        "told_of",
    )

    feed: Feed

    def __init__(self, connection: "Connection", chat: "Chat", on_admitted: "Callable[[Session], None]") -> None:
        self.connection = connection
        self.chat = chat
        self.rooms: dict[str, Membership] = {}
        self.away: str | None = None
        self.told_of: frozenset[str] = frozenset()
        """Conversations that it has not joined and was told of: once is enough, and bounds what is owed."""
        self.since = chat.now()
        self._on_admitted = on_admitted
        self._patience: trio.CancelScope | None = None
        self._user: AdmittedUser | None = None
        self._admission: Admission | None = Admission(
            chat.doorkeeper, binding=connection.channel_binding, host=str(connection.peer_address[0])
        )
        self._lanes: dict[int, Membership] = {}
        self._lanes_used = 0
        self._wake = trio.Event()
        self._wake.set()
        self._closed: Closed | None = None

    @property
    def host(self) -> str:
        """Where it comes from now."""
        return str(self.connection.peer_address[0])

    @property
    def admitted(self) -> bool:
        return self._user is not None

    @property
    def user(self) -> "AdmittedUser":
        """Who this session belongs to; only once it is admitted."""
        assert self._user is not None  # noqa: S101 # callers ask `admitted` first
        return self._user

    def on_ready(self) -> None:
        """The connection has events."""
        self._wake.set()

    async def run(self) -> None:
        """Serve the session until its connection is closed, by whomever."""
        try:
            async with trio.open_nursery() as nursery:
                self.feed = Feed(nursery, read=self._read_entries, flush=self.chat.flush)
                if await self._let_in():
                    while self._closed is None:
                        await self._turn()
                nursery.cancel_scope.cancel()
            self.close(CloseCode.REFUSED, "Nobody logged in.")
        finally:
            self._leave_all()

    def close(self, code: CloseCode, reason: str) -> None:
        if not self.connection.closed:
            self.connection.close(code, reason)
            self.chat.flush()

    def new_lane(self) -> int | None:
        """A lane that this session never used: what is still under way on an old one is not taken for the new room's.

        None when the connection has no more; then the session ends, and a client that dials again has them all.
        """
        if self._lanes_used >= MAX_ROOM_LANES:
            self.close(CloseCode.GOING_AWAY, "This connection has joined rooms very often. Connect again.")
            return None
        self._lanes_used += 1
        return CONTROL_LANE + self._lanes_used

    def add_room(self, member: "Membership") -> None:
        self.rooms[member.room.name] = self._lanes[member.lane] = member

    def leave_room(self, member: "Membership") -> None:
        """The session goes on without the room."""
        del self.rooms[member.room.name], self._lanes[member.lane]
        self.told_of -= {member.room.name}
        self.chat.hub.leave(member, lingers=False)

    @property
    def owed(self) -> int:
        """Bytes that the far side has not acknowledged, and rooms in which it is behind."""
        backlog = self.connection.backlog
        return backlog(CONTROL_LANE) + sum(map(backlog, self._lanes)) + len(self.feed.behind)

    def put_out_of(self, member: "Membership", why: str) -> None:
        """The session goes on without the room, and is told."""
        self.leave_room(member)
        self._send(PutOut(room=member.room.name, lane=member.lane, text=why))

    def leave_rooms(self) -> None:
        """Leave every room for good."""
        for member in list(self.rooms.values()):
            self.leave_room(member)

    async def _let_in(self) -> bool:
        """Serve the session until it has a user; False where that took too long, or it was closed."""
        with trio.CancelScope(deadline=self.since + ADMISSION_S) as self._patience:
            while not self.admitted and self._closed is None:
                await self._turn()
        self._patience = None
        return self.admitted

    async def _turn(self) -> None:
        """Wait for events, and take them."""
        await self._wake.wait()
        self._wake = trio.Event()
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, Closed):
                self._closed = event
                return
            if isinstance(event, LaneDrained):
                self.feed.on_drained(event.lane)
            elif not self.connection.closed:
                await self._take(event)
        self.chat.flush()

    async def _take(self, message: MessageReceived) -> None:
        try:
            await self._take_untrusted(message)
        except RemoteProtocolError as error:
            self.chat.refusals[f"bad-{error.reason}"] += 1
            self.close(CloseCode.PROTOCOL, error.reason)
        if self._owed_too_much(message.lane):
            self.chat.refusals["bad-flow-control"] += 1
            self.close(CloseCode.FLOW_CONTROL, "More was asked for than was taken.")

    async def _take_untrusted(self, message: MessageReceived) -> None:
        if message.lane == CONTROL_LANE:
            await self._take_request_untrusted(message.data)
        elif member := self._lanes.get(message.lane):
            said = decode_from_member_untrusted(message.data)
            if isinstance(said, Confirm):
                self.chat.confirmations.take(member, said)
                return
            await self.chat.journal.wait_room()
            await self.chat.posts.take(member, self.user.device, said)
        elif message.lane > self._lanes_used:
            raise RemoteProtocolError("lane")  # the others are rooms that it left: its posts were on their way

    async def _take_request_untrusted(self, data: bytes) -> None:
        request = decode_request_untrusted(data)
        admission = self._admission
        if admission is None:
            self._send(await answer(self, request))
            return
        self._send(await admission.answer(request))
        if admission.user is not None:
            self._user, self._admission = admission.user, None
            if self._patience is not None:
                self._patience.deadline = math.inf  # what is being asked for in the same breath is not to be cut off
            self._on_admitted(self)
        elif admission.exhausted:
            await self._refuse_more()

    async def _refuse_more(self) -> None:
        """Say goodbye, but not before the last refusal was heard: a close drops what is still queued."""
        self.chat.flush()
        with trio.move_on_after(FAREWELL_S):
            while self.connection.backlog(CONTROL_LANE) and not self.connection.closed:  # noqa: ASYNC110
                await trio.sleep(0.02)  # no event tells of the last few bytes
        self.close(CloseCode.REFUSED, "Too many tries. Connect again.")

    def _send(self, message: FromDaemon) -> None:
        if isinstance(message, Refused):
            self.chat.refusals[message.code.value] += 1
        if not self.connection.closed:
            self.connection.send(CONTROL_LANE, encode(message))

    def _owed_too_much(self, lane: int) -> bool:
        backlog = self.connection.backlog
        if backlog(lane) <= MAX_OWED_BYTES // 16:
            return False
        return backlog(CONTROL_LANE) + sum(map(backlog, self._lanes)) > MAX_OWED_BYTES

    async def _read_entries(self, room: str, after: int, count: int) -> list[bytes]:
        return await self.chat.blocking.reading(self.chat.log.entries, room, after, count)

    def _leave_all(self) -> None:
        closed = self._closed
        gone = closed is not None and (
            closed.code == CloseCode.IDLE or (closed.by_peer and closed.code == CloseCode.NORMAL)
        )
        for member in self.rooms.values():
            self.chat.hub.leave(member, lingers=not gone)
        self.rooms.clear()
        self._lanes.clear()
