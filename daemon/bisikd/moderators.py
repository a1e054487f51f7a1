"""Moderators at work: who may do what to whom, and what follows from it for rooms, sessions and the log.

A decision is on the disk before it has any effect, then it takes effect, then its entry is stored, and only then is
it answered. What is about one room stands in that room; what is about the whole server in the lobby. A range of
addresses is not shown to people: their own are none of others' business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from bisik_protocol.chat.messages import (
    MAX_ALLOWED,
    OPERATOR,
    Act,
    BanKind,
    Code,
    Entry,
    ModerationEntry,
    Role,
    TopicEntry,
)
from bisik_protocol.chat.names import LOBBY, InvalidName, canonical_name, canonical_room
from bisik_protocol.crypto.identity import fingerprint_text, parse_fingerprint
from bisikd.errors import BisikdError
from bisikd.journal import StorageFull
from bisikd.moderation import MAX_BANS, MAX_MUTES, Ban, Decisions, Mute, RoomRules, canonical_range, without_ended

if TYPE_CHECKING:
    from bisikd.chat import Chat
    from bisikd.rooms import Room
    from bisikd.users import User

_RANK: Final = {Role.MEMBER: 0, Role.MODERATOR: 1, Role.OWNER: 2}


class ActRefused(BisikdError):  # noqa: N818 # an answer
    """It was not done; the sentence says why."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks."""

    name: str
    role: Role
    is_operator: bool = False


THE_OPERATOR: Final = Actor(OPERATOR, Role.OWNER, is_operator=True)


