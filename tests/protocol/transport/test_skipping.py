"""Packet numbers that are never sent, where the peer cannot guess them."""

import random
from itertools import pairwise

import pytest

from bisik_protocol.transport.skipping import FIRST_PERIOD, REMEMBERED, NumberSkipper


def skipper(seed: int = 0) -> NumberSkipper:
    return NumberSkipper(random.Random(seed).randbytes)


def gaps(numbers: list[int]) -> list[int]:
    return sorted(set(range(numbers[-1] + 1)) - set(numbers))


@pytest.mark.parametrize("seed", range(5))
def test_numbers_rise_from_zero_and_leave_out_single_ones(seed: int) -> None:
    """No number comes twice, the first is 0, and gaps are of one."""
    numbers_of = skipper(seed)
    numbers = [numbers_of.take() for _ in range(5000)]
    assert numbers[0] == 0
    assert {later - earlier for earlier, later in pairwise(numbers)} == {1, 2}
    assert numbers_of.next_number == numbers[-1] + 1


@pytest.mark.parametrize("seed", range(20))
def test_the_first_gap_comes_early(seed: int) -> None:
    """Within twice the first period, so that a liar is caught while the window is still small."""
    numbers = skipper(seed)
    assert gaps([numbers.take() for _ in range(2 * FIRST_PERIOD + 2)])


def test_gaps_become_rare() -> None:
    """A long connection skips a handful of numbers and not one in every few hundred."""
    numbers = skipper()
    assert len(gaps([numbers.take() for _ in range(200_000)])) <= 16


def test_where_the_gaps_are_depends_on_secret_randomness() -> None:
    """Other random bytes, other gaps."""
    first = {tuple(gaps([numbers.take() for _ in range(2000)])) for numbers in map(skipper, range(10))}
    assert len(first) == 10


def test_a_range_that_holds_a_skipped_number_is_known() -> None:
    """Alone, at either end and in the middle of a range; a range beside it is innocent."""
    numbers = skipper()
    gap, *_ = gaps([numbers.take() for _ in range(1000)])
    for low, high, expected in [
        (gap, gap, True),
        (gap, gap + 10, True),
        (gap - 10, gap, True),
        (0, gap + 1, True),
        (gap - 10, gap - 1, False),
        (gap + 1, gap + 1, False),
    ]:
        assert numbers.is_skipped(low, high) is expected


def test_the_memory_of_gaps_is_bounded() -> None:
    """Only the newest are remembered; what is that old is long acknowledged or lost."""
    numbers = NumberSkipper(bytes)  # the shortest gaps there can be
    sent = [numbers.take() for _ in range(200_000)]
    known = [gap for gap in gaps(sent) if numbers.is_skipped(gap, gap)]
    assert known == gaps(sent)[-REMEMBERED:]
