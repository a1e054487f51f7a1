"""Many clients of one server in this process's fleet, on loopback without a link in between."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import trio

from benchmarks.contenders import AIOQUIC, BARE, TRANSPORT, Contender, member
from benchmarks.peers.aioquic_chat import QuicClient
from benchmarks.peers.bare_chat import BareClient
from benchmarks.peers.member import MemberClient, Person
from benchmarks.peers.transport_chat import TransportClient
from benchmarks.stage import Server, Stage, device_key

PEOPLE: Final = 2
AT_ONCE: Final = 24  # handshakes under way
EACH_S: Final = 60.0

OnIndexed = Callable[[int, bytes], None]


@dataclass(slots=True)
class Crowd:
    """`members` are ready. `on_message` is told the number of who heard it, and what."""

    stage: Stage
    server: Server
    contender: Contender
    on_message: OnIndexed
    members: list[Any] = field(default_factory=list)
    _people: list[Person] = field(default_factory=list)

    async def grow(self, size: int) -> None:
        """Let more come in, a few at a time, until there are `size`."""
        if self.contender not in (AIOQUIC, TRANSPORT, BARE):
            await self._register()
        first = len(self.members)
        self.members += [None] * (size - first)
        waiting = iter(range(first, size))
        async with trio.open_nursery() as nursery:
            for _ in range(min(AT_ONCE, size - first)):
                nursery.start_soon(self._admit, waiting)

    def say(self, index: int, message: bytes) -> None:
        core = self.members[index]
        core.send(message)
        self.stage.fleet.flush(core)

    def leave(self, core: Any) -> None:
        """Say goodbye and be gone."""
        core.say_goodbye()
        self.stage.fleet.flush(core)
        self.stage.fleet.remove(core)

    async def come_in(self, index: int) -> Any:
        """One more client; returns its core once it is ready."""
        ready = trio.Event()
        core = self._core(index, ready.set)
        self.stage.fleet.add(core, self.server.address)
        with trio.fail_after(EACH_S):
            await ready.wait()
        return core

    async def _admit(self, waiting: Any) -> None:
        for index in waiting:
            self.members[index] = await self.come_in(index)

    async def _register(self) -> None:
        while len(self._people) < PEOPLE:
            person = Person(
                f"person{len(self._people)}", await trio.to_thread.run_sync(device_key, len(self._people) + 1)
            )
            self._people.append(person)
            self.leave(await self.come_in(len(self._people) - 1))

    def _core(
        self, index: int, on_ready: Callable[[], None]
    ) -> QuicClient | TransportClient | BareClient | MemberClient:
        on_message = partial(self.on_message, index)
        server = self.server
        if self.contender is AIOQUIC:
            return QuicClient(server.address, server.certificate, on_message, on_ready)
        if self.contender is TRANSPORT:
            return TransportClient(server.address, server.fingerprint, on_message, on_ready)
        if self.contender is BARE:
            return BareClient(on_message, on_ready)
        person = self._people[index % len(self._people)]
        return member(server, server.address, on_message, on_ready, person)
