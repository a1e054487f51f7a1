"""Posting: what a refusal means, step by step, and who is told what became of a message."""

import pytest

from bisik.errors import BisikError, Refused, Unreachable
from bisik.events import Receipt
from bisik.outbox import Outbox
from bisik.posting import STORAGE_RETRY_S, WINDOW_BYTES, WINDOW_POSTS, Posting
from bisik.store import Store
from bisik.waiters import Waiters
from bisik_protocol.chat.messages import (
    ZERO_DIGEST,
    Code,
    Joined,
    PostRefused,
    decode_from_member_untrusted,
)
from bisik_protocol.chat.statements import decode_statement_untrusted
from tests.support.keys import device_key

ROOM = "#lobby"


class Desk:
    """A room's outbox and its posting; what it sends, as texts with numbers."""

    def __init__(self) -> None:
        self.outbox = Outbox(Store(None), device_key())
        self.posting = Posting(ROOM, self.outbox)

    def say(self, *texts: str) -> list[int]:
        return [self.outbox.enqueue(ROOM, text, time_ms=1) for text in texts]

    def join(self, seq: int = 0, digest: bytes = ZERO_DIGEST) -> None:
        self.posting.on_joined(Joined(1, ROOM, 1, 0, seq, digest))

    def sent(self) -> list[tuple[int, str]]:
        statements = [
            decode_statement_untrusted(decode_from_member_untrusted(post).statement) for post in self.posting.posts()
        ]
        return [(statement.seq, statement.text) for statement in statements]

    def refuse(self, seq: int, code: Code, now: float = 0.0) -> int | None:
        return self.posting.on_refused(PostRefused(ROOM, seq, code, f"{code.value}."), now)

    def store(self, index: int = 0) -> tuple[int, bytes]:
        """The server has stored what waits at this place; its end of the chain then."""
        queued = self.outbox.queued(ROOM)[index]
        self.outbox.settle(queued.hash, seq=1, time_ms=1)
        self.posting.on_entry(queued.hash)
        return queued.seq, queued.hash


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestSending:
    def test_nothing_goes_out_before_the_room_is_joined(self, desk: Desk) -> None:
        """There is no lane yet."""
        desk.say("one")
        assert desk.sent() == []
        desk.join()
        assert desk.sent() == [(1, "one")]
        assert desk.sent() == []

    def test_a_window_at_a_time(self, desk: Desk) -> None:
        """Ten thousand messages in the outbox do not all sit in the transport."""
        desk.say(*(f"{n}" for n in range(WINDOW_POSTS + 10)))
        desk.join()
        assert len(desk.sent()) == WINDOW_POSTS
        assert desk.sent() == []
        desk.store()
        desk.store()
        assert [seq for seq, _ in desk.sent()] == [WINDOW_POSTS + 1, WINDOW_POSTS + 2]

    def test_a_window_of_bytes(self, desk: Desk) -> None:
        """Long messages count for what they are."""
        desk.say(*("x" * 50_000 for _ in range(10)))
        desk.join()
        assert len(desk.sent()) == WINDOW_BYTES // 50_000 + 1

    def test_a_new_connection_sends_again_what_waits(self, desk: Desk) -> None:
        """The same bytes."""
        desk.say("one", "two")
        desk.join()
        first = desk.sent()
        desk.posting.on_disconnected()
        assert desk.sent() == []
        desk.join()
        assert desk.sent() == first

    def test_idle_means_that_nothing_is_under_way(self, desk: Desk) -> None:
        """Joined, and every post answered."""
        assert not desk.posting.idle
        desk.say("one")
        desk.join()
        assert desk.posting.idle
        desk.sent()
        assert not desk.posting.idle
        desk.store()
        assert desk.posting.idle


