"""The systemd units: accepted by systemd where it is installed, and in step with what the daemon does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"


def settings(name: str) -> list[str]:
    lines = (SYSTEMD / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "["))]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """No unknown setting, no setting in the wrong section."""
    for name in ("bisikd.service", "bisikd.socket"):
        text = (SYSTEMD / name).read_text().replace("/usr/local/bin/bisikd", sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "bisikd.service", tmp_path / "bisikd.socket"],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "bisikd" in line]
    assert ours == []


def test_the_service_says_when_it_is_ready_and_keeps_its_state_where_the_daemon_looks() -> None:
    """What the daemon sends (READY, WATCHDOG) and reads (STATE_DIRECTORY) is what the unit asks for and sets."""
    service = settings("bisikd.service")
    for setting in ("Type=notify", "StateDirectory=bisikd", "DynamicUser=yes", "WatchdogSec=30"):
        assert setting in service
    assert "Restart=on-failure" in service
    assert "RestartPreventExitStatus=2" in service


def test_the_socket_passes_one_dual_stack_udp_socket_on_the_default_port() -> None:
    """The daemon takes exactly one, and serves IPv4 and IPv6 with it."""
    listening = [line for line in settings("bisikd.socket") if line.startswith("Listen")]
    assert listening == ["ListenDatagram=[::]:9999"]
    assert "BindIPv6Only=both" in settings("bisikd.socket")
