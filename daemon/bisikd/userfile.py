"""One account as a file: how it is called, what it says, and where exactly it is damaged.

It owns the text form and refuses what it did not write, by line. It must not know of other accounts.

    name = "tama"
    role = "member"             # or "moderator" or "owner"; may be left out
    created_ms = 1795338000123
    login_id = "$argon2id$..."
    formerly = ["budi"]         # only after a rename: these names stay taken
    removed_ms = 1795338000123  # only in an account that was closed: it keeps its names, and nobody can use it

    [[devices]]
    fingerprint = "aaaq..."     # base32 of the key's hash: finds a damaged key, and names it to people
    key = "base64 of the RSA modulus"
    added_ms = 1795338000123
    sealing = "base64 of a bundle"            # both or neither: the key that direct messages are sealed to,
    sealing_signature = "base64 of 384 bytes" # and the device's signature under it
"""

import re
import tomllib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import tomli_w

from bisik_protocol.chat.messages import MAX_FORMER_NAMES, Role
from bisik_protocol.chat.names import InvalidName, canonical_name
from bisik_protocol.chat.sealing_bundle import check_bundle_untrusted
from bisik_protocol.crypto.identity import VerifyKey, fingerprint_text
from bisik_protocol.errors import RemoteProtocolError
from bisikd.log.files import FileSystem
from bisikd.passwords import is_stored_form

SUFFIX: Final = ".toml"
MAX_FILE_BYTES: Final = 256 * 1024  # an account with 32 devices has 110 KiB; the rest is for comments

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_ENCODED: Final = re.compile(r"(?:[a-z0-9_-]|=[0-9a-f]{2})+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A device's sealing key as it was published, and is given to who asks."""

    bundle: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A key that may log in without the login ID."""

    modulus: bytes  # 384 bytes, big-endian
    added_ms: int
    published: Published | None = None

    @property
    def key_hash(self) -> bytes:
        return sha256(self.modulus).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account as it is on the disk. A change makes a new one."""

    name: str
    created_ms: int
    login_id_hash: str = field(repr=False)
    devices: tuple[Device, ...]
    role: Role = Role.MEMBER
    formerly: tuple[str, ...] = ()
    """Names that the account had before, oldest first; what was said under them stays theirs."""
    removed_ms: int | None = None
    """When the operator closed the account. It is kept so that nobody else takes its names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is taken by this account."""
        return (*self.formerly, self.name)


# File names --------------------------------------------------------------------------------------------------------


def file_name_of(name: str) -> str:
    """A file name for a canonical name: plain ASCII, reversible, never hidden, never a path, at most 197 bytes."""
    encoded = "".join(chr(byte) if chr(byte) in _PLAIN else f"={byte:02x}" for byte in name.encode())
    return encoded + SUFFIX


def name_of_file(file_name: str) -> str | None:
    """The name that `file_name_of` made a file name of, or None if it made none."""
    encoded = file_name.removesuffix(SUFFIX)
    if not _ENCODED.fullmatch(encoded):
        return None
    raw = re.sub(r"=(..)", lambda match: chr(int(match[1], 16)), encoded).encode("latin-1")
    try:
        name = raw.decode()
        spelt = canonical_name(name)
    except (UnicodeDecodeError, InvalidName):
        return None
    return name if spelt == name and file_name_of(name) == file_name else None


# File content ------------------------------------------------------------------------------------------------------


class Unreadable(Exception):  # noqa: N818
    """`what` is wrong, a clause without its full stop; `line` counts from 1, None where no line is to blame."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class _Wrong(Exception):  # noqa: N818
    """What is wrong with the value of `key`, in the file's device number `device` or before all devices."""

    def __init__(self, what: str, key: str, device: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.key = key
        self.device = device


def encode_user(user: User) -> bytes:
    content: dict[str, Any] = {
        "name": user.name,
        "role": user.role.value,
        "created_ms": user.created_ms,
        "login_id": user.login_id_hash,
    }
    if user.formerly:
        content["formerly"] = list(user.formerly)
    if user.removed_ms is not None:
        content["removed_ms"] = user.removed_ms
    content["devices"] = [
        {
            "fingerprint": fingerprint_text(device.key_hash),
            "key": b64encode(device.modulus).decode(),
            "added_ms": device.added_ms,
            **_published_content(device),
        }
        for device in user.devices
    ]
    return tomli_w.dumps(content).encode()


def _published_content(device: Device) -> dict[str, str]:
    if device.published is None:
        return {}
    return {
        "sealing": b64encode(device.published.bundle).decode(),
        "sealing_signature": b64encode(device.published.signature).decode(),
    }


def read_text(path: Path, files: FileSystem) -> str:
    try:
        file = files.open(path, writable=False)
        try:
            content = file.read(0, MAX_FILE_BYTES + 1)
        finally:
            file.close()
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror or error})") from None
    if len(content) > MAX_FILE_BYTES:
        raise Unreadable(f"it is larger than any account, which has {MAX_FILE_BYTES} bytes at most")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("it is not UTF-8 text", content.count(b"\n", 0, error.start) + 1) from None


