"""The service through everything that happens to one: installed, killed, hung, reloaded, upgraded, taken away."""

import json
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from bisik_protocol.chat.invite import Invite, parse_invite
from bisikd.journald import Happening
from tests.support.booted import BootedMachine, wait_until
from tests.system.booted.outage import UNIT, Caller, after_hang, after_kill
from tests.system.booted.talk import talking

BEFORE = Path(__file__).with_name("state-2026-11-22.tar.xz")  # made by the code of that morning, log and index too


def invite_of(machine: BootedMachine) -> Invite:
    return parse_invite(machine.bisikd("invite").strip())


@pytest.fixture
def caller(service: BootedMachine) -> Iterator[Caller]:
    with service.network():
        caller = Caller(invite_of(service))
    yield caller
    caller.close()


def test_it_is_ready_when_systemd_says_so_and_says_how_it_is(service: BootedMachine) -> None:
    """No waiting after `systemctl start`: the first question is answered."""
    service.run("systemctl", "restart", UNIT)
    assert json.loads(service.bisikd("status", "--json"))["type"] == "status"
    assert "connections on [::]:9999" in service.show(UNIT, "StatusText")
    assert service.show(UNIT, "NotifyAccess") == "main"


def test_people_talk_on_while_it_is_killed(service: BootedMachine, caller: Caller, tmp_path: Path) -> None:
    """SIGKILL, again and again: everything is stored once, in order, and heard; the log is whole."""

    async def main() -> int:
        async with talking(invite_of(service).url(), tmp_path) as talk:
            for _ in range(3):
                await trio.to_thread.run_sync(after_kill, service, caller)
                await talk.more()
            return await talk.check()

    with service.network():
        said = trio.run(main)
    report = json.loads(service.bisikd("log", "verify", "--json"))
    assert report["ok"]
    assert report["messages"] >= said


def test_a_daemon_that_hangs_is_found_and_started_anew(service: BootedMachine, caller: Caller) -> None:
    """Only the watchdog can see a process that is stopped."""
    service.configure(UNIT, "[Service]\nWatchdogSec=1\n")
    try:
        service.run("systemctl", "restart", UNIT)
        after_hang(service, caller)
        assert "Watchdog timeout" in service.journal("-u", UNIT)
        wait_until(lambda: service.show(UNIT, "ActiveState") == "active")
    finally:
        service.configure(UNIT, "")


def test_the_watchdog_is_satisfied_by_a_daemon_that_serves(service: BootedMachine) -> None:
    """By datagrams to its own port, through the socket that was passed in and out of a closed sandbox."""
    assert "Datagrams that bisikd sends to its own port do not arrive" not in service.journal("-u", UNIT)
    service.configure(UNIT, "[Service]\nWatchdogSec=1\n")
    try:
        service.run("systemctl", "restart", UNIT)
        process = service.main_process(UNIT)
        service.run("sleep", "3")
        assert service.main_process(UNIT) == process
    finally:
        service.configure(UNIT, "")


def test_a_hangup_does_not_end_it(service: BootedMachine, caller: Caller) -> None:
    """SIGHUP asks a service for something; only a terminal that closes says goodbye with it."""
    process = service.main_process(UNIT)
    service.signal(UNIT, signal.SIGHUP)
    with service.network():
        assert service.bisikd("status")
    assert service.main_process(UNIT) == process


def journal_of(machine: BootedMachine, happening: Happening) -> list[dict[str, str]]:
    """The entries with that ID, oldest first."""
    printed = machine.run("journalctl", "-u", UNIT, f"MESSAGE_ID={happening.message_id}", "-o", "json")
    return [json.loads(line) for line in printed.splitlines()]


