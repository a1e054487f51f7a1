"""A client is killed at random moments while it sends, again and again: `make soak-client KILLS=200`.

Each child opens the same home, queues messages with numbers as fast as it can, and reports each number once `queue`
has returned. The parent kills it (SIGKILL) after a moment drawn from a seed. At the end one more client sends what is
left, and the server's log is read: each reported message is there once, in the order in which it was queued, and no
message is there twice.
"""

import os
import select
import signal
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import click
import trio

from bisik.chat import Chat, open_chat
from bisik.events import Message
from tests.client.processes import Daemon

ROOM = "#kills"
MESSAGES_A_CHILD = 40
LONGEST_S = 0.6
SETTLE_S = 60.0


async def send_until_killed(home: Path, child: int, report: int) -> None:
    """What a child does. It never comes back."""
    async with open_chat(home=home, rooms=(), connect_timeout_s=None) as chat:
        for number in range(MESSAGES_A_CHILD):
            await chat.queue(ROOM, f"{child}.{number}")
            os.write(report, f"{number}\n".encode())
        await trio.sleep_forever()


def kill_one(home: Path, child: int, after_s: float) -> list[str]:
    """Start a child, kill it after so long; what it reported."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            trio.run(send_until_killed, home, child, writing)
        finally:
            os._exit(1)
    os.close(writing)
    reported, deadline = b"", time.monotonic() + after_s
    while (left_s := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], left_s)[0]:
            reported += os.read(reading, 1 << 16)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while rest := os.read(reading, 1 << 16):
        reported += rest
    os.close(reading)
    return [f"{child}.{number}" for number in reported.decode().split()]


async def begin(invite: str, home: Path) -> None:
    """A home that is known, and a room that is there."""
    async with open_chat(invite, name="unlucky", home=home, rooms=(ROOM,)) as chat:
        await chat.send(ROOM, "begin")


async def all_texts(home: Path) -> list[str]:
    """Everything in the room's log, once nothing waits any more."""
    async with open_chat(home=home, rooms=(ROOM,)) as chat:
        with trio.fail_after(SETTLE_S):
            await settled(chat)
        return [
            event.text async for page in chat.history(ROOM).pages() for event in page if isinstance(event, Message)
        ]


async def settled(chat: Chat) -> None:
    while chat.waiting:
        await chat.send(ROOM, "end")  # it is stored behind everything that waits


def problems(reported: list[str], stored: list[str]) -> list[str]:
    """What is not as it should be; nothing, if all is well."""
    numbered = [text for text in stored if "." in text]
    found = [f"{text} is there {numbered.count(text)} times" for text in set(numbered) if numbered.count(text) != 1]
    lost = set(reported) - set(numbered)
    found += [f"{text} was queued, and is lost" for text in reported if text in lost]
    order = [text for text in numbered if text in set(reported)]
    if not found and order != reported:
        found.append("the order is not that in which they were queued")
    return found


@click.command()
@click.option("--kills", default=200, show_default=True)
@click.option("--budget", "budget_s", default=600.0, show_default=True, help="Seconds; then it ends early.")
@click.option("--seed", default=1, show_default=True)
def main(kills: int, budget_s: float, seed: int) -> None:
    """Kill a sending client, and look for what was lost or doubled."""
    chance = Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(Path(directory), BISIKD_LIMITS_MESSAGES_PER_SECOND="0")  # what waits is thousands
        try:
            home = Path(directory) / "home"
            trio.run(begin, daemon.invite, home)
            reported: list[str] = []
            done = 0
            while done < kills and time.monotonic() - began < budget_s:
                reported += kill_one(home, done, chance.uniform(0, LONGEST_S))
                done += 1
            stored = trio.run(partial(all_texts, home))
        finally:
            with suppress(ProcessLookupError):
                daemon.stop()
    found = problems(reported, stored)
    click.echo(
        f"seed {seed}: {done} of {kills} kills, {len(reported)} messages queued,"
        f" {len(found)} problems, {time.monotonic() - began:.0f} s"
    )
    for sentence in found[:20]:
        click.echo(f"  {sentence}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
