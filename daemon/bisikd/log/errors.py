"""What the log raises. Each sentence is for the operator and names the file, and where it can, the byte."""

import errno
from pathlib import Path
from typing import Final

from bisikd.errors import BisikdError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class LogError(BisikdError):
    """Root of everything `bisikd.log` raises on purpose."""


class LogDamaged(LogError):  # noqa: N818
    """Bytes that were stored are not there any more, or are not what was stored. Nothing has been changed.

    `path` is the file, `offset` the first byte that is not as it was written, `sentence` says what is wrong there.
    """

    def __init__(self, path: Path, offset: int, sentence: str) -> None:
        super().__init__(f"{path}, byte {offset}: {sentence}")
        self.path = path
        self.offset = offset
        self.sentence = sentence


class IndexDamaged(LogDamaged):
    """The index, which can be made anew from the log, is not what it was. The log itself may be whole."""

    def __init__(self, path: Path, sentence: str) -> None:
        advice = "It can be deleted while the daemon is stopped, and is made anew from the log."
        super().__init__(path, 0, f"{sentence} {advice}")


class LogFailed(LogError):  # noqa: N818
    """The disk failed while writing; what was being written is not acknowledged, and this log takes no more.

    After a failed fsync nobody knows what is on the disk, and asking again may answer wrongly (the kernel has
    forgotten the dirty pages). Only a new process, which reads the files again, finds out.
    """


class LogFull(LogError):  # noqa: N818
    """There is no room. Nothing of the refused records is stored; the same call succeeds once there is room."""


def sentence(problem: Exception) -> str:
    """What a lower layer says is wrong, as a sentence."""
    text = str(problem)
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."


def is_full(error: OSError) -> bool:
    """Whether the disk, or its owner's share of it, is full; everything else is a disk that failed."""
    return error.errno in _FULL


def full(path: Path) -> LogFull:
    return LogFull(f"{path.parent}: There is no room for the log; nothing of this was stored.")


def failed(path: Path, error: OSError) -> LogFailed:
    return LogFailed(f"{path}: The disk failed ({error.strerror or error}); the log takes no more until a restart.")
