"""One run: a plan carried out on a network that obeys a seed, then a network that heals, and what must hold then.

While things go wrong, safety: nothing false is ever shown (`watch`, `member`, `network`, `daemon`). Once they are
right again, liveness: everything that was accepted is stored once and shown once to everybody, the queues drain, what
is said then arrives promptly, and after that nobody has anything to say.
"""

import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import trio

import bisik.posting
import bisik.reader
import bisik.rooms
import bisikd.feed
import bisikd.journal
import bisikd.rooms
from bisik.store import Store
from bisik_protocol.chat.direct_names import direct_room, is_direct
from bisik_protocol.chat.messages import MessageEntry, decode_entry_untrusted
from bisik_protocol.chat.sealed_text import open_statement_untrusted
from bisik_protocol.chat.statements import Statement, decode_any_statement_untrusted
from bisik_protocol.crypto.replay import ReplayWindow
from bisik_protocol.transport import half_open, outbound, receiving, skipping
from bisik_protocol.transport.config import TransportConfig
from tests.simulation.clock import VirtualTime
from tests.simulation.daemon import Daemon
from tests.simulation.hostile import Attacker
from tests.simulation.machinery import Machinery, deterministic_scheduling, replacing
from tests.simulation.member import Member
from tests.simulation.network import Host, Network
from tests.simulation.plan import Fault, Knobs, Plan, draw_conditions, draw_plan
from tests.simulation.store import SimulatedLog
from tests.simulation.trace import KEPT_EVENTS, Trace
from tests.simulation.watch import Replace, Watch
from tests.support.keys import device_key, sealing_key
from tests.support.simnet import Conditions

