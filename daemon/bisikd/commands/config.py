"""`bisikd config`: write the file that documents every key, and say what holds and why."""

import json
import os
from pathlib import Path
from typing import Any

import click
import tomli_w

from bisikd.commands.common import config_option, flags_of, json_option, set_option, state_option
from bisikd.config import CONFIG_NAME, Origin, default_state_directory, documented_file, load, rows
from bisikd.errors import BisikdError


@click.group()
def config() -> None:
    """The configuration: bisikd.toml, the environment, flags."""


@config.command()
@state_option
@config_option
@click.option("--print", "prints", is_flag=True, help="Print it, and write nothing.")
def init(state: Path | None, config: Path | None, prints: bool) -> None:
    """Write a bisikd.toml in which every key is explained. A file that is there is kept."""
    if prints:
        click.echo(documented_file(), nl=False)
        return
    path = _file_to_write(state, config)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(documented_file())
    except FileExistsError:
        raise BisikdError(
            f"{path} is there already and was kept. `bisikd config init --print` shows a new one."
        ) from None
    click.echo(f"Wrote {path}. Nothing in it is set yet: take away the # of what you change.")


@config.command()
@state_option
@config_option
@set_option
@json_option
def show(as_json: bool, **flags: Any) -> None:
    """Print what holds, and where each value comes from. Exit code 2 where something is wrong."""
    configuration = load(flags_of(**flags))
    if as_json:
        values = {
            name: {"value": value, "source": origin.source.value, "where": origin.where}
            for name, value, origin in rows(configuration)
        }
        there = configuration.file.exists()
        click.echo(
            json.dumps({"type": "config", "file": str(configuration.file) if there else None, "values": values})
        )
        return
    lines = [(_assignment(name, value), origin) for name, value, origin in rows(configuration)]
    width = max(len(text) for text, _ in lines)
    for text, origin in lines:
        click.echo(f"{text:<{width}}  # {_because(origin)}")


def _file_to_write(state: Path | None, config: Path | None) -> Path:
    if config is not None:
        return config
    if named := os.environ.get("BISIKD_CONFIG"):
        return Path(named)
    if state is None and (named := os.environ.get("BISIKD_STATE")):
        state = Path(named)
    return (default_state_directory() if state is None else state) / CONFIG_NAME


def _assignment(name: str, value: Any) -> str:
    if value is None:
        return f"{name} is not set"
    return f"{name} = {tomli_w.dumps({'value': value}).removeprefix('value = ').strip()}"


def _because(origin: Origin) -> str:
    return origin.where or origin.source.value
