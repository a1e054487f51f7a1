"""What client and daemon say to each other once a channel stands: typed MessagePack, decoded strictly.

Lane 0 is the control lane: the client sends `Request`s there and the daemon answers each with one `Reply` that
carries the request's number; the daemon may also send an `Announcement`. Every room that a session has joined is a
lane of its own: the client sends `Post`s there, the daemon sends `Entry`s, which are the log's own bytes.

A message's author learns that it is stored from the same `Entry` as everybody else: the entry is the receipt.
"""

from enum import Enum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from bisik_protocol.errors import RemoteProtocolError

CONTROL_LANE: Final = 0

MAX_NAME_BYTES: Final = 64  # as much as an IRC network would ever show, and then some
MAX_FORMER_NAMES: Final = 16  # of one account
MAX_ROOM_BYTES: Final = 64  # of a room that has a name of its own
MAX_DIRECT_ROOM_BYTES: Final = 1 + MAX_NAME_BYTES + 1 + MAX_NAME_BYTES  # of one between two people: `@name+name`
MAX_LISTED_DIRECTS: Final = 256  # a reply stays under the transport's cap
MAX_SEALING_DEVICES: Final = 12  # of an account: twice as many fit into a sealed statement
MAX_PASSWORD_BYTES: Final = 256
MAX_PAGE_ENTRIES: Final = 50  # a page of history; a reply also stays under MAX_PAGE_BYTES
MAX_PAGE_BYTES: Final = 48 * 1024
MAX_AWAY_BYTES: Final = 48  # so that a list of members fits into a message
MAX_CONFIRMED: Final = 250  # names in a reply
MAX_TEXT_BYTES: Final = 60_000  # with signature and names still under the transport's cap of 64 KiB
MAX_REASON_CHARACTERS: Final = 200
MAX_TOPIC_CHARACTERS: Final = 300
MAX_TARGET_CHARACTERS: Final = 128  # a name, a key's fingerprint, a range of addresses
MAX_BAN_S: Final = 10 * 366 * 86_400
MAX_LISTED_BANS: Final = 64  # a reply stays under the transport's cap
MAX_ALLOWED: Final = 400  # people whom a private room lets in; all of them fit into one reply

OPERATOR: Final = "(operator)"  # stands for who administers the server, where an author stands; it is nobody's name

