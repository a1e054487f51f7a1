"""Every state in which a power cut could leave the disk while a log lives: nothing acknowledged is lost, ever.

The log lives on a disk that writes down what it does (`tracing`). Before each change all crash states are made; each
is recovered and must hold every acknowledged record, then perhaps some of the group that was on its way, and nothing
else. Of those states that needed repair a log is opened, which writes, and the power is cut again in the middle of
that; then it goes on.
"""

from hashlib import sha256
from itertools import count as numbers
from random import Random

from bisikd.log import Keep, Log, LogDamaged, LogFull, LogPolicy
from bisikd.log.dropped import dropped_leaves
from tests.daemon.log.bench import DIRECTORY, IDENTITY, forget_all, open_log, read_back
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk
from tests.soak_log.campaign import Budget, Result
from tests.soak_log.tracing import TracedFiles

SECOND_CUTS = 0.02  # of the states, those into whose recovery the power is cut again


class _Enough(Exception):  # noqa: N818 # nothing is wrong
    """The count is reached or the budget spent."""


class _Life:
    """One log's life, with the power going at every moment of it."""

    def __init__(self, seed: int, budget: Budget, result: Result, seen: set[bytes]) -> None:
        self.seed = seed
        self._chance = Random(seed)
        self._budget = budget
        self._result = result
        self._seen = seen
        self._talk = Talk(signed=False)
        self.files = TracedFiles()
        self.acknowledged: list[bytes] = []
        self.on_its_way: list[bytes] = []
        self.dropping = 0  # so many may have been dropped
        self.files.on_moment = self._power_goes

    def live(self) -> None:
        """Openings, groups of all sizes, rotation, checkpoints, a disk that is full for a while, drops, shutdowns."""
        for _ in range(self._chance.randrange(2, 5)):
            log = open_log(self.files, policy=LogPolicy(segment_bytes=6000, checkpoint_records=5))
            if not self.acknowledged:
                self._append(log, [self._talk.register("tama")])
            for _ in range(self._chance.randrange(1, 6)):
                size = self._chance.choice((1, 1, 2, 4))
                texts = ["kata " * self._chance.choice((1, 10, 150, 400)) for _ in range(size)]
                self._append(log, [self._talk.say("tama", text) for text in texts])
            if self._chance.random() < 0.3:
                self.dropping = len(self.acknowledged)
                log.prune(Keep(size_bytes=self._chance.choice((1, 10_000))))
            if self._chance.random() < 0.5:
                log.close()  # else it was killed

    def _append(self, log: Log, records: list) -> None:  # type: ignore[type-arg]
        self.on_its_way = [record.payload for record in records]
        if self._chance.random() < 0.2:
            self.files.capacity = self.files.used + self._chance.randrange(1500)
        try:
            log.append(records)
        except LogFull:
            self.files.capacity = None
            log.append(records)
        self.files.capacity = None
        self.acknowledged += self.on_its_way
        self.on_its_way = []

    def _power_goes(self) -> None:
        for state in self.files.crash_states():
            name = sha256(repr(sorted(state.items())).encode()).digest()
            if name in self._seen:
                continue
            self._seen.add(name)
            self._recovers(state, again=self._chance.random() < SECOND_CUTS)
            self._result.done += 1
            if self._result.done >= self._result.wanted or self._budget.spent:
                raise _Enough

    def _recovers(self, state: dict[str, bytes], *, again: bool) -> None:
        files = TracedFiles(state) if again else MemoryFiles(state)
        if isinstance(files, TracedFiles):
            files.on_moment = lambda: self._cut_again(files)
        try:
            if again:
                open_log(files, policy=LogPolicy())
                files.on_moment = lambda: None
            gone = dropped_leaves(files, DIRECTORY, IDENTITY)
            read = read_back(files).payloads
        except LogDamaged as refused:
            self._problem(f"refused with {refused}")
            return
        whole = [*self.acknowledged, *self.on_its_way]
        there = gone + len(read)
        if there < len(self.acknowledged) or read != whole[gone:there] or gone > self.dropping:
            self._problem(f"{len(self.acknowledged)} acknowledged, {gone} dropped, {len(read)} recovered")
        elif there not in (len(self.acknowledged), len(whole)):
            self._problem("a part of a group was recovered")

    def _cut_again(self, files: TracedFiles) -> None:
        """The power goes while the start after a power cut repairs and begins a segment."""
        for state in files.crash_states():
            self._result.done += 1
            self._recovers(state, again=False)

    def _problem(self, what: str) -> None:
        self._result.problem(f"seed {self.seed}, case {self._result.done}: {what}")


def run_states(budget: Budget, count: int) -> Result:
    """Lives, one after the other, until so many different states were recovered."""
    result = Result(wanted=count or 1_000_000, unit="crash states")
    seen: set[bytes] = set()
    lives = 0
    for seed in numbers():
        life = _Life(seed, budget, result, seen)
        try:
            life.live()
        except _Enough:
            break
        finally:
            life.files.on_moment = lambda: None
            forget_all()
        lives += 1
    result.notes.append(f"in {lives} whole lives of a log")
    return result
