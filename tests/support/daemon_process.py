"""`bisikd` as a process of its own on loopback: started, listened to line by line, stopped, killed.

Keys are made once a test run: a state directory begins as a copy of one that has been started before.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import trio

from bisik_protocol.chat.invite import Invite, parse_invite
from bisikd.passwords import Passwords
from bisikd.state import Ingredients, StateDirectory
from tests.support.keys import server_identity

PATIENCE_S = 30.0
PROGRAM = (sys.executable, "-c", "from bisikd.cli import main; main()")
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(("BISIK", "NOTIFY_", "LISTEN_"))}


@cache
def _template() -> Path:
    directory = Path(mkdtemp(prefix="bisikd-state-")) / "state"
    StateDirectory.open_or_create(
        directory, ingredients=Ingredients(identity=server_identity, passwords=Passwords())
    ).close()
    return directory


def fresh_state(path: Path) -> Path:
    """A state directory at `path` as a first start leaves it."""
    shutil.copytree(_template(), path)
    return path


def bisikd(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        env=CLEAN | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class DaemonProcess:
    """A running `bisikd run --json`. `lines` holds what it has printed after the ready line."""

    def __init__(self, process: trio.Process, ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready
        self.lines: list[dict[str, Any]] = []
        self.talk = b""
        self._news = trio.Event()

    @property
    def invite(self) -> Invite:
        return parse_invite(self.ready["invite"])

    @property
    def address(self) -> tuple[str, int]:
        return self.invite.host, self.invite.port

    async def line(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line for which `is_it` holds, when it comes."""
        with trio.fail_after(PATIENCE_S):
            while True:
                for line in self.lines:
                    if is_it(line):
                        return line
                await self._news.wait()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait for the end, and return the exit code."""
        self.process.send_signal(how)
        with trio.fail_after(PATIENCE_S):
            return await self.process.wait()

    async def read(self, stream: trio.abc.ReceiveStream, rest: bytes) -> None:
        """Keep what it prints."""
        async for part in stream:
            *lines, rest = (rest + part).split(b"\n")
            self.lines += map(json.loads, lines)
            self._news.set()
            self._news = trio.Event()

    async def read_talk(self, stream: trio.abc.ReceiveStream) -> None:
        async for part in stream:
            self.talk += part


@asynccontextmanager
async def open_daemon(
    state: Path, *arguments: str, listen: str = "127.0.0.1:0", **variables: str
) -> AsyncIterator[DaemonProcess]:
    """Run it until the block ends, and longer than that by no means."""
    command = [*PROGRAM, "run", "--json", "--state", str(state), "--listen", listen, *arguments]
    process = await trio.lowlevel.open_process(
        command, env=CLEAN | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with process.stdout, process.stderr, trio.open_nursery() as nursery:
            first = b""
            with trio.fail_after(PATIENCE_S):
                while b"\n" not in first:
                    part = await process.stdout.receive_some()
                    assert part, (await process.stderr.receive_some()).decode()
                    first += part
            line, _, rest = first.partition(b"\n")
            daemon = DaemonProcess(process, json.loads(line))
            nursery.start_soon(daemon.read, process.stdout, rest)
            nursery.start_soon(daemon.read_talk, process.stderr)
            yield daemon
            nursery.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
