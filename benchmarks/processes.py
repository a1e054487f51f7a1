"""What the system tells about another process, and where it may run. Linux."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CLOCK_OF_PROCESS: Final = 2  # CPUCLOCK_SCHED, clock_getcpuclockid(3)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process, with all its threads, has used: user and system, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)


def memory_kib(pid: int) -> int:
    """What a process has in memory for itself alone, in KiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))


@contextmanager
def kept_apart(server_pid: int) -> Iterator[None]:
    """A core for the server and another one for this process, where the machine has two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield
        return
    for task in Path(f"/proc/{server_pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cores[0]})
    os.sched_setaffinity(0, {cores[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def allow_descriptors(count: int) -> None:
    """Raise this process's own limit on open files, as far as the system lets it. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
