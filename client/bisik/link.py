"""The link to one server: held for ever, through lost networks, sleep, restarts of the daemon, and silence.

It dials, drives what talks on the connection (`conversation` or `newcomer`: a `Talk`), notices when the connection is
of no more use, and dials again by itself; when the far side falls silent it looks for another way while it keeps the
one it has. It says in words how things stand. What is said over the link is not its matter.
"""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio

from bisik.awake import SleepWatch
from bisik.backoff import Backoff
from bisik.dial import dial
from bisik.errors import BisikError, Unreachable
from bisik.events import LinkChanged, LinkState
from bisik.i18n import N_, _
from bisik.line import Line
from bisik_protocol.crypto.identity import ServerPublic
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, Closed, MessageReceived
from bisik_protocol.transport.stats import ConnectionStats

ROUND_S: Final = 10.0  # of trying all addresses; then they are looked up anew
LOOK_EVERY_S: Final = 1.0  # at clocks, addresses and silence
SILENT_S: Final = 6.5  # mosh's 'last contact'
EXPECT_S: Final = 2.0  # without a word while an answer is due: then a question is put that any server answers
REDIAL_S: Final = 15.0  # of silence, until another way is looked for
HEALTHY_S: Final = 5.0  # a connection that lasted so long was a good one: the next try is made at once
GOODBYE_S: Final = 1.0
LATER_S: Final = 10.0  # the server asked for patience

_REASONS: Final = {
    CloseCode.GOING_AWAY: N_("The server is going down for a while."),
    CloseCode.RESET: N_("The server was restarted."),
    CloseCode.IDLE: N_("The server had not heard from us for too long."),
    CloseCode.PROTOCOL: N_("The server and this client do not understand each other."),
    CloseCode.INTERNAL: N_("Something went wrong in the server."),
}


class Talk(Protocol):
    """What speaks on the connection."""

    @property
    def failure(self) -> BisikError | None: ...
    @property
    def come_back_later(self) -> str | None: ...
    @property
    def is_expecting(self) -> bool: ...
    def on_connected(self, channel_binding: bytes, server: ServerPublic) -> None: ...
    def on_disconnected(self) -> None: ...
    def receive_message_untrusted(self, lane: int, data: bytes, now: float) -> None: ...
    def messages_to_send(self) -> list[tuple[int, bytes]]: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> None: ...


