"""How fast each person may speak: a token bucket each, filled again by time, which is an argument.

It owns the counting. What is over the limit is never dropped: it is refused with the time after which it may be sent
again, and a client keeps it and sends it then. A long message counts as several, so that a limit on messages is one
on what the disk takes as well. Memory is bounded by those who spoke lately: a bucket that is full again is forgotten.
"""

from collections import OrderedDict
from typing import Final

BYTES_A_TOKEN: Final = 4_096
MAX_BUCKETS: Final = 10_000  # as many as there can be accounts
MIN_WAIT_S: Final = 1.0  # so that a client that is over its limit comes back with several messages, not with each


def cost_of(size: int) -> int:
    """How many messages one of `size` bytes counts as."""
    return 1 + size // BYTES_A_TOKEN


class Rates:
    """`burst` tokens at once, then `per_second`; both are given each time, because a reload may change them."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens missing, and when that was

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, now: float, name: str, cost: int, *, burst: int, per_second: float) -> float:
        """Take `cost` tokens of `name`: 0, or after how many seconds to try again, and then none were taken.

        Without a rate (0) there is no limit. What costs more than a whole burst is taken from a full bucket.
        """
        if per_second <= 0:
            return 0.0
        missing, since = self._buckets.get(name, (0.0, now))
        missing = max(0.0, missing - max(0.0, now - since) * per_second)
        over = missing + min(cost, burst) - burst
        if over > 0:
            self._keep(name, missing, now)
            return max(MIN_WAIT_S, over / per_second)
        self._keep(name, missing + min(cost, burst), now)
        return 0.0

    def _keep(self, name: str, missing: float, now: float) -> None:
        self._buckets[name] = (missing, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def settle(self, now: float, per_second: float) -> None:
        """Forget the buckets that are full again. For a timer."""
        for name, (missing, since) in list(self._buckets.items()):
            if missing <= (now - since) * per_second:
                del self._buckets[name]
