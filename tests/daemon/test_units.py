"""The systemd units: accepted by systemd where it is installed, tight, and in step with what the daemon does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bisikd import units
from bisikd.config import ListenAddress
from bisikd.units import Machine, service_unit, shipped, socket_unit, this_machine

MAX_EXPOSURE = 0.3  # of 10
MACHINE = Machine(
    python=Path("/opt/b/bin/python"),
    files=(Path("/opt/b/bin/python"), Path("/opt/b/pyvenv.cfg"), Path("/usr/lib")),
    executable=(Path("/opt/b/bin/python"), Path("/usr/lib")),
)
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def settings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith(("#", "["))]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_accepts_the_units_of_this_machine(tmp_path: Path) -> None:
    """No unknown setting, no setting in the wrong section, and a program that is there."""
    (tmp_path / units.SERVICE).write_text(service_unit(this_machine(), "chat.example.org"))
    (tmp_path / units.SOCKET).write_text(socket_unit(ListenAddress(), ipv6=True))
    done = analyze("verify", "--man=no", tmp_path / units.SERVICE, tmp_path / units.SOCKET)
    ours = [line for line in done.stderr.splitlines() if "bisikd" in line]
    assert ours == []


@needs_systemd
@pytest.mark.parametrize("home", [False, True], ids=["shipped", "interpreter in a home"])
def test_the_service_is_exposed_to_next_to_nothing(tmp_path: Path, home: bool) -> None:
    """By systemd's own count, from 0 to 10, of the shipped unit and of what is made of it."""
    path = tmp_path / units.SERVICE
    under_home = Machine(python=Path("/root/p"), files=(Path("/root/p"),), executable=(Path("/root/p"),))
    path.write_text(service_unit(under_home, "") if home else shipped(units.SERVICE))
    done = analyze("security", "--offline=true", "--no-pager", path)
    found = re.search(r"Overall exposure level for bisikd.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MAX_EXPOSURE


def test_the_service_says_when_it_is_ready_and_keeps_its_state_where_the_daemon_looks() -> None:
    """What the daemon sends (READY, WATCHDOG) and reads (STATE_DIRECTORY) is what the unit asks for and sets."""
    service = settings(shipped(units.SERVICE))
    for setting in ("Type=notify", "StateDirectory=bisikd", "DynamicUser=yes", "WatchdogSec=30"):
        assert setting in service
    assert "Restart=on-failure" in service
    assert "RestartPreventExitStatus=2" in service


def test_the_service_has_no_network_but_the_socket_that_is_passed_in() -> None:
    """It cannot make one, and takes the one of its socket unit."""
    service = settings(shipped(units.SERVICE))
    for setting in ("PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any"):
        assert setting in service
    assert "Sockets=bisikd.socket" in service
    assert "Requires=bisikd.socket" in service


def test_the_socket_passes_one_dual_stack_udp_socket_on_the_default_port() -> None:
    """The daemon takes exactly one, and serves IPv4 and IPv6 with it."""
    listening = [line for line in settings(shipped(units.SOCKET)) if line.startswith("Listen")]
    assert listening == ["ListenDatagram=[::]:9999"]
    assert "BindIPv6Only=both" in settings(shipped(units.SOCKET))


@pytest.mark.parametrize(
    ("listen", "ipv6", "line"),
    [
        (ListenAddress(), True, "ListenDatagram=[::]:9999"),
        (ListenAddress(port=443), False, "ListenDatagram=0.0.0.0:443"),
        (ListenAddress(host="192.0.2.7", port=9), True, "ListenDatagram=192.0.2.7:9"),
        (ListenAddress(host="2001:db8::7"), True, "ListenDatagram=[2001:db8::7]:9999"),
    ],
    ids=str,
)
def test_the_socket_unit_says_where_to_listen(listen: ListenAddress, ipv6: bool, line: str) -> None:
    """Every address, IPv4 alone where there is no IPv6, or the one that was asked for."""
    assert line in settings(socket_unit(listen, ipv6=ipv6))


def test_a_machine_replaces_the_lines_between_the_marks_and_no_others() -> None:
    """Nothing of the machine that the unit was shipped for stays, and nothing that all have in common goes."""
    made, given = settings(service_unit(MACHINE, "")), settings(shipped(units.SERVICE))
    assert "ExecStart=/opt/b/bin/python -I -m bisikd run" in made
    assert [line for line in made if line.startswith("ExecPaths=")] == [
        "ExecPaths=+/opt/b/bin/python",
        "ExecPaths=+/usr/lib",
    ]
    assert not any("/opt/bisik" in line for line in made)
    of_a_machine = ("ExecStart=", "ExecReload=", "ExecPaths=", "BindReadOnlyPaths=/", "Environment=")
    assert [line for line in made if not line.startswith(of_a_machine)] == [
        line for line in given if not line.startswith(of_a_machine)
    ]


def test_what_has_a_meaning_to_systemd_is_quoted() -> None:
    """Spaces, per cents and dollars in a path or a name stay what they are."""
    odd = Machine(python=Path("/opt/my %b/p$"), files=(), executable=())
    lines = settings(service_unit(odd, "a b"))
    assert 'ExecStart="/opt/my %%b/p$$" -I -m bisikd run' in lines
    assert 'Environment="BISIKD_PUBLIC_HOST=a b"' in lines


def test_an_interpreter_in_a_home_is_seen_and_its_home_is_not() -> None:
    """`yes` would hide both."""
    home = Machine(python=Path("/root/p"), files=(Path("/root/p"),), executable=())
    assert "ProtectHome=tmpfs" in settings(service_unit(home, ""))
    assert "ProtectHome=yes" in settings(service_unit(MACHINE, ""))


def test_this_machine_is_its_interpreter_and_where_that_imports_from() -> None:
    """Each path is there, none lies in another, and no program but the interpreter is among them."""
    machine = this_machine()
    assert machine.python == Path(sys.executable)
    assert set(machine.executable) <= set(machine.files)
    for path in machine.files:
        assert path.exists()
        assert not set(path.parents) & set(machine.files)
    for needed in (Path(sys.executable), Path(units.__file__), Path(pytest.__file__)):
        assert any(needed.is_relative_to(path) for path in machine.files)
    assert not any(Path("/bin/sh").resolve().is_relative_to(path) for path in machine.files)


def test_units_that_did_not_come_along_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only modules were copied."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(units, "__file__", str(tmp_path / "a" / "b" / "units.py"))
    with pytest.raises(units.UnitsMissing, match=r"bisikd\.service did not come"):
        shipped(units.SERVICE)
