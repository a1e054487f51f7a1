"""Which records of the log an operator wants to see: by room, by person, by time. Owns how times are written."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGO = re.compile(r"([0-9]{1,6})\s*([smhdw])")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What is wanted; None: any. Times are milliseconds since the epoch, the first included and the last not."""

    room: str | None = None
    user: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def wants(self, room: str | None, user: str, time_ms: int) -> bool:
        """Whether to show what `user` did then in `room`; a device is in no room."""
        return (
            self.room in (None, room)
            and self.user in (None, user)
            and (self.since_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms < self.until_ms)
        )


def duration_ms(text: str) -> int:
    """90d, 12h, 30m, 45s, 2w. Raises ValueError with a sentence."""
    match = _AGO.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no length of time: write a number and s, m, h, d or w, like 90d.")
    return int(match[1]) * _UNITS_MS[match[2]]


def parse_time(text: str, now_ms: int) -> int:
    """A date or a time (ISO 8601; without a zone this machine's), or how long ago: 12h, 7d. Raises ValueError."""
    try:
        return now_ms - duration_ms(text)
    except ValueError:
        pass
    try:
        return int(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is no time: write 2026-11-22, 2026-11-22T09:30, or how long ago, like 12h or 7d."
        ) from None
