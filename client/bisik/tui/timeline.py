"""The timeline: the part of a room that is on the screen, and scrolling in it.

It draws what its viewport gives it. Where the past is to be fetched from is not its matter: it says that it is near
an end of what there is, and its app does something about that.
"""

from textual import events
from textual.message import Message as TextualMessage
from textual.strip import Strip
from textual.widget import Widget

from bisik.tui.layout import Layout
from bisik.tui.room import RoomView
from bisik.tui.strips import strip
from bisik.tui.theme import Palette
from bisik.tui.viewport import Viewport
from bisik.tui.wrap import Line

WHEEL_LINES = 3
NEAR_LINES = 40  # so close to an end of the window, more of the room is asked for


class Timeline(Widget):
    """One room at a time."""

    DEFAULT_CSS = "Timeline { width: 1fr; height: 1fr; padding: 0 1; }"

    class Near(TextualMessage):
        """An end of the window is near, and the room goes on there."""

        def __init__(self, room: RoomView, *, older: bool) -> None:
            super().__init__()
            self.room = room
            self.older = older

    def __init__(self, me: str, palette: Palette) -> None:
        super().__init__()
        self.palette = palette
        self.room = RoomView("")
        self._me = me
        self._layout = Layout(self.room, me)
        self._viewport: Viewport[Line] = Viewport(self.room, self._layout.lines_of)
        self._screenful: list[Line] | None = None

    @property
    def following(self) -> bool:
        """Whether the newest message is on the screen."""
        return self._viewport.following and not self.room.detached

    @property
    def reading(self) -> int | None:
        """The position that somebody reads at; None where the end is followed."""
        return None if self._viewport.following else self._viewport.bottom

    def show(self, room: RoomView) -> None:
        """Put a room on the screen, at its end."""
        self.room = room
        self._layout = Layout(room, self._me)
        self._layout.resize(self.size.width)
        self._viewport = Viewport(room, self._layout.lines_of)
        self.update()

    def update(self) -> None:
        """Something about the room is different."""
        self._screenful = None
        self.refresh()

    def forget(self) -> None:
        """Items that have been laid out are to be laid out again."""
        self._layout.forget()
        self.update()

    def scroll_lines(self, lines: int) -> None:
        """Up; down where it is negative."""
        self._viewport.scroll(lines, self.size.height)
        self.update()
        self.look_for_more()

    def scroll_pages(self, pages: int) -> None:
        self.scroll_lines(pages * max(1, self.size.height - 2))

    def to_newest(self) -> None:
        """The end of the window."""
        self._viewport.follow()
        self.update()

    def look_for_more(self) -> None:
        """Say so where an end of the window is near."""
        height = self.size.height
        if height <= 0:
            return
        if not self.room.begins and self._viewport.lines_above(height, NEAR_LINES) < NEAR_LINES:
            self.post_message(self.Near(self.room, older=True))
        elif self.room.detached and self.room.last - self._viewport.bottom < NEAR_LINES:
            self.post_message(self.Near(self.room, older=False))

    def render_line(self, y: int) -> Strip:
        if self._screenful is None:
            self._screenful = self._lay_out()
        base = self.rich_style
        line = self._screenful[y] if y < len(self._screenful) else ()
        return strip(line, self.size.width, self.palette, base)

    def _lay_out(self) -> list[Line]:
        height = self.size.height
        lines = self._viewport.lines(height)
        if self._viewport.following:  # the newest stands right above the input
            lines = [()] * (height - len(lines)) + lines
        return lines

    def on_resize(self, event: events.Resize) -> None:
        self._layout.resize(self.size.width)
        self.update()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.scroll_lines(WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.scroll_lines(-WHEEL_LINES)
