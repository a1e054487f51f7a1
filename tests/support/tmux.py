"""Windows of a terminal that is really there: tmux, with a server of its own for each test."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 40.0
LOOK_EVERY_S = 0.1
PROMPT = "READY> "

available = shutil.which("tmux") is not None
_STYLE = re.compile(r"\x1b\[[\d;:]*m")


class Window:
    """A shell in a window. Programs in it can be suspended, and come back."""

    def __init__(self, server: "Tmux", name: str, *, columns: int = 100, rows: int = 24) -> None:
        self._server = server
        self._name = name
        shell = "env --unset=NO_COLOR bash --norc --noprofile -i"
        server.run("new-session", "-d", "-s", name, "-x", str(columns), "-y", str(rows), shell)
        server.run("set-option", "-t", name, "window-size", "manual")
        self.type(f"PS1='{PROMPT}'", "Enter")
        self.until_seen(f"\n{PROMPT.strip()}")

    def type(self, *keys: str) -> None:
        """Texts, and names of keys as tmux has them."""
        self._server.run("send-keys", "-t", self._name, *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._server.run("resize-window", "-t", self._name, "-x", str(columns), "-y", str(rows))

    def text(self) -> str:
        """What a person sees."""
        return self._server.run("capture-pane", "-p", "-t", self._name)

    def styles(self) -> set[str]:
        """The sequences that colours and weights on the screen are made of."""
        return set(_STYLE.findall(self._server.run("capture-pane", "-p", "-e", "-t", self._name)))

    def until(self, condition: Callable[[str], bool]) -> str:
        """Wait for the screen to be so. Fails after a long while, with what was to be seen then."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition(text := self.text()):
            if time.monotonic() > deadline:
                raise AssertionError(f"this is what was seen:\n{text}")
            time.sleep(LOOK_EVERY_S)
        return text

    def until_seen(self, wanted: str) -> str:
        return self.until(lambda text: wanted in f"\n{text}")


class Tmux:
    """One tmux server, for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-f", "/dev/null", "-S", str(self._socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout

    def window(self, name: str, *, columns: int = 100, rows: int = 24) -> Window:
        return Window(self, name, columns=columns, rows=rows)

    def __enter__(self) -> "Tmux":
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False)
