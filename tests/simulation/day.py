"""A long run in virtual time: days of traffic, weather, people who come and go, restarts, and what is left of it in
memory.

Time goes in rounds. In the first half of a round things go wrong, as in `plan.py`; then the network heals, and once
all is at rest and everybody is there, the run is at the same point as at the end of every other round: whatever grows
from one to the next is kept by somebody. `day_memory.py` measures there.

It looks for what stays, and leaves to the campaign what must hold at every step: what the campaign remembers for that
grows by nature. Here the watch forgets nothing because it remembers nothing, the network forgets closed sockets, and
what the log holds is counted apart.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import trio

from bisik_protocol.chat.messages import MessageEntry, decode_entry_untrusted
from bisik_protocol.chat.statements import decode_statement_untrusted
from bisikd.log.format import Record
from tests.simulation.day_memory import Measure, Sample
from tests.simulation.member import Member
from tests.simulation.network import Address, Network, Seen, VirtualSocket
from tests.simulation.plan import LOBBY, SIDE, Fault, Person, Plan, log_uniform
from tests.simulation.store import SimulatedLog
from tests.simulation.watch import Replace, Watch
from tests.simulation.world import CLEAN, World, prepared

NAMES = ("ana", "budi", "citra", "dewi", "eka", "fitri")
FAULTS = (
    "partition",
    "partition-up",
    "rebind-port",
    "rebind-address",
    "roam",
    "offline",
    "sleep",
    "member-crash",
    "member-crash",
    "member-leaves",
    "member-leaves",
    "slow-reader",
    "leave-room",
    "disk-slow",
)
LOOK_EVERY_S = 5.0
GONE_S = 300.0  # after the idle timeout, for sessions of those who vanished


@dataclass(frozen=True, kw_only=True)
class DayPlan:
    """Times in seconds. The daemon is restarted each `rounds_a_life` rounds, killed and stopped in turn."""

    seed: int = 1
    hours: float = 24.0
    round_s: float = 3600.0
    rounds_a_life: int = 6
    say_s: float = 120.0  # between two messages of one person, in the mean
    faults: int = 12  # in a round, beside the weather

    @property
    def rounds(self) -> int:
        return round(self.hours * 3600 / self.round_s)

    @property
    def idle_timeout_s(self) -> float:
        """The daemon's, short enough that whoever vanished is forgotten before the round ends."""
        return self.round_s / 5


class ForgetfulWatch(Watch):
    """Looks at bounds, and keeps no book of packets and messages."""

    def install(self, replace: Replace) -> None:
        """Nothing is put between the core's parts."""


class ForgetfulNetwork(Network):
    """Forgets the addresses of sockets that were closed; amplification is the campaign's to watch."""

    max_datagrams = math.inf

    def forget(self, sock: VirtualSocket) -> None:
        super().forget(sock)
        for address in [address for address, owner in self._owners.items() if owner is sock]:
            del self._owners[address]

    def arrive_up(self, seen: Seen) -> None:
        super().arrive_up(seen._replace(proof=()))
        self._received.clear()

    def _check_amplification(self, target: Address, size: int) -> None:
        pass


class BareLog(SimulatedLog):
    """Keeps the log, and not how it came about."""

    def append(self, records: Sequence[Record]) -> None:
        super().append(records)
        self.appended.clear()


