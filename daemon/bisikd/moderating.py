"""Moderators' requests from their clients: each is handed to `moderators`, in the name of the session's user."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from bisik_protocol.chat.messages import (
    MAX_LISTED_BANS,
    Allow,
    Ban,
    BanInfo,
    Bans,
    Done,
    Kick,
    ListBans,
    Mute,
    Refused,
    Reply,
    Request,
    SetRoom,
    SetTopic,
    Unban,
    Unmute,
)
from bisikd.moderators import Actor, ActRefused, Moderators

if TYPE_CHECKING:
    from bisikd.session import Session

Handler = Callable[[Moderators, Actor, Any], Coroutine[Any, Any, None]]


async def moderate(session: "Session", request: Request) -> Reply:
    """The reply to a moderator's request. Never raises for what the far side asks."""
    chat = session.chat
    actor = chat.permissions.actor(session.user.name)
    try:
        if isinstance(request, ListBans):
            return _bans(request.number, chat.moderators, actor)
        await HANDLERS[type(request)](chat.moderators, actor, request)
    except ActRefused as refused:
        return Refused(request.number, refused.code, str(refused))
    return Done(request.number)


def _bans(number: int, moderators: Moderators, actor: Actor) -> Bans:
    bans = moderators.bans(actor)[:MAX_LISTED_BANS]
    return Bans(
        number,
        [BanInfo(ban.what, ban.target, ban.by, ban.reason, ban.since_ms, ban.until_ms) for ban in bans],
    )


async def _kick(moderators: Moderators, by: Actor, request: Kick) -> None:
    await moderators.kick(by, request.room, request.name, request.reason)


async def _ban(moderators: Moderators, by: Actor, request: Ban) -> None:
    await moderators.ban(by, request.what, request.target, request.lasts_s, request.reason)


async def _unban(moderators: Moderators, by: Actor, request: Unban) -> None:
    await moderators.unban(by, request.what, request.target)


async def _mute(moderators: Moderators, by: Actor, request: Mute) -> None:
    await moderators.mute(by, request.name, request.room, request.lasts_s, request.reason)


async def _unmute(moderators: Moderators, by: Actor, request: Unmute) -> None:
    await moderators.unmute(by, request.name, request.room)


async def _set_topic(moderators: Moderators, by: Actor, request: SetTopic) -> None:
    await moderators.set_topic(by, request.room, request.topic)


async def _set_room(moderators: Moderators, by: Actor, request: SetRoom) -> None:
    await moderators.set_room(by, request.room, private=request.private, read_only=request.read_only)


async def _allow(moderators: Moderators, by: Actor, request: Allow) -> None:
    await moderators.allow(by, request.room, request.name, allowed=request.allowed)


HANDLERS: Final[dict[type, Handler]] = {
    Kick: _kick,
    Ban: _ban,
    Unban: _unban,
    Mute: _mute,
    Unmute: _unmute,
    SetTopic: _set_topic,
    SetRoom: _set_room,
    Allow: _allow,
}
