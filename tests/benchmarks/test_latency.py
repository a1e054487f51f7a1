"""The floor of latency in outages is what probability says it is."""

import math
from dataclasses import replace

import pytest

from benchmarks.latency import FULL, LINKS, floor
from benchmarks.link import Conditions
from benchmarks.tables import percentile


def waits_longer(seconds: float, mean_s: float, share: float) -> float:
    """How probable it is to wait longer for two legs, each out for a share of the time, exponentially long."""
    lengths = seconds / mean_s
    return math.exp(-lengths) * (2 * share * (1 - share) + share**2 * (1 + lengths))


def test_the_floor_is_what_two_legs_outages_leave() -> None:
    """At the p99 that it tells, one message in a hundred waits longer."""
    conditions = dict(LINKS)["out 30%, 200 ms"]
    p99_ms = percentile(floor(FULL, conditions).latencies_ms, 0.99)
    waited_s = p99_ms / 1000 - 2 * conditions.delay_s
    assert waits_longer(waited_s, conditions.outage_s, conditions.outage_share) == pytest.approx(0.01, rel=0.15)


def test_without_outages_the_floor_is_the_delay() -> None:
    """Two legs' worth of it."""
    plan = replace(FULL, floor_messages=10)
    assert floor(plan, Conditions(delay_s=0.05)).latencies_ms == pytest.approx([100.0] * 10)