RequestNumber = Annotated[int, Meta(ge=0, lt=1 << 32)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_BYTES)]
RoomName = Annotated[str, Meta(min_length=1, max_length=MAX_DIRECT_ROOM_BYTES)]
AwayText = Annotated[str, Meta(min_length=1, max_length=MAX_AWAY_BYTES)]
Password = Annotated[str, Meta(max_length=MAX_PASSWORD_BYTES)]
Sequence = Annotated[int, Meta(ge=0, lt=1 << 53)]
Milliseconds = Annotated[int, Meta(ge=0, lt=1 << 53)]  # since the Unix epoch, UTC
Modulus = Annotated[bytes, Meta(min_length=384, max_length=384)]
Signature = Annotated[bytes, Meta(min_length=384, max_length=384)]
Note = Annotated[bytes, Meta(max_length=32 * 1024)]  # a checkpoint; ours have 0.8 KiB, witnesses may sign them too
Proof = Annotated[list[Annotated[bytes, Meta(min_length=32, max_length=32)]], Meta(max_length=128)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bundle = Annotated[bytes, Meta(max_length=2048)]  # a device's public sealing key, see `sealing_bundle`

Reason = Annotated[str, Meta(max_length=MAX_REASON_CHARACTERS)]
Topic = Annotated[str, Meta(max_length=MAX_TOPIC_CHARACTERS)]
Target = Annotated[str, Meta(min_length=1, max_length=MAX_TARGET_CHARACTERS)]
Duration = Annotated[int, Meta(ge=1, le=MAX_BAN_S)]  # seconds; None: until it is taken back

ZERO_DIGEST: Final = bytes(32)  # what stands for "the statement before" in an author's first


class Presence(Enum):
    """What joining a room means for a session."""

    MEMBER = "member"  # receives everything, and is seen: its coming and going is an entry
    READER = "reader"  # receives everything, unseen (a script that follows)
    WRITER = "writer"  # receives only the entries of its own posts (a script that sends)


class Role(Enum):
    """What an account may do beside talking; the operator gives it."""

    MEMBER = "member"
    MODERATOR = "moderator"
    OWNER = "owner"  # a moderator whom other moderators cannot touch


class BanKind(Enum):
    """What a ban is on."""

    NAME = "name"
    DEVICE = "device"  # the key hash, as a fingerprint's text
    ADDRESS = "address"  # one, or a range like 192.0.2.0/24


class Act(Enum):
    """What a moderator did, as the log shows it."""

    KICK = "kick"
    BAN = "ban"
    UNBAN = "unban"
    MUTE = "mute"
    UNMUTE = "unmute"
    PRIVATE = "private"
    PUBLIC = "public"
    READ_ONLY = "read-only"
    WRITABLE = "writable"
    ALLOW = "allow"  # into a private room
    DISALLOW = "disallow"
    DROPPED = "dropped"  # nobody's: what stood under this number is no longer kept
    LOST = "lost"  # nobody's: what stood under this number was lost with a damaged part of the log


# Requests: client to daemon, on the control lane ---------------------------------------------------------------


class Prove(Struct, frozen=True, array_like=True, tag="prove", forbid_unknown_fields=True):
    """The join password. Needed before REGISTER, and before LOGIN from a device that was never admitted."""

    number: RequestNumber
    join_password: Password

    def __repr__(self) -> str:
        return f"Prove(number={self.number})"


class Register(Struct, frozen=True, array_like=True, tag="register", forbid_unknown_fields=True):
    """A new name for this device's key; `signature` is over (LOGIN_CONTEXT, channel binding)."""

    number: RequestNumber
    name: Name
    device: Modulus
    signature: Signature


class Login(Struct, frozen=True, array_like=True, tag="login", forbid_unknown_fields=True):
    """A known name: with a device that was admitted before, or with the login ID and a new device."""

    number: RequestNumber
    name: Name
    device: Modulus
    signature: Signature
    login_id: Password | None = None

    def __repr__(self) -> str:
        return f"Login(number={self.number}, name={self.name!r})"


class JoinRoom(Struct, frozen=True, array_like=True, tag="join", forbid_unknown_fields=True):
    """Open a room's lane. Entries after `after` follow; with None, the last `history` entries."""

    number: RequestNumber
    room: RoomName
    presence: Presence
    after: Sequence | None = None
    history: Annotated[int, Meta(ge=0, le=MAX_PAGE_ENTRIES)] = MAX_PAGE_ENTRIES


class LeaveRoom(Struct, frozen=True, array_like=True, tag="leave", forbid_unknown_fields=True):
    """Close a room's lane; a member's going is seen."""

    number: RequestNumber
    room: RoomName


class ListRooms(Struct, frozen=True, array_like=True, tag="rooms", forbid_unknown_fields=True):
    number: RequestNumber


class ListMembers(Struct, frozen=True, array_like=True, tag="who", forbid_unknown_fields=True):
    number: RequestNumber
    room: RoomName


class GetHistory(Struct, frozen=True, array_like=True, tag="history", forbid_unknown_fields=True):
    """The `count` entries with the highest sequence numbers below `before` (None: the newest), oldest first."""

    number: RequestNumber
    room: RoomName
    before: Sequence | None = None
    count: Annotated[int, Meta(ge=1, le=MAX_PAGE_ENTRIES)] = MAX_PAGE_ENTRIES


class SetAway(Struct, frozen=True, array_like=True, tag="away", forbid_unknown_fields=True):
    """What the others see of this session's person in a list of members; None: back again."""

    number: RequestNumber
    text: AwayText | None = None


class ListDevices(Struct, frozen=True, array_like=True, tag="devices", forbid_unknown_fields=True):
    """Which devices may log in as the person who asks?"""

    number: RequestNumber


class RevokeDevice(Struct, frozen=True, array_like=True, tag="revoke-device", forbid_unknown_fields=True):
    """Take that right from another device of the person who asks, and end its sessions."""

    number: RequestNumber
    key_hash: Digest


class GetConfirmed(Struct, frozen=True, array_like=True, tag="confirmed", forbid_unknown_fields=True):
    """Who has confirmed entry `seq` of a room that this session is in."""

    number: RequestNumber
    room: RoomName
    seq: Sequence


class GetDevice(Struct, frozen=True, array_like=True, tag="device", forbid_unknown_fields=True):
    """Whose key has this hash? Asked once for each author's device, and remembered by the client."""

    number: RequestNumber
    key_hash: Digest


class GetRoom(Struct, frozen=True, array_like=True, tag="room", forbid_unknown_fields=True):
    """A room's topic and rules."""

    number: RequestNumber
    room: RoomName


class Kick(Struct, frozen=True, array_like=True, tag="kick", forbid_unknown_fields=True):
    """Put somebody out of a room. They may come back; a moderator's, like all that follow."""

    number: RequestNumber
    room: RoomName
    name: Name
    reason: Reason = ""


class Ban(Struct, frozen=True, array_like=True, tag="ban", forbid_unknown_fields=True):
    """Keep a name, a device or a range of addresses off the server."""

    number: RequestNumber
    what: BanKind
    target: Target
    lasts_s: Duration | None = None
    reason: Reason = ""


class Unban(Struct, frozen=True, array_like=True, tag="unban", forbid_unknown_fields=True):
    number: RequestNumber
    what: BanKind
    target: Target


class ListBans(Struct, frozen=True, array_like=True, tag="bans", forbid_unknown_fields=True):
    number: RequestNumber


class Mute(Struct, frozen=True, array_like=True, tag="mute", forbid_unknown_fields=True):
    """Refuse what somebody says, in one room or (None) in all."""

    number: RequestNumber
    name: Name
    room: RoomName | None = None
    lasts_s: Duration | None = None
    reason: Reason = ""


class Unmute(Struct, frozen=True, array_like=True, tag="unmute", forbid_unknown_fields=True):
    number: RequestNumber
    name: Name
    room: RoomName | None = None


class SetTopic(Struct, frozen=True, array_like=True, tag="topic", forbid_unknown_fields=True):
    number: RequestNumber
    room: RoomName
    topic: Topic


class SetRoom(Struct, frozen=True, array_like=True, tag="set-room", forbid_unknown_fields=True):
    """What is None stays. Private: only who was allowed in. Read-only: only moderators speak."""

    number: RequestNumber
    room: RoomName
    private: bool | None = None
    read_only: bool | None = None


class Allow(Struct, frozen=True, array_like=True, tag="allow", forbid_unknown_fields=True):
    """Let somebody into a private room, or no longer."""

    number: RequestNumber
    room: RoomName
    name: Name
    allowed: bool = True


Moderation = Kick | Ban | Unban | ListBans | Mute | Unmute | SetTopic | SetRoom | Allow


class GetConsistency(Struct, frozen=True, array_like=True, tag="consistency", forbid_unknown_fields=True):
    """Prove that the log still begins with the first `size` leaves that it had under an earlier checkpoint."""

    number: RequestNumber
    size: Sequence


class GetInclusion(Struct, frozen=True, array_like=True, tag="inclusion", forbid_unknown_fields=True):
    """Prove that an entry is in the log."""

    number: RequestNumber
    room: RoomName
    seq: Sequence


class GetDirect(Struct, frozen=True, array_like=True, tag="direct", forbid_unknown_fields=True):
    """Which room is the conversation with that person? It is joined like any other."""

    number: RequestNumber
    name: Name


class ListDirects(Struct, frozen=True, array_like=True, tag="directs", forbid_unknown_fields=True):
    """The conversations of the person who asks."""

    number: RequestNumber


class GetSealingKeys(Struct, frozen=True, array_like=True, tag="sealing-keys", forbid_unknown_fields=True):
    """Which devices of that person can something be sealed to?"""

    number: RequestNumber
    name: Name


class Publish(Struct, frozen=True, array_like=True, tag="publish", forbid_unknown_fields=True):
    """The sealing key of this session's device; it takes the place of the one before."""

    number: RequestNumber
    bundle: Bundle
    signature: Signature


Request = (
    Prove
    | Register
    | Login
    | JoinRoom
    | LeaveRoom
    | ListRooms
    | ListMembers
    | GetHistory
    | SetAway
    | ListDevices
    | RevokeDevice
    | GetConfirmed
    | GetDevice
    | GetRoom
    | Moderation
    | GetConsistency
    | GetInclusion
    | GetDirect
    | ListDirects
    | GetSealingKeys
    | Publish
)


# On a room's lane, client to daemon ----------------------------------------------------------------------------


class Post(Struct, frozen=True, array_like=True, tag="post", forbid_unknown_fields=True):
    """A signed statement (see `statements`). The same statement sent twice is stored once."""

    statement: bytes
    signature: Signature


class Confirm(Struct, frozen=True, array_like=True, tag="confirm", forbid_unknown_fields=True):
    """This member has all entries up to `delivered` on its device; its person has confirmed those up to `by_hand`.

    Both only grow. It is sent now and then rather than for each entry, and again after every join.
    """

    delivered: Sequence
    by_hand: Sequence = 0


FromMember = Post | Confirm


# Replies and announcements: daemon to client, on the control lane ------------------------------------------------


class Code(Enum):
    """Why a request was refused; programs read this, people read `Refused.text`."""

    INCORRECT_PASSWORD = "incorrect-password"  # noqa: S105 # before the password is proved, the only one there is
    TRY_LATER = "try-later"
    NAME_INVALID = "name-invalid"
    NAME_TAKEN = "name-taken"
    NAME_UNKNOWN = "name-unknown"
    LOGIN_ID_INCORRECT = "login-id-incorrect"
    DEVICE_KNOWN = "device-known"  # the key belongs to another name
    ACCOUNT_CLOSED = "account-closed"  # the device was admitted once, and its account is no more
    NOT_ADMITTED = "not-admitted"
    ALREADY_ADMITTED = "already-admitted"
    ROOM_INVALID = "room-invalid"
    ROOM_LIMIT = "room-limit"
    NOT_JOINED = "not-joined"
    STATEMENT_INVALID = "statement-invalid"
    CHAIN = "chain"  # the statement does not continue what this device said before in this room
    FORBIDDEN = "forbidden"  # one's role does not allow it
    BANNED = "banned"
    INVITE_OVER = "invite-over"  # what was shown as a join password was an invite, and is none any more
    MUTED = "muted"
    READ_ONLY = "read-only"
    ROOM_PRIVATE = "room-private"
    RECIPIENTS = "recipients"  # a sealed statement is not for exactly the devices that it should be for
    UNKNOWN = "unknown"
    STORAGE = "storage"  # the log cannot take more now; nothing was stored, keep and retry


class Refused(Struct, frozen=True, array_like=True, tag="refused"):
    number: RequestNumber
    code: Code
    text: str  # one sentence for a person


class Done(Struct, frozen=True, array_like=True, tag="done"):
    number: RequestNumber


class Admitted(Struct, frozen=True, array_like=True, tag="admitted"):
    """Answer to Register and Login; `login_id` only to Register. `checkpoint` is the log's newest, or None."""

    number: RequestNumber
    name: Name
    login_id: str | None
    checkpoint: Note | None
    role: Role = Role.MEMBER
    sealing: Digest | None = None  # SHA-256 of the bundle that this device published, None: it has not

    def __repr__(self) -> str:
        return f"Admitted(number={self.number}, name={self.name!r})"


class Joined(Struct, frozen=True, array_like=True, tag="joined"):
    """The room's lane and newest sequence number, and where this device's own chain of statements stands there."""

    number: RequestNumber
    room: RoomName
    lane: Annotated[int, Meta(ge=1, lt=1 << 32)]
    head: Sequence
    chain_seq: Sequence  # 0: this device never spoke there
    chain_hash: Digest  # ZERO_DIGEST then
    topic: Topic = ""
    private: bool = False
    read_only: bool = False


class RoomInfo(Struct, frozen=True, array_like=True):
    room: RoomName
    members: int  # now present
    head: Sequence
    private: bool = False
    read_only: bool = False


class Rooms(Struct, frozen=True, array_like=True, tag="rooms"):
    number: RequestNumber
    rooms: list[RoomInfo]


class MemberInfo(Struct, frozen=True, array_like=True):
    name: Name
    quiet_s: int  # seconds since anything was heard from this member's devices
    away: str | None = None  # what the person said about that
    role: Role = Role.MEMBER
    reachable: bool = True  # False: nothing was heard for so long that the devices are off, asleep or out of reach


class Members(Struct, frozen=True, array_like=True, tag="members"):
    number: RequestNumber
    room: RoomName
    members: list[MemberInfo]


class History(Struct, frozen=True, array_like=True, tag="history"):
    number: RequestNumber
    room: RoomName
    entries: list[bytes]  # each an encoded Entry, oldest first; empty: nothing earlier


class Device(Struct, frozen=True, array_like=True, tag="device"):
    """`formerly` are names that the key's account had before: what it said then has them."""

    number: RequestNumber
    name: Name
    device: Modulus
    formerly: Annotated[list[Name], Meta(max_length=MAX_FORMER_NAMES)] = []  # msgspec copies it


class RoomState(Struct, frozen=True, array_like=True, tag="room"):
    """Answer to GetRoom. `allowed` are the people whom a private room lets in, beside moderators."""

    number: RequestNumber
    room: RoomName
    topic: Topic
    private: bool
    read_only: bool
    allowed: list[Name]


class BanInfo(Struct, frozen=True, array_like=True):
    what: BanKind
    target: Target
    by: str
    reason: str
    since: Milliseconds
    until: Milliseconds | None


class Bans(Struct, frozen=True, array_like=True, tag="bans"):
    """Answer to ListBans: the newest MAX_LISTED_BANS of those that hold."""

    number: RequestNumber
    bans: list[BanInfo]


class DeviceInfo(Struct, frozen=True, array_like=True):
    key_hash: Digest
    added: Milliseconds  # when it first came in
    online: bool


class Devices(Struct, frozen=True, array_like=True, tag="devices"):
    """One's own, oldest first."""

    number: RequestNumber
    devices: list[DeviceInfo]


class Confirmed(Struct, frozen=True, array_like=True, tag="confirmed"):
    """The others who have an entry, and those of them who said so themselves; at most MAX_CONFIRMED of each."""

    number: RequestNumber
    room: RoomName
    seq: Sequence
    members: int  # how many others are in the room
    delivered: list[Name]
    by_hand: list[Name]


class Consistency(Struct, frozen=True, array_like=True, tag="consistency"):
    """The newest checkpoint, and the RFC 6962 proof that its tree begins with the one that was asked about."""

    number: RequestNumber
    note: Note
    proof: Proof


class Inclusion(Struct, frozen=True, array_like=True, tag="inclusion"):
    """The entry, what its leaf hash covers besides, and the RFC 6962 proof that it is leaf `leaf` under `note`."""

    number: RequestNumber
    note: Note
    leaf: Sequence
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]
    entry: bytes
    proof: Proof


