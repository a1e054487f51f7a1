"""What is said in a benchmark: numbered messages of one size from one client to another, and when each was heard."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from benchmarks.contenders import Client, Contender
from benchmarks.stage import MESSAGE_BYTES, RelayProgram, Server, Stage
from bisik.news import News

GREETING: Final = b"greeting"
GREETING_GAP_S: Final = 0.5


class Conversation:
    """Times are of the monotonic clock, which all processes of a machine share."""

    def __init__(self, size: int = MESSAGE_BYTES) -> None:
        self.said: list[float] = []
        self.heard: dict[int, float] = {}
        self.met = trio.Event()
        self._size = size
        self._news = News()

    def say(self) -> bytes:
        """The next message, said now."""
        index = len(self.said)
        self.said.append(time.monotonic())
        return f"{index:08d} ".ljust(self._size, "x").encode()

    def hear(self, message: bytes) -> None:
        """Exactly once, and whole, or the contender does not do what is measured."""
        now = time.monotonic()
        if message == GREETING:
            self.met.set()
            return
        index = int(message[:8])
        assert index not in self.heard
        assert len(message) == self._size
        self.heard[index] = now
        self._news.tell()

    async def until_heard(self) -> None:
        """Return once everything said so far was heard."""
        said = len(self.said)
        while any(index not in self.heard for index in range(said)):
            await self._news.wait()

    @property
    def missing(self) -> int:
        return len(self.said) - len(self.heard)

    @property
    def latencies_ms(self) -> list[float]:
        """Of everything that was said; infinite for what was not heard."""
        return [(self.heard.get(index, math.inf) - said) * 1000 for index, said in enumerate(self.said)]


@asynccontextmanager
async def open_conversation(
    conversation: Conversation, contender: Contender, stage: Stage, server: Server, relay: RelayProgram
) -> AsyncIterator[Client]:
    """Two clients over the relay's two fronts, who have met: the server knows both. Gives the one who speaks."""
    async with (
        contender.open_client(stage, server, relay.address(0), _ignore) as speaker,
        contender.open_client(stage, server, relay.address(1), conversation.hear),
    ):
        while not conversation.met.is_set():
            speaker.send(GREETING)
            with trio.move_on_after(GREETING_GAP_S):
                await conversation.met.wait()
        yield speaker


def _ignore(message: bytes) -> None:
    """Only one of the two listens."""
