"""The link in one line: how long the way takes, what gets lost on it, what is done about that, where it is broken.

Silence is of two kinds, and a person who looks for the reason must be told which: we hear nothing, or they do not
hear us. It is given numbers and has no clock.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bisik.events import LinkChanged, LinkState
from bisik.i18n import _
from bisik_protocol.chat.text import harmless
from bisik_protocol.transport.stats import ConnectionStats

QUIET_S: Final = 2.5  # without an answer that is due; from here on it is said
SEEKING_S: Final = 15.0  # from here on the link looks for another way, and keeps the one it has
REPAIR_SHOWN_S: Final = 5.0  # how long a repair is spoken of


class Mood(Enum):
    """The colour of the bar."""

    OPENING = "opening"
    GOOD = "good"
    POOR = "poor"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class LinkText:
    """What the bar says."""

    mood: Mood
    text: str


class LinkBar:
    """Remembers what was said last about the link, and when."""

    def __init__(self) -> None:
        self._changed: LinkChanged | None = None
        self._changed_at = 0.0
        self._repairs = 0
        self._repaired_at: float | None = None
        self._repaired = 0

    def handle(self, event: LinkChanged, now: float) -> None:
        """The link's state is another one."""
        self._changed, self._changed_at = event, now
        if event.state is LinkState.CONNECTED:
            self._repairs = 0

    def text(self, stats: ConnectionStats | None, now: float) -> LinkText:
        """What is to be said now."""
        changed = self._changed
        if changed is None:
            return LinkText(Mood.OPENING, _("opening …"))
        if changed.state is LinkState.WAITING:
            return LinkText(Mood.BROKEN, f"✗ {self._next_try(changed, now)} {harmless(changed.text)}")
        if changed.state is LinkState.SILENT and changed.refused:
            return LinkText(Mood.BROKEN, f"✗ {harmless(changed.text)}")
        if changed.state is LinkState.CONNECTING or stats is None:
            return LinkText(Mood.OPENING, f"◌ {harmless(changed.text)}")
        return self._silence(stats, changed) or self._flowing(stats, now)

    def _next_try(self, changed: LinkChanged, now: float) -> str:
        left = (changed.retry_in_s or 0.0) - (now - self._changed_at)
        if left <= 0.5:
            return _("Trying again now.")
        return _("Next try in {seconds} s.").format(seconds=f"{left:.0f}")

    def _silence(self, stats: ConnectionStats, changed: LinkChanged) -> LinkText | None:
        worst = max(stats.silence_s, stats.unanswered_s)
        if worst < QUIET_S:
            return None
        if stats.silence_s >= QUIET_S:
            text = _("we hear nothing from the server for {seconds} s").format(seconds=f"{stats.silence_s:.0f}")
        else:
            text = _("we hear the server, it does not hear us for {seconds} s").format(
                seconds=f"{stats.unanswered_s:.0f}"
            )
        if changed.state is LinkState.SILENT and worst > SEEKING_S:
            text += _("; trying again and looking for another way")
        elif worst > SEEKING_S:
            text += _("; looking for another way")
        else:
            text += _("; trying again")
        return LinkText(Mood.BROKEN if worst > SEEKING_S else Mood.POOR, f"◐ {text}")

    def _flowing(self, stats: ConnectionStats, now: float) -> LinkText:
        if stats.repair_datagrams > self._repairs:
            recently = self._repaired_at is not None and now - self._repaired_at < REPAIR_SHOWN_S
            self._repaired = stats.repair_datagrams - self._repairs + (self._repaired if recently else 0)
            self._repairs, self._repaired_at = stats.repair_datagrams, now
        parts = [f"● {stats.srtt_s * 1000:.0f} ms", f"↑{stats.loss_out:.0%} ↓{stats.loss_in:.0%}"]
        if self._repaired_at is not None and now - self._repaired_at < REPAIR_SHOWN_S:
            parts.append(_("repair {count}").format(count=self._repaired))
        mood = Mood.POOR if max(stats.loss_out, stats.loss_in) >= 0.1 or stats.srtt_s > 1.0 else Mood.GOOD
        return LinkText(mood, "  ".join(parts))
