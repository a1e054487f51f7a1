"""Man pages and completion: made from the same source as --help, and current."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bisik import cli
from bisik.commands.completion import SHELLS
from tests.client.processes import BISIK, bisik
from tests.support.manual import pages


@pytest.mark.parametrize(("path", "text"), pages().items(), ids=lambda value: getattr(value, "name", ""))
def test_man_pages_are_current(path: Path, text: str) -> None:
    """`make man` writes them again."""
    assert path.read_text("utf-8") == text


def test_every_command_is_in_its_man_page() -> None:
    """With nothing that a reader of roff would take for a request."""
    page = next(text for path, text in pages().items() if path.name == "bisik.1")
    for name in cli.COMMANDS:
        assert f'.SS "{name} ' in page or f'.SS "{name}"' in page
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi"}


def test_man_itself_finds_nothing_wrong_with_them() -> None:
    """Where it is installed."""
    man = shutil.which("man")
    if man is None:
        pytest.skip("needs man")
    for path in pages():
        done = subprocess.run(
            [man, "--warnings", "-l", path],
            env={**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "NAME" in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_get_what_they_need(shell: str) -> None:
    """A script that asks this program; other shells are refused."""
    done = bisik("completion", shell)
    assert "_BISIK_COMPLETE" in done.stdout
    assert bisik("completion", "csh").returncode == 2


def test_a_shell_that_asks_is_told_commands_and_options() -> None:
    """As bash asks."""
    for words, position, expected in [("bisik hi", "1", "history"), ("bisik send --ti", "2", "--timeout")]:
        environment = {**os.environ, "_BISIK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": position}
        done = subprocess.run([BISIK], env=environment, capture_output=True, text=True, check=True)
        assert f"plain,{expected}" in done.stdout
