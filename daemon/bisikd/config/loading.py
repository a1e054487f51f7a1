"""Flags above environment above bisikd.toml above defaults: what holds, and where it comes from.

The file is optional. It is the one named by --config or BISIKD_CONFIG, else `bisikd.toml` in the state directory.
A variable BISIKD_… that is no key is let alone: Kubernetes, for one, sets such for a service of this name.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bisikd.config.file import Written, at, nearest, read_file
from bisikd.config.settings import (
    CONFIG_NAME,
    Key,
    Settings,
    all_keys,
    default_state_directory,
    make_settings,
    value_of,
)
from bisikd.errors import UsageProblem


class Source(Enum):
    """Where a value comes from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """`where` is the flag, the variable, or file and line; empty for a default."""

    source: Source
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says. `sets` are KEY=VALUE of `--set`."""

    state: Path | None = None
    config: Path | None = None
    listen: str | None = None
    public_host: str | None = None
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Settings, and why they are as they are. `file` is where the file is or would be."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path
    flags: Flags

    def again(self) -> "Configuration":
        """What the same flags and environment come to with the file as it is now. Raises UsageProblem."""
        return load(self.flags)

    def changes(self, newer: "Configuration") -> list[Key]:
        """The keys whose values differ."""
        return [key for key in all_keys() if value_of(self.settings, key.name) != value_of(newer.settings, key.name)]


def load(flags: Flags | None = None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read everything there is to read. Raises UsageProblem with one sentence for the first thing that is wrong."""
    flags = Flags() if flags is None else flags
    config = flags.config or _path(environment.get("BISIKD_CONFIG"))
    given_state = flags.state or _path(environment.get("BISIKD_STATE"))
    state = default_state_directory(environment) if given_state is None else given_state
    path = state / CONFIG_NAME if config is None else config
    written = read_file(path, required=config is not None)
    origins: dict[str, Origin] = {"state": _state_origin(flags, given_state)}
    if "state" in written:
        if config is None:
            where = at(path, written["state"].line)
            raise UsageProblem(f"{where}: 'state' cannot be set in the state directory's own file.")
        if given_state is None:
            state = path.parent / _state_of(written["state"], path)
            origins["state"] = Origin(source=Source.FILE, where=at(path, written["state"].line))
    spoken = _flag_values(flags)
    values: dict[str, Any] = {}
    for key in all_keys():
        values[key.name], origins[key.name] = _value(key, spoken, environment, written, path)
    settings = make_settings(state.absolute(), values)
    return Configuration(settings=settings, origins=origins, file=path, flags=flags)


def locate_state(flags: Flags, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the state is, for commands that ask the running daemon: a mistake elsewhere in the file is not theirs."""
    config = flags.config or _path(environment.get("BISIKD_CONFIG"))
    state = flags.state or _path(environment.get("BISIKD_STATE"))
    if state is None and config is not None:
        written = read_file(config, required=True)
        if "state" in written:
            return (config.parent / _state_of(written["state"], config)).absolute()
    return (default_state_directory(environment) if state is None else state).absolute()


def load_settings(
    *,
    state: Path | None = None,
    listen: str | None = None,
    public_host: str | None = None,
    config: Path | None = None,
) -> Settings:
    """The settings alone, for commands that only want to know where the daemon is. Raises UsageProblem."""
    return load(Flags(state=state, config=config, listen=listen, public_host=public_host)).settings


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _state_origin(flags: Flags, given: Path | None) -> Origin:
    if flags.state is not None:
        return Origin(source=Source.FLAG, where="--state")
    if given is not None:
        return Origin(source=Source.ENVIRONMENT, where="BISIKD_STATE")
    return Origin(source=Source.DEFAULT)


def _state_of(written: Written, path: Path) -> str:
    if not isinstance(written.value, str) or not written.value.strip():
        raise UsageProblem(f"{at(path, written.line)}: 'state' is a text in quotes, not {written.value!r}.")
    return written.value


def _flag_values(flags: Flags) -> dict[str, tuple[str, str]]:
    """Text and flag of each key that the command line sets; the last of several holds."""
    known = {key.name for key in all_keys()}
    found: dict[str, tuple[str, str]] = {}
    for pair in flags.sets:
        name, equals, text = pair.partition("=")
        name = name.strip()
        if not equals:
            raise UsageProblem(f"--set {pair}: write it as KEY=VALUE, like --set limits.rooms=100.")
        if name not in known:
            raise UsageProblem(f"--set {pair}: there is no key '{name}'.{nearest(name, known)}")
        found[name] = text, "--set"
    if flags.listen is not None:
        found["listen"] = flags.listen, "--listen"
    if flags.public_host is not None:
        found["public_host"] = flags.public_host, "--public-host"
    return found


def _value(
    key: Key,
    spoken: Mapping[str, tuple[str, str]],
    environment: Mapping[str, str],
    written: Mapping[str, Written],
    path: Path,
) -> tuple[Any, Origin]:
    if (said := spoken.get(key.name)) is not None:
        origin = Origin(source=Source.FLAG, where=said[1])
        return _checked(key, key.kind.from_text(said[0]), said[1]), origin
    if text := environment.get(key.variable):
        origin = Origin(source=Source.ENVIRONMENT, where=key.variable)
        return _checked(key, key.kind.from_text(text), key.variable), origin
    if (found := written.get(key.name)) is not None:
        where = at(path, found.line)
        return _checked(key, found.value, where), Origin(source=Source.FILE, where=where)
    return key.default, Origin(source=Source.DEFAULT)


def _checked(key: Key, value: Any, where: str) -> Any:
    try:
        return key.kind.read(value)
    except ValueError as error:
        sentence = str(error) or f"'{key.name}' is {key.kind.words}, not {value!r}."
        raise UsageProblem(f"{where}: {sentence}") from None


def rows(configuration: Configuration) -> Iterable[tuple[str, Any, Origin]]:
    """Every key, what holds, and why; `state` first."""
    yield "state", str(configuration.settings.state), configuration.origins["state"]
    for key in all_keys():
        value = value_of(configuration.settings, key.name)
        yield key.name, None if value is None else key.kind.show(value), configuration.origins[key.name]
