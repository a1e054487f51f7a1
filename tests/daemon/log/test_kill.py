"""kill -9 of a real writer on a real disk, at any moment: what was acknowledged is there, once, in order.

A few cycles of the campaign in `tests/soak_log/kills.py`; continuous integration runs hundreds of it.
"""

from tests.soak_log.campaign import Budget
from tests.soak_log.kills import run_kills


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9() -> None:
    """A writer is killed after a random number of acknowledgements, while it goes on; then the next one begins."""
    result = run_kills(Budget(60.0), 45)
    assert result.problems == []
    assert result.done == 45