class Direct(Struct, frozen=True, array_like=True, tag="direct"):
    """The room of a conversation, which may not have begun, and the other person's name as it is now."""

    number: RequestNumber
    room: RoomName
    name: Name


class DirectInfo(Struct, frozen=True, array_like=True):
    room: RoomName
    name: Name  # the other person's, as it is now
    head: Sequence


class Directs(Struct, frozen=True, array_like=True, tag="directs"):
    """Those in which something was said, the newest first; at most MAX_LISTED_DIRECTS."""

    number: RequestNumber
    directs: list[DirectInfo]


class SealingDevice(Struct, frozen=True, array_like=True):
    device: Modulus  # of the device's signing key
    bundle: Bundle
    signature: Signature  # by that key


class SealingKeys(Struct, frozen=True, array_like=True, tag="sealing-keys"):
    """Those of a person, whose name as it is now is `name`: the devices that came in last, and can be sealed to."""

    number: RequestNumber
    name: Name
    keys: Annotated[list[SealingDevice], Meta(max_length=MAX_SEALING_DEVICES)]


class PostRefused(Struct, frozen=True, array_like=True, tag="post-refused"):
    """Announcement: a post was not stored, and why. `seq` is the author's sequence number, 0 when unreadable."""

    room: RoomName
    seq: Sequence
    code: Code
    text: str
    wait_ms: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0  # with TRY_LATER: when it may be tried again; 0: at any time


