"""Programs as processes that print JSON lines: started, listened to, spoken to, killed, and always reaped."""

import json
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import trio

from bisik.news import News

KEPT_TALK_LINES: Final = 200
MAX_READ_BYTES: Final = 65_536

Printed = dict[str, Any]
"""One line that a program printed, from JSON."""


class ProgramEnded(Exception):  # noqa: N818 # reads as what it says
    """A program ended before it did what was waited for. Says what it last said on stderr."""


class Program:
    """A running process. `lines` holds what it printed so far, `talk` the last lines of its stderr."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.lines: list[Printed] = []
        self.talk: deque[str] = deque(maxlen=KEPT_TALK_LINES)
        self.on_line: Callable[[Printed], None] = lambda line: None
        self._process = process
        self._news = News()
        self._open_streams = 2

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    def of_type(self, kind: str) -> list[Printed]:
        """The lines of this type, oldest first."""
        return [line for line in self.lines if line.get("type") == kind]

    async def until(self, holds: Callable[["Program"], bool]) -> None:
        """Return once it holds; looks at every line that comes. Raises ProgramEnded when no more can come."""
        while not holds(self):
            if not self._open_streams:
                raise ProgramEnded("\n".join([f"{self.name} ended too early.", *self.talk]))
            await self._news.wait()

    async def first(self, kind: str) -> Printed:
        """The first line of this type. Raises ProgramEnded."""
        await self.until(lambda program: bool(program.of_type(kind)))
        return self.of_type(kind)[0]

    async def write(self, line: Mapping[str, Any]) -> None:
        """One JSON line on its stdin. Raises ProgramEnded when it does not listen any more."""
        assert self._process.stdin is not None  # noqa: S101 # `run_program` opens it
        try:
            await self._process.stdin.send_all(json.dumps(line).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ProgramEnded("\n".join([f"{self.name} does not listen any more.", *self.talk])) from None

    async def close_stdin(self) -> None:
        assert self._process.stdin is not None  # noqa: S101
        await self._process.stdin.aclose()

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, or what the system has in its place."""
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    async def wait(self) -> int:
        """Its exit status, once it has ended and all that it printed was read."""
        await self.until(lambda program: not program._open_streams)
        return await self._process.wait()

    async def _read_stdout(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        async for raw in _lines_of(self._process.stdout):
            line: Printed
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"type": "not-json", "text": raw.decode(errors="backslashreplace")}
            self.lines.append(line)
            self.on_line(line)
            self._news.tell()
        self._on_end_of_stream()

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        async for raw in _lines_of(self._process.stderr):
            self.talk.append(raw.decode(errors="backslashreplace"))
        self._on_end_of_stream()

    def _on_end_of_stream(self) -> None:
        self._open_streams -= 1
        self._news.tell()


async def run_program(
    name: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    task_status: trio.TaskStatus[Program] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run this Python with these arguments until it ends; cancelling kills it. Starts with the Program."""
    process = await trio.lowlevel.open_process(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    program = Program(name, process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program._read_stdout)
            nursery.start_soon(program._read_stderr)
            task_status.started(program)
        await process.wait()
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
                await process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await trio.aclose_forcefully(stream)


async def _lines_of(stream: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    buffered = b""
    while received := await stream.receive_some(MAX_READ_BYTES):
        *lines, buffered = (buffered + received).split(b"\n")
        for line in lines:
            yield line
    if buffered:
        yield buffered
