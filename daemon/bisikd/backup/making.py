"""Making a backup and putting one back: nothing half, nothing unproved, nothing overwritten.

A backup gets its name only after it was read again from the disk, opened with the password, and its log proved from
the first record to the last. A restore writes beside the place it is for, proves what it wrote, and then takes the
name. What is in the files is not known here.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import TYPE_CHECKING, Final

from bisik_protocol.crypto.identity import DecryptionKey, SigningKey
from bisik_protocol.errors import LocalProtocolError
from bisikd.backup.archive import Archive, write_archive
from bisikd.backup.sealed import BACKUP_COST, BackupError, SealedReader, SealedWriter
from bisikd.log import Report, verify_log

if TYPE_CHECKING:
    from bisikd.passwords import Cost

MAX_TRIES: Final = 3  # a daemon that drops old segments meanwhile may take a file away

_LOG: Final = Path("log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a backup was proved to hold."""

    files: int
    size: int  # bytes, of the plaintext
    log: Report


def make_backup(state: Path, target: Path, password: str, *, cost: "Cost" = BACKUP_COST) -> Contents:
    """Write `target`, beside a running daemon or not. Raises BackupError: then there is none."""
    if target.resolve().is_relative_to(state.resolve()):
        raise BackupError(f"{target} is in the directory that is to be saved. Name a place outside of {state}.")
    if not (state / "identity" / "signing.pem").exists():
        raise BackupError(
            f"The server's keys are not in {state / 'identity'}: the service manager holds them. Keep a copy of "
            "those, and of the directory, by hand."
        )
    if target.exists():
        raise BackupError(f"{target} is there already and was kept. Give the backup another name.")
    unfinished = target.with_name(f".{target.name}.new")
    try:
        _write(state, unfinished, password, cost)
        contents = check_backup(unfinished, password)
        unfinished.rename(target)
        _sync_directory(target.parent)
    except OSError as error:
        raise BackupError(
            f"The backup could not be written ({error.filename or target}: {error.strerror or error}). There is none."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return contents


def check_backup(path: Path, password: str) -> Contents:
    """Open a backup and prove what is in it. Raises BackupError."""
    with SealedReader(path, password) as reader:
        archive = Archive(reader)
        return Contents(files=len(archive.files), size=reader.size, log=_proved(archive))


def restore_backup(path: Path, state: Path, password: str) -> Contents:
    """Make `state`, which must be empty or not there, of a backup. Raises BackupError: then it is as it was."""
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise BackupError(f"{state} is not empty and was kept as it is. Restore into an empty or new directory.")
    unfinished = state.with_name(f".{state.name}.restoring")
    try:
        with SealedReader(path, password) as reader:
            archive = Archive(reader)
            report = _proved(archive)
            state.parent.mkdir(parents=True, exist_ok=True)
            rmtree(unfinished, ignore_errors=True)  # what a crash left of an earlier try
            _extract(archive, unfinished)
            unfinished.rename(state)  # also onto an empty directory
            _sync_directory(state.parent)
            return Contents(files=len(archive.files), size=reader.size, log=report)
    except OSError as error:
        raise BackupError(
            f"The backup could not be restored ({error.filename or state}: {error.strerror or error}). "
            f"{state} is as it was."
        ) from error
    finally:
        rmtree(unfinished, ignore_errors=True)


def _write(state: Path, unfinished: Path, password: str, cost: "Cost") -> None:
    for last in [False] * (MAX_TRIES - 1) + [True]:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out:
                with SealedWriter(out, password, cost=cost) as sealed:
                    write_archive(state, sealed)
                out.flush()
                os.fsync(out.fileno())
        except FileNotFoundError:
            if last:
                raise
        else:
            return


def _proved(archive: Archive) -> Report:
    """The keys open, belong together, and prove the log. Raises BackupError."""
    try:
        signing = SigningKey.from_pem(archive.read("identity/signing.pem"))
        decryption = DecryptionKey.from_pem(archive.read("identity/decryption.pem"))
    except LocalProtocolError as error:
        raise BackupError(f"A key of the server is damaged: {error}.") from None
    for name in archive.files:
        if PurePosixPath(name).parts[0] != _LOG.name:  # the log is read below
            for _ in archive.parts(name):
                pass
    report = verify_log(_LOG, decryption, signing.public, files=archive)
    if not report.ok:
        raise BackupError(
            f"The log is not whole: {report.problems[0]} `bisikd log verify` says more; until that is put right, "
            "copy the state directory as it is."
        )
    return report


def _extract(archive: Archive, directory: Path) -> None:
    """Every file for its owner only, and on the disk when this returns."""
    directory.mkdir(mode=0o700)
    directories = {directory}
    for name in archive.files:
        path = directory / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directories |= {parent for parent in path.parents if parent.is_relative_to(directory)}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            for part in archive.parts(name):
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
    for needed in ("users", "log"):
        (directory / needed).mkdir(mode=0o700, exist_ok=True)
    for made in directories:
        _sync_directory(made)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(PermissionError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
