"""Standard input: lines and keys of pipes, files and nothing, without losing a byte between them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from bisik.stdin import EndOfInput, Stdin


class Pipe:
    """Something to read, and somebody who writes into it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.stdin = Stdin(self._read)

    def write(self, data: str | bytes) -> None:
        os.write(self._write, data if isinstance(data, bytes) else data.encode())

    def end(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def close(self) -> None:
        self.end()
        os.close(self._read)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


async def lines(stdin: Stdin) -> list[str]:
    """All that there are."""
    found = []
    try:
        while True:
            found.append(await stdin.line())
    except EndOfInput:
        return found


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("", []),
        ("one\n", ["one"]),
        ("one\ntwo\n", ["one", "two"]),
        ("one\ntwo", ["one", "two"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("\n\n", ["", ""]),
        ("日本\n", ["日本"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"cut \xe6\x97", ["cut \ufffd"]),
    ],
)
async def test_lines(pipe: Pipe, data: str | bytes, wanted: list[str]) -> None:
    """Of any script and any system, the last one without an end."""
    pipe.write(data)
    pipe.end()
    assert await lines(pipe.stdin) == wanted


async def test_a_line_is_there_as_soon_as_it_ends(pipe: Pipe) -> None:
    """Not when the pipe does; letters may be cut in two on the way."""
    found: list[str] = []

    async def read() -> None:
        found.append(await pipe.stdin.line())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for byte in "日\n".encode():
            await trio.testing.wait_all_tasks_blocked()
            assert found == []
            pipe.write(bytes([byte]))
    assert found == ["日"]


async def test_a_read_can_be_cancelled_and_loses_nothing(pipe: Pipe) -> None:
    """Whoever reads next gets it."""
    with trio.move_on_after(0):
        await pipe.stdin.line()
    pipe.write("still here\n")
    assert await pipe.stdin.line() == "still here"


async def test_keys_begin_with_what_was_read_ahead(pipe: Pipe) -> None:
    """A dialogue's answers and a room's lines may come in one piece."""
    pipe.write("answer\nfirst\nsec")
    assert await pipe.stdin.line() == "answer"
    assert await pipe.stdin.keys() == "first\nsec"
    pipe.write("ond\n")
    assert await pipe.stdin.keys() == "ond\n"
    pipe.end()
    with pytest.raises(EndOfInput):
        await pipe.stdin.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="select takes sockets only there")
async def test_files_and_nothing_at_all(tmp_path: Path) -> None:
    """They cannot be waited for, and need not be."""
    (tmp_path / "file").write_text("one\ntwo\n")
    for name, wanted in ((str(tmp_path / "file"), ["one", "two"]), (os.devnull, [])):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            stdin = Stdin(descriptor)
            assert not stdin.is_terminal
            assert await lines(stdin) == wanted
        finally:
            os.close(descriptor)


async def test_a_line_without_end_does_not_fill_the_memory(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes in pieces."""
    monkeypatch.setattr("bisik.stdin.MAX_LINE", 10)
    pipe.write("x" * 25)
    pipe.end()
    assert "".join(await lines(pipe.stdin)) == "x" * 25