SETTLE_S = 150.0  # after the network healed, until all is at rest
LOOK_EVERY_S = 0.25
PROMPT_S = 4.0  # from saying something until everybody was shown it, on a link that loses a few
PROBE_LOSS = 0.15
REST_S = 20.0
MAX_RESTING_DATAGRAMS = 8  # from one member, in REST_S: a keepalive or two, and what acknowledges their answers
MAX_CHECKPOINT_DATAGRAMS = 12  # more where a new head of the log is announced meanwhile: each member has it proved
CLEAN = Conditions(delay=0.025)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `broken` is the violation, None where all held."""

    plan: Plan
    broken: str | None
    report: str
    checksum: int
    events: int
    datagrams: int
    entries: int
    settled_s: float
    virtual_s: float


class World:
    """Everybody and everything in one run. The classes are what a run of another kind puts something else for."""

    network_class = Network
    watch_class = Watch
    log_class = SimulatedLog

    def __init__(self, plan: Plan, *, checksum: bool = False, kept_events: int = KEPT_EVENTS) -> None:
        self.plan = plan
        self.rng = random.Random(f"world {plan.seed}")
        self.time = VirtualTime(self._on_failure)
        self.trace = Trace(plan.seed, self.time.now, checksum=checksum, kept=kept_events)
        self.watch = self.watch_class(self.trace)
        self.network = self.network_class(self.rng, self.trace, self.time)
        self.machinery = Machinery(self.rng, self.network, self.trace, self.watch)
        self.daemon = Daemon(self, self.log_class())
        self.log = self.daemon.log
        self.members: list[Member] = []
        self.nursery: trio.Nursery
        self._failure: BaseException = AssertionError
        self._healed = False
        self._failed = trio.Event()
        self.settled_s = 0.0
        self.virtual_s = 0.0
        self._attempted: dict[str, tuple[str, str]] = {}  # text to author and room
        self._accepted: dict[str, tuple[str, str]] = {}
        self._opened: dict[bytes, str] = {}  # by statement
        self._people()

    def _people(self) -> None:
        hosts: dict[int, Host] = {}
        stores: dict[int, Store] = {}
        for person in self.plan.people:
            if person.home not in hosts:
                hosts[person.home] = self.network.add_host(f"{person.name}{person.home}")
                stores[person.home] = Store(None)
                if not person.registers:
                    self.daemon.add_user(person.name, device_key(person.device))
            self.members.append(Member(self, person, hosts[person.home], stores[person.home]))

    # The run -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        plan = self.plan
        self._set_weather(plan.up, plan.down)
        attacker = None if plan.hostile is None else Attacker(self, plan.hostile)
        async with trio.open_nursery() as self.nursery:
            self.nursery.start_soon(self._fail)
            self.nursery.start_soon(self.daemon.run)
            self.nursery.start_soon(self._look)
            for member in self.members:
                self.nursery.start_soon(member.run)
            with trio.CancelScope() as trouble:
                async with trio.open_nursery() as nursery:
                    if attacker is not None:
                        nursery.start_soon(attacker.run)
                    for number, say in enumerate(plan.says):
                        self._at(say.time, self._say_as_planned, say.who, say.room, say.size, number)
                    for fault in plan.faults:
                        nursery.start_soon(self._happen, fault)
                    with trio.move_on_after(plan.length):
                        await self.network.enough.wait()
                    trouble.cancel()
            if attacker is not None:
                attacker.stop()
            self._healed = True
            self._heal()
            await self._settle()
            await self._probe()
            await self._rest()
            self._check_presence()
            self.virtual_s = trio.current_time()
            self.nursery.cancel_scope.cancel()
        self._check_log()

    def _on_failure(self, error: BaseException) -> None:
        """Something between the tasks has failed: a task of ours raises it."""
        self._failure = error
        self._failed.set()

    async def _fail(self) -> None:
        await self._failed.wait()
        raise self._failure

    def _at(self, time: float, act: Callable[..., None], *arguments: object) -> None:
        self.network.at(time, lambda: act(*arguments))

    def _say_as_planned(self, who: int, room: str, size: int, number: int) -> None:
        """Where datagrams came to their end before time did, what was still to be said falls away."""
        if not self._healed:
            self._say(who, room, size, number)

    def _say(self, who: int, room: str, size: int, number: int) -> None:
        member = self.members[who]
        text = f"{self.plan.seed}.{number} ".ljust(size, "x")
        self._attempted[text] = (member.person.name, room)
        member.say(room, text)

    def accepted(self, member: Member, room: str, text: str) -> None:
        """The client has taken a message: it must come out, whatever happens."""
        self.trace.note("said", member.label, room, text[:16].strip(), len(text))
        self._accepted[text] = (member.person.name, room)

    async def _look(self) -> None:
        """Everything is checked about once a second, besides what is checked where it happens."""
        while True:
            await trio.sleep(1.0)
            if (endpoint := self.daemon.endpoint) is not None:
                self.watch.check_server(endpoint)
                for connection in endpoint.connections:
                    self.watch.check_connection(connection)

    # What goes wrong -----------------------------------------------------------------------------------------------

    def _set_weather(self, up: tuple[Conditions, ...], down: tuple[Conditions, ...]) -> None:
        for member, upward, downward in zip(self.members, up, down, strict=True):
            member.host.up.conditions = Conditions(**vars(upward))
            member.host.down.conditions = Conditions(**vars(downward))

    async def _happen(self, fault: Fault) -> None:
        await trio.sleep_until(fault.time)
        self.trace.note(
            "fault", fault.kind, "" if fault.who is None else self.members[fault.who].label, f"{fault.duration:.1f} s"
        )
        if fault.who is None:
            await self._trouble_daemon(fault)
        else:
            await self._trouble_member(fault, self.members[fault.who])

    async def _trouble_daemon(self, fault: Fault) -> None:
        daemon = self.daemon
        match fault.kind:
            case "daemon-wall-jump":
                self.machinery.server_wall_offset_s += fault.amount
            case "daemon-crash":
                daemon.crash(min(fault.duration, 30.0))
            case "daemon-stop":
                daemon.stop(min(fault.duration, 30.0))
            case "daemon-stall":
                daemon.stall()
                await trio.sleep(fault.duration)
                daemon.resume()
            case "disk-full":
                self.log.full = True
                await trio.sleep(fault.duration)
                self.log.full = False
            case "disk-fails":
                self.log.fails_next = "after" if fault.amount > 0 else "before"
            case "disk-slow":
                before, self.machinery.disk_delay = self.machinery.disk_delay, lambda: self.rng.random() * 2.0
                await trio.sleep(fault.duration)
                self.machinery.disk_delay = before

    async def _trouble_member(self, fault: Fault, member: Member) -> None:
        host = member.host
        match fault.kind:
            case "weather":
                rng = random.Random(f"weather {self.plan.seed} {fault.time}")
                host.up.conditions, host.down.conditions = draw_conditions(rng), draw_conditions(rng)
            case "partition" | "partition-up" | "partition-down":
                await self._cut(host, fault)
            case "rebind-port":
                host.rebind_ports()
            case "rebind-address":
                host.rebind_address()
            case "roam":
                host.roam()
            case "offline":
                host.offline = True
                await trio.sleep(fault.duration)
                host.offline = False
                host.roam()
            case "sleep":
                await self._sleep(host, fault.duration)
            case "wall-jump":
                host.wall_offset_s += fault.amount
            case "member-crash":
                member.crash(min(fault.duration, 20.0))
            case "member-leaves":
                member.leave(min(fault.duration, 20.0))
            case "slow-reader":
                member.reads = False
                await trio.sleep(fault.duration)
                member.read_on()
            case "leave-room":
                member.come_and_go(member.person.rooms[-1], min(fault.duration, 10.0))

    async def _cut(self, host: Host, fault: Fault) -> None:
        links = {"partition": (host.up, host.down), "partition-up": (host.up,), "partition-down": (host.down,)}
        for link in links[fault.kind]:
            link.conditions.cut = True
        await trio.sleep(fault.duration)
        for link in links[fault.kind]:
            link.conditions.cut = False

    async def _sleep(self, host: Host, duration: float) -> None:
        if host.asleep:
            return
        host.asleep = True
        try:
            await trio.sleep(duration)
        finally:
            host.asleep = False
            host.slept_s += duration

    # What must hold once it is over --------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.trace.note("healed", "from here on nothing goes wrong")
        self._set_weather((CLEAN,) * len(self.members), (CLEAN,) * len(self.members))
        for member in self.members:
            member.host.asleep = member.host.offline = False
            member.read_on()
        self.log.full = False
        self.log.fails_next = None
        self.machinery.disk_delay = lambda: 0.0
        self.daemon.resume()

    async def _settle(self) -> None:
        began = trio.current_time()
        while (unrest := self._unrest()) is not None:
            if trio.current_time() - began > SETTLE_S:
                raise self.trace.violation(f"{SETTLE_S:.0f} s after the network healed, {unrest}")
            await trio.sleep(LOOK_EVERY_S)
        self.settled_s = trio.current_time() - began
        self.trace.note("settled", f"after {self.settled_s:.2f} s")

    def _unrest(self) -> str | None:
        living = {
            member.connection.channel_binding: member.address()
            for member in self.members
            if member.connection is not None
        }
        unrest = next((rest for member in self.members if (rest := member.unrest()) is not None), None)
        return self._missing() or unrest or self.daemon.unrest(living)

    def _missing(self) -> str | None:
        for member in self.members:
            if (missing := member.missing()) is not None:
                return missing
        stored = self._stored_texts()
        return next(
            (f"{text[:20]!r} was accepted and is not stored" for text in self._accepted if text not in stored), None
        )

    def _stored_texts(self) -> Counter[str]:
        texts: Counter[str] = Counter()
        for room in self.log.heads():
            for data in self.log.entries(room, 0, 1 << 30):
                entry = decode_entry_untrusted(data)
                if isinstance(entry, MessageEntry):
                    texts[self.text_of(entry)] += 1
        return texts

    def text_of(self, entry: MessageEntry) -> str:
        """What was said; of what is sealed, as one of those whom it is for reads it."""
        statement = decode_any_statement_untrusted(entry.statement)
        if isinstance(statement, Statement):
            return statement.text
        if entry.statement not in self._opened:
            for number in {person.device for person in self.plan.people}:
                device = device_key(number).public.key_hash
                if device in statement.sealed.devices:
                    self._opened[entry.statement] = open_statement_untrusted(
                        statement, device, sealing_key(number)
                    ).text
                    break
        return self._opened[entry.statement]

    async def _probe(self) -> None:
        """What is said now comes soon to everybody, though some datagrams are lost: old troubles leave no trace."""
        lossy = Conditions(delay=0.025, loss=PROBE_LOSS)
        self._set_weather((lossy,) * len(self.members), (lossy,) * len(self.members))
        for who, member in enumerate(self.members):
            self._say(who, member.person.rooms[0], 60, 100_000 + who)
            await trio.sleep(PROMPT_S)
            if (missing := self._missing()) is not None:
                raise self.trace.violation(f"{PROMPT_S:.0f} s after {member.label} said something, {missing}")
        self._set_weather((CLEAN,) * len(self.members), (CLEAN,) * len(self.members))

    async def _rest(self) -> None:
        """Nobody has anything to say."""
        head = self._announced_head()
        await trio.sleep(2.0)
        before = self.network.counts["up"]
        await trio.sleep(REST_S)
        spoken = self.network.counts["up"] - before
        allowed = MAX_RESTING_DATAGRAMS + (MAX_CHECKPOINT_DATAGRAMS if self._announced_head() != head else 0)
        if spoken > allowed * len(self.members):
            raise self.trace.violation(f"{spoken} datagrams in {REST_S:.0f} s in which nobody says anything")

    def _announced_head(self) -> bytes | None:
        return None if self.daemon.service is None else self.daemon.service._announced

    def _check_presence(self) -> None:
        """The log shows who is there, and for a while those who have vanished without a word."""
        there: dict[str, set[str]] = {}
        for member in self.members:
            for room in member.present_in():
                there.setdefault(room, set()).add(member.person.name)
        for room, names in self.log.presence().items():
            expected = there.get(room, set())
            if unexpected := names - expected - self.daemon.lingering(room):
                raise self.trace.violation(f"{room} shows {sorted(unexpected)}, who are not there")
            if missing := expected - names:
                raise self.trace.violation(f"{room} does not show {sorted(missing)}")

    def _check_log(self) -> None:
        for text, count in self._stored_texts().items():
            if count > 1:
                raise self.trace.violation(f"{text[:20]!r} is stored {count} times")
            if text not in self._attempted:
                raise self.trace.violation(f"{text[:20]!r} is stored, and nobody said it")
        for room in self.log.heads():
            for data in self.log.entries(room, 0, 1 << 30):
                entry = decode_entry_untrusted(data)
                if isinstance(entry, MessageEntry):
                    text = self.text_of(entry)
                    if is_direct(room) and text.encode() in data:
                        raise self.trace.violation(f"the log holds {text[:20]!r}, which is for two people alone")
                    author, label = self._attempted[text]
                    place = direct_room(author, label[1:]) if is_direct(label) else label
                    if (author, place) != (entry.author, entry.room):
                        raise self.trace.violation(f"{text[:20]!r} is stored as {entry.author}'s in {entry.room}")


def turn_knobs(knobs: Knobs, machinery: Machinery, rng: random.Random, replace: Replace) -> None:
    """Make limits small, so that a short run reaches them."""
    for owner, name, value in (
        (bisikd.rooms, "LANE_BACKLOG_BYTES", knobs.lane_backlog),
        (outbound, "LANE_LOW_WATER_BYTES", None if knobs.lane_backlog is None else knobs.lane_backlog // 2),
        (bisikd.feed, "PAGE_ENTRIES", knobs.page_entries),
        (bisik.rooms, "MAX_PAGE_ENTRIES", knobs.page_entries),
        (bisik.rooms, "MAX_INBOX_ENTRIES", knobs.inbox_entries),
        (bisik.posting, "WINDOW_POSTS", knobs.window_posts),
        (bisik.reader, "MAX_EVENTS", knobs.reader_events),
        (bisikd.journal, "MAX_GROUP_RECORDS", knobs.group_records),
        (half_open, "MAX_HALF_OPEN_HOST", knobs.half_open_host),
        (skipping, "FIRST_PERIOD", knobs.skip_period),
    ):
        if value is not None:
            replace(owner, name, value)
    if knobs.replay_window is not None:
        window = knobs.replay_window
        replace(receiving, "ReplayWindow", lambda: ReplayWindow(window))
    machinery.client_config = TransportConfig(
        keepalive_s=25.0, eager_s=120.0, ratchet_packets=knobs.ratchet_packets, ratchet_s=knobs.ratchet_s
    )
    machinery.server_config = TransportConfig(
        idle_timeout_s=24 * 3600.0, ratchet_packets=knobs.ratchet_packets, ratchet_s=knobs.ratchet_s
    )
    if knobs.disk_s:
        machinery.disk_delay = lambda: rng.expovariate(1 / knobs.disk_s)


@contextmanager
def prepared(world: World, bug: Callable[[Replace], None] | None) -> Iterator[None]:
    """Everything is replaced that a world replaces, and a mistake planted, until the block ends."""
    with ExitStack() as stack:
        stack.enter_context(deterministic_scheduling(world.plan.seed))
        replace = stack.enter_context(replacing())
        turn_knobs(world.plan.knobs, world.machinery, world.rng, replace)
        if bug is not None:
            bug(replace)
        world.machinery.install(replace)
        yield


def simulate(
    plan: Plan | int,
    *,
    bug: Callable[[Replace], None] | None = None,
    checksum: bool = False,
    kept_events: int = KEPT_EVENTS,
) -> Outcome:
    """Carry out a plan, or the plan of a seed, from beginning to end."""
    plan = draw_plan(plan) if isinstance(plan, int) else plan
    world = World(plan, checksum=checksum, kept_events=kept_events)
    with prepared(world, bug):
        try:
            trio.run(world.run, clock=world.time.clock)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if world.trace.broken is None:
                world.trace.violation(f"the run ended with {_describe(error)}")
    return Outcome(
        plan=plan,
        broken=world.trace.broken,
        report=f"{plan}\n{world.trace.report()}" if world.trace.broken else "",
        checksum=world.trace.checksum,
        events=world.trace.count,
        datagrams=world.network.counts["up"] + world.network.counts["down"],
        entries=sum(world.log.heads().values()),
        settled_s=world.settled_s,
        virtual_s=world.virtual_s,
    )


def _describe(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
