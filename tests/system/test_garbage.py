"""Datagrams that nobody should send, at the port of a daemon that people are using: garbage, and stolen ones."""

import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from bisik.demo.processes import Program
from bisik.demo.relay import Relay
from bisik.demo.weather import Conditions
from bisik_protocol.chat.invite import parse_invite
from bisik_protocol.crypto.handshake import ClientHandshake
from bisik_protocol.transport.path import AMPLIFICATION_FACTOR
from tests.support.daemon_process import DaemonProcess, open_daemon
from tests.support.processes import home_of, open_member, settled_state

FINE = Conditions(delay_s=0.0, jitter_s=0.0, loss=0.0, duplicate=0.0, corrupt=0.0, hold_back=0.0)
ROUNDS = 100
SOCKETS = 100  # a round's datagrams fit into the daemon's receive buffer
TYPES = (0x01, 0x02, 0x03, 0x04, 0x05, 0x40, 0x41)
SEED = 20
MUCH = 40  # messages

Told = Callable[[bytes], object]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return settled_state(tmp_path / "state")


class Tap:
    """A socket that tells of what it sends."""

    def __init__(self, sock: trio.socket.SocketType, before: Told, after: Told) -> None:
        self._sock = sock
        self._before = before
        self._after = after

    async def send(self, datagram: bytes) -> None:
        self._before(datagram)
        await self._sock.send(datagram)
        self._after(datagram)


def nobody(_datagram: bytes) -> None:
    """Who is not told."""


@asynccontextmanager
async def tapped(
    daemon: DaemonProcess, *, before: Told = nobody, after: Told = nobody
) -> AsyncIterator[dict[str, str]]:
    """A ready line with a way to the daemon that tells of every datagram, `before` it goes there and `after`."""
    relay = Relay(daemon.address, conditions=FINE)
    carry = relay.up.carry

    def carry_and_tell(datagram: bytes, source: trio.socket.SocketType, *rest: Any) -> None:
        carry(datagram, Tap(source, before, after), *rest)  # type: ignore[arg-type]

    relay.up.carry = carry_and_tell  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(relay.run)
        invite = daemon.ready["invite"].replace(f":{daemon.address[1]}/", f":{port}/")
        assert parse_invite(invite).port == port
        yield {"invite": invite}
        nursery.cancel_scope.cancel()


def mutated(datagram: bytes, rng: random.Random) -> bytes:
    """Something that was sent in earnest, and is not quite that any more; now and then it is just sent again."""
    changed = bytearray(datagram)
    match rng.randrange(6):
        case 0:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        case 1:
            del changed[rng.randrange(len(changed)) :]
        case 2:
            changed += rng.randbytes(rng.randrange(1, 200))
        case 3:
            changed[:1] = bytes((rng.choice(TYPES),))
        case 4:
            at = rng.randrange(len(changed))
            changed[at : at + 8] = rng.randbytes(8)
    return bytes(changed)


def garbage(earnest: list[bytes], rng: random.Random) -> bytes:
    """Random bytes, random bytes behind a real first byte, or a mutation."""
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(1500))
        case 1:
            return bytes((rng.choice(TYPES),)) + rng.randbytes(rng.choice((0, 16, 40, 1199, rng.randrange(1400))))
        case _:
            return mutated(rng.choice(earnest), rng)


@contextmanager
def attackers(address: tuple[str, int]) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(SOCKETS + 1)]
        for sock in sockets:
            sock.connect(address)
            sock.setblocking(False)
        yield sockets


async def answered(sock: socket.socket, hello: bytes) -> None:
    """Until the daemon has answered an earnest HELLO: by then it has answered whatever came before that."""
    with trio.fail_after(30):
        while True:
            sock.send(hello)
            with trio.move_on_after(1):
                await trio.lowlevel.wait_readable(sock)
                sock.recv(4096)
                return