class PutOut(Struct, frozen=True, array_like=True, tag="put-out"):
    """Announcement: this session was put out of a room; nothing comes on its lane any more, and posts are dropped."""

    room: RoomName
    lane: Annotated[int, Meta(ge=1, lt=1 << 32)]
    text: str


class DeliveredCount(Struct, frozen=True, array_like=True):
    seq: Sequence  # of an entry that its author's name posted
    delivered: int  # how many others have it
    members: int  # of how many


class Delivered(Struct, frozen=True, array_like=True, tag="delivered"):
    """Announcement to an author: how many have what was posted lately. Only what has changed is in it."""

    room: RoomName
    counts: list[DeliveredCount]


class CheckpointSeen(Struct, frozen=True, array_like=True, tag="checkpoint"):
    """Announcement: the log's newest signed tree head, in the tlog-checkpoint text form."""

    note: Note


class DirectNews(Struct, frozen=True, array_like=True, tag="direct-news"):
    """Announcement: something was said in a direct room of this person's that the session has not joined."""

    room: RoomName
    name: Name  # the other person's, as it is now


Reply = (
    Refused
    | Done
    | Admitted
    | Joined
    | Rooms
    | Members
    | History
    | Device
    | Devices
    | Confirmed
    | Consistency
    | Inclusion
    | RoomState
    | Bans
    | Direct
    | Directs
    | SealingKeys
)
Announcement = PostRefused | PutOut | Delivered | CheckpointSeen | DirectNews
FromDaemon = Reply | Announcement


