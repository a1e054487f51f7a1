"""The simulator finds what it is there to find: twenty plausible mistakes, planted one at a time."""

import re

import pytest

from tests.simulation.planted import BUGS, Bug
from tests.simulation.world import simulate

SEEDS = 40  # the slowest to be found took fewer than ten


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_caught_by_a_short_campaign(bug: Bug) -> None:
    """Some seed ends in the violation that the mistake must lead to, and the report says how to see it again."""
    for seed in range(SEEDS):
        outcome = simulate(seed, bug=bug)
        if outcome.broken is not None:
            assert re.search(BUGS[bug], outcome.broken), outcome.report
            assert f"make soak SEED={seed}" in outcome.report
            return
    pytest.fail(f"not caught in {SEEDS} seeds: {bug.__doc__}")
