"""What counts as flat: noise does, a leak does not, however little of it there is beside the noise."""

import random

import pytest

from tests.support.flatness import trend

HOURS = [float(hour) for hour in range(24)]


def noise(seed: int) -> list[float]:
    rng = random.Random(seed)
    return [1000 + rng.gauss(0, 20) for _ in HOURS]


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_flat_and_a_rise_under_it_is_not(seed: int) -> None:
    """Ten an hour under a noise of twenty: 240 over the run, and a bound of 100."""
    assert trend(HOURS, noise(seed)).is_flat(100)
    rising = [value + 10 * hour for hour, value in zip(HOURS, noise(seed), strict=True)]
    line = trend(HOURS, rising)
    assert line.low <= 10 <= line.high
    assert not line.is_flat(100)


def test_a_certain_rise_under_the_bound_is_flat() -> None:
    """One byte an hour is certain, and nobody's trouble."""
    line = trend(HOURS, HOURS)
    assert (line.slope, line.low, line.growth) == (1.0, 1.0, 23.0)
    assert line.is_flat(24)
    assert not line.is_flat(23)


def test_one_wild_sample_decides_nothing() -> None:
    """The median of slopes does not follow it."""
    values = [1000.0] * len(HOURS)
    values[-1] = 1e9
    assert trend(HOURS, values).slope == 0


def test_what_a_restart_wipes_away_grows_within_the_lives() -> None:
    """A saw tooth is flat as a whole, and rises in each of its teeth."""
    values = [100 * (hour % 6) for hour in HOURS]
    lives = [hour // 6 for hour in HOURS]
    assert trend(HOURS, values).is_flat(1000)
    assert not trend(HOURS, values, lives).is_flat(1000)


def test_too_few_samples_are_no_evidence() -> None:
    """An interval that always reaches zero would find everything flat."""
    with pytest.raises(ValueError, match="too few"):
        trend([0, 1, 2, 3], [0, 1, 2, 3])
