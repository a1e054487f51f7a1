"""The relay as a process, on loopback."""

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

pytest.importorskip("aioquic", reason="aioquic is what the benchmarks compare with")

import trio.lowlevel

from benchmarks.link import Conditions
from benchmarks.stage import RelayProgram, Server, open_stage

PATIENCE_S = 10.0


@asynccontextmanager
async def relayed(conditions: Conditions, fronts: int = 1) -> AsyncIterator[tuple[RelayProgram, Any]]:
    """A relay in front of one socket, named `fronts` times as its server."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as behind:
        await behind.bind(("127.0.0.1", 0))
        async with open_stage() as stage:
            server = Server(program=None, port=behind.getsockname()[1])  # type: ignore[arg-type] # not a program
            relay = await stage.start_relay([server] * fronts, conditions=conditions, seed=1)
            with trio.fail_after(PATIENCE_S):
                yield relay, behind


def client_of(address: tuple[str, int]) -> trio.socket.SocketType:
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock._sock.connect(address)  # type: ignore[attr-defined]
    return sock


async def test_clients_reach_the_server_and_get_their_own_answers() -> None:
    """Each client has an address of its own at the server, and each front counts its own flow."""
    async with relayed(Conditions(delay_s=0.0), fronts=2) as (relay, behind):
        with client_of(relay.address(0)) as one, client_of(relay.address(1)) as two:
            await one.send(b"one".ljust(90))
            data, address_of_one = await behind.recvfrom(2048)
            await two.send(b"two")
            _, address_of_two = await behind.recvfrom(2048)
            assert data == b"one".ljust(90)
            assert address_of_one != address_of_two
            await behind.sendto(b"to two", address_of_two)
            await behind.sendto(b"to one", address_of_one)
            assert await one.recv(2048) == b"to one"
            assert await two.recv(2048) == b"to two"
        counts = await relay.counts()
        assert [(flow.up.offered, flow.up.large, flow.down.offered) for flow in counts] == [(1, 1, 1), (1, 0, 1)]


async def test_a_blackout_swallows_what_comes_and_tells_when_it_ends() -> None:
    """On command, both ways."""
    async with relayed(Conditions(delay_s=0.0)) as (relay, behind):
        with client_of(relay.address()) as client:
            await client.send(b"before")
            _, address = await behind.recvfrom(2048)
            began = time.monotonic()
            assert await relay.blackout(3600.0) == pytest.approx(began + 3600.0, abs=PATIENCE_S)
            await client.send(b"lost")
            await behind.sendto(b"lost too", address)
            while (counts := (await relay.counts())[0]).up.lost + counts.down.lost < 2:
                await trio.lowlevel.checkpoint()
            await relay.blackout(0.0)
            await client.send(b"after")
            assert (await behind.recvfrom(2048))[0] == b"after"


def test_it_ends_with_whoever_started_it() -> None:
    """The end of stdin is the end of the relay."""
    job = '{"servers": [["127.0.0.1", 9]], "up": {}, "down": {}, "seed": 1, "large_bytes": 90}'
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.relay", job],
        input=b"",
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert b'"ready"' in ended.stdout
    assert ended.stderr == b""
