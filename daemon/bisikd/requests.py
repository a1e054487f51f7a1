"""The requests of an admitted session: rooms, who is there, history, whose key. Each is answered with one reply.

Admission is not here (see `admission`), nor is what is said in a room (see `posts`).
"""

import heapq
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from bisik_protocol.chat.direct_names import direct_names, is_direct
from bisik_protocol.chat.messages import (
    MAX_AWAY_BYTES,
    MAX_PAGE_BYTES,
    Code,
    Confirmed,
    Consistency,
    Device,
    Done,
    GetConfirmed,
    GetConsistency,
    GetDevice,
    GetDirect,
    GetHistory,
    GetInclusion,
    GetRoom,
    GetSealingKeys,
    History,
    Inclusion,
    Joined,
    JoinRoom,
    LeaveRoom,
    ListDevices,
    ListDirects,
    ListMembers,
    ListRooms,
    MemberInfo,
    Members,
    Moderation,
    Presence,
    Publish,
    Refused,
    Reply,
    Request,
    RevokeDevice,
    Role,
    RoomInfo,
    Rooms,
    RoomState,
    SetAway,
    decode_entry_untrusted,
)
from bisik_protocol.chat.names import InvalidName, canonical_room
from bisikd.direct_requests import get_direct, get_sealing_keys, list_directs, publish
from bisikd.moderating import moderate
from bisikd.own_devices import list_devices, revoke_device
from bisikd.proofs import NotProvable
from bisikd.refusal import Refusal
from bisikd.rooms import Membership, Room

if TYPE_CHECKING:
    from bisikd.session import Session


MAX_LISTED: Final = 450  # rooms, or members with the lately heard first: a reply has to fit into 64 KiB

DAY_S: Final = 86_400
UNREACHABLE_S: Final = 90.0  # three keepalives of a client, and some: a phone that is off, a laptop that sleeps

Handler = Callable[["Session", Any], Coroutine[Any, Any, Reply]]


async def answer(session: "Session", request: Request) -> Reply:
    """The reply to a request of an admitted session. Never raises for what the far side asks."""
    if isinstance(request, Moderation):
        return await moderate(session, request)
    handler = _HANDLERS.get(type(request))
    if handler is None:  # Prove, Register, Login
        return Refused(request.number, Code.ALREADY_ADMITTED, f"You are logged in as {session.user.name} already.")
    try:
        return await handler(session, request)
    except Refusal as refusal:
        return Refused(request.number, refusal.code, refusal.text)


async def _join(session: "Session", request: JoinRoom) -> Reply:
    name = _room_name(request.room)
    member = session.rooms.get(name)
    if member is None:
        room = _open_room(session, name, request.presence)
        lane = session.new_lane()
        if lane is None:
            session.chat.hub.discard_unused(room)
            raise Refusal(Code.TRY_LATER, "Connect again.")
        member = await _enter(session, room, lane, request)
    rules = session.chat.moderation.rules(name)
    return Joined(
        number=request.number,
        room=name,
        lane=member.lane,
        head=member.room.head,
        chain_seq=member.tip.stored_seq,
        chain_hash=member.tip.stored_hash,
        topic=rules.topic,
        private=rules.private,
        read_only=rules.read_only,
    )


def _open_room(session: "Session", name: str, presence: Presence) -> Room:
    chat = session.chat
    if len(session.rooms) >= chat.limits.rooms_per_session:
        raise Refusal(
            Code.ROOM_LIMIT, f"You are in {len(session.rooms)} rooms, and that is the limit: leave one first."
        )
    _refuse_strangers(session, name)
    room = chat.hub.get(name)
    if room is not None:
        return room
    if is_direct(name):
        _refuse_to_begin_direct(session, name)
        return chat.hub.create(name)
    if presence is not Presence.MEMBER:
        raise Refusal(Code.ROOM_INVALID, f"There is no room {name} yet; it begins when somebody joins it.")
    _count_new_room(session)
    if chat.hub.full:
        raise Refusal(Code.ROOM_LIMIT, "This server has as many rooms as it may have; join one of them.")
    return chat.hub.create(name)


