"""`bisikd users`: words and flags for the accounts.

The running daemon is asked through its socket; where none runs, the state's lock is taken and the files are changed.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from bisik_protocol.chat.text import harmless
from bisikd.accounts import StoppedAccounts, find, read_name, user_as_json, users_status
from bisikd.admin import ask
from bisikd.commands.common import Decorator, config_option, existing_state, json_option, state_option
from bisikd.config import load_settings
from bisikd.errors import BisikdError, NotRunning
from bisikd.passwords import Passwords
from bisikd.state import StateDirectory
from bisikd.users import Role, UserStore

name_argument: Final = click.argument("name")


def _common(command: Callable[..., None]) -> Any:
    options: list[Decorator] = [state_option, config_option, json_option]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def users() -> None:
    """The accounts."""


@users.command("list")
@_common
def list_users(state: Path | None, config: Path | None, as_json: bool) -> None:
    """Print every account, and say which files are damaged."""
    try:  # the daemon, while it runs, is the one that knows: its files may be being written
        known = ask(load_settings(state=state, config=config).state, "users")
    except NotRunning:
        known = users_status(_stored_users(state, config))
    for user in known["users"]:
        click.echo(json.dumps(user) if as_json else _line(user))
    for damage in known["damaged"]:
        click.echo(f"bisikd: {damage}", err=True)


@users.command()
@name_argument
@_common
def show(name: str, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Print all that an account's file says, but for the login ID, which nobody can tell."""
    try:
        user = ask(load_settings(state=state, config=config).state, "user", name=name)
    except NotRunning:
        user = user_as_json(find(_stored_users(state, config), read_name(name), closed=True))
    if as_json:
        click.echo(json.dumps(user))
        return
    click.echo(_line(user))
    if "formerly" in user:
        click.echo(f"  formerly {', '.join(map(harmless, user['formerly']))}")
    for device in user["devices"]:
        click.echo(f"  device   {device}")


@users.command()
@name_argument
@click.argument("new_name")
@_common
def rename(name: str, new_name: str, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Give an account another name. What it said keeps the old one, which nobody else can take."""
    try:
        user = ask(load_settings(state=state, config=config).state, "rename-user", name=name, new_name=new_name)
    except NotRunning:
        with _stopped(state, config) as accounts:
            user = user_as_json(accounts.rename(read_name(name), read_name(new_name)))
    _say(user, f"{harmless(user['formerly'][-1])} is called {harmless(user['name'])} from now on.", as_json)


@users.command()
@name_argument
@click.option("--forget", is_flag=True, help="Remove the file too: then anybody may take the name.")
@_common
def remove(name: str, forget: bool, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Close an account: its devices and its login ID let nobody in any more. What it said stays in the log."""
    try:
        user = ask(load_settings(state=state, config=config).state, "remove-user", name=name, forget=forget)
    except NotRunning:
        with _stopped(state, config) as accounts:
            user = user_as_json((accounts.forget if forget else accounts.close)(read_name(name)))
    after = "its name is free." if forget else "its name stays taken."
    _say(user, f"The account {harmless(user['name'])} is closed; {after}", as_json)


@users.command("revoke")
@name_argument
@click.argument("device")
@_common
def revoke_device(name: str, device: str, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Take one device of an account away. DEVICE is its fingerprint, as `show` prints it, or how that begins."""
    try:
        user = ask(load_settings(state=state, config=config).state, "revoke-device", name=name, device=device)
    except NotRunning:
        with _stopped(state, config) as accounts:
            user = user_as_json(accounts.revoke_device(read_name(name), device))
    count = len(user["devices"])
    left = f"{count} device{'' if count == 1 else 's'} left"
    _say(user, f"That device lets nobody in as {harmless(user['name'])} any more; {left}.", as_json)


@users.command("reset-id")
@name_argument
@_common
def reset_id(name: str, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Make a new login ID and print it; the old one brings the name to no more devices. Known devices stay known."""
    try:
        user = ask(load_settings(state=state, config=config).state, "reset-id", name=name)
    except NotRunning:
        with _stopped(state, config) as accounts:
            account, login_id = accounts.reset_login_id(read_name(name))
            user = user_as_json(account) | {"login_id": login_id}
    click.echo(json.dumps(user) if as_json else user["login_id"])


@users.command()
@name_argument
@click.argument("role", type=click.Choice([role.value for role in Role]))
@_common
def role(name: str, role: str, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Make an account a member, a moderator or an owner."""
    try:
        user = ask(load_settings(state=state, config=config).state, "set-role", name=name, role=role)
    except NotRunning:
        with _stopped(state, config) as accounts:
            user = user_as_json(accounts.set_role(read_name(name), Role(role)))
    _say(user, f"{harmless(user['name'])} is {user['role']} now.", as_json)


def _stored_users(state: Path | None, config: Path | None) -> UserStore:
    return UserStore.open(existing_state(state, config).users_directory, finish=False)


@contextmanager
def _stopped(state: Path | None, config: Path | None) -> Iterator[StoppedAccounts]:
    """The accounts of a daemon that does not run, locked. Raises BisikdError."""
    directory = existing_state(state, config).path  # makes none where there is none
    with StateDirectory.open_or_create(directory) as opened:
        try:
            store = UserStore.open(opened.users_directory)
        except OSError as error:
            raise BisikdError(f"{opened.users_directory} cannot be read ({error.strerror or error}).") from None
        yield StoppedAccounts(store, Passwords(), time.time_ns() // 1_000_000)


def _line(user: dict[str, Any]) -> str:
    count = len(user["devices"])
    words = f"{harmless(user['name'])}  since {user['created']}  {count} device{'' if count == 1 else 's'}"
    if user["role"] != Role.MEMBER.value:
        words += f"  {user['role']}"
    return words + (f"  closed {user['removed']}" if "removed" in user else "")


def _say(user: dict[str, Any], sentence: str, as_json: bool) -> None:
    click.echo(json.dumps(user) if as_json else sentence)
