"""A file system of our own, mounted for real, whose power can fail: `python -m tests.soak_log.lossy_fuse DIRECTORY`.

One directory in memory, on the model of `tracing`. It obeys lines on stdin and answers each with one on stdout:

    die N SEED   after N more changing operations the power is gone: every call fails with EIO
    revive       what is on the disk now is what such a cut could leave, drawn from SEED; prints the names
    sick CHANCE  from now on an fsync fails with EIO with this chance, and a write with ENOSPC
    quit
"""

import errno
import os
import stat
import sys
from pathlib import Path
from random import Random

import pyfuse3
import trio

from tests.daemon.log.disks import MemoryFile
from tests.soak_log.tracing import TracedFiles

ROOT = Path("/")
FIRST_INODE = 1000


class LossyOperations(pyfuse3.Operations):  # type: ignore[misc] # pyfuse3 has no types
    """The kernel's questions, asked of a TracedFiles."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = TracedFiles()
        self._handles: dict[int, MemoryFile] = {}
        self._next_handle = 1
        self._generation = 0  # so that an inode number never means two files
        self._left: int | None = None
        self._chance = Random(0)
        self._sickness = 0.0

    # Power ---------------------------------------------------------------------------------------------------------

    def die_after(self, operations: int, seed: int) -> None:
        self._left, self._chance = operations, Random(seed)

    def be_sick(self, chance: float) -> None:
        self._sickness = chance

    def revive(self) -> list[str]:
        self.disk = TracedFiles(self.disk.one_state(self._chance))
        self._handles.clear()
        self._generation += 10_000
        self._left = None
        return sorted(self.disk.contents)

    def _changing(self) -> None:
        if self._left is not None:
            self._left -= 1
        self._alive()

    def _alive(self) -> None:
        if self._left is not None and self._left < 0:
            raise pyfuse3.FUSEError(errno.EIO)

    def _falls_sick(self, code: int) -> None:
        if self._chance.random() < self._sickness:
            raise pyfuse3.FUSEError(code)

    # Names ---------------------------------------------------------------------------------------------------------

    def _inode(self, name: str) -> int:
        number = self.disk.number_of(name)
        if number is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return FIRST_INODE + self._generation + number

    def _name(self, inode: int) -> str:
        for name in self.disk.contents:
            if self._inode(name) == inode:
                return name
        raise pyfuse3.FUSEError(errno.ENOENT)

    def _attributes(self, inode: int, size: int | None = None) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        entry.attr_timeout = entry.entry_timeout = 0
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        if inode == pyfuse3.ROOT_INODE:
            entry.st_mode = stat.S_IFDIR | 0o700
        else:
            entry.st_mode = stat.S_IFREG | 0o600
            entry.st_size = len(self.disk.contents[self._name(inode)].now) if size is None else size
        return entry

    async def lookup(self, parent: int, name: bytes, ctx: object = None) -> pyfuse3.EntryAttributes:
        self._alive()
        return self._attributes(self._inode(name.decode()))

    async def getattr(self, inode: int, ctx: object = None) -> pyfuse3.EntryAttributes:
        self._alive()
        return self._attributes(inode)

    async def opendir(self, inode: int, ctx: object) -> int:
        self._alive()
        return inode

    async def readdir(self, handle: int, start: int, token: object) -> None:
        self._alive()
        for number, name in enumerate(sorted(self.disk.contents), start=1):
            if number > start and not pyfuse3.readdir_reply(
                token, name.encode(), self._attributes(self._inode(name)), number
            ):
                return

    async def rename(self, parent: int, old: bytes, new_parent: int, new: bytes, flags: int, ctx: object) -> None:
        self._changing()
        self.disk.rename(ROOT / old.decode(), ROOT / new.decode())

    async def unlink(self, parent: int, name: bytes, ctx: object) -> None:
        self._changing()
        self.disk.remove(ROOT / name.decode())

    async def fsyncdir(self, handle: int, datasync: bool) -> None:  # pyfuse3's surface
        self._changing()
        self.disk.sync_directory(ROOT)

    # Files ---------------------------------------------------------------------------------------------------------

    def _handle(self, file: MemoryFile) -> pyfuse3.FileInfo:
        self._next_handle += 1
        self._handles[self._next_handle] = file
        return pyfuse3.FileInfo(fh=self._next_handle)

    def _file(self, handle: int) -> MemoryFile:
        self._alive()
        if handle not in self._handles:  # opened before the power went
            raise pyfuse3.FUSEError(errno.EIO)
        return self._handles[handle]

    async def create(
        self, parent: int, name: bytes, mode: int, flags: int, ctx: object
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        self._changing()
        self._falls_sick(errno.ENOSPC)
        file = self.disk.create(ROOT / name.decode())
        return self._handle(file), self._attributes(self._inode(name.decode()))

    async def open(self, inode: int, flags: int, ctx: object) -> pyfuse3.FileInfo:
        self._alive()
        name = self._name(inode)
        return self._handle(self.disk.open(ROOT / name, writable=True))

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        return self._file(handle).read(offset, size)

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        self._changing()
        file = self._file(handle)
        self._falls_sick(errno.ENOSPC)
        return file.write(offset, bytes(data))

    async def fsync(self, handle: int, datasync: bool) -> None:  # pyfuse3's surface
        self._changing()
        file = self._file(handle)
        self._falls_sick(errno.EIO)
        file.sync()

    async def setattr(
        self, inode: int, attributes: pyfuse3.EntryAttributes, fields: object, handle: int | None, ctx: object
    ) -> pyfuse3.EntryAttributes:
        if fields.update_size:  # type: ignore[attr-defined]
            self._changing()
            name = self._name(inode)
            self.disk.open(ROOT / name, writable=True).truncate(attributes.st_size)
        return self._attributes(inode)

    async def flush(self, handle: int) -> None:
        pass

    async def release(self, handle: int) -> None:
        self._handles.pop(handle, None)


async def _obey(operations: LossyOperations) -> None:
    buffer = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stream:
        async for chunk in stream:
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                word, *arguments = line.decode().split()
                answer = ""
                match word:
                    case "die":
                        operations.die_after(int(arguments[0]), int(arguments[1]))
                    case "sick":
                        operations.be_sick(float(arguments[0]))
                    case "revive":
                        answer = ",".join(operations.revive())
                    case "quit":
                        pyfuse3.terminate()
                os.write(1, f"{word} {answer}\n".encode())


async def _serve(mount_point: str) -> None:
    operations = LossyOperations()
    options = set(pyfuse3.default_options) | {"fsname=bisik-lossy"}
    pyfuse3.init(operations, mount_point, options)
    try:
        os.write(1, b"mounted\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, operations)
            await pyfuse3.main()
            nursery.cancel_scope.cancel()
    finally:
        pyfuse3.close(unmount=True)


if __name__ == "__main__":
    trio.run(_serve, sys.argv[1])
