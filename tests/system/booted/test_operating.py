"""What docs/operating.md tells operators to do, done as it is written there, on a machine with nothing of ours."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

import bisik
from bisik_protocol.chat.invite import parse_invite
from tests.support.booted import ROOT, BootedMachine, booted, why_not
from tests.system.booted.procedures import blocks

PYTHON = "/usr/bin/python3"  # what a machine has that knows nothing of this clone's
PLACES = (
    "mkdir -p /path/to/the /mnt/usb && ln -s {clone} /path/to/the/clone && mount -t tmpfs tmpfs /usr/local/bin"
    " && echo 127.0.0.1 chat.example.org >> /etc/hosts && echo secret of the backup > /root/bisik.password"
)


def why_no_python() -> str | None:
    try:
        subprocess.run([PYTHON, "-c", "import ensurepip, venv"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return f"{PYTHON} can make no virtual environment (Debian: apt-get install python3-venv)"
    return None


class Box:
    """A machine, and an operator who types what the document says."""

    def __init__(self, machine: BootedMachine) -> None:
        self._machine = machine

    def type(self, block: str) -> str:
        """Run a block at a terminal, saying yes where it asks; what it printed. Every command in it must succeed."""
        self._machine.write("/root/block", f"set -e\ncd /root\nexport PATH=/usr/local/bin:$PATH\n{block}")
        done = self._machine.attempt("sh", "-c", "cd /; echo y | script -qec 'sh /root/block' /dev/null")
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}\n{self._machine.journal('-n', '20')}"
        return done.stdout

    def ask(self, *arguments: str) -> str:
        """What bisikd prints to a program."""
        return self._machine.run("/usr/local/bin/bisikd", *arguments).strip()

    def fingerprint(self) -> str:
        return str(json.loads(self.ask("status", "--json"))["fingerprint"])

    def say(self, text: str, home: Path) -> None:
        """Sari, whose name is taken the first time, says it in the lobby; it is stored."""
        invite = replace(parse_invite(self.ask("invite")), host="127.0.0.1")

        async def main() -> None:
            async with bisik.open_chat(invite.url(), name="sari", home=home) as chat:
                await chat.send("#lobby", text)

        with self._machine.network():
            trio.run(main)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    if reason := why_not() or why_no_python():
        pytest.skip(reason)
    scratch = tmp_path_factory.mktemp("operating")
    wheels, venv = scratch / "wheels", scratch / "venv"  # the machine has no network to get them by
    subprocess.run([PYTHON, "-m", "venv", venv], check=True)
    wanted = [str(ROOT), "hatchling", "pip"]
    subprocess.run([venv / "bin/python", "-m", "pip", "wheel", "-q", *wanted, "-w", wheels], check=True)
    next(wheels.glob("bisik-*")).unlink()  # that, it makes itself
    with booted(scratch) as machine:
        shutil.copytree(wheels, f"/proc/{machine.init}/root/wheels")
        machine.write("/etc/pip.conf", "[global]\nno-index = true\nfind-links = /wheels\n")
        machine.run("sh", "-c", PLACES.format(clone=ROOT))
        yield Box(machine)


def test_every_procedure_works_as_it_is_written(box: Box, tmp_path: Path) -> None:
    """From an empty machine through a backup, a disaster, stolen keys and a lost device to another box."""
    for block in blocks("Install"):
        box.type(block)
    box.say("before the backup", tmp_path)
    server = box.fingerprint()

    for block in blocks("Backup"):
        box.type(block)
    box.say("after the backup", tmp_path)

    (restore,) = blocks("Restore")
    assert "The log is whole" in box.type(restore)
    said = box.ask("log", "show")
    assert "before the backup" in said
    assert "after the backup" not in said
    assert box.fingerprint() == server

    rescued, salvaged = blocks("Reading the log after a disaster")
    assert "before the backup" in box.type(rescued)
    assert "after the backup" in box.type(salvaged)

    (revoke,) = blocks("Revoking a device")
    (device,) = json.loads(box.ask("users", "show", "sari", "--json"))["devices"]
    assert "0 devices left" in box.type(revoke.replace("abcd", device[:8]))
    assert json.loads(box.ask("users", "show", "sari", "--json"))["devices"] == []

    invite = box.ask("invite")
    renew, stolen = blocks("Rotating keys")
    assert invite not in box.type(renew)
    assert "before the backup" in box.type(stolen)
    assert box.fingerprint() != server

    server = box.fingerprint()
    box.say("before the move", tmp_path / "new")
    leave, arrive = blocks("Another box")
    box.type(leave)
    box.type("rm -r /var/lib/private/bisikd* /var/lib/bisikd")  # an empty box, but for the programs
    assert "The log is whole" in box.type(arrive)
    assert box.fingerprint() == server
    box.say("after the move", tmp_path / "new")

    upgrade, drain = blocks("Upgrade")
    assert re.search(r"^NO ", box.type(upgrade), re.MULTILINE) is None
    box.type(drain)
