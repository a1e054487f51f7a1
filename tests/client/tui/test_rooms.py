"""Rooms of the UI: windows that stay bounded, what is unread, what is on its way."""

import pytest

from bisik.events import Join, Message, Notice, OwnMessage
from bisik.tui import room as bounds
from bisik.tui.layout import Layout
from bisik.tui.room import Pending, RoomView, Told
from bisik.tui.rooms import Ring, Rooms


def message(seq: int, text: str = "halo", author: str = "tama", room: str = "#lobby") -> Message:
    return Message(
        room=room,
        author=author,
        text=text,
        seq=seq,
        id=f"{seq:032}",
        time=f"2026-11-{22 + seq // 100:02}T09:00:00.000Z",
    )


def numbers(room: RoomView) -> list[int]:
    return [item.seq for item in room.items if isinstance(item, Message)]


class TestWindow:
    def test_entries_come_once(self) -> None:
        """What comes again, with a page or after a reconnect, is not shown twice."""
        room = RoomView("#lobby")
        for seq in (5, 6, 6, 5, 7):
            room.add(message(seq))
        room.put_before([message(3), message(4), message(5)])
        assert numbers(room) == [3, 4, 5, 6, 7]
        assert (room.oldest, room.newest, room.first, room.begins) == (3, 7, -2, False)

    def test_it_is_bounded(self) -> None:
        """The oldest entries give way, and positions stay what they were."""
        room = RoomView("#lobby")
        for seq in range(1, bounds.MAX_ITEMS + 101):
            room.add(message(seq))
            room.trim(hidden=False)
        assert len(room.items) <= bounds.MAX_ITEMS
        assert room.item(room.last - 1) == message(bounds.MAX_ITEMS + 100)
        assert room.oldest == numbers(room)[0] > 1
        room.trim(hidden=True)
        assert len(room.items) <= bounds.MAX_HIDDEN_ITEMS

    @pytest.mark.parametrize("text", ["halo", "x" * 60_000])
    def test_what_this_device_has_is_bounded_and_gives_way(self, text: str) -> None:
        """It never counts as what the server said, and goes when that comes."""
        room = RoomView("#lobby")
        for seq in range(2000, 2010):
            room.add(message(seq, text))
        while not room.kept_whole:
            before = room.kept_before
            assert before is not None
            room.put_kept([message(seq, text) for seq in range(before - 50, before)])
        assert len(room.items) <= bounds.MAX_KEPT_ITEMS + 60
        assert sum(len(text) for _ in room.items) <= bounds.MAX_TEXT + 50 * len(text)
        assert (room.oldest, numbers(room)) == (2000, list(range(2000, 2010)))
        room.put_before([message(1999)])
        assert (room.oldest, room.kept, len(room.items)) == (1999, 0, 11)
        room.put_kept([message(1998)])
        room.trim(hidden=True)
        assert (room.kept, room.kept_before) == (len(text) < 100, 1998 if len(text) < 100 else room.oldest)

    def test_long_texts_count_by_their_length(self) -> None:
        """A room full of the longest messages takes no more memory than another."""
        room = RoomView("#lobby")
        for seq in range(1, 200):
            room.add(message(seq, "x" * 60_000))
            room.trim(hidden=False)
        assert sum(len(item.text) for item in room.items if isinstance(item, Message)) <= bounds.MAX_TEXT

    def test_reading_far_back_lets_the_newest_go_and_brings_them_again(self) -> None:
        """While somebody reads there, new entries are only counted; going down fetches them."""
        room = RoomView("#lobby")
        for seq in range(3001, 3101):
            room.add(message(seq))
        while not room.detached:
            assert room.oldest is not None
            room.put_before([message(seq) for seq in range(room.oldest - 50, room.oldest)])
            room.trim(hidden=False, keep=room.first)
        newest = room.newest
        assert newest < 3100
        assert room.add(message(3101))
        assert room.newest == newest == numbers(room)[-1]
        room.put_behind([message(seq) for seq in range(newest + 1, newest + 51)])
        assert numbers(room) == list(range(numbers(room)[0], newest + 51))
        assert len(room.items) <= bounds.MAX_ITEMS + 50

    def test_a_jump_to_the_newest_begins_another_window(self) -> None:
        """What came meanwhile is in it."""
        room = RoomView("#lobby")
        room.add(message(10))
        room.clear()
        room.put_before([message(98), message(99)])
        room.add(message(100))
        assert (numbers(room), room.detached, room.oldest) == ([98, 99, 100], False, 98)

    def test_pages_may_hold_notices(self) -> None:
        """A message that could not be verified is said in its place."""
        room = RoomView("#lobby")
        room.add(message(3))
        room.put_before([message(1), Notice(text="no")])
        assert room.items == [message(1), Told(text="no", style="notice"), message(3)]

    def test_hidden_messages_leave_no_hole(self) -> None:
        """What somebody ignored says counts as having come."""
        room = RoomView("#lobby")
        room.add(message(1))
        room.skip(message(2))
        room.add(message(3))
        assert (numbers(room), room.detached) == ([1, 3], False)


