"""Where Prometheus reads the metrics: a Unix socket or a port of this machine alone, and of HTTP just GET /metrics.

It owns the socket and the few lines of HTTP; what is served is given as a function. Whoever can connect may read:
there are no secrets and no names in the numbers, and the socket's mode and the loopback interface keep others out.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from bisik_protocol.chat.invite import parse_port
from bisikd.errors import BisikdError

PREFIX: Final = "unix:"
MAX_REQUEST_BYTES: Final = 8 * 1024
REQUEST_S: Final = 5.0
MAX_CLIENTS: Final = 4


def open_metrics_socket(where: str, directory: Path) -> socket.socket:
    """Listen at `unix:PATH` (relative to `directory`) or HOST:PORT. Raises BisikdError with a sentence."""
    try:
        if where.startswith(PREFIX):
            return _open_unix(directory / where.removeprefix(PREFIX))
        host, _, port = where.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host.strip("[]"), parse_port(port, lowest=0)))
            sock.listen(MAX_CLIENTS)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise BisikdError(
            f"Metrics cannot be served at {where} ({error.strerror or error}): change metrics.listen or leave it out."
        ) from None
    return sock


def _open_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()  # of an earlier daemon: the state's lock says that it is gone
        sock.bind(str(path))
        path.chmod(0o660)  # so that the group may be Prometheus's
        sock.listen(MAX_CLIENTS)
    except BaseException:
        sock.close()
        raise
    return sock


async def serve_metrics(sock: socket.socket, text: Callable[[], bytes], content_type: str) -> None:
    """Answer until cancelled."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    limit = trio.CapacityLimiter(MAX_CLIENTS)

    async def serve(stream: trio.SocketStream) -> None:
        async with limit, stream:
            with trio.move_on_after(REQUEST_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(_answer(await _request(stream), text, content_type))

    await trio.serve_listeners(serve, [listener])


async def _request(stream: trio.SocketStream) -> bytes:
    """The request's head, or as much of it as there is to be read."""
    received = b""
    while b"\r\n\r\n" not in received and b"\n\n" not in received and len(received) < MAX_REQUEST_BYTES:
        part = await stream.receive_some(4096)
        if not part:
            break
        received += part
    return received


def _answer(request: bytes, text: Callable[[], bytes], content_type: str) -> bytes:
    method, _, rest = request.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in (b"GET", b"HEAD"):
        return _response("405 Method Not Allowed", b"Only GET.\n", "text/plain")
    if path != b"/metrics":
        return _response("404 Not Found", b"The numbers are at /metrics.\n", "text/plain")
    body = text()
    return _response("200 OK", body, content_type, with_body=method == b"GET")


def _response(status: str, body: bytes, content_type: str, *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