def _refuse_to_begin_direct(session: "Session", name: str) -> None:
    """The room that two people have is the only one that they can have; there is nobody to moderate it."""
    chat = session.chat
    own = chat.users.get(session.user.name)
    other = None if own is None else chat.users.by_any_name(chat.directs.other_name(own, name))
    if own is None or other is None:
        raise Refusal(Code.NAME_UNKNOWN, "There is nobody of that name to talk to.")
    if own.name == other.name or chat.directs.between(own, other) != name:
        raise _no_room(name)
    for user in (own, other):
        if len(chat.directs.of(user)) >= chat.limits.directs_per_person:
            raise Refusal(Code.ROOM_LIMIT, f"{user.name} has as many conversations as one may have.")
    if not chat.directs.opened_before(own.name, name):
        _count_new_room(session)


def _count_new_room(session: "Session") -> None:
    chat = session.chat
    limit = chat.limits.new_rooms_per_day
    if session.chat.permissions.role_of(session.user.name) is Role.MEMBER and chat.new_rooms.take(
        chat.now(), session.user.name, 1, burst=limit, per_second=limit / DAY_S
    ):
        raise Refusal(Code.ROOM_LIMIT, f"You have begun {limit} rooms in a day, and that is the limit.")


async def _enter(session: "Session", room: Room, lane: int, request: JoinRoom) -> Membership:
    chat, user = session.chat, session.user
    tip = room.chains.hold(user.key_hash)
    try:
        if not tip.loaded:
            tip.load(*await chat.blocking.reading(chat.log.chain, room.name, user.key_hash))
        _refuse_strangers(session, room.name)  # it may have been closed to them in the meantime
    except BaseException:
        room.chains.release(user.key_hash)
        chat.hub.discard_unused(room)
        raise
    after = room.head - request.history if request.after is None else request.after
    member = Membership(
        room=room,
        lane=lane,
        presence=request.presence,
        name=user.name,
        device=user.key_hash,
        tip=tip,
        connection=session.connection,
        feed=session.feed,
        cursor=max(0, min(after, room.head)),
        away=session.away,
    )
    session.add_room(member)
    chat.hub.enter(member)
    return member


async def _leave(session: "Session", request: LeaveRoom) -> Reply:
    name = _room_name(request.room)
    member = session.rooms.get(name)
    if member is None:
        raise Refusal(Code.NOT_JOINED, f"You are not in {name}.")
    session.leave_room(member)
    return Done(request.number)


async def _list_rooms(session: "Session", request: ListRooms) -> Reply:
    chat, name = session.chat, session.user.name
    rooms = [
        _room_info(session, room)
        for room in chat.hub
        if room.begun and not room.direct and chat.permissions.may_enter(name, room.name)
    ]
    return Rooms(request.number, sorted(rooms, key=lambda info: info.room)[:MAX_LISTED])


def _room_info(session: "Session", room: Room) -> RoomInfo:
    rules = session.chat.moderation.rules(room.name)
    return RoomInfo(room.name, len(room.presence.stored), room.head, rules.private, rules.read_only)


async def _get_room(session: "Session", request: GetRoom) -> Reply:
    name = _room_name(request.room)
    _refuse_strangers(session, name)
    room = session.chat.hub.get(name)
    if room is None:
        raise _no_room(name)
    rules = session.chat.moderation.rules(name)
    return RoomState(request.number, name, rules.topic, rules.private, rules.read_only, sorted(rules.allowed))


async def _list_members(session: "Session", request: ListMembers) -> Reply:
    chat = session.chat
    name = _room_name(request.room)
    _refuse_strangers(session, name)
    room = chat.hub.get(name)
    if room is None:
        raise _no_room(name)
    now = chat.now()
    heard = room.last_heard(now)
    names = heapq.nlargest(MAX_LISTED, heard, key=heard.__getitem__)
    away = room.away()
    members = [_member_info(session, each, now - heard[each], away.get(each)) for each in sorted(names)]
    return Members(request.number, room.name, members)


def _member_info(session: "Session", name: str, quiet_s: float, away: str | None) -> MemberInfo:
    return MemberInfo(name, int(quiet_s), away, session.chat.permissions.role_of(name), quiet_s < UNREACHABLE_S)


async def _set_away(session: "Session", request: SetAway) -> Reply:
    text = None if request.text is None else request.text.encode()[:MAX_AWAY_BYTES].decode(errors="ignore")
    session.away = text
    for member in session.rooms.values():
        member.away = text
    return Done(request.number)


