"""Options that many commands have, and how they become what the configuration takes as flags.

The environment is not read here: `config show` has to tell a variable from a flag.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bisikd.config import Flags, load_settings
from bisikd.state import StateDirectory

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
