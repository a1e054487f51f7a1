"""Received packet numbers as ranges: every way of joining, the bound, and agreement with a plain set."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.ranges import PacketRanges
from bisik_protocol.wire.frames import MAX_ACK_RANGES

# (what the row shows, numbers in the order of arrival, the ranges newest first)
TABLE: list[tuple[str, list[int], list[tuple[int, int]]]] = [
    ("one number", [5], [(5, 5)]),
    ("numbers in order grow one range", [0, 1, 2, 3], [(0, 3)]),
    ("a gap begins a new range", [0, 1, 3], [(3, 3), (0, 1)]),
    ("the missing number joins both sides", [0, 1, 3, 2], [(0, 3)]),
    ("a late number grows a range upwards", [0, 4, 1], [(4, 4), (0, 1)]),
    ("a late number grows a range downwards", [0, 4, 3], [(3, 4), (0, 0)]),
    ("a late number stands alone between two", [0, 8, 4], [(8, 8), (4, 4), (0, 0)]),
    ("a late number stands below all", [4, 8, 0], [(8, 8), (4, 4), (0, 0)]),
    ("a number below the lowest joins it", [4, 3], [(3, 4)]),
    ("repeats change nothing", [0, 1, 1, 0, 3, 3, 1], [(3, 3), (0, 1)]),
    ("backwards becomes one range", [5, 4, 3, 2, 1, 0], [(0, 5)]),
    ("evens, then odds", [0, 2, 4, 6, 1, 3, 5], [(0, 6)]),
    ("three ranges joined two by two", [0, 2, 4, 3], [(2, 4), (0, 0)]),
]


def ranges_of(numbers: list[int]) -> PacketRanges:
    ranges = PacketRanges()
    for number in numbers:
        ranges.add(number)
    return ranges


@pytest.mark.parametrize(("numbers", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_arrivals_become_ranges(numbers: list[int], expected: list[tuple[int, int]]) -> None:
    """The numbers of the row, in their order, are told as these ranges."""
    ranges = ranges_of(numbers)
    assert ranges.newest_first() == expected
    assert ranges.largest == expected[0][1]
    assert len(ranges) == len(expected)


def test_nothing_received_is_nothing_to_tell() -> None:
    """Before the first packet there are no ranges, and no number is the largest."""
    ranges = PacketRanges()
    assert not ranges
    assert ranges.largest == -1
    assert ranges.newest_first() == []


def test_beyond_the_bound_the_oldest_range_is_forgotten() -> None:
    """Every second packet lost, for ever, takes MAX_ACK_RANGES ranges and no more."""
    ranges = ranges_of(list(range(0, 1000, 2)))
    assert len(ranges) == MAX_ACK_RANGES
    assert ranges.newest_first() == [(n, n) for n in range(998, 998 - 2 * MAX_ACK_RANGES, -2)]


def test_a_late_number_below_a_full_set_is_not_kept() -> None:
    """A number older than everything that is remembered does not push out anything newer."""
    ranges = ranges_of(list(range(100, 100 + 2 * MAX_ACK_RANGES, 2)))
    before = ranges.newest_first()
    ranges.add(0)
    assert ranges.newest_first() == before


def test_a_late_number_in_the_middle_of_a_full_set_pushes_out_the_oldest() -> None:
    """The bound holds whichever side a range comes in from."""
    ranges = ranges_of(list(range(0, 4 * MAX_ACK_RANGES, 4)))
    ranges.add(4 * MAX_ACK_RANGES - 6)
    assert len(ranges) == MAX_ACK_RANGES
    assert ranges.newest_first()[1] == (4 * MAX_ACK_RANGES - 6,) * 2
    assert ranges.newest_first()[-1] == (4, 4)


@pytest.mark.parametrize(
    ("number", "left"),
    [
        (-1, [(20, 25), (10, 15), (0, 5)]),
        (4, [(20, 25), (10, 15), (0, 5)]),
        (5, [(20, 25), (10, 15)]),
        (9, [(20, 25), (10, 15)]),
        (15, [(20, 25)]),
        (25, [(20, 25)]),
        (99, [(20, 25)]),
    ],
)
def test_what_the_far_side_knows_is_forgotten(number: int, left: list[tuple[int, int]]) -> None:
    """Whole ranges up to the number go; the newest stays, because it is what the next ACK begins with."""
    ranges = ranges_of([*range(6), *range(10, 16), *range(20, 26)])
    ranges.forget_up_to(number)
    assert ranges.newest_first() == left


@given(st.lists(st.integers(0, 50), max_size=80))
def test_ranges_agree_with_a_set(numbers: list[int]) -> None:
    """The ranges hold exactly the numbers that came, apart from each other and newest first."""
    ranges = ranges_of(numbers)
    told = ranges.newest_first()
    assert {n for low, high in told for n in range(low, high + 1)} == set(numbers)
    assert all(below[1] + 1 < above[0] for above, below in pairwise(told))
    assert ranges.largest == max(numbers, default=-1)


@given(st.lists(st.integers(0, 300), max_size=200), st.integers(0, 300))
def test_the_bound_holds_for_any_arrivals(numbers: list[int], forgotten: int) -> None:
    """However they arrive, there are never too many ranges, nothing that did not come, and always the newest."""
    ranges = PacketRanges()
    for i, number in enumerate(numbers):
        ranges.add(number)
        if i == len(numbers) // 2:
            ranges.forget_up_to(forgotten)
        assert len(ranges) <= MAX_ACK_RANGES
        assert ranges.largest == max(numbers[: i + 1])
    assert {n for low, high in ranges.newest_first() for n in range(low, high + 1)} <= set(numbers)
