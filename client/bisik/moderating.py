"""What moderators ask of the server, as methods of a chat. The server decides who may; each raises Refused if not.

`lasts_s` is in seconds; without it a ban or a mute holds until it is taken back. `reason` is for everybody to read.
"""

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from bisik.errors import Nonsense, Refused, WrongUsage
from bisik.i18n import _
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import (
    MAX_REASON_CHARACTERS,
    MAX_TOPIC_CHARACTERS,
    BanInfo,
    BanKind,
    Reply,
    RoomState,
)
from bisik_protocol.chat.names import InvalidName, canonical_name, canonical_room

if TYPE_CHECKING:
    from bisik.requests import MakeRequest


class Moderating:
    """Needs an `_ask`."""

    def _ask(self, make: "MakeRequest") -> Awaitable[Reply]:
        raise NotImplementedError

    async def kick(self, room: str, name: str, reason: str = "") -> None:
        """Put somebody out of a room. They may join it again; where they may not, make it private, or ban them."""
        await self._do(partial(messages.Kick, room=_room(room), name=_name(name), reason=_reason(reason)))

    async def ban(
        self,
        name: str | None = None,
        *,
        device: str | None = None,
        address: str | None = None,
        lasts_s: int | None = None,
        reason: str = "",
    ) -> None:
        """Keep a person, a device (its fingerprint) or an address range off the server, and put out who is there."""
        what, target = _target(name, device, address)
        await self._do(partial(messages.Ban, what=what, target=target, lasts_s=lasts_s, reason=_reason(reason)))

    async def unban(self, name: str | None = None, *, device: str | None = None, address: str | None = None) -> None:
        """Take a ban back."""
        what, target = _target(name, device, address)
        await self._do(partial(messages.Unban, what=what, target=target))

    async def bans(self) -> list[BanInfo]:
        """The bans that hold, the newest first."""
        reply = await self._ask(messages.ListBans)
        if not isinstance(reply, messages.Bans):
            _refuse(reply)
        return reply.bans

    async def mute(self, name: str, room: str | None = None, *, lasts_s: int | None = None, reason: str = "") -> None:
        """Let nothing of what somebody says through, in one room or in all."""
        where = None if room is None else _room(room)
        await self._do(partial(messages.Mute, name=_name(name), room=where, lasts_s=lasts_s, reason=_reason(reason)))

    async def unmute(self, name: str, room: str | None = None) -> None:
        """Let somebody speak again."""
        await self._do(partial(messages.Unmute, name=_name(name), room=None if room is None else _room(room)))

    async def set_topic(self, room: str, topic: str) -> None:
        """Say what a room is about; an empty topic takes it away."""
        if len(topic) > MAX_TOPIC_CHARACTERS:
            raise WrongUsage(_("A topic has at most {n} characters.").format(n=MAX_TOPIC_CHARACTERS))
        await self._do(partial(messages.SetTopic, room=_room(room), topic=_text(topic)))

    async def set_room(self, room: str, *, private: bool | None = None, read_only: bool | None = None) -> None:
        """Private: only who was allowed comes in, and who is in it now. Read-only: only moderators speak."""
        await self._do(partial(messages.SetRoom, room=_room(room), private=private, read_only=read_only))

    async def allow(self, room: str, name: str) -> None:
        """Let somebody into a private room."""
        await self._do(partial(messages.Allow, room=_room(room), name=_name(name)))

    async def disallow(self, room: str, name: str) -> None:
        """Let somebody into a private room no longer, and put them out if they are in it."""
        await self._do(partial(messages.Allow, room=_room(room), name=_name(name), allowed=False))

    async def room_state(self, room: str) -> RoomState:
        """Topic, rules, and whom a private room lets in."""
        reply = await self._ask(partial(messages.GetRoom, room=_room(room)))
        if not isinstance(reply, RoomState):
            _refuse(reply)
        return reply

    async def _do(self, make: "MakeRequest") -> None:
        reply = await self._ask(make)
        if not isinstance(reply, messages.Done):
            _refuse(reply)


def _refuse(reply: Reply) -> NoReturn:
    if isinstance(reply, messages.Refused):
        raise Refused(reply.code, reply.text)
    raise Nonsense("reply")


def _target(name: str | None, device: str | None, address: str | None) -> tuple[BanKind, str]:
    given = [(kind, text) for kind, text in zip(BanKind, (name, device, address), strict=True) if text is not None]
    if len(given) != 1:
        raise WrongUsage(_("A ban is on a name, on a device or on an address: on one of them."))
    kind, text = given[0]
    return (kind, _name(text)) if kind is BanKind.NAME else (kind, text.strip())


def _name(text: str) -> str:
    try:
        return canonical_name(text)
    except InvalidName as error:
        raise WrongUsage(str(error)) from None


def _room(text: str) -> str:
    try:
        return canonical_room(text)
    except InvalidName as error:
        raise WrongUsage(str(error)) from None


def _reason(text: str) -> str:
    if len(text) > MAX_REASON_CHARACTERS:
        raise WrongUsage(_("A reason has at most {n} characters.").format(n=MAX_REASON_CHARACTERS))
    return _text(text)


def _text(text: str) -> str:
    return text.strip().encode("utf-8", "replace").decode("utf-8")
