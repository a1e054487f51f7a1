"""`bisik demo` as a process: it shows what it promises in a pipe, and cleans up behind itself when it is stopped."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon_process import CLEAN
from tests.support.processes import BISIK

PATIENCE_S = 90.0


def row(output: str, name: str) -> list[str]:
    """The numbers of a table's row."""
    return next(
        line.removeprefix(f"  {name}").split() for line in output.splitlines() if line.startswith(f"  {name} ")
    )


def test_a_short_demo_shows_everything_and_succeeds(tmp_path: Path) -> None:
    """Both screens, the crash, the table, the log's verdict; plain text, exit code 0, and nothing left behind."""
    command = [sys.executable, *BISIK, "demo", "--lines", "16", "--pause", "0.02"]
    environment = CLEAN | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    assert ended.stdout.count("<tama> Halo! Ada orang di sana?") == 2
    assert "killed with SIGKILL" in ended.stdout
    assert "started again on the same port" in ended.stdout
    for name, value in (("sent", "8"), ("stored", "8"), ("lost", "0"), ("doubled", "0"), ("out of order", "0")):
        assert row(ended.stdout, name) == [value, value]
    assert all(re.fullmatch(r"\d+\.\d\d", number) for number in row(ended.stdout, "worst across the crash")[::2])
    assert all(int(number) > 0 for number in row(ended.stdout, "lost on the way")[::2])
    assert "16 messages in" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def children_of(pid: int) -> list[int]:
    """All child processes, whichever thread made them."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for child processes in /proc")
def test_an_interrupted_demo_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    """Control-C in the middle: exit code 130, all its processes gone, its directory too."""
    with subprocess.Popen(
        [sys.executable, *BISIK, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=CLEAN | {"TMPDIR": str(tmp_path)},
    ) as process:
        try:
            assert process.stdout is not None
            while b"sari joined" not in process.stdout.readline():
                assert process.poll() is None
            children = children_of(process.pid)
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(PATIENCE_S) == 130
        finally:
            process.kill()
    assert len(children) == 3
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert list(tmp_path.iterdir()) == []
