"""Events as lines: readable, and harmless whatever is in them."""

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik.events import (
    Event,
    Join,
    Leave,
    LinkChanged,
    LinkState,
    Message,
    Moderated,
    Notice,
    OwnMessage,
    TopicSet,
    rfc3339,
)
from bisik.render import Renderer, member_lines, room_lines
from bisik_protocol.chat.messages import MemberInfo, Role, RoomInfo

TIME = "2026-11-22T09:05:00.123Z"


def message(text: str = "halo", **fields: str) -> Message:
    given_: dict[str, str] = {"room": "#lobby", "author": "ayu", "id": "0" * 32, "time": TIME, **fields}
    return Message(text=text, seq=1, **given_)  # type: ignore[arg-type]


def moderated(act: str, target: str, until: str | None = None, text: str = "") -> Moderated:
    return Moderated(room="#lobby", author="mod", act=act, target=target, text=text, until=until, seq=1, time=TIME)


def renderer(room: str = "#lobby") -> Renderer:
    made = Renderer(zone=UTC)
    made.room = room
    return made


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (message(), "09:05 <ayu> halo"),
        (message(room="#ops"), "09:05 #ops <ayu> halo"),
        (message(kind="act", text="waves"), "09:05 * ayu waves"),
        (Join(room="#lobby", author="ayu", seq=1, time=TIME), "09:05 -- ayu joined"),
        (Leave(room="#ops", author="ayu", seq=1, time=TIME), "09:05 #ops -- ayu left"),
        (TopicSet(room="#lobby", author="mod", text="hi", seq=1, time=TIME), "09:05 -- mod set the topic: hi"),
        (TopicSet(room="#lobby", author="mod", text="", seq=1, time=TIME), "09:05 -- mod took the topic away"),
        (
            moderated("ban", "tama", TIME, "spam"),
            "09:05 -- mod banned tama from the server until 2026-11-22 09:05: spam",
        ),
        (moderated("ban", ""), "09:05 -- mod banned an address from the server"),
        (moderated("read-only", ""), "09:05 -- mod made the room read-only"),
        (moderated("something-new", "tama"), "09:05 -- mod something-new tama"),
        (Notice(text="Look here."), "!! Look here."),
        (OwnMessage(state="failed", room="#lobby", outbox_id=1, reason="No."), "!! Not sent: No."),
        (OwnMessage(state="queued", room="#lobby", outbox_id=1), None),
        (OwnMessage(state="stored", room="#lobby", outbox_id=1), None),
    ],
)
def test_lines(event: Event, line: str | None) -> None:
    """One for each kind of event."""
    assert renderer().line(event) == line


def test_times_are_the_wall_clocks() -> None:
    """Of where the person is."""
    east = Renderer(zone=timezone(timedelta(hours=7)))
    east.room = "#lobby"
    assert east.line(message()) == "16:05 <ayu> halo"


def test_a_new_day_gets_a_line_once() -> None:
    """Before its first event."""
    made = renderer()
    assert made.day_line(message()) == "—— Sunday, 22 November 2026 ——"
    assert made.day_line(message()) is None
    assert made.day_line(message(time="2026-11-23T00:00:00.000Z")) is not None
    assert made.day_line(Notice(text="no day")) is None


@given(st.text(), st.text(), st.text())
def test_nothing_from_others_acts_on_a_terminal(author: str, text: str, room: str) -> None:
    """Names, rooms and texts of any kind: one line, and not one control character."""
    events: list[Event] = [
        message(text, author=author, room=room),
        Join(room=room, author=author, seq=1, time=TIME),
        Notice(text=text),
        LinkChanged(state=LinkState.WAITING, text=text),
        OwnMessage(state="failed", room=room, outbox_id=1, reason=text),
    ]
    lines = [renderer().line(event) or "" for event in events]
    lines += room_lines([RoomInfo(room, 1, 1)], []) + member_lines([MemberInfo(author, 0)])
    assert not [ch for line in lines for ch in line if ch < " " or "\x7f" <= ch <= "\x9f" or ch in "\u202e\u2028"]


class TestLink:
    def lines(self, *changes: tuple[LinkState, str]) -> list[str | None]:
        made = renderer()
        return [made.line(LinkChanged(state=state, text=text)) for state, text in changes]

    def test_a_first_connection(self) -> None:
        """Both steps are said."""
        assert self.lines((LinkState.CONNECTING, "Connecting …"), (LinkState.CONNECTED, "Connected.")) == [
            "-- Connecting …",
            "-- Connected.",
        ]

    def test_a_restart_of_the_server(self) -> None:
        """Why, and that it is over; not each try."""
        lines = self.lines(
            (LinkState.CONNECTED, "Connected."),
            (LinkState.WAITING, "The server was restarted."),
            (LinkState.CONNECTING, "Connecting …"),
            (LinkState.WAITING, "Nobody is listening."),
            (LinkState.CONNECTING, "Connecting …"),
            (LinkState.WAITING, "Nobody is listening."),
            (LinkState.CONNECTED, "Connected again."),
        )
        assert lines == [
            "-- Connected.",
            "-- The server was restarted. Trying again …",
            None,
            "-- Nobody is listening. Trying again …",
            None,
            None,
            "-- Connected again.",
        ]

    def test_silence_and_its_end(self) -> None:
        """Each time."""
        lines = self.lines(
            (LinkState.CONNECTED, "Connected."),
            (LinkState.SILENT, "No answer for 7 s."),
            (LinkState.CONNECTED, "The server answers again."),
            (LinkState.SILENT, "No answer for 7 s."),
        )
        assert None not in lines


def test_rooms_show_which_are_mine() -> None:
    """And how many are there."""
    lines = room_lines([RoomInfo("#lobby", 2, 10), RoomInfo("#ops", 0, 3)], ["#lobby"])
    assert lines == ["* #lobby  2 here, 10 lines", "  #ops  0 here, 3 lines"]


def test_quiet_members_are_shown_as_such() -> None:
    """By minutes, then by hours."""
    members = [
        MemberInfo("a", 80),
        MemberInfo("b", 120, None, Role.MODERATOR, False),
        MemberInfo("c", 7300, "lunch", Role.OWNER, False),
    ]
    assert member_lines(members) == [
        "a",
        "b (moderator)  unreachable for 2 min",
        "c (owner)  unreachable for 2 h  (lunch)",
    ]


def test_rooms_with_rules_are_shown_as_such() -> None:
    """Private, read-only, both, or none."""
    rooms = [RoomInfo("#a", 1, 2, True, True), RoomInfo("#b", 1, 2)]
    assert room_lines(rooms, []) == ["  #a  1 here, 2 lines, private, read-only", "  #b  1 here, 2 lines"]


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_763_802_000_123, "2025-11-22T09:00:00.123Z"),
        ((1 << 53) - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_in_json(time_ms: int, text: str) -> None:
    """RFC 3339 in UTC with milliseconds, for any time that the wire can carry."""
    assert rfc3339(time_ms) == text
