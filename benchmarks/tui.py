"""The screen: how soon it is there, what a key costs in a room of a hundred thousand messages, and what it remembers.

    python -m benchmarks.tui [--messages 100000] [--starts 5]

The first paint is of a whole process, in a pseudo-terminal, from exec to the first screenful: in seconds of wall and
of processor, because other work on the machine counts in the first only. Keys are timed from the key event to the
screen that follows it, drawn, with a server's replies a thread hop away. Memory is the process's peak, with the
whole room in the pretended server beside it.
"""

import argparse
import asyncio
import fcntl
import os
import pty
import resource
import select
import signal
import statistics
import struct
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textual import events

from bisik.home import Home
from bisik_protocol.chat.messages import JoinEntry
from bisik_protocol.chat.names import LOBBY
from tests.client.fake_daemon import START_MS, FakeDaemon
from tests.client.tui.stage import Person, Stage, play

SIZE = (120, 40)
SIGN_OF_PAINT = b"F1"
PATIENCE_S = 30.0


def main() -> None:
    """Print the table."""
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
        keys(count)
    print(f"\npeak of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


def first_paint() -> tuple[float, float]:
    """Seconds of wall and of processor until the screen of somebody who was here before stands."""
    with TemporaryDirectory() as folder:
        Home(Path(folder)).save(name="sari", host="127.0.0.1", port=9, fingerprint=bytes(32))
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


def keys(count: int) -> None:
    """Time keys in a room with so many messages."""
    daemon = FakeDaemon()
    Person(daemon, "tama", 1).say(*[f"message {n} " + "with some words " * (n % 9) for n in range(50)])
    entries = daemon.rooms[LOBBY]
    for seq in range(len(entries) + 1, count + 1):
        daemon.append(JoinEntry(LOBBY, seq, START_MS + seq, f"somebody-{seq}"))
    times: dict[str, list[float]] = {}

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: stage.sees(f"somebody-{count}") or count <= len(entries))
        for name, key, presses in (
            ("typing a letter", "x", 60),
            ("a page up", "pageup", 120),
            ("a line up", "shift+up", 60),
            ("typing, far back", "x", 60),
        ):
            times[name] = [await _drawn(stage, key) for _ in range(presses)]
        room = stage.app.rooms.get(LOBBY)
        print(f"\n{count} messages, of which the window holds {len(room.items) if room else 0}")

    with TemporaryDirectory() as folder:
        play(scene, Path(folder), daemon=daemon, size=SIZE)
    print("\n| key | median ms | p99 ms | worst ms |\n|---|---|---|---|")
    for name, took in times.items():
        took.sort()
        print(f"| {name} | {statistics.median(took):.1f} | {took[int(len(took) * 0.99)]:.1f} | {took[-1]:.1f} |")


async def _drawn(stage: Stage, key: str) -> float:
    """Milliseconds from a key to the next screen that is drawn, with Textual's sixtieth of a second in it."""
    drawn = asyncio.Event()
    display = stage.app._display

    def watched(*given: Any) -> None:
        display(*given)
        drawn.set()

    stage.app._display = watched  # type: ignore[method-assign]
    began = time.perf_counter()
    stage.app._prompt.post_message(events.Key(key, key if len(key) == 1 else None))
    with suppress(TimeoutError):  # at the very beginning of a room nothing is drawn
        await asyncio.wait_for(drawn.wait(), 1.0)
    took = (time.perf_counter() - began) * 1000
    stage.app._display = display  # type: ignore[method-assign]
    await asyncio.sleep(0.01)
    return took


if __name__ == "__main__":
    main()
