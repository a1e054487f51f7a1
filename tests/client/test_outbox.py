"""The outbox: one chain, whatever happens to the processes that share it."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from bisik.errors import HomeError
from bisik.events import Receipt
from bisik.outbox import Failed, Outbox
from bisik.store import Store
from bisik_protocol.chat.messages import ZERO_DIGEST
from bisik_protocol.chat.statements import (
    STATEMENT_CONTEXT,
    Kind,
    Statement,
    decode_statement_untrusted,
    statement_hash,
)
from tests.support.keys import device_key

ROOM = "#lobby"
DEVICE = device_key()


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(Store(None), DEVICE)


def statements(outbox: Outbox, room: str = ROOM) -> list[Statement]:
    return [decode_statement_untrusted(queued.statement) for queued in outbox.queued(room)]


def assert_chain(outbox: Outbox, room: str = ROOM, seq: int = 0, previous: bytes = ZERO_DIGEST) -> None:
    """What waits is numbered without gaps, linked and signed."""
    for queued in outbox.queued(room):
        statement = decode_statement_untrusted(queued.statement)
        assert (queued.seq, statement.seq, statement.previous) == (seq + 1, seq + 1, previous)
        assert queued.hash == statement_hash(queued.statement)
        assert DEVICE.public.verify(STATEMENT_CONTEXT, queued.statement, queued.signature)
        seq, previous = queued.seq, queued.hash


def put(outbox: Outbox, *texts: str, room: str = ROOM) -> list[int]:
    return [outbox.enqueue(room, text, time_ms=5) for text in texts]


class TestEnqueue:
    def test_messages_are_chained_and_signed(self, outbox: Outbox) -> None:
        """Each room is a chain of its own."""
        put(outbox, "one", "two", "three")
        put(outbox, "other", room="#ops")
        assert_chain(outbox)
        assert_chain(outbox, "#ops")
        assert [statement.text for statement in statements(outbox)] == ["one", "two", "three"]
        assert outbox.rooms() == [ROOM, "#ops"]
        assert outbox.count() == 4

    def test_everything_that_was_meant_is_signed(self, outbox: Outbox) -> None:
        """Kind, time, author, and the checkpoint that was seen."""
        outbox.enqueue(ROOM, "waves", kind=Kind.ACT, time_ms=77, checkpoint=b"c" * 32)
        (statement,) = statements(outbox)
        assert (statement.kind, statement.time, statement.checkpoint) == (Kind.ACT, 77, b"c" * 32)
        assert statement.author == DEVICE.public.key_hash

    def test_the_chain_goes_on_after_what_was_stored(self, outbox: Outbox) -> None:
        """Its rows may be gone; its end is kept."""
        put(outbox, "one")
        (first,) = outbox.queued(ROOM)
        outbox.settle(first.hash, seq=9, time_ms=5)
        put(outbox, "two")
        assert_chain(outbox, seq=1, previous=first.hash)

    def test_a_window_of_what_waits(self, outbox: Outbox) -> None:
        """From a number on, so many."""
        put(outbox, *"abcdef")
        assert [queued.seq for queued in outbox.queued(ROOM, after_seq=2, limit=3)] == [3, 4, 5]


class TestOutcome:
    def test_a_receipt_is_there_for_every_process(self, outbox: Outbox) -> None:
        """The first entry is news, the second is not."""
        (id_,) = put(outbox, "one")
        (queued,) = outbox.queued(ROOM)
        assert outbox.outcome(id_) is None
        news = outbox.settle(queued.hash, seq=7, time_ms=1_763_802_000_123)
        again = outbox.settle(queued.hash, seq=7, time_ms=1_763_802_000_123)
        assert news is not None
        assert again is not None
        assert (news.id, news.now, again.now) == (id_, True, False)
        assert outbox.outcome(id_) == Receipt(
            room=ROOM, seq=7, id=queued.hash[:16].hex(), time="2025-11-22T09:00:00.123Z"
        )
        assert outbox.count() == 0

    def test_a_statement_of_another_home_is_not_ours(self, outbox: Outbox) -> None:
        """The same device may have been copied."""
        assert outbox.settle(b"x" * 32, seq=1, time_ms=1) is None

    def test_a_failure_closes_the_gap_behind_it(self, outbox: Outbox) -> None:
        """What waits behind it is numbered and signed anew."""
        ids = put(outbox, "one", "bad", "three", "four")
        bad = outbox.queued(ROOM)[1]
        assert outbox.fail(refused=bad.hash, reason="No.") == ids[1]
        assert_chain(outbox)
        assert [statement.text for statement in statements(outbox)] == ["one", "three", "four"]
        assert outbox.outcome(ids[1]) == Failed(room=ROOM, reason="No.")

    def test_a_failure_of_the_last_gives_its_number_back(self, outbox: Outbox) -> None:
        """The next message takes it."""
        put(outbox, "one", "bad")
        outbox.fail(refused=outbox.queued(ROOM)[1].hash, reason="No.")
        put(outbox, "two")
        assert_chain(outbox)

    def test_a_failure_is_only_counted_once(self, outbox: Outbox) -> None:
        """Two processes may hear of it."""
        put(outbox, "bad", "two")
        refused = outbox.queued(ROOM)[0].hash
        assert outbox.fail(refused=refused, reason="No.") is not None
        assert outbox.fail(refused=refused, reason="No.") is None
        assert [statement.text for statement in statements(outbox)] == ["two"]

    def test_old_outcomes_are_forgotten(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """What waits never is."""
        monkeypatch.setattr("bisik.outbox.KEPT_OUTCOMES", 2)
        ids = put(outbox, *"abcde")
        waiting = put(outbox, "waits", room="#ops")
        for queued in outbox.queued(ROOM):
            outbox.settle(queued.hash, seq=1, time_ms=1)
        assert outbox.outcome(ids[0]) is None
        assert isinstance(outbox.outcome(ids[4]), Receipt)
        assert outbox.text(ids[0]) == ""
        assert outbox.text(waiting[0]) == "waits"


class TestRenumber:
    def test_what_was_refused_goes_behind_the_servers_end(self, outbox: Outbox) -> None:
        """What stands before the refused one keeps its number: its entry may be on the way."""
        put(outbox, "stored", "refused", "behind")
        stored, refused, _ = outbox.queued(ROOM)
        assert outbox.renumber(refused=refused.hash, seq=8, digest=b"e" * 32) == 2
        first, *rest = outbox.queued(ROOM)
        assert first == stored
        assert [queued.seq for queued in rest] == [9, 10]
        assert decode_statement_untrusted(rest[0].statement).previous == b"e" * 32
        put(outbox, "next")
        assert [queued.seq for queued in outbox.queued(ROOM)] == [1, 9, 10, 11]

    def test_renumbering_twice_does_nothing(self, outbox: Outbox) -> None:
        """Another process was faster: the refused statement waits no more."""
        put(outbox, "refused")
        (refused,) = outbox.queued(ROOM)
        outbox.renumber(refused=refused.hash, seq=8, digest=b"e" * 32)
        (renumbered,) = outbox.queued(ROOM)
        assert outbox.renumber(refused=refused.hash, seq=20, digest=b"f" * 32) == 0
        assert outbox.queued(ROOM) == [renumbered]
        assert not outbox.waits(refused.hash)
        assert outbox.waits(renumbered.hash)

    def test_numbers_may_shift_by_one_either_way(self, outbox: Outbox) -> None:
        """Rows do not get in each other's way."""
        put(outbox, *"abcd")
        outbox.renumber(refused=outbox.queued(ROOM)[0].hash, seq=1, digest=b"e" * 32)
        assert [queued.seq for queued in outbox.queued(ROOM)] == [2, 3, 4, 5]
        outbox.renumber(refused=outbox.queued(ROOM)[0].hash, seq=0, digest=ZERO_DIGEST)
        assert_chain(outbox)

    def test_what_this_home_has_signed_is_known(self, outbox: Outbox) -> None:
        """The empty chain too."""
        put(outbox, "one", "two")
        one, two = outbox.queued(ROOM)
        outbox.settle(one.hash, seq=1, time_ms=1)
        assert outbox.knows(ROOM, 0, ZERO_DIGEST)
        assert outbox.knows(ROOM, 1, one.hash)
        assert outbox.knows(ROOM, 2, two.hash)
        assert not outbox.knows(ROOM, 2, b"x" * 32)
        assert not outbox.knows("#ops", 1, one.hash)

    def test_a_statement_continues_only_its_chain(self, outbox: Outbox) -> None:
        """Number and link must both fit."""
        put(outbox, "one", "two")
        one, two = outbox.queued(ROOM)
        assert outbox.continues(1, one.hash, refused=two.hash)
        assert not outbox.continues(1, b"x" * 32, refused=two.hash)
        assert not outbox.continues(2, one.hash, refused=two.hash)
        assert outbox.continues(5, b"x" * 32, refused=b"gone" * 8)

    def test_an_end_is_adopted_only_where_nothing_waits(self, outbox: Outbox) -> None:
        """And never backwards."""
        outbox.adopt(ROOM, 5, b"e" * 32)
        put(outbox, "six")
        assert_chain(outbox, seq=5, previous=b"e" * 32)
        outbox.adopt(ROOM, 9, b"f" * 32)
        put(outbox, "seven")
        assert_chain(outbox, seq=5, previous=b"e" * 32)
        for queued in outbox.queued(ROOM):
            outbox.settle(queued.hash, seq=1, time_ms=1)
        outbox.adopt(ROOM, 3, b"g" * 32)
        put(outbox, "eight")
        assert [queued.seq for queued in outbox.queued(ROOM)] == [8]


