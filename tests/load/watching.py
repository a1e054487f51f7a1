"""What can be seen of a running daemon from outside, sampled over a run, and what is held to be flat or back at its
base.

Memory is what the process has for itself (RssAnon, proc(5)); descriptors and threads are counted in /proc, and tasks
and sessions are what `bisikd status` says.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from bisikd.admin import ask
from bisikd.errors import BisikdError
from tests.support.flatness import trend

MIB: Final = 1024 * 1024
MAX_GROWTH_BYTES: Final = MIB  # over the second half; tables that are bounded still fill up then, a little
LONG_S: Final = 480.0  # from which on memory means anything: before, every table finds its size
MAX_ASKED: Final = 5  # times in a row
HOME_S: Final = 60.0  # for everything to be as it was once everybody has gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The daemon at one moment, `at` seconds after the start of the load."""

    at: float
    rss_bytes: int
    descriptors: int
    threads: int
    tasks: int
    sessions: int

    def row(self) -> str:
        return (
            f"{self.at:7.0f} {self.rss_bytes / MIB:8.2f} {self.descriptors:6} {self.threads:8} {self.tasks:6}"
            f" {self.sessions:9}"
        )


HEADER: Final = f"{'s':>7} {'RSS MiB':>8} {'fds':>6} {'threads':>8} {'tasks':>6} {'sessions':>9}"


@dataclass
class Watcher:
    """Samples of the daemon `pid` over `state`."""

    pid: int
    state: Path
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    asked: int = 0
    unanswered: int = 0

    async def start(self) -> Sample:
        """How it is before anybody comes, once those of the rehearsal are forgotten."""
        with trio.fail_after(HOME_S):
            while (sample := await self.look()).sessions:  # noqa: ASYNC110 # another process's
                await trio.sleep(0.5)
        self.say(HEADER)
        self.say(sample.row() + "  before anybody comes")
        return sample

    async def look(self, at: float = 0.0) -> Sample:
        """How it is now."""
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 # counted as they are, no paths
        threads = len(os.listdir(f"/proc/{self.pid}/task"))  # noqa: PTH208
        status = await self._status()
        return Sample(
            at=at,
            rss_bytes=self._rss_bytes(),
            descriptors=descriptors,
            threads=threads,
            tasks=status["tasks"],
            sessions=len(status["sessions"]),
        )

    async def go_on(self, every_s: float, shown_s: float) -> None:
        """Sample until cancelled; show one of them each `shown_s`."""
        began, shown = trio.current_time(), 0.0
        while True:
            sample = await self.look(trio.current_time() - began)
            self.samples.append(sample)
            if sample.at >= shown:
                shown += shown_s
                self.say(sample.row())
            await trio.sleep(every_s)

    async def home(self, base: Sample) -> list[str]:
        """What is not as it was at `base`, in words, once there was time for it."""
        with trio.move_on_after(HOME_S):
            while left(base, await self.look()):  # noqa: ASYNC110 # another process's
                await trio.sleep(1.0)
        now = await self.look()
        self.say(now.row() + "  after everybody has gone")
        return left(base, now)

    def growing(self) -> list[str]:
        """What is not flat over the second half of the run, in words. Of a short run memory is told, not judged."""
        half = [sample for sample in self.samples if sample.at >= self.samples[-1].at / 2]
        times = [sample.at / 60 for sample in half]
        found = []
        for words, bound, unit, read in (
            ("memory", MAX_GROWTH_BYTES / 1024, "KiB", lambda sample: sample.rss_bytes / 1024),
            ("descriptors", 1, "", lambda sample: sample.descriptors),
            ("tasks over those of the sessions", 3, "", lambda sample: sample.tasks - tasks_of(sample, half)),
        ):
            line = trend(times, [float(read(sample)) for sample in half])
            judged = words != "memory" or self.samples[-1].at >= LONG_S
            sentence = (
                f"{words}: {line.slope:+.2f} {unit} a minute [{line.low:+.2f}, {line.high:+.2f}], {line.growth:+.1f}"
                f" over the second half; {f'bound {bound:.0f}' if judged else 'the run is too short to judge it'}"
            )
            self.say(sentence)
            if judged and not line.is_flat(bound):
                found.append(sentence)
        return found

    async def _status(self) -> dict[str, Any]:
        """On a machine that others use too the answer may not come in time: then it is asked again, and counted."""
        for _ in range(MAX_ASKED):
            self.asked += 1
            with suppress(BisikdError):
                status: dict[str, Any] = await trio.to_thread.run_sync(ask, self.state, "status")
                return status
            self.unanswered += 1
            await trio.sleep(1.0)
        raise AssertionError(f"bisikd did not answer {MAX_ASKED} times")

    def _rss_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))


def tasks_of(sample: Sample, samples: list[Sample]) -> float:
    """Tasks that the sessions account for: as many each as they have over all of `samples`."""
    sessions = sum(each.sessions for each in samples)
    return sample.sessions * sum(each.tasks for each in samples) / sessions if sessions else 0.0


def left(base: Sample, now: Sample) -> list[str]:
    """What there is more of `now` than at `base`, in words; memory is judged by how it grew."""
    return [
        f"{getattr(now, name)} {name} after everybody has gone, {getattr(base, name)} before anybody came"
        for name in ("sessions", "descriptors", "tasks", "threads")
        if getattr(now, name) > getattr(base, name)
    ]