class TestUnread:
    def rooms(self) -> Rooms:
        rooms = Rooms("sari")
        for name in ("#lobby", "#dapur"):
            rooms.open(name, seen=2)
        rooms.show("#lobby")
        return rooms

    def test_what_is_worth_a_ring(self) -> None:
        """Others' messages that were not seen; more, where they name the person as a word."""
        rooms = self.rooms()
        assert rooms.handle(message(1, room="#dapur")) is Ring.NOTHING
        assert rooms.handle(message(3, room="#dapur")) is Ring.MESSAGE
        assert rooms.handle(message(4, "@SARI!", room="#dapur")) is Ring.MENTION
        assert rooms.handle(message(5, "sarita, sari-ungu", author="sari", room="#dapur")) is Ring.NOTHING
        assert rooms.handle(Join(room="#dapur", author="x", seq=6, time="2026-11-22T09:00:00.000Z")) is Ring.NOTHING
        assert rooms.handle(message(7, "besari sarita", room="#dapur")) is Ring.MESSAGE
        dapur = rooms.get("#dapur")
        assert dapur is not None
        assert (dapur.unread, dapur.mentions) == (3, 1)

    def test_going_there_reads_it_and_marks_where_it_began(self) -> None:
        """The mark is gone when one comes again."""
        rooms = self.rooms()
        rooms.handle(message(3, room="#dapur"))
        room = rooms.show("#dapur")
        assert (room.unread, room.marker, room.seen) == (0, 2, 3)
        rooms.show("#lobby")
        assert rooms.show("#dapur").marker is None

    def test_who_looks_away_has_not_read(self) -> None:
        """The room on the screen counts too, until the person is back."""
        rooms = self.rooms()
        rooms.attend(False)
        rooms.handle(message(3))
        assert rooms.current is not None
        assert (rooms.current.unread, rooms.current.seen, rooms.current.marker) == (1, 2, 2)
        rooms.attend(True)
        assert (rooms.current.unread, rooms.current.seen) == (0, 3)

    def test_a_first_visit_has_nothing_unread(self) -> None:
        """The history that one is given is not a hundred mentions."""
        rooms = Rooms("sari")
        rooms.open("#lobby")
        rooms.open("#dapur")
        rooms.show("#lobby")
        assert rooms.handle(message(7, "sari", room="#dapur")) is Ring.NOTHING
        rooms.on_caught_up("#dapur")
        assert rooms.handle(message(8, "sari", room="#dapur")) is Ring.MENTION

    def test_the_way_to_what_is_unread(self) -> None:
        """Round and round; mentions come first."""
        rooms = self.rooms()
        rooms.open("#kebun", seen=0)
        assert rooms.neighbour(1) == "#dapur"
        assert rooms.neighbour(-1) == "#kebun"
        assert rooms.neighbour(1, unread=True) is None
        rooms.handle(message(3, room="#dapur"))
        assert rooms.neighbour(1, unread=True) == "#dapur"
        rooms.handle(message(1, "sari", room="#kebun"))
        assert rooms.neighbour(1, unread=True) == "#kebun"

    def test_notices_wait_for_a_room(self) -> None:
        """What is said before there is one is not lost."""
        rooms = Rooms("sari")
        rooms.handle(Notice(text="early"))
        room = rooms.show("#lobby")
        rooms.handle(Notice(text="late", room="#nowhere"))
        assert room.items == [Told(text="early", style="notice"), Told(text="late", style="notice")]
        rooms.close("#lobby")
        assert rooms.current is None


