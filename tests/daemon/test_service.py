"""The task tree: what the service manager hears, a socket that is passed in, and how a failed disk ends it all."""

import io
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import trio

from bisik_protocol.chat.names import LOBBY
from bisik_protocol.transport.events import CloseCode
from bisikd import cli, service
from bisikd.config import ListenAddress, Settings
from bisikd.console import Console
from bisikd.log.errors import LogFailed
from bisikd.passwords import Passwords
from bisikd.service import Opened, Service
from bisikd.sockets import open_udp_socket
from bisikd.state import StateDirectory
from bisikd.users import UserStore
from tests.support.chatter import open_chatter
from tests.support.daemon_process import CLEAN, PATIENCE_S, PROGRAM, fresh_state
from tests.support.keys import device_key, server_identity
from tests.support.memory_log import MemoryLog


def opened(state: StateDirectory, sock: socket.socket, log: MemoryLog) -> Opened:
    return Opened(
        settings=Settings(state=state.path),
        state=state,
        users=UserStore.open(state.users_directory),
        log=log,  # type: ignore[arg-type]
        sock=sock,
        console=Console(as_json=True, out=io.StringIO(), talk=io.StringIO()),
        passwords=Passwords(),
    )


async def test_a_failed_disk_ends_the_daemon_and_sends_the_clients_away(tmp_path: Path) -> None:
    """Nobody is told that anything was stored; clients hear that they should come back, and the failure is raised."""
    log = MemoryLog()
    with (
        StateDirectory.open_or_create(fresh_state(tmp_path / "state")) as state,
        open_udp_socket(ListenAddress(host="127.0.0.1", port=0)) as sock,
    ):
        failures: list[BaseException] = []

        async def serve() -> None:
            try:
                await Service(opened(state, sock, log)).run()
            except BaseExceptionGroup as group:
                failures.append(service._first_of(group))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            address = sock.getsockname()[:2]
            async with open_chatter(device_key(1), address, server_identity().fingerprint) as tama:
                await tama.enter("tama", state.join_password)
                await tama.join(LOBBY)
                await tama.receipt(LOBBY, tama.say(LOBBY, "stored"))
                log.failed = True
                tama.say(LOBBY, "not stored")
                closed = await tama.until_closed()
                assert closed.code == CloseCode.GOING_AWAY
                assert tama.texts(LOBBY) == ["stored"]
    assert isinstance(failures[0], LogFailed)
    assert not log.closed


def test_a_failed_disk_is_a_sentence_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The service manager starts it again; the journal says why."""
    log = MemoryLog()
    monkeypatch.setattr(service, "open_log", lambda settings, state, users: log)
    monkeypatch.setattr(service, "HOUSEKEEPING_S", 0.01)
    log.failed = True
    arguments = ["run", "--json", "--state", str(fresh_state(tmp_path / "state")), "--listen", "127.0.0.1:0"]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 1
    assert capfd.readouterr().err == "bisikd: The disk failed while the log was written.\n"


def test_the_service_manager_is_told_and_its_socket_is_used(tmp_path: Path) -> None:
    """READY once it serves on the socket that was passed in, signs of life, and that it stops."""
    manager = tmp_path / "notify"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed,
    ):
        heard.bind(str(manager))
        heard.settimeout(PATIENCE_S)
        passed.bind(("127.0.0.1", 0))
        program = (
            f"import os; os.dup2({passed.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            "from bisikd.cli import main; main()"
        )
        process = subprocess.Popen(
            [PROGRAM[0], "-c", program, "run", "--json", "--state", str(fresh_state(tmp_path / "state"))],
            env=CLEAN | {"NOTIFY_SOCKET": str(manager), "WATCHDOG_USEC": "200000", "LISTEN_FDS": "1"},
            pass_fds=[passed.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        with process:
            port = passed.getsockname()[1]
            assert heard.recv(1000) == f"READY=1\nSTATUS=0 connections on 127.0.0.1:{port}".encode()
            assert [heard.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            process.send_signal(signal.SIGHUP)  # asks for a reload, and must not end it
            assert heard.recv(1000) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            while (told := heard.recv(1000)) == b"WATCHDOG=1":
                pass
            assert told.startswith(b"STOPPING=1")
        assert process.returncode == 0