class TestRefusals:
    def test_a_full_log_is_tried_again_after_a_while(self, desk: Desk) -> None:
        """What follows from the refusal is not counted."""
        desk.say("one", "two", "three")
        desk.join()
        desk.sent()
        desk.refuse(1, Code.STORAGE, now=100.0)
        desk.refuse(2, Code.CHAIN)
        desk.refuse(3, Code.CHAIN)
        assert desk.posting.retry_at == 100.0 + STORAGE_RETRY_S
        assert not desk.posting.take_rejoin()
        desk.say("four")
        assert desk.sent() == []
        desk.posting.handle_timeout(100.0 + STORAGE_RETRY_S)
        assert desk.posting.take_rejoin()
        desk.join()
        assert desk.sent() == [(1, "one"), (2, "two"), (3, "three"), (4, "four")]

    def test_the_room_is_joined_again_when_all_that_was_sent_is_answered(self, desk: Desk) -> None:
        """A refusal that comes later would be taken for one of what is sent anew, and lead to the next rejoining."""
        desk.say("one", "two", "three")
        desk.join()
        desk.sent()
        desk.refuse(1, Code.CHAIN)
        assert not desk.posting.take_rejoin()
        desk.refuse(3, Code.CHAIN)
        assert not desk.posting.take_rejoin()
        desk.posting.on_entry(desk.outbox.queued(ROOM)[1].hash)  # stored through another process
        assert desk.posting.take_rejoin()
        assert not desk.posting.take_rejoin()

    def test_what_our_chain_leads_to_is_not_renumbered_however_often_it_is_refused(self, desk: Desk) -> None:
        """What stands before it has not got through yet; under their numbers it would be in their way."""
        desk.say("one", "two", "three", "four")
        desk.join()
        desk.sent()
        one = desk.store()
        for _ in range(3):
            desk.refuse(4, Code.CHAIN)
            desk.join(*one)
            assert desk.sent() == [(2, "two"), (3, "three"), (4, "four")]

    def test_one_refusal_that_our_chain_explains_is_tried_again_as_it_is(self, desk: Desk) -> None:
        """Another process may not have come so far when the server looked."""
        desk.say("one", "two")
        desk.join()
        desk.sent()
        end = desk.store()
        desk.refuse(2, Code.CHAIN)
        assert desk.posting.take_rejoin()
        desk.join(*end)
        assert desk.sent() == [(2, "two")]

    def test_a_server_that_went_back_is_believed_the_second_time(self, desk: Desk) -> None:
        """It has lost `one`, `two` and `three`; only then is `four` renumbered."""
        desk.say("one", "two", "three", "four")
        desk.join()
        desk.sent()
        one = desk.store()
        desk.store()
        desk.store()
        desk.refuse(4, Code.CHAIN)
        desk.join(*one)
        assert desk.sent() == [(4, "four")]
        desk.refuse(4, Code.CHAIN)
        desk.join(*one)
        assert desk.sent() == [(2, "four")]

    def test_what_another_process_had_stored_meanwhile_is_not_signed_again(self, desk: Desk) -> None:
        """Refused twice for want of room, and then stored through the home's other program: its entry is on the way.

        The chain ends with what was refused, or behind it; signed again it would be stored a second time.
        """
        desk.say("a", "b")
        desk.join()
        first, last = desk.outbox.queued(ROOM)
        for end in (first, last):
            for _turn in range(2):
                desk.sent()
                desk.refuse(1, Code.STORAGE)
                desk.posting.handle_timeout(STORAGE_RETRY_S)
                desk.join(end.seq, end.hash)
            assert desk.outbox.queued(ROOM) == [first, last]
            assert desk.sent() == [(1, "a"), (2, "b")]  # which is answered with their entries

    def test_an_end_that_we_never_signed_is_believed_at_once(self, desk: Desk) -> None:
        """A home from an old copy."""
        desk.say("new", "newer")
        desk.join(0)
        desk.sent()
        desk.refuse(1, Code.CHAIN)
        desk.refuse(2, Code.CHAIN)
        desk.join(20, b"e" * 32)
        assert desk.sent() == [(21, "new"), (22, "newer")]

    def test_what_stands_before_the_refused_one_keeps_its_number(self, desk: Desk) -> None:
        """Its entry is on the way, on another lane."""
        desk.say("stored", "refused")
        desk.join()
        desk.sent()
        desk.refuse(2, Code.CHAIN)
        desk.join(20, b"e" * 32)
        assert desk.sent() == [(1, "stored"), (21, "refused")]

    def test_late_refusals_of_old_numbers_are_not_about_the_new_ones(self, desk: Desk) -> None:
        """They come in the order of the posts; the statement that they mean is gone."""
        desk.say("bad", "two", "three")
        desk.join()
        desk.sent()
        assert desk.refuse(1, Code.STATEMENT_INVALID) is not None
        assert desk.sent() == [(1, "two"), (2, "three")]
        assert desk.refuse(2, Code.CHAIN) is None
        assert desk.refuse(3, Code.CHAIN) is None
        assert not desk.posting.take_rejoin()
        assert desk.posting.retry_at is None

    def test_a_room_that_is_not_joined_any_more_is_joined_again(self, desk: Desk) -> None:
        """The server may have put us out of it."""
        desk.say("one")
        desk.join()
        desk.sent()
        desk.refuse(1, Code.NOT_JOINED)
        assert desk.posting.take_rejoin()
        desk.join()
        assert desk.sent() == [(1, "one")]

    @pytest.mark.parametrize("seq", [0, 2, 99])
    def test_refusals_of_what_was_never_sent_mean_nothing(self, desk: Desk, seq: int) -> None:
        """A server may say anything."""
        desk.say("one")
        desk.join()
        desk.sent()
        assert desk.refuse(seq, Code.STATEMENT_INVALID) is None
        assert desk.outbox.count() == 1

    def test_what_another_process_has_settled_is_not_refused_any_more(self, desk: Desk) -> None:
        """Its receipt was quicker."""
        desk.say("one")
        desk.join()
        desk.sent()
        (queued,) = desk.outbox.queued(ROOM)
        desk.outbox.settle(queued.hash, seq=1, time_ms=1)
        desk.refuse(1, Code.CHAIN)
        assert not desk.posting.take_rejoin()


