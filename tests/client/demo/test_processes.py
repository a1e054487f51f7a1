"""Programs as processes: what they print is kept, what they need is waited for, and none is left behind."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from bisik.demo.processes import Program, ProgramEnded, run_program

PATIENCE_S = 30.0


@asynccontextmanager
async def running(code: str) -> AsyncIterator[Program]:
    """This Python, with a few lines of its own."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            program: Program = await nursery.start(run_program, "it", ["-c", code])
            yield program
            nursery.cancel_scope.cancel()


async def test_what_it_prints_is_kept_by_line_and_told() -> None:
    """Lines that come in pieces or together are one object each, in order; the last needs no newline."""
    code = (
        "import sys\n"
        'for part in (\'{"type": "a", "n"\', \': 1}\\n{"type": "b"}\\n{"type":\', \' "a", "n": 2}\'):\n'
        "    sys.stdout.write(part)\n"
        "    sys.stdout.flush()\n"
    )
    async with running(code) as program:
        assert await program.first("b") == {"type": "b"}
        assert await program.wait() == 0
        assert program.of_type("a") == [{"type": "a", "n": 1}, {"type": "a", "n": 2}]


async def test_whoever_listens_is_told_of_each_line() -> None:
    """`on_line` sees a line when it comes."""
    async with running('input(); print(\'{"type": "a"}\')') as program:
        heard: list[str] = []
        program.on_line = lambda line: heard.append(line["type"])
        await program.write({})
        await program.wait()
        assert heard == ["a"]


async def test_a_line_that_is_not_json_is_kept_as_text() -> None:
    """A traceback on stdout does not end the listening."""
    async with running("print('Halo!'); print('{\"type\": \"a\"}')") as program:
        await program.first("a")
        assert program.lines[0] == {"type": "not-json", "text": "Halo!"}


async def test_what_is_written_arrives_and_the_end_of_stdin_too() -> None:
    """A process can be told things, and that there are no more of them."""
    async with running("import sys; print(len(sys.stdin.read().splitlines()))") as program:
        await program.write({"text": "satu"})
        await program.write({"text": "dua"})
        await program.close_stdin()
        assert await program.wait() == 0
        assert program.lines == [2]


async def test_waiting_for_what_cannot_come_any_more_fails_with_its_last_words() -> None:
    """Who waits for a process that has ended learns that, and what it said on stderr."""
    async with running("import sys; sys.exit('Tidak bisa.')") as program:
        with pytest.raises(ProgramEnded, match=r"it ended too early\.\nTidak bisa\."):
            await program.first("ready")
        assert await program.wait() == 1


async def test_a_process_that_does_not_listen_any_more_is_said() -> None:
    """Writing to an ended process is a sentence too."""
    async with running("pass") as program:
        await program.wait()
        with pytest.raises(ProgramEnded, match="does not listen"):
            await program.write({})


async def test_a_kill_ends_it_at_once() -> None:
    """No handler runs, and the status says what happened."""
    async with running('print(\'{"type": "a"}\', flush=True); input()') as program:
        await program.first("a")
        program.kill()
        assert await program.wait() != 0
        assert program.returncode is not None


async def test_cancelling_leaves_no_process_behind() -> None:
    """Whatever ends the nursery ends the process, and reaps it."""
    async with running('print(\'{"type": "a"}\', flush=True); input()') as program:
        await program.first("a")
        assert program.returncode is None
    assert program.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(program.pid, 0)