def decode_user(text: str, name: str) -> User:
    """The account of `name`. Raises Unreadable for anything that `encode_user` could not have written."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: TOMLDecodeError is one, a number too long is another
        raise Unreadable("it is not TOML", _line_of(error, text)) from None
    try:
        return _user_of(content, name)
    except _Wrong as wrong:
        raise Unreadable(wrong.what, _find_line(text, wrong)) from None


def _line_of(error: Exception, text: str) -> int:
    """Python 3.11 says where in its message only, and for some errors not at all: then it is the last line."""
    found = re.search(r"at line (\d+)", str(error))
    return int(found[1]) if found else text.count("\n") + (not text.endswith("\n"))


def _find_line(text: str, wrong: _Wrong) -> int | None:
    """Where the key is; where it is missing, where its device begins. The files that need it are the small ones
    that `encode_user` wrote and something damaged, so looking at how lines begin is enough."""
    device, device_line = -1, None
    for number, line in enumerate(text.split("\n"), 1):
        header = line.lstrip().startswith("[")
        if header:
            device += 1
            if device == wrong.device:
                device_line = number
        here = None if device < 0 else device
        if (header or here == wrong.device) and re.match(rf"\s*\[*{re.escape(wrong.key)}\b", line):
            return number
    return device_line


def _user_of(content: dict[str, Any], name: str) -> User:
    _refuse_unknown(content, ("name", "role", "created_ms", "login_id", "formerly", "removed_ms", "devices"))
    if content.get("name") != name:
        raise _Wrong("the name in it is not the one that the file is called after", "name")
    login_id_hash = content.get("login_id")
    if not isinstance(login_id_hash, str) or not is_stored_form(login_id_hash):
        raise _Wrong("the login ID in it is not an Argon2id hash", "login_id")
    devices = content.get("devices")
    if not isinstance(devices, list) or not all(isinstance(table, dict) for table in devices):
        raise _Wrong("there is no list of devices in it", "devices")
    return User(
        name=name,
        created_ms=_time_of(content, "created_ms"),
        login_id_hash=login_id_hash,
        devices=tuple(_device_of(table, place) for place, table in enumerate(devices)),
        role=_role_of(content),
        formerly=_formerly_of(content),
        removed_ms=_time_of(content, "removed_ms") if "removed_ms" in content else None,
    )


def _role_of(content: dict[str, Any]) -> Role:
    try:
        return Role(content.get("role", Role.MEMBER.value))
    except ValueError:
        known = ", ".join(role.value for role in Role)
        raise _Wrong(f"the role in it is none of {known}", "role") from None


def _formerly_of(content: dict[str, Any]) -> tuple[str, ...]:
    names = content.get("formerly", [])
    if not isinstance(names, list) or len(names) > MAX_FORMER_NAMES:
        raise _Wrong(f"its former names are not a list of at most {MAX_FORMER_NAMES}", "formerly")
    for name in names:
        try:
            spelt = canonical_name(name) if isinstance(name, str) else None
        except InvalidName:
            spelt = None
        if spelt != name or spelt is None:
            raise _Wrong("a former name in it is no name", "formerly")
    return tuple(names)


def _device_of(table: dict[str, Any], place: int) -> Device:
    _refuse_unknown(table, ("fingerprint", "key", "added_ms", "sealing", "sealing_signature"), place)
    try:
        modulus = b64decode(table.get("key", ""), validate=True)
        key = VerifyKey.from_modulus_untrusted(modulus)
    except (TypeError, ValueError, RemoteProtocolError):
        raise _Wrong("a device key in it is not an RSA key of 3072 bits", "key", place) from None
    if table.get("fingerprint") != fingerprint_text(key.key_hash):
        raise _Wrong("a device key in it does not match its fingerprint", "fingerprint", place)
    added_ms = _time_of(table, "added_ms", place)
    return Device(modulus=modulus, added_ms=added_ms, published=_published_of(table, key, place))


def _published_of(table: dict[str, Any], device: VerifyKey, place: int) -> Published | None:
    if "sealing" not in table and "sealing_signature" not in table:
        return None
    try:
        bundle = b64decode(table.get("sealing", ""), validate=True)
        signature = b64decode(table.get("sealing_signature", ""), validate=True)
        check_bundle_untrusted(device, bundle, signature)
    except (TypeError, ValueError, RemoteProtocolError):
        raise _Wrong("a sealing key in it is not one that its device has signed", "sealing", place) from None
    return Published(bundle=bundle, signature=signature)


def _time_of(table: dict[str, Any], key: str, device: int | None = None) -> int:
    value = table.get(key)
    if type(value) is not int or value < 0:  # True is an int too
        raise _Wrong("a time in it is not a number of milliseconds", key, device)
    return value


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], device: int | None = None) -> None:
    """A misspelt or damaged key would silently be lost at the next change of the account."""
    for key in table:
        if key not in known:
            raise _Wrong("there is something in it that no account has", key, device)
