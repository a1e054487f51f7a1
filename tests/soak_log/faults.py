"""A disk that refuses at every call site, once or for a while, alone or two at a time: nobody is told "stored"
wrongly.

A log lives (`tests.daemon.log.test_faults` has its life) on a disk in memory that fails the call with a given number:
EIO or ENOSPC, that call alone, the calls from it on, or that one and a later one. Who is told "full" asks again; who
is told that the disk failed starts anew, as the daemon's supervisor does. In the end everything must be stored, once,
in order, and at any time everything that was acknowledged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from errno import EIO, ENOSPC
from itertools import chain
from pathlib import Path

from bisikd.log import Log, LogDamaged, LogError, LogFull, LogPolicy, Record
from tests.daemon.log.bench import forget_all, open_log, read_back
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk
from tests.soak_log.campaign import Budget, Result, spread

POLICY = LogPolicy(segment_bytes=2600, checkpoint_records=3)
PATIENCE = 40  # attempts at one thing; more are needed only if the service never resumes


@dataclass
class _Faults:
    """Fails the calls with these numbers."""

    numbers: frozenset[int]
    code: int
    short: bool = False
    calls: int = 0

    def __call__(self, operation: str, path: Path) -> OSError | None:
        self.calls += 1
        return OSError(self.code, "injected") if self.calls - 1 in self.numbers else None


def _groups() -> list[list[Record]]:
    talk = Talk(signed=False)
    return [
        [talk.register("tama"), talk.join("tama")],
        [talk.say("tama", "halo")],
        [talk.say("tama", "satu"), talk.join("budi"), talk.leave("budi")],
        [talk.say("tama", "panjang " * 200)],
        [talk.leave("tama")],
    ]


class _Life:
    """A log that is opened, appended to, closed and opened again until everything is stored."""

    def __init__(self, files: MemoryFiles) -> None:
        self.files = files
        self.acknowledged: list[bytes] = []
        self.false_stored = ""
        self._log: Log | None = None

    def live(self, groups: list[list[Record]]) -> bool:
        """Whether it came to its end with everything stored."""
        for number, group in enumerate(groups):
            if number == 3 and not self._closed():
                return False
            if not self._stored(group):
                return False
        return self._closed()

    def _stored(self, group: list[Record]) -> bool:
        payloads = [record.payload for record in group]
        for _ in range(PATIENCE):
            log = self._opened()
            if log is None:
                continue
            if log.tree_size == len(self.acknowledged) + len(
                payloads
            ):  # stored, and nobody was told: a client's retry
                self.acknowledged += payloads
                return True
            try:
                log.append(group)
            except LogFull:
                continue
            except LogError:
                self._check()
                self._log = None
                continue
            self.acknowledged += payloads
            self._check()
            return True
        return False

    def _opened(self) -> Log | None:
        if self._log is None:
            try:
                self._log = open_log(self.files, policy=POLICY)
            except LogDamaged as error:
                if "cannot be read" not in str(error):
                    self.false_stored = f"refused: {error}"
            except LogError:
                pass
        return self._log

    def _closed(self) -> bool:
        for _ in range(PATIENCE):
            log, self._log = self._opened(), None
            if log is None:
                continue
            try:
                log.close()
            except LogError:
                self._check()
                continue
            return True
        return False

    def _check(self) -> None:
        """What was acknowledged survives a kill and a power cut, now."""
        fault, self.files.fault = self.files.fault, None
        for after in (
            MemoryFiles(self.files.snapshot()),
            self.files.after_power_cut(),
            self.files.after_power_cut(names_kept=True),
            self.files.after_power_cut(set(self.files.unsynced_sectors())),
        ):
            kept = read_back(after).payloads
            if kept[: len(self.acknowledged)] != self.acknowledged:
                self.false_stored = f"{len(self.acknowledged)} were acknowledged, {len(kept)} are there"
        self.files.fault = fault


def _plans(calls: int) -> Iterator[tuple[str, frozenset[int]]]:
    """Which calls fail: each alone, runs of two, three and eight, and every pair of calls, near ones first."""
    for number in range(calls):
        yield "one call", frozenset({number})
    for length in (2, 3, 8):
        for number in range(calls):
            yield f"{length} calls in a row", frozenset(range(number, number + length))
    for number in spread(calls * calls):
        first, second = divmod(number, calls)
        if first < second:
            yield "two calls", frozenset({first, second})


def run_faults(budget: Budget, count: int) -> Result:
    """Each plan with EIO and with ENOSPC, on a disk that takes all it is given and on one that takes half."""
    files = MemoryFiles()
    assert _Life(files).live(_groups())
    calls = len(files.calls)
    singles = calls * 4 * 4
    result = Result(wanted=count or singles, unit=f"plans of failure over {calls} call sites")
    for (what, numbers), code, short in budget.take(
        chain.from_iterable(
            ((plan, code, short) for code in (EIO, ENOSPC) for short in (False, True)) for plan in _plans(calls)
        )
    ):
        if result.done >= result.wanted:
            break
        files = MemoryFiles()
        files.short_writes = short
        files.fault = _Faults(numbers, code)
        life = _Life(files)
        where = f"{what} {sorted(numbers)[:2]}, {'EIO' if code == EIO else 'ENOSPC'}{', short writes' * short}"
        if not life.live(_groups()):
            result.problem(f"{where}: the service did not resume")
        if life.false_stored:
            result.problem(f"{where}: {life.false_stored}")
        files.fault = None
        everything = [record.payload for group in _groups() for record in group]
        if read_back(MemoryFiles(files.snapshot())).payloads != everything:
            result.problem(f"{where}: not everything is there, once and in order")
        forget_all()
        result.done += 1
    result.notes.append(f"{0 if not result.problems else len(result.problems)} false 'stored'")
    return result
