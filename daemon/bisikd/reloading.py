"""Taking in a changed configuration while the daemon runs: all of it, or none of it and a sentence.

The whole new configuration is read and checked before anything of it holds. What a running daemon cannot change is
said, and waits for a restart.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from bisikd.errors import BisikdError, UsageProblem

if TYPE_CHECKING:
    from bisikd.config import Configuration, Settings


class Reloading:
    """`apply` is given settings that have been checked."""

    def __init__(self, configuration: "Configuration | None", apply: "Callable[[Settings], None]") -> None:
        self._configuration = configuration  # the newest that was taken in
        self._running = configuration  # what cannot change is as it was at the start
        self._apply = apply
        self._lock = trio.Lock()

    async def reload(self) -> dict[str, Any]:
        """Which keys changed, and which of those wait for a restart. Raises BisikdError; then nothing changed."""
        if self._configuration is None or self._running is None:
            raise BisikdError("This daemon was not started from a configuration; restart it to change anything.")
        async with self._lock:
            try:
                newer = await trio.to_thread.run_sync(self._configuration.again)
            except UsageProblem as problem:
                raise BisikdError(f"{problem} Nothing was changed: what held before holds.") from None
            changed = self._configuration.changes(newer)
            waiting = [key.name for key in self._running.changes(newer) if key.restart]
            if newer.settings.state != self._running.settings.state:
                waiting.append("state")
            self._apply(newer.settings)
            self._configuration = newer
        return {
            "type": "reloaded",
            "changed": [key.name for key in changed if not key.restart],
            "restart": waiting,
        }


def reload_for_people(answer: dict[str, Any]) -> str:
    """What a reload did, in one line."""
    changed, restart = answer["changed"], answer["restart"]
    told = f"Took in {', '.join(changed)}." if changed else "Nothing has changed that can be taken in."
    return told + (f" {', '.join(restart)} will hold after a restart." if restart else "")
