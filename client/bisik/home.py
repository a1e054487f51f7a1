"""The home directory: what a person's client keeps between visits, one folder for each server.

    HOME/default                        fingerprint of the server that was used last
    HOME/servers/FINGERPRINT/profile.toml  name, host, port, fingerprint
    HOME/servers/FINGERPRINT/device.pem    this device's RSA key, for its owner only
    HOME/servers/FINGERPRINT/sealing.pem   what direct messages are sealed to for this device, for its owner only
    HOME/servers/FINGERPRINT/store.db      outbox, cursors, known devices (see `store`)
    HOME/servers/FINGERPRINT/search.db     words of what was said; may be deleted (see `index`)

A folder is a server's by its fingerprint, so that a server which moves to another address stays the same one, and
another server at the same address does not. A folder without profile.toml is a registration that did not finish: its
key is used for the next try. It knows nothing of the network.
"""

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import platformdirs
import tomli_w

from bisik.errors import HomeError, NotKnown
from bisik.files import create_once, make_private_directory, write_atomically
from bisik.i18n import _
from bisik_protocol.crypto.identity import SigningKey, fingerprint_text, parse_fingerprint
from bisik_protocol.crypto.sealing_key import SealingKey
from bisik_protocol.errors import LocalProtocolError

HOME_VARIABLE: Final = "BISIK_HOME"

K = TypeVar("K", SigningKey, SealingKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Who one is on one server, and how to get there."""

    name: str
    host: str
    port: int
    fingerprint: bytes
    folder: Path

    @property
    def address(self) -> str:
        """`host:port` for people; an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def store_path(self) -> Path:
        return self.folder / "store.db"

    @property
    def search_path(self) -> Path:
        return self.folder / "search.db"


class Home:
    """One home directory. Nothing is created before there is something to keep."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def locate(cls, path: str | Path | None = None) -> "Home":
        """The directory that was asked for, else $BISIK_HOME, else the system's place for a program's data."""
        chosen = path or os.environ.get(HOME_VARIABLE) or platformdirs.user_data_path("bisik", appauthor=False)
        return cls(Path(chosen).expanduser())

    def folder(self, fingerprint: bytes) -> Path:
        return self.path / "servers" / fingerprint_text(fingerprint)

    def profile(self, fingerprint: bytes) -> Profile | None:
        """Who one is on the server with this fingerprint; None before the first visit. Raises HomeError."""
        path = self.folder(fingerprint) / "profile.toml"
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError(_("Cannot read {path}: {error}.").format(path=path, error=_why(error))) from None
        return _parse_profile(text, path, fingerprint)

    def profiles(self) -> list[Profile]:
        """Everybody one is, by address. Raises HomeError."""
        known = [profile for fingerprint in self._fingerprints() if (profile := self.profile(fingerprint))]
        return sorted(known, key=lambda profile: (profile.host, profile.port))

    def at_address(self, host: str, port: int) -> Profile | None:
        """The server that this home knows at an address; the newest where there were several."""
        here = [profile for profile in self.profiles() if (profile.host, profile.port) == (host, port)]
        default = self._default_fingerprint()
        here.sort(key=lambda profile: profile.fingerprint != default)
        return here[0] if here else None

    def default(self) -> Profile | None:
        """The server that was used last, or the only one there is. Raises HomeError."""
        fingerprint = self._default_fingerprint()
        profile = self.profile(fingerprint) if fingerprint else None
        if profile:
            return profile
        known = self.profiles()
        return known[0] if len(known) == 1 else None

    def require_default(self) -> Profile:
        """Like `default`, for commands that cannot do without. Raises NotKnown."""
        profile = self.default()
        if profile is None:
            raise NotKnown(
                _("No server is known in {path}. Join one first: bisik join INVITE, or bisik for a dialogue.").format(
                    path=self.path
                )
            )
        return profile

    def save(self, *, name: str, host: str, port: int, fingerprint: bytes) -> Profile:
        """Remember who one is, and that this server was used last. Raises HomeError."""
        folder = self.folder(fingerprint)
        profile = Profile(name=name, host=host, port=port, fingerprint=fingerprint, folder=folder)
        text = tomli_w.dumps({"name": name, "host": host, "port": port, "fingerprint": fingerprint_text(fingerprint)})
        try:
            make_private_directory(folder)
            write_atomically(folder / "profile.toml", text.encode())
        except OSError as error:
            raise HomeError(
                _("Cannot write {file}: {error}.").format(file=folder / "profile.toml", error=_why(error))
            ) from None
        self.use(profile)
        return profile

    def use(self, profile: Profile) -> None:
        """Make it the default."""
        if self._default_fingerprint() == profile.fingerprint:
            return
        try:
            write_atomically(self.path / "default", fingerprint_text(profile.fingerprint).encode() + b"\n")
        except OSError as error:
            raise HomeError(
                _("Cannot write {file}: {error}.").format(file=self.path / "default", error=_why(error))
            ) from None

    def device(self, fingerprint: bytes) -> SigningKey:
        """This device's key for a server, made at the first call. Takes up to a second: call it in a thread.

        Two processes that ask at once get the same key. Raises HomeError; a damaged key is never replaced.
        """
        if not (self.folder(fingerprint) / "device.pem").exists():
            self.sealing_key(fingerprint)  # a device has both from the beginning
        return self._key(fingerprint, "device.pem", SigningKey)

    def sealing_key(self, fingerprint: bytes) -> SealingKey:
        """What direct messages are sealed to for this device; made, kept and refused as `device` is."""
        return self._key(fingerprint, "sealing.pem", SealingKey)

    def _key(self, fingerprint: bytes, name: str, kind: type[K]) -> K:
        folder = self.folder(fingerprint)
        path = folder / name
        try:
            make_private_directory(folder)
            pem = path.read_bytes() if path.exists() else create_once(path, kind.generate().to_pem())
        except OSError as error:
            raise HomeError(_("Cannot use {path}: {error}.").format(path=path, error=_why(error))) from None
        try:
            return kind.from_pem(pem)
        except LocalProtocolError as error:
            raise HomeError(
                _("{path} is damaged ({error}). It is left as it is; restore it from a copy.").format(
                    path=path, error=error
                )
            ) from None

    def _fingerprints(self) -> Iterator[bytes]:
        try:
            folders = sorted((self.path / "servers").iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise HomeError(
                _("Cannot read {file}: {error}.").format(file=self.path / "servers", error=_why(error))
            ) from None
        for folder in folders:
            try:
                yield parse_fingerprint(folder.name)
            except ValueError:
                continue  # not ours

    def _default_fingerprint(self) -> bytes | None:
        try:
            return parse_fingerprint((self.path / "default").read_text("utf-8").strip())
        except (OSError, ValueError):
            return None  # a convenience: without it, one is asked


def _parse_profile(text: str, path: Path, fingerprint: bytes) -> Profile:
    try:
        fields = tomllib.loads(text)
        name, host, port = fields["name"], fields["host"], fields["port"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise HomeError(
            _("{path} is damaged ({error}). Mend it, or remove it and join again.").format(
                path=path, error=_why(error)
            )
        ) from None
    if not (isinstance(name, str) and isinstance(host, str) and isinstance(port, int)):
        raise HomeError(
            _("{path} is damaged (a field has the wrong type). Mend it, or remove it and join again.").format(
                path=path
            )
        )
    return Profile(name=name, host=host, port=port, fingerprint=fingerprint, folder=path.parent)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{error}" if not isinstance(error, KeyError) else _("{key} is missing").format(key=error.args[0])
