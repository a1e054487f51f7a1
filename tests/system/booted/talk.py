"""Two people who talk while the server has its troubles: what each said and what the other heard."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

import bisik

PAUSE_S: Final = 0.02
PATIENCE_S: Final = 60.0
PEOPLE: Final = ("tama", "sari")


class Talk:
    """By name: `said` is what is stored, by the receipts that its author got; `heard` what arrived at the other.

    Both speak, for a client that says nothing learns of a killed server by its keepalive only, half a minute later.
    """

    def __init__(self) -> None:
        self.said: dict[str, list[str]] = {name: [] for name in PEOPLE}
        self.heard: dict[str, list[str]] = {name: [] for name in PEOPLE}
        self._news = trio.Event()

    async def take_part(self, name: str, invite: str, home: Path) -> None:
        async with bisik.open_chat(invite, name=name, home=home) as chat, trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, name, chat)
            while True:
                text = f"{name} {len(self.said[name])}"
                await chat.send("#lobby", text)
                self.said[name].append(text)
                self._tell()
                await trio.sleep(PAUSE_S)

    async def _listen(self, name: str, chat: bisik.Chat) -> None:
        async for event in chat.events():
            if isinstance(event, bisik.Message) and event.author != name:
                self.heard[event.author].append(event.text)
                self._tell()

    async def more(self, count: int = 2) -> None:
        """Wait until everybody has said that much more."""
        goals = {name: len(self.said[name]) + count for name in PEOPLE}
        await self._until(lambda: all(len(self.said[name]) >= goal for name, goal in goals.items()))

    async def check(self) -> int:
        """Wait until all that was said so far was heard: once, and in order. How much it was."""
        goals = {name: len(self.said[name]) for name in PEOPLE}
        await self._until(lambda: all(len(self.heard[name]) >= goal for name, goal in goals.items()))
        for name, goal in goals.items():
            assert self.heard[name][:goal] == self.said[name][:goal] == [f"{name} {number}" for number in range(goal)]
        return sum(goals.values())

    async def _until(self, is_so: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not is_so():
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def talking(invite: str, homes: Path) -> AsyncIterator[Talk]:
    """They talk until the block ends."""
    talk = Talk()
    async with trio.open_nursery() as nursery:
        for name in PEOPLE:
            nursery.start_soon(talk.take_part, name, invite, homes / name)
        await talk.more()
        yield talk
        nursery.cancel_scope.cancel()
