"""The corpus of hostile text against a real terminal: in every mode nothing of it acts, and no control byte arrives.

tmux runs the program; what the program writes is kept byte for byte, and what a person would see is asked of tmux.
"""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from bisik.chat import open_chat
from tests.client.processes import BISIK, Daemon, bisik
from tests.support.hostile_text import CORPUS, INVISIBLE, LAST, raw_controls

TMUX = shutil.which("tmux")
DEADLINE_S = 30.0
OF_LINE_MODE = re.compile(r"\x1b\[K|\x1b\[\d*m|\r")
OF_THE_SCREEN = re.compile(
    r"\x1b\]22;[a-z]*\x07|\x1b\[[<>=?]?[\d;:]*[ $]?[A-Za-z]|\x1b[()][AB0]|\x1b[=>78]|\x1b\\|\r|\x08"
)


class Tmux:
    """One program in a terminal of its own, a hundred columns and many rows."""

    def __init__(self, directory: Path, *arguments: str | Path) -> None:
        self._socket = directory / "tmux.sock"
        self._raw = directory / "raw"
        script = directory / "run"
        script.write_text("read go\nexec " + " ".join(f"'{argument}'" for argument in arguments) + "\n")
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "120", f"sh '{script}'")
        self._tmux("pipe-pane", "-o", f"cat > '{self._raw}'")
        self._tmux("send-keys", "", "Enter")

    def _tmux(self, *arguments: str) -> str:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [str(TMUX), "-S", self._socket, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    @property
    def shown(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def title(self) -> str:
        return self._tmux("display-message", "-p", "#{pane_title}")

    @property
    def written(self) -> str:
        """What the program wrote so far, without a sequence that has only begun."""
        written = self._raw.read_bytes().decode("utf-8", "backslashreplace")
        return re.sub(r"\x1b[^A-Za-z\x07]*\Z", "", written)

    def until(self, text: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.shown:
            assert time.monotonic() < deadline, f"this is what was seen:\n{self.shown}"
            select.select([], [], [], 0.05)

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture(scope="module")
def mallorys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server in whose lobby all of the corpus was said."""
    directory = tmp_path_factory.mktemp("corpus")
    daemon = Daemon(directory / "daemon")

    async def say_all() -> None:
        async with open_chat(daemon.invite, name="mallory", home=daemon.home(directory / "m", key=191)) as chat:
            for name, text in CORPUS.items():
                await chat.queue("#lobby", f"{name}: {text}")
            await chat.send("#lobby", LAST)

    trio.run(say_all)
    yield daemon
    daemon.stop()


def victim(daemon: Daemon, home: Path, key: int) -> Path:
    """Somebody who has read none of it yet."""
    assert bisik("register", daemon.invite, "--name", f"v{key}", "--home", daemon.home(home, key=key)).returncode == 0
    return home


@pytest.mark.skipif(TMUX is None or sys.platform == "win32", reason="needs tmux")
@pytest.mark.parametrize("mode", ["lines", "plain", "screen"])
def test_nothing_hostile_reaches_the_terminal(mode: str, mallorys: Daemon, tmp_path: Path) -> None:
    """Only what the mode itself uses; the title, the screen and the cursor's place are as they would be."""
    home = victim(mallorys, tmp_path / "home", 192 + len(mode))
    options = [] if mode == "screen" else [f"--{mode}"]
    terminal = Tmux(tmp_path, "env", "NO_COLOR=1", BISIK, "--home", home, *options)
    try:
        terminal.until(LAST)
        written, shown, title = terminal.written, terminal.shown, terminal.title
    finally:
        terminal.close()
    of_its_own = OF_THE_SCREEN if mode == "screen" else OF_LINE_MODE
    assert raw_controls(of_its_own.sub("", written)) == set()
    assert INVISIBLE.isdisjoint(written)
    assert "owned" not in title
    assert "[2J" in shown  # as text
    assert [text for text in CORPUS.values() if len(raw_controls(text)) and text in written] == []


def test_nothing_hostile_is_in_the_output_of_commands(mallorys: Daemon, tmp_path: Path) -> None:
    """One line for each message, whatever is in it, for people and for programs."""
    home = victim(mallorys, tmp_path / "home", 200)
    count = len(CORPUS) + 1
    for command in (["history"], ["history", "--json"], ["tail"], ["search", "--json", "owned"]):
        done = bisik(*command, "--home", home, "--count", str(count))
        assert done.returncode == 0, command
        assert raw_controls(done.stdout) == set()
        assert INVISIBLE.isdisjoint(done.stdout)
        assert "\r" not in done.stdout
        assert len(done.stdout.splitlines()) >= (5 if command[0] == "search" else count)
