"""What can be configured. A key is a field here and nothing else has to be told of it.

To add a key, add a field: its name is the key, its type what the program gets, and `key(...)` gives the default, what
a value may be (`kinds`), and the words that stand above it in the file that `bisikd config init` writes. To add a
table, add a class and a field made by `table(...)`. Then the file, BISIKD_TABLE_KEY in the environment, `--set
table.key=…`, `config show` and the checks know it; docs/operating.md has to be told (a test compares).

`restart=True` is for what a running daemon cannot change: a reload says so.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from bisikd.config import kinds
from bisikd.config.kinds import Kind, decimal, whole
from bisikd.config.listening import ListenAddress

CONFIG_NAME: Final = "bisikd.toml"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key, by its full name: `listen`, `limits.rooms`."""

    name: str
    kind: Kind
    default: Any
    words: str
    restart: bool = False

    @property
    def table(self) -> str:
        """The table that it stands in; empty for the top."""
        return self.name.rpartition(".")[0]

    @property
    def variable(self) -> str:
        """What it is called in the environment."""
        return "BISIKD_" + self.name.replace(".", "_").upper()


def key(default: T, kind: Kind, words: str, *, restart: bool = False) -> T:
    """A field that is a key of the configuration."""
    found: Any = field(default=default, metadata={"kind": kind, "words": words, "restart": restart})
    return cast(T, found)


def table(made: type[T], words: str) -> T:
    """A field that is a table of keys; `words` explain it above its header."""
    found: Any = field(default_factory=made, metadata={"table": made, "words": words})
    return cast(T, found)


COUNT: Final = whole(1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for everything that people outside can make grow."""

    sessions: int = key(16_384, COUNT, "Connections that may be logged in or about to.")
    sessions_per_user: int = key(32, COUNT, "Connections of one person; above it the quietest one goes.")
    unadmitted_sessions: int = key(1_024, COUNT, "Strangers at the door; above it who has waited longest goes.")
    rooms: int = key(256, COUNT, "Rooms. One is there for good once something is stored in it.")
    new_rooms_per_day: int = key(
        64, COUNT, "Rooms that one member may begin in a day; moderators have no such limit."
    )
    directs_per_person: int = key(
        256, COUNT, "Direct conversations of one person; they do not count as rooms, but in new_rooms_per_day."
    )
    rooms_per_session: int = key(64, COUNT, "Rooms that one connection may be in.")
    messages_burst: int = key(
        240,
        COUNT,
        "Messages that one person may send at once, in all rooms together. One counts once more for each 4 KiB.",
    )
    messages_per_second: float = key(
        20.0,
        decimal(0, 1_000_000),
        "How many messages that allowance grows by each second; 0: no limit. What is over it is refused with the\n"
        "time after which the sender's client tries again; nothing is lost.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The log."""

    keep: str | None = key(
        None,
        kinds.KEEP,
        "What is kept: so long (90d, 8w, 2y) or so much (500MB, 20GB). Whole segments that are older, or beyond it,\n"
        "are dropped, and a signed note of that takes their place.",
    )

    auditor: str | None = key(
        None,
        kinds.text(),
        "File with the public half of an auditor's RSA-3072 key (PEM), relative to the state directory. Who has the\n"
        "private half can read and verify every segment that is begun from then on; keep it on another machine.",
        restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Numbers for Prometheus."""

    listen: str | None = key(
        None,
        kinds.METRICS_LISTEN,
        "Where Prometheus reads them, by HTTP at /metrics: unix:PATH (a relative one is in the state directory), or\n"
        "127.0.0.1:PORT. Under the shipped systemd units the service has no network: use unix:PATH there.",
        restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run of the daemon goes by."""

    state: Path  # not a key like the others: where the file is may depend on it
    listen: ListenAddress = key(
        ListenAddress(),
        kinds.LISTEN,
        "UDP address to listen on: HOST:PORT, HOST, or a port alone for every address. Port 0 is any free one.\n"
        "Where systemd passes a socket, that one is used.",
        restart=True,
    )
    public_host: str | None = key(
        None, kinds.PUBLIC_HOST, "What invites say, HOST or HOST:PORT, where that is not the address listened on."
    )
    limits: Limits = table(Limits, "Upper bounds for everything that people outside can make grow.")
    metrics: MetricsSettings = table(MetricsSettings, "Numbers about the running daemon, for Prometheus.")
    log: LogSettings = table(LogSettings, "The encrypted log of everything that is said.")


STATE_WORDS: Final = (
    "The state directory: keys, accounts, log. A relative path is relative to this file. It cannot be set in the\n"
    "state directory's own file, only in one that is named by --config or BISIKD_CONFIG."
)


def all_keys() -> Iterator[Key]:
    """Every key but `state`, in the order in which they are documented."""
    for made, prefix in [(Settings, ""), *((made, f"{name}.") for name, made, _ in all_tables())]:
        for found in fields(made):
            if "kind" in found.metadata:
                yield Key(name=prefix + found.name, default=found.default, **found.metadata)


def all_tables() -> Iterator[tuple[str, type, str]]:
    """Name, class and words of each table."""
    for found in fields(Settings):
        if "table" in found.metadata:
            yield found.name, found.metadata["table"], found.metadata["words"]


def make_settings(state: Path, values: Mapping[str, Any]) -> Settings:
    """Settings from the value of every key."""
    top: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {name: {} for name, _, _ in all_tables()}
    for name, value in values.items():
        inside, _, last = name.rpartition(".")
        (tables[inside] if inside else top)[last] = value
    made = {name: made(**tables[name]) for name, made, _ in all_tables()}
    return Settings(state=state, **top, **made)


def value_of(settings: Settings, name: str) -> Any:
    """The value of a key by its full name."""
    found: Any = settings
    for part in name.split("."):
        found = getattr(found, part)
    return found


def default_state_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """systemd's StateDirectory, else /var/lib/bisikd for root, else the user's own state directory."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib/bisikd")
    import platformdirs  # noqa: PLC0415 # a service is given its directory

    return platformdirs.user_state_path("bisikd", appauthor=False)
