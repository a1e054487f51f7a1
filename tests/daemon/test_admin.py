"""The administration socket: who may ask, what is answered, and where it is."""

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from bisikd import admin
from bisikd.admin import SOCKET_NAME, ask, open_admin_socket, remove_admin_socket, serve_admin
from bisikd.errors import BisikdError, NotRunning


async def never(request: dict[str, Any]) -> None:
    await trio.sleep_forever()


async def double(request: dict[str, Any]) -> int:
    return 2 * int(request["number"])


async def refuse(request: dict[str, Any]) -> None:
    raise BisikdError("That cannot be.")


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        sock = open_admin_socket(directory)
        nursery.start_soon(serve_admin, sock, {"double": double, "refuse": refuse, "never": never})
        yield
        nursery.cancel_scope.cancel()


async def asked(directory: Path, command: str, **arguments: Any) -> Any:
    with trio.fail_after(20):
        return await trio.to_thread.run_sync(lambda: ask(directory, command, **arguments))


async def raw(directory: Path, request: bytes) -> dict[str, Any]:
    """The answer to bytes that `ask` would never send."""

    def exchange() -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            sock.connect(str(directory / SOCKET_NAME))
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(4096), b""))

    answer = json.loads(await trio.to_thread.run_sync(exchange))
    assert isinstance(answer, dict)
    return answer


async def test_a_command_is_answered_with_its_result(tmp_path: Path) -> None:
    """Arguments in, result out, as JSON."""
    async with serving(tmp_path):
        assert await asked(tmp_path, "double", number=21) == 42


async def test_a_refusal_reaches_the_operator_as_a_sentence(tmp_path: Path) -> None:
    """What the daemon refuses is the error that its operator sees."""
    async with serving(tmp_path):
        with pytest.raises(BisikdError, match=r"^That cannot be\.$"):
            await asked(tmp_path, "refuse")


async def test_a_busy_daemon_is_not_taken_for_one_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none runs, commands change the files themselves. One that says it is busy, or hangs, is told apart."""
    monkeypatch.setattr(admin, "ANSWER_S", 0.2)
    async with serving(tmp_path):
        with pytest.raises(BisikdError, match="too busy to answer in time") as busy:
            await asked(tmp_path, "never")
        assert not isinstance(busy.value, NotRunning)
    monkeypatch.setattr(admin, "GOODBYE_S", 0.0)
    with open_admin_socket(tmp_path):
        with pytest.raises(BisikdError, match="too busy, or hangs") as hung:
            await asked(tmp_path, "double", number=1)
        assert not isinstance(hung.value, NotRunning)


@pytest.mark.parametrize("request_bytes", [b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"command":"none"}\n', b"7\n"])
async def test_whatever_is_asked_there_is_an_answer(tmp_path: Path, request_bytes: bytes) -> None:
    """Not JSON, no command, an unknown command: said, and the next one is served."""
    async with serving(tmp_path):
        assert await raw(tmp_path, request_bytes) == {"error": "This daemon does not know that command."}
        assert await asked(tmp_path, "double", number=1) == 2


@pytest.mark.parametrize("request_bytes", [b"", b'{"command"', b"x" * 100_000])
async def test_half_a_request_and_an_endless_one_are_refused(tmp_path: Path, request_bytes: bytes) -> None:
    """A request is one line, and not a long one."""
    async with serving(tmp_path):
        try:
            assert await raw(tmp_path, request_bytes) == {"error": "A request is one line of JSON."}
        except (BrokenPipeError, ConnectionResetError):
            assert len(request_bytes) > admin.MAX_REQUEST_BYTES  # the daemon had read enough


async def test_other_users_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who asks; neither root nor our own user is nobody."""
    monkeypatch.setattr(admin, "_may_speak", lambda stream: False)
    async with serving(tmp_path):
        with pytest.raises(BisikdError, match="Only root and the user"):
            await asked(tmp_path, "double", number=1)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux tells")
@pytest.mark.parametrize(("user", "may"), [(0, True), (os.geteuid(), True), (os.geteuid() + 12345, False)])
async def test_the_kernels_word_decides(monkeypatch: pytest.MonkeyPatch, user: int, may: bool) -> None:
    """Root and the daemon's own user may speak."""
    left, right = socket.socketpair()
    with left, right:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(left))
        monkeypatch.setattr(admin.struct, "unpack", lambda layout, data: (1, user, 1))
        assert admin._may_speak(stream) is may


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """Unix sockets take 108 bytes; state directories do not know that."""
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    async with serving(directory):
        assert await asked(directory, "double", number=2) == 4


async def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    """Its socket is still there, and answers nobody."""
    open_admin_socket(tmp_path).close()
    with pytest.raises(NotRunning):
        await asked(tmp_path, "double", number=1)
    async with serving(tmp_path):
        assert await asked(tmp_path, "double", number=3) == 6


async def test_without_a_daemon_it_is_said(tmp_path: Path) -> None:
    """No socket, no directory, or a socket that was removed: nobody answers there."""
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotRunning, match="No bisikd answers in"):
            await asked(directory, "double", number=1)
    async with serving(tmp_path):
        remove_admin_socket(tmp_path)
        assert not (tmp_path / SOCKET_NAME).exists()


async def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    """Its mode is the second lock on the door."""
    async with serving(tmp_path):
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
