"""What the command line makes of every ending: an exit code, one sentence at most, and never a traceback."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from bisikd import cli
from bisikd.errors import BisikdError, NotRunning, UsageProblem
from tests.support.daemon_process import CLEAN, PROGRAM


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "\n"),  # ends the line that shows ^C
        (BisikdError("It cannot be."), 1, "bisikd: It cannot be.\n"),
        (UsageProblem("That is no key."), 2, "bisikd: That is no key.\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "bisikd: /x: Permission denied.\n"),
        (OSError(5, "Input/output error"), 1, "bisikd: The system: Input/output error.\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_each_ending_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: BaseException,
    code: int,
    said: str,
) -> None:
    """Interrupted, refused, wrong usage, the system's own errors, and a reader who has seen enough."""

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("bisikd.commands.common.ask", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main(["status", "--state", str(tmp_path)])
    assert ended.value.code == code
    assert capfd.readouterr() == ("", said)


def test_nobody_answers_is_3() -> None:
    """Scripts tell a daemon that is not there from one that refuses."""
    assert NotRunning.exit_code == 3


def test_output_that_nobody_reads_to_the_end_is_no_noise() -> None:
    """`bisikd --help | head -1` leaves no complaint of the interpreter behind."""
    with subprocess.Popen([*PROGRAM, "--help"], env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("command", [["--help"], ["-h"], ["run", "--help"], ["log", "--help"], ["users", "--help"]])
def test_help_is_for_everything(capfd: pytest.CaptureFixture[str], command: list[str]) -> None:
    """Asking is never an error, and goes to stdout."""
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 0
    assert "Usage: bisikd" in capfd.readouterr().out


def test_a_start_imports_nothing_that_only_other_commands_need(tmp_path: Path) -> None:
    """After a crash people wait for it: no archives, no checks, no metrics, no package metadata."""
    program = (
        "import sys; from bisikd import cli; import bisikd.service as service;"
        "service.serve = lambda configuration, as_json: print(*sys.modules);"
        f"cli.main(['run', '--state', {str(tmp_path)!r}])"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "bisikd.chat" in loaded
    assert {name for name in loaded if name.startswith("bisikd.commands.")} == {"bisikd.commands.common"}
    assert not {"bisikd.backup", "bisikd.doctor", "importlib.metadata", "tarfile", "platformdirs"}.intersection(
        loaded
    )
    assert "prometheus_client" not in loaded


def test_every_command_is_where_the_table_says() -> None:
    """So that none is found out to be missing by who needs it."""
    for names in cli.COMMANDS.values():
        for name in names:
            command = cli.cli.get_command(cli.cli.context_class(cli.cli), name)
            assert command is not None
            assert command.name == name
