"""`bisik` as processes of its own: a command run to its end, or one that goes on printing. For `bisikd` see
`daemon_process`.
"""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import trio

from bisik.demo.ports import steady_port
from bisik.demo.processes import Program, run_program
from bisik.home import Home
from bisik_protocol.chat.invite import parse_invite
from bisikd.passwords import Passwords
from bisikd.users import UserStore
from tests.support.daemon_process import CLEAN, PATIENCE_S, fresh_state
from tests.support.keys import device_key

BISIK = ("-m", "bisik")
PEOPLE = {"tama": 1, "sari": 2}  # and the numbers of their devices' keys
TEST_S = 90.0  # however long a test waits for a program


@dataclass(frozen=True)
class Ended:
    """What a command said, and how it ended."""

    code: int
    out: str
    talk: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


async def run_bisik(*arguments: str | Path, stdin: str = "", **variables: str) -> Ended:
    """Run a command to its end. It must never say that something went wrong inside."""
    command = [sys.executable, *BISIK, *map(str, arguments)]
    with trio.fail_after(PATIENCE_S * 2):
        done: subprocess.CompletedProcess[bytes] = await trio.run_process(
            command,
            stdin=stdin.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=CLEAN | variables,
        )
    ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ended.talk, ended.talk
    assert "went wrong inside" not in ended.talk, ended.talk
    return ended


@asynccontextmanager
async def open_bisik(*arguments: str | Path) -> AsyncIterator[Program]:
    """A command that goes on, such as `tail --json`: it ends with the block."""
    async with _open_program(*BISIK, *map(str, arguments)) as program:
        yield program


@asynccontextmanager
async def open_member(home: Path, invite: str, name: str, *rooms: str) -> AsyncIterator[Program]:
    """Somebody who sits in rooms, says what is written to it as {"room", "text"}, and prints what happens."""
    async with _open_program("-m", "bisik.demo.talker", name, str(home), *rooms) as program:
        await program.write({"invite": invite})
        await program.first("here")
        yield program


@asynccontextmanager
async def _open_program(*arguments: str) -> AsyncIterator[Program]:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(TEST_S):
            program: Program = await nursery.start(partial(run_program, environment=CLEAN), "bisik", arguments)
            yield program
        nursery.cancel_scope.cancel()


def prepared_home(path: Path, ready: dict[str, Any], number: int) -> Path:
    """A home in which a registration has got as far as its device key, which saves making one."""
    fingerprint = parse_invite(ready["invite"]).fingerprint
    assert fingerprint is not None
    folder = Home(path).folder(fingerprint)
    folder.mkdir(parents=True, mode=0o700)
    key = folder / "device.pem"
    key.touch(mode=0o600)
    key.write_bytes(device_key(number).to_pem())
    return path


async def registered(path: Path, ready: dict[str, Any], name: str, number: int) -> Path:
    """The home of somebody who has registered. The login ID is in the home's file `login-id`."""
    home = prepared_home(path, ready, number)
    ended = await run_bisik("register", ready["invite"], "--name", name, "--home", home)
    assert ended.code == 0, ended.talk
    (home / "login-id").write_text(ended.out)
    return home


def steady_address() -> str:
    """Where a daemon is to listen that will come back there."""
    return f"127.0.0.1:{steady_port()}"


def settled_state(path: Path) -> Path:
    """A state directory in which PEOPLE have accounts already, which saves registering."""
    state = fresh_state(path)
    accounts = UserStore.open(state / "users")
    for name, number in PEOPLE.items():
        accounts.create(name, device_key(number).public.modulus, _some_hash(), now_ms=1_795_338_000_000)
    return state


def home_of(path: Path, ready: dict[str, Any], name: str) -> Path:
    """The home of one of PEOPLE, who was there before."""
    invite = parse_invite(ready["invite"])
    assert invite.fingerprint is not None
    home = prepared_home(path, ready, PEOPLE[name])
    Home(home).save(name=name, host=invite.host, port=invite.port, fingerprint=invite.fingerprint)
    return home


@cache
def _some_hash() -> str:
    return Passwords().hash("a login ID that nobody uses")
