"""Whether a number that is sampled over a long run stays where it is, by the Theil-Sen slope and its confidence
interval.

The slope is the median of the slopes between all pairs of samples, so that a few odd samples do not decide. Its
interval is Sen's (1968): the number of rising pairs minus falling ones has, where nothing rises or falls, the
variance n(n - 1)(2n + 5) / 18, which says how many of the ordered slopes lie beyond each end. Samples may be in
groups, such as the lives of a program that was restarted: then only pairs of the same group count and the variances
add up, so that a leak that each restart wipes away shows all the same.

A number is flat where the interval reaches down to zero, or where the growth that the slope means over the run is
under a bound: what grows for certain, but by a hair, is no leak that anybody will meet.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

NORMAL_99: Final = 2.576  # both sides of a normal distribution hold 1% beyond it
MIN_PAIRS_SIGMAS: Final = 1.25  # fewer pairs than this many times the interval's width can never show a rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """`slope` with its 99% interval, in units a unit of time, over `span` units of time."""

    slope: float
    low: float
    high: float
    span: float

    @property
    def growth(self) -> float:
        """What the slope means over the whole run."""
        return self.slope * self.span

    def is_flat(self, bound: float) -> bool:
        """Whether nothing certainly grows, or not by as much as `bound` over the run."""
        return self.low <= 0 or self.growth < bound


def trend(times: Sequence[float], values: Sequence[float], groups: Sequence[object] | None = None) -> Trend:
    """The trend of samples. Raises ValueError where they are too few to show that anything rises."""
    labels = groups if groups is not None else [None] * len(times)
    samples = list(zip(times, values, labels, strict=True))
    slopes = sorted(
        (later - earlier) / (then - now)
        for (now, earlier, group), (then, later, other) in combinations(samples, 2)
        if group == other and then > now
    )
    sizes = [labels.count(label) for label in dict.fromkeys(labels)]
    width = NORMAL_99 * math.sqrt(sum(n * (n - 1) * (2 * n + 5) / 18 for n in sizes))
    if len(slopes) < MIN_PAIRS_SIGMAS * width or not slopes:
        raise ValueError(f"{len(samples)} samples are too few to tell a rise from noise")
    beyond = int((len(slopes) - width) / 2)
    return Trend(slope=median(slopes), low=slopes[beyond], high=slopes[-1 - beyond], span=max(times) - min(times))