class Moderators:
    """What moderators and the operator can do. Every method raises ActRefused where it was not done."""

    def __init__(self, chat: "Chat") -> None:
        self._chat = chat
        self._deciding = trio.Lock()

    # People --------------------------------------------------------------------------------------------------------

    async def kick(self, by: Actor, room: str, name: str, reason: str = "") -> None:
        """Put all sessions of a person out of a room."""
        found, user = self._room(by, room), self._subject(by, name)
        here = [member for member in found.memberships if member.name == user.name]
        if not here and user.name not in found.presence.shown:
            raise ActRefused(Code.NOT_JOINED, f"{user.name} is not in {found.name}.")
        self._put_out(found, user.name, f"{by.name} put you out of {found.name}{_because(reason)}.")
        await self._tell(found, by, Act.KICK, user.name, None, reason)

    async def ban(self, by: Actor, what: BanKind, target: str, lasts_s: int | None = None, reason: str = "") -> None:
        """Keep somebody off the server, and end the sessions they have."""
        self._need(by)
        target = self._target(by, what, target)
        now_ms = self._chat.now_ms()
        until_ms = None if lasts_s is None else now_ms + lasts_s * 1000
        ban = Ban(what=what, target=target, by=by.name, since_ms=now_ms, until_ms=until_ms, reason=reason)

        def add(decisions: Decisions) -> Decisions:
            others = tuple(each for each in decisions.bans if (each.what, each.target) != (what, target))
            if len(others) >= MAX_BANS:
                raise ActRefused(Code.FORBIDDEN, f"There are {MAX_BANS} bans, which is the limit: take some back.")
            return msgspec.structs.replace(decisions, bans=(*others, ban))

        await self._decide(add)
        self._chat.expel_banned()
        await self._tell(None, by, Act.BAN, _shown(what, target), until_ms, reason)

    async def unban(self, by: Actor, what: BanKind, target: str) -> None:
        self._need(by)
        target = self._target(by, what, target, must_exist=False)

        def remove(decisions: Decisions) -> Decisions:
            others = tuple(each for each in decisions.bans if (each.what, each.target) != (what, target))
            if len(others) == len(decisions.bans):
                raise ActRefused(Code.UNKNOWN, f"There is no ban on {target}.")
            return msgspec.structs.replace(decisions, bans=others)

        await self._decide(remove)
        await self._tell(None, by, Act.UNBAN, _shown(what, target), None, "")

    def bans(self, by: Actor) -> list[Ban]:
        """The bans that hold, newest first."""
        self._need(by)
        return list(reversed(without_ended(self._chat.moderation.decisions, self._chat.now_ms()).bans))

    def mutes(self, by: Actor) -> list[Mute]:
        """The mutes that hold, newest first."""
        self._need(by)
        return list(reversed(without_ended(self._chat.moderation.decisions, self._chat.now_ms()).mutes))

    async def mute(
        self, by: Actor, name: str, room: str | None = None, lasts_s: int | None = None, reason: str = ""
    ) -> None:
        """Refuse what somebody says, in one room or in all."""
        found = None if room is None else self._room(by, room)
        self._need(by)
        user = self._subject(by, name)
        now_ms = self._chat.now_ms()
        until_ms = None if lasts_s is None else now_ms + lasts_s * 1000
        where = None if found is None else found.name
        mute = Mute(name=user.name, room=where, by=by.name, since_ms=now_ms, until_ms=until_ms, reason=reason)

        def add(decisions: Decisions) -> Decisions:
            others = tuple(each for each in decisions.mutes if (each.name, each.room) != (user.name, where))
            if len(others) >= MAX_MUTES:
                raise ActRefused(Code.FORBIDDEN, f"{MAX_MUTES} are muted, which is the limit: unmute some.")
            return msgspec.structs.replace(decisions, mutes=(*others, mute))

        await self._decide(add)
        await self._tell(found, by, Act.MUTE, user.name, until_ms, reason)

    async def unmute(self, by: Actor, name: str, room: str | None = None) -> None:
        found = None if room is None else self._room(by, room)
        self._need(by)
        spelt, where = _spelt(name), None if found is None else found.name

        def remove(decisions: Decisions) -> Decisions:
            others = tuple(each for each in decisions.mutes if (each.name, each.room) != (spelt, where))
            if len(others) == len(decisions.mutes):
                place = "everywhere" if where is None else f"in {where}"
                raise ActRefused(Code.UNKNOWN, f"{spelt} is not muted {place}.")
            return msgspec.structs.replace(decisions, mutes=others)

        await self._decide(remove)
        await self._tell(found, by, Act.UNMUTE, spelt, None, "")

    # Rooms ---------------------------------------------------------------------------------------------------------

    async def set_topic(self, by: Actor, room: str, topic: str) -> None:
        found = self._room(by, room)
        await self._decide(_ruled(found.name, lambda rules: msgspec.structs.replace(rules, topic=topic)))
        await self._write(
            found, lambda seq, now_ms: TopicEntry(room=found.name, seq=seq, time=now_ms, author=by.name, topic=topic)
        )

    async def set_room(
        self, by: Actor, room: str, *, private: bool | None = None, read_only: bool | None = None
    ) -> None:
        """Open or close a room. Who is in it when it becomes private is let in from then on."""
        found = self._room(by, room)
        if private and found.name == LOBBY:
            raise ActRefused(Code.FORBIDDEN, f"{LOBBY} is everybody's and cannot be private.")
        before = self._chat.moderation.rules(found.name)
        if private is not None and private != before.private:
            inside = tuple(sorted(found.presence.stored))[:MAX_ALLOWED] if private else ()
            await self._decide(
                _ruled(found.name, lambda rules: msgspec.structs.replace(rules, private=private, allowed=inside))
            )
            self._chat.put_out_strangers(found)
            await self._tell(found, by, Act.PRIVATE if private else Act.PUBLIC, "", None, "")
        if read_only is not None and read_only != before.read_only:
            await self._decide(_ruled(found.name, lambda rules: msgspec.structs.replace(rules, read_only=read_only)))
            await self._tell(found, by, Act.READ_ONLY if read_only else Act.WRITABLE, "", None, "")

    async def allow(self, by: Actor, room: str, name: str, *, allowed: bool = True) -> None:
        """Let somebody into a private room, or no longer."""
        found = self._room(by, room)
        user = self._known(name)
        if not self._chat.moderation.rules(found.name).private:
            raise ActRefused(Code.ROOM_INVALID, f"{found.name} is not private: everybody may join it.")

        def change(rules: RoomRules) -> RoomRules:
            others = tuple(each for each in rules.allowed if each != user.name)
            if allowed and len(others) >= MAX_ALLOWED:
                raise ActRefused(Code.ROOM_LIMIT, f"{found.name} lets {MAX_ALLOWED} people in, which is the limit.")
            return msgspec.structs.replace(rules, allowed=(*others, user.name) if allowed else others)

        await self._decide(_ruled(found.name, change))
        self._chat.put_out_strangers(found)
        await self._tell(found, by, Act.ALLOW if allowed else Act.DISALLOW, user.name, None, "")

    # Inside --------------------------------------------------------------------------------------------------------

    def _need(self, by: Actor) -> None:
        if _RANK[by.role] < _RANK[Role.MODERATOR]:
            raise ActRefused(
                Code.FORBIDDEN, "Only moderators may do that. The operator of the server makes moderators."
            )

    def _room(self, by: Actor, name: str) -> "Room":
        self._need(by)
        try:
            spelt = canonical_room(name)
        except InvalidName as error:
            raise ActRefused(Code.ROOM_INVALID, str(error)) from None
        room = self._chat.hub.get(spelt)
        if room is None or not room.begun:
            raise ActRefused(Code.ROOM_INVALID, f"There is no room {spelt}.")
        return room

    def _known(self, name: str) -> "User":
        spelt = _spelt(name)
        user = self._chat.users.get(spelt)
        if user is None:
            raise ActRefused(Code.NAME_UNKNOWN, f"Nobody here is called {spelt}.")
        return user

    def _subject(self, by: Actor, name: str) -> "User":
        """Somebody whom `by` may act on."""
        self._need(by)
        user = self._known(name)
        if not by.is_operator and _RANK[user.role] >= _RANK[by.role]:
            raise ActRefused(
                Code.FORBIDDEN, f"{user.name} is {_article(user.role)}: only who stands higher may do that."
            )
        return user

    def _target(self, by: Actor, what: BanKind, text: str, *, must_exist: bool = True) -> str:
        """What is banned in its one spelling."""
        if what is BanKind.NAME:
            return self._subject(by, text).name if must_exist else _spelt(text)
        if what is BanKind.ADDRESS:
            try:
                return canonical_range(text)
            except ValueError:
                raise ActRefused(
                    Code.UNKNOWN, "That is neither an address nor a range like 192.0.2.0/24 or 2001:db8::/48."
                ) from None
        try:
            key_hash = parse_fingerprint(text)
        except ValueError:
            raise ActRefused(
                Code.UNKNOWN, "That is no device's fingerprint; `bisikd users list --json` shows them."
            ) from None
        if must_exist and (owner := self._chat.users.by_key(key_hash)) is not None:
            self._subject(by, owner[0].name)
        return fingerprint_text(key_hash)

    async def _decide(self, change: Callable[[Decisions], Decisions]) -> None:
        moderation = self._chat.moderation
        async with self._deciding:
            decisions = change(without_ended(moderation.decisions, self._chat.now_ms()))
            try:
                await self._chat.blocking.writing(moderation.store, decisions)
            except OSError as error:
                raise ActRefused(
                    Code.STORAGE, f"It could not be written ({error.strerror or error}), and was not done."
                ) from None

    def _put_out(self, room: "Room", name: str, why: str) -> None:
        self._chat.put_out(room, lambda member: member.name == name, why)
        self._chat.hub.dismiss(room, name)

    async def _tell(
        self, room: "Room | None", by: Actor, act: Act, target: str, until_ms: int | None, reason: str
    ) -> None:
        where = self._chat.hub.lobby if room is None else room
        await self._write(
            where,
            lambda seq, now_ms: ModerationEntry(
                room=where.name,
                seq=seq,
                time=now_ms,
                author=by.name,
                act=act,
                target=target,
                until=until_ms,
                reason=reason,
            ),
        )

    async def _write(self, room: "Room", make: Callable[[int, int], Entry]) -> None:
        try:
            await self._chat.hub.write(room, make)
        except StorageFull as error:
            raise ActRefused(Code.STORAGE, f"It was done, but the log could not take it: {error}") from None


def _ruled(room: str, change: Callable[[RoomRules], RoomRules]) -> Callable[[Decisions], Decisions]:
    def changed(decisions: Decisions) -> Decisions:
        rules = change(decisions.rooms.get(room, RoomRules()))
        return msgspec.structs.replace(decisions, rooms={**decisions.rooms, room: rules})

    return changed


def _spelt(name: str) -> str:
    try:
        return canonical_name(name)
    except InvalidName as error:
        raise ActRefused(Code.NAME_INVALID, str(error)) from None


def _shown(what: BanKind, target: str) -> str:
    return "" if what is BanKind.ADDRESS else target


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _article(role: Role) -> str:
    return f"{'an' if role is Role.OWNER else 'a'} {role.value}"
