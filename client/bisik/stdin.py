"""Standard input, for the whole life of the program: lines from a pipe or a person, keys from a terminal.

One object reads it, so that nothing is lost in a buffer between the dialogue and the room. On Unix no thread is
needed and a read can be cancelled; on Windows it is read in a thread, which is given up with the program.
"""

import codecs
import os
import sys
from collections import deque
from typing import Final

import trio

MAX_LINE: Final = 1 << 20  # characters of a line from a pipe; a longer one comes in pieces

STDIN: Final = 0


class EndOfInput(Exception):  # noqa: N818 # not an error: it was closed
    """There is nothing more to read."""


class Stdin:
    """Lines and keys of one file descriptor."""

    def __init__(self, descriptor: int = STDIN) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines: deque[str] = deque()
        self._rest = ""
        self._ended = False

    @property
    def is_terminal(self) -> bool:
        return os.isatty(self._descriptor)

    async def line(self) -> str:
        """The next line, without its end. Raises EndOfInput."""
        while not self._lines:
            if self._ended:
                raise EndOfInput
            self._split(await self._read())
        return self._lines.popleft()

    async def keys(self) -> str:
        """What was typed since the last call, lines that were read ahead first. Raises EndOfInput."""
        if self._lines or self._rest:
            ahead = "".join(f"{line}\n" for line in self._lines) + self._rest
            self._lines.clear()
            self._rest = ""
            return ahead
        text = await self._read()
        if self._ended and not text:
            raise EndOfInput
        return text

    def _split(self, text: str) -> None:
        *lines, rest = (self._rest + text).replace("\r\n", "\n").split("\n")
        self._lines.extend(lines)
        self._rest = rest
        if rest and (self._ended or len(rest) > MAX_LINE):
            self._lines.append(rest)
            self._rest = ""

    async def _read(self) -> str:
        data = await self._read_bytes()
        self._ended = not data
        return self._decoder.decode(data, final=self._ended)

    async def _read_bytes(self) -> bytes:
        if sys.platform == "win32":
            return await trio.to_thread.run_sync(os.read, self._descriptor, 4096, abandon_on_cancel=True)
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
        except OSError:  # a regular file, or /dev/null: always readable
            await trio.lowlevel.checkpoint()
        try:
            return os.read(self._descriptor, 4096)
        except OSError:  # a terminal that is gone
            return b""
