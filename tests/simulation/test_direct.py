"""Direct messages in the simulator: seeds in which people also speak to one another alone."""

from itertools import islice

import pytest

from tests.simulation.plan import draw_plan
from tests.simulation.world import simulate

SEEDS = 8
FOUND = (1699,)  # by campaigns: a second program of a home that only wrote in a conversation never heard of it


@pytest.mark.parametrize("place", range(SEEDS))
def test_what_two_people_say_is_kept_from_the_log_and_arrives_once(place: int) -> None:
    """Kills, losses and new devices included; the invariants are those of rooms, and the log holds no text of it."""
    seeds = (seed for seed in range(1000, 2000) if draw_plan(seed).has_direct)
    holds(next(islice(seeds, place, None)))


@pytest.mark.parametrize("seed", FOUND)
def test_what_campaigns_have_found_stays_mended(seed: int) -> None:
    """Seeds that once were broken."""
    holds(seed)


def holds(seed: int) -> None:
    outcome = simulate(seed)
    if outcome.broken is not None:
        pytest.fail(outcome.report, pytrace=False)
