"""A dictionary that remembers only the keys used last."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `size` entries; the one that was not used for longest makes room, and `on_drop` is told."""

    def __init__(self, size: int, on_drop: Callable[[V], None] = lambda _: None) -> None:
        self._size = size
        self._on_drop = on_drop
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def set(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._on_drop(self._entries.popitem(last=False)[1])

    def clear(self) -> None:
        """Drop everything."""
        while self._entries:
            self._on_drop(self._entries.popitem()[1])
