"""One login ID is made before anybody needs it, so that who registers waits for Argon2 once and not twice.

A login ID is random and nobody's until it is given out, and its hash costs what it always costs; only when it is paid
is different. It is kept in memory alone, beside the keys of the server. A crowd that comes at once has its IDs made
as it comes. It must not know who gets one.
"""

from typing import TYPE_CHECKING

import trio

from bisikd.passwords import new_login_id

if TYPE_CHECKING:
    from bisikd.blocking import Workers
    from bisikd.passwords import Passwords


class LoginIds:
    """Without `run` there is never one ready."""

    def __init__(self, passwords: "Passwords", hashing: "Workers") -> None:
        self._passwords = passwords
        self._hashing = hashing
        self._ready: tuple[str, str] | None = None
        self._taken = trio.Event()

    def take_nowait(self) -> tuple[str, str] | None:
        """A login ID and its stored form, which nobody else is given; None where none is ready."""
        ready, self._ready = self._ready, None
        self._taken.set()
        return ready

    async def run(self) -> None:
        """Keep one ready, for ever."""
        while True:
            self._taken = trio.Event()
            if self._ready is None:
                login_id = new_login_id()
                self._ready = login_id, await self._hashing(self._passwords.hash, login_id)
            else:
                await self._taken.wait()
