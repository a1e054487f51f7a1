"""bisik config: the configuration file of this client."""

import click

from bisik.commands.common import json_option, put_json, say
from bisik.i18n import _
from bisik.settings import KEYS, config_path, load_settings, write_documented


@click.group()
def command() -> None:
    """Make, show and find the configuration file. Without one, everything has its default."""


@command.command("init")
def init() -> None:
    """Write the file, with every key and what it means, all commented out. One that is there is left as it is."""
    path = config_path()
    if write_documented(path):
        click.echo(path)
    else:
        say(_("{path} is there already; it is left as it is.").format(path=path))


@command.command("show")
@json_option
def show(as_json: bool) -> None:
    """Print what holds, and where each value comes from."""
    settings = load_settings()
    for key in KEYS:
        value = getattr(settings, key.name)
        given = key.name in settings.given
        if as_json:
            put_json({"type": "setting", "key": key.name, "value": value, "from": "file" if given else "default"})
        else:
            shown = str(value).lower() if isinstance(value, bool) else value
            click.echo(f"{key.name} = {shown}  ({settings.path if given else _('default')})")


@command.command("path")
def path_command() -> None:
    """Print where the file is, or would be."""
    click.echo(config_path())
