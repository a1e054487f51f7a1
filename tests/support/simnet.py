"""A network in virtual time: nodes, links that misbehave by one seed, and a clock that jumps to the next event.

A node is anything with the surface of the core: `receive_datagram`, `handle_timeout`, `next_timeout`,
`datagrams_to_send`. The same seed gives the same run, datagram for datagram.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

Address = tuple[Any, ...]

MAX_STEPS_AT_ONE_TIME = 5000  # more than any honest burst: somebody asks to be called again at once, for ever


class Node(Protocol):
    """What the network drives."""

    def receive_datagram(self, datagram: bytes, address: Address, now: float) -> None: ...
    def handle_timeout(self, now: float) -> None: ...
    def next_timeout(self) -> float | None: ...
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]: ...


@dataclass
class Conditions:
    """One direction of a link. Times in seconds, shares between 0 and 1."""

    delay: float = 0.05
    jitter: float = 0.0  # uniform extra, which reorders
    loss: float = 0.0
    burst: tuple[float, float] | None = None  # mean seconds of an outage, share of the time in outage; by the clock
    gilbert: tuple[float, float, float] | None = None  # good to bad, bad to good, loss while bad; by the packet
    duplicate: float = 0.0
    reorder: float = 0.0  # share held back by up to one delay
    corrupt: float = 0.0  # share with one byte changed
    truncate: float = 0.0  # share cut short
    rate: float | None = None  # bytes a second
    queue: float = 1.0  # seconds of queue in front of the rate limit
    mtu: int = 1472  # bytes of payload; what is larger is dropped without a word
    cut: bool = False  # nothing gets through


@dataclass
class Link:
    """Conditions in force, and what they did."""

    conditions: Conditions
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    _bad: bool = False
    _switch_at: float | None = None
    _free_at: float = 0.0

    def carry(self, datagram: bytes, now: float) -> list[tuple[float, bytes]]:
        """When, and as what, the datagram comes out at the other end."""
        self.counts["offered"] += 1
        self.counts["bytes"] += len(datagram)
        conditions, rng = self.conditions, self.rng
        if len(datagram) > conditions.mtu:
            self.counts["too-large"] += 1
            return []
        if conditions.cut or self._loses(now):
            self.counts["lost"] += 1
            return []
        depart = now
        if conditions.rate is not None:
            depart = max(now, self._free_at)
            if depart - now > conditions.queue:
                self.counts["queue-drop"] += 1
                return []
            depart = self._free_at = depart + len(datagram) / conditions.rate
        arrive = depart + conditions.delay + rng.random() * conditions.jitter
        if rng.random() < conditions.reorder:
            self.counts["reordered"] += 1
            arrive += rng.random() * conditions.delay
        copies = [(arrive, self._damage(datagram))]
        if rng.random() < conditions.duplicate:
            self.counts["duplicated"] += 1
            copies.append((arrive + rng.random() * conditions.delay, datagram))
        return copies

    def _loses(self, now: float) -> bool:
        conditions, rng = self.conditions, self.rng
        if conditions.burst is not None:
            mean, share = conditions.burst
            if self._switch_at is None:
                self._bad = rng.random() < share
                self._switch_at = now
                self._plan_switch(mean, share)
            while now >= self._switch_at:
                self._bad = not self._bad
                self._plan_switch(mean, share)
            if self._bad:
                return True
        if conditions.gilbert is not None:
            to_bad, to_good, loss = conditions.gilbert
            self._bad = rng.random() >= to_good if self._bad else rng.random() < to_bad
            if self._bad and rng.random() < loss:
                return True
        return rng.random() < conditions.loss

    def _plan_switch(self, mean: float, share: float) -> None:
        assert self._switch_at is not None
        length = mean if self._bad else mean * (1 - share) / share
        self._switch_at += self.rng.expovariate(1 / length)

    def _damage(self, datagram: bytes) -> bytes:
        conditions, rng = self.conditions, self.rng
        if rng.random() < conditions.corrupt:
            self.counts["corrupted"] += 1
            at = rng.randrange(len(datagram))
            datagram = datagram[:at] + bytes((datagram[at] ^ rng.randrange(1, 256),)) + datagram[at + 1 :]
        if rng.random() < conditions.truncate:
            self.counts["truncated"] += 1
            datagram = datagram[: rng.randrange(len(datagram))]
        return datagram


class SimNet:
    """Nodes at addresses, a `Link` for each pair and direction, and the virtual clock `now` in seconds."""

    def __init__(self, seed: int, conditions: Conditions | None = None) -> None:
        self.seed = seed
        self.now = 1000.0
        self.rng = random.Random(seed)
        self._default = conditions or Conditions()
        self._nodes: dict[Address, Node] = {}
        self._links: dict[tuple[int, int], Link] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._armed: dict[int, float] = {}
        self._steps_at_this_time = 0
        self.after_step: Callable[[], None] | None = None
        self.tap: Callable[[Address, Address, bytes], None] | None = None  # sees every datagram offered
        self.delivery_tap: Callable[[Address, Address, bytes], None] | None = None  # and every one that arrives

    def attach(self, node: Node, address: Address) -> None:
        """Put a node at an address; it may speak at once."""
        self._nodes[address] = node
        self.poke(node)

    def detach(self, address: Address) -> None:
        del self._nodes[address]

    def rebind(self, old: Address, new: Address) -> None:
        """The node's address as others see it changes; what is on its way to the old one is lost."""
        self._nodes[new] = self._nodes.pop(old)

    def link(self, source: Node, target: Node) -> Link:
        """The link from one node to another."""
        key = (id(source), id(target))
        if key not in self._links:
            self._links[key] = Link(Conditions(**vars(self._default)), random.Random(self.rng.random()))
        return self._links[key]

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a moment of virtual time."""
        self._count += 1
        heapq.heappush(self._events, (max(time, self.now), self._count, action))

    def poke(self, node: Node) -> None:
        """Send what a node has to send and arm its timer; call it after anything was done to the node."""
        source = next((address for address, other in self._nodes.items() if other is node), None)
        if source is None:
            return
        rounds = 0
        while datagrams := node.datagrams_to_send(self.now):
            for datagram, target in datagrams:
                self.transmit(source, target, datagram)
            rounds += 1
            assert rounds < MAX_STEPS_AT_ONE_TIME, f"seed {self.seed}: a node sends without end at {self.now}"
        self._arm(node)

    def transmit(self, source: Address, target: Address, datagram: bytes) -> None:
        if self.tap is not None:
            self.tap(source, target, datagram)
        node, other = self._nodes.get(source), self._nodes.get(target)
        if node is None or other is None:
            return
        for time, arriving in self.link(node, other).carry(datagram, self.now):
            self.at(time, lambda arriving=arriving: self._deliver(source, target, arriving))  # type: ignore[misc]

    def _deliver(self, source: Address, target: Address, datagram: bytes) -> None:
        node = self._nodes.get(target)
        if node is not None:
            if self.delivery_tap is not None:
                self.delivery_tap(source, target, datagram)
            node.receive_datagram(datagram, source, self.now)
            self.poke(node)

    def _arm(self, node: Node) -> None:
        deadline = node.next_timeout()
        if deadline is None or self._armed.get(id(node), float("inf")) <= deadline:
            return
        self._armed[id(node)] = deadline
        self.at(deadline, lambda: self._fire(node, deadline))

    def _fire(self, node: Node, armed: float) -> None:
        if self._armed.get(id(node)) != armed:
            return
        del self._armed[id(node)]
        if not any(other is node for other in self._nodes.values()):
            return
        deadline = node.next_timeout()
        if deadline is not None and deadline <= self.now:
            node.handle_timeout(self.now)
        self.poke(node)

    def step(self) -> bool:
        """The next event; False when nothing is left to happen."""
        if not self._events:
            return False
        time, _, action = heapq.heappop(self._events)
        self._steps_at_this_time = self._steps_at_this_time + 1 if time <= self.now else 0
        assert self._steps_at_this_time < MAX_STEPS_AT_ONE_TIME, f"seed {self.seed}: time stands still at {self.now}"
        self.now = max(self.now, time)
        action()
        if self.after_step is not None:
            self.after_step()
        return True

    def run(self, until: Callable[[], bool], limit: float = 600.0) -> None:
        """Until it holds; AssertionError with the seed when `limit` seconds of virtual time were not enough."""
        end = self.now + limit
        while not until():
            soon = bool(self._events) and self._events[0][0] <= end
            assert soon, f"seed {self.seed}: not reached in {limit} s"
            self.step()

    def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.step()
        self.now = end
