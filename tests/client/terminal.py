"""A program in a terminal, seen as a person sees it: a pseudo-terminal, and rows of text that escape codes act on.

The emulator knows what line mode uses and nothing else, so that anything else that reaches the terminal fails a test.
"""

import os
import pty
import re
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 30.0
_TOKEN = re.compile(r"\x1b\[K|\x1b\[\d*m|\r|\n|[^\x00-\x1f\x7f-\x9f]+|.", re.DOTALL)


class Terminal:
    """Runs `arguments` in a terminal of so many columns."""

    def __init__(self, arguments: list[str | Path], *, columns: int = 80, term: str = "xterm") -> None:
        self.rows = [""]
        self.wrong: list[str] = []
        """Control characters and sequences that should not have come."""
        self._columns = columns
        self._column = 0
        self._pid, self._descriptor = pty.fork()
        if self._pid == 0:
            os.environ.update(TERM=term, NO_COLOR="1")
            os.execv(str(arguments[0]), [str(argument) for argument in arguments])  # noqa: S606
        self.resize(columns)

    def resize(self, columns: int) -> None:
        import fcntl  # noqa: PLC0415 # Unix only
        import termios  # noqa: PLC0415

        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def tell(self, number: int) -> None:
        os.kill(self._pid, number)

    def until(self, condition: Callable[["Terminal"], bool]) -> None:
        """Read until the screen shows what is wanted. Fails after a long while, with the screen."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition(self):
            if not self._read(deadline - time.monotonic()):
                raise AssertionError("this is what was seen:\n" + "\n".join(self.rows))

    def until_row(self, end: str) -> None:
        """Until a row ends like this."""
        self.until(lambda terminal: any(row.endswith(end) for row in terminal.rows))

    def until_bottom(self, text: str) -> None:
        """Until the last row is this."""
        self.until(lambda terminal: terminal.rows[-1] == text)

    def wait(self) -> int:
        """Read to the end; the exit code."""
        while self._read(DEADLINE_S):
            pass
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as a shell leaves it."""
        import termios  # noqa: PLC0415

        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    def close(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._descriptor)

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, timeout_s))
        if not ready:
            return False
        try:
            data = os.read(self._descriptor, 1 << 16)
        except OSError:  # how Linux says that the other side has closed
            return False
        for token in _TOKEN.findall(data.decode("utf-8", "replace")):
            self._show(token)
        return bool(data)

    def _show(self, token: str) -> None:
        row = self.rows[-1]
        if token == "\n":
            self.rows.append("")
            self._column = 0
        elif token == "\r":
            self._column = 0
        elif token == "\x1b[K":
            self.rows[-1] = row[: self._column]
        elif token < " " or "\x7f" <= token[0] <= "\x9f":
            self.wrong.append(token)
        else:
            self.rows[-1] = row[: self._column] + token + row[self._column + len(token) :]
            self._column += len(token)
            if self._column > self._columns:
                self.wrong.append(f"a row of {self._column} columns")


assert sys.platform != "win32"