class TestManyHands:
    def test_threads_make_one_chain(self, tmp_path: Path) -> None:
        """Two stores on one file, as two processes have them."""
        outboxes = [Outbox(Store(tmp_path / "store.db"), DEVICE) for _ in range(2)]
        threads = [
            threading.Thread(target=put, args=(outbox, *(f"{n}.{m}" for m in range(20))))
            for n, outbox in enumerate(outboxes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_chain(outboxes[0])
        texts = [statement.text for statement in statements(outboxes[1])]
        assert [text for text in texts if text.startswith("1")] == [f"1.{m}" for m in range(20)]
        assert len(texts) == 40

    @pytest.mark.parametrize("after", [1, 2, 7, 20])
    def test_a_kill_loses_nothing_that_was_reported(self, tmp_path: Path, after: int) -> None:
        """SIGKILL while it writes: every id that was printed is there, and the chain is whole."""
        path = tmp_path / "store.db"
        key = tmp_path / "device.pem"
        key.write_bytes(DEVICE.to_pem())
        program = textwrap.dedent(
            """
            import sys, pathlib
            from bisik.outbox import Outbox
            from bisik.store import Store
            from bisik_protocol.crypto.identity import SigningKey
            device = SigningKey.from_pem(pathlib.Path(sys.argv[2]).read_bytes())
            outbox = Outbox(Store(pathlib.Path(sys.argv[1])), device)
            while True:
                print(outbox.enqueue("#lobby", "halo", time_ms=1), flush=True)
            """
        )
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(key)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        with child, child.stdout:
            reported = [int(child.stdout.readline()) for _ in range(after)]
            os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            reported += [int(line) for line in child.stdout if line.endswith("\n")]
        outbox = Outbox(Store(path), DEVICE)
        assert {queued.id for queued in outbox.queued(ROOM)} >= set(reported)
        assert_chain(outbox)


class TestTrouble:
    def test_a_damaged_store_is_a_sentence(self, tmp_path: Path) -> None:
        """Not a traceback of SQLite's."""
        (tmp_path / "store.db").write_bytes(b"this is no database, and long enough to be seen as none" * 100)
        with pytest.raises(HomeError, match=r"Cannot use .*store\.db"):
            Store(tmp_path / "store.db")

    def test_a_store_of_a_newer_bisik_is_left_alone(self, tmp_path: Path) -> None:
        """It may hold what this one does not understand."""
        store = Store(tmp_path / "store.db")
        with store.writing() as connection:
            connection.execute("PRAGMA user_version = 99")
        store.close()
        with pytest.raises(HomeError, match="newer bisik"):
            Store(tmp_path / "store.db")

    def test_a_transaction_that_fails_leaves_nothing(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """The number is given to the next message."""

        def fail(*_: object) -> bytes:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("bisik.outbox.statement_hash", fail)
            with pytest.raises(KeyboardInterrupt):
                put(outbox, "lost")
        put(outbox, "one")
        assert_chain(outbox)
        assert outbox.count() == 1
