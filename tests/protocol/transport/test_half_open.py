"""Handshakes under way: bounded in number, for each host and in time; answered again one for one."""

import pytest

from bisik_protocol.crypto.handshake import KexPart
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.half_open import (
    ANSWER_S,
    HALF_OPEN_S,
    MAX_ANSWERS,
    MAX_HALF_OPEN,
    MAX_HALF_OPEN_HOST,
    HalfOpenTable,
)

SKEX = (b"answer 0", b"answer 1")


def part(index: int, exchange: int = 0, chunk: bytes = b"") -> KexPart:
    return KexPart(
        nonce=exchange.to_bytes(32),
        cookie=bytes(40),
        index=index,
        chunk=chunk or b"chunk %d" % index,
    )


def answered(table: HalfOpenTable, exchange: int = 0, now: float = 0.0) -> None:
    """An exchange that was completed and whose answer is kept."""
    table.add_untrusted(part(0, exchange), "host", now)
    chunks = table.add_untrusted(part(1, exchange), "host", now)
    assert chunks is not None
    table.keep_answer(part(1, exchange), chunks, SKEX, now)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_both_parts_in_any_order_make_a_whole(order: tuple[int, int]) -> None:
    """The second part to come completes the exchange, and nothing of it waits any more."""
    table = HalfOpenTable()
    assert table.add_untrusted(part(order[0]), "host", 0.0) is None
    assert len(table) == 1
    assert table.add_untrusted(part(order[1]), "host", 0.0) == (b"chunk 0", b"chunk 1")
    assert len(table) == 0


def test_a_repeated_part_waits_once() -> None:
    """The client repeats its parts until it is answered."""
    table = HalfOpenTable()
    for _ in range(5):
        assert table.add_untrusted(part(0), "host", 0.0) is None
    assert len(table) == 1


def test_the_newest_chunk_stands() -> None:
    """A forged or damaged first part is put right by the client's repeat."""
    table = HalfOpenTable()
    table.add_untrusted(part(0, chunk=b"forged"), "host", 0.0)
    table.add_untrusted(part(0), "host", 0.0)
    assert table.add_untrusted(part(1), "host", 0.0) == (b"chunk 0", b"chunk 1")


def test_exchanges_are_told_apart_by_nonce_and_cookie() -> None:
    """Parts of two exchanges never make a whole."""
    table = HalfOpenTable()
    assert table.add_untrusted(part(0, exchange=1), "host", 0.0) is None
    assert table.add_untrusted(part(1, exchange=2), "host", 0.0) is None
    other_cookie = KexPart(nonce=part(1, 1).nonce, cookie=b"x" * 40, index=1, chunk=b"chunk 1")
    assert table.add_untrusted(other_cookie, "host", 0.0) is None
    assert len(table) == 3


def test_one_host_gets_a_share() -> None:
    """One host cannot fill the table; another still gets in."""
    table = HalfOpenTable()
    for exchange in range(MAX_HALF_OPEN_HOST):
        table.add_untrusted(part(0, exchange), "greedy", 0.0)
    with pytest.raises(RemoteProtocolError, match="half-open"):
        table.add_untrusted(part(0, MAX_HALF_OPEN_HOST), "greedy", 0.0)
    assert table.add_untrusted(part(1, 0), "greedy", 0.0) is not None, "what waits can still be completed"
    assert table.add_untrusted(part(0, 10_000), "other", 0.0) is None
    assert table.add_untrusted(part(0, 10_001), "greedy", 0.0) is None, "and leaves its place to another"


def test_the_whole_table_is_bounded() -> None:
    """However many hosts there are."""
    table = HalfOpenTable()
    for exchange in range(MAX_HALF_OPEN):
        table.add_untrusted(part(0, exchange), exchange, 0.0)
    with pytest.raises(RemoteProtocolError, match="half-open"):
        table.add_untrusted(part(0, MAX_HALF_OPEN), "another", 0.0)
    assert len(table) == MAX_HALF_OPEN


def test_what_is_not_completed_is_forgotten() -> None:
    """After its time a half-open exchange makes room, for its host and for all."""
    table = HalfOpenTable()
    for exchange in range(MAX_HALF_OPEN_HOST):
        table.add_untrusted(part(0, exchange), "host", 0.0)
    assert table.add_untrusted(part(0, 1000), "host", HALF_OPEN_S) is None
    assert len(table) == 1
    assert table.add_untrusted(part(1, 0), "host", HALF_OPEN_S) is None, "the first part is gone"


def test_a_repeated_part_is_answered_one_for_one() -> None:
    """Each part by the datagram with its index, as often as it comes, from memory."""
    table = HalfOpenTable()
    assert table.answer(part(0)) is None
    answered(table)
    for _ in range(3):
        assert table.answer(part(0)) == SKEX[0]
        assert table.answer(part(1)) == SKEX[1]


def test_a_part_that_differs_from_what_was_answered_drops_the_answer() -> None:
    """One of the two was damaged: the exchange is completed again from what comes now."""
    table = HalfOpenTable()
    answered(table)
    assert table.answer(part(0, chunk=b"other")) is None
    assert table.answer(part(1)) is None
    answered(table)
    assert table.answer(part(1)) == SKEX[1]


def test_answers_live_longer_than_a_cookie_and_not_for_ever() -> None:
    """While the cookie is good a repeat must not make a second session; later it cannot."""
    table = HalfOpenTable()
    answered(table, now=0.0)
    table.add_untrusted(part(0, 7), "host", ANSWER_S - 0.1)
    assert table.answer(part(0)) == SKEX[0]
    table.add_untrusted(part(0, 8), "host", ANSWER_S)
    assert table.answer(part(0)) is None


def test_answers_are_bounded() -> None:
    """Beyond the bound the oldest goes."""
    table = HalfOpenTable()
    for exchange in range(MAX_ANSWERS + 1):
        answered(table, exchange)
    assert table.answer(part(0, 0)) is None
    assert table.answer(part(0, 1)) == SKEX[0]
    assert table.answer(part(0, MAX_ANSWERS)) == SKEX[0]
