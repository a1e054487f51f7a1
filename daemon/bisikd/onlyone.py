"""One process at a time in a state directory: an flock, which the system takes back however the process ends."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final, Self

from bisikd.errors import BisikdError

_MODE: Final = 0o600


class StateInUse(BisikdError):  # noqa: N818
    """Another process works in the directory. `pid` is None when it has not said its number."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        who = "Another bisikd" if pid is None else f"Another bisikd (process {pid})"
        super().__init__(
            f"{who} is using {directory}. Nothing was changed; stop that one first, or give this one a directory "
            "of its own with --state."
        )
        self.pid = pid


class DirectoryLock:
    """Held from `take` to `close`. The file stays: removing it would let two processes lock two files."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Lock the file `path`, made if it is missing, or raise StateInUse at once. Raises OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            pid = _pid(os.pread(descriptor, 32, 0))
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise StateInUse(path.parent, pid) from None
            raise
        return cls(descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _pid(content: bytes) -> int | None:
    text = content.strip()
    return int(text) if text.isdigit() else None
