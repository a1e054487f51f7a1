"""A planned end: nobody new, nothing new, and the daemon stops when everybody has what was stored.

A stop ends after the log is safe; clients then fetch what they had not got when they are back. Draining waits for
them too, up to a time, so that a machine can be taken away for longer. Posts are refused with try-later: clients keep
them and send them when the server is back.
"""

from typing import TYPE_CHECKING, Any, Final

import trio

from bisik_protocol.chat.messages import Code
from bisikd.errors import BisikdError
from bisikd.permissions import Objection
from bisikd.requests import UNREACHABLE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from bisikd.chat import Chat

DRAIN_S: Final = 30.0
MAX_DRAIN_S: Final = 3600.0
LOOK_EVERY_S: Final = 0.05  # no event tells of the last acknowledgement
STOPPING: Final = Objection(
    Code.TRY_LATER, "The server is about to stop. The message is kept, and sent when the server is back.", 30_000
)


class Draining:
    """`stop` is called when everybody has everything, or the time is over."""

    def __init__(self, chat: "Chat", stop: "Callable[[], None]") -> None:
        self.begun = False
        self._chat = chat
        self._stop = stop

    def begin(self, nursery: trio.Nursery, within_s: object = None) -> dict[str, Any]:
        """How many sessions there are. Raises BisikdError for a time that is none."""
        limit = DRAIN_S if within_s is None else within_s
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= MAX_DRAIN_S:
            raise BisikdError(f"The time to wait is a number of seconds up to {MAX_DRAIN_S:.0f}.")
        if not self.begun:
            self.begun = True
            self._chat.posts.closed = STOPPING
            nursery.start_soon(self._wait, float(limit))
        return {"type": "draining", "sessions": len(self._chat.sessions or ())}

    async def _wait(self, limit_s: float) -> None:
        with trio.move_on_after(limit_s):
            while self.owed():  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY_S)
        self._stop()

    def owed(self) -> int:
        """More than 0 while somebody who can be reached has not got everything, or something is being stored."""
        now = self._chat.now()
        waiting = sum(room.underway for room in self._chat.hub)
        here = [
            session
            for session in self._chat.sessions or ()
            if session.admitted and now - session.connection.last_heard < UNREACHABLE_S
        ]
        return waiting + sum(session.owed for session in here)
