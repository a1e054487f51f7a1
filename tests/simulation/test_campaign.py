"""A slice of the campaign that `make soak` runs: whole daemons and clients, some dozens of seeds."""

import pytest

from tests.simulation.world import simulate

SEEDS = 16
CHUNK = 4  # so that parallel workers share them out


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_false_is_shown_and_all_arrives_once_the_network_heals(first: int) -> None:
    """Whatever a seed makes go wrong: safe all the time, and alive when it is over."""
    for seed in range(first, first + CHUNK):
        outcome = simulate(seed)
        if outcome.broken is not None:
            pytest.fail(outcome.report, pytrace=False)
