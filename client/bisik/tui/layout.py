"""From a room's items to lines: times, names, day lines, the mark of what is new, the states of one's own messages.

Everything that others wrote passes through `harmless` here. Styles are names; what they look like is in `theme`.
"""

from collections import OrderedDict
from datetime import datetime, tzinfo
from typing import Final

from rich.cells import cell_len

from bisik.events import ChatEvent, Message
from bisik.i18n import _
from bisik.mentions import mention_pattern
from bisik.render import Renderer, day_text
from bisik.tui.room import Item, Kept, Pending, RoomView, Told
from bisik.tui.wrap import Line, Span, cells, wrap
from bisik_protocol.chat.text import harmless

NAME_COLUMN_CELLS: Final = 12
WIDE_CELLS: Final = 64  # of a timeline: from here on names stand in a column of their own
MAX_CACHED_ITEMS: Final = 512
NAME_COLOURS: Final = 8
MAX_OWN_LINES: Final = 50  # of this client, between two entries, across which the day is known

_Key = tuple[int, int, str]


class Layout:
    """Lays out one room for one width, and remembers the last few hundred items."""

    def __init__(self, room: RoomView, me: str, *, zone: tzinfo | None = None) -> None:
        self._room = room
        self._me = me
        self._zone = zone
        self._renderer = Renderer(zone=zone)
        self._width = 80
        self._cache: OrderedDict[_Key, list[Line]] = OrderedDict()
        self._mention = mention_pattern(me)

    def resize(self, width: int) -> None:
        """From now on lines are so wide."""
        if width != self._width:
            self._width = width
            self._cache.clear()

    def forget(self) -> None:
        """Something about items that have been laid out is different now."""
        self._cache.clear()

    def lines_of(self, position: int) -> list[Line]:
        """The lines of an item, with the day line and the mark of what is new that stand before it."""
        item = self._room.item(position)
        before = self._entry_before(position)
        key = (id(item), id(before), self._state_of(item))
        lines = self._cache.get(key)
        if lines is None:
            lines = self._cache[key] = self._before(item, before) + self._lay_out(item)
            if len(self._cache) > MAX_CACHED_ITEMS:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return lines

    # What stands before an item ---------------------------------------------------------------------------------

    def _entry_before(self, position: int) -> ChatEvent | Kept | None:
        """The entry of the log before an item; this client's own lines in between do not count."""
        for earlier in range(position - 1, max(self._room.first - 1, position - MAX_OWN_LINES), -1):
            item = self._room.item(earlier)
            if isinstance(item, ChatEvent | Kept):
                return item
        return None

    def _before(self, item: Item, before: ChatEvent | Kept | None) -> list[Line]:
        lines: list[Line] = []
        day = self._day(item)
        if day is not None and (type(before) is Kept) is not (type(item) is Kept):
            before = None  # what is from this device and what is from the server are told apart
        if day is not None and (before is None or day != self._day(before)):
            lines.append(self._rule(day, "day"))
        if self._is_first_unread(item, before):
            lines.append(self._rule(_("new"), "new"))
        return lines

    def _rule(self, text: str, style: str) -> Line:
        rest = max(2, self._width - cell_len(text) - 2)
        left = rest // 2
        return ((f"{'─' * left} {text} {'─' * (rest - left)}", style),)

    def _day(self, item: Item) -> str | None:
        if isinstance(item, Kept):
            return _("{day}, from this device").format(day=day_text(self._local(item.message.time)))
        return day_text(self._local(item.time)) if isinstance(item, ChatEvent) else None

    def _is_first_unread(self, item: Item, before: ChatEvent | Kept | None) -> bool:
        marker = self._room.marker
        if marker is None or not isinstance(item, ChatEvent) or item.seq <= marker:
            return False
        return not isinstance(before, ChatEvent) or before.seq <= marker

    # Items ------------------------------------------------------------------------------------------------------

    def _lay_out(self, item: Item) -> list[Line]:
        if isinstance(item, Kept):
            return self._said(item.message)
        if isinstance(item, Message):
            return self._said(item)
        if isinstance(item, Pending):
            return self._pending(item)
        if isinstance(item, Told):
            return self._told(item)
        happened = (self._renderer.happened(item), "presence")
        return wrap((*self._head(item.time, "", ""), happened), self._width, indent=9)

    def _said(self, item: Message) -> list[Line]:
        own = item.author == self._me
        author = harmless(item.author)
        text = harmless(item.text, multiline=True)
        name_style = "name-own" if own else f"name-{_colour(item.author)}"
        state = self._state_of(item)
        tail: list[Span] = [(f" {state}", "state")] if state else []
        return self._message(item.time, author, name_style, text, item.kind == "act", tail, mentions=not own)

    def _pending(self, item: Pending) -> list[Line]:
        text = harmless(item.text, multiline=True)
        tail: Span = (f" … {_('queued')}", "queued")
        if item.state == "failed":
            reason = _("not sent: {reason}").format(reason=harmless(item.reason or ""))
            tail = (f" ✗ {reason}", "failed")
        elif item.state == "stored":
            tail = (" ✓", "state")
        return self._message(None, harmless(self._me), "name-own", text, item.act, [tail], mentions=False)

    def _message(
        self,
        time: str | None,
        author: str,
        name_style: str,
        text: str,
        act: bool,
        tail: list[Span],
        *,
        mentions: bool,
    ) -> list[Line]:
        if act:
            head = [*self._head(time, "* ", "act"), (author, name_style), (" ", "")]
            body: list[Span] = [(text, "act")]
        else:
            head = self._head(time, author, name_style)
            body = self._with_mentions(text) if mentions else [(text, "")]
        indent = cells(head)
        if indent > self._width // 2:
            indent = 2
        return wrap((*head, *body, *tail), self._width, indent=indent)

    def _told(self, item: Told) -> list[Line]:
        text = harmless(item.text, multiline=True)
        mark = {"talk": "-- ", "notice": "!! ", "list": "   "}[item.style]
        return wrap(((f"{mark}{text}", item.style),), self._width, indent=3)

    def _head(self, time: str | None, name: str, style: str) -> list[Span]:
        """Time and name. Names are never cut: two of them must not look alike."""
        clock = f"{self._local(time):%H:%M} " if time is not None else "      "
        if not name or style == "act":
            return [(clock, "time"), (name, style)]
        if self._width >= WIDE_CELLS:
            blanks = " " * max(0, NAME_COLUMN_CELLS - cell_len(name))
            return [(clock + blanks, "time"), (name, style), ("  ", "")]
        return [(clock, "time"), (f"{name}:", style), (" ", "")]

    def _with_mentions(self, text: str) -> list[Span]:
        spans: list[Span] = []
        end = 0
        for match in self._mention.finditer(text):
            spans += [(text[end : match.start()], ""), (match[0], "mention")]
            end = match.end()
        return [*spans, (text[end:], "")]

    def _state_of(self, item: Item) -> str:
        """One's own message is stored; and so many others have said that they have it."""
        if not isinstance(item, Message) or item.author != self._me:
            return ""
        confirmed = self._room.confirmed.get(item.id)
        if confirmed is None:
            return "✓"
        return _("✓✓ {k} of {n}").format(k=confirmed[0], n=confirmed[1])

    def _local(self, time: str) -> datetime:
        return datetime.fromisoformat(time).astimezone(self._zone)


def _colour(name: str) -> int:
    return sum(name.encode()) % NAME_COLOURS
