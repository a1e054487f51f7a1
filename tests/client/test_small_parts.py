"""Small parts of the client, each under its own law: requests, lanes, feeds, readers, waiting, sleeping."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from bisik.authors import Authors
from bisik.awake import SleepWatch
from bisik.backoff import MAX_WAIT_S, Backoff
from bisik.errors import HomeError
from bisik.events import Notice
from bisik.lanes import Lanes
from bisik.news import News
from bisik.reader import MAX_EVENTS, MAX_SIDE_EVENTS, SAVE_EVERY, Place, Reader
from bisik.requests import Requests
from bisik.rooms import MAX_INBOX_ENTRIES, Heard, RoomFeed
from bisik.store import Store
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import Entry, Joined, JoinEntry, Presence, Reply
from bisik_protocol.chat.statements import Kind, Statement
from bisik_protocol.errors import RemoteProtocolError
from tests.support.keys import device_key

ROOM = "#lobby"


class TestRequests:
    def numbers(self, requests: Requests) -> list[int]:
        return [messages.decode_request_untrusted(data).number for data in requests.take()]

    def test_replies_find_who_asked(self) -> None:
        """By number, in any order, once."""
        requests, replies = Requests(), [list[Reply](), list[Reply]()]
        requests.open()
        for found in replies:
            requests.ask(messages.ListRooms, found.append)
        one, two = self.numbers(requests)
        requests.answer_untrusted(messages.Done(two))
        requests.answer_untrusted(messages.Done(one))
        assert [[reply.number for reply in found] for found in replies] == [[one], [two]]
        with pytest.raises(RemoteProtocolError):
            requests.answer_untrusted(messages.Done(one))

    def test_unanswered_questions_are_asked_again_in_order(self) -> None:
        """Those that are to be, behind what the new session begins with."""
        requests, found = Requests(), list[str]()
        requests.ask(messages.ListRooms, lambda _: found.append("before"))
        requests.open()
        requests.release()
        requests.ask(messages.ListRooms, lambda _: found.append("once"), again=False)
        requests.ask(messages.ListRooms, lambda _: found.append("again"))
        requests.close()
        requests.ask(messages.ListRooms, lambda _: found.append("between"))
        requests.ask(messages.ListRooms, lambda _: found.append("never"), again=False)
        requests.open()
        requests.ask(messages.ListRooms, lambda _: found.append("first"), again=False)
        requests.release()
        for number in self.numbers(requests):
            requests.answer_untrusted(messages.Done(number))
        assert found == ["first", "before", "again", "between"]


class TestLanes:
    def test_what_comes_early_waits_for_its_room(self) -> None:
        """In its order, and only of that lane."""
        lanes = Lanes()
        assert lanes.route_untrusted(1, b"a") is None
        assert lanes.route_untrusted(2, b"x") is None
        assert lanes.route_untrusted(1, b"b") is None
        assert lanes.open(1, ROOM) == [b"a", b"b"]
        assert lanes.route_untrusted(1, b"c") == ROOM

    def test_a_retired_lane_is_silent_until_it_is_opened_again(self) -> None:
        """And holds no memory."""
        lanes = Lanes()
        lanes.route_untrusted(1, b"early")
        lanes.retire(1)
        assert lanes.route_untrusted(1, b"late") is None
        assert lanes.open(1, ROOM) == []
        assert lanes.route_untrusted(1, b"c") == ROOM

    def test_memory_that_was_used_is_free_again(self) -> None:
        """Early bytes count only while they wait."""
        lanes = Lanes()
        for lane in range(1, 200):
            lanes.route_untrusted(lane, bytes(60_000))
            lanes.open(lane, ROOM)


def entries(*numbers: int) -> list[Entry]:
    return [JoinEntry(ROOM, seq, 0, "ayu") for seq in numbers]


def joined(head: int, lane: int = 1) -> Joined:
    return Joined(1, ROOM, lane, head, 0, bytes(32))


class TestRoomFeed:
    def feed(self, *, position: int | None = 0, head: int = 0) -> RoomFeed:
        feed = RoomFeed(ROOM, Presence.MEMBER, position=position)
        feed.on_joined(joined(head))
        return feed

    def taken(self, feed: RoomFeed) -> list[int]:
        numbers = []
        while feed.peek() is not None:
            numbers.append(feed.take().seq)
        return numbers

    def test_in_order_and_once(self) -> None:
        """Repeats are dropped."""
        feed = self.feed()
        for entry in entries(1, 2, 2, 1, 3):
            feed.on_entry(entry, own=False)
        assert self.taken(feed) == [1, 2, 3]
        feed.on_entry(entries(3)[0], own=False)
        assert self.taken(feed) == []

    def test_a_first_visit_begins_with_the_last_entries(self) -> None:
        """The number of the first is known before it comes."""
        feed = self.feed(position=None, head=200)
        for entry in entries(*range(151, 201)):
            feed.on_entry(entry, own=False)
        assert self.taken(feed) == list(range(151, 201))

    def test_a_gap_is_filled_from_history(self) -> None:
        """Only when the inbox is empty, and a page at a time."""
        feed = self.feed()
        feed.on_entry(entries(120)[0], own=False)
        assert feed.page_wanted()
        request = feed.page_request(9)
        assert (request.before, request.count) == (51, 50)
        assert not feed.page_wanted()
        feed.on_page_untrusted(entries(*range(1, 51)))
        assert self.taken(feed) == list(range(1, 51))
        assert feed.page_wanted()
        feed.page_request(10)
        feed.on_page_untrusted(entries(*range(51, 101)))
        assert self.taken(feed) == list(range(51, 101))
        assert feed.page_request(11).before == 121
        feed.on_page_untrusted(entries(*range(101, 121)))
        assert self.taken(feed) == list(range(101, 121))
        assert not feed.page_wanted()
        feed.on_entry(entries(121)[0], own=False)
        assert self.taken(feed) == [121]

    def test_a_receipt_from_further_on_is_no_gap(self) -> None:
        """An own post that is answered out of order does not make the room lag."""
        feed = self.feed(head=10)
        feed.on_entry(entries(9)[0], own=True)
        assert not feed.page_wanted()
        for entry in entries(*range(1, 11)):
            feed.on_entry(entry, own=False)
        assert self.taken(feed) == list(range(1, 11))

    def test_more_than_is_taken_is_dropped_and_fetched_later(self) -> None:
        """The inbox is bounded."""
        feed = self.feed()
        for entry in entries(*range(1, 1001)):
            feed.on_entry(entry, own=False)
        assert self.taken(feed) == list(range(1, MAX_INBOX_ENTRIES + 1))
        assert feed.page_wanted()
        assert feed.page_request(1).before == MAX_INBOX_ENTRIES + 51

    def test_a_page_may_come_in_parts(self) -> None:
        """The newest part first."""
        feed = self.feed()
        feed.on_entry(entries(50)[0], own=False)
        feed.page_request(1)
        feed.on_page_untrusted(entries(*range(31, 51)))
        assert feed.peek() is None
        request = feed.page_request(2)
        assert (request.before, request.count) == (31, 30)
        feed.on_page_untrusted(entries(*range(1, 31)))
        assert self.taken(feed) == list(range(1, 51))

    @pytest.mark.parametrize("numbers", [[], [2], [49, 51], [0, *range(1, 51)], [51], [50, 50]])
    def test_other_pages_are_refused(self, numbers: list[int]) -> None:
        """A server that cannot count."""
        feed = self.feed()
        feed.on_entry(entries(100)[0], own=False)
        feed.page_request(1)
        with pytest.raises(RemoteProtocolError):
            feed.on_page_untrusted(entries(*numbers))

    def test_a_page_that_nobody_asked_for_is_refused(self) -> None:
        """It has no place."""
        with pytest.raises(RemoteProtocolError):
            self.feed().on_page_untrusted(entries(1))

    def test_a_reconnect_asks_from_where_it_was(self) -> None:
        """What was in the inbox comes again."""
        feed = self.feed()
        for entry in entries(1, 2, 3):
            feed.on_entry(entry, own=False)
        feed.take()
        feed.on_disconnected()
        assert feed.join_request(1).after == 1
        feed.on_joined(joined(3))
        for entry in entries(2, 3):
            feed.on_entry(entry, own=False)
        assert self.taken(feed) == [2, 3]

    def test_a_shorter_log_is_noticed_once(self) -> None:
        """And the place moves to its end."""
        feed = RoomFeed(ROOM, Presence.MEMBER, position=10)
        assert not feed.on_joined(joined(4))
        assert feed.on_joined(joined(4))
        feed.on_entry(entries(5)[0], own=False)
        assert self.taken(feed) == [5]

    def test_a_writer_is_given_nothing(self) -> None:
        """Its receipts are not for reading."""
        feed = RoomFeed(ROOM, Presence.WRITER)
        feed.on_joined(joined(0))
        feed.on_entry(entries(1)[0], own=True)
        assert feed.peek() is None


class TestHeard:
    def statement(self, seq: int, previous: bytes) -> Statement:
        return Statement(ROOM, b"a" * 32, seq, 0, Kind.SAY, "x", previous)

    def test_the_first_of_an_author_says_nothing(self) -> None:
        """We may have come late."""
        assert Heard({}).continues(self.statement(7, b"x" * 32), b"h" * 32)

    @pytest.mark.parametrize(
        ("seq", "previous", "continues"),
        [(8, b"h" * 32, True), (9, b"h" * 32, False), (8, b"x" * 32, False), (7, b"h" * 32, False)],
    )
    def test_number_and_link_must_fit(self, seq: int, previous: bytes, continues: bool) -> None:
        """Either alone can be made up."""
        heard = Heard({b"a" * 32: (7, b"h" * 32)})
        assert heard.continues(self.statement(seq, previous), b"i" * 32) is continues


class TestReader:
    def notice(self, text: str = "x") -> Notice:
        return Notice(text=text)

    def test_what_was_given_counts_when_more_is_asked_for(self) -> None:
        """And is saved when there is nothing more."""
        store = Store(None)
        reader = Reader(store, "r")
        for seq in (1, 2):
            reader.put(self.notice(), Place(room=ROOM, seq=seq))
        reader.next()
        reader.next()
        assert reader.cursor(ROOM) is None
        assert reader.next() is None
        assert reader.cursor(ROOM) == 2

    def test_cursors_are_saved_now_and_then(self) -> None:
        """A kill in a long catch-up repeats a batch, not everything."""
        reader = Reader(Store(None), "r")
        for seq in range(1, SAVE_EVERY + 10):
            reader.put(self.notice(), Place(room=ROOM, seq=seq))
        for _ in range(SAVE_EVERY + 1):
            reader.next()
        assert reader.cursor(ROOM) == SAVE_EVERY

    def test_the_last_one_counts_when_the_reader_says_so(self) -> None:
        """A program that stops reading on purpose."""
        reader = Reader(Store(None), "r")
        reader.put(self.notice(), Place(room=ROOM, seq=5))
        reader.next()
        reader.done()
        reader.save()
        assert reader.cursor(ROOM) == 5

    def test_a_full_queue_says_so(self) -> None:
        """By number of events, and by their size."""
        reader = Reader(Store(None), "r")
        for _ in range(MAX_EVENTS):
            assert not reader.full
            reader.put(self.notice())
        assert reader.full
        assert not reader.hungry
        for _ in range(MAX_EVENTS // 2):
            reader.next()
        assert reader.hungry
        heavy = Reader(Store(None), "h")
        for _ in range(100):
            heavy.put(self.notice("x" * 60_000))
        assert heavy.full

    def test_side_events_overtake_and_never_pile_up(self) -> None:
        """A program that never reads must not fill the memory."""
        reader = Reader(Store(None), "r")
        reader.put(self.notice("entry"))
        for n in range(MAX_SIDE_EVENTS + 50):
            reader.put_side(self.notice(f"{n}"))
        first = reader.next()
        assert isinstance(first, Notice)
        assert first.text == "50"
        assert sum(reader.next() is not None for _ in range(2 * MAX_SIDE_EVENTS)) == MAX_SIDE_EVENTS

    def test_readers_do_not_know_each_other(self, tmp_path: Path) -> None:
        """A terminal and a script have places of their own, and both last."""
        store = Store(tmp_path / "store.db")
        for name, seq in (("chat", 5), ("tail", 9)):
            reader = Reader(store, name)
            reader.put(self.notice(), Place(room=ROOM, seq=seq, author=b"a" * 32, statement=(seq, b"h" * 32)))
            reader.next()
            reader.next()
        store.close()
        again = Store(tmp_path / "store.db")
        assert [Reader(again, name).cursor(ROOM) for name in ("chat", "tail")] == [5, 9]
        assert Reader(again, "tail").heard(ROOM) == {b"a" * 32: (9, b"h" * 32)}


class TestStore:
    def test_two_programs_may_begin_a_home_at_the_same_moment(self, tmp_path: Path) -> None:
        """SQLite does not wait for a lock when it changes to WAL; whoever comes second must."""
        stores: list[Store] = []
        problems: list[Exception] = []
        start = threading.Barrier(6)

        def open_store() -> None:
            start.wait()
            try:
                stores.append(Store(tmp_path / "home" / "store.db"))
            except HomeError as error:
                problems.append(error)

        threads = [threading.Thread(target=open_store) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        stores[0].remember_room("#a")
        assert [store.rooms() for store in stores] == [["#a"]] * 6
        for store in stores:
            store.close()

    def test_a_home_in_a_place_that_cannot_be_written_is_a_sentence(self, tmp_path: Path) -> None:
        """A file where a folder should be."""
        (tmp_path / "file").write_text("")
        with pytest.raises(HomeError, match="Cannot use"):
            Store(tmp_path / "file" / "store.db")

    def test_rooms_are_remembered_and_forgotten(self) -> None:
        """Each once."""
        store = Store(None)
        for room in ("#b", "#a", "#b"):
            store.remember_room(room)
        assert store.rooms() == ["#a", "#b"]
        store.forget_room("#a")
        assert store.rooms() == ["#b"]

    def test_a_pinned_key_keeps_its_modulus_and_all_its_names(self) -> None:
        """Other devices of a name, present or former, are counted."""
        store = Store(None)
        assert store.pin_device(b"k" * 32, "ayu", b"m") == 0
        assert store.pin_device(b"k" * 32, "bima", b"x", ["ayu"]) == 0
        assert store.device(b"k" * 32) == ("bima", b"m")
        assert store.former_names(b"k" * 32) == {"ayu"}
        assert store.pin_device(b"l" * 32, "ayu", b"n") == 1
        assert store.pin_device(b"m" * 32, "bima", b"n") == 1
        assert store.pin_device(b"n" * 32, "dewi", b"n") == 0


class TestAuthors:
    def device(self, key: int, name: str) -> messages.Device:
        return messages.Device(1, name, device_key(key).public.modulus)

    def test_a_key_is_learned_once_and_outlives_the_program(self) -> None:
        """From the server, then from the home."""
        store = Store(None)
        key_hash = device_key(1).public.key_hash
        authors = Authors(store)
        assert authors.get(key_hash) is None
        assert authors.learn_untrusted(key_hash, self.device(1, "ayu")) is None
        for known in (authors.get(key_hash), Authors(store).get(key_hash)):
            assert known is not None
            assert (known.name, known.key) == ("ayu", device_key(1).public)

    @pytest.mark.parametrize(
        "modulus", [lambda: bytes(384), lambda: device_key(2).public.modulus], ids=["bad", "other"]
    )
    def test_another_key_than_the_one_asked_for_is_refused(self, modulus: Callable[[], bytes]) -> None:
        """A bad one, or somebody else's."""
        with pytest.raises(RemoteProtocolError):
            Authors(Store(None)).learn_untrusted(device_key(1).public.key_hash, messages.Device(1, "ayu", modulus()))

    def test_a_key_that_the_server_does_not_know_is_asked_for_again_next_time(self) -> None:
        """It may know it then."""
        store = Store(None)
        key_hash = device_key(1).public.key_hash
        authors = Authors(store)
        authors.learn_unknown(key_hash)
        unknown = authors.get(key_hash)
        assert unknown is not None
        assert unknown.key is None
        assert Authors(store).get(key_hash) is None

    def test_memory_is_bounded_and_the_home_remembers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The least recently heard gives way."""
        monkeypatch.setattr("bisik.authors.KEYS_IN_MEMORY", 2)
        authors = Authors(Store(None))
        for key in (1, 2, 3):
            authors.learn_untrusted(device_key(key).public.key_hash, self.device(key, f"n{key}"))
        assert len(authors._recent) == 2
        assert [authors.get(device_key(key).public.key_hash) is not None for key in (1, 2, 3)] == [True] * 3


class TestNews:
    async def test_every_tell_wakes_all_who_wait(self) -> None:
        """And nobody who comes later."""
        news, woken = News(), list[int]()

        async def wait(number: int) -> None:
            await news.wait()
            woken.append(number)

        news.tell()
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(wait, number)
            await trio.testing.wait_all_tasks_blocked()
            assert woken == []
            news.tell()
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(woken) == [0, 1, 2]
            nursery.start_soon(wait, 3)
            await trio.testing.wait_all_tasks_blocked()
            assert 3 not in woken
            news.tell()


class TestBackoff:
    @pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
    def test_at_once_then_longer_up_to_a_few_seconds(self, jitter: float) -> None:
        """Never shorter than the one before, never above the cap."""
        backoff = Backoff(lambda: jitter)
        waits = [backoff.next_wait() for _ in range(1000)]
        assert waits[0] == 0.0
        assert 0.1 < waits[1] < 1.0
        assert waits == sorted(waits)
        assert waits[-1] <= MAX_WAIT_S
        assert waits[-1] >= MAX_WAIT_S / 2

    def test_success_begins_anew(self) -> None:
        """The next try is made at once."""
        backoff = Backoff(lambda: 1.0)
        for _ in range(5):
            backoff.next_wait()
        backoff.reset()
        assert backoff.next_wait() == 0.0


class TestSleepWatch:
    @pytest.mark.parametrize(
        ("monotonic", "wall", "slept"),
        [
            (1.0, 1.0, False),
            (1.2, 1.1, False),
            (1.0, 3600.0, True),  # Linux, macOS
            (3600.0, 3600.0, True),  # Windows
            (1.0, -3600.0, False),  # somebody set the clock back
            (3.9, 3.9, False),  # a busy machine
        ],
    )
    def test_two_clocks_tell(self, monotonic: float, wall: float, slept: bool) -> None:
        """Since the look before."""
        watch = SleepWatch(every_s=1.0, monotonic=100.0, wall=5000.0)
        assert watch.slept(monotonic=100.0 + monotonic, wall=5000.0 + wall) is slept
        assert not watch.slept(monotonic=101.0 + monotonic, wall=5001.0 + wall)
