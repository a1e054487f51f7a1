"""Deadlines of many items: never called late, and a heap in proportion to what it holds."""

import sys
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.deadlines import FAR_S, SPARE_ENTRIES, Deadlines


def test_nothing_armed_is_nothing_due() -> None:
    """An empty heap has no next time."""
    deadlines: Deadlines[str] = Deadlines()
    assert deadlines.next() is None
    assert deadlines.due(1e9) == []


def test_items_come_when_their_time_has_come() -> None:
    """In the order of their times, those at the very moment included, each once."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.arm("late", 3.0)
    deadlines.arm("early", 1.0)
    deadlines.arm("middle", 2.0)
    assert deadlines.next() == 1.0
    assert deadlines.due(0.9) == []
    assert deadlines.due(2.0) == ["early", "middle"]
    assert deadlines.due(2.0) == []
    assert deadlines.next() == 3.0


def test_an_item_without_a_deadline_is_not_armed() -> None:
    """None is no time, and takes back the time there was."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.arm("never", None)
    assert deadlines.next() is None
    deadlines.arm("not any more", 1.0)
    deadlines.arm("not any more", None)
    assert deadlines.next() is None


def test_an_earlier_time_replaces_a_later_one() -> None:
    """And is called once, not once for each."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.arm("item", 5.0)
    deadlines.arm("item", 2.0)
    assert deadlines.due(10.0) == ["item"]
    assert deadlines.next() is None


def test_a_little_later_leaves_the_earlier_time() -> None:
    """Being called too early is cheap: who is called says when to be called again."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.arm("item", 2.0)
    deadlines.arm("item", 2.0 + FAR_S / 2)
    assert deadlines.due(2.0) == ["item"]
    assert deadlines.due(5.0) == []


def test_much_later_wakes_nobody_before() -> None:
    """A connection that has nothing in flight any more does not wake the program for what was."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.arm("item", 2.0)
    deadlines.arm("item", 2.0 + 2 * FAR_S)
    assert deadlines.next() == 2.0 + 2 * FAR_S
    assert deadlines.due(2.0) == []
    assert deadlines.due(2.0 + 2 * FAR_S) == ["item"]


def test_a_forgotten_item_never_comes() -> None:
    """Nor does it stand in the way of the next one."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.arm("gone", 1.0)
    deadlines.arm("there", 2.0)
    deadlines.forget("gone")
    deadlines.forget("never was")
    assert deadlines.next() == 2.0
    assert deadlines.due(3.0) == ["there"]


def test_items_are_never_compared() -> None:
    """Two items at the same time come in the order in which they were armed, whatever they are."""
    deadlines: Deadlines[object] = Deadlines()
    items = [object(), object(), object()]
    for item in items:
        deadlines.arm(item, 1.0)
    assert deadlines.due(1.0) == items


@pytest.mark.parametrize("how", ["re-armed", "forgotten"])
def test_what_is_over_leaves_no_memory_behind(how: str) -> None:
    """One item idle for a day at the front, another re-armed or replaced a hundred thousand times behind it."""
    deadlines: Deadlines[int] = Deadlines()
    deadlines.arm(-1, 1000.0)
    for message in range(20_000):
        item = 0 if how == "re-armed" else message
        deadlines.arm(item, 86_400.0 + message)
        if how == "re-armed":
            deadlines.arm(item, 0.001 * message)
            deadlines.due(0.001 * message)
        else:
            deadlines.forget(item)
    entries = [value for value in vars(deadlines).values() if isinstance(value, list)]
    assert sum(map(len, entries)) <= 2 * 2 + SPARE_ENTRIES
    assert sum(map(sys.getsizeof, entries)) < 4096


operations = st.one_of(
    st.tuples(st.just("arm"), st.integers(0, 5), st.floats(0, 100)),
    st.tuples(st.just("forget"), st.integers(0, 5), st.just(0.0)),
    st.tuples(st.just("due"), st.just(0), st.floats(0, 100)),
)


@given(st.lists(operations, max_size=300))
def test_no_item_is_ever_called_late_or_unarmed(steps: list[tuple[str, int, float]]) -> None:
    """Against a plain dictionary; nobody is called earlier than allowed either."""
    deadlines: Deadlines[int] = Deadlines()
    armed: dict[int, float] = {}
    for what, item, time in steps:
        if what == "arm":
            deadlines.arm(item, time)
            if not armed.get(item, inf) <= time <= armed.get(item, inf) + FAR_S:
                armed[item] = time
        elif what == "forget":
            deadlines.forget(item)
            armed.pop(item, None)
        else:
            due = deadlines.due(time)
            assert sorted(due) == sorted(item for item, at in armed.items() if at <= time)
            armed = {item: at for item, at in armed.items() if at > time}
        assert deadlines.next() == min(armed.values(), default=None)
