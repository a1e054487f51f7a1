"""Line mode: one event a line, for terminals of any kind, pipes and screen readers.

It joins a chat, a screen and standard input; what lines mean is in `typed`, how events look in `render`.
"""

import signal
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from typing import Final

import trio

from bisik.chat import Chat, room_name
from bisik.errors import BisikError, Interrupted, NotStored
from bisik.events import Event, Join, Leave, Message, OwnMessage
from bisik.lineedit import LineEditor, Typed
from bisik.render import Renderer, member_lines, room_lines
from bisik.screen import Screen, TerminalScreen, single_keys
from bisik.stdin import EndOfInput, Stdin
from bisik.typed import Command, Mistake, Say, help_lines, read_typed
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.text import harmless

FLUSH_S: Final = 20.0  # at the end of a pipe: how long to wait until everything is stored
ANSWER_S: Final = 8.0  # how long a command may wait for the server before typing goes on
PARTING_S: Final = 2.0  # the same for a person who leaves
_SIGNALS: Final = {
    name: getattr(signal, name) for name in ("SIGCONT", "SIGWINCH", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}
CONTEXT: Final = 20  # lines already read that a person who comes back is shown again


class LineMode:
    """A person, or a pipe, in the rooms of one chat."""

    def __init__(self, chat: Chat, screen: Screen) -> None:
        self._chat = chat
        self._screen = screen
        self._renderer = Renderer()
        self._room = ""
        self._editor = LineEditor()
        self._unseen: dict[str, str] = {}  # own messages that are stored and were not shown yet: id and room
        self._idle = trio.Event()  # replaced: set when nothing is on its way
        self._over = False
        self._failure: BisikError | None = None

    async def run(self, stdin: Stdin) -> None:
        """Until the person leaves. Raises NotStored when a pipe ends and something could not be sent."""
        rooms = self._chat.remembered_rooms()
        for room in rooms:
            self._chat.follow(room, context=CONTEXT)
        self._speak_in(LOBBY if LOBBY in rooms else rooms[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_events, nursery.cancel_scope)
            if isinstance(self._screen, TerminalScreen):
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
        if waiting:
            raise NotStored(f"{waiting} of your messages could not be sent yet: kept, and sent the next time.")

    # Hearing ----------------------------------------------------------------------------------------------------

    async def _show_events(self, scope: trio.CancelScope) -> None:
        try:
            async for event in self._chat.everything():
                self._show(event)
        except BisikError as error:
            self._failure = error
            scope.cancel()

    def _show(self, event: Event) -> None:
        day = self._renderer.day_line(event)
        line = self._renderer.line(event)
        if day is not None:
            self._screen.talk(day)
        if line is not None:
            if isinstance(event, Message | Join | Leave):
                self._screen.show(line)
            else:
                self._screen.talk(line)
        if isinstance(event, Message):
            self._unseen.pop(event.id, None)
        if isinstance(event, OwnMessage):
            self._note(event)
            self._draw()
        if not self._unseen and not self._chat.waiting:
            self._idle.set()

    def _note(self, event: OwnMessage) -> None:
        """An own message is stored: it is seen when it comes back like everybody's."""
        receipt = self._chat.receipt(event.outbox_id)
        if receipt is not None and receipt.room in self._chat.rooms:
            self._unseen[receipt.id] = receipt.room

    def _draw(self) -> None:
        waiting = self._chat.waiting
        self._screen.draw(f"{self._room}{f' ({waiting} queued)' if waiting else ''}> ", self._editor.text)

    # Typing -----------------------------------------------------------------------------------------------------

    async def _read_keys(self, stdin: Stdin) -> None:
        self._draw()
        with suppress(EndOfInput):
            while not self._over:
                for typed in self._editor.feed(await stdin.keys()):
                    if typed is Typed.END:
                        return
                    if isinstance(typed, str):
                        await self._act(typed)
                self._draw()

    async def _read_lines(self, stdin: Stdin) -> None:
        with suppress(EndOfInput):
            while not self._over:
                await self._act(await stdin.line())

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
                    self._failure = Interrupted("Told to stop.")
                    scope.cancel()
                elif received == _SIGNALS.get("SIGCONT"):
                    begin()
                self._draw()

    async def _act(self, line: str) -> None:
        typed = read_typed(line)
        try:
            if isinstance(typed, Say):
                await self._chat.queue(self._room, typed.text, kind="act" if typed.act else "say")
            elif isinstance(typed, Mistake):
                self._screen.talk(f"-- {harmless(typed.text)}")
            elif isinstance(typed, Command):
                await _COMMANDS[typed.name](self, typed.argument)
        except BisikError as error:
            self._screen.talk(f"-- {harmless(str(error))}")

    async def _part(self, patience_s: float) -> None:
        """Wait a little for what is still on its way."""
        with trio.move_on_after(patience_s):
            while self._unseen or self._chat.waiting:
                self._idle = trio.Event()
                await self._idle.wait()

    # Commands ---------------------------------------------------------------------------------------------------

    def _speak_in(self, room: str) -> None:
        self._room = self._renderer.room = room

    async def _join(self, argument: str) -> None:
        room = room_name(argument)
        if room not in self._chat.rooms:
            await self._patiently(self._chat.join(room))
        self._speak_in(room)
        self._screen.talk(f"-- You speak in {room} now.")

    async def _leave(self, argument: str) -> None:
        room = room_name(argument) if argument else self._room
        if room not in self._chat.rooms:
            self._screen.talk(f"-- You are not in {room}.")
            return
        if len(self._chat.rooms) == 1:
            self._screen.talk("-- That is the last room you are in; /quit leaves altogether.")
            return
        await self._patiently(self._chat.leave(room))
        self._unseen = {id_: where for id_, where in self._unseen.items() if where != room}
        self._screen.talk(f"-- You have left {room}.")
        if room == self._room:
            self._speak_in(self._chat.rooms[0])
            self._screen.talk(f"-- You speak in {self._room} now.")

    async def _rooms(self, argument: str) -> None:
        await self._patiently(self._list(self._room_lines))

    async def _who(self, argument: str) -> None:
        room = room_name(argument) if argument else self._room

        async def lines() -> list[str]:
            return member_lines(await self._chat.who(room))

        await self._patiently(self._list(lines))

    async def _room_lines(self) -> list[str]:
        return room_lines(await self._chat.list_rooms(), self._chat.rooms)

    async def _list(self, ask: Callable[[], Awaitable[list[str]]]) -> None:
        for line in await ask():
            self._screen.talk(f"   {line}")

    async def _help(self, argument: str) -> None:
        for line in help_lines():
            self._screen.talk(f"   {line}")

    async def _quit(self, argument: str) -> None:
        self._over = True

    async def _patiently(self, waiting: Awaitable[None]) -> None:
        """A question to the server must not hold up typing for ever."""
        with trio.move_on_after(ANSWER_S) as scope:
            await waiting
        if scope.cancelled_caught:
            self._screen.talk("-- The server does not answer now. Try again later.")


_COMMANDS: Final[dict[str, Callable[[LineMode, str], Awaitable[None]]]] = {
    "/join": LineMode._join,
    "/leave": LineMode._leave,
    "/rooms": LineMode._rooms,
    "/who": LineMode._who,
    "/help": LineMode._help,
    "/quit": LineMode._quit,
}
