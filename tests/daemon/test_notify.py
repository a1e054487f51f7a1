"""What the service manager hears, against a socket that plays systemd's."""

import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bisikd.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening manager and the value of NOTIFY_SOCKET."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    name = f"bisikd-test-{uuid.uuid4().hex}"
    address = f"@{name}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name if request.param == "abstract" else address)
        listener.setblocking(False)
        yield listener, address


def test_the_manager_hears_each_message(manager: tuple[socket.socket, str]) -> None:
    """Ready, status, watchdog and stopping, in the words of sd_notify(3)."""
    listener, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    assert notifier.ready("Serving 127.0.0.1:9999")
    assert notifier.ready()
    assert notifier.status("12 people in 3 rooms")
    assert notifier.watchdog()
    assert notifier.stopping("Telling the clients")
    assert [listener.recv(1000) for _ in range(5)] == [
        b"READY=1\nSTATUS=Serving 127.0.0.1:9999",
        b"READY=1",
        b"STATUS=12 people in 3 rooms",
        b"WATCHDOG=1",
        b"STOPPING=1\nSTATUS=Telling the clients",
    ]
    notifier.close()
    assert not notifier.watchdog()


def test_a_status_cannot_smuggle_a_second_message(manager: tuple[socket.socket, str]) -> None:
    """A line feed in it becomes a space, and what is not Unicode a question mark."""
    listener, address = manager
    notifier = Notifier(address)
    assert notifier.status("room\nSTOPPING=1\r\n\ud800")
    assert listener.recv(1000) == b"STATUS=room STOPPING=1 ?"
    notifier.close()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}], ids=str)
def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    """Started by hand, or under a manager that speaks over something else."""
    notifier = Notifier.from_environment(environment)
    assert not notifier.ready()
    assert not notifier.status("x")
    assert not notifier.stopping()
    assert notifier.watchdog_interval_s is None
    notifier.close()


def test_a_manager_that_has_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    """The daemon serves on, whoever listens."""
    notifier = Notifier(str(tmp_path / "nobody"))
    assert not notifier.ready()
    notifier.close()
    notifier.close()


def test_a_manager_that_does_not_read_does_not_block_the_daemon(manager: tuple[socket.socket, str]) -> None:
    """Its queue fills up, and the next message is dropped instead of waited for."""
    _, address = manager
    notifier = Notifier(address)
    assert not all(notifier.status("x" * 1000) for _ in range(100_000))
    notifier.close()


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=str,
)
def test_the_watchdog_is_fed_at_half_its_time(environment: dict[str, str], interval_s: float | None) -> None:
    """And only if it watches this process."""
    notifier = Notifier.from_environment(environment, pid=7)
    assert notifier.watchdog_interval_s == interval_s
    notifier.close()


def test_the_process_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd sets it."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    assert Notifier.from_environment().watchdog_interval_s == 1.0
