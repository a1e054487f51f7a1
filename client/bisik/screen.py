"""Where lines appear: above the line that is being typed, which they never break.

On a terminal the line at the bottom is the prompt and the end of what was typed, never longer than the terminal is
wide; it is erased before a line is printed and drawn again below it. Everywhere else, data goes to stdout and talk to
stderr, a line each.
"""

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import click

from bisik.lineedit import cells, end_that_fits
from bisik_protocol.chat.text import harmless

ERASE_LINE = "\r\x1b[K"
MAX_HELD_LINES = 2000


class Screen(Protocol):
    """`show` is for what was said in rooms, `talk` for everything else."""

    def show(self, line: str) -> None: ...
    def talk(self, line: str) -> None: ...
    def draw(self, prompt: str, typed: str) -> None: ...
    def entered(self) -> None: ...
    def ring(self, sequence: str) -> None: ...


class Pipes:
    """Standard output and standard error, a line each."""

    def show(self, line: str) -> None:
        click.echo(line)

    def talk(self, line: str) -> None:
        click.echo(line, err=True)

    def draw(self, prompt: str, typed: str) -> None:
        """Nobody sees a prompt."""

    def entered(self) -> None:
        """Nor what is typed."""

    def ring(self, sequence: str) -> None:
        """A file does not ring."""


class TerminalScreen:
    """A terminal that knows how to erase a line."""

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._bottom = ""

    def show(self, line: str) -> None:
        self._print(line)

    def talk(self, line: str) -> None:
        self._print(f"\x1b[2m{line}\x1b[0m" if self._color else line)

    def draw(self, prompt: str, typed: str) -> None:
        """Put this at the bottom."""
        self._bottom = end_that_fits(prompt + harmless(typed), _columns() - 1)
        click.echo(ERASE_LINE + self._bottom, nl=False, color=True)

    def entered(self) -> None:
        """What was typed goes with the next `draw`."""

    def ring(self, sequence: str) -> None:
        """Make the noise that was chosen."""
        click.echo(sequence, nl=False, color=True)

    def close(self) -> None:
        """Leave the terminal with its cursor at the beginning of a line."""
        click.echo(ERASE_LINE, nl=False, color=True)

    def _print(self, line: str) -> None:
        click.echo(f"{ERASE_LINE}{line}\n{self._bottom}", nl=False, color=True)


class PlainScreen:
    """A terminal on which nothing is ever drawn again, for who hears it rather than sees it.

    What is typed is echoed key by key. What comes meanwhile waits until the line is entered or empty again, so that
    it never comes between; of very much only the last is kept, and /history has the rest.
    """

    def __init__(self) -> None:
        self._typed = ""
        self._held: deque[str] = deque(maxlen=MAX_HELD_LINES)

    def show(self, line: str) -> None:
        self.talk(line)

    def talk(self, line: str) -> None:
        self._held.append(line)
        self._release()

    def draw(self, prompt: str, typed: str) -> None:
        """Echo what has changed since the last time; there is no prompt."""
        shown = harmless(typed)
        same = 0
        while same < min(len(shown), len(self._typed)) and shown[same] == self._typed[same]:
            same += 1
        gone = sum(map(cells, self._typed[same:]))
        click.echo("\b \b" * gone + shown[same:], nl=False, color=True)
        self._typed = shown
        self._release()

    def entered(self) -> None:
        """The line is done."""
        click.echo()
        self._typed = ""
        self._release()

    def ring(self, sequence: str) -> None:
        """Make the noise that was chosen."""
        click.echo(sequence, nl=False, color=True)

    def close(self) -> None:
        """Leave the terminal with its cursor at the beginning of a line."""
        if self._typed:
            self.entered()

    def _release(self) -> None:
        while self._held and not self._typed:
            click.echo(self._held.popleft(), color=True)


def can_redraw() -> bool:
    """Whether there is a person at a terminal that can erase a line, on a system where single keys can be read."""
    return sys.platform != "win32" and os.environ.get("TERM", "dumb") != "dumb" and os.isatty(0) and os.isatty(1)


def wants_color() -> bool:
    """https://no-color.org"""
    return not os.environ.get("NO_COLOR")


def _columns() -> int:
    """As the terminal says; $COLUMNS does not change when a window does."""
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


@contextmanager
def single_keys(descriptor: int = 0) -> Iterator[Any]:
    """Keys come one by one and are not echoed; ^C and ^Z still work. Yields what sets it again after a stop."""
    import termios  # noqa: PLC0415 # Unix only
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(descriptor)

    def begin() -> None:
        tty.setcbreak(descriptor, termios.TCSANOW)

    try:
        begin()
        yield begin
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
