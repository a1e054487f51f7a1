"""kill -9 of a real writer process, thousands of times: nothing acknowledged is lost, nothing is doubled.

One process forks the writers (`tests.daemon.log.killed_writer`), so that a cycle costs a fork, an opening and a kill.
Every writer opens what the one before left and says how far it goes, before it goes on. The kill comes after a random
number of acknowledgements and then anywhere, also into an opening. Every so often the log is verified by itself, and
a new one begun, so that openings stay short.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from bisik_protocol.chat.messages import decode_entry_untrusted
from bisikd.log import iter_records, verify_log
from tests.soak_log.campaign import Budget, Result
from tests.support.keys import server_identity

CYCLES_A_LOG = 25
ROOT = Path(__file__).parents[2]


class _Writers:
    """The process that forks writers."""

    def __init__(self, directory: Path) -> None:
        identity = server_identity()
        (directory / "signing.pem").write_bytes(identity.signing.to_pem())
        (directory / "decryption.pem").write_bytes(identity.decryption.to_pem())
        command = [sys.executable, "-m", "tests.daemon.log.killed_writer", str(directory)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> "_Writers":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def cycle(self, log: Path, acknowledgements: int, delay_s: float) -> list[str]:
        """Let a writer acknowledge so often, wait, kill it; everything that it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{log}\n")
        said = [self._process.stdout.readline()]
        child = int(said[0].split()[1])
        while len(said) <= acknowledgements:
            said.append(self._process.stdout.readline())
        if delay_s:
            time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
        while (line := self._process.stdout.readline()) != "ended\n":
            said.append(line)
        return said


def run_kills(budget: Budget, count: int) -> Result:
    """So many kills."""
    result = Result(wanted=count or 20_000, unit="kills")
    chance, acknowledged = Random(9), 0
    with tempfile.TemporaryDirectory(prefix="bisik-kills") as name, _Writers(Path(name)) as writers:
        log, known = Path(name) / "log", 0
        for cycle in budget.take(range(result.wanted)):
            said = writers.cycle(log, chance.randrange(8), chance.choice((0.0, 0.0, chance.random() / 200)))
            for line in said[1:]:
                word, number = line.split()
                if word == "opened" and int(number) < known:
                    result.problem(f"kill {cycle}: {known} were acknowledged, {number} are there")
                if word == "damaged":
                    result.problem(f"kill {cycle}: {line}")
                known = max(known, int(number))
            result.done += 1
            if cycle % CYCLES_A_LOG == CYCLES_A_LOG - 1 or result.done == result.wanted:
                acknowledged += known
                _prove(log, known, f"after kill {cycle}", result)
                shutil.rmtree(log)
                known = 0
    result.notes.append(f"{acknowledged:,} acknowledged, 0 lost, 0 doubled" if not result.problems else "see below")
    return result


def _prove(directory: Path, acknowledged: int, when: str, result: Result) -> None:
    """Everything once, in order, and the log whole by itself."""
    identity = server_identity()
    keys = identity.decryption, identity.signing.public
    found = [decode_entry_untrusted(record.payload).seq for record in iter_records(directory, *keys)]
    if found != list(range(1, len(found) + 1)) or len(found) < acknowledged:
        result.problem(f"{when}: {acknowledged} were acknowledged, and the log has {len(found)}: {found[-5:]}")
    for problem in verify_log(directory, *keys).problems:
        result.problem(f"{when}: {problem}")
