"""A log on a mounted file system of our own that forgets what was not fsynced: nothing acknowledged is lost.

Unlike the disk model in memory this goes through the kernel and the real disk's code (`files.RealFiles`). Where FUSE
or pyfuse3 is missing, it is skipped and says so.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from random import Random

from bisik_protocol.chat.messages import JoinEntry
from bisikd.log import Log, LogDamaged, LogError, LogPolicy, entry_record, iter_records
from tests.daemon.log.bench import IDENTITY, KEY, SIGNING, forget
from tests.soak_log.campaign import Budget, Result

ROOT = Path(__file__).parents[2]
CYCLES_A_LOG = 20


class _Lossy:
    """The process that serves the file system, and the line to it."""

    def __init__(self, mount_point: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak_log.lossy_fuse", mount_point],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._process.stdout is not None
        self.mounted = self._process.stdout.readline() == "mounted\n"

    def __enter__(self) -> "_Lossy":
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            self.tell("sick 0")
            self.tell("quit")
        self._process.communicate()

    def tell(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        return self._process.stdout.readline()

    def why(self) -> str:
        """What the process said when it could not mount."""
        assert self._process.stderr is not None
        return (self._process.stderr.read().strip().splitlines() or ["it said nothing"])[-1]


def run_fuse(budget: Budget, count: int) -> Result:
    """So many power cuts."""
    result = Result(wanted=count or 1_000, unit="power cuts on a mounted file system")
    if find_spec("pyfuse3") is None:
        result.skipped = "pyfuse3 is not installed (it needs libfuse3-dev, pkg-config and a compiler)"
        return result
    if not Path("/dev/fuse").exists():
        result.skipped = "this machine has no /dev/fuse"
        return result
    chance, acknowledged, kept = Random(3), 0, 0
    while result.done < result.wanted and not budget.spent:
        with tempfile.TemporaryDirectory(prefix="bisik-lossy") as mount_point, _Lossy(mount_point) as lossy:
            if not lossy.mounted:
                result.skipped = f"nothing can be mounted here ({lossy.why()})"
                return result
            known = 0
            for cycle in budget.take(range(min(CYCLES_A_LOG, result.wanted - result.done))):
                seed = chance.randrange(1 << 30)
                lossy.tell(f"sick {chance.choice((0, 0, 0.02))}")
                lossy.tell(f"die {chance.randrange(1, 60)} {seed}")
                known = max(known, _live(Path(mount_point), known, chance))
                lossy.tell("sick 0")
                names = lossy.tell("revive")
                found = _found(Path(mount_point), result, f"cycle {cycle}, seed {seed}, {names}")
                if found is not None and found < known:
                    result.problem(f"cycle {cycle}, seed {seed}: {known} were acknowledged, {found} are there")
                result.done += 1
                known = found or known
            acknowledged, kept = acknowledged + known, kept + 1
    result.notes.append(f"{acknowledged:,} records in {kept} logs")
    return result


def _live(directory: Path, known: int, chance: Random) -> int:
    """Open, append until the power goes; how many records were acknowledged."""
    log: Log | None = None
    policy = LogPolicy(segment_bytes=5000, checkpoint_records=6)
    try:
        log = Log.open(directory, IDENTITY, now_ms=lambda: 0, policy=policy, index_in_memory=True)
        known = log.tree_size
        for _ in range(100):
            group = [
                JoinEntry("#lobby", log.head("#lobby") + 1 + part, 0, "tama")
                for part in range(chance.randrange(1, 6))
            ]
            log.append([entry_record(entry) for entry in group])
            known = log.tree_size
    except LogError:
        pass
    finally:
        if log is not None:
            forget(log)
    return known


def _found(directory: Path, result: Result, when: str) -> int | None:
    """How many records are there now, as the next start would find them."""
    try:
        return sum(1 for _ in iter_records(directory, KEY, SIGNING))
    except LogDamaged as refused:
        result.problem(f"{when}: refused with {refused}")
        return None
