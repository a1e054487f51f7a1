"""Configuration: flags above environment above bisikd.toml above defaults. Owns what the keys mean and nothing else.

The file is optional. It is the one named by --config or BISIKD_CONFIG, else `bisikd.toml` in the state directory.
Flags and environment arrive here already as one thing (click reads both), in that order.
"""

import difflib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import platformdirs

from bisik_protocol.chat.invite import DEFAULT_PORT, parse_endpoint, parse_port
from bisikd.errors import UsageProblem

CONFIG_NAME: Final = "bisikd.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for everything that people outside can make grow; each is a key in the file's [limits]."""

    sessions: int = 16_384
    sessions_per_user: int = 32
    unadmitted_sessions: int = 1_024
    rooms: int = 256
    rooms_per_session: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where to listen. No host: every address of this machine, IPv6 and IPv4. Port 0: any free one."""

    host: str | None = None
    port: int = DEFAULT_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run of the daemon goes by."""

    state: Path
    listen: ListenAddress = ListenAddress()
    public_host: str | None = None  # what invites name, where it is not the listening address
    limits: Limits = field(default_factory=Limits)


def default_state_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """systemd's StateDirectory, else /var/lib/bisikd for root, else the user's own state directory."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib/bisikd")
    return platformdirs.user_state_path("bisikd", appauthor=False)


def parse_listen(text: str) -> ListenAddress:
    """HOST:PORT, HOST, a port alone or :PORT (every address of this machine). Port 0 is any free one.

    Raises UsageProblem.
    """
    text = text.strip()
    host, colon, port = text.rpartition(":")
    try:
        if text.isdigit() or (colon and host in ("", "*")):
            return ListenAddress(port=parse_port(port, lowest=0))
        host, number = parse_endpoint(text, lowest_port=0)
    except ValueError as error:
        raise UsageProblem(f"Cannot listen on {text!r}: {error}") from None
    return ListenAddress(host=host, port=number)


def load_settings(
    *,
    state: Path | None = None,
    listen: str | None = None,
    public_host: str | None = None,
    config: Path | None = None,
) -> Settings:
    """What the given flags, the file and the defaults come to. Raises UsageProblem with a sentence."""
    directory = state if state is not None else default_state_directory()
    path = config if config is not None else directory / CONFIG_NAME
    content = _read(path, required=config is not None)
    _refuse_unknown(content, ("listen", "public_host", "state", "limits"), path)
    if config is None and "state" in content:
        raise UsageProblem(f"{path}: 'state' cannot be set in the state directory's own file.")
    if state is None and "state" in content:
        directory = path.parent / _text(content, "state", path)
    if listen is None and "listen" in content:
        listen = _text(content, "listen", path)
    if public_host is None and "public_host" in content:
        public_host = _text(content, "public_host", path)
    if public_host is not None:
        _check_public_host(public_host)
    return Settings(
        state=directory.absolute(),
        listen=ListenAddress() if listen is None else parse_listen(listen),
        public_host=public_host,
        limits=_limits(content.get("limits", {}), path),
    )


def _check_public_host(text: str) -> None:
    try:
        parse_endpoint(text)
    except ValueError as error:
        raise UsageProblem(f"{text!r} cannot stand in an invite: {error}") from None


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise UsageProblem(f"There is no configuration file {path}.") from None
        return {}
    except OSError as error:
        raise UsageProblem(f"Cannot read {path}: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path} is not valid TOML: {error}.") from None


def _limits(content: object, path: Path) -> Limits:
    if not isinstance(content, dict):
        raise UsageProblem(f"{path}: 'limits' is a table: write [limits] and its keys below.")
    _refuse_unknown(content, tuple(f.name for f in fields(Limits)), path, prefix="limits.")
    for key, value in content.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
            raise UsageProblem(f"{path}: 'limits.{key}' is a whole number from 1 to 1000000, not {value!r}.")
    return Limits(**content)


def _text(content: dict[str, Any], key: str, path: Path) -> str:
    value = content[key]
    if not isinstance(value, str) or not value.strip():
        raise UsageProblem(f"{path}: {key!r} is a text in quotes, not {value!r}.")
    return value


def _refuse_unknown(content: dict[str, Any], known: tuple[str, ...], path: Path, prefix: str = "") -> None:
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{prefix}{near[0]}'?" if near else f" The keys are: {', '.join(known)}."
            raise UsageProblem(f"{path}: there is no key '{prefix}{key}'.{hint}")