def test_a_reload_takes_in_what_was_changed_or_says_why_not(service: BootedMachine) -> None:
    """`systemctl reload` fails for a wrong file, and the daemon goes on with what held."""
    process = service.main_process(UNIT)
    service.write("/var/lib/private/bisikd/bisikd.toml", "[limits]\nrooms = 77\n")
    try:
        service.run("systemctl", "reload", UNIT)
        assert "limits.rooms" in journal_of(service, Happening.RELOADED)[-1]["MESSAGE"]
        service.write("/var/lib/private/bisikd/bisikd.toml", "[limits]\nroms = 77\n")
        assert service.attempt("systemctl", "reload", UNIT).returncode != 0
        assert "roms" in journal_of(service, Happening.RELOAD_REFUSED)[-1]["MESSAGE"]
        assert service.main_process(UNIT) == process
    finally:
        service.run("rm", "/var/lib/private/bisikd/bisikd.toml")


def test_the_journal_can_be_filtered_and_knows_no_secret(service: BootedMachine) -> None:
    """From inside the sandbox, by the journal's own socket; the join password is nowhere in it."""
    service.run("systemctl", "restart", UNIT)
    ready = journal_of(service, Happening.READY)[-1]
    assert ready["BISIKD_EVENT"] == "ready"
    assert ready["BISIKD_LISTEN"] == "[::]:9999"
    assert ready["_SYSTEMD_UNIT"] == UNIT
    assert journal_of(service, Happening.STOPPING)
    password = invite_of(service).join_password
    assert password
    assert password not in service.run("journalctl", "-o", "export")


def test_it_takes_up_the_state_of_an_earlier_version(service: BootedMachine) -> None:
    """Its identity, its people and all that they said, owned by root as a start by hand leaves it."""
    service.run("systemctl", "stop", "bisikd.socket", UNIT)
    service.run("sh", "-c", "rm -rf /var/lib/bisikd /var/lib/private/bisikd")
    with tarfile.open(BEFORE) as archive:
        archive.extractall(f"/proc/{service.init}/root/var/lib", filter="data")
    service.run("mv", "/var/lib/state", "/var/lib/bisikd")
    service.bisikd("install", "--yes")
    said = service.bisikd("log", "show")
    assert [f"kabar {start} {number}" in said for start in range(2) for number in range(5)] == [True] * 10
    assert json.loads(service.bisikd("log", "verify", "--json"))["ok"]
    assert "tama" in service.bisikd("users", "list")


def test_keys_may_be_sealed_to_the_machine(service: BootedMachine) -> None:
    """With them out of the state directory it starts as the server that it was, and not without."""
    fingerprint = json.loads(service.bisikd("status", "--json"))["fingerprint"]
    identity, store = "/var/lib/bisikd/identity", "/etc/credstore.encrypted"
    service.run("mkdir", "-p", store, "/root/safe")
    for name in ("signing.pem", "decryption.pem", "reset.key"):
        service.run(
            "systemd-creds",
            "encrypt",
            "--with-key=host",
            f"--name=bisikd.{name}",
            f"{identity}/{name}",
            f"{store}/bisikd.{name}",
        )
        service.run("mv", f"{identity}/{name}", "/root/safe")
    try:
        service.run("systemctl", "restart", UNIT)
        assert json.loads(service.bisikd("status", "--json"))["fingerprint"] == fingerprint
        service.run("rm", "-r", store)
        assert service.attempt("systemctl", "restart", UNIT).returncode != 0
    finally:
        service.run("sh", "-c", f"cp -a /root/safe/* {identity}; rm -rf {store}")
        service.run("systemctl", "reset-failed")


def test_uninstall_leaves_the_state(service: BootedMachine) -> None:
    """The units go, the port is free, and a new install finds everything."""
    before = invite_of(service)
    service.bisikd("uninstall", "--yes")
    assert service.attempt("systemctl", "cat", UNIT).returncode != 0
    assert service.attempt("test", "-e", "/var/lib/bisikd/identity/signing.pem").returncode == 0
    service.bisikd("install", "--yes", "--public-host", "127.0.0.1")
    assert invite_of(service) == before
