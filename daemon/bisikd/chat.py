"""The chat itself, put together: journal, rooms, posts and the door, over a log and accounts that are given.

Nothing here opens a socket, a file or a thread, so that a simulation runs this same chat over its own network, its
own disk and its own clock.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bisik_protocol.chat.messages import Entry
from bisik_protocol.chat.statements import Statement
from bisikd.admission import Doorkeeper
from bisikd.config import Limits
from bisikd.confirmations import ConfirmationDesk
from bisikd.guard import Guard
from bisikd.journal import Journal
from bisikd.log.facts import device_record
from bisikd.posts import PostDesk
from bisikd.rooms import Hub

if TYPE_CHECKING:
    from bisikd.blocking import Blocking
    from bisikd.log.format import Record
    from bisikd.log.store import Log
    from bisikd.passwords import Passwords
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
    ) -> None:
        self.log = log
        self.users = users
        self.blocking = blocking
        self.limits = Limits() if limits is None else limits
        self.now = now
        self.flush = flush
        self.journal = Journal(log, now_ms=now_ms, writing=blocking.writing, flush=flush, tell=tell)
        self.hub = Hub(
            log.heads(),
            log.presence(),
            journal=self.journal,
            max_rooms=self.limits.rooms,
            now=now,
            on_entry=on_entry,
        )
        self.refusals: Counter[str] = Counter()  # requests and posts refused, and sessions ended for what they sent
        self.posts = PostDesk(hub=self.hub, log=log, reading=blocking.reading, refusals=self.refusals)
        self.confirmations = ConfirmationDesk(flush)
        self.doorkeeper = Doorkeeper(
            users=users,
            passwords=passwords,
            guard=Guard() if guard is None else guard,
            journal=self.journal,
            join_hash=join_hash,
            blocking=blocking,
            now=now,
            now_ms=now_ms,
        )


def missing_devices(log: "Log", users: "UserStore", now_ms: int) -> "Iterator[Record]":
    """What the log has to be told before it can tell whose keys are whose, after accounts were restored or edited."""
    for user in users:
        for device in user.devices:
            known = log.device(device.key_hash)
            if known is None or known[0] != user.name:
                yield device_record(user.name, device.modulus, now_ms)
