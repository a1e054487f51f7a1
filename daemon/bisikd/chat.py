"""The chat itself, put together: journal, rooms, posts and the door, over a log and accounts that are given.

Nothing here opens a socket, a file or a thread, so that a simulation runs this same chat over its own network, its
own disk and its own clock.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bisik_protocol.chat.messages import CONTROL_LANE, Code, DirectNews, Entry, Presence, encode
from bisik_protocol.chat.statements import Statement
from bisikd.admission import Doorkeeper
from bisikd.config import Limits
from bisikd.confirmations import ConfirmationDesk
from bisikd.directs import Directs
from bisikd.guard import Guard
from bisikd.invites import Invites
from bisikd.journal import Journal
from bisikd.log.facts import device_record
from bisikd.login_ids import LoginIds
from bisikd.moderation import Moderation
from bisikd.moderators import Moderators
from bisikd.permissions import Objection, Permissions
from bisikd.posts import PostDesk
from bisikd.proofs import Proofs
from bisikd.rates import Rates, cost_of
from bisikd.requests import DAY_S
from bisikd.rooms import Hub, Membership, Room

if TYPE_CHECKING:
    from bisikd.blocking import Blocking
    from bisikd.log.format import Record
    from bisikd.log.store import Log
    from bisikd.passwords import Passwords
    from bisikd.sessions import Sessions
    from bisikd.users import UserStore


class Chat:
    """What all sessions share.

    `now` is the transport's clock in seconds, `now_ms` the wall clock in milliseconds; `flush` sends what was queued
    on connections; `on_entry` is told of each stored entry; `tell` is given sentences for the operator;
    `join_hash` gives the join password's stored form.
    """

    def __init__(
        self,
        *,
        log: "Log",
        users: "UserStore",
        passwords: "Passwords",
        join_hash: Callable[[], str],
        blocking: "Blocking",
        now: Callable[[], float],
        now_ms: Callable[[], int],
        flush: Callable[[], None],
        on_entry: Callable[[Entry, Statement | None], None],
        tell: Callable[[str], None],
        limits: Limits | None = None,
        guard: Guard | None = None,
        moderation: Moderation | None = None,
        invites: Invites | None = None,
    ) -> None:
        self.log = log
        self.users = users
        self.blocking = blocking
        self.limits = Limits() if limits is None else limits
        self.now = now
        self.now_ms = now_ms
        self.flush = flush
        self.moderation = Moderation() if moderation is None else moderation
        self.sessions: Sessions | None = None  # who is here; set by `Sessions`
        self.journal = Journal(log, now_ms=now_ms, writing=blocking.writing, flush=flush, tell=tell)
        self.proofs = Proofs(log, journal=self.journal, reading=blocking.reading)
        self.hub = Hub(
            log.heads(),
            log.presence(),
            journal=self.journal,
            max_rooms=self.limits.rooms,
            now=now,
            on_entry=on_entry,
        )
        self.refusals: Counter[str] = Counter()  # requests and posts refused, and sessions ended for what they sent
        self.rates = Rates()
        self.new_rooms = Rates()
        self.permissions = Permissions(users, self.moderation, now_ms)
        self.directs = Directs(users, self.hub)
        self.moderators = Moderators(self)
        self.posts = PostDesk(
            hub=self.hub,
            log=log,
            reading=blocking.reading,
            refusals=self.refusals,
            objection=self._objection_to_post,
            recipients=self.directs.recipients,
            on_direct=self._on_direct,
        )
        self.confirmations = ConfirmationDesk(flush, self.present)
        self.doorkeeper = Doorkeeper(
            users=users,
            passwords=passwords,
            login_ids=LoginIds(passwords, blocking.hashing),
            guard=Guard() if guard is None else guard,
            journal=self.journal,
            join_hash=join_hash,
            blocking=blocking,
            now=now,
            now_ms=now_ms,
            permissions=self.permissions,
            invites=Invites() if invites is None else invites,
        )

    def settle(self) -> None:
        """What has to be looked at now and then."""
        self.hub.settle()
        self.rates.settle(self.now(), self.limits.messages_per_second)
        self.new_rooms.settle(self.now(), self.limits.new_rooms_per_day / DAY_S)

    def _objection_to_post(self, name: str, room: str, size: int) -> Objection | None:
        """Why what somebody says is not taken now: what moderators decided, or how fast it comes."""
        objection = self.permissions.objection_to_post(name, room)
        if objection is not None:
            return objection
        rate = self.limits.messages_per_second
        wait_s = self.rates.take(self.now(), name, cost_of(size), burst=self.limits.messages_burst, per_second=rate)
        if not wait_s:
            return None
        text = (
            f"You send faster than this server takes it, {rate:g} messages a second. The rest is kept, and follows."
        )
        return Objection(Code.TRY_LATER, text, math.ceil(wait_s * 1000))

    def present(self, room: Room) -> set[str]:
        """Whose confirmations count in a room: those who are in it; in a direct room both, wherever they are."""
        return {user.name for user in self.directs.people(room.name)} if room.direct else room.presence.stored

    def _on_direct(self, room: Room) -> None:
        """Something was said there: the sessions of both that do not read it hear that there is something."""
        if room.head == 1:
            self.directs.on_begun(room.name)
        people = list(self.directs.people(room.name))
        for user in people:
            other = self.directs.other(user, room.name)
            called = self.directs.other_name(user, room.name) if other is None else other.name
            news = encode(DirectNews(room.name, called))
            for session in () if self.sessions is None else self.sessions.of_user(user.name):
                member = session.rooms.get(room.name)
                reads = member is not None and member.presence is not Presence.WRITER
                if not reads and room.name not in session.told_of:
                    session.told_of |= {room.name}
                    session.connection.send(CONTROL_LANE, news)

    def set_limits(self, limits: Limits) -> None:
        """From now on these hold; what is above one of them already stays."""
        self.limits = limits
        self.hub.max_rooms = limits.rooms

    # What moderators decided, for those who are here ---------------------------------------------------------------

    def put_out(self, room: Room, wanted: Callable[[Membership], bool], why: str) -> None:
        """End the memberships for which `wanted` holds, and tell their sessions."""
        for session in list(self.sessions or ()):
            member = session.rooms.get(room.name)
            if member is not None and wanted(member):
                session.put_out_of(member, why)
        self.flush()

    def put_out_strangers(self, room: Room) -> None:
        """The room's rules have changed: whoever it does not let in any more goes."""
        self.put_out(
            room,
            lambda member: not self.permissions.may_enter(member.name, room.name),
            f"{room.name} is private now, and you are not among those whom it lets in.",
        )
        for name in sorted(room.presence.shown):
            if not self.permissions.may_enter(name, room.name):
                self.hub.dismiss(room, name)

    def expel_banned(self) -> None:
        """There is a new ban: end the sessions that it is on."""
        for session in list(self.sessions or ()):
            refusal = self.permissions.refusal_of_session(session)
            if refusal is not None and self.sessions is not None:
                self.sessions.expel(session, refusal)


def missing_devices(log: "Log", users: "UserStore", now_ms: int) -> "Iterator[Record]":
    """What the log has to be told before it can tell whose keys are whose, after accounts were restored or edited."""
    for user in users:
        for device in user.devices:
            known = log.device(device.key_hash)
            if known is None or known[0] != user.name:
                yield device_record(user.name, device.modulus, now_ms)
