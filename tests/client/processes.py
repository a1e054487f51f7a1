"""Real programs for the client's tests: a daemon on loopback that can be stopped, killed and started again."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from signal import SIGTERM
from typing import Any

from bisik import cli
from bisik.files import make_private_directory, write_atomically
from bisik.home import Home
from bisik_protocol.chat.invite import parse_invite
from bisikd import cli as operator
from tests.support.daemon_process import fresh_state
from tests.support.keys import device_key, sealing_key

SCRIPTS = Path(sys.executable).parent
BISIK, BISIKD = str(SCRIPTS / "bisik"), str(SCRIPTS / "bisikd")


class Daemon:
    """`bisikd run` in a directory, always on the same port. A `stranger` has keys of its own, which take a while."""

    def __init__(self, directory: Path, *, port: int = 0, stranger: bool = False, **variables: str) -> None:
        """`variables` are its environment's, beside ours."""
        if not stranger:
            fresh_state(directory / "state")
        self.directory = directory
        self.port = port
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None
        self.invite = ""
        self.start()

    def start(self) -> None:
        """Start it; it serves when this returns."""
        listen = f"127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [BISIKD, "run", "--json", "--listen", listen, "--state", str(self.directory / "state")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | self._variables,
        )
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.invite = ready["invite"]
        self.port = int(ready["listen"].rpartition(":")[2])

    @property
    def fingerprint(self) -> bytes:
        found = parse_invite(self.invite).fingerprint
        assert found is not None
        return found

    @property
    def join_password(self) -> str:
        found = parse_invite(self.invite).join_password
        assert found is not None
        return found

    def tell(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self, number: int = SIGTERM) -> None:
        """Stop it, by SIGKILL if need be; it is gone when this returns."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.communicate(timeout=20)
            self._process = None

    def home(self, directory: Path, *, key: int = 0) -> Path:
        """A home whose keys are already there: making them takes a while."""
        folder = Home(directory).folder(self.fingerprint)
        make_private_directory(folder)
        write_atomically(folder / "device.pem", device_key(key).to_pem())
        write_atomically(folder / "sealing.pem", sealing_key(key).to_pem())
        return directory


def bisik(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: as a process where it reads standard input, else in this one, which is quicker."""
    words = [str(argument) for argument in arguments]
    if stdin is not None:
        return bisik_process(*words, stdin=stdin)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def bisikd(*arguments: str | Path) -> tuple[int, str]:
    """Run a command of the operator's to its end, in this process: its exit code and output."""
    out = io.TextIOWrapper(io.BytesIO())
    code = 0
    with redirect_stdout(out):
        try:
            operator.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    out.seek(0)
    return code, out.read()


def bisik_process(*arguments: str, stdin: str = "", timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the program itself to its end."""
    return subprocess.run(
        [BISIK, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