def received(sock: socket.socket) -> int:
    """How many bytes have come."""
    total = 0
    while True:
        try:
            total += len(sock.recv(4096))
        except BlockingIOError:
            return total


async def heard(member: Program, text: str) -> None:
    await member.until(lambda member: any(line["text"] == text for line in member.of_type("message")))


async def test_garbage_is_answered_with_less_than_itself_and_disturbs_nobody(state: Path, tmp_path: Path) -> None:
    """No exception, no reply larger than what caused it, and the chat goes on during the attack and after it."""
    rng = random.Random(SEED)
    earnest: list[bytes] = []  # not before they are sent: a copy that overtook the original would be the original
    async with open_daemon(state) as daemon, tapped(daemon, after=earnest.append) as ready:
        tama, sari = (home_of(tmp_path / name, ready, name) for name in ("tama", "sari"))
        hello = ClientHandshake(os.urandom, daemon.invite.fingerprint).hello()
        async with (
            open_member(tama, ready["invite"], "tama", "#lobby") as one,
            open_member(sari, ready["invite"], "sari", "#lobby") as two,
        ):
            with attackers(daemon.address) as (fence, *sockets):
                for number in range(ROUNDS):
                    if number % 10 == 0:
                        await one.write({"room": "#lobby", "text": f"serangan {number}"})
                    sent = [sock.send(garbage(earnest, rng)) for sock in sockets]
                    await answered(fence, hello)
                    larger = [(n, m) for n, sock in zip(sent, sockets, strict=True) if (m := received(sock)) > n]
                    assert larger == [], f"seed {SEED}, round {number}"
            await two.write({"room": "#lobby", "text": "masih di sini"})
            await heard(one, "masih di sini")
            await heard(two, f"serangan {ROUNDS - 10}")
            assert [line["text"] for line in two.of_type("link")][2:] == []  # connecting, connected, and no more
        assert daemon.talk == b""
        assert await daemon.stop() == 0


async def test_who_overtakes_with_stolen_datagrams_gets_little_and_keeps_nothing(state: Path, tmp_path: Path) -> None:
    """The daemon answers where the first copy came from, and sends three times its size at most until that address
    proves itself, which a thief cannot. Meanwhile the member hears nothing; when the thief tires, all arrives once.
    """
    stolen = gained = 0
    stealing = False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:

        def overtake(datagram: bytes) -> None:
            nonlocal stolen, gained
            if stealing:
                stolen += thief.send(datagram)
                gained += received(thief)  # now, for its buffer holds too little of it

        async with open_daemon(state) as daemon, tapped(daemon, before=overtake) as ready:
            thief.connect(daemon.address)
            thief.setblocking(False)
            tama, sari = (home_of(tmp_path / name, daemon.ready, name) for name in ("tama", "sari"))
            async with (
                open_member(tama, ready["invite"], "tama", "#lobby") as one,
                open_member(sari, daemon.ready["invite"], "sari", "#lobby") as two,
            ):
                stealing = True
                await one.write({"room": "#lobby", "text": "dicuri"})
                await heard(two, "dicuri")
                for number in range(MUCH):  # that the daemon would have to send to where the member seems to be
                    await two.write({"room": "#lobby", "text": f"{number} " + 1_000 * "x"})
                await two.until(lambda member: len(member.of_type("stored")) == MUCH)
                stealing = False
                gained += received(thief)
                assert one.of_type("stored") == []
                assert 0 < gained <= AMPLIFICATION_FACTOR * stolen
                await one.until(lambda member: len(member.of_type("stored")) == 1)
                await one.until(lambda member: len(member.of_type("message")) >= 1 + MUCH)
                heard_by_one, heard_by_two = (
                    [line["text"] for line in member.of_type("message")] for member in (one, two)
                )
                assert heard_by_one == heard_by_two
                assert len(set(heard_by_one)) == len(heard_by_one) == 1 + MUCH
            assert await daemon.stop() == 0
