"""The rules between leaves, by themselves: rooms count, chains link, authors are who their keys say."""

import pytest

from bisik_protocol.chat.messages import ZERO_DIGEST, JoinEntry, MessageEntry
from bisik_protocol.chat.statements import Kind, Statement, encode_statement, statement_hash
from bisikd.log.facts import Fact, device_record, entry_record, read_fact
from bisikd.log.format import Malformed, Record, RecordKind
from bisikd.log.ledger import NO_TIP, Chain, Disagrees, Staged, Tip
from tests.support.keys import device_key

AUTHOR = device_key().public.key_hash


class Stored:
    """What is below: #lobby at 7, where our device has said 3 things, the last with this hash."""

    def head(self, room: str) -> int:
        return 7 if room == "#lobby" else 0

    def tip(self, chain: Chain) -> Tip:
        return (3, b"3" * 32) if chain == ("#lobby", AUTHOR) else NO_TIP

    def name_of(self, key_hash: bytes) -> str | None:
        return "tama" if key_hash == AUTHOR else None


def fact(record: Record) -> Fact:
    return read_fact(record.kind, record.payload)


def statement(seq: int = 4, previous: bytes = b"3" * 32, room: str = "#lobby", author: bytes = AUTHOR) -> bytes:
    return encode_statement(
        Statement(room=room, author=author, seq=seq, time=0, kind=Kind.SAY, text="halo", previous=previous)
    )


def message(seq: int, said: bytes, room: str = "#lobby", name: str = "tama") -> Fact:
    return fact(entry_record(MessageEntry(room, seq, 0, name, said, bytes(384))))


def test_what_continues_is_taken() -> None:
    """In the room and in the chain, and again behind itself, before any of it is stored."""
    staged = Staged(Stored())
    first = statement()
    staged.admit(message(8, first))
    staged.admit(message(9, statement(5, statement_hash(first))))
    staged.admit(fact(entry_record(JoinEntry("#baru", 1, 0, "budi"))))
    assert (staged.head("#lobby"), staged.head("#baru")) == (9, 1)
    assert staged.tip(("#lobby", AUTHOR))[0] == 5
    assert len(staged.facts) == 3


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (message(7, statement()), "at 7, so its next entry is not 7"),
        (message(9, statement()), "at 7, so its next entry is not 9"),
        (message(2, statement(room="#baru", seq=1, previous=ZERO_DIGEST), room="#baru"), "at 0"),
        (message(8, statement(room="#riset")), "made in #riset is in #lobby"),
        (message(8, statement(), name="budi"), "signed for budi was given to tama"),
        (message(8, statement(author=b"x" * 32)), "given to nobody"),
        (message(8, statement(seq=3)), "Message 3 of tama in #lobby does not continue message 3"),
        (message(8, statement(seq=5)), "does not continue"),
        (message(8, statement(previous=b"4" * 32)), "does not continue"),
        (message(1, statement(room="#baru", seq=2), room="#baru"), "does not continue message 0"),
    ],
)
def test_what_does_not_continue_is_refused(wrong: Fact, sentence: str) -> None:
    """With a sentence, and nothing of it taken."""
    staged = Staged(Stored())
    with pytest.raises(Disagrees, match=sentence):
        staged.admit(wrong)
    assert staged.facts == []
    assert staged.head("#lobby") == 7
    assert staged.tip(("#lobby", AUTHOR)) == (3, b"3" * 32)


def test_a_device_speaks_under_its_newest_name() -> None:
    """From the record on that gives it, in the same group too."""
    staged = Staged(Stored())
    first = statement()
    staged.admit(message(8, first))
    staged.admit(fact(device_record("tama baru", device_key().public.modulus, 0)))
    with pytest.raises(Disagrees, match="given to tama baru"):
        staged.admit(message(9, statement(5, statement_hash(first))))
    staged.admit(message(9, statement(5, statement_hash(first)), name="tama baru"))


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (Record(RecordKind.ENTRY, b""), "not an encoded entry"),
        (Record(RecordKind.ENTRY, b"\x91\xa4what"), "not an encoded entry"),
        (entry_record(MessageEntry("#lobby", 1, 0, "tama", b"no statement", bytes(384))), "statement"),
        (Record(RecordKind.DEVICE, b""), "not an encoded device"),
        (device_record("tama", bytes(384), 0), "not an RSA-3072 key"),
        (device_record("tama", b"short", 0), "not an encoded device"),
    ],
)
def test_a_payload_that_cannot_be_read_is_malformed(record: Record, sentence: str) -> None:
    """With a sentence that says which."""
    with pytest.raises(Malformed, match=sentence):
        fact(record)
