"""The server's disk is full, or fails: what the people at the other end see. Real service, real log, real client."""

import errno
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from bisik.chat import Chat, open_chat
from bisik.events import LinkChanged, LinkState, Notice
from bisik.home import Home
from bisikd.chat import missing_devices
from bisikd.config import ListenAddress, Settings
from bisikd.console import Console
from bisikd.log import Log
from bisikd.log.errors import LogFailed
from bisikd.log.files import REAL_FILES, File, RealFiles
from bisikd.passwords import Passwords
from bisikd.service import Opened, Service
from bisikd.sockets import open_udp_socket
from bisikd.state import StateDirectory
from bisikd.users import UserStore
from tests.support.daemon_process import PATIENCE_S, fresh_state
from tests.support.keys import device_key, server_identity

LOBBY = "#lobby"


class Disk(RealFiles):
    """A real disk that can be full, and whose fsync can fail."""

    def __init__(self) -> None:
        self.is_full = self.is_broken = False

    def open(self, path: Path, *, writable: bool) -> "DiskFile":  # type: ignore[override] # a File
        return DiskFile(self, REAL_FILES.open(path, writable=writable))

    def create(self, path: Path) -> "DiskFile":  # type: ignore[override] # a File
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return DiskFile(self, REAL_FILES.create(path))


class DiskFile:
    def __init__(self, disk: Disk, real: File) -> None:
        self._disk = disk
        self._real = real
        self.read, self.truncate, self.size, self.close = real.read, real.truncate, real.size, real.close

    def write(self, offset: int, data: bytes) -> int:
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._real.write(offset, data)

    def sync_data(self) -> None:
        if self._disk.is_broken:
            raise OSError(errno.EIO, "Input/output error")
        self._real.sync_data()

    def sync(self) -> None:
        self.sync_data()


class Box:
    """A machine with a disk, on which bisikd runs now and then, always at the same port."""

    def __init__(self, directory: Path) -> None:
        self.disk = Disk()
        self.talk = io.StringIO()
        self._state = fresh_state(directory / "state")
        with open_udp_socket(ListenAddress(host="127.0.0.1", port=0)) as sock:
            self.port = sock.getsockname()[1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service runs; if it ends by itself, because its disk failed, it is not started again here."""
        with (
            StateDirectory.open_or_create(self._state) as state,
            open_udp_socket(ListenAddress(host="127.0.0.1", port=self.port)) as sock,
        ):
            users = UserStore.open(state.users_directory)
            log = Log.open(state.log_directory, state.identity, now_ms=lambda: 7, files=self.disk)
            log.append(list(missing_devices(log, users, 7)))
            opened = Opened(
                settings=Settings(state=state.path),
                state=state,
                users=users,
                log=log,
                sock=sock,
                console=Console(as_json=True, out=io.StringIO(), talk=self.talk),
                passwords=Passwords(),
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, Service(opened))
                yield
                nursery.cancel_scope.cancel()
            with suppress(LogFailed):
                log.close()

    async def _serve(self, service: Service) -> None:
        try:
            await service.run()
        except* LogFailed:
            pass  # the process ends; systemd would start it again

    def home(self, directory: Path, name: str, key: int) -> Path:
        """Somebody who was here before."""
        home = Home(directory / name)
        fingerprint = server_identity().fingerprint
        profile = home.save(name=name, host="127.0.0.1", port=self.port, fingerprint=fingerprint)
        (profile.folder / "device.pem").write_bytes(device_key(key).to_pem())
        with StateDirectory.open_or_create(self._state) as state:
            users = UserStore.open(state.users_directory)
            users.create(name, device_key(key).public.modulus, state.join_hash, 7)
        return home.path


async def notice(chat: Chat, words: str) -> None:
    """Until the person is told this."""
    async for event in chat.everything():
        if isinstance(event, Notice) and words in event.text:
            return


async def said(chat: Chat) -> list[str]:
    """What is in the log."""
    return [event.text for event in await chat.history(LOBBY).last(10, messages_only=True)]


async def test_on_a_full_disk_messages_wait_are_said_to_wait_and_go_out_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is called stored that is not; when there is room, nobody has to do anything, and the order is kept."""
    monkeypatch.setattr("bisik.posting.STORAGE_RETRY_S", 0.2)
    monkeypatch.setattr("bisik.link.LOOK_EVERY_S", 0.05)
    box = Box(tmp_path)
    home = box.home(tmp_path, "tama", 1)
    with trio.fail_after(PATIENCE_S):
        async with box.running(), open_chat(home=home) as tama:
            await tama.send(LOBBY, "before")
            box.disk.is_full = True
            ids = [await tama.queue(LOBBY, f"during {n}") for n in range(3)]
            await notice(tama, "no room left to store messages")
            assert "no room left" in (tama.why_waiting(LOBBY) or "")
            assert tama.waiting == 3
            assert [tama.receipt(id_) for id_ in ids] == [None] * 3
            box.disk.is_full = False
            await notice(tama, "stores messages again")
            for id_ in ids:
                await tama.stored(id_, LOBBY)
            assert tama.why_waiting(LOBBY) is None
            assert await said(tama) == ["before", "during 0", "during 1", "during 2"]
    assert box.talk.getvalue().count("no room") == 1


async def test_a_disk_that_fails_ends_the_daemon_and_the_next_one_takes_what_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No receipt for what may be lost; the client waits, comes back by itself, and nothing is doubled."""
    monkeypatch.setattr("bisik.link.LOOK_EVERY_S", 0.05)
    box = Box(tmp_path)
    home = box.home(tmp_path, "tama", 1)
    with trio.fail_after(PATIENCE_S):
        async with open_chat(home=home, connect_timeout_s=None) as tama:
            async with box.running():
                await tama.send(LOBBY, "before")
                box.disk.is_broken = True
                id_ = await tama.queue(LOBBY, "during")
                await until_gone(tama)
                assert tama.receipt(id_) is None
            box.disk.is_broken = False
            async with box.running():
                await tama.stored(id_, LOBBY)
                await tama.send(LOBBY, "after")
                assert await said(tama) == ["before", "during", "after"]


async def until_gone(chat: Chat) -> None:
    """Until the server has said that it goes away."""
    async for event in chat.everything():
        if isinstance(event, LinkChanged) and event.state is LinkState.WAITING:
            return
