"""The daemon's task tree: what runs beside what, what starts when, and in which order everything ends.

    service
    ├── console                          outlives all, to tell how it ended
    └── base: UDP driver, journal        outlive the sessions: what these queued is stored and sent
        └── work: sessions, presence, housekeeping, administration, watchdog

A stop lets the journal finish what was taken, so that every receipt that can be given is given; then the sessions
end, every client is told to come back, and the log is signed and closed. A failed disk ends all of it at once, and
nobody is told anything that may not be true.
"""

import gc
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.config import SERVER_CONFIG
from bisik_protocol.transport.events import CloseCode, ConnectionOpened
from bisik_protocol.transport.handshake_limit import HandshakeLimit
from bisik_protocol.transport.server import ServerEndpoint
from bisik_protocol.wire.packets import MIN_DATAGRAM_BYTES
from bisikd.accounts import Accounts
from bisikd.admin import Commands, open_admin_socket, remove_admin_socket, serve_admin
from bisikd.administration import Administration
from bisikd.blocking import in_threads
from bisikd.chat import Chat, missing_devices
from bisikd.console import Console
from bisikd.draining import Draining
from bisikd.errors import BisikdError
from bisikd.invitation import Ready, ready_of
from bisikd.invites import Invites, open_invites
from bisikd.inviting import Inviting
from bisikd.journald import Happening, JournalSocket
from bisikd.log import IndexDamaged, Log, LogDamaged, LogFull, parse_keep
from bisikd.logkeys import keep_server_keys, load_auditor
from bisikd.moderation import Moderation, open_moderation
from bisikd.notify import Notifier
from bisikd.passwords import Passwords
from bisikd.reloading import Reloading, reload_for_people
from bisikd.scraping import open_metrics_socket, serve_metrics
from bisikd.sessions import Sessions
from bisikd.sockets import forbid_fragments, open_udp_socket, passed_socket, shown_address
from bisikd.state import StateDirectory
from bisikd.status import directs_status, disk_status, rooms_status, session_status, version_of
from bisikd.udp import UdpDriver
from bisikd.users import UserStore
from bisikd.watchdog import Watchdog

if TYPE_CHECKING:
    import socket

    from bisikd.config import Configuration, Settings