# Entries: the log's own bytes, daemon to client on a room's lane, and in History ---------------------------------


class MessageEntry(Struct, frozen=True, array_like=True, tag="message", forbid_unknown_fields=True):
    """A stored statement, byte for byte. `author` is the name that the daemon bound to the statement's key."""

    room: RoomName
    seq: Sequence  # the room's own count, from 1, without gaps
    time: Milliseconds  # when the daemon took it
    author: Name
    statement: bytes
    signature: Signature


class JoinEntry(Struct, frozen=True, array_like=True, tag="join", forbid_unknown_fields=True):
    room: RoomName
    seq: Sequence
    time: Milliseconds
    author: Name


class LeaveEntry(Struct, frozen=True, array_like=True, tag="leave", forbid_unknown_fields=True):
    room: RoomName
    seq: Sequence
    time: Milliseconds
    author: Name


class TopicEntry(Struct, frozen=True, array_like=True, tag="topic", forbid_unknown_fields=True):
    """`author` is a member's name, or OPERATOR; the same in a ModerationEntry. An empty topic: it was taken away."""

    room: RoomName
    seq: Sequence
    time: Milliseconds
    author: Name
    topic: Topic


class ModerationEntry(Struct, frozen=True, array_like=True, tag="moderation", forbid_unknown_fields=True):
    """What a moderator did. What is about the whole server stands in #lobby."""

    room: RoomName
    seq: Sequence
    time: Milliseconds
    author: Name
    act: Act
    target: Annotated[str, Meta(max_length=MAX_TARGET_CHARACTERS)]  # a name or a key; empty where it is the room
    until: Milliseconds | None
    reason: Reason


Entry = MessageEntry | JoinEntry | LeaveEntry | TopicEntry | ModerationEntry

_T = TypeVar("_T")

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_from_member_decoder: msgspec.msgpack.Decoder[FromMember] = msgspec.msgpack.Decoder(FromMember)
_from_daemon_decoder: msgspec.msgpack.Decoder[FromDaemon] = msgspec.msgpack.Decoder(FromDaemon)
_entry_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def encode(message: Request | FromMember | FromDaemon | Entry) -> bytes:
    """The MessagePack bytes of any message above."""
    return _encoder.encode(message)


def decode_request_untrusted(data: bytes) -> Request:
    return _decode_untrusted(_request_decoder, data)


def decode_from_member_untrusted(data: bytes) -> FromMember:
    return _decode_untrusted(_from_member_decoder, data)


def decode_from_daemon_untrusted(data: bytes) -> FromDaemon:
    return _decode_untrusted(_from_daemon_decoder, data)


def decode_entry_untrusted(data: bytes) -> Entry:
    return _decode_untrusted(_entry_decoder, data)


def _decode_untrusted(decoder: msgspec.msgpack.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RemoteProtocolError("message") from None
