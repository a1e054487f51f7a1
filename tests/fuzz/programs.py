"""Targets of both programs: what a client makes of a daemon's messages, and a daemon of requests of its operator."""

import socket
import struct
from functools import cache
from os import geteuid
from typing import Any

from bisik.conversation import Conversation
from bisik.store import Store
from bisik_protocol.chat.names import LOBBY
from bisikd.admin import Commands, _answer
from bisikd.invites import wanted_invite
from tests.client.fake_daemon import SERVER, START_MS, FakeDaemon, Wire, drain, settle
from tests.fuzz.seeds import every_message
from tests.fuzz.target import Target, join, split
from tests.support.keys import device_key, sealing_key

# A client ----------------------------------------------------------------------------------------------------------


def _admitted() -> tuple[Conversation, Wire]:
    """Somebody in the lobby, who has said something and is shown what was said."""
    daemon = FakeDaemon()
    daemon.admit("tama", device_key())
    conversation = Conversation(name="tama", device=device_key(), store=Store(None), reader="fuzz")
    wire = Wire(conversation, daemon)
    conversation.join(LOBBY)
    conversation.outbox.enqueue(LOBBY, "halo", time_ms=START_MS)
    conversation.post(LOBBY)
    wire.settle()
    return conversation, wire


def _hear(conversation: Conversation, data: bytes) -> None:
    """What the script has a daemon say, to the first thing that is wrong with it."""
    try:
        for lane, message in split(data):
            conversation.messages_to_send()
            conversation.receive_message_untrusted(lane % 8, message, now=0.0)
    finally:
        drain(conversation)


def _conversation(data: bytes) -> None:
    """A daemon that says anything on any lane, to a client that has just greeted it, and to one in a room."""
    daemon = FakeDaemon()
    daemon.admit("tama", device_key())
    greeting = Conversation(name="tama", device=device_key(), store=Store(None), reader="fuzz")
    greeting.on_connected(b"channel binding", SERVER)
    for conversation in (greeting, _admitted()[0]):
        _hear(conversation, data)


@cache
def _said() -> list[bytes]:
    """What the daemon of the tests says, and one of each message."""
    heard: list[tuple[int, bytes]] = []
    daemon = FakeDaemon()
    daemon.admit("tama", device_key())
    conversation = Conversation(name="tama", device=device_key(), store=Store(None), reader="fuzz")
    wire = Wire(conversation, daemon)
    conversation.join(LOBBY)
    for _ in range(20):
        heard += wire.session.out
        wire.step()
    return [
        join(heard),
        *(join([(number % 2, each)]) for number, each in enumerate(every_message()) if len(each) > 9),
    ]


# Two people alone --------------------------------------------------------------------------------------------------

_ALONE = "@sari+tama"


def _alone(name: str, other: str, key: int) -> Conversation:
    """Somebody who speaks with one person, not connected yet."""
    conversation = Conversation(name=name, device=device_key(key), store=Store(None), reader="fuzz")
    conversation.on_sealing_key(sealing_key(key))
    conversation.follow_directs()
    conversation.direct_rooms.learn_untrusted(_ALONE, other)
    conversation.join(_ALONE)
    conversation.direct_rooms.ask_keys(_ALONE)
    return conversation


def _direct(data: bytes) -> None:
    """A daemon that says anything to somebody who asks it for the keys of two people and opens what they said."""
    conversation = _alone("tama", "sari", 0)
    conversation.on_connected(b"channel binding", SERVER)
    _hear(conversation, data)


@cache
def _said_alone() -> list[bytes]:
    """What the daemon of the tests says to somebody at the first visit, and when something was said."""
    daemon = FakeDaemon()
    daemon.admit("tama", device_key())
    daemon.admit("sari", device_key(1))
    sari = _alone("sari", "tama", 1)
    other = Wire(sari, daemon, seed=1)
    settle(other)
    seeds = []
    for said in ("halo", "kopi?"):
        heard: list[tuple[int, bytes]] = []
        wire = Wire(_alone("tama", "sari", 0), daemon)
        for _ in range(40):
            heard += wire.session.out
            wire.step()
        seeds.append(join(heard))
        sari.direct_rooms.ask_keys(_ALONE)
        settle(wire, other)
        sari.outbox.enqueue(_ALONE, said, time_ms=START_MS)
        sari.post(_ALONE)
        settle(wire, other)
    return seeds


# A daemon ----------------------------------------------------------------------------------------------------------


class _Stream:
    """The operator's end of the admin socket: these bytes, and then nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.socket = self

    async def receive_some(self, count: int) -> bytes:
        part, self._data = self._data[:count], self._data[count:]
        return part

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.pack("3i", 1, geteuid(), 0)


async def _invite_new(request: dict[str, Any]) -> Any:
    return wanted_invite(request)


_COMMANDS: Commands = {"invite-new": _invite_new}


def _admin(data: bytes) -> None:
    """One request, driven by hand: nothing in it waits."""
    try:
        _answer(_Stream(data + b"\n"), _COMMANDS).send(None)  # type: ignore[arg-type] # what it uses of a stream
    except StopIteration as done:
        answer = done.value
    assert set(answer) in ({"result"}, {"error"})


TARGETS = [
    Target(name="conversation", take=_conversation, seeds=_said),
    Target(name="direct", take=_direct, seeds=_said_alone),
    Target(
        name="admin-request",
        take=_admin,
        seeds=lambda: [b'{"command": "invite-new", "lasts_s": 60, "max_uses": 2, "label": "kelas"}'],
        refuses=(),
    ),
]