class Day(World):
    """`samples` has one of each round. `on_sample` is told of it as it is taken."""

    network_class = ForgetfulNetwork
    watch_class = ForgetfulWatch
    log_class = BareLog

    def __init__(self, day: DayPlan, on_sample: Callable[[Sample], None]) -> None:
        people = tuple(
            Person(name=name, device=number, home=number, reader="main", rooms=(LOBBY, SIDE)[: 1 + number % 2])
            for number, name in enumerate(NAMES)
        )
        perfect = (CLEAN,) * len(people)
        super().__init__(Plan(seed=day.seed, length=0.0, people=people, up=perfect, down=perfect, says=(), faults=()))
        self.day = day
        self.samples: list[Sample] = []
        self.said = 0
        self._accepted_count = 0
        self._on_sample = on_sample
        self._measure = Measure(self)

    async def run(self) -> None:
        async with trio.open_nursery() as self.nursery:
            self.nursery.start_soon(self._fail)
            self.nursery.start_soon(self.daemon.run)
            self.nursery.start_soon(self._look)
            for member in self.members:
                self.nursery.start_soon(member.run)
            for number in range(self.day.rounds):
                await self._round(number)
            self.nursery.cancel_scope.cancel()
        self._check_log()

    async def _round(self, number: int) -> None:
        ends = (number + 1) * self.day.round_s
        async with trio.open_nursery() as talk:
            for who in range(len(self.members)):
                talk.start_soon(self._talk, who)
            await self._trouble(number)
            self._heal()
            await trio.sleep_until(max(trio.current_time(), ends - self.day.round_s / 4))
            talk.cancel_scope.cancel()
        await self._settle()
        await self._until_ghosts_are_gone()
        await trio.sleep_until(max(trio.current_time(), ends))
        sample = self._measure.take(life=number // self.day.rounds_a_life)
        self.samples.append(sample)
        self._on_sample(sample)

    async def _trouble(self, number: int) -> None:
        rng = random.Random(f"day {self.day.seed} {number}")
        now, length = trio.current_time(), self.day.round_s / 2
        faults = [Fault(time=now + rng.random() * length, kind="weather", who=who) for who in range(len(NAMES))]
        faults += [
            Fault(
                time=now + rng.random() * length,
                kind=(kind := rng.choice(FAULTS)),
                who=None if kind.startswith("disk") else rng.randrange(len(NAMES)),
                duration=log_uniform(rng, 0.3, length / 4),
            )
            for _ in range(self.day.faults)
        ]
        if number and number % self.day.rounds_a_life == 0:
            kind = ("daemon-crash", "daemon-stop")[number // self.day.rounds_a_life % 2]
            faults.append(Fault(time=now + 1.0, kind=kind, duration=5.0))
        async with trio.open_nursery() as nursery:
            for fault in faults:
                nursery.start_soon(self._happen, fault)
            await trio.sleep(length)

    async def _talk(self, who: int) -> None:
        rng = random.Random(f"talk {self.day.seed} {who} {trio.current_time()}")
        member = self.members[who]
        while True:
            await trio.sleep(rng.expovariate(1 / self.day.say_s))
            if member.chat is not None:
                self.said += 1
                member.say(rng.choice(member.person.rooms), f"{self.said} ".ljust(rng.randrange(10, 200), "x"))

    async def _until_ghosts_are_gone(self) -> None:
        with trio.move_on_after(self.day.idle_timeout_s + GONE_S):
            while self._measure.sessions() > len(self.members):  # noqa: ASYNC110 # virtual time
                await trio.sleep(LOOK_EVERY_S)
            return
        raise self.trace.violation(
            f"{self._measure.sessions()} sessions of {len(self.members)} members are left at the end of a round"
        )

    # What the campaign keeps by text is kept here by number --------------------------------------------------------

    def accepted(self, member: Member, room: str, text: str) -> None:
        self._accepted_count += 1

    def _missing(self) -> str | None:
        return next((missing for member in self.members if (missing := member.missing()) is not None), None)

    def _check_log(self) -> None:
        """Everything that was accepted is stored once."""
        numbers = [
            int(decode_statement_untrusted(entry.statement).text.split()[0])
            for room in self.log.heads()
            for data in self.log.entries(room, 0, 1 << 30)
            if isinstance(entry := decode_entry_untrusted(data), MessageEntry)
        ]
        if len(set(numbers)) != len(numbers) or len(numbers) != self._accepted_count:
            raise self.trace.violation(
                f"{self._accepted_count} messages were accepted, {len(numbers)} are stored, {len(set(numbers))} of"
                " them different"
            )


@contextmanager
def _prepared(day: Day, bug: Callable[[Replace], None] | None) -> Iterator[None]:
    with prepared(day, bug):
        machinery = day.machinery
        machinery.server_config = replace(machinery.server_config, idle_timeout_s=day.day.idle_timeout_s)
        yield


SLICE = DayPlan(hours=1.0, round_s=300.0, say_s=60.0, faults=8)


def live(
    plan: DayPlan,
    *,
    bug: Callable[[Replace], None] | None = None,
    on_sample: Callable[[Sample], None] = lambda sample: None,
) -> Day:
    """Live through it all. Raises Violation, or what ended it."""
    day = Day(plan, on_sample)
    with _prepared(day, bug):
        trio.run(day.run, clock=day.time.clock)
    return day
