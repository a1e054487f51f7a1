"""What a daemon that was taken over could do from inside its unit: as good as nothing."""

import json
import sys
from typing import Any

from tests.support.booted import BootedMachine
from tests.system.booted import ESCAPE, escape_unit

ASKED_FOR = 20


def outcomes(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def test_every_escape_is_refused(service: BootedMachine) -> None:
    """Programs, networks, files, devices, namespaces, kernels: no attempt gets through, and there are many."""
    service.write(
        "/etc/systemd/system/escape.service", escape_unit(service.run("systemctl", "cat", "bisikd.service"))
    )
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "start", "escape.service")
    tried = outcomes(service.run("journalctl", "-u", "escape.service", "-o", "cat"))
    for attempt in tried:
        sys.stdout.write(f"{attempt['outcome']:14} {attempt['attempt']}\n")
    assert [attempt["attempt"] for attempt in tried if not attempt["refused"]] == []
    assert len(tried) >= 2 * ASKED_FOR


def test_the_attempts_succeed_where_there_is_no_sandbox(machine: BootedMachine) -> None:
    """So that a refusal says something about the unit, and not about a mistake in the attempt."""
    tried = outcomes(machine.run(sys.executable, "-I", ESCAPE))
    assert len([attempt for attempt in tried if not attempt["refused"]]) >= ASKED_FOR


def test_systemd_counts_next_to_nothing_that_is_open(service: BootedMachine) -> None:
    """The unit as it was installed, by the systemd that runs it."""
    last = service.run("systemd-analyze", "security", "bisikd.service").splitlines()[-1]
    assert float(last.split(":")[1].split()[0]) <= 0.3
