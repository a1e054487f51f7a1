"""The administration socket: one JSON request, one JSON answer, for the user that the daemon runs as and for root.

It is a Unix socket in the state directory. Who may speak is decided by the kernel's word on the peer (SO_PEERCRED)
where there is one, and by the directory's mode everywhere. What can be asked is given as a table of functions.
"""

import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from bisikd.errors import BisikdError, NotRunning

SOCKET_NAME: Final = "admin.sock"
MAX_REQUEST_BYTES: Final = 16 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # the status of ten thousand sessions is a few
ANSWER_S: Final = 10.0
GOODBYE_S: Final = 2.0  # to be told that there is no answer
MAX_CLIENTS: Final = 8

Commands = dict[str, Callable[[dict[str, Any]], Awaitable[Any]]]


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """A name for the socket in `directory` that fits into sockaddr_un, however long the directory's path is.

    The kernel takes 108 bytes; /proc/self/fd/N stands for a directory that is held open.
    """
    path = str(directory / SOCKET_NAME)
    if len(os.fsencode(path)) < 100 or not Path("/proc/self/fd").is_dir():
        yield path
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def open_admin_socket(directory: Path) -> socket.socket:
    """Listen in `directory`, which nobody else uses: what an earlier daemon left is replaced. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        (directory / SOCKET_NAME).unlink(missing_ok=True)
        with _reachable(directory) as address:
            sock.bind(address)
        (directory / SOCKET_NAME).chmod(0o600)
        sock.listen(MAX_CLIENTS)
    except BaseException:
        sock.close()
        raise
    return sock


async def serve_admin(sock: socket.socket, commands: Commands) -> None:
    """Answer until cancelled."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    limit = trio.CapacityLimiter(MAX_CLIENTS)

    async def serve(stream: trio.SocketStream) -> None:
        async with limit, stream:
            answer = {"error": "The daemon was too busy to answer in time. Ask again."}
            with trio.move_on_after(ANSWER_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                answer = await _answer(stream, commands)
            with trio.move_on_after(GOODBYE_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(json.dumps(answer).encode())

    await trio.serve_listeners(serve, [listener])


def remove_admin_socket(directory: Path) -> None:
    """Leave nothing behind that looks like a running daemon."""
    with suppress(OSError):
        (directory / SOCKET_NAME).unlink()


async def _answer(stream: trio.SocketStream, commands: Commands) -> dict[str, Any]:
    received = b""
    while not received.endswith(b"\n"):
        part = await stream.receive_some(4096)
        received += part
        if not part or len(received) > MAX_REQUEST_BYTES:
            return {"error": "A request is one line of JSON."}
    if not _may_speak(stream):  # asked last, because an answer to an unread request is lost
        return {"error": "Only root and the user that bisikd runs as may ask."}
    try:
        request = json.loads(received)
        command = commands[request["command"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"error": "This daemon does not know that command."}
    try:
        return {"result": await command(request)}
    except BisikdError as error:
        return {"error": str(error)}


def _may_speak(stream: trio.SocketStream) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # then the modes of the directory and of the socket are what guards it
    _, user, _ = struct.unpack("3i", stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (0, os.geteuid())


def ask(directory: Path, command: str, **arguments: Any) -> Any:
    """Ask the daemon whose state is in `directory`. Blocking. Raises NotRunning, or BisikdError with its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_S + GOODBYE_S)
        try:
            with _reachable(directory) as address:
                sock.connect(address)
            sock.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            received = _receive_all(sock)
        except PermissionError:
            raise BisikdError(f"Not allowed to ask the daemon in {directory}: ask as root or as its user.") from None
        except TimeoutError:  # never NotRunning: whoever hears that may change files behind a daemon's back
            raise BisikdError(f"The daemon in {directory} does not answer. It is too busy, or hangs.") from None
        except OSError:
            raise NotRunning(
                f"No bisikd answers in {directory}: start it, or name its directory with --state."
            ) from None
    try:
        answer = json.loads(received)
    except ValueError:
        raise NotRunning("The daemon ended before it had answered.") from None
    if "error" in answer:
        raise BisikdError(answer["error"])
    return answer["result"]


def _receive_all(sock: socket.socket) -> bytes:
    received = bytearray()
    while part := sock.recv(65536):
        received += part
        if len(received) > MAX_ANSWER_BYTES:
            break
    return bytes(received)
