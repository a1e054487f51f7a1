"""What a seed stands for: who takes part, over which links, what is said when, and everything that goes wrong.

A plan is drawn before the run and says nothing of how it is carried out; it is what a person reads first when a seed
fails. Times in seconds from the start.
"""

import math
import random
from dataclasses import dataclass, field, replace

from tests.support.simnet import Conditions

LOBBY, SIDE = "#lobby", "#side"
DIRECT = 0.3  # so many of the seeds have direct messages


@dataclass(frozen=True, kw_only=True)
class Person:
    """A program that takes part. `home` numbers the disk it runs on: two programs may share one."""

    name: str
    device: int
    home: int
    reader: str
    rooms: tuple[str, ...]
    seen: bool = True  # MEMBER, else READER
    registers: bool = False  # through the door; otherwise the account is there


@dataclass(frozen=True, kw_only=True)
class Say:
    time: float
    who: int
    room: str  # `@name` where it is for one person alone
    size: int  # characters, about


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something goes wrong at a time, for a while, to somebody (None: the daemon or everybody)."""

    time: float
    kind: str
    who: int | None = None
    duration: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Limits made so small that a short run reaches them, and the pace of things."""

    lane_backlog: int | None = None  # of the daemon's rooms, bytes; the transport's low water mark is half of it
    page_entries: int | None = None
    inbox_entries: int | None = None
    window_posts: int | None = None
    reader_events: int | None = None
    group_records: int | None = None
    half_open_host: int | None = None
    replay_window: int | None = None
    skip_period: int | None = None
    ratchet_packets: int = 1 << 20
    ratchet_s: float = 600.0
    disk_s: float = 0.0  # mean time of blocking work


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """What somebody on the way does: datagrams a second, and which tricks."""

    rate: float
    tricks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    seed: int
    length: float
    people: tuple[Person, ...]
    up: tuple[Conditions, ...]
    down: tuple[Conditions, ...]
    says: tuple[Say, ...]
    faults: tuple[Fault, ...]
    knobs: Knobs = field(default_factory=Knobs)
    hostile: Hostile | None = None

    @property
    def has_direct(self) -> bool:
        """Whether anybody speaks to somebody alone. Where nobody does, nobody has a sealing key."""
        return any(say.room.startswith("@") for say in self.says)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {self.length:.0f} s, {len(self.says)} messages, {self.knobs}", str(self.hostile)]
        lines += [
            f"  {person} up {_shown(up)} down {_shown(down)}"
            for person, up, down in zip(self.people, self.up, self.down, strict=True)
        ]
        return "\n".join(lines + [f"  {fault}" for fault in self.faults])


def _shown(conditions: Conditions) -> dict[str, object]:
    default = vars(Conditions())
    return {key: value for key, value in vars(conditions).items() if value != default[key] or key == "delay"}


FAULTS = {
    "weather": 5,
    "partition": 4,
    "partition-up": 2,
    "partition-down": 2,
    "rebind-port": 3,
    "rebind-address": 3,
    "roam": 2,
    "offline": 1,
    "sleep": 3,
    "wall-jump": 2,
    "daemon-wall-jump": 1,
    "daemon-crash": 4,
    "daemon-stop": 2,
    "daemon-stall": 2,
    "disk-full": 2,
    "disk-fails": 2,
    "disk-slow": 2,
    "member-crash": 4,
    "member-leaves": 2,
    "slow-reader": 2,
    "leave-room": 2,
}
OF_THE_DAEMON = {name for name in FAULTS if name.startswith(("daemon", "disk"))}
TRICKS = ("replay", "mutate", "garbage", "half-open", "move", "reset")


def draw_plan(seed: int) -> Plan:
    """The plan of a seed, always the same."""
    rng = random.Random(f"plan {seed}")
    people = _draw_people(rng)
    faults = tuple(sorted(_draw_faults(rng, len(people)), key=lambda fault: fault.time))
    length = max([20.0, *(fault.time + fault.duration + 2.0 for fault in faults)])
    busy = min(length, 60.0)
    homes = max(person.home for person in people) + 1
    directions = [_draw_both(rng) for _ in range(homes)]
    direct = _draw_direct(random.Random(f"direct {seed}"), people, busy)
    return Plan(
        seed=seed,
        length=length,
        people=people,
        up=tuple(directions[person.home][0] for person in people),
        down=tuple(directions[person.home][1] for person in people),
        says=tuple(sorted([*_draw_says(rng, people, busy), *direct], key=lambda say: say.time)),
        faults=faults,
        knobs=draw_knobs(rng),
        hostile=_draw_hostile(rng),
    )


def _draw_people(rng: random.Random) -> tuple[Person, ...]:
    names = ("ana", "budi", "citra", "dewi")
    people = []
    for number in range(rng.choice((2, 2, 3, 3, 4))):
        rooms = (LOBBY,) if rng.random() < 0.6 else (LOBBY, SIDE)
        people.append(
            Person(
                name=names[number],
                device=number,
                home=number,
                reader="main",
                rooms=rooms,
                registers=rng.random() < 0.15,
            )
        )
    if rng.random() < 0.2:  # the first person has a second device
        people[0] = replace(people[0], registers=False)
        people.append(Person(name=names[0], device=len(people), home=len(people), reader="main", rooms=(LOBBY,)))
    if rng.random() < 0.2:  # and the second a script that shares the home
        second = people[1] = replace(people[1], registers=False)
        people.append(
            Person(
                name=second.name,
                device=second.device,
                home=second.home,
                reader="script",
                rooms=(LOBBY,),
                seen=rng.random() < 0.3,
            )
        )
    return tuple(people)


