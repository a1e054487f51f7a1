"""Events as lines for a person: one a line, times as on the wall, and nothing that acts on a terminal.

Everything that others wrote passes through `harmless` here, room by room and name by name, so that whoever prints
these lines need not think of it.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Final

from bisik.events import (
    ChatEvent,
    DirectCalled,
    Event,
    Join,
    Leave,
    LinkChanged,
    LinkState,
    Message,
    Moderated,
    Notice,
    TopicSet,
)
from bisik.i18n import N_, _, ngettext
from bisik_protocol.chat.messages import MemberInfo, Role, RoomInfo
from bisik_protocol.chat.text import harmless

_ACTS: Final = {
    "kick": N_("{author} put {target} out of the room"),
    "ban": N_("{author} banned {target} from the server"),
    "unban": N_("{author} took the ban on {target} back"),
    "mute": N_("{author} muted {target}"),
    "unmute": N_("{author} lets {target} speak again"),
    "private": N_("{author} made the room private"),
    "public": N_("{author} opened the room to everybody"),
    "read-only": N_("{author} made the room read-only"),
    "writable": N_("{author} lets everybody write in the room"),
    "allow": N_("{author} let {target} into the room"),
    "disallow": N_("{author} lets {target} into the room no longer"),
    "dropped": N_("What was said here is so old that the server no longer keeps it"),
    "lost": N_("Something that was said here is gone: it was lost with a damaged part of the server's log"),
}


class Renderer:
    """`room` is the one that is spoken in: its name is left out of its lines."""

    def __init__(self, *, zone: tzinfo | None = None) -> None:
        """`zone` is where the wall clock hangs; None: here."""
        self.room = ""
        self._zone = zone
        self._day = ""
        self._link_text = ""

    def day_line(self, event: Event) -> str | None:
        """The date, where an event is the first of its day."""
        if not isinstance(event, ChatEvent):
            return None
        day = day_text(self._local(event.time))
        if day == self._day:
            return None
        self._day = day
        return f"—— {day} ——"

    def line(self, event: Event) -> str | None:
        """The event's line; None where there is nothing to say."""
        if isinstance(event, Message):
            author, text = harmless(event.author), harmless(event.text)
            said = f"* {author} {text}" if event.kind == "act" else f"<{author}> {text}"
            return f"{self._local(event.time):%H:%M} {self._prefix(event.room)}{said}"
        if isinstance(event, ChatEvent):
            return f"{self._local(event.time):%H:%M} {self._prefix(event.room)}{self.happened(event)}"
        if isinstance(event, LinkChanged):
            return self._link_line(event)
        if isinstance(event, DirectCalled):
            return None
        if isinstance(event, Notice):
            return f"!! {harmless(event.text)}"
        return (
            _("!! Not sent: {reason}").format(reason=harmless(event.reason or ""))
            if event.state == "failed"
            else None
        )

    def happened(self, event: Join | Leave | TopicSet | Moderated) -> str:
        """What somebody did other than to say something, without the time."""
        if isinstance(event, Join | Leave):
            what = _("-- {name} joined") if isinstance(event, Join) else _("-- {name} left")
            return what.format(name=harmless(event.author))
        return f"-- {self._done_by(event)}"

    def _done_by(self, event: TopicSet | Moderated) -> str:
        """What a moderator did, in words."""
        author, text = harmless(event.author), harmless(event.text)
        if isinstance(event, TopicSet):
            told = _("{author} set the topic: {topic}") if event.text else _("{author} took the topic away")
            return told.format(author=author, topic=text)
        act = _(_ACTS[event.act]) if event.act in _ACTS else "{author} " + harmless(event.act) + " {target}"
        told = act.format(author=author, target=harmless(event.target) or _("an address"))
        if event.until is not None:
            told += _(" until {time}").format(time=f"{self._local(event.until):%Y-%m-%d %H:%M}")
        return f"{told}: {text}" if text else told

    def _link_line(self, event: LinkChanged) -> str | None:
        """What is new about the link. Repeated tries say nothing new."""
        if (event.state is LinkState.CONNECTING and self._link_text) or event.text == self._link_text:
            return None
        self._link_text = event.text
        hint = _(" Trying again …") if event.state is LinkState.WAITING else ""
        return f"-- {harmless(event.text)}{hint}"

    def _prefix(self, room: str) -> str:
        return "" if room == self.room else f"{harmless(room)} "

    def _local(self, time: str) -> datetime:
        return datetime.fromisoformat(time).astimezone(self._zone)


def room_lines(rooms: Iterable[RoomInfo], joined: Iterable[str]) -> list[str]:
    """A list of rooms; those that one is in are marked."""
    mine = set(joined)
    return [
        f"{'*' if info.room in mine else ' '} {harmless(info.room)}  {_size(info)}{_rules(info)}" for info in rooms
    ]


def _size(info: RoomInfo) -> str:
    lines = ngettext("{n} line", "{n} lines", info.head).format(n=info.head)
    return _("{members} here, {lines}").format(members=info.members, lines=lines)


def _rules(info: RoomInfo) -> str:
    return (_(", private") if info.private else "") + (_(", read-only") if info.read_only else "")


def member_lines(members: Iterable[MemberInfo]) -> list[str]:
    """A list of people: who is a moderator, for how long nothing was heard from whom, and what they said about it."""
    return [f"{harmless(info.name)}{_role(info.role)}{_quiet(info)}{_away(info.away)}" for info in members]


def _away(text: str | None) -> str:
    return "" if text is None else f"  ({harmless(text)})"


def _role(role: Role) -> str:
    return {Role.OWNER: _(" (owner)"), Role.MODERATOR: _(" (moderator)")}.get(role, "")


def _quiet(info: MemberInfo) -> str:
    """A client that is there is heard every half minute, whether or not anybody types."""
    if info.reachable:
        return ""
    seconds = info.quiet_s
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return _("  unreachable for {hours} h").format(hours=hours)
    return _("  unreachable for {minutes} min").format(minutes=minutes)


_WEEKDAYS: Final = (
    *(N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday")),
    *(N_("Friday"), N_("Saturday"), N_("Sunday")),
)
_MONTHS: Final = (
    *(N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June")),
    *(N_("July"), N_("August"), N_("September"), N_("October"), N_("November"), N_("December")),
)


def day_text(moment: datetime) -> str:
    """`Sunday, 22 November 2026`, in the person's language whatever locales the system has."""
    weekday, month = _(_WEEKDAYS[moment.weekday()]), _(_MONTHS[moment.month - 1])
    return f"{weekday}, {moment.day:02} {month} {moment.year}"
