"""The accounts: one TOML file a user, all of them in memory, and every change on the disk before it is true.

It owns the files, which names and device keys are taken, and what a damaged file costs: its own user, nobody else.
It knows nothing of passwords but their stored form, and nothing of connections. Every writing method blocks on
the disk and belongs in a worker thread; the reading ones never wait.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from bisik_protocol.chat.names import canonical_name, skeleton
from bisikd.errors import BisikdError
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.replace import NotDurable, is_leftover, replace_file
from bisikd.userfile import (
    SUFFIX,
    Device,
    Unreadable,
    User,
    decode_user,
    encode_user,
    file_name_of,
    name_of_file,
    read_text,
)

__all__ = [
    "Damage",
    "Device",
    "DeviceTaken",
    "NameTaken",
    "NotWritten",
    "TooMany",
    "User",
    "UserStore",
    "UserStoreError",
]

MAX_USERS: Final = 10_000
MAX_DEVICES: Final = 32  # a user's; far more than anyone owns, and a bound on the file

_DOUBTFUL: Final = (
    "The server's disk failed while an account was being written, and whether it is there only a restart can tell. "
    "Until its operator has looked at the disk and restarted it, no account changes; those that exist can log in."
)


class UserStoreError(BisikdError):
    """Root of what this file raises. The sentence is fit for the person who asked for the change."""


class NameTaken(UserStoreError):  # noqa: N818
    """The name, or one that looks like it, has an owner."""


class DeviceTaken(UserStoreError):  # noqa: N818
    """The device key belongs to another name."""


class TooMany(UserStoreError):  # noqa: N818
    """A bound is reached: MAX_USERS, or MAX_DEVICES of one user."""


class NotWritten(UserStoreError):  # noqa: N818
    """The disk refused. In memory nothing has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that could not be read as an account. It was not changed; the name it is called after stays taken."""

    path: Path
    name: str | None  # None: the file is not called after any name
    line: int | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}{'' if self.line is None else f', line {self.line}'}: {self.sentence}"


class UserStore:
    """All accounts of a server. Made by `UserStore.open`."""

    def __init__(self, directory: Path, files: FileSystem = REAL_FILES) -> None:
        self.damaged: list[Damage] = []
        self._directory = directory
        self._files = files
        self._users: dict[str, User] = {}
        self._owners: dict[bytes, str] = {}  # device key hash to name
        self._skeletons: dict[str, str] = {}  # of taken names, to one name that has it
        self._damaged_names: set[str] = set()
        self._doubtful = False  # whether the disk failed in a way that leaves it open what is on it
        self._writing = threading.Lock()

    @classmethod
    def open(cls, directory: Path, files: FileSystem = REAL_FILES) -> Self:
        """Read every account in `directory`, which exists. What cannot be read is in `.damaged`. Raises OSError."""
        store = cls(directory, files)
        skeleton("")  # loads the table of look-alikes here, where blocking is expected
        for file_name in sorted(files.names(directory)):
            path = directory / file_name
            if is_leftover(file_name):
                files.remove(path)
            elif file_name.endswith(SUFFIX):
                store._load(path)
        return store

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[User]:
        return iter(list(self._users.values()))

    def get(self, name: str) -> User | None:
        """The account with this canonical name."""
        return self._users.get(name)

    def by_key(self, key_hash: bytes) -> tuple[User, bytes] | None:
        """The account that a device key belongs to, and the key's modulus."""
        name = self._owners.get(key_hash)
        if name is None:
            return None
        user = self._users[name]
        return user, next(device.modulus for device in user.devices if device.key_hash == key_hash)

    def taken(self, name: str) -> bool:
        """Whether this canonical name, or one that looks like it, has an owner; a damaged file is one."""
        return name in self._users or name in self._damaged_names or skeleton(name) in self._skeletons

    def create(self, name: str, device: bytes, login_id_hash: str, now_ms: int) -> User:
        """Open an account with its first device. Returns once it is on the disk.

        `name` is canonical, `device` a modulus of the protocol's shape. Raises NameTaken, DeviceTaken, TooMany,
        NotWritten; then there is no account.
        """
        if canonical_name(name) != name:
            raise ValueError("the caller puts the name in its one spelling first")
        with self._writing:
            if self.taken(name):
                raise NameTaken(self._taken_sentence(name))
            self._refuse_foreign_device(device, name)
            if len(self._users) >= MAX_USERS:
                raise TooMany("This server has as many accounts as it can hold; ask its operator.")
            first = Device(modulus=device, added_ms=now_ms)
            user = User(name=name, created_ms=now_ms, login_id_hash=login_id_hash, devices=(first,))
            self._write(user)
            return user

    def add_device(self, name: str, device: bytes, now_ms: int) -> User:
        """Let one more device log in as `name`, who exists. Returns once it is on the disk.

        A device that is there already changes nothing. Raises DeviceTaken, TooMany, NotWritten; KeyError for a
        name without an account.
        """
        with self._writing:
            user = self._users[name]
            self._refuse_foreign_device(device, name)
            if any(known.modulus == device for known in user.devices):
                return user
            if len(user.devices) >= MAX_DEVICES:
                raise TooMany(f"An account has at most {MAX_DEVICES} devices, and this one has them all.")
            added = Device(modulus=device, added_ms=now_ms)
            user = User(
                name=name,
                created_ms=user.created_ms,
                login_id_hash=user.login_id_hash,
                devices=(*user.devices, added),
            )
            self._write(user)
            return user

    # Changes -----------------------------------------------------------------------------------------------------

    def _taken_sentence(self, name: str) -> str:
        if name in self._users or name in self._damaged_names:
            return "This name is taken; choose another one, or log in if it is yours."
        return "This name looks too much like one that is taken; choose another one."

    def _refuse_foreign_device(self, device: bytes, name: str) -> None:
        if self._owners.get(sha256(device).digest(), name) != name:
            raise DeviceTaken("This device's key belongs to another name; log in with that one.")

    def _write(self, user: User) -> None:
        if self._doubtful:
            raise NotWritten(_DOUBTFUL)
        try:
            replace_file(self._directory / file_name_of(user.name), encode_user(user), self._files)
        except NotDurable as error:
            self._doubtful = True
            raise NotWritten(_DOUBTFUL) from error
        except OSError as error:
            raise NotWritten(
                f"The account could not be written ({error.strerror or error}), and everything is as it was before. "
                "Ask the server's operator to look at its disk, then try again."
            ) from error
        self._remember(user)

    def _remember(self, user: User) -> None:
        self._users[user.name] = user
        for device in user.devices:
            self._owners[device.key_hash] = user.name
        self._skeletons.setdefault(skeleton(user.name), user.name)

    # Reading -----------------------------------------------------------------------------------------------------

    def _load(self, path: Path) -> None:
        name = name_of_file(path.name)
        try:
            self._remember(self._read(path, name))
        except Unreadable as problem:
            if name is not None:
                self._damaged_names.add(name)
                self._skeletons.setdefault(skeleton(name), name)
            self.damaged.append(Damage(path=path, name=name, line=problem.line, sentence=_damage_sentence(problem)))

    def _read(self, path: Path, name: str | None) -> User:
        if name is None:
            raise Unreadable("the file is not called after any name; accounts are made by the daemon only")
        user = decode_user(read_text(path, self._files), name)
        for device in user.devices:
            owner = self._owners.get(device.key_hash, name)
            if owner != name:
                raise Unreadable(f"one of its devices belongs to {owner} already")
        return user


def _damage_sentence(problem: "Unreadable") -> str:
    return (
        f"{problem.what}. The file is kept as it is and nobody can use this account; "
        "repair the file or restore it from a backup, then restart."
    )
