"""A dictionary with an end: what was not used for longest goes."""

from bisikd.log.recent import Recent


def test_what_was_set_is_got() -> None:
    """And nothing else; a later value replaces an earlier one."""
    recent: Recent[str, int] = Recent(2)
    recent.set("a", 1)
    recent.set("a", 2)
    assert (recent.get("a"), recent.get("b")) == (2, None)


def test_what_was_not_used_for_longest_makes_room() -> None:
    """Getting is using."""
    dropped: list[int] = []
    recent: Recent[str, int] = Recent(2, dropped.append)
    recent.set("a", 1)
    recent.set("b", 2)
    assert recent.get("a") == 1
    recent.set("c", 3)
    assert dropped == [2]
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)


def test_clearing_drops_everything() -> None:
    """Each once."""
    dropped: list[int] = []
    recent: Recent[str, int] = Recent(9, dropped.append)
    for number in range(5):
        recent.set(str(number), number)
    recent.clear()
    assert sorted(dropped) == [0, 1, 2, 3, 4]
    assert recent.get("0") is None
