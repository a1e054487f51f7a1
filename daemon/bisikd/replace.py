"""Replace a small file whole: after any crash it holds the old content or the new, never a part of either.

Temporary file beside it, fsync, rename, fsync of the directory. It owns that order and must not know what the
content means. One process at a time works in a directory (the state directory's lock sees to it), so the
temporary name may be the same each time, and what a crash left of one is simply written over.
"""

from contextlib import suppress
from pathlib import Path

from bisikd.log.files import REAL_FILES, File, FileSystem

_PREFIX = "."
_SUFFIX = ".new"


class NotDurable(OSError):  # noqa: N818
    """The new content is there, but the disk did not promise to keep it: after a power failure it may be the old."""


def replace_file(path: Path, content: bytes, files: FileSystem = REAL_FILES) -> None:
    """Return once `path` holds `content`, for its owner only, even if the power fails now.

    Raises NotDurable, or another OSError, and then the old content is still there. A failed fsync is not tried
    again: the system forgets what it failed to write, and a second fsync would claim success.
    """
    temporary = path.with_name(_PREFIX + path.name + _SUFFIX)
    try:
        file = files.create(temporary)
        try:
            _write_all(file, content)
            file.sync()
        finally:
            file.close()
        files.rename(temporary, path)
    except OSError:
        with suppress(OSError):  # it may never have been made; the first error is the one to tell
            files.remove(temporary)
        raise
    try:
        files.sync_directory(path.parent)
    except OSError as error:
        raise NotDurable(error.errno, error.strerror) from error


def is_leftover(name: str) -> bool:
    """Whether a file of this name is what a crash in `replace_file` left: not whole, and nobody was told of it."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _write_all(file: File, content: bytes) -> None:
    offset = 0
    while offset < len(content):
        offset += file.write(offset, content[offset:])
