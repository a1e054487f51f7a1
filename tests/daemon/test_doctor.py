"""The doctor: what it looks at, what it says when something is wrong, and that it changes nothing."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from bisikd import cli, doctor, doctor_service
from bisikd.config import ListenAddress, Settings
from bisikd.doctor import Finding, Health, Patient, examine, patient
from bisikd.install import planned
from bisikd.units import SERVICE, Machine
from tests.support.daemon_process import fresh_state, open_daemon

MACHINE = Machine(python=Path("/opt/b/bin/python"), files=(Path("/usr/lib"),), executable=(Path("/usr/lib"),))
STATUS: dict[str, Any] = {"listen": "[::]:9999", "sessions": [], "drops": {}, "log": {"times_full": 0}}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return fresh_state(tmp_path / "state")


def subject(state: Path, port: int = 0, status: dict[str, Any] | None = None) -> Patient:
    settings = Settings(state=state, listen=ListenAddress(host="127.0.0.1", port=port))
    return Patient(settings=settings, status=status, silence="" if status else "No bisikd answers.")


def found(check: doctor.Check, who: Patient) -> list[tuple[Health, str]]:
    return [(finding.health, finding.says) for finding in check(who)]


def only(check: doctor.Check, who: Patient) -> Finding:
    (finding,) = check(who)
    return finding


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code, capfd.readouterr().out


async def test_a_running_daemon_is_asked_and_knocked_at(state: Path) -> None:
    """By a handshake that is begun at its port, as a client's would be."""
    async with open_daemon(state) as daemon:
        settings = Settings(state=state, listen=ListenAddress(host="127.0.0.1", port=daemon.invite.port))
        who = await trio.to_thread.run_sync(patient, settings)
        findings = await trio.to_thread.run_sync(examine, who, (doctor.check_daemon, doctor.check_port))
        assert {finding.health for finding in findings} == {Health.OK}
        assert f"UDP port {daemon.invite.port} answers on this machine." in [finding.says for finding in findings]
        invite = await trio.to_thread.run_sync(only, doctor.check_invite, who)
        assert invite.health is Health.BAD  # 127.0.0.1 leads nobody here
        daemon.process.send_signal(signal.SIGSTOP)  # it is there, and says nothing
        assert not await trio.to_thread.run_sync(
            doctor._answers, "127.0.0.1", daemon.invite.port, daemon.invite.fingerprint
        )


def test_a_port_that_somebody_has_is_told(state: Path) -> None:
    """Where no daemon runs, the port is tried, and let go again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        health, says = found(doctor.check_port, subject(state, port))[0]
        assert health is Health.BAD
        assert f"Port {port} is in use" in says
    assert found(doctor.check_port, subject(state, port))[0] == (Health.OK, f"UDP port {port} is free.")


def test_what_the_daemon_suffers_is_told(state: Path) -> None:
    """A firewall that eats what it sends, a disk that was full; or that there is none."""
    status = STATUS | {"drops": {"send-EPERM": 3, "hello-mac": 9}, "log": {"times_full": 2}}
    running, sends, disk = found(doctor.check_daemon, subject(state, status=status))
    assert running[0] is Health.OK
    assert "send-EPERM 3" in sends[1]
    assert "hello-mac" not in sends[1]
    assert "full 2 times" in disk[1]
    assert only(doctor.check_daemon, subject(state)).do == "systemctl start bisikd"


def test_open_rights_are_told_and_left(state: Path) -> None:
    """Which file, how many more, and the commands that put it right."""
    assert only(doctor.check_state, subject(state)).health is Health.OK
    for name in ("signing.pem", "decryption.pem", "reset.key", "join.toml"):
        (state / "identity" / name).chmod(0o644)
    finding = only(doctor.check_state, subject(state))
    assert finding.health is Health.BAD
    assert "and 1 more" in finding.says
    assert "chmod -R go=" in finding.do
    assert (state / "identity" / "reset.key").stat().st_mode & 0o777 == 0o644


def test_a_state_directory_behind_a_link_is_judged_itself(state: Path, tmp_path: Path) -> None:
    """As systemd lays it out for a user that exists only while the service runs."""
    (tmp_path / "link").symlink_to(state)
    assert only(doctor.check_state, subject(tmp_path / "link")).health is Health.OK


def test_a_damaged_account_is_told(state: Path) -> None:
    """With the sentence that a start has for it."""
    (state / "users" / "tama.toml").write_text("?")
    (state / "users" / "tama.toml").chmod(0o600)
    finding = [finding for finding in doctor.check_state(subject(state)) if finding.check == "accounts"]
    assert finding[0].health is Health.BAD
    assert "tama.toml" in finding[0].says


def test_no_state_yet_is_no_illness(tmp_path: Path) -> None:
    """The first start makes it."""
    nowhere = subject(tmp_path / "nowhere")
    assert only(doctor.check_state, nowhere).health is Health.WARNING
    assert found(doctor.check_keys, nowhere) == []
    assert only(doctor.check_disk, nowhere).health is Health.OK


def test_damaged_keys_are_told_and_sealed_ones_known(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, damaged, or not in the directory because they are sealed elsewhere."""
    monkeypatch.setattr(doctor, "SEALED", tmp_path / "sealed")
    assert only(doctor.check_keys, subject(state)).health is Health.OK
    (state / "identity" / "signing.pem").write_bytes(b"?")
    finding = only(doctor.check_keys, subject(state))
    assert finding.health is Health.BAD
    assert "signing.pem is damaged" in finding.says
    (tmp_path / "sealed").mkdir()
    for name in doctor.KEYS:
        (tmp_path / "sealed" / f"bisikd.{name}").touch()
        (state / "identity" / name).unlink()
    sealed = only(doctor.check_keys, subject(state))
    assert sealed.health is Health.OK
    assert sealed.says.startswith("Sealed to this machine")


