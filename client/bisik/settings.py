"""The client's configuration: config.toml in the system's place for configuration, or where $BISIK_CONFIG says.

Every key is a row of `KEYS`, which is also what `bisik config init` writes and what a mistake is compared with.
Without a file everything is as the table says. A file that cannot be understood is refused, with the key's name and
the nearest right one, rather than half obeyed.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import platformdirs

from bisik.errors import WrongUsage
from bisik.files import create_once
from bisik.i18n import N_, _

CONFIG_VARIABLE: Final = "BISIK_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the file."""

    name: str
    default: str | bool
    help: str
    """In English: show it through `_`."""
    choices: tuple[str, ...] = ()


KEYS: Final = (
    Key(
        name="bell",
        default="mentions",
        choices=("off", "mentions", "all"),
        help=N_("For what the terminal rings."),
    ),
    Key(
        name="notify",
        default="bel",
        choices=("bel", "osc9", "osc777"),
        help=N_("How it rings: the bell, or a sentence on the desktop, for terminals that know OSC 9 or OSC 777."),
    ),
    Key(
        name="theme",
        default="dark",
        choices=("dark", "light", "terminal"),
        help=N_("The colours of the full screen. NO_COLOR in the environment takes all of them away."),
    ),
    Key(name="mouse", default=True, help=N_("Whether the full screen listens to the mouse.")),
    Key(
        name="interface",
        default="screen",
        choices=("screen", "lines", "plain"),
        help=N_("The full screen; or lines above the one that is typed (--lines); or --plain, for screen readers."),
    ),
)
_BY_NAME: Final = {key.name: key for key in KEYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for this run. `given` are the names that the file says."""

    bell: str = "mentions"
    notify: str = "bel"
    theme: str = "dark"
    mouse: bool = True
    interface: str = "screen"
    keys: Mapping[str, object]
    path: Path
    given: frozenset[str] = frozenset()


def config_path() -> Path:
    """Where the file is, or would be."""
    told = os.environ.get(CONFIG_VARIABLE)
    return (
        Path(told).expanduser() if told else platformdirs.user_config_path("bisik", appauthor=False) / "config.toml"
    )


def load_settings(path: Path | None = None) -> Settings:
    """Read the file, if there is one. Raises WrongUsage."""
    path = config_path() if path is None else path
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Settings(path=path, keys={})
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(_("Cannot read {path}: {error}.").format(path=path, error=_why(error))) from None
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number too long for Python is a ValueError and no more
        raise WrongUsage(_("{path} is not TOML: {error}.").format(path=path, error=error)) from None
    return _checked(found, path)


def _checked(found: dict[str, Any], path: Path) -> Settings:
    keys = found.pop("keys", {})
    if not isinstance(keys, dict):
        raise WrongUsage(_("{path}: [keys] is a table.").format(path=path))
    for name, value in found.items():
        complaint = objection(name, value)
        if complaint is not None:
            raise WrongUsage(f"{path}: {complaint}")
    return Settings(path=path, keys=keys, given=frozenset(found), **found)


def objection(name: str, value: object) -> str | None:
    """Why a key cannot have a value, as a sentence; None where it can."""
    key = _BY_NAME.get(name)
    if key is None:
        near = next(iter(get_close_matches(name, _BY_NAME, n=1)), None)
        hint = _(" Did you mean {name}?").format(name=near) if near else ""
        return _("There is no key {name}.").format(name=repr(name)) + hint
    if key.choices and value not in key.choices:
        return _("{name} is one of these: {choices}.").format(name=name, choices=", ".join(key.choices))
    if not key.choices and not isinstance(value, bool):
        return _("{name} is true or false.").format(name=name)
    return None


def documented() -> str:
    """The whole file, every key with its meaning and its default, commented out."""
    lines = ["# " + _("How bisik behaves for you. A key that is commented out has the value that stands there."), ""]
    for key in KEYS:
        lines.append(f"# {_(key.help)}")
        if key.choices:
            lines.append("# " + _("One of: {choices}").format(choices=", ".join(key.choices)))
        lines += [f"#{key.name} = {_toml(key.default)}", ""]
    lines += [
        "# " + _("Keys of the full screen, by what they do. F1 there shows all of them."),
        "#[keys]",
        '#bell = "f5"',
        "",
    ]
    return "\n".join(lines)


def write_documented(path: Path) -> bool:
    """Write that file. False, and nothing is done, where there is one already. Raises WrongUsage."""
    if path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create_once(path, documented().encode())
    except OSError as error:
        raise WrongUsage(_("Cannot write {file}: {error}.").format(file=path, error=_why(error))) from None
    return True


def _toml(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
