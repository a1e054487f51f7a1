"""Waiting for anything to change: every `tell` wakes all who wait, and nobody else ever waits for an old one."""

import trio


class News:
    """Look, then `wait`, then look again; between the look and the wait there must be no checkpoint."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def tell(self) -> None:
        """Something may have changed."""
        if self._event.statistics().tasks_waiting:
            self._event.set()
            self._event = trio.Event()

    async def wait(self) -> None:
        """Until the next `tell`."""
        await self._event.wait()
