"""What a chat tells its user's program: frozen objects whose fields are also the fields of the JSON lines.

Messages, joins, leaves and what moderators did are the log's entries, verified. The rest is about this client itself
and is never written as JSON: the state of the link, of own messages, and sentences that a person should read.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Somebody said something: it is in the server's log, and its author's signature was verified."""

    type: Literal["message"] = field(default="message", init=False)
    room: str
    author: str
    text: str
    """As it was signed. Before it goes to a terminal it must pass through `harmless`."""
    seq: int
    """The room's own count, without gaps."""
    id: str
    """The message's name everywhere: 32 hexadecimal digits of its statement's hash."""
    time: str
    """When the server took it: RFC 3339, UTC, milliseconds."""
    kind: Literal["say", "act"] = "say"

    def as_json(self) -> dict[str, Any]:
        """The fields of the JSON line; `kind` is there only where it says something."""
        fields = {
            "type": self.type,
            "room": self.room,
            "author": self.author,
            "text": self.text,
            "seq": self.seq,
            "id": self.id,
            "time": self.time,
        }
        return fields if self.kind == "say" else {**fields, "kind": self.kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Somebody came into the room."""

    type: Literal["join"] = field(default="join", init=False)
    room: str
    author: str
    seq: int
    time: str

    def as_json(self) -> dict[str, Any]:
        return _presence_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Somebody left the room."""

    type: Literal["leave"] = field(default="leave", init=False)
    room: str
    author: str
    seq: int
    time: str

    def as_json(self) -> dict[str, Any]:
        return _presence_json(self)


def _presence_json(event: Join | Leave) -> dict[str, Any]:
    return {
        "type": event.type,
        "room": event.room,
        "author": event.author,
        "time": event.time,
        "seq": event.seq,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSet:
    """The room's topic is another one now. The daemon vouches for the author, no signature does."""

    type: Literal["topic"] = field(default="topic", init=False)
    room: str
    author: str
    """A member's name, or `(operator)`."""
    text: str
    """Empty: the topic was taken away."""
    seq: int
    time: str

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "room": self.room,
            "author": self.author,
            "text": self.text,
            "time": self.time,
            "seq": self.seq,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderated:
    """A moderator did something. The daemon vouches for the author, no signature does."""

    type: Literal["moderation"] = field(default="moderation", init=False)
    room: str
    """What is about the whole server stands in the lobby."""
    author: str
    """A member's name, or `(operator)`."""
    act: str
    """The value of a `bisik_protocol.chat.messages.Act`: `kick`, `ban`, `mute`, `private` …"""
    target: str
    """To whom: a name or a key's fingerprint; empty where it is the room, or an address."""
    text: str
    """Why, in the moderator's words; may be empty."""
    until: str | None
    """When a ban or a mute ends by itself."""
    seq: int
    time: str

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "room": self.room,
            "author": self.author,
            "act": self.act,
            "target": self.target,
            "text": self.text,
            "until": self.until,
            "time": self.time,
            "seq": self.seq,
        }


ChatEvent = Message | Join | Leave | TopicSet | Moderated


class LinkState(Enum):
    """How things stand between this client and its server."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    SILENT = "silent"  # connected, but what we send is not answered
    WAITING = "waiting"  # not connected; the next try has a time


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """The link's state is another one now."""

    type: Literal["link"] = field(default="link", init=False)
    state: LinkState
    text: str
    """One sentence for a person."""
    retry_in_s: float | None = None
    """In state WAITING: seconds until the next try."""
    refused: bool = False
    """In state SILENT: the other machine says that nobody listens there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should read: a message that could not be verified, a device that is new, a log cut short."""

    type: Literal["notice"] = field(default="notice", init=False)
    text: str
    room: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMessage:
    """One's own message changed state. Stored messages also come as a `Message`, to everybody alike.

    `delivered` may come again and again, whenever somebody else has it too.
    """

    type: Literal["own"] = field(default="own", init=False)
    state: Literal["queued", "stored", "delivered", "failed"]
    room: str
    outbox_id: int
    reason: str | None = None
    """In state `failed`: the server's sentence."""
    delivered: int = 0
    """In state `delivered`: how many others have it on their devices."""
    members: int = 0
    """In state `delivered`: how many others are in the room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCalled:
    """A conversation with somebody is called this from now on: it has begun, or the other has another name."""

    type: Literal["direct"] = field(default="direct", init=False)
    room: str
    before: str | None = None
    """What it was called; None: it is new here."""


Event = ChatEvent | LinkChanged | Notice | OwnMessage | DirectCalled


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of posting: the message is in the server's log."""

    room: str
    seq: int
    id: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """One's own message in the outbox."""

    outbox_id: int
    room: str
    text: str
    kind: Literal["say", "act"] = "say"


def rfc3339(time_ms: int) -> str:
    """Milliseconds since the epoch as `2026-11-22T09:00:00.123Z`; times past year 9999 become its last moment."""
    seconds, ms = divmod(min(time_ms, _LAST_MS), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z"


_LAST_MS = 253_402_300_799_999