class Link:
    """`on_change` is told of each new state, `on_turn` whenever the talk may have something for its program."""

    def __init__(
        self,
        talk: Talk,
        *,
        host: str,
        port: int,
        fingerprint: bytes,
        on_change: Callable[[LinkChanged], None] = lambda _: None,
        on_turn: Callable[[], None] = lambda: None,
        line: Line | None = None,
    ) -> None:
        """`line` was dialled before: the link begins on it, and closes it."""
        self.state = LinkState.CONNECTING
        self.last_trouble: str | None = None
        """Why the last try to reach the server failed."""
        self._talk = talk
        self._host = host
        self._port = port
        self._fingerprint = fingerprint
        self._on_change = on_change
        self._on_turn = on_turn
        self._backoff = Backoff(random.random)
        self._line: Line | None = None
        self._next_line = line  # or one that was found while the last one was silent
        self._closed: Closed | None = None
        self._unanswered_s = 0.0  # at the last look
        self._refused = False  # was told: the other machine says that nobody listens
        self.reached = False
        """Whether there ever was a connection."""
        self.failed: BisikError | None = None
        """Why the link has ended for good."""
        self._leaving = False
        self._wait = trio.CancelScope()
        self._over = trio.Event()

    async def run(self) -> None:
        """Hold the link until `leave`, or until it has `failed`: another identity answers, or the talk has failed."""
        try:
            while not self._leaving and self.failed is None:
                line = await self._next()
                if line is not None:
                    await self._converse(line)
                self.failed = self.failed or self._talk.failure
        except BisikError as error:
            self.failed = error
        finally:
            if self._next_line is not None:
                self._next_line.close()
            self._over.set()
            self._on_turn()

    @property
    def never_reached(self) -> bool:
        """A whole round of trying has failed, and none has ever succeeded."""
        return not self.reached and self.last_trouble is not None

    def kick(self) -> None:
        """The talk may have something to send."""
        if self._line is not None and self._line.endpoint.connection is not None:
            self._send(self._line.endpoint.connection)
            self._line.flush()

    def stats(self) -> ConnectionStats | None:
        """How the connection does; None while there is none."""
        connection = None if self._line is None else self._line.endpoint.connection
        return None if connection is None else connection.stats(trio.current_time())

    async def leave(self) -> None:
        """Say goodbye, wait a moment for the answer, and end `run`."""
        self._leaving = True
        self._wait.cancel()
        if self._line is None:
            return
        self._line.endpoint.close(CloseCode.NORMAL)
        self._line.flush()
        with trio.move_on_after(GOODBYE_S, shield=True):
            await self._over.wait()

    # Finding a line ---------------------------------------------------------------------------------------------

    async def _next(self) -> Line | None:
        """The next line to talk on; None where it is time to look whether to go on."""
        if self._next_line is not None:
            line, self._next_line = self._next_line, None
            return line
        with trio.CancelScope() as self._wait:
            if self._leaving:
                return None
            self._tell(
                LinkState.CONNECTING, _("Connecting to {host} port {port} …").format(host=self._host, port=self._port)
            )
            try:
                return await dial(self._host, self._port, self._fingerprint, timeout_s=ROUND_S)
            except Unreachable as error:
                await self._rest(str(error))
        return None

    async def _rest(self, why: str, at_least_s: float = 0.0) -> None:
        wait_s = max(self._backoff.next_wait(), at_least_s)
        self.last_trouble = why
        self._tell(LinkState.WAITING, why, retry_in_s=wait_s)
        await trio.sleep(wait_s)

    # Talking on it ----------------------------------------------------------------------------------------------

    async def _converse(self, line: Line) -> None:
        connection, server = line.endpoint.connection, line.endpoint.server
        if connection is None or server is None:
            return
        self._line, self._closed = line, None
        line.on_events = lambda: self._turn(connection)
        where = _("again") if self.reached else _("to {host} port {port}").format(host=self._host, port=self._port)
        self.reached = True
        began = trio.current_time()
        try:
            self._talk.on_connected(connection.channel_binding, server)
            self._tell(LinkState.CONNECTED, _("Connected {where}.").format(where=where))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, line, connection, nursery.cancel_scope)
                self._turn(connection)
                await line.run()
                nursery.cancel_scope.cancel()
        finally:
            self._line = None
            line.close()
            self._talk.on_disconnected()
        await self._after(trio.current_time() - began)

    async def _after(self, lasted_s: float) -> None:
        if self._leaving or self.failed or self._talk.failure or self._next_line is not None:
            return
        if lasted_s > HEALTHY_S:
            self._backoff.reset()
        with trio.CancelScope() as self._wait:
            if self._talk.come_back_later is not None:
                await self._rest(self._talk.come_back_later, LATER_S)
            elif self._closed is not None:
                await self._rest(_reason(self._closed))

    def _turn(self, connection: Connection) -> None:
        """Take what came, send what is to be sent."""
        try:
            while (event := connection.next_event()) is not None:
                if isinstance(event, MessageReceived):
                    self._take(connection, event)
                elif isinstance(event, Closed):
                    self._closed = event
        except BisikError as error:  # the home cannot be used any more
            self.failed = error
            connection.close(CloseCode.NORMAL)
        if self._talk.failure is not None or self._talk.come_back_later is not None:
            connection.close(CloseCode.NORMAL)
        self._send(connection)
        self._on_turn()

    def _take(self, connection: Connection, message: MessageReceived) -> None:
        if connection.closed:
            return
        try:
            self._talk.receive_message_untrusted(message.lane, message.data, trio.current_time())
        except RemoteProtocolError as error:
            connection.close(CloseCode.PROTOCOL, error.reason)
            self._closed = Closed(code=CloseCode.PROTOCOL, reason=error.reason, by_peer=False)

    def _send(self, connection: Connection) -> None:
        for lane, message in self._talk.messages_to_send():
            if not connection.closed:
                connection.send(lane, message)

    # Watching it ------------------------------------------------------------------------------------------------

    async def _watch(self, line: Line, connection: Connection, scope: trio.CancelScope) -> None:
        """Look about once a second whether the world around the connection has changed."""
        sleep = SleepWatch(every_s=LOOK_EVERY_S, monotonic=time.monotonic(), wall=time.time())
        async with trio.open_nursery() as nursery:
            redialing: trio.CancelScope | None = None
            while True:
                await trio.sleep(LOOK_EVERY_S)
                if line.unsendable or line.moved():
                    line.reopen()
                elif sleep.slept(monotonic=time.monotonic(), wall=time.time()):
                    line.wake()
                self._handle_timeout(line, connection)
                if self._talk.is_expecting and trio.current_time() - connection.last_heard > EXPECT_S:
                    connection.ping()  # the answer may be lost on a way that is dead: find out
                    line.flush()
                stats = connection.stats(trio.current_time())
                silence_s = max(stats.silence_s, stats.unanswered_s)
                self._tell_silence(stats, line)
                if silence_s < SILENT_S and redialing is not None:
                    redialing.cancel()
                    redialing = None
                elif silence_s > REDIAL_S and redialing is None:
                    redialing = trio.CancelScope()
                    nursery.start_soon(self._redial, redialing, scope)

    async def _redial(self, redialing: trio.CancelScope, scope: trio.CancelScope) -> None:
        """Look for another way while the old one may yet come back; the first of both wins."""
        with redialing:
            while True:
                try:
                    self._next_line = await dial(self._host, self._port, self._fingerprint, timeout_s=ROUND_S)
                    break
                except Unreachable:
                    await trio.sleep(self._backoff.next_wait())
                except BisikError as error:  # another server answers there, and ours does not
                    self.failed = error
                    break
            scope.cancel()

    def _handle_timeout(self, line: Line, connection: Connection) -> None:
        deadline = self._talk.next_timeout()
        if deadline is not None and deadline <= trio.current_time():
            self._talk.handle_timeout(trio.current_time())
            self._send(connection)
            line.flush()

    def _tell_silence(self, stats: ConnectionStats, line: Line) -> None:
        """Which of both ways is dead makes a difference to somebody who looks for the reason."""
        refused, line.refusals = line.refusals > 0, 0
        if self.state is LinkState.SILENT:
            if stats.unanswered_s < self._unanswered_s or not (stats.unanswered_s or refused):
                self._tell(LinkState.CONNECTED, _("The server answers again."))
            elif refused and not self._refused:
                self._tell_refused()
        elif refused:
            self._tell_refused()
        elif stats.silence_s > SILENT_S:
            self._tell(
                LinkState.SILENT,
                _("No answer from the server for {silence_s:.0f} s; still trying.").format(silence_s=stats.silence_s),
            )
        elif stats.unanswered_s > SILENT_S:
            self._tell(LinkState.SILENT, _("We hear the server, and it does not hear us; still trying."))
        self._unanswered_s = stats.unanswered_s

    def _tell_refused(self) -> None:
        text = _("Nobody is listening at {host} port {port} now; still trying.")
        self._tell(LinkState.SILENT, text.format(host=self._host, port=self._port), refused=True)

    def _tell(self, state: LinkState, text: str, *, retry_in_s: float | None = None, refused: bool = False) -> None:
        self.state, self._refused = state, refused
        self._on_change(LinkChanged(state=state, text=text, retry_in_s=retry_in_s, refused=refused))
        self._on_turn()


@asynccontextmanager
async def held(link: Link, *, beside: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[None]:
    """Hold a link while the body runs. What the body raises comes out as it is, not in a group.

    `beside` is something that may take its time meanwhile; it raises nothing.
    """
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        if beside is not None:
            nursery.start_soon(beside)
        try:
            yield
        except trio.Cancelled:
            await link.leave()
            raise
        except BaseException as error:  # raised again below, once the nursery is closed
            raised = error
        await link.leave()
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised


def _reason(closed: Closed) -> str:
    if closed.code == CloseCode.REFUSED and closed.reason:
        return _("The server ended the session: {reason}").format(reason=closed.reason)
    known = {int(code): sentence for code, sentence in _REASONS.items()}
    return _(known.get(closed.code, N_("The server ended the session.")))
