"""A systemd of its own for a test: this machine's /usr under systemd-nspawn, and beside it nothing that stays.

It boots in about a second, sees the repository and the interpreter read-only, and has a network of its own with
nothing in it but a loopback interface. Needs root and Debian's package systemd-container; `why_not` says what is
missing. It ends with its block, whatever happened in it.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from compileall import compile_dir
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BISIKD: Final = (sys.executable, "-m", "bisikd")
BOOT_S: Final = 60.0
COMMAND_S: Final = 120.0
_CLONE_NEWNET: Final = 0x40000000


def why_not() -> str | None:
    """What keeps this machine from booting a systemd, or None."""
    if sys.platform != "linux":
        return "only Linux has systemd"
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    for program in ("systemd-nspawn", "nsenter"):
        if shutil.which(program) is None:
            return f"there is no {program} (Debian: apt-get install systemd-container)"
    return None


class BootFailed(AssertionError):  # noqa: N818 # reads as what it says
    """systemd did not come up; the text is what it printed."""


class BootedMachine:
    """A running systemd. `init` is the process number of its PID 1 as this machine counts."""

    def __init__(self, init: int) -> None:
        self.init = init

    def attempt(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, to its end."""
        return subprocess.run(
            ["nsenter", "-t", str(self.init), "-a", "--wd=/", *map(str, command)],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_PAGER": ""},
        )

    def run(self, *command: str | Path) -> str:
        """What a command prints that has to succeed."""
        done = self.attempt(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def bisikd(self, *arguments: str) -> str:
        return self.run(*BISIKD, *arguments)

    def write(self, path: str, text: str) -> None:
        """Make a file inside, and the directories above it."""
        file = Path(f"/proc/{self.init}/root{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def journal(self, *arguments: str) -> str:
        return self.attempt("journalctl", "--no-pager", "-n", "60", *arguments).stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", unit, f"--property={name}", "--value").strip()

    def configure(self, unit: str, text: str) -> None:
        """Put settings beside those of a unit; empty takes them away again."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.run("systemctl", "daemon-reload")

    def main_process(self, unit: str) -> int:
        """The number that this machine has for a service's main process; 0 while there is none."""
        inside = self.show(unit, "MainPID")
        children = Path(f"/proc/{self.init}/task/{self.init}/children").read_text().split()
        for child in children if inside != "0" else ():
            try:
                status = Path(f"/proc/{child}/status").read_text()
            except OSError:
                continue  # it has ended
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(numbers) > 1 and numbers[1] == inside:
                return int(child)
        return 0

    def signal(self, unit: str, number: signal.Signals) -> None:
        """Send a signal to a service's main process, at once."""
        process = self.main_process(unit)
        assert process, f"{unit} has no process\n{self.journal()}"
        os.kill(process, number)

    @contextmanager
    def network(self) -> Iterator[None]:
        """In this block, the sockets and processes that this thread makes are on the machine's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (
            Path("/proc/thread-self/ns/net").open("rb") as ours,
            Path(f"/proc/{self.init}/ns/net").open("rb") as theirs,
        ):
            _enter(libc, theirs.fileno())
            try:
                yield
            finally:
                _enter(libc, ours.fileno())


def _enter(libc: ctypes.CDLL, namespace: int) -> None:
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def booted(scratch: Path) -> Iterator[BootedMachine]:
    """Boot, and power off when the block ends. `scratch` is for what it prints."""
    # As pip does when it installs: what sees the code read-only would compile all of it at every start.
    compile_dir(ROOT / "daemon", quiet=1)
    compile_dir(ROOT / "protocol", quiet=1)
    needed = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
    seen = [path for path in needed if not path.is_relative_to("/usr") and not needed & set(path.parents)]
    output = scratch / "console"
    with output.open("wb") as console:
        process = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--directory=/", "--volatile=yes", f"--machine=bisik-{os.getpid()}"),
                *("--private-network", "--register=no", "--keep-unit", "--console=pipe"),
                *(f"--bind-ro={path}" for path in seen),
                "--boot",
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
    machine = None
    try:
        machine = _wait_for_boot(process, output)
        yield machine
    finally:
        _power_off(process, machine)


def _wait_for_boot(process: "subprocess.Popen[bytes]", output: Path) -> BootedMachine:
    until = monotonic() + BOOT_S
    while monotonic() < until and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            machine = BootedMachine(int(children[0]))
            # Degraded is fine: what of this machine's units fails in there is not ours.
            if machine.attempt("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return machine
        sleep(0.05)
    raise BootFailed(output.read_text(errors="replace"))


def _power_off(process: "subprocess.Popen[bytes]", machine: BootedMachine | None) -> None:
    """From inside: a killed nspawn leaves the systemd that it started behind."""
    if machine is not None:
        machine.attempt("systemctl", "poweroff", "--force")
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        if machine is not None:
            os.kill(machine.init, signal.SIGKILL)
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool], seconds: float = 30.0) -> float:
    """Ask again and again; how long it took. Fails when it takes too long."""
    start = monotonic()
    while not is_so():
        assert monotonic() < start + seconds, "it did not come to be"
        sleep(0.01)
    return monotonic() - start
