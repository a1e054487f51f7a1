"""What moderators type: /topic, /kick, /ban, /mute and their opposites, as questions to the server.

Each function takes what stands behind the command and gives the sentence that is said when it worked; who may do what
is for the server to decide. They raise BisikError.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from bisik.chat import Chat
from bisik.errors import WrongUsage
from bisik.i18n import _

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION: Final = re.compile(r"(\d{1,6})([smhdw])")
_ADDRESS: Final = re.compile(r"[0-9a-fA-F:.]+(/\d{1,3})?")

ModeratorAction = Callable[[Chat, str, str], Awaitable[str]]
"""Chat, the room that is spoken in, argument."""


async def _topic(chat: Chat, room: str, argument: str) -> str:
    if not argument:
        topic = chat.topic(room)
        return topic or _("{room} has no topic.").format(room=room)
    await chat.set_topic(room, "" if argument == "-" else argument)
    return _("Done.")


async def _kick(chat: Chat, room: str, argument: str) -> str:
    name, reason = _split(argument)
    await chat.kick(room, name, reason)
    return _("Done.")


async def _ban(chat: Chat, room: str, argument: str) -> str:
    target, lasts_s, reason = _target_time_reason(argument)
    if is_address(target):
        await chat.ban(address=target, lasts_s=lasts_s, reason=reason)
    else:
        await chat.ban(target, lasts_s=lasts_s, reason=reason)
    return _("Done.")


async def _unban(chat: Chat, room: str, argument: str) -> str:
    if is_address(argument):
        await chat.unban(address=argument)
    else:
        await chat.unban(argument)
    return _("Done.")


async def _mute(chat: Chat, room: str, argument: str) -> str:
    name, lasts_s, reason = _target_time_reason(argument)
    await chat.mute(name, room, lasts_s=lasts_s, reason=reason)
    return _("Done.")


async def _unmute(chat: Chat, room: str, argument: str) -> str:
    await chat.unmute(argument, room)
    return _("Done.")


async def _room(chat: Chat, room: str, argument: str) -> str:
    if argument not in _RULES:
        raise WrongUsage(_("One of these: {words}").format(words=", ".join(_RULES)))
    await chat.set_room(room, **_RULES[argument])
    return _("Done.")


async def _allow(chat: Chat, room: str, argument: str) -> str:
    if argument.startswith("-"):
        await chat.disallow(room, argument.removeprefix("-"))
    else:
        await chat.allow(room, argument)
    return _("Done.")


_RULES: Final[dict[str, dict[str, bool]]] = {
    "private": {"private": True},
    "public": {"private": False},
    "read-only": {"read_only": True},
    "open": {"read_only": False},
}

MODERATOR_ACTIONS: Final[dict[str, ModeratorAction]] = {
    "/topic": _topic,
    "/kick": _kick,
    "/ban": _ban,
    "/unban": _unban,
    "/mute": _mute,
    "/unmute": _unmute,
    "/room": _room,
    "/allow": _allow,
}


def duration_s(text: str) -> int | None:
    """`30m`, `2h`, `7d` in seconds; None where it is no duration."""
    found = _DURATION.fullmatch(text.lower())
    return None if found is None else int(found[1]) * _UNITS_S[found[2]]


def is_address(text: str) -> bool:
    """Whether a ban's target is an IP address or a range of them, and no name."""
    return _ADDRESS.fullmatch(text) is not None and ("." in text or ":" in text)


def _split(argument: str) -> tuple[str, str]:
    first, _space, rest = argument.partition(" ")
    return first, rest.strip()


def _target_time_reason(argument: str) -> tuple[str, int | None, str]:
    target, rest = _split(argument)
    time, reason = _split(rest)
    lasts_s = duration_s(time)
    return (target, None, rest) if lasts_s is None else (target, lasts_s, reason)
