"""What the value of a configuration key may be: read from TOML, or from the text of a flag or of the environment.

It knows nothing of files, of where a value comes from, or of what it is for. A kind is refused by a ValueError whose
text is empty where `words` say it all, and else a sentence of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bisik_protocol.chat.invite import parse_endpoint, parse_port
from bisikd.config.listening import ListenAddress, parse_listen
from bisikd.log.retention import parse_keep

_YES: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Kind:
    """`words` go behind "is": "a whole number from 1 to 9". `read` takes a TOML value, `from_text` makes one."""

    words: str
    read: Callable[[Any], Any]
    from_text: Callable[[str], Any] = field(default=str)
    show: Callable[[Any], Any] = field(default=lambda value: value)


def _whole_text(text: str) -> Any:
    stripped = text.strip()
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) <= 18 else text


def _decimal_text(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def whole(low: int, high: int) -> Kind:
    """A whole number, both ends included."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(f"a whole number from {low} to {high}", read, _whole_text)


def decimal(low: float, high: float) -> Kind:
    """A number, both ends included."""

    def read(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError
        return float(value)

    return Kind(f"a number from {low:.15g} to {high:.15g}", read, _decimal_text)


def flag() -> Kind:
    """true or false; in the environment yes, no, 1 and 0 too."""

    def read(value: object) -> bool:
        if value is not True and value is not False:
            raise ValueError
        return value

    return Kind("true or false", read, lambda text: _YES.get(text.strip().lower(), text))


def text() -> Kind:
    """A text that is not empty."""
    return Kind("a text in quotes", _text)


def choice(*words: str) -> Kind:
    """One of these words."""

    def read(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Kind("one of " + ", ".join(f'"{word}"' for word in words), read)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _public_host(value: object) -> str:
    host = _text(value)
    try:
        parse_endpoint(host)
    except ValueError as error:
        raise ValueError(f"{host!r} cannot stand in an invite: {error}") from None
    return host


def _keep(value: object) -> str:
    text = _text(value)
    parse_keep(text)
    return text


def _metrics_listen(value: object) -> str:
    """`unix:PATH`, or a port of this machine alone: nobody needs a password to read the numbers."""
    where = _text(value)
    if where.startswith("unix:") and len(where) > len("unix:"):
        return where
    host, colon, port = where.rpartition(":")
    if not colon or host not in ("127.0.0.1", "[::1]"):
        raise ValueError(
            f"{where!r} is no place for metrics: write unix:PATH, or 127.0.0.1:PORT, which only this machine reaches."
        )
    try:
        parse_port(port, lowest=0)
    except ValueError as error:
        raise ValueError(f"{where!r} is no place for metrics: {error}") from None
    return where


LISTEN: Final = Kind("a text in quotes", lambda value: parse_listen(_text(value)), show=ListenAddress.as_text)
PUBLIC_HOST: Final = Kind("a text in quotes", _public_host)
METRICS_LISTEN: Final = Kind("a text in quotes", _metrics_listen)
KEEP: Final = Kind("a length of time or a size, like 90d or 20GB", _keep)
