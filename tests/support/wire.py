"""A network in Trio's virtual time: endpoints at addresses, and a seeded wire that delays, loses, doubles, reorders.

For tests of the real daemon chat with real endpoints; run them under `autojump_clock`, with workers that use no
threads. A node that is detached is gone, as a process that was killed: what is under way to it is lost.
"""

import heapq
import math
import random
from collections.abc import Callable
from typing import Any

import trio

from bisikd.udp import Endpoint

Address = tuple[Any, ...]


class Node:
    """One endpoint on the wire. `flush` sends what it wants to send, as a UDP driver would."""

    def __init__(self, wire: "Wire", endpoint: Endpoint, address: Address, on_events: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.address = address
        self.on_events = on_events
        self._wire = wire

    def flush(self) -> None:
        self.send()
        self._wire.poke()

    def send(self) -> None:
        for data, address in self.endpoint.datagrams_to_send(trio.current_time()):
            self._wire.carry(data, self.address, address)


class Wire:
    """`loss`, `duplicate`: shares of the datagrams. `delay` seconds, and up to as much again, which reorders."""

    def __init__(self, seed: int, *, loss: float = 0.0, duplicate: float = 0.0, delay: float = 0.05) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.duplicate = duplicate
        self.delay = delay
        self.lost = 0
        self.carried = 0
        self._nodes: dict[Address, Node] = {}
        self._under_way: list[tuple[float, int, bytes, Address, Address]] = []
        self._poked = trio.Event()

    def attach(self, endpoint: Endpoint, address: Address, on_events: Callable[[], None]) -> Node:
        node = self._nodes[address] = Node(self, endpoint, address, on_events)
        self.poke()
        return node

    def detach(self, address: Address) -> None:
        del self._nodes[address]

    def carry(self, data: bytes, source: Address, target: Address) -> None:
        self.carried += 1
        if self.random.random() < self.loss:
            self.lost += 1
            return
        for _ in range(2 if self.random.random() < self.duplicate else 1):
            arrival = trio.current_time() + self.delay * (1 + self.random.random())
            heapq.heappush(self._under_way, (arrival, self.carried, data, source, target))

    def poke(self) -> None:
        """Somebody has something to send, or another deadline."""
        self._poked.set()

    async def run(self) -> None:
        while True:
            self._poked = trio.Event()
            self._step()
            with trio.CancelScope(deadline=self._next()):
                await self._poked.wait()

    def _step(self) -> None:
        now = trio.current_time()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, data, source, target = heapq.heappop(self._under_way)
            if node := self._nodes.get(target):
                node.endpoint.receive_datagram(data, source, now)
        for node in list(self._nodes.values()):
            deadline = node.endpoint.next_timeout()
            if deadline is not None and deadline <= now:
                node.endpoint.handle_timeout(now)
            node.on_events()
            node.send()

    def _next(self) -> float:
        times = [time for node in self._nodes.values() if (time := node.endpoint.next_timeout()) is not None]
        times += [self._under_way[0][0]] if self._under_way else []
        return min(times, default=math.inf)
