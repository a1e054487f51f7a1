"""The state directory: made once, whole or not at all, opened by one process, and never repaired by guessing.

    bisikd.toml                 the operator's, optional, not read here
    lock                        held while a daemon runs
    identity/signing.pem        RSA-3072, signs            made together: `identity` gets its name only when all
    identity/decryption.pem     RSA-3072, decrypts         of it is on the disk, so what is missing in it later
    identity/reset.key          32 random bytes            was lost, and is never made again
    identity/join.toml          the join password          (but this one: removing it asks for a new password)
                                The three keys may be handed in by the service manager instead (credentials.py).
    users/  log/                not read here

It owns which files there are, who may read them, and what is said when something is wrong with them.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bisik_protocol.crypto.identity import DecryptionKey, ServerIdentity, SigningKey
from bisik_protocol.errors import LocalProtocolError
from bisikd.credentials import credential
from bisikd.errors import BisikdError
from bisikd.joinfile import JoinSecret, decode_join, encode_join
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.onlyone import DirectoryLock
from bisikd.passwords import Passwords, new_join_password
from bisikd.replace import is_leftover, replace_file

RESET_KEY_BYTES: Final = 32

_LOCK: Final = "lock"
_IDENTITY: Final = "identity"
_UNFINISHED: Final = "identity.new"
_SIGNING, _DECRYPTION, _RESET, _JOIN = "signing.pem", "decryption.pem", "reset.key", "join.toml"
_KEYS: Final = (_SIGNING, _DECRYPTION, _RESET)
_USERS, _LOG = "users", "log"

# What may be in a directory that has no identity yet; anything else shows that it is somebody else's.
_BEFORE_IDENTITY: Final = frozenset({_LOCK, _UNFINISHED, _USERS, _LOG, "bisikd.toml", "lost+found"})
_OTHERS: Final = 0o077  # the mode bits of everybody but the owner
_MAX_FILE_BYTES: Final = 64 * 1024


class StateError(BisikdError):
    """The state directory cannot be used as it is. The sentence says why, what was kept, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """Where a new directory's secrets come from; tests give cheaper ones."""

    identity: Callable[[], ServerIdentity] = ServerIdentity.generate
    random: Callable[[int], bytes] = os.urandom
    passwords: Passwords = field(default_factory=Passwords)


