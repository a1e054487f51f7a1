"""Options that many commands have, and how they become what the configuration takes as flags.

The environment is not read here: `config show` has to tell a variable from a flag.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final, cast

import click

from bisik_protocol.chat.messages import MAX_BAN_S
from bisikd.admin import ask
from bisikd.config import Flags, load_settings, locate_state
from bisikd.state import StateDirectory

UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

Decorator = Callable[[Any], Any]

state_option = click.option("--state", type=click.Path(path_type=Path), help="The state directory.")
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="The configuration file, instead of STATE/bisikd.toml."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
set_option = click.option(
    "--set", "sets", metavar="KEY=VALUE", multiple=True, help="Any key of the configuration; may be given often."
)


def flags_of(
    *,
    state: Path | None = None,
    config: Path | None = None,
    listen: str | None = None,
    public_host: str | None = None,
    sets: tuple[str, ...] = (),
) -> Flags:
    """The flags of a command line, by the names that the options above give them."""
    return Flags(state=state, config=config, listen=listen, public_host=public_host, sets=sets)


def existing_state(state: Path | None, config: Path | None) -> StateDirectory:
    """What a daemon made there, running or not; nothing is locked. Raises StateError, UsageProblem."""
    return StateDirectory.open_existing(load_settings(state=state, config=config).state)


@dataclass(frozen=True, slots=True)
class Where:
    """Whose daemon or files a command is about, as its flags say."""

    state: Path | None
    config: Path | None

    def ask(self, command: str, **arguments: Any) -> Any:
        """What the daemon there answers. Raises NotRunning, BisikdError with what it said, UsageProblem."""
        return ask(locate_state(Flags(state=self.state, config=self.config)), command, **arguments)

    def existing_state(self) -> StateDirectory:
        return existing_state(self.state, self.config)


def where_options(command: Callable[..., None]) -> Callable[..., None]:
    """--state and --config, which reach the command as one argument `where`."""

    @wraps(command)
    def with_where(state: Path | None, config: Path | None, **arguments: Any) -> None:
        command(where=Where(state, config), **arguments)

    return cast("Callable[..., None]", state_option(config_option(with_where)))


class DurationType(click.ParamType[int]):
    """`30m`, `2h`, `7d`: a number and s, m, h, d or w."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,9})\s*([smhdw])", str(value).strip())
        seconds = int(match[1]) * UNITS_S[match[2]] if match else 0
        if not 1 <= seconds <= MAX_BAN_S:
            self.fail(f"{value!r} is no duration: write a number and s, m, h, d or w, like 30m or 7d.", param, ctx)
        return seconds
