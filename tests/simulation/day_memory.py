"""What a long run holds in memory at one moment, and whether it grows.

Python's memory is a census: the sizes of all objects that can be reached, after a collection. Asking the allocator
(tracemalloc) makes a run ten times slower. What only the log holds is left out: that grows by nature, and is a column
of its own. Of the process's resident memory, the log and the members' databases (SQLite in memory) are left out too;
what C libraries keep shows there alone.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from bisik.store import Store
from tests.support.flatness import trend

if TYPE_CHECKING:
    from tests.simulation.day import Day

KIB = 1024
BUILT_IN = (dict, list, tuple, set, bytes, str, int)  # what the log is made of

# What a number may grow by over a whole run and still be no leak. A session that is kept after its end is a
# connection with all its books too, and even a short run ends some dozens.
BOUNDS: dict[str, float] = {
    "python_kib": 256,
    "objects": 1_500,
    "rest_kib": 16 * KIB,
    "tasks": 3,
    "sessions": 1,
    "connections": 2,
    "rooms": 1,
    "timers": 20,
    "events": 50,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """At `hours` of virtual time, in the `life`-th life of the daemon."""

    hours: float
    life: int
    python_kib: float
    objects: int
    rss_kib: float
    rest_kib: float  # of the resident memory, without what is known to grow
    log_kib: float
    stores_kib: float
    tasks: int
    sessions: int
    connections: int
    rooms: int
    timers: int  # Trio's deadlines, and the daemon's endpoint's
    events: int  # datagrams on their way, in the network
    entries: int

    def row(self) -> str:
        return "".join(f"{getattr(self, name):{width}.{places}f}" for name, width, places in _columns())


def _columns() -> Iterator[tuple[str, int, int]]:
    for each in fields(Sample):
        yield each.name, len(each.name) + 2, 2 if each.name == "hours" else 0


HEADER = "".join(f"{each.name:>{len(each.name) + 2}}" for each in fields(Sample))


class Measure:
    """Takes samples of a run."""

    def __init__(self, day: "Day") -> None:
        self._day = day

    def take(self, *, life: int) -> Sample:
        """How it is now."""
        day = self._day
        objects, python, log = _census([*vars(day.log).values(), *vars(day.log._tree).values()])
        stores = sum(_store_bytes(member.store) for member in day.members)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        service, endpoint = day.daemon.service, day.daemon.endpoint
        assert service is not None
        assert endpoint is not None
        timers = trio._core._run.GLOBAL_RUN_CONTEXT.runner.deadlines._active + len(endpoint._deadlines._armed)
        return Sample(
            hours=trio.current_time() / 3600,
            life=life,
            python_kib=python / KIB,
            objects=objects,
            rss_kib=resident / KIB,
            rest_kib=(resident - log - stores) / KIB,
            log_kib=log / KIB,
            stores_kib=stores / KIB,
            tasks=trio.lowlevel.current_statistics().tasks_living,
            sessions=self.sessions(),
            connections=len(endpoint),
            rooms=sum(1 for _ in service._chat.hub),
            timers=timers,
            events=len(day.time._events),
            entries=sum(day.log.heads().values()),
        )

    def sessions(self) -> int:
        """How many the daemon has."""
        service = self._day.daemon.service
        return 0 if service is None or service._sessions is None else len(service._sessions)


def _census(apart: Iterable[object]) -> tuple[int, int, int]:
    """Objects that the collector knows and bytes of all objects, without what is in `apart`; and bytes of that."""
    gc.collect()
    known = gc.get_objects()
    left_out, log_bytes = _reached(apart)
    seen: set[int] = set()
    count = size = 0
    for thing in known:
        if id(thing) in left_out:
            continue
        count += 1
        size += sys.getsizeof(thing)
        waiting = gc.get_referents(thing)
        while waiting:  # what the collector does not know holds only what it does not know
            other = waiting.pop()
            if not gc.is_tracked(other) and id(other) not in seen and id(other) not in left_out:
                seen.add(id(other))
                size += sys.getsizeof(other)
                waiting += gc.get_referents(other)
    return count, size, log_bytes


def _reached(roots: Iterable[object]) -> tuple[set[int], int]:
    """The ids of `roots` and of everything in them, and its bytes."""
    seen: set[int] = set()
    size, waiting = 0, list(roots)
    while waiting:
        thing = waiting.pop()
        if id(thing) not in seen and isinstance(thing, BUILT_IN):
            seen.add(id(thing))
            size += sys.getsizeof(thing)
            waiting += gc.get_referents(thing)
    return seen, size


def _store_bytes(store: Store) -> int:
    with store.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(size)


def growing(samples: Sequence[Sample], say: Callable[[str], None] = lambda line: None) -> list[str]:
    """What is not flat, in words: over the run without its first quarter, and within the lives of the daemon."""
    found = []
    later = samples[len(samples) // 4 :]
    for words, chosen, grouped in (("run", later, False), ("lives", samples, True)):
        times = [sample.hours for sample in chosen]
        groups = [sample.life for sample in chosen] if grouped else None
        for name, bound in BOUNDS.items():
            line = trend(times, [float(getattr(sample, name)) for sample in chosen], groups)
            sentence = (
                f"{words:6} {name:12} {line.slope:+10.2f} an hour [{line.low:+.2f}, {line.high:+.2f}], "
                f"{line.growth:+.0f} over the run, bound {bound:.0f}"
            )
            flat = line.is_flat(bound)
            say(sentence + ("" if flat else "  GROWS"))
            if not flat:
                found.append(sentence)
    return found
