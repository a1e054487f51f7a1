"""The accounts: one TOML file a user, all of them in memory, and every change on the disk before it is true.

It owns the files, which names and device keys are taken, and what a damaged file costs: its own user, nobody else.
It knows nothing of passwords but their stored form, and nothing of connections. Every writing method blocks on
the disk and belongs in a worker thread; the reading ones never wait.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from bisik_protocol.chat.messages import MAX_FORMER_NAMES, Role
from bisik_protocol.chat.names import canonical_name, skeleton
from bisik_protocol.crypto.identity import MODULUS_BYTES
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
    "NOBODY",
    "Damage",
    "Device",
    "DeviceTaken",
    "NameTaken",
    "NotWritten",
    "Role",
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
    """All accounts of a server. Made by `UserStore.open`.

    An account that was closed is kept, with `removed_ms`: it holds its names, and nothing else. Only `forget` lets
    them go. `get`, `by_key` and iterating give accounts that can be used.
    """

    def __init__(self, directory: Path, files: FileSystem = REAL_FILES) -> None:
        self.damaged: list[Damage] = []
        self._directory = directory
        self._files = files
        self._users: dict[str, User] = {}
        self._closed: dict[str, User] = {}
        self._owners: dict[bytes, str] = {}  # device key hash to name
        self._closed_owners: dict[bytes, str] = {}
        self._names: set[str] = set()  # every name that is taken: of accounts, former ones, of damaged files
        self._former: dict[str, str] = {}  # a name that an open account had before, to what it is called
        self._skeletons: dict[str, set[str]] = {}  # what names look like, to the taken names that look like it
        self._doubtful = False  # whether the disk failed in a way that leaves it open what is on it
        self._writing = threading.Lock()

    @classmethod
    def open(cls, directory: Path, files: FileSystem = REAL_FILES, *, finish: bool = True) -> Self:
        """Read every account in `directory`, which exists. What cannot be read is in `.damaged`. Raises OSError.

        What a crash left unfinished is finished or cleared away; without `finish` it is only looked past, which is
        for readers beside a daemon.
        """
        store = cls(directory, files)
        read: dict[Path, User] = {}
        for file_name in sorted(files.names(directory)):
            path = directory / file_name
            if is_leftover(file_name):
                if finish:
                    files.remove(path)
            elif file_name.endswith(SUFFIX):
                store._read(path, read)
        store._finish_renames(read, remove=finish)
        for path, user in read.items():
            store._load(path, user)
        return store

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[User]:
        return iter(list(self._users.values()))

    @property
    def closed(self) -> list[User]:
        """The accounts that were closed and are not forgotten."""
        return list(self._closed.values())

    def get(self, name: str) -> User | None:
        """The account with this canonical name."""
        return self._users.get(name)

    def by_any_name(self, name: str) -> User | None:
        """The account that has this canonical name, or had it before."""
        return self._users.get(name) or self._users.get(self._former.get(name, ""))

    def get_closed(self, name: str) -> User | None:
        """The closed account with this canonical name."""
        return self._closed.get(name)

    def by_key(self, key_hash: bytes) -> tuple[User, bytes] | None:
        """The account that a device key belongs to, and the key's modulus."""
        return _with_device(self._users.get(self._owners.get(key_hash, "")), key_hash)

    def device(self, key_hash: bytes) -> Device | None:
        """The device with this key, of an account that can be used."""
        user = self._users.get(self._owners.get(key_hash, ""))
        return None if user is None else next((each for each in user.devices if each.key_hash == key_hash), None)

    def closed_by_key(self, key_hash: bytes) -> tuple[User, bytes] | None:
        """The closed account that a device key belonged to, and the key's modulus."""
        return _with_device(self._closed.get(self._closed_owners.get(key_hash, "")), key_hash)

    def taken(self, name: str) -> bool:
        """Whether this canonical name, or one that looks like it, has an owner; a damaged file is one."""
        return name in self._names or skeleton(name) in self._skeletons

    def create(self, name: str, device: bytes, login_id_hash: str, now_ms: int) -> User:
        """Open an account with its first device. Returns once it is on the disk.

        `name` is canonical, `device` a modulus of the protocol's shape. Raises NameTaken, DeviceTaken, TooMany,
        NotWritten; then there is no account.
        """
        with self._writing:
            self._refuse_taken(name)
            self._refuse_foreign_device(device, name)
            if len(self._users) + len(self._closed) >= MAX_USERS:
                raise TooMany("This server has as many accounts as it can hold; ask its operator.")
            first = Device(modulus=device, added_ms=now_ms)
            user = User(name=name, created_ms=now_ms, login_id_hash=login_id_hash, devices=(first,))
            self._write(user)
            self._remember(user)
            return user

    def add_device(self, name: str, device: bytes, now_ms: int) -> User:
        """Let one more device log in as `name`, who exists. Returns once it is on the disk.

        A device that is there already changes nothing. Raises DeviceTaken, TooMany, NotWritten; KeyError for a
        name without an account.
        """

        def with_device(user: User) -> User:
            self._refuse_foreign_device(device, name)
            if any(known.modulus == device for known in user.devices):
                return user
            if len(user.devices) >= MAX_DEVICES:
                raise TooMany(f"An account has at most {MAX_DEVICES} devices, and this one has them all.")
            return replace(user, devices=(*user.devices, Device(modulus=device, added_ms=now_ms)))

        return self.change(name, with_device)

    def change(self, name: str, change: Callable[[User], User]) -> User:
        """Put what `change` makes of an account in its place; its names stay. Returns once it is on the disk.

        Raises NotWritten, and KeyError for a name without an account.
        """
        with self._writing:
            before = self._users[name]
            after = change(before)
            if after.names != before.names:
                raise ValueError("a name is changed by `rename`")
            if after != before:
                self._write(after)
                self._replace(before, after)
            return after

    def rename(self, name: str, new_name: str) -> User:
        """Give an account another name; the one it had stays taken by it. Returns once that is on the disk.

        The new file is written first and the old one removed after it; what a crash leaves in between, `open`
        finishes. Raises NameTaken, TooMany, NotWritten, and KeyError for a name without an account.
        """
        with self._writing:
            before = self._users[name]
            self.refuse_rename(before, new_name)
            after = renamed(before, new_name)
            self._write(after)
            self._replace(before, after)
            with suppress(OSError):
                self._files.remove(self._path_of(before))
                self._files.sync_directory(self._directory)
            return after

    def refuse_rename(self, user: User, new_name: str) -> None:
        """Raises NameTaken or TooMany where `rename` would."""
        self._refuse_taken(new_name, but_by=user)
        if len(renamed(user, new_name).formerly) > MAX_FORMER_NAMES:
            raise TooMany(f"An account keeps at most {MAX_FORMER_NAMES} former names, and this one has them.")

    def close_account(self, name: str, now_ms: int) -> User:
        """Let nobody in as `name` any more, and keep its names taken. Raises NotWritten, KeyError."""
        return self.change(name, lambda user: replace(user, removed_ms=now_ms))

    def forget(self, name: str) -> None:
        """Remove the file of an account, closed or not, and let its names go. Raises NotWritten, KeyError."""
        with self._writing:
            user = self._users.get(name) or self._closed[name]
            if self._doubtful:
                raise NotWritten(_DOUBTFUL)
            try:
                self._files.remove(self._path_of(user))
                self._drop(user)
                self._files.sync_directory(self._directory)
            except OSError as error:
                raise NotWritten(
                    f"The account's file could not be removed for good ({error.strerror or error}). Look after the "
                    "disk, then see with `bisikd users list` whether it is still there."
                ) from error

    # Changes -----------------------------------------------------------------------------------------------------

    def _refuse_taken(self, name: str, *, but_by: User | None = None) -> None:
        if canonical_name(name) != name:
            raise ValueError("the caller puts the name in its one spelling first")
        own = () if but_by is None else but_by.names
        if name in own[-1:] or name in self._names.difference(own):
            raise NameTaken("This name is taken; choose another one, or log in if it is yours.")
        if self._skeletons.get(skeleton(name), set()).difference(own):
            raise NameTaken("This name looks too much like one that is taken; choose another one.")

    def _refuse_foreign_device(self, device: bytes, name: str) -> None:
        if self._owners.get(sha256(device).digest(), name) != name:
            raise DeviceTaken("This device's key belongs to another name; log in with that one.")

    def _path_of(self, user: User) -> Path:
        return self._directory / file_name_of(user.name)

    def _write(self, user: User) -> None:
        if self._doubtful:
            raise NotWritten(_DOUBTFUL)
        try:
            replace_file(self._path_of(user), encode_user(user), self._files)
        except NotDurable as error:
            self._doubtful = True
            raise NotWritten(_DOUBTFUL) from error
        except OSError as error:
            raise NotWritten(
                f"The account could not be written ({error.strerror or error}), and everything is as it was before. "
                "Ask the server's operator to look at its disk, then try again."
            ) from error

    def _remember(self, user: User) -> None:
        for name in user.names:
            self._take_name(name)
        if user.removed_ms is not None:
            self._closed[user.name] = user
            self._closed_owners |= {device.key_hash: user.name for device in user.devices}
            return
        self._users[user.name] = user
        self._former |= dict.fromkeys(user.formerly, user.name)
        self._owners |= {device.key_hash: user.name for device in user.devices}

    def _replace(self, before: User, after: User) -> None:
        """Other threads may be looking: whoever stays is there all the time."""
        gone = {device.key_hash for device in before.devices} - {device.key_hash for device in after.devices}
        self._remember(after)
        if before.name != after.name or after.removed_ms is not None:
            self._users.pop(before.name, None)
        if after.removed_ms is not None:
            gone = {device.key_hash for device in before.devices}
        for key_hash in gone:
            self._owners.pop(key_hash, None)

    def _take_name(self, name: str) -> None:
        self._names.add(name)
        self._skeletons.setdefault(skeleton(name), set()).add(name)

    def _drop(self, user: User) -> None:
        """Undo `_remember`: the account is forgotten."""
        self._users.pop(user.name, None)
        self._closed.pop(user.name, None)
        for owners in (self._owners, self._closed_owners):
            for device in user.devices:
                if owners.get(device.key_hash) == user.name:
                    del owners[device.key_hash]
        for name in user.names:
            self._former.pop(name, None)
            self._names.discard(name)
            alike = self._skeletons[skeleton(name)]
            alike.discard(name)
            if not alike:
                del self._skeletons[skeleton(name)]

    # Reading -----------------------------------------------------------------------------------------------------

    def _read(self, path: Path, read: dict[Path, User]) -> None:
        name = name_of_file(path.name)
        if name is None:
            problem = Unreadable("the file is not called after any name; accounts are made by the daemon only")
            self._report(path, None, problem)
            return
        try:
            read[path] = decode_user(read_text(path, self._files), name)
        except Unreadable as problem:
            self._report(path, name, problem)

    def _finish_renames(self, read: dict[Path, User], *, remove: bool) -> None:
        """Clear away what a crash in the middle of `rename` left: the file from before it, and nothing but that."""
        for after in list(read.values()):
            if not after.formerly:
                continue
            path = self._directory / file_name_of(after.formerly[-1])
            before = read.get(path)
            if before is not None and renamed(before, after.name) == after:
                del read[path]
                if remove:
                    self._files.remove(path)

    def _load(self, path: Path, user: User) -> None:
        if user.removed_ms is None:
            for device in user.devices:
                owner = self._owners.get(device.key_hash, user.name)
                if owner != user.name:
                    self._report(path, user.name, Unreadable(f"one of its devices belongs to {owner} already"))
                    return
        self._remember(user)

    def _report(self, path: Path, name: str | None, problem: Unreadable) -> None:
        if name is not None:
            self._take_name(name)
        self.damaged.append(Damage(path=path, name=name, line=problem.line, sentence=_damage_sentence(problem)))


NOBODY: Final = User(
    name="", created_ms=0, login_id_hash="", devices=(Device(modulus=bytes(MODULUS_BYTES), added_ms=0),)
)
"""Stands for the account that is not there, so that looking for it costs what finding one does."""


def _with_device(user: User | None, key_hash: bytes) -> tuple[User, bytes] | None:
    """Another thread may be changing the account: only what was looked up once is asked."""
    # Where there is nobody, somebody else's devices are looked through: it takes as long.
    modulus = next((device.modulus for device in (user or NOBODY).devices if device.key_hash == key_hash), None)
    return None if user is None or modulus is None else (user, modulus)


def renamed(user: User, name: str) -> User:
    """The account under another name. One that it had before is its name again, and no former one."""
    formerly = (*(former for former in user.formerly if former != name), user.name)
    return replace(user, name=name, formerly=formerly)


def _damage_sentence(problem: Unreadable) -> str:
    return (
        f"{problem.what}. The file is kept as it is and nobody can use this account; "
        "repair the file or restore it from a backup, then restart."
    )
