"""The screen: how soon it is there, what a key costs in a room of a hundred thousand messages, and what it remembers.

    python -m benchmarks.tui [--messages 100000] [--starts 5]

The first paint is of a whole process, in a pseudo-terminal, from exec to the first screenful: in seconds of wall and
of processor, because other work on the machine counts in the first only. Keys are timed from the key event to the
screen that follows it, drawn, with Textual's sixtieth of a second in it. The room is in the log of a daemon, a
process of its own on loopback; pages of it come over the real transport, and are decrypted and verified on the
thread that draws, as they are for a person. Memory is this process's, which is the client alone, at its peak.
"""

import argparse
import asyncio
import fcntl
import gc
import json
import os
import pty
import resource
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from textual import events

import bisik
from bisik.home import Home
from bisik.tui.run import load
from bisik_protocol.chat.names import LOBBY
from tests.client.tui.stage import Stage, play

ME = "sari"
SIZE = (120, 40)
SIGN_OF_PAINT = b"F1"
PATIENCE_S = 30.0
NOTHING_S = 2.0  # at the end of a room a key draws nothing
WANTED_MS = 50.0
KEYS = (  # what is timed, the key, how often
    ("typing a letter", "x", 200),
    ("a page up", "pageup", 300),
    ("a line up", "shift+up", 300),
    ("typing, far back", "x", 200),
    ("a page down", "pagedown", 200),
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    print("| | wall | processor |\n|---|---|---|")
    starts = [first_paint() for _ in range(given.starts)]
    for name, pick in (("first paint, best", min), ("first paint, median", statistics.median)):
        wall, cpu = pick(wall for wall, _ in starts), pick(cpu for _, cpu in starts)
        print(f"| {name} | {wall:.2f} s | {cpu:.2f} s |")
    for count in (50, given.messages):
        with TemporaryDirectory() as folder, daemon_with(count, Path(folder)) as invite:
            keys(count, Path(folder), invite)


def first_paint() -> tuple[float, float]:
    """Seconds of wall and of processor until the screen of somebody who was here before stands."""
    with TemporaryDirectory() as folder:
        Home(Path(folder)).save(name=ME, host="127.0.0.1", port=9, fingerprint=bytes(32))
        began = time.monotonic()
        pid, descriptor = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", BISIK_CONFIG=f"{folder}/none")
            os.execv(sys.executable, [sys.executable, "-m", "bisik", "--home", folder])  # noqa: S606
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        seen = b""
        while SIGN_OF_PAINT not in seen:
            ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
            if not ready:
                raise SystemExit(f"no first paint: {seen!r}")
            seen += os.read(descriptor, 1 << 16)
        wall = time.monotonic() - began
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(descriptor)
    return wall, cpu


@contextmanager
def daemon_with(messages: int, folder: Path) -> Iterator[str]:
    """A daemon with so much in its lobby, until the body ends. Yields its invite."""
    state = str(folder / "state")
    subprocess.run([sys.executable, "-m", "benchmarks.long_room", state, str(messages)], check=True)
    arguments = [sys.executable, "-m", "bisikd", "run", "--json", "--state", state, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as daemon:
        try:
            assert daemon.stdout is not None
            yield json.loads(daemon.stdout.readline())["invite"]
        finally:
            daemon.kill()


def keys(count: int, folder: Path, invite: str) -> None:
    """Time keys in a room with so many messages."""
    home = Home(folder / "home")
    trio.run(_register, invite, home.path)
    profile = home.require_default()
    times: dict[str, list[float]] = {}
    held = 0

    async def scene(stage: Stage) -> None:
        nonlocal held
        await stage.until(lambda: stage.sees(f"message {count}:"))
        for name, key, presses in KEYS:
            took = times[name] = []
            while len(took) < presses and (drawn_ms := await _drawn(stage, key)) is not None:
                took.append(drawn_ms)
            room = stage.app.rooms.get(LOBBY)
            held = max(held, len(room.items) if room else 0)

    try:
        play(scene, folder, size=SIZE, load=lambda: load(home, profile))
    finally:
        gc.unfreeze()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\n{count} messages: the window held at most {held}, the process {peak} MiB\n")
    print(f"| key | keys | median ms | p99 ms | worst ms | over {WANTED_MS:.0f} ms |\n|---|---|---|---|---|---|")
    for name, took in times.items():
        took.sort()
        if not took:
            continue
        p99, over = took[int(len(took) * 0.99)], sum(each > WANTED_MS for each in took)
        print(f"| {name} | {len(took)} | {statistics.median(took):.1f} | {p99:.1f} | {took[-1]:.1f} | {over} |")


async def _register(invite: str, home: Path) -> None:
    async with bisik.open_chat(invite, name=ME, home=home, rooms=()):
        pass


async def _drawn(stage: Stage, key: str) -> float | None:
    """Milliseconds from a key to the next screen that is drawn; None where a key makes no difference."""
    drawn = asyncio.Event()
    display = stage.app._display

    def watched(*given: Any) -> None:
        display(*given)
        drawn.set()

    stage.app._display = watched  # type: ignore[method-assign]
    began = time.perf_counter()
    stage.app._prompt.post_message(events.Key(key, key if len(key) == 1 else None))
    with suppress(TimeoutError):
        await asyncio.wait_for(drawn.wait(), NOTHING_S)
    took = (time.perf_counter() - began) * 1000 if drawn.is_set() else None
    stage.app._display = display  # type: ignore[method-assign]
    await asyncio.sleep(0.01)
    return took


if __name__ == "__main__":
    main()
