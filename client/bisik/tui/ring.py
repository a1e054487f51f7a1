"""Making a noise: whether, and in which way the terminal is asked for it.

BEL any terminal knows; OSC 9 (iTerm2, kitty, Windows Terminal) and OSC 777 (urxvt, foot, Ghostty) show a sentence on
the desktop. What stands in it passes through `harmless`, so that nothing of others ends the sequence early.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from bisik.for_this_run import Adjustable
from bisik.tui.rooms import Ring
from bisik_protocol.chat.text import harmless

PAUSE_S: Final = 2.0  # between two rings
MAX_CHARACTERS: Final = 120


class When(Enum):
    """What a person wants to be rung for."""

    OFF = "off"
    MENTIONS = "mentions"
    ALL = "all"


class How(Enum):
    """In which way."""

    BEL = "bel"
    OSC_9 = "osc9"
    OSC_777 = "osc777"


class Bell:
    """Has no clock and no terminal: `ring` returns what is to be written."""

    def __init__(self, when: When = When.MENTIONS, how: How = How.BEL) -> None:
        self.when = when
        self.how = how
        self._last: float | None = None

    def ring(self, worth: Ring, who: str, text: str, now: float) -> str:
        """The sequence for the terminal; empty where there is to be no noise."""
        wanted = worth is Ring.MENTION if self.when is When.MENTIONS else worth is not Ring.NOTHING
        if self.when is When.OFF or not wanted or (self._last is not None and now - self._last < PAUSE_S):
            return ""
        self._last = now
        said = harmless(text)[:MAX_CHARACTERS]
        name = harmless(who)
        if self.how is How.OSC_9:
            return f"\x1b]9;{name}: {said}\x07"
        if self.how is How.OSC_777:
            return f"\x1b]777;notify;{name.replace(';', ',')};{said.replace(';', ',')}\x07"
        return "\x07"

    def adjustable(self) -> Mapping[str, Adjustable]:
        """What of it can be changed, by the names that the configuration has for it."""

        def change_when(value: str) -> None:
            self.when = When(value)

        def change_how(value: str) -> None:
            self.how = How(value)

        return {
            "bell": Adjustable(lambda: self.when.value, change_when),
            "notify": Adjustable(lambda: self.how.value, change_how),
        }

    def next_when(self) -> When:
        """Off, mentions, all, and round again."""
        order = list(When)
        self.when = order[(order.index(self.when) + 1) % len(order)]
        return self.when
