"""Installing the service: everything is shown first, nothing is done unasked, and no state is ever removed."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from bisikd import cli, install
from bisikd.commands import install as commands
from bisikd.config import ListenAddress
from bisikd.errors import BisikdError
from bisikd.install import Change, planned, systemctl
from bisikd.units import SERVICE, SOCKET, Machine

MACHINE = Machine(python=Path("/opt/b/bin/python"), files=(Path("/usr/lib"),), executable=(Path("/usr/lib"),))


class Systemd:
    """Notes what it is told, and refuses what it has to."""

    def __init__(self, refuses: str = "") -> None:
        self.told: list[str] = []
        self._refuses = refuses

    def __call__(self, arguments: Sequence[str]) -> None:
        self.told.append(" ".join(arguments))
        if self.told[-1] == self._refuses:
            raise BisikdError(f"systemctl {self._refuses} failed: no.")


def plan(where: Path, port: int = 9999) -> list[Change]:
    return planned(MACHINE, ListenAddress(port=port), "chat.example.org", ipv6=True, where=where)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Systemd]:
    """A machine whose root runs the command line: where its units go, and its systemd."""
    systemd = Systemd()
    monkeypatch.setattr(commands, "systemctl", systemd)
    monkeypatch.setattr(commands, "install", lambda changes: install.install(changes, systemd))
    monkeypatch.setattr(commands, "uninstall", lambda: install.uninstall(tmp_path, systemd))
    monkeypatch.setattr(commands, "this_machine", lambda: MACHINE)
    monkeypatch.setattr(commands, "UNIT_DIRECTORY", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path, systemd


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_units_are_written_for_everybody_to_read_and_then_started(tmp_path: Path) -> None:
    """In an order in which the socket gets a port that an older service may have held by itself."""
    systemd = Systemd()
    install.install(plan(tmp_path), systemd)
    assert sorted(path.name for path in tmp_path.iterdir()) == [SERVICE, SOCKET]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in tmp_path.iterdir())
    assert systemd.told == [
        "daemon-reload",
        f"stop {SERVICE}",
        f"enable {SOCKET} {SERVICE}",
        f"restart {SOCKET}",
        f"start {SERVICE}",
    ]


def test_what_would_change_is_shown_as_a_difference(tmp_path: Path) -> None:
    """A new file whole, an equal one in a sentence, another one line by line."""
    socket, service = plan(tmp_path)
    assert socket.needed
    assert "ListenDatagram=[::]:9999\n" in socket.shown()
    install.install([socket, service], Systemd())
    assert [change.shown() for change in plan(tmp_path)] == [
        f"{tmp_path / SOCKET} is as it should be.\n",
        f"{tmp_path / SERVICE} is as it should be.\n",
    ]
    shown = plan(tmp_path, port=443)[0].shown()
    assert "-ListenDatagram=[::]:9999\n+ListenDatagram=[::]:443\n" in shown
    assert "[Install]" not in shown  # far from what changes


def test_a_port_that_another_one_holds_is_explained(tmp_path: Path) -> None:
    """Most likely it is a bisikd that was started by hand."""
    with pytest.raises(BisikdError, match="stop it and run this again"):
        install.install(plan(tmp_path), Systemd(f"restart {SOCKET}"))


def test_uninstall_removes_what_install_wrote(tmp_path: Path) -> None:
    """And nothing else; a second time there is nothing to do."""
    install.install(plan(tmp_path), Systemd())
    (tmp_path / "other.service").write_text("[Unit]\n")
    systemd = Systemd()
    assert install.uninstall(tmp_path, systemd) == [tmp_path / SOCKET, tmp_path / SERVICE]
    assert systemd.told == [f"disable --now {SOCKET} {SERVICE}", "daemon-reload"]
    assert [path.name for path in tmp_path.iterdir()] == ["other.service"]
    assert install.uninstall(tmp_path, systemd) == []


def test_what_uninstall_leaves_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and sealed keys are nobody's to remove but a person's."""
    monkeypatch.setattr(install, "STATE_DIRECTORY", tmp_path / "state")
    monkeypatch.setattr(install, "CREDENTIALS", tmp_path / "sealed")
    assert install.left_behind() == []
    (tmp_path / "state").mkdir()
    (tmp_path / "sealed").mkdir()
    (tmp_path / "sealed" / "bisikd.reset.key").touch()
    state, sealed = install.left_behind()
    assert state.startswith(f"{tmp_path / 'state'} was kept")
    assert "bisikd.reset.key" in sealed


def test_systemctl_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it said, made harmless."""
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\nprintf 'no \\033[31m\\nunit' >&2\nexit 5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(BisikdError, match=r"^systemctl start x failed: no ") as raised:
        systemctl(["start", "x"])
    assert "\033" not in str(raised.value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BisikdError, match="does not run systemd"):
        systemctl(["start", "x"])


# The commands -------------------------------------------------------------------------------------------------------


def test_install_shows_the_units_and_asks(
    machine: tuple[Path, Systemd], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without somebody to answer nothing is changed; --yes is an answer."""
    where, systemd = machine
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run("install", "--public-host", "chat.example.org") == 2
    out, err = capfd.readouterr()
    assert "Environment=BISIKD_PUBLIC_HOST=chat.example.org" in out
    assert "Nothing was changed" in err
    assert list(where.iterdir()) == []
    assert systemd.told == ["--version"]
    assert run("install", "--yes", "--listen", ":7777") == 0
    assert ":7777\n" in (where / SOCKET).read_text()
    assert systemd.told[-1] == f"start {SERVICE}"


def test_install_prints_the_units_for_whoever_puts_them_elsewhere(
    machine: tuple[Path, Systemd], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That needs no root and changes nothing."""
    where, systemd = machine
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("install", "--print") == 0
    assert "[Socket]" in capfd.readouterr().out
    assert list(where.iterdir()) == []
    assert systemd.told == []
    assert run("install", "--yes") == 1
    assert "Only root may do that: sudo " in capfd.readouterr().err


def test_uninstall_says_what_it_removed(machine: tuple[Path, Systemd], capfd: pytest.CaptureFixture[str]) -> None:
    """Or that there was nothing."""
    where, _ = machine
    run("install", "--yes")
    capfd.readouterr()
    assert run("uninstall", "--yes") == 0
    assert f"Removed {where / SOCKET} and {where / SERVICE}." in capfd.readouterr().err
    assert run("uninstall", "--yes") == 0
    assert "There were no units." in capfd.readouterr().err