def _draw_says(rng: random.Random, people: tuple[Person, ...], busy: float) -> list[Say]:
    says = []
    bulky = rng.random() < 0.25
    for who, person in enumerate(people):
        bursty = rng.random() < 0.3
        at = rng.random() * busy
        for _ in range(rng.randrange(2, 9)):
            at = at + rng.random() * 0.2 if bursty and rng.random() < 0.7 else rng.random() * busy
            size = rng.randrange(3, 300) if not bulky or rng.random() < 0.6 else rng.randrange(1000, 30_000)
            room = rng.choice((*person.rooms, LOBBY)) if rng.random() < 0.9 else SIDE
            says.append(Say(time=min(at, busy), who=who, room=room, size=size))
    return says


def _draw_direct(rng: random.Random, people: tuple[Person, ...], busy: float) -> list[Say]:
    """In some seeds people also speak to one another alone."""
    if rng.random() > DIRECT:
        return []
    says = []
    for _ in range(rng.randrange(2, 13)):
        who = rng.randrange(len(people))
        others = sorted({person.name for person in people} - {people[who].name})
        says.append(
            Say(time=rng.random() * busy, who=who, room=f"@{rng.choice(others)}", size=rng.randrange(3, 2000))
        )
    return says


def _draw_faults(rng: random.Random, people: int) -> list[Fault]:
    faults = []
    for _ in range(rng.choice((0, 1, 2, 3, 4, 5, 6))):
        kind = rng.choices(tuple(FAULTS), weights=tuple(FAULTS.values()))[0]
        duration = log_uniform(rng, 0.3, 40.0)
        if kind in {"partition", "sleep", "slow-reader", "disk-full"} and rng.random() < 0.06:
            duration = log_uniform(rng, 300.0, 3 * 3600.0)
        faults.append(
            Fault(
                time=rng.random() * 40.0,
                kind=kind,
                who=None if kind in OF_THE_DAEMON else rng.randrange(people),
                duration=duration,
                amount=rng.uniform(-1, 1) * log_uniform(rng, 1.0, 1e5),
            )
        )
    return faults


def draw_conditions(rng: random.Random) -> Conditions:
    """A link, from clean to hardly usable."""
    delay = log_uniform(rng, 0.003, 0.4)
    return Conditions(
        delay=delay,
        jitter=rng.choice((0.0, 0.0, 0.002, rng.random() * delay)),
        loss=rng.choice((0.0, 0.0, rng.random() * 0.1, rng.random() * 0.6)),
        gilbert=rng.choice(
            (None, None, None, (rng.uniform(0.005, 0.1), rng.uniform(0.05, 0.6), rng.uniform(0.5, 1.0)))
        ),
        burst=rng.choice((None, None, None, (log_uniform(rng, 0.05, 3.0), rng.uniform(0.05, 0.5)))),
        duplicate=rng.choice((0.0, 0.0, rng.random() * 0.3)),
        reorder=rng.choice((0.0, 0.0, rng.random() * 0.5)),
        corrupt=rng.choice((0.0, 0.0, 0.0, rng.random() * 0.1)),
        truncate=rng.choice((0.0, 0.0, 0.0, rng.random() * 0.1)),
        rate=rng.choice((None, None, None, log_uniform(rng, 4_000, 300_000))),
        queue=log_uniform(rng, 0.1, 10.0),
        mtu=rng.choice((1472, 1472, 1452, 1400, 1260, 1200)),
    )


def _draw_both(rng: random.Random) -> tuple[Conditions, Conditions]:
    up = draw_conditions(rng)
    return up, Conditions(**vars(up)) if rng.random() < 0.6 else draw_conditions(rng)


def draw_knobs(rng: random.Random) -> Knobs:
    """Each limit is the product's own half of the time."""

    def small(*choices: int) -> int | None:
        return rng.choice(choices) if rng.random() < 0.4 else None

    return Knobs(
        lane_backlog=small(2_000, 8_000),
        page_entries=small(1, 2, 5),
        inbox_entries=small(1, 2, 4),
        window_posts=small(1, 2, 3),
        reader_events=small(1, 2, 4),
        group_records=small(1, 2),
        half_open_host=small(4),
        replay_window=small(64),
        skip_period=small(4, 16),
        ratchet_packets=rng.choice((1 << 20, 5, 30, 100)),
        ratchet_s=rng.choice((600.0, 600.0, 3.0)),
        disk_s=rng.choice((0.0, 0.0, 0.002, 0.02, 0.2)),
    )


def _draw_hostile(rng: random.Random) -> Hostile | None:
    if rng.random() < 0.6:
        return None
    tricks = tuple(trick for trick in TRICKS if rng.random() < 0.5) or ("replay",)
    return Hostile(rate=log_uniform(rng, 0.5, 8.0), tricks=tricks)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