class TestOwnMessages:
    @pytest.mark.parametrize("entry_first", [False, True])
    def test_on_its_way_until_it_comes_back(self, entry_first: bool) -> None:
        """One line for it at any moment, whichever comes first: its entry or the word that it is stored."""
        rooms = Rooms("sari")
        room = rooms.show("#lobby")
        room.queue(Pending(outbox_id=7, text="halo"))
        steps = [lambda: rooms.handle(message(1, author="sari")), lambda: rooms.on_stored("#lobby", 7, f"{1:032}")]
        for step in steps if entry_first else steps[::-1]:
            step()
        assert (len(room.items), room.pending) == (1, {})

    def test_a_refusal_stays_with_its_reason(self) -> None:
        """Below what was said, so that it is seen."""
        rooms = Rooms("sari")
        room = rooms.show("#lobby")
        room.queue(Pending(outbox_id=7, text="halo"))
        rooms.handle(OwnMessage(state="failed", room="#lobby", outbox_id=7, reason="Too long."))
        rows = ["".join(text for text, _ in line) for line in Layout(room, "sari").lines_of(room.last - 1)]
        assert rows[-1].endswith("halo ✗ not sent: Too long.")

    def test_how_far_it_has_come(self) -> None:
        """So many of so many; what is remembered of that is bounded."""
        rooms = Rooms("sari")
        room = rooms.show("#lobby")
        rooms.handle(message(1, author="sari"))
        layout = Layout(room, "sari")
        assert "".join(text for text, _ in layout.lines_of(0)[-1]).endswith("halo ✓")
        room.confirm(f"{1:032}", 2, 3)
        assert "".join(text for text, _ in layout.lines_of(0)[-1]).endswith("halo ✓✓ 2 of 3")
        for seq in range(2, 1000):
            room.confirm(f"{seq:032}", 1, 1)
        assert len(room.confirmed) == bounds.MAX_CONFIRMED


class TestLayout:
    def rows(self, room: RoomView, width: int) -> list[str]:
        layout = Layout(room, "sari")
        layout.resize(width)
        lines = [line for position in range(room.first, room.last) for line in layout.lines_of(position)]
        return ["".join(text for text, _ in line) for line in lines]

    def test_days_and_hanging_lines(self) -> None:
        """A line for each day; this client's own lines in between do not begin a day."""
        room = RoomView("#lobby")
        room.add(message(1, "satu dua tiga empat lima enam tujuh"))
        room.tell(Told(text="x"))
        room.add(message(2))
        room.add(message(100))
        rows = self.rows(room, 40)
        assert [row.strip("─ ") for row in rows if "─" in row] == [
            "Sunday, 22 November 2026",
            "Monday, 23 November 2026",
        ]
        assert rows[2].startswith(" " * 12)

    def test_no_message_can_pretend_to_be_two(self) -> None:
        """A line feed in it does not lead to the left margin, in a narrow window either."""
        room = RoomView("#lobby")
        room.add(message(1, "satu\n09:00 ayu: dua"))
        for width in (20, 40, 80):
            assert next(row for row in self.rows(room, width) if "ayu" in row).startswith("  ")
