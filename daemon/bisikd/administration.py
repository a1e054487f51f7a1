"""What the operator asks of the running daemon about rooms and people: the commands of the administration socket.

It reads requests and hands them to `moderators` in the operator's name; what a moderator may do, the operator may.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bisik_protocol.chat.messages import (
    MAX_BAN_S,
    MAX_REASON_CHARACTERS,
    MAX_TOPIC_CHARACTERS,
    BanKind,
    Code,
)
from bisikd.errors import BisikdError
from bisikd.moderators import THE_OPERATOR, ActRefused
from bisikd.status import rooms_status
from bisikd.times import rfc3339

if TYPE_CHECKING:
    from bisikd.admin import Commands
    from bisikd.chat import Chat

Request = dict[str, Any]
DONE = {"type": "done"}


class Administration:
    """Every command raises BisikdError with a sentence where it was not done."""

    def __init__(self, chat: "Chat") -> None:
        self._chat = chat
        self._moderators = chat.moderators

    def commands(self) -> "Commands":
        """The commands by name."""
        doing: dict[str, Callable[[Request], Awaitable[None]]] = {
            "kick": self._kick,
            "ban": self._ban,
            "unban": self._unban,
            "mute": self._mute,
            "unmute": self._unmute,
            "topic": self._topic,
            "room": self._room,
            "allow": self._allow,
        }
        return {"rooms": self._rooms, "bans": self._bans, **{name: _done(do) for name, do in doing.items()}}

    async def _rooms(self, request: Request) -> list[dict[str, Any]]:
        return rooms_status(self._chat)

    async def _bans(self, request: Request) -> dict[str, Any]:
        return {
            "bans": [
                {
                    "type": "ban",
                    "what": ban.what.value,
                    "target": ban.target,
                    "by": ban.by,
                    "since": rfc3339(ban.since_ms),
                    "until": None if ban.until_ms is None else rfc3339(ban.until_ms),
                    "reason": ban.reason,
                }
                for ban in self._moderators.bans(THE_OPERATOR)
            ],
            "mutes": [
                {
                    "type": "mute",
                    "name": mute.name,
                    "room": mute.room,
                    "by": mute.by,
                    "since": rfc3339(mute.since_ms),
                    "until": None if mute.until_ms is None else rfc3339(mute.until_ms),
                    "reason": mute.reason,
                }
                for mute in self._moderators.mutes(THE_OPERATOR)
            ],
        }

    async def _kick(self, request: Request) -> None:
        name, reason = _text(request, "name"), _reason(request)
        room = _optional(request, "room")
        if room is not None:
            await self._moderators.kick(THE_OPERATOR, room, name, reason)
            return
        kicked = 0
        for here in [each.name for each in self._chat.hub if each.begun and not each.direct]:
            try:
                await self._moderators.kick(THE_OPERATOR, here, name, reason)
                kicked += 1
            except ActRefused as refused:
                if refused.code is not Code.NOT_JOINED:
                    raise
        if not kicked:
            raise BisikdError(f"{name} is in no room.")

    async def _ban(self, request: Request) -> None:
        what, target = _target(request)
        await self._moderators.ban(THE_OPERATOR, what, target, _lasts(request), _reason(request))

    async def _unban(self, request: Request) -> None:
        what, target = _target(request)
        await self._moderators.unban(THE_OPERATOR, what, target)

    async def _mute(self, request: Request) -> None:
        room = _optional(request, "room")
        await self._moderators.mute(THE_OPERATOR, _text(request, "name"), room, _lasts(request), _reason(request))

    async def _unmute(self, request: Request) -> None:
        await self._moderators.unmute(THE_OPERATOR, _text(request, "name"), _optional(request, "room"))

    async def _topic(self, request: Request) -> None:
        topic = str(request.get("topic", ""))
        if len(topic) > MAX_TOPIC_CHARACTERS:
            raise BisikdError(f"A topic has at most {MAX_TOPIC_CHARACTERS} characters.")
        await self._moderators.set_topic(THE_OPERATOR, _text(request, "room"), topic)

    async def _room(self, request: Request) -> None:
        private, read_only = request.get("private"), request.get("read_only")
        await self._moderators.set_room(
            THE_OPERATOR,
            _text(request, "room"),
            private=None if private is None else bool(private),
            read_only=None if read_only is None else bool(read_only),
        )

    async def _allow(self, request: Request) -> None:
        allowed = request.get("allowed") is not False
        await self._moderators.allow(THE_OPERATOR, _text(request, "room"), _text(request, "name"), allowed=allowed)


def _done(do: Callable[[Request], Awaitable[None]]) -> Callable[[Request], Awaitable[Any]]:
    async def doing(request: Request) -> Any:
        await do(request)
        return DONE

    return doing


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise BisikdError(f"The request lacks its {key}.")
    return value


def _optional(request: Request, key: str) -> str | None:
    return None if request.get(key) is None else _text(request, key)


def _target(request: Request) -> tuple[BanKind, str]:
    try:
        return BanKind(request.get("what")), _text(request, "target")
    except ValueError:
        raise BisikdError("A ban is on a name, a device or an address.") from None


def _lasts(request: Request) -> int | None:
    value = request.get("lasts_s")
    if value is not None and (type(value) is not int or not 1 <= value <= MAX_BAN_S):
        raise BisikdError(f"It lasts a number of seconds up to {MAX_BAN_S}, or until it is taken back.")
    return value


def _reason(request: Request) -> str:
    reason = str(request.get("reason") or "")
    if len(reason) > MAX_REASON_CHARACTERS:
        raise BisikdError(f"A reason has at most {MAX_REASON_CHARACTERS} characters.")
    return reason
