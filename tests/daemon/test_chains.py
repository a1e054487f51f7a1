"""Where a statement belongs in its author's chain, with posts on their way to the log."""

import pytest

from bisik_protocol.chat.messages import ZERO_DIGEST
from bisikd.chains import Chains, Place, Tip

DEVICE = b"d" * 32
A, B, C, D = (bytes([letter]) * 32 for letter in b"ABCD")


def tip_at_two() -> Tip[str]:
    """A chain whose second statement, B, is stored, and whose third, C, is on its way."""
    tip: Tip[str] = Tip()
    tip.load(2, B)
    tip.on_taken(3, C, "post C")
    return tip


@pytest.mark.parametrize(
    ("seq", "previous", "digest", "place"),
    [
        (1, ZERO_DIGEST, A, Place.STORED),
        (2, A, D, Place.STORED),  # whether it is the same statement is for the log to say
        (3, B, C, Place.PENDING),
        (3, B, D, Place.WRONG),
        (4, C, D, Place.NEXT),
        (4, B, D, Place.WRONG),
        (5, C, D, Place.WRONG),
        (5, D, D, Place.WRONG),
    ],
)
def test_place(seq: int, previous: bytes, digest: bytes, place: Place) -> None:
    """Every way in which a number and a hash can stand to what is stored and what is on its way."""
    assert tip_at_two().place(seq, previous, digest) is place


def test_a_new_device_begins_at_one_after_nothing() -> None:
    """The first statement names no statement before it."""
    tip: Tip[str] = Tip()
    tip.load(0, ZERO_DIGEST)
    assert tip.place(1, ZERO_DIGEST, A) is Place.NEXT
    assert tip.place(1, A, A) is Place.WRONG
    assert tip.place(2, ZERO_DIGEST, A) is Place.WRONG


def test_stored_posts_move_the_tip() -> None:
    """What was on its way becomes what is stored, in order."""
    tip = tip_at_two()
    tip.on_taken(4, D, "post D")
    tip.on_stored(3)
    assert (tip.stored_seq, tip.stored_hash) == (3, C)
    assert tip.place(4, C, D) is Place.PENDING
    tip.on_stored(4)
    assert tip.place(4, C, D) is Place.STORED


def test_what_the_log_says_later_does_not_set_a_tip_back() -> None:
    """Two sessions of a device read the log at once; the slower answer is older than what the faster one posted."""
    tip = tip_at_two()
    tip.on_stored(3)
    tip.load(2, B)
    assert (tip.stored_seq, tip.stored_hash) == (3, C)


def test_a_tip_is_kept_while_anyone_holds_it() -> None:
    """All sessions of a device in a room share one tip, and the last to go takes it away."""
    chains: Chains[str] = Chains()
    tip = chains.hold(DEVICE)
    assert chains.hold(DEVICE) is tip
    chains.release(DEVICE)
    assert len(chains) == 1
    chains.release(DEVICE)
    assert len(chains) == 0


def test_a_tip_is_kept_while_a_post_is_on_its_way() -> None:
    """A device that posts, leaves and returns at once finds the chain where it left it."""
    chains: Chains[str] = Chains()
    tip = chains.hold(DEVICE)
    tip.load(0, ZERO_DIGEST)
    tip.on_taken(1, A, "post A")
    chains.release(DEVICE)
    assert chains.hold(DEVICE) is tip
    chains.release(DEVICE)
    chains.on_stored(DEVICE, 1)
    assert len(chains) == 0


def test_refused_posts_leave_the_chain_where_the_log_has_it() -> None:
    """When the log took nothing, the next statement is the first that was refused, again."""
    chains: Chains[str] = Chains()
    tip = chains.hold(DEVICE)
    tip.load(1, A)
    tip.on_taken(2, B, "post B")
    tip.on_taken(3, C, "post C")
    chains.on_refused()
    assert tip.place(2, A, B) is Place.NEXT
    chains.release(DEVICE)
    assert len(chains) == 0