class TestWaiters:
    def test_each_is_told_once(self, desk: Desk) -> None:
        """A receipt, or why there is none."""
        waiters, told = Waiters(desk.outbox), list[Receipt | BisikError]()
        good, bad = desk.say("good", "bad")
        waiters.add(good, ROOM, told.append)
        waiters.add(bad, ROOM, told.append)
        assert told == []
        desk.join()
        desk.sent()
        desk.store()
        waiters.tell(good)
        waiters.tell(good)
        assert [type(outcome) for outcome in told] == [Receipt]
        desk.refuse(2, Code.STATEMENT_INVALID)
        waiters.tell_room(ROOM)
        waiters.tell_room(ROOM)
        assert [type(outcome) for outcome in told] == [Receipt, Refused]

    def test_whoever_asks_late_is_told_at_once(self, desk: Desk) -> None:
        """It was stored before anybody waited."""
        (id_,) = desk.say("one")
        desk.store()
        told: list[Receipt | BisikError] = []
        Waiters(desk.outbox).add(id_, ROOM, told.append)
        assert len(told) == 1

    def test_whoever_gave_up_is_not_told(self, desk: Desk) -> None:
        """Dropped twice is no matter."""
        waiters, told = Waiters(desk.outbox), list[Receipt | BisikError]()
        (id_,) = desk.say("one")
        waiters.add(id_, ROOM, told.append)
        waiters.drop(id_)
        waiters.drop(id_)
        desk.store()
        waiters.tell(id_)
        assert told == []

    def test_a_room_that_cannot_be_had_is_told_to_its_own(self, desk: Desk) -> None:
        """Not to those of other rooms."""
        waiters, told = Waiters(desk.outbox), list[Receipt | BisikError]()
        here = desk.outbox.enqueue(ROOM, "here", time_ms=1)
        there = desk.outbox.enqueue("#ops", "there", time_ms=1)
        waiters.add(here, ROOM, told.append)
        waiters.add(there, "#ops", lambda _: pytest.fail("another room"))
        waiters.give_up_room(ROOM, Unreachable("no"))
        assert [str(outcome) for outcome in told] == ["no"]
