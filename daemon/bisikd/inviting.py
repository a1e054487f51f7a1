"""What the operator does with invites while the daemon runs: shows the link, makes invites, lists and revokes them.

It owns the order in which an invite's file and its uses follow such a change. What an invite is, `invites` knows.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from bisikd.errors import BisikdError
from bisikd.invitation import Ready, invite_as_json, invites_as_json, made_invite
from bisikd.invites import wanted_invite

if TYPE_CHECKING:
    from bisikd.admin import Commands
    from bisikd.chat import Chat
    from bisikd.state import StateDirectory

T = TypeVar("T")


class Inviting:
    """The commands. `ready` says what everybody is told who may come in by the join password."""

    def __init__(self, chat: "Chat", state: "StateDirectory", ready: Callable[[], Ready]) -> None:
        self._door = chat.doorkeeper
        self._invites = chat.doorkeeper.invites
        self._state = state
        self._ready = ready

    def commands(self) -> "Commands":
        return {
            "invite": self._show,
            "invite-new": self._create,
            "invites": self._list,
            "invite-revoke": self._revoke,
        }

    async def _show(self, request: dict[str, Any]) -> dict[str, str]:
        if request.get("renew") is True:
            await self._door.blocking.hashing(self._state.rotate_join_password)
        return self._ready().as_json()

    async def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = wanted_invite(request)
        record, secret = await self._change(lambda: self._invites.create(self._door.now_ms(), **wanted))
        return made_invite(self._ready(), record, secret, self._door.now_ms())

    async def _list(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return invites_as_json(self._invites, self._door.now_ms())

    async def _revoke(self, request: dict[str, Any]) -> dict[str, Any]:
        record = await self._change(lambda: self._invites.revoke(str(request.get("id") or "")))
        return invite_as_json(record, self._door.now_ms())

    async def _change(self, change: Callable[[], T]) -> T:
        async with self._door.accounts:  # nobody counts a use meanwhile
            try:
                return await self._door.blocking.writing(change)
            except OSError as error:
                raise BisikdError(f"It could not be written ({error.strerror or error}); nothing changed.") from None