def test_a_clock_behind_the_log_is_told(state: Path) -> None:
    """Whoever reads the room would see times run backwards."""
    segment = state / "log" / "00000001.segment"
    segment.touch()
    assert only(doctor.check_clock, subject(state)).health is not Health.BAD
    os.utime(segment, (4_000_000_000, 4_000_000_000))
    finding = only(doctor.check_clock, subject(state))
    assert finding.health is Health.BAD
    assert "behind the newest entry" in finding.says


@pytest.mark.parametrize(
    ("free", "health"),
    [(1 << 40, Health.OK), (500 * 1024 * 1024, Health.WARNING), (1024, Health.BAD)],
)
def test_little_room_is_told(state: Path, monkeypatch: pytest.MonkeyPatch, free: int, health: Health) -> None:
    """A warning while there is some, and an illness when there is next to none."""
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": free}))
    assert only(doctor.check_disk, subject(state)).health is health


# The service --------------------------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with systemd, whose tools say what is in `answers`, and where its units are."""
    where = tmp_path / "units"
    where.mkdir()
    monkeypatch.setattr(doctor_service, "BOOTED", tmp_path)
    monkeypatch.setattr(doctor_service, "UNIT_DIRECTORY", where)
    monkeypatch.setattr(doctor_service, "this_machine", lambda: MACHINE)
    return where


def answer(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.setattr(doctor_service, "_ask", lambda *arguments: text)


def installed(units: Path) -> None:
    for change in planned(MACHINE, ListenAddress(port=443), "chat.example.org", ipv6=True, where=units):
        change.path.write_text(change.new)


def test_no_systemd_and_no_service_are_no_illness(state: Path, units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works without, and `bisikd install` makes it one."""
    assert only(doctor_service.check_units, subject(state)).do == "bisikd install makes it one."
    assert found(doctor_service.check_sandbox, subject(state)) == []
    monkeypatch.setattr(doctor_service, "BOOTED", units / "nowhere")
    assert only(doctor_service.check_units, subject(state)).health is Health.OK


def test_units_are_compared_with_what_would_be_written(
    state: Path, units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the port and the name, which are the operator's."""
    answer(monkeypatch, "ActiveState=active\nNRestarts=0\nResult=success\n")
    installed(units)
    assert {health for health, _ in found(doctor_service.check_units, subject(state))} == {Health.OK}
    (units / SERVICE).write_text((units / SERVICE).read_text().replace("PrivateNetwork=yes", "PrivateNetwork=no"))
    finding = next(iter(doctor_service.check_units(subject(state))))
    assert finding.health is Health.WARNING
    assert SERVICE in finding.says


@pytest.mark.parametrize(
    ("shown", "health"),
    [
        ("ActiveState=failed\nResult=exit-code\nNRestarts=20\n", Health.BAD),
        ("ActiveState=inactive\nResult=success\nNRestarts=0\n", Health.WARNING),
        ("ActiveState=active\nResult=success\nNRestarts=3\n", Health.WARNING),
    ],
)
def test_how_the_service_fares_is_told(
    state: Path, units: Path, monkeypatch: pytest.MonkeyPatch, shown: str, health: Health
) -> None:
    """Failed for good, not started, or started again and again."""
    installed(units)
    answer(monkeypatch, shown)
    assert found(doctor_service.check_units, subject(state))[-1][0] is health


@pytest.mark.parametrize(
    ("said", "health"),
    [
        ("→ Overall exposure level for bisikd.service: 0.2 SAFE\n", Health.OK),
        ("→ Overall exposure level for bisikd.service: 4.1 OK\n", Health.WARNING),
        (None, Health.WARNING),
    ],
)
def test_a_sandbox_that_was_opened_is_told(
    state: Path, units: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, health: Health
) -> None:
    """A drop-in that takes away what the unit closes."""
    installed(units)
    answer(monkeypatch, said)
    assert only(doctor_service.check_sandbox, subject(state)).health is health


# The command --------------------------------------------------------------------------------------------------------


def test_a_healthy_server_is_0_and_an_ill_one_1(state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line each for people, with what to do below it; one object for programs."""
    code, out = run(capfd, "--state", str(state))
    assert code == 0
    assert "ok  keys" in out
    (state / "identity").chmod(0o755)
    code, out = run(capfd, "--state", str(state))
    assert code == 1
    assert "NO  permissions" in out
    code, out = run(capfd, "--state", str(state), "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    assert {"check", "health", "says", "do"} == set(told["findings"][0])