class StateDirectory:
    """An open state directory. Made by `open_or_create` or `open_existing`; `close` lets the next process in."""

    def __init__(self, path: Path, ingredients: Ingredients, files: FileSystem) -> None:
        self.path = path
        self.users_directory = path / _USERS
        self.log_directory = path / _LOG
        self.warnings: list[str] = []  # sentences for the operator about what was found and put right
        self._ingredients = ingredients
        self._files = files
        self._lock: DirectoryLock | None = None

    identity: ServerIdentity
    reset_key: bytes
    _join: JoinSecret

    @classmethod
    def open_or_create(
        cls, path: Path, *, ingredients: Ingredients | None = None, files: FileSystem = REAL_FILES
    ) -> Self:
        """Lock the directory, make what a first start makes, and load it. Blocks for up to seconds the first time.

        Raises StateInUse, or StateError; then nothing that was there has been changed but for access rights.
        """
        state = cls(path, ingredients or Ingredients(), files)
        try:
            state._prepare()
        except OSError as error:
            state.close()
            raise StateError(
                f"{error.filename or path} cannot be used ({error.strerror or error}). What is in {path} was kept as "
                "it is; put that right, or name another directory with --state."
            ) from error
        except BaseException:
            state.close()
            raise
        return state

    @classmethod
    def open_existing(cls, path: Path) -> Self:
        """Load what a daemon made, running or not, and change nothing. Raises StateError."""
        state = cls(path, Ingredients(), REAL_FILES)
        try:
            there = (path / _IDENTITY).is_dir()
        except PermissionError:
            raise StateError(f"{path} may not be read by this user; run this as the user that runs bisikd.") from None
        if not there:
            raise StateError(
                f"There is no bisikd state in {path}. Start bisikd there once, or name its directory with --state."
            )
        state._load()
        return state

    @property
    def join_password(self) -> str:
        return self._join.password

    @property
    def join_hash(self) -> str:
        """The join password's stored form, for `Passwords.verify`."""
        return self._join.hash

    def rotate_join_password(self) -> str:
        """Replace the join password and return the new one once it is on the disk. Blocks as Argon2 does.

        Raises StateError; then the old password still holds. Needs the lock.
        """
        if self._lock is None:
            raise StateError(
                "The join password was kept: only the running daemon, or one that could run, may change it."
            )
        try:
            self._new_join(self.path / _IDENTITY)
        except OSError as error:
            raise StateError(
                f"The new join password could not be written ({error.strerror or error}); the old one was kept. "
                "Look after the disk, then try again."
            ) from error
        return self.join_password

    def close(self) -> None:
        """Let another process in. May be called twice."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The first start, and every start ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._make_or_recognise()
        self._lock = DirectoryLock.take(self.path / _LOCK)
        self._close_to_others(self.path)
        identity = self.path / _IDENTITY
        if not identity.exists():
            self._refuse_to_lose_an_identity()
            self._create_identity()
        for directory in (self.users_directory, self.log_directory):
            self._files.make_directory(directory)
            self._close_to_others(directory)
        self._files.sync_directory(self.path)
        if self._close_to_others(identity):
            self.warnings.append(
                f"{identity} was open to other users of this machine and has been closed. Whoever read the keys in "
                "it can pose as this server; if somebody may have, set up a new directory."
            )
        for name in self._files.names(identity):
            self._close_to_others(identity / name)
            if name in _KEYS and credential(name) is not None:
                self.warnings.append(
                    f"{identity / name} was not used, because this key comes as a credential. Once you have a copy "
                    "of it in a safe place, remove that file."
                )
        if not (identity / _JOIN).exists() and self._keys_are_there(identity):
            self._load_keys()
            self._new_join(identity)
            self.warnings.append(
                f"{identity / _JOIN} was gone, so there is a new join password. Members stay members."
            )
        self._load()

    def _make_or_recognise(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise StateError(f"{self.path} is not a directory. It was kept as it is; name another one with --state.")
        if not self.path.exists():
            self.path.mkdir(mode=0o700, parents=True)
            with suppress(PermissionError):  # we may be allowed to make a directory there and not to open the parent
                self._files.sync_directory(self.path.parent)
            return
        if (self.path / _IDENTITY).exists():
            return
        strangers = sorted(set(self._files.names(self.path)) - _BEFORE_IDENTITY)
        if strangers:
            raise StateError(
                f"{self.path} holds other things ({', '.join(map(ascii, strangers[:3]))}) and no bisikd state. "
                "Nothing was changed; name an empty or new directory with --state."
            )

    def _refuse_to_lose_an_identity(self) -> None:
        """A log without its keys cannot be read, and clients trust the lost keys, not new ones."""
        for directory in (self.users_directory, self.log_directory):
            if directory.is_dir() and self._files.names(directory):
                raise StateError(
                    f"{self.path / _IDENTITY} is gone, but {directory} is not empty, and new keys would neither open "
                    "the log nor be trusted by the members. Nothing was changed; restore identity/ from a backup, or "
                    "start anew in an empty directory."
                )

    def _create_identity(self) -> None:
        unfinished = self.path / _UNFINISHED
        self._files.make_directory(unfinished)
        if all(credential(name) is not None for name in _KEYS):
            self._load_keys()
        else:
            self.identity = self._ingredients.identity()
            replace_file(unfinished / _SIGNING, self.identity.signing.to_pem(), self._files)
            replace_file(unfinished / _DECRYPTION, self.identity.decryption.to_pem(), self._files)
            replace_file(unfinished / _RESET, self._ingredients.random(RESET_KEY_BYTES), self._files)
        self._new_join(unfinished)
        for name in self._files.names(unfinished):
            if is_leftover(name):
                self._files.remove(unfinished / name)
        self._files.rename(unfinished, self.path / _IDENTITY)
        self._files.sync_directory(self.path)

    def _new_join(self, directory: Path) -> None:
        password = new_join_password()
        secret = JoinSecret(password=password, hash=self._ingredients.passwords.hash(password))
        replace_file(directory / _JOIN, encode_join(secret, self.identity), self._files)
        self._join = secret

    # Loading -------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        self._load_keys()
        path = self.path / _IDENTITY / _JOIN
        try:
            self._join = decode_join(self._read(path), self.identity)
        except ValueError as error:
            raise StateError(
                f"{path} is damaged: {error}. It was kept as it is; restore it from a backup, or remove this one "
                "file and start again for a new join password (members stay members)."
            ) from None

    def _load_keys(self) -> None:
        identity = self.path / _IDENTITY
        try:
            signing = SigningKey.from_pem(self._read_key(identity / _SIGNING))
        except LocalProtocolError as error:
            raise _damaged_key(identity / _SIGNING, str(error)) from None
        try:
            decryption = DecryptionKey.from_pem(self._read_key(identity / _DECRYPTION))
        except LocalProtocolError as error:
            raise _damaged_key(identity / _DECRYPTION, str(error)) from None
        self.identity = ServerIdentity(signing, decryption)
        self.reset_key = self._read_key(identity / _RESET)
        if len(self.reset_key) != RESET_KEY_BYTES:
            raise _damaged_key(identity / _RESET, f"it has {len(self.reset_key)} bytes and should have 32")

    def _keys_are_there(self, identity: Path) -> bool:
        return all(credential(name) is not None or (identity / name).exists() for name in _KEYS)

    def _read_key(self, path: Path) -> bytes:
        try:
            given = credential(path.name)
        except OSError as error:
            raise StateError(
                f"The credential bisikd.{path.name} cannot be read: {error.strerror or error}."
            ) from None
        return self._read(path) if given is None else given

    def _read(self, path: Path) -> bytes:
        try:
            file = self._files.open(path, writable=False)
            try:
                return file.read(0, _MAX_FILE_BYTES)
            finally:
                file.close()
        except OSError as error:
            raise StateError(
                f"{path} cannot be read ({error.strerror or error}), and this server cannot start without it. "
                "Everything was kept as it is; restore the file from a backup."
            ) from None

    # Access rights -------------------------------------------------------------------------------------------------

    def _close_to_others(self, path: Path) -> bool:
        """Take every right from everybody but the owner, who must be us. Whether there was any to take."""
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise StateError(
                f"{path} belongs to another user of this machine (number {status.st_uid}). Nothing was changed; run "
                "bisikd as that user, or give the directory and all in it to the user that runs bisikd (chown -R)."
            )
        if not status.st_mode & _OTHERS:
            return False
        path.chmod(status.st_mode & 0o700)
        return True


def _damaged_key(path: Path, what: str) -> StateError:
    return StateError(
        f"{path} is damaged: {what}. It was kept as it is, and no new key was made, because members trust this one "
        "and the log is locked with it; restore the file from a backup."
    )
