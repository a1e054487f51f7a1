"""Who may come in, enter a room, read it and speak there: roles and moderators' decisions together, in one place.

It owns the sentences that people are told. It decides nothing and changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bisik_protocol.chat.direct_names import direct_names, is_direct
from bisik_protocol.chat.messages import BanKind, Code, Role
from bisik_protocol.crypto.identity import fingerprint_text
from bisikd.moderators import Actor
from bisikd.times import rfc3339

if TYPE_CHECKING:
    from bisikd.moderation import Ban, Moderation
    from bisikd.session import Session
    from bisikd.users import UserStore


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a post is not taken. `wait_ms`: when the same one may be sent again, with TRY_LATER."""

    code: Code
    text: str
    wait_ms: int = 0


class Permissions:
    """Asked at every occasion, so that what was decided a moment ago holds."""

    def __init__(self, users: "UserStore", moderation: "Moderation", now_ms: Callable[[], int]) -> None:
        self._users = users
        self._moderation = moderation
        self._now_ms = now_ms

    def role_of(self, name: str) -> Role:
        user = self._users.get(name)
        return Role.MEMBER if user is None else user.role

    def _names(self, name: str) -> tuple[str, ...]:
        """Every name of an account: what was decided about somebody outlasts a change of name."""
        user = self._users.get(name)
        return (name,) if user is None else user.names

    def actor(self, name: str) -> Actor:
        return Actor(name, self.role_of(name))

    # Coming in -----------------------------------------------------------------------------------------------------

    def refusal_of(self, name: str, key_hash: bytes) -> str | None:
        """Why this account or device is kept out, as a sentence for its owner."""
        ban = self._moderation.ban_of(self._now_ms(), self._names(name), fingerprint_text(key_hash))
        if ban is None:
            return None
        return _banned("This device is" if ban.what is BanKind.DEVICE else "You are", ban)

    def refusal_of_address(self, host: str) -> str | None:
        """Why nobody from there is let in."""
        ban = self._moderation.address_ban_of(self._now_ms(), host)
        return None if ban is None else _banned("The network that you come from is", ban)

    def refusal_of_session(self, session: "Session") -> str | None:
        """Why a session that is there must go."""
        refusal = self.refusal_of_address(session.host)
        if refusal is None and session.admitted:
            refusal = self.refusal_of(session.user.name, session.user.key_hash)
        return refusal

    # Rooms ---------------------------------------------------------------------------------------------------------

    def may_enter(self, name: str, room: str) -> bool:
        """Whether somebody may be in a room, read its past, and see who is there. A direct room has no moderators.

        `room` is a name of its one spelling.
        """
        if is_direct(room):
            return not {*self._names(name)}.isdisjoint(direct_names(room))
        rules = self._moderation.rules(room)
        return (
            not rules.private
            or bool({*self._names(name)} & {*rules.allowed})
            or self.role_of(name) is not Role.MEMBER
        )

    def objection_to_post(self, name: str, room: str) -> Objection | None:
        """Why what somebody says in a room is not taken, by what moderators decided."""
        if self._moderation.rules(room).read_only and self.role_of(name) is Role.MEMBER:
            return Objection(Code.READ_ONLY, f"{room} is read-only: only moderators write there.")
        mute = self._moderation.mute_of(self._now_ms(), self._names(name), room)
        if mute is None:
            return None
        where = "on this server" if mute.room is None else f"in {room}"
        return Objection(Code.MUTED, f"You are muted {where}{_until(mute.until_ms)}{_because(mute.reason)}.")


def _banned(who: str, ban: "Ban") -> str:
    return f"{who} banned from this server{_until(ban.until_ms)}{_because(ban.reason)}."


def _until(until_ms: int | None) -> str:
    return "" if until_ms is None else f" until {rfc3339(until_ms)}"


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
