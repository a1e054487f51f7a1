"""Who the log shows as present in one room, against who is really there. Pure bookkeeping: no clock, no log, no I/O.

A join or a leave is an entry, so it is written when a person comes or goes and not when a connection does: a second
session writes nothing, nor does a reconnect after a drop or a restart of the daemon. A name whose last session
vanished without a word counts as present until `LINGER_S` later.
"""

from collections.abc import Iterable
from typing import Final

LINGER_S: Final = 120.0


class Presence:
    """One room's. `shown` is what the log says with everything that is on its way there, `stored` without that."""

    def __init__(self, stored: Iterable[str] = (), now: float = 0.0) -> None:
        self.stored = set(stored)
        self.shown = set(self.stored)
        self._sessions: dict[str, int] = {}
        self._vanished = dict.fromkeys(self.shown, now)

    def enter(self, name: str) -> bool:
        """A member session of `name` entered. True: the log has to show a join."""
        self._sessions[name] = self._sessions.get(name, 0) + 1
        self._vanished.pop(name, None)
        if name in self.shown:
            return False
        self.shown.add(name)
        return True

    def leave(self, name: str, now: float, *, lingers: bool) -> bool:
        """A member session of `name` is gone; `lingers` where it may be reconnecting. True: a leave has to show."""
        left = self._sessions[name] - 1
        if left:
            self._sessions[name] = left
            return False
        del self._sessions[name]
        if name not in self.shown:
            return False
        if lingers:
            self._vanished[name] = now
            return False
        self.shown.discard(name)
        return True

    def dismiss(self, name: str) -> bool:
        """A name without sessions here is not waited for any longer. True: a leave has to show."""
        if name in self._sessions or name not in self.shown:
            return False
        self._vanished.pop(name, None)
        self.shown.discard(name)
        return True

    def settle(self, now: float) -> tuple[list[str], list[str]]:
        """Names whose join, and names whose leave, has to be written now: who stayed away, and what was refused."""
        joins = [name for name in self._sessions if name not in self.shown]
        leaves = [name for name, since in self._vanished.items() if now - since >= LINGER_S]
        self.shown.update(joins)
        for name in leaves:
            del self._vanished[name]
            self.shown.discard(name)
        return joins, leaves

    def on_stored(self, name: str, *, present: bool) -> None:
        """A join (present) or a leave of `name` is in the log now."""
        if present:
            self.stored.add(name)
        else:
            self.stored.discard(name)

    def on_refused(self, now: float) -> None:
        """The log took nothing of what was on its way; `settle` will ask for it again."""
        self.shown = set(self.stored)
        for name in self.shown:
            if name not in self._sessions:
                self._vanished.setdefault(name, now)
        for name in list(self._vanished):
            if name not in self.shown:
                del self._vanished[name]

    def vanished_since(self, name: str) -> float | None:
        """When the last session of a name that is still shown went silent; None while one is there."""
        return self._vanished.get(name)
