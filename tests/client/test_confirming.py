"""Confirming what has come: seldom, cumulative, and again on every connection."""

from bisik.confirming import GATHER_S, Confirming
from bisik_protocol.chat.messages import Confirm


def test_the_first_goes_out_at_once_and_the_rest_is_gathered() -> None:
    """One stands for all that came meanwhile."""
    confirming = Confirming()
    confirming.on_delivered("#a", 1)
    assert confirming.due(10.0) == [("#a", Confirm(1, 0))]
    assert confirming.next_timeout() is None
    for seq in range(2, 50):
        confirming.on_delivered("#a", seq)
        assert confirming.due(10.0 + seq / 100) == []
    assert confirming.next_timeout() == 10.0 + GATHER_S
    assert confirming.due(10.0 + GATHER_S) == [("#a", Confirm(49, 0))]
    assert confirming.due(99.0) == []


def test_by_hand_does_not_wait_and_includes_delivery() -> None:
    """It is somebody who types."""
    confirming = Confirming()
    confirming.on_delivered("#a", 1)
    confirming.due(0.0)
    confirming.by_hand("#a", 3)
    assert confirming.due(0.0) == [("#a", Confirm(3, 3))]


def test_older_positions_change_nothing() -> None:
    """Both only grow."""
    confirming = Confirming()
    confirming.by_hand("#a", 3)
    confirming.due(0.0)
    confirming.on_delivered("#a", 2)
    confirming.by_hand("#a", 1)
    assert confirming.due(9.0) == []


def test_a_new_connection_is_told_again() -> None:
    """The server keeps positions in memory only; a room where nothing came has none to tell."""
    confirming = Confirming()
    confirming.on_joined("#never")
    confirming.on_delivered("#a", 2)
    confirming.due(0.0)
    confirming.on_joined("#a")
    assert confirming.due(0.0) == [("#a", Confirm(2, 0))]
    confirming.forget("#a")
    confirming.on_joined("#a")
    assert confirming.due(9.0) == []
