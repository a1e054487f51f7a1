"""A client that is killed while it sends: a small slice of `make soak-client`, and that the campaign can fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.kill_soak import problems


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_nothing_is_lost_or_doubled_by_kills() -> None:
    """Three of them; the campaign does two hundred."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.client.kill_soak", "--kills", "3", "--seed", "3"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 kills" in done.stdout


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (["begin", "0.0", "0.1", "1.0", "end"], []),
        (["0.0", "0.1", "0.2", "1.0"], []),
        (["0.0", "1.0"], ["0.1 was queued, and is lost"]),
        (["0.0", "0.1", "0.1", "1.0"], ["0.1 is there 2 times"]),
        (["0.1", "0.0", "1.0"], ["the order is not that in which they were queued"]),
    ],
)
def test_the_campaign_finds_what_it_looks_for(stored: list[str], found: list[str]) -> None:
    """Lost, doubled, out of order; what was queued and not reported before the kill may be there or not."""
    assert problems(["0.0", "0.1", "1.0"], stored) == found