async def _confirmed(session: "Session", request: GetConfirmed) -> Reply:
    member = session.rooms.get(_room_name(request.room))
    if member is None:
        raise Refusal(Code.NOT_JOINED, f"You are not in {request.room}.")
    room = member.room
    if not 0 < request.seq <= room.head:
        raise Refusal(Code.UNKNOWN, f"There is no message {request.seq} in {room.name}.")
    chat = session.chat
    (encoded,) = await chat.blocking.reading(chat.log.entries, room.name, request.seq - 1, 1)
    author = decode_entry_untrusted(encoded).author
    delivered, by_hand = room.confirmations.who(request.seq)
    others = chat.present(room) - {author}
    return Confirmed(
        number=request.number,
        room=room.name,
        seq=request.seq,
        members=len(others | (set(delivered) - {author})),
        delivered=[name for name in delivered if name != author],
        by_hand=[name for name in by_hand if name != author],
    )


async def _history(session: "Session", request: GetHistory) -> Reply:
    chat = session.chat
    name = _room_name(request.room)
    _refuse_strangers(session, name)
    room = chat.hub.get(name)
    if room is None:
        raise _no_room(name)
    before = room.head + 1 if request.before is None else min(request.before, room.head + 1)
    entries = await chat.blocking.reading(chat.log.entries_before, name, before, request.count)
    return History(request.number, name, _newest_that_fit(entries))


def _newest_that_fit(entries: list[bytes]) -> list[bytes]:
    size = 0
    for place in range(len(entries) - 1, -1, -1):
        size += len(entries[place]) + 8
        if size > MAX_PAGE_BYTES and place < len(entries) - 1:
            return entries[place + 1 :]
    return entries


async def _device(session: "Session", request: GetDevice) -> Reply:
    chat = session.chat
    if found := chat.users.by_key(request.key_hash) or chat.users.closed_by_key(request.key_hash):
        return Device(request.number, found[0].name, found[1], list(found[0].formerly))
    stored = await chat.blocking.reading(chat.log.device, request.key_hash)
    if stored is None:
        raise Refusal(Code.UNKNOWN, "This server never saw a device with that key.")
    return Device(request.number, *stored)


def _refuse_strangers(session: "Session", name: str) -> None:
    if not session.chat.permissions.may_enter(session.user.name, name):
        if is_direct(name):
            raise _no_room(name)
        raise Refusal(Code.ROOM_PRIVATE, f"{name} is private: a moderator has to let you in.")


async def _consistency(session: "Session", request: GetConsistency) -> Reply:
    try:
        note, proof = await session.chat.proofs.consistency(request.size)
    except NotProvable as error:
        raise Refusal(error.code, str(error)) from None
    return Consistency(request.number, note, list(proof))


async def _inclusion(session: "Session", request: GetInclusion) -> Reply:
    name = _room_name(request.room)
    _refuse_strangers(session, name)
    try:
        found = await session.chat.proofs.inclusion(name, request.seq)
    except NotProvable as error:
        raise Refusal(error.code, str(error)) from None
    return Inclusion(request.number, found.note, found.leaf, found.salt, found.entry, list(found.proof))


def _no_room(name: str) -> Refusal:
    what = "such conversation" if is_direct(name) else f"room {name}"  # its name in the log tells people nothing
    return Refusal(Code.ROOM_INVALID, f"There is no {what}.")


def _room_name(text: str) -> str:
    try:
        if is_direct(text):
            direct_names(text)
            return text
        return canonical_room(text)
    except InvalidName as error:
        raise Refusal(Code.ROOM_INVALID, str(error)) from None


_HANDLERS: dict[type, Handler] = {
    JoinRoom: _join,
    LeaveRoom: _leave,
    ListRooms: _list_rooms,
    ListMembers: _list_members,
    GetHistory: _history,
    SetAway: _set_away,
    ListDevices: list_devices,
    RevokeDevice: revoke_device,
    GetConfirmed: _confirmed,
    GetDevice: _device,
    GetRoom: _get_room,
    GetConsistency: _consistency,
    GetInclusion: _inclusion,
    GetDirect: get_direct,
    ListDirects: list_directs,
    GetSealingKeys: get_sealing_keys,
    Publish: publish,
}
