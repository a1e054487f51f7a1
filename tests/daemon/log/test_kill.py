"""kill -9 of a real writer on a real disk, at any moment: what was acknowledged is there, once, in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from bisik_protocol.chat.messages import decode_entry_untrusted
from bisikd.log import iter_records, verify_log
from tests.daemon.log.bench import open_real
from tests.support.keys import server_identity

CYCLES = 25
ROOT = Path(__file__).parents[3]


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(tmp_path: Path) -> None:
    """A writer is killed after a random number of acknowledgements, while it goes on; then the next one begins."""
    identity, directory = server_identity(), tmp_path / "log"
    (tmp_path / "signing.pem").write_bytes(identity.signing.to_pem())
    (tmp_path / "decryption.pem").write_bytes(identity.decryption.to_pem())
    command = [sys.executable, "-m", "tests.daemon.log.killed_writer", str(directory), str(tmp_path)]
    chance, acknowledged = Random(9), 0
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for cycle in range(CYCLES):
            writer.stdin.write("go\n")
            word, child = writer.stdout.readline().split()
            assert word == "writing"
            for _ in range(chance.randrange(12)):
                acknowledged = int(writer.stdout.readline().removeprefix("stored "))
            os.kill(int(child), signal.SIGKILL)
            while (line := writer.stdout.readline()) != "ended\n":
                acknowledged = int(line.removeprefix("stored "))
            found = [
                decode_entry_untrusted(record.payload).seq
                for record in iter_records(directory, identity.decryption, identity.signing.public)
            ]
            assert found == list(range(1, len(found) + 1)), cycle
            assert len(found) >= acknowledged, cycle
        writer.stdin.close()
    report = verify_log(directory, identity.decryption, identity.signing.public)
    assert report.problems == []
    assert acknowledged > CYCLES
    log = open_real(directory)
    assert log.head("#lobby") == report.records >= acknowledged
    log.close()
