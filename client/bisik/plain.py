"""Line mode: one event a line, for terminals of any kind, pipes and screen readers.

It joins a chat, a screen and standard input; what typed lines do is in `desk`, how events look in `render`.
"""

import signal
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Final

import trio

from bisik.chat import PERSON, Chat
from bisik.desk import Desk
from bisik.errors import BisikError, Interrupted, LogMismatch, NotStored
from bisik.events import ChatEvent, DirectCalled, Event, Message, Notice, OwnMessage
from bisik.for_this_run import ForThisRun
from bisik.i18n import _, ngettext
from bisik.lineedit import LineEditor, Typed
from bisik.mentions import speaks_to
from bisik.render import Renderer
from bisik.screen import PlainScreen, Screen, TerminalScreen, single_keys
from bisik.slash import Where, completions
from bisik.stdin import EndOfInput, Stdin
from bisik.tui.ring import Bell
from bisik.tui.rooms import Ring
from bisik.typed import Command
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.text import harmless

FLUSH_S: Final = 20.0  # at the end of a pipe: how long to wait until everything is stored
PARTING_S: Final = 2.0  # the same for a person who leaves
_SIGNALS: Final = {
    name: getattr(signal, name) for name in ("SIGCONT", "SIGWINCH", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}
CONTEXT: Final = 20  # lines already read that a person who comes back is shown again


class LineMode:
    """A person, or a pipe, in the rooms of one chat."""

    where = Where.LINE

    def __init__(self, chat: Chat, screen: Screen, *, bell: Bell) -> None:
        self._bell = bell
        self._read: dict[str, int] = {}  # by room: what is shown once more, and rings no more
        self._chat = chat
        self._screen = screen
        self._renderer = Renderer()
        self._for_this_run = ForThisRun(bell.adjustable())
        self._editor = LineEditor(self._words)
        self._desk = Desk(chat, self)
        self._unseen: dict[str, str] = {}  # own messages that are stored and were not shown yet: id and room
        self._idle = trio.Event()  # replaced: set when nothing is on its way
        self._over = False
        self._failure: BisikError | None = None

    async def run(self, stdin: Stdin) -> None:
        """Until the person leaves. Raises NotStored when a pipe ends and something could not be sent."""
        rooms = self._chat.remembered_rooms()
        for room in rooms:
            self._chat.follow(room, context=CONTEXT)
        self._chat.follow_directs(context=CONTEXT)
        for room in self._chat.rooms:
            self._read[room] = self._chat.read_up_to(room, PERSON)
        self.speak_in(LOBBY if LOBBY in rooms else rooms[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_events, nursery.cancel_scope)
            if isinstance(self._screen, TerminalScreen | PlainScreen):
                with single_keys() as begin, closing(self._screen):
                    await nursery.start(self._watch_signals, begin, nursery.cancel_scope)
                    await self._read_keys(stdin)
                    await self._part(PARTING_S)
            else:
                await self._read_lines(stdin)
                await self._part(FLUSH_S)
            nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        waiting = self._chat.waiting
        if waiting and self._chat.log_alarm is not None:
            raise LogMismatch(self._chat.log_alarm.sentence)
        if waiting:
            raise NotStored(
                ngettext(
                    "{n} of your messages could not be sent yet: kept, and sent the next time.",
                    "{n} of your messages could not be sent yet: kept, and sent the next time.",
                    waiting,
                ).format(n=waiting)
            )

    # Hearing ----------------------------------------------------------------------------------------------------

    async def _show_events(self, scope: trio.CancelScope) -> None:
        try:
            async for event in self._chat.everything():
                self._show(event)
        except BisikError as error:
            self._failure = error
            scope.cancel()

    def _show(self, event: Event) -> None:
        if self._desk.hides(event):
            return
        if isinstance(event, DirectCalled):
            self._on_called(event)
            return
        day = self._renderer.day_line(event)
        line = self._renderer.line(event)
        if day is not None:
            self._screen.talk(day)
        if line is not None:
            if isinstance(event, ChatEvent):
                self._screen.show(line)
            else:
                self._screen.talk(line)
        if isinstance(event, Message):
            self._unseen.pop(event.id, None)
            self._ring(event)
        if isinstance(event, OwnMessage):
            self._note(event)
            self._draw()
        if self._chat.log_alarm is not None or (not self._unseen and not self._chat.waiting):
            self._idle.set()

    def _ring(self, message: Message) -> None:
        """For who speaks to the person, or for everybody, as it was chosen; not for what was read before."""
        if message.author == self._chat.name or message.seq <= self._read.get(message.room, 0):
            return
        worth = Ring.MENTION if speaks_to(message, self._chat.name) else Ring.MESSAGE
        self._screen.ring(self._bell.ring(worth, message.author, message.text, trio.current_time()))

    def _on_called(self, event: DirectCalled) -> None:
        """A conversation is new, or the other has another name now."""
        before = event.before
        if before is not None:
            self._read[event.room] = self._read.pop(before, 0)
            self._unseen = {id_: event.room if room == before else room for id_, room in self._unseen.items()}
            if self.room == before:
                self.speak_in(event.room)

    def _note(self, event: OwnMessage) -> None:
        """An own message is stored: it is seen when it comes back like everybody's."""
        receipt = self._chat.receipt(event.outbox_id)
        if receipt is not None and receipt.room in self._chat.rooms:
            self._unseen[receipt.id] = receipt.room

    def _draw(self) -> None:
        waiting = self._chat.waiting
        queued = ngettext(" ({n} queued)", " ({n} queued)", waiting).format(n=waiting) if waiting else ""
        self._screen.draw(f"{self.room}{queued}> ", self._editor.text)

    def _words(self, before: str) -> list[str]:
        """What Tab may put behind the beginning of a line."""
        return self._for_this_run.words(before) if before else completions("/", self.where)

    # Typing -----------------------------------------------------------------------------------------------------

    async def _read_keys(self, stdin: Stdin) -> None:
        self._draw()
        with suppress(EndOfInput):
            while not self._over:
                for typed in self._editor.feed(await stdin.keys()):
                    if typed is Typed.END:
                        return
                    if isinstance(typed, str):
                        self._screen.entered()
                        await self._desk.take(typed)
                self._draw()

    async def _read_lines(self, stdin: Stdin) -> None:
        with suppress(EndOfInput):
            while not self._over:
                await self._desk.take(await stdin.line())

    async def _watch_signals(
        self,
        begin: Callable[[], None],
        scope: trio.CancelScope,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """After ^Z the terminal has to be set again, after a change of its size the bottom line drawn again."""
        with trio.open_signal_receiver(*_SIGNALS.values()) as signals:
            task_status.started()
            async for received in signals:
                if received in (_SIGNALS.get("SIGTERM"), _SIGNALS.get("SIGHUP")):
                    self._failure = Interrupted(_("Told to stop."))
                    scope.cancel()
                elif received == _SIGNALS.get("SIGCONT"):
                    begin()
                self._draw()

    async def _part(self, patience_s: float) -> None:
        """Wait a little for what is still on its way."""
        with trio.move_on_after(patience_s):
            while (self._unseen or self._chat.waiting) and self._chat.log_alarm is None:
                self._idle = trio.Event()
                await self._idle.wait()

    # What the desk asks of its front -------------------------------------------------------------------------------

    @property
    def room(self) -> str:
        """The room that is spoken in."""
        return self._renderer.room

    def tell(self, sentence: str) -> None:
        self._screen.talk(f"-- {sentence}")

    def show_list(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._screen.talk(f"   {line}")

    def show_past(self, events: Sequence[ChatEvent | Notice]) -> None:
        past = Renderer()
        past.room = self.room
        for event in events:
            for line in (past.day_line(event), past.line(event)):
                if line is not None:
                    self._screen.talk(f"   {line}")

    def speak_in(self, room: str) -> None:
        self._renderer.room = room

    def on_left(self, room: str) -> None:
        self._unseen = {id_: where for id_, where in self._unseen.items() if where != room}

    def give_back(self, room: str, line: str) -> None:
        if room == self.room and not self._editor.text:
            self._editor.text = line

    def carry_out(self, command: Command) -> None:
        if command.name == "/set":
            for line in self._for_this_run.answer(command.argument):
                self.tell(harmless(line))

    def quit(self) -> None:
        self._over = True
