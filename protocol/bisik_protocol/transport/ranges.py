"""The packet numbers received: disjoint ranges, bounded in number, as an ACK frame tells them."""

from bisik_protocol.wire.frames import MAX_ACK_RANGES


class PacketRanges:
    """Ranges of received numbers, lowest first in memory. Beyond MAX_ACK_RANGES the oldest is forgotten.

    Forgetting is safe: the far side was told of an old range many times, and a repeat of a packet is refused by
    the replay window and not by this set.
    """

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    @property
    def largest(self) -> int:
        """The highest number received; -1 before any."""
        return self._ranges[-1][1] if self._ranges else -1

    def newest_first(self) -> list[tuple[int, int]]:
        """(lowest, highest) pairs for `encode_ack`."""
        return self._ranges[::-1]

    def add(self, number: int) -> None:
        ranges = self._ranges
        if ranges:
            low, high = ranges[-1]
            if number == high + 1:  # nearly every packet
                ranges[-1] = (low, number)
                return
            if number <= high:
                self._insert(number)
                return
        ranges.append((number, number))
        if len(ranges) > MAX_ACK_RANGES:
            del ranges[0]

    def _insert(self, number: int) -> None:
        """A number at or below the highest: a late packet."""
        ranges = self._ranges
        for i in range(len(ranges) - 1, -1, -1):
            low, high = ranges[i]
            if number > high + 1:
                ranges.insert(i + 1, (number, number))
                break
            if low <= number <= high:
                return
            if number == high + 1:  # joins the range above, perhaps
                self._join(i, low, number)
                return
            if number == low - 1:
                if i and ranges[i - 1][1] == number - 1:
                    self._join(i - 1, ranges[i - 1][0], number)
                else:
                    ranges[i] = (number, high)
                return
        else:
            ranges.insert(0, (number, number))
        if len(ranges) > MAX_ACK_RANGES:
            del ranges[0]

    def _join(self, i: int, low: int, high: int) -> None:
        """Range i grows to `high`, and swallows its upper neighbour where they now touch."""
        ranges = self._ranges
        if i + 1 < len(ranges) and ranges[i + 1][0] == high + 1:
            ranges[i : i + 2] = [(low, ranges[i + 1][1])]
        else:
            ranges[i] = (low, high)

    def forget_up_to(self, number: int) -> None:
        """The far side knows that we have everything up to `number`; the newest range stays, to be told again."""
        ranges = self._ranges
        while len(ranges) > 1 and ranges[0][1] <= number:
            del ranges[0]
