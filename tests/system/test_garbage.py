"""Ten thousand datagrams that nobody should send, at the port of a daemon that people are using."""

import os
import random
import socket
from collections.abc import AsyncIterator, Iterator
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
from tests.support.daemon_process import DaemonProcess, open_daemon
from tests.support.processes import home_of, open_member, settled_state

FINE = Conditions(delay_s=0.0, jitter_s=0.0, loss=0.0, duplicate=0.0, corrupt=0.0, hold_back=0.0)
ROUNDS = 100
SOCKETS = 100  # a round's datagrams fit into the daemon's receive buffer
TYPES = (0x01, 0x02, 0x03, 0x04, 0x05, 0x40, 0x41)
SEED = 20


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return settled_state(tmp_path / "state")


class Tap:
    """A socket that keeps what it has sent. Not before: a copy that overtook the original would be the original."""

    def __init__(self, sock: trio.socket.SocketType, kept: list[bytes]) -> None:
        self._sock = sock
        self._kept = kept

    async def send(self, datagram: bytes) -> None:
        await self._sock.send(datagram)
        self._kept.append(datagram)


@asynccontextmanager
async def overheard(daemon: DaemonProcess) -> AsyncIterator[tuple[dict[str, Any], list[bytes]]]:
    """A way to the daemon on which everything that has gone there is kept: its ready line, and what was kept."""
    kept: list[bytes] = []
    relay = Relay(daemon.address, conditions=FINE)
    carry = relay.up.carry

    def carry_and_keep(datagram: bytes, source: trio.socket.SocketType, *rest: Any) -> None:
        carry(datagram, Tap(source, kept), *rest)  # type: ignore[arg-type]

    relay.up.carry = carry_and_keep  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(relay.run)
        invite = daemon.ready["invite"].replace(f":{daemon.address[1]}/", f":{port}/")
        assert parse_invite(invite).port == port
        yield {"invite": invite}, kept
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
    async with open_daemon(state) as daemon, overheard(daemon) as (ready, earnest):
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
