"""The columns at the sides: rooms on the left, with what is unread in each, and the members of one on the right."""

from textual import events
from textual.message import Message as TextualMessage
from textual.strip import Strip
from textual.widget import Widget

from bisik.i18n import _
from bisik.tui.room import RoomView
from bisik.tui.rooms import Rooms
from bisik.tui.strips import strip
from bisik.tui.theme import Palette
from bisik.tui.wrap import Line, fit
from bisik_protocol.chat.text import harmless


class Column(Widget):
    """Lines, one under the other, scrolled so far that the chosen one is seen."""

    DEFAULT_CSS = "Column { height: 1fr; padding: 0 1; background: $panel; }"

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self.palette = palette
        self.lines: list[Line] = []
        self.chosen = 0

    def put(self, lines: list[Line], chosen: int = 0) -> None:
        """Show this. What is the same is not drawn again: a column is half of the screen's lines."""
        if (lines, chosen) != (self.lines, self.chosen):
            self.lines, self.chosen = lines, chosen
            self.refresh()

    def render_line(self, y: int) -> Strip:
        number = y + self._top()
        line = self.lines[number] if number < len(self.lines) else ()
        return strip(line, self.size.width, self.palette, self.rich_style)

    def _top(self) -> int:
        return max(0, self.chosen - self.size.height + 2)


class RoomsPanel(Column):
    """The rooms, numbered as the keys are that go there."""

    DEFAULT_CSS = "RoomsPanel { width: 22; }"

    class Chosen(TextualMessage):
        """Somebody clicked on a room."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, palette: Palette) -> None:
        super().__init__(palette)
        self._names: list[str] = []

    def update(self, rooms: Rooms) -> None:
        """Show how they are now."""
        self._names = rooms.names()
        width = max(4, self.size.width)
        lines: list[Line] = [((_("Rooms"), "heading"),)]
        chosen = 0
        for number, room in enumerate(rooms, 1):
            if room is rooms.current:
                chosen = number
            lines.append(_room_line(room, number, width, current=room is rooms.current))
        self.put(lines, chosen)

    def on_click(self, event: events.Click) -> None:
        number = event.y + self._top() - 1
        if 0 <= number < len(self._names):
            self.post_message(self.Chosen(self._names[number]))


class MembersPanel(Column):
    """Who is in the room. Those who cannot be reached, or are away, are dimmed."""

    DEFAULT_CSS = "MembersPanel { width: 18; }"

    def update(self, room: RoomView | None) -> None:
        """Show who is there now."""
        members = () if room is None else room.members
        width = max(4, self.size.width)
        heading = _("Members {count}").format(count=len(members)) if members else _("Members")
        lines: list[Line] = [((heading, "heading"),)]
        for member in members:
            style = "member" if member.here else "member-quiet"
            lines.append(((fit(f"{member.mark}{harmless(member.name)}", width), style),))
        self.put(lines)


def unread_mark(room: RoomView) -> str:
    """`3`, `1!` where one of them mentions the person, or nothing."""
    return f"{room.unread}{'!' if room.mentions else ''}" if room.unread else ""


def _room_line(room: RoomView, number: int, width: int, *, current: bool) -> Line:
    mark = unread_mark(room)
    label = f"{number} " if number < 10 else "  "
    name = fit(harmless(room.name), width - len(label) - len(mark) - 1)
    style = "room-current" if current else "room-mention" if room.mentions else "room-unread" if mark else "room"
    return ((label, "time"), (name, style), (f" {mark}" if mark else "", style))
