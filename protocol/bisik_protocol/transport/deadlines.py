"""Deadlines of many connections: a heap that is touched only where a call at the old time is wrong or a waste."""

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

# Entries that no longer stand are left in the heap until they come up, or until they outnumber those that do: an idle
# deadline is a day away, and each message would leave one behind.
SPARE_ENTRIES: Final = 64

# While packets are in flight a deadline moves with each of them, a little later every time: one call too early is
# cheaper than all those moves. Where nothing is in flight any more it moves far, and nobody should be woken for it.
FAR_S: Final = 0.1


class Deadlines(Generic[T]):
    """An item may be called too early, never too late: who is called says when to be called again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._armed: dict[T, float] = {}
        self._count = 0  # keeps the heap from ever comparing items

    def arm(self, item: T, deadline: float | None) -> None:
        """Call the item at `deadline`, or up to FAR_S before."""
        armed = self._armed.get(item)
        if deadline is None:
            if armed is not None:
                del self._armed[item]
            return
        if armed is not None and armed <= deadline <= armed + FAR_S:
            return
        self._armed[item] = deadline
        self._count += 1
        heapq.heappush(self._heap, (deadline, self._count, item))
        if len(self._heap) > 2 * len(self._armed) + SPARE_ENTRIES:
            self._heap = [entry for entry in self._heap if self._armed.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def forget(self, item: T) -> None:
        self._armed.pop(item, None)

    def next(self) -> float | None:
        """When `due` has something to return."""
        heap = self._heap
        while heap and self._armed.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> list[T]:
        """The items whose deadline has come; each is to be armed again."""
        items: list[T] = []
        while (deadline := self.next()) is not None and deadline <= now:
            item = heapq.heappop(self._heap)[2]
            del self._armed[item]
            items.append(item)
        return items
