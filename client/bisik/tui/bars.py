"""The two bars: at the top where one is and how the link does, above the input the room and what is new elsewhere."""

from textual.strip import Strip
from textual.widget import Widget

from bisik.i18n import _, ngettext
from bisik.tui.linkbar import LinkText, Mood
from bisik.tui.panels import unread_mark
from bisik.tui.rooms import Rooms
from bisik.tui.strips import strip
from bisik.tui.theme import Palette
from bisik.tui.wrap import Span, cells, fit
from bisik_protocol.chat.text import harmless

MIN_HEADLINE_CELLS = 6


class Bar(Widget):
    """A line with something at its left and something at its right. The right side is the one that is kept whole."""

    DEFAULT_CSS = "Bar { height: 1; padding: 0 1; background: $panel; }"

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self.palette = palette
        self.left: list[Span] = []
        self.right: list[Span] = []

    def put(self, left: list[Span], right: list[Span]) -> None:
        """Show this."""
        if (left, right) != (self.left, self.right):
            self.left, self.right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        right = [(fit(text, width), style) for text, style in self.right]
        room = width - cells(right) - 1
        left = _fitting(self.left, room) if room >= MIN_HEADLINE_CELLS else []
        gap = max(0, width - cells(left) - cells(right))
        return strip([*left, (" " * gap, ""), *right], width, self.palette, self.rich_style)


class LinkLine(Bar):
    """Which server, as whom, and the link."""

    def __init__(self, palette: Palette, where: str, me: str) -> None:
        super().__init__(palette)
        self._headline: list[Span] = [
            ("bisik ", "heading"),
            (_("{name} at {server}").format(name=harmless(me), server=harmless(where)), "bar"),
        ]
        self.text = LinkText(Mood.OPENING, "")

    def show(self, text: LinkText) -> None:
        """What there is to say about the link."""
        self.text = text
        self.put(self._headline, [(text.text, f"bar-{text.mood.value}")])


class StatusLine(Bar):
    """The room that is spoken in, and what needs attention."""

    def show(self, rooms: Rooms, *, queued: int, following: bool, note: str) -> None:
        """Draw anew."""
        room = rooms.current
        left: list[Span] = []
        if room is not None:
            left.append((harmless(room.name), "heading"))
            if room.members:
                here = ngettext("{n} here", "{n} here", len(room.members)).format(n=len(room.members))
                left.append((f"  {here}", "bar"))
            if room.detached or not following:
                left.append((f"  {_('reading back; Esc: newest')}", "bar-poor"))
        for number, other in enumerate(rooms, 1):
            if other is not room and other.unread:
                style = "room-mention" if other.mentions else "room-unread"
                left.append((f"  {number}:{harmless(other.name)} {unread_mark(other)}", style))
        if room is not None and room.topic:
            left.append((f"  {harmless(room.topic)}", "topic"))
        right: list[Span] = []
        if queued:
            right.append((ngettext("{n} queued", "{n} queued", queued).format(n=queued) + " ", "queued"))
        right.append((note or _("F1 keys"), "bar-opening"))
        self.put(left, right)


def _fitting(spans: list[Span], width: int) -> list[Span]:
    """As much of the spans as fits."""
    fitted: list[Span] = []
    for text, style in spans:
        part = fit(text, width)
        fitted.append((part, style))
        width -= cells([(part, style)])
        if width <= 0:
            break
    return fitted
