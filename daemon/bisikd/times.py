"""Times as programs write them."""

from datetime import UTC, datetime


def rfc3339(time_ms: int) -> str:
    """UTC with milliseconds, `2026-11-22T09:00:00.123Z`."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
