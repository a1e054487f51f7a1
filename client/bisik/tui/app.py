"""The app: puts the widgets together, gives keys their meaning, and draws what the session says.

The first screen is painted before anything of the network or of cryptography is even imported; that is done in a
thread meanwhile, and then the session begins.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from textual import events
from textual.app import App, ComposeResult
from textual.containers import Horizontal

from bisik.events import Message
from bisik.for_this_run import Adjustable, ForThisRun
from bisik.i18n import N_, _
from bisik.slash import Where, available, completions
from bisik.tui.bars import LinkLine, StatusLine
from bisik.tui.completion import Completion
from bisik.tui.keymap import Keymap
from bisik.tui.linkbar import LinkText, Mood
from bisik.tui.panels import Column, MembersPanel, RoomsPanel
from bisik.tui.prompt import Prompt
from bisik.tui.ring import Bell, When
from bisik.tui.room import Draft, RoomView, Told
from bisik.tui.rooms import Rooms
from bisik.tui.setup import Setup
from bisik.tui.theme import PALETTES, Palette, next_name
from bisik.tui.timeline import Timeline
from bisik.typed import Command
from bisik_protocol.chat.direct_names import is_direct

if TYPE_CHECKING:
    from bisik.tui.engine import Engine
    from bisik.tui.session import Session

FOLD_COLUMNS: Final = 80  # up to this width the columns at the sides are folded away
MAX_PEOPLE: Final = 300  # of those who spoke last, that Tab looks at
MAX_EARLY_LINES: Final = 20
INTERRUPTED: Final = 130
_BELLS: Final = {
    When.OFF: N_("Rings: never."),
    When.MENTIONS: N_("Rings: when somebody mentions you."),
    When.ALL: N_("Rings: for every message."),
}


class BisikApp(App[None], inherit_bindings=False):
    """The whole screen. To the session it is the face."""

    ENABLE_COMMAND_PALETTE = False
    ESCAPE_TO_MINIMIZE = False
    AUTO_FOCUS = "Prompt"
    TITLE = "bisik"
    CSS = "Screen { layout: vertical; } #middle { height: 1fr; }"

    def __init__(self, setup: Setup) -> None:
        super().__init__(ansi_color=True if setup.no_color else None)
        self.error: BaseException | None = None
        """Why it has ended, where that was not the person's wish."""
        self.rooms = Rooms(setup.me)
        self.palette_name = "terminal" if setup.no_color else setup.theme
        self._setup = setup
        for palette in PALETTES.values():
            self.register_theme(palette.theme)
        self.theme = self.palette.theme.name
        self._bell = Bell(setup.ring_when, setup.ring_how)
        self._session: Session | None = None
        self._engine: Engine | None = None
        self._takes_lines = False
        self._hung_up = False
        self._early: list[str] = []  # typed before the session was there
        self._folded: dict[str, bool] = {}  # as the person wishes; otherwise the width decides
        self._link_line = LinkLine(self.palette, setup.where, setup.me)
        self._timeline = Timeline(setup.me, self.palette)
        self._rooms_panel = RoomsPanel(self.palette)
        self._members_panel = MembersPanel(self.palette)
        self._status = StatusLine(self.palette)
        theme = Adjustable(lambda: self.palette_name, self._set_theme)
        self._for_this_run = ForThisRun({**self._bell.adjustable(), "theme": theme})
        completion = Completion(
            people=self._people,
            rooms=self.rooms.names,
            commands=lambda start: completions(start, Where.SCREEN),
            arguments=self._for_this_run.words,
        )
        self._prompt = Prompt(self.palette, Keymap(setup.keys), completion, self._act)

    @property
    def palette(self) -> Palette:
        return PALETTES[self.palette_name]

    def compose(self) -> ComposeResult:
        yield self._link_line
        with Horizontal(id="middle"):
            yield self._rooms_panel
            yield self._timeline
            yield self._members_panel
        yield self._status
        yield self._prompt

    # Beginning and end ------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._link_line.show(LinkText(Mood.OPENING, _("opening …")))
        self._fold()
        self.draw_status()
        self._watch_signals()
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        from bisik.tui.engine import Engine  # noqa: PLC0415 # Trio is not needed for the first paint

        loop = asyncio.get_running_loop()
        try:
            open_session = await loop.run_in_executor(None, self._setup.load)
        except Exception as error:  # whatever it is, it is told once the terminal is whole again
            self._end(error)
            return
        self._session = open_session(self.rooms, self, self._bell)
        self._engine = Engine(self._session.run, self._end)
        self._engine.start()

    def accept_lines(self) -> None:
        """The session takes what is typed."""
        self._takes_lines = True
        early, self._early = self._early, []
        for line in early:
            self._type(line)

    def leave(self) -> None:
        """Say goodbye, and exit once that is done."""
        if self._session is None or self._engine is None or not self._engine.running:
            self.exit()
        else:
            self._session.quit()

    def _end(self, error: BaseException | None) -> None:
        if self._hung_up:
            os._exit(INTERRUPTED)  # Textual would wait for a terminal that takes no more
        self.error = error
        self.exit()

    def _watch_signals(self) -> None:
        """To be told to stop is to leave, with the terminal as it was."""
        if self.is_headless:
            return
        for name, handler in (("SIGTERM", self.leave), ("SIGHUP", self._hang_up)):
            with suppress(NotImplementedError, AttributeError):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), handler)

    def _hang_up(self) -> None:
        """The terminal is gone: draw nothing more, close the chat, and leave nothing waiting for a screen."""
        self._hung_up = True
        self.batch_update().__enter__()
        if self._engine is None or not self._engine.running:
            os._exit(INTERRUPTED)
        self.leave()

    # What the session asks of its face --------------------------------------------------------------------------

    @property
    def reading(self) -> int | None:
        return self._timeline.reading

    def show_room(self, room: RoomView) -> None:
        before = self._timeline.room
        editor = self._prompt.editor
        if before is not room and before.name:  # what was typed before there was a room stays
            before.draft = Draft(editor.text, editor.cursor)
            editor.put(room.draft.text, room.draft.cursor)
            self._prompt.update()
        self._timeline.show(room)
        self._timeline.look_for_more()
        self._members_panel.update(room)
        self.draw_status()

    def draw_room(self, room: RoomView) -> None:
        if room is self.rooms.current:
            self._timeline.update()
            self._members_panel.update(room)
            self._timeline.look_for_more()
        self.draw_status()

    def draw_link(self, link: LinkText) -> None:
        self._link_line.show(link)

    def draw_status(self) -> None:
        self._rooms_panel.update(self.rooms)
        session = self._session
        note = _("fetching …") if session is not None and session.fetching else ""
        queued = 0 if session is None else session.queued
        self._status.show(self.rooms, queued=queued, following=self._timeline.following, note=note)

    def write(self, sequence: str) -> None:
        if sequence and self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def give_back(self, room: str, line: str) -> None:
        view, editor = self.rooms.get(room), self._prompt.editor
        if view is not None and view is self.rooms.current and not editor.text:
            editor.put(line, len(line))
            self._prompt.update()
        elif view is not None and view is not self.rooms.current and not view.draft.text:
            view.draft = Draft(line, len(line))

    def carry_out(self, command: Command) -> None:
        if command.name == "/theme":
            self._set_theme(command.argument)
        elif command.name == "/set":
            lines = self._for_this_run.answer(command.argument)
            self._tell("\n".join(lines))

    # What the widgets say ---------------------------------------------------------------------------------------

    def _act(self, name: str) -> None:
        action = _ACTIONS.get(name)
        if action is not None:
            action(self)
        elif name.startswith("room-"):
            self._go_to_number(int(name.removeprefix("room-")))

    def on_timeline_near(self, message: Timeline.Near) -> None:
        if self._session is not None:
            self._session.fetch(message.room, older=message.older)

    def on_rooms_panel_chosen(self, message: RoomsPanel.Chosen) -> None:
        self._go_to(message.name)

    def on_resize(self, event: events.Resize) -> None:
        self._fold(event.size.width)

    def on_app_focus(self) -> None:
        self._attend(True)

    def on_app_blur(self) -> None:
        self._attend(False)

    def _attend(self, attending: bool) -> None:
        self.rooms.attend(attending)
        self._timeline.forget()
        self.draw_status()

    # Actions ----------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        line = self._prompt.editor.take()
        self._prompt.update()
        self._type(line)

    def _type(self, line: str) -> None:
        if not self._takes_lines or self._session is None:
            if len(self._early) < MAX_EARLY_LINES:
                self._early.append(line)
            return
        self._newest()
        self._session.type(line)

    def _newest(self) -> None:
        self._timeline.to_newest()
        if self._session is not None:
            self._session.newest(self._timeline.room)
        self.draw_status()

    def _scroll(self, *, lines: int = 0, pages: int = 0) -> None:
        if lines:
            self._timeline.scroll_lines(lines)
        else:
            self._timeline.scroll_pages(pages)
        self.draw_status()

    def _go_to(self, name: str | None) -> None:
        if name is not None and self._session is not None:
            self._session.choose(name)

    def _go_to_number(self, number: int) -> None:
        names = self.rooms.names()
        if number <= len(names):
            self._go_to(names[number - 1])

    def _help(self) -> None:
        from bisik.tui.help import HelpPage  # noqa: PLC0415 # seldom needed, and not for the first paint

        commands = [(command.usage, _(command.help)) for command in available(Where.SCREEN)]
        self.push_screen(HelpPage(self._prompt.keymap.help_rows(), commands, self.palette))

    def _next_theme(self) -> None:
        self._set_theme(next_name(self.palette_name))

    def _set_theme(self, name: str) -> None:
        name = name or next_name(self.palette_name)
        if name not in PALETTES:
            self._tell(_("There are these themes: {names}.").format(names=", ".join(PALETTES)))
            return
        if self._setup.no_color:
            self._tell(_("NO_COLOR is set, so there are no colours to change."))
            return
        self.palette_name = name
        self.theme = self.palette.theme.name
        for widget in self.query("*"):
            if hasattr(widget, "palette"):
                widget.palette = self.palette
        self._timeline.forget()
        self._prompt.update()

    def _next_bell(self) -> None:
        self._tell(_(_BELLS[self._bell.next_when()]))

    def _cancel(self) -> None:
        self._tell(_("Leave with ^D, /quit or qqq."))

    def _tell(self, text: str) -> None:
        self.rooms.tell(Told(text=text))
        self._timeline.update()

    def _toggle(self, column: Column) -> None:
        self._folded[type(column).__name__] = bool(column.display)
        self._fold()

    def _fold(self, width: int | None = None) -> None:
        narrow = (width or self.size.width) <= FOLD_COLUMNS
        for column in (self._rooms_panel, self._members_panel):
            column.display = not self._folded.get(type(column).__name__, narrow)

    def _people(self) -> list[str]:
        room = self.rooms.current
        if room is None:
            return []
        spoke = [item.author for item in reversed(room.items[-MAX_PEOPLE:]) if isinstance(item, Message)]
        alone = [name.removeprefix("@") for name in self.rooms.names() if is_direct(name)]
        return [
            name
            for name in dict.fromkeys([*spoke, *(member.name for member in room.members), *alone])
            if name != self.rooms.me
        ]

    def _redraw(self) -> None:
        self.refresh(layout=True, repaint=True)


_ACTIONS: Final[dict[str, Callable[[BisikApp], None]]] = {
    "send": BisikApp._send,
    "page-up": lambda app: app._scroll(pages=1),
    "page-down": lambda app: app._scroll(pages=-1),
    "line-up": lambda app: app._scroll(lines=1),
    "line-down": lambda app: app._scroll(lines=-1),
    "newest": BisikApp._newest,
    "room-next": lambda app: app._go_to(app.rooms.neighbour(1)),
    "room-previous": lambda app: app._go_to(app.rooms.neighbour(-1)),
    "room-unread": lambda app: app._go_to(app.rooms.neighbour(1, unread=True)),
    "toggle-rooms": lambda app: app._toggle(app._rooms_panel),
    "toggle-members": lambda app: app._toggle(app._members_panel),
    "theme": BisikApp._next_theme,
    "bell": BisikApp._next_bell,
    "help": BisikApp._help,
    "redraw": BisikApp._redraw,
    "cancel": BisikApp._cancel,
    "leave": BisikApp.leave,
    "suspend": BisikApp.action_suspend_process,
}
