"""The requests that are about direct messages: which room, which rooms, whose keys, one's own key.

Everything else about a direct room is asked as it is of any room (see `requests`).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from bisik_protocol.chat.messages import (
    MAX_LISTED_DIRECTS,
    Code,
    Direct,
    DirectInfo,
    Directs,
    Done,
    GetDirect,
    GetSealingKeys,
    ListDirects,
    Publish,
    Reply,
    SealingDevice,
    SealingKeys,
    decode_entry_untrusted,
)
from bisik_protocol.chat.names import InvalidName, canonical_name
from bisik_protocol.chat.sealing_bundle import check_bundle_untrusted
from bisik_protocol.errors import RemoteProtocolError
from bisikd.directs import sealable
from bisikd.refusal import Refusal
from bisikd.userfile import Published
from bisikd.users import NotWritten

if TYPE_CHECKING:
    from bisikd.rooms import Room
    from bisikd.session import Session
    from bisikd.userfile import User


async def get_direct(session: "Session", request: GetDirect) -> Reply:
    """Stores nothing: the room begins with what is said in it."""
    own, other = _own(session), _known(session, request.name)
    if own.name == other.name:
        raise Refusal(Code.NAME_INVALID, "A conversation is with somebody else.")
    return Direct(request.number, session.chat.directs.between(own, other), other.name)


async def list_directs(session: "Session", request: ListDirects) -> Reply:
    """What was last said in them is looked up once for each, and remembered."""
    chat, own = session.chat, _own(session)
    rooms = chat.directs.of(own)
    if unknown := [(room.name, room.head) for room in rooms if room.newest_ms is None]:
        times = await chat.blocking.reading(_times, session, unknown)
        for room in rooms:
            if room.newest_ms is None:
                room.newest_ms = times.get(room.name)
    rooms.sort(key=lambda room: room.newest_ms or 0, reverse=True)
    listed = [DirectInfo(room.name, _called(session, own, room), room.head) for room in rooms[:MAX_LISTED_DIRECTS]]
    return Directs(request.number, listed)


async def get_sealing_keys(session: "Session", request: GetSealingKeys) -> Reply:
    """One's own are asked for in the same way."""
    user = _known(session, request.name)
    keys = [
        SealingDevice(device.modulus, device.published.bundle, device.published.signature)
        for device in sealable(user)
        if device.published is not None
    ]
    return SealingKeys(request.number, user.name, keys)


async def publish(session: "Session", request: Publish) -> Reply:
    """Returns once it is on the disk."""
    chat, key_hash = session.chat, session.user.key_hash
    try:
        check_bundle_untrusted(session.user.device, request.bundle, request.signature)
    except RemoteProtocolError:
        raise Refusal(
            Code.STATEMENT_INVALID, "That is not a sealing key that this device's key has signed."
        ) from None
    published = Published(bundle=request.bundle, signature=request.signature)

    def with_key(user: "User") -> "User":
        devices = (
            replace(device, published=published) if device.key_hash == key_hash else device for device in user.devices
        )
        return replace(user, devices=tuple(devices))

    async with chat.doorkeeper.accounts:
        user = _own(session)
        device = next((device for device in user.devices if device.key_hash == key_hash), None)
        if device is None:
            raise Refusal(Code.UNKNOWN, "This device is none of yours any more.")
        if device.published is None or device.published.bundle != request.bundle:
            try:
                await chat.blocking.writing(chat.users.change, user.name, with_key)
            except NotWritten as error:
                raise Refusal(Code.STORAGE, str(error)) from None
    return Done(request.number)


def _own(session: "Session") -> "User":
    user = session.chat.users.get(session.user.name)
    if user is None:
        raise Refusal(Code.UNKNOWN, "Your account is not there any more.")
    return user


def _known(session: "Session", text: str) -> "User":
    """The account that is called so, or was."""
    try:
        name = canonical_name(text)
    except InvalidName as error:
        raise Refusal(Code.NAME_INVALID, str(error)) from None
    user = session.chat.users.by_any_name(name)
    if user is None:
        raise Refusal(Code.NAME_UNKNOWN, f"Nobody here is called {name}.")
    return user


def _called(session: "Session", own: "User", room: "Room") -> str:
    other = session.chat.directs.other(own, room.name)
    return session.chat.directs.other_name(own, room.name) if other is None else other.name


def _times(session: "Session", rooms: list[tuple[str, int]]) -> dict[str, int]:
    """When the newest entry of each was stored. Blocks."""
    newest = {name: session.chat.log.entries(name, head - 1, 1) for name, head in rooms}
    return {name: decode_entry_untrusted(entries[0]).time for name, entries in newest.items() if entries}