COOKIE_KEY_BYTES: Final = 32
HOUSEKEEPING_S: Final = 10.0
RETENTION_S: Final = 600.0
ANNOUNCE_S: Final = 30.0  # at the least, between two heads of the log that everybody is told of
STOP_S: Final = 8.0  # for storing what was taken; systemd kills after 90, people before that


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Everything that has to be open before the first datagram."""

    settings: "Settings"
    state: StateDirectory
    users: UserStore
    log: Log
    sock: "socket.socket"
    console: Console
    passwords: Passwords
    moderation: Moderation = field(default_factory=Moderation)
    invites: Invites = field(default_factory=Invites)
    configuration: "Configuration | None" = None  # what the settings were read from; None: they cannot be read anew


class RefusesDamage(BisikdError):  # noqa: N818 # reads as what it says
    """The log is damaged where the start reads it."""


def serve(configuration: "Configuration", *, as_json: bool) -> None:
    """Open everything, serve until a signal, close everything. Blocks; raises BisikdError with a sentence."""
    settings = configuration.settings
    with (
        StateDirectory.open_or_create(settings.state) as state,
        passed_socket() or open_udp_socket(settings.listen) as sock,
    ):
        users = UserStore.open(state.users_directory)
        moderation, invites = open_moderation(state.path), open_invites(state.path)
        opened = Opened(
            settings=settings,
            state=state,
            users=users,
            log=open_log(settings, state, users),
            sock=sock,
            console=Console(as_json=as_json, journal=JournalSocket.from_environment()),
            passwords=Passwords(),
            moderation=moderation,
            invites=invites,
            configuration=configuration,
        )
        gc.freeze()  # what is there by now stays
        gc.enable()
        try:
            trio.run(_run, opened)
        except BaseExceptionGroup as group:
            raise _first_of(group) from group


def open_log(settings: "Settings", state: StateDirectory, users: UserStore) -> Log:
    """Open the log, and tell it of devices that only the accounts know. Raises LogError, UsageProblem."""
    auditor = None if settings.log.auditor is None else load_auditor(state.path / settings.log.auditor)
    try:
        log = Log.open(state.log_directory, state.identity, now_ms=wall_clock_ms, auditor=auditor)
    except IndexDamaged:
        raise
    except LogDamaged as error:
        raise RefusesDamage(
            f"{error}\nNothing was changed. What is wrong: `bisikd log verify --state {state.path}`. What is whole, "
            f"copied to a new log: `bisikd log salvage {state.log_directory} NEW --state {state.path}`"
        ) from None
    try:
        keep_server_keys(state.log_directory, state.identity.public)
        log.append(list(missing_devices(log, users, wall_clock_ms())))
    except BaseException:
        log.close()
        raise
    return log


async def _run(opened: Opened) -> None:
    await Service(opened).run()


def living_tasks() -> int:
    """How many tasks there are, Trio's own among them. A session's end with it, so this returns to where it was."""
    return trio.lowlevel.current_statistics().tasks_living


def _stop_signals() -> set[signal.Signals]:
    """With a terminal, SIGHUP says that it was closed."""
    closed = {signal.SIGHUP} if sys.stdin is not None and sys.stdin.isatty() else set()
    return {signal.SIGTERM, signal.SIGINT} | closed


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure that ended the daemon; what it made fail on the way down is in its context."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Service:
    """One run of the daemon."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._console = opened.console
        state = opened.state
        config = SERVER_CONFIG
        if not forbid_fragments(opened.sock):
            config = replace(config, max_datagram_bytes=MIN_DATAGRAM_BYTES)
        self._endpoint = ServerEndpoint(
            identity=state.identity,
            cookie_key=os.urandom(COOKIE_KEY_BYTES),
            reset_key=state.reset_key,
            random=os.urandom,
            config=config,
            limit=HandshakeLimit(),
        )
        self._driver = UdpDriver(opened.sock, self._endpoint, self._on_events)
        self._blocking = in_threads()
        self._chat = Chat(
            log=opened.log,
            users=opened.users,
            passwords=opened.passwords,
            join_hash=lambda: state.join_hash,
            blocking=self._blocking,
            now=trio.current_time,
            now_ms=wall_clock_ms,
            flush=self._driver.flush,
            on_entry=self._console.entry,
            tell=lambda sentence: self._console.note(sentence, Happening.DISK),
            limits=opened.settings.limits,
            moderation=opened.moderation,
            invites=opened.invites,
        )
        self._sessions: Sessions | None = None
        self._started = trio.current_time()
        self._notifier = Notifier.from_environment()
        self._journal_done = trio.Event()
        self._announced: bytes | None = None
        self._announced_at = -math.inf
        self._stop_asked = trio.Event()
        self._settings = opened.settings
        self._reloading = Reloading(opened.configuration, self._apply)
        self._draining = Draining(self._chat, self._stop_asked.set)
        self._commands: Commands = {
            "status": self._status,
            "reload": self._reload,
            "drain": self._drain,
            **Inviting(self._chat, state, self._ready).commands(),
            **Administration(self._chat).commands(),
            **Accounts(self._chat.doorkeeper, self._put_out).commands(),
        }

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT, or the end of its terminal.

        Raises LogFailed when the disk does not keep its promises any more.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._console.run)
            try:
                with trio.open_signal_receiver(*_stop_signals()) as signals:
                    await self._serve(lambda: anext(signals))
            finally:
                self._notifier.close()
                nursery.cancel_scope.cancel()

    async def _serve(self, stop_signal: Callable[[], Any]) -> None:
        try:
            async with trio.open_nursery() as base:
                async with trio.open_nursery() as work:
                    self._work = work
                    self._sessions = Sessions(self._chat, work, self._report_failure)
                    base.start_soon(self._driver.run)
                    base.start_soon(self._write_journal)
                    work.start_soon(self._keep_house)
                    work.start_soon(self._keep_less)
                    work.start_soon(self._heed_hangups)
                    await self._start_administration(work)
                    self._start_metrics(work)
                    await self._tell_ready(work)
                    work.start_soon(self._chat.doorkeeper.login_ids.run)
                    work.start_soon(self._wait_for, stop_signal)
                    await self._stop_asked.wait()
                    await self._stop()
                    work.cancel_scope.cancel()
                base.cancel_scope.cancel()
        finally:
            self._say_goodbye()  # again, where it was a failure that ended it
        remove_admin_socket(self._opened.state.path)
        with trio.move_on_after(STOP_S):
            await trio.to_thread.run_sync(self._opened.log.close, abandon_on_cancel=True)

    async def _wait_for(self, stop_signal: Callable[[], Any]) -> None:
        await stop_signal()
        self._stop_asked.set()

    async def _stop(self) -> None:
        self._sessions = None  # nobody new
        self._notifier.stopping("Storing what was taken.")
        self._console.stopping()
        self._chat.journal.finish()
        with trio.move_on_after(STOP_S):
            await self._journal_done.wait()
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._endpoint.close_all(CloseCode.GOING_AWAY, "The server stops, and should be back soon.")
        self._driver.flush()

    async def _write_journal(self) -> None:
        await self._chat.journal.run()
        self._journal_done.set()

    def _on_events(self) -> None:
        while (event := self._endpoint.next_event()) is not None:
            if isinstance(event, ConnectionOpened):
                if self._sessions is None or self._draining.begun:
                    event.connection.close(CloseCode.GOING_AWAY, "The server stops.")
                else:
                    self._sessions.open(event.connection)
            elif self._sessions is not None:
                self._sessions.on_ready(event.connection)

    def _report_failure(self, report: str) -> None:
        self._console.note(
            f"A session failed, which is a bug in bisikd; the others go on.\n{report}", Happening.SESSION_FAILED
        )

    # Beside the chat -----------------------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_S)
            self._chat.settle()
            await self._chat.journal.sign_head()
            self._announce_checkpoint()
            self._notifier.status(self._summary())

    async def _keep_less(self) -> None:
        """Drop what is no longer to be kept, now and then."""
        while True:
            keep = self._settings.log.keep
            if keep is not None:
                try:
                    dropped = await self._blocking.writing(self._opened.log.prune, parse_keep(keep))
                except (LogFull, LogDamaged) as error:
                    self._console.note(f"{error} Nothing of the log was dropped.", Happening.DISK)
                else:
                    if dropped:
                        self._console.note(
                            f"{dropped} records of the log were dropped, as log.keep says.", Happening.DROPPED
                        )
            await trio.sleep(RETENTION_S)

    def _announce_checkpoint(self) -> None:
        """What clients have seen of the log is what it cannot be rolled back behind; so they see it soon."""
        note, now = self._chat.journal.checkpoint, trio.current_time()
        if note is None or note == self._announced or now - self._announced_at < ANNOUNCE_S or self._sessions is None:
            return
        self._announced, self._announced_at = note, now
        self._sessions.announce_checkpoint(note)
        self._driver.flush()

    async def _heed_hangups(self) -> None:
        """SIGHUP asks for the configuration to be read anew, as `bisikd reload` does; a service goes on."""
        if signal.SIGHUP in _stop_signals():
            return
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            async for _ in signals:
                with suppress(BisikdError):  # it has been said
                    await self._reload({})

    async def _tell_ready(self, nursery: trio.Nursery) -> None:
        state = self._opened.state
        self._console.ready(self._ready())
        for sentence in state.warnings:
            self._console.note(sentence, Happening.STATE)
        for damage in self._opened.users.damaged:
            self._console.note(str(damage), Happening.ACCOUNT_DAMAGED)
        if not self._notifier.active:
            return
        watchdog = Watchdog(self._opened.sock, self._driver, self._notifier)
        if not await watchdog.find_way():
            self._console.note(
                "Datagrams that bisikd sends to its own port do not arrive (a firewall on the loopback interface?), "
                "so systemd's watchdog can only see that it runs, not that it receives.",
                Happening.LIMITED,
            )
        self._notifier.ready(self._summary())
        if (interval_s := self._notifier.watchdog_interval_s) is not None:
            nursery.start_soon(watchdog.run, interval_s)

    def _summary(self) -> str:
        return f"{len(self._endpoint)} connections on {self._listen()}"

    def _listen(self) -> str:
        return shown_address(self._opened.sock.getsockname())

    def _ready(self) -> Ready:
        return ready_of(self._settings, self._opened.state, self._opened.sock.getsockname())

    # Administration ------------------------------------------------------------------------------------------------

    async def _start_administration(self, nursery: trio.Nursery) -> None:
        try:
            sock = open_admin_socket(self._opened.state.path)
        except OSError as error:
            words = f"Without an administration socket `bisikd status` cannot ask: {error.strerror}."
            self._console.note(words, Happening.LIMITED)
            return
        nursery.start_soon(serve_admin, sock, self._commands)

    def _start_metrics(self, nursery: trio.Nursery) -> None:
        """Raises BisikdError: a daemon that nobody can watch is not what was asked for."""
        where = self._settings.metrics.listen
        if where is None:
            return
        from bisikd.metrics import CONTENT_TYPE, Metrics, Sources  # noqa: PLC0415 # it brings a lot: for who asks

        state = self._opened.state
        metrics = Metrics(
            self._chat,
            Sources(
                version=version_of(),
                started_s=wall_clock_ms() / 1000,
                drops=self._drops,
                connections=lambda: len(self._endpoint),
                tasks=living_tasks,
                disk=lambda: disk_status(state.path, state.log_directory),
            ),
        )
        sock = open_metrics_socket(where, state.path)
        nursery.start_soon(serve_metrics, sock, metrics.text, CONTENT_TYPE)

    def _drops(self) -> "Counter[str]":
        """Everything that was not taken, by reason."""
        drops = Counter(self._endpoint.drops) + self._driver.counters
        if self._sessions is not None:
            drops.update({f"session-{reason}": count for reason, count in self._sessions.counters.items()})
        return drops

    def _put_out(self, name: str, code: CloseCode, reason: str) -> None:
        if self._sessions is not None:
            self._sessions.put_out(name, code, reason)

    async def _reload(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._reloading.reload()
        except BisikdError as error:
            self._console.note(str(error), Happening.RELOAD_REFUSED)
            raise
        self._console.note(reload_for_people(answer), Happening.RELOADED)
        return answer

    def _apply(self, settings: "Settings") -> None:
        self._settings = settings
        self._chat.set_limits(settings.limits)

    async def _drain(self, request: dict[str, Any]) -> dict[str, Any]:
        words = "Draining: nobody new, no new messages, and an end when everybody has what was stored."
        self._console.note(words, Happening.DRAINING)
        return self._draining.begin(self._work, request.get("within_s"))

    async def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        now = trio.current_time()
        journal = self._chat.journal
        sessions = self._sessions or ()
        return {
            "type": "status",
            "version": version_of(),
            "listen": self._listen(),
            "fingerprint": fingerprint_text(self._opened.state.identity.fingerprint),
            "uptime_s": round(now - self._started, 1),
            "sessions": [session_status(session, now) for session in sessions],
            "rooms": rooms_status(self._chat),
            "directs": directs_status(self._chat),
            "disk": await self._blocking.reading(
                disk_status, self._opened.state.path, self._opened.state.log_directory
            ),
            "users": len(self._opened.users),
            "tasks": living_tasks(),
            "drops": dict(self._drops()),
            "refused": dict(self._chat.refusals),
            "log": {
                "size": self._opened.log.tree_size,
                "records": journal.records_stored,
                "groups": journal.groups_stored,
                "times_full": journal.times_full,
                "checkpoint": (journal.checkpoint or b"").decode(),
            },
        }
