"""Invites: secrets beside the join password that let newcomers in, each with an end, a number of uses, and a label.

It owns which invites there are and their file, `invites.toml`. A secret is shown once, when it is made; the file has
its SHA-256, which is enough for a secret of 99 random bits. Who came in by an invite is kept with it. Times are
milliseconds of the wall clock. It must not know how anybody comes in, or how an invite becomes a link.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from bisikd.errors import BisikdError
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.passwords import new_login_id, normalized
from bisikd.replace import replace_file
from bisikd.state import StateError

FILE_NAME: Final = "invites.toml"
MAX_INVITES: Final = 1_000
MAX_USES: Final = 1_000_000
MAX_LASTS_S: Final = 10 * 366 * 86_400
MAX_LABEL_CHARACTERS: Final = 100
MAX_GUESTS: Final = 100  # names kept with an invite; what is used more often is no secret any more
ID_DIGITS: Final = 8

_HEAD: Final = b"# Written by bisikd; `bisikd invite list` shows it.\n"


class InviteRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One invite, without its secret."""

    hash: str  # SHA-256 of the secret, in hexadecimal
    created_ms: int
    expires_ms: int | None = None
    max_uses: int | None = None
    uses: int = 0
    label: str = ""
    guests: tuple[str, ...] = ()  # who came in by it, the newest MAX_GUESTS

    @property
    def id(self) -> str:
        """What it is called by: the beginning of its hash, which tells nothing about the secret."""
        return self.hash[:ID_DIGITS]

    def over(self, now_ms: int) -> str | None:
        """Why nobody comes in by it any more, as the rest of a sentence."""
        if self.expires_ms is not None and now_ms >= self.expires_ms:
            return "has expired"
        if self.max_uses is not None and self.uses >= self.max_uses:
            return "has been used as often as it may be"
        return None


class InviteList(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The file's content."""

    invites: tuple[InviteRecord, ...] = ()


class InviteRefused(BisikdError):  # noqa: N818 # an answer
    """It was not done; the sentence says why."""


class Invites:
    """`save` is given every change before it holds; it blocks, and raises OSError. Changing methods block with it."""

    def __init__(self, invites: InviteList | None = None, save: Callable[[InviteList], None] | None = None) -> None:
        self._list = InviteList() if invites is None else invites
        self._save = save

    def all(self) -> list[InviteRecord]:
        """Newest first; those that are over too, until they are revoked."""
        return list(reversed(self._list.invites))

    def find(self, secret: str) -> InviteRecord | None:
        """The invite with this secret, over or not."""
        digest = _hash_of(secret)
        return next((invite for invite in self._list.invites if invite.hash == digest), None)

    def get(self, digest: str) -> InviteRecord | None:
        """The invite with this hash, if it was not revoked."""
        return next((invite for invite in self._list.invites if invite.hash == digest), None)

    def create(
        self, now_ms: int, *, lasts_s: int | None = None, max_uses: int | None = None, label: str = ""
    ) -> tuple[InviteRecord, str]:
        """A new invite, and its secret, which is nowhere else. Raises InviteRefused, OSError."""
        if len(self._list.invites) >= MAX_INVITES:
            raise InviteRefused(f"There are {MAX_INVITES} invites, which is the limit: revoke those that are over.")
        secret = new_login_id()
        invite = InviteRecord(
            hash=_hash_of(secret),
            created_ms=now_ms,
            expires_ms=None if lasts_s is None else now_ms + lasts_s * 1000,
            max_uses=max_uses,
            label=label,
        )
        self._store((*self._list.invites, invite))
        return invite, secret

    def use(self, digest: str, name: str) -> None:
        """Somebody new came in by it. One that was revoked in the meantime is no matter. Raises OSError."""
        self._store(
            tuple(
                msgspec.structs.replace(invite, uses=invite.uses + 1, guests=(*invite.guests, name)[-MAX_GUESTS:])
                if invite.hash == digest
                else invite
                for invite in self._list.invites
            )
        )

    def revoke(self, id_: str) -> InviteRecord:
        """Take an invite away, by its id or the beginning of it. Raises InviteRefused, OSError."""
        found = [invite for invite in self._list.invites if id_ and invite.hash.startswith(id_.strip().lower())]
        if not found:
            raise InviteRefused(f"There is no invite {id_}. `bisikd invite list` shows them.")
        if len(found) > 1:
            raise InviteRefused(f"{len(found)} invites begin with {id_}: give more of it.")
        self._store(tuple(invite for invite in self._list.invites if invite is not found[0]))
        return found[0]

    def _store(self, invites: tuple[InviteRecord, ...]) -> None:
        changed = InviteList(invites=invites)
        if self._save is not None:
            self._save(changed)
        self._list = changed


def _hash_of(secret: str) -> str:
    return sha256(b"bisik invite v1\0" + normalized(secret)).hexdigest()


def open_invites(directory: Path, files: FileSystem = REAL_FILES) -> Invites:
    """The invites of a state directory. Raises StateError where they cannot be read."""
    path = directory / FILE_NAME

    def save(invites: InviteList) -> None:
        replace_file(path, _HEAD + msgspec.toml.encode(invites), files)

    return Invites(_read(path, files), save)


def _read(path: Path, files: FileSystem) -> InviteList:
    if path.name not in files.names(path.parent):
        return InviteList()
    try:
        file = files.open(path, writable=False)
        try:
            return msgspec.toml.decode(file.read(0, 8 * 1024 * 1024), type=InviteList)
        finally:
            file.close()
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StateError(
            f"{path} is damaged: {error}. It was kept as it is; restore it from a backup, or remove it: then every "
            "invite but the join password is worth nothing, and members stay members."
        ) from None
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror or error}).") from None


def wanted_invite(request: dict[str, Any]) -> dict[str, Any]:
    """What an operator asks for, as arguments of `create`. Raises InviteRefused for what cannot be."""
    lasts_s, max_uses, label = request.get("lasts_s"), request.get("max_uses"), request.get("label") or ""
    if lasts_s is not None and (type(lasts_s) is not int or not 1 <= lasts_s <= MAX_LASTS_S):
        raise InviteRefused(f"An invite lasts a number of seconds up to {MAX_LASTS_S}, or for ever.")
    if max_uses is not None and (type(max_uses) is not int or not 1 <= max_uses <= MAX_USES):
        raise InviteRefused(f"An invite has from 1 to {MAX_USES} uses, or any number.")
    if not isinstance(label, str) or len(label) > MAX_LABEL_CHARACTERS:
        raise InviteRefused(f"A label has at most {MAX_LABEL_CHARACTERS} characters.")
    return {"lasts_s": lasts_s, "max_uses": max_uses, "label": label}
