"""For how long, or how much, is kept; and which segments have to go for it. Reads no clock and removes nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_AGES_MS: Final = {"h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_SIZES: Final = {"mb": 10**6, "gb": 10**9, "tb": 10**12, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_TEXT = re.compile(r"([1-9][0-9]{0,8})\s*([a-z]+)")
MIN_AGE_MS: Final = 3_600_000
MIN_BYTES: Final = 10**6
PARTS: Final = 10  # of the time that is kept, so many segments at least: what goes at once is a tenth


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The oldest segments go once all in them is older than `age_ms`, or while all of them exceed `size_bytes`."""

    age_ms: int | None = None
    size_bytes: int | None = None

    @property
    def segment_ms(self) -> int | None:
        """A segment that is older than this is followed by a new one, so that there is something to drop."""
        return None if self.age_ms is None else self.age_ms // PARTS


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment that nothing is written to any more."""

    number: int
    size: int
    ended_ms: int  # when the next one was begun


def parse_keep(text: str) -> Keep:
    """90d, 12h, 8w, 2y; 500MB, 20GB, 1TiB. Raises ValueError with a sentence."""
    match = _TEXT.fullmatch(text.strip().lower())
    if match and match[2] in _AGES_MS:
        age_ms = int(match[1]) * _AGES_MS[match[2]]
        if age_ms >= MIN_AGE_MS:
            return Keep(age_ms=age_ms)
    if match and match[2] in _SIZES and int(match[1]) * _SIZES[match[2]] >= MIN_BYTES:
        return Keep(size_bytes=int(match[1]) * _SIZES[match[2]])
    raise ValueError(f"{text!r} says neither how long nor how much to keep: write 90d, 8w, 2y, 500MB or 20GB.")


def last_to_go(keep: Keep, sealed: Sequence[Sealed], total: int, now_ms: int) -> int:
    """The number of the last segment that is to go, 0 if all stay.

    `sealed` are those that may go, rising; `total` are the bytes of all that there are.
    """
    last = 0
    for segment in sealed:
        too_old = keep.age_ms is not None and segment.ended_ms <= now_ms - keep.age_ms
        too_much = keep.size_bytes is not None and total > keep.size_bytes
        if not (too_old or too_much):
            break
        last, total = segment.number, total - segment.size
    return last
