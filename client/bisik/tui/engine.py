"""Trio beside Textual: the chat's tasks run as a guest on the event loop that draws the screen.

Both take turns on one thread, so each may call what the other has, as long as it does not wait. What the disk makes
wait is done in worker threads by the chat itself. The far end of the arrangement: the guest must finish before its
host does, so the app asks it to leave, and exits when it has.
"""

import asyncio
from collections.abc import Awaitable, Callable

import outcome
import trio


class Engine:
    """Runs one coroutine function under Trio."""

    def __init__(self, main: Callable[[], Awaitable[None]], on_end: Callable[[BaseException | None], None]) -> None:
        """`on_end` is called on the event loop when it is over, with what went wrong if anything did."""
        self._main = main
        self._on_end = on_end
        self.running = False

    def start(self) -> None:
        """Begin; to be called on a running event loop."""
        loop = asyncio.get_running_loop()
        self.running = True
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=self._done,
            host_uses_signal_set_wakeup_fd=True,
        )

    def _done(self, result: outcome.Outcome[None]) -> None:
        self.running = False
        self._on_end(result.error if isinstance(result, outcome.Error) else None)
