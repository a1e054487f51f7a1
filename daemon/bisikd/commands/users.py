"""`bisikd users`: words and flags for the accounts.

The running daemon is asked through its socket; where none runs, the state's lock is taken and the files are changed.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from bisik_protocol.chat.text import harmless
from bisikd.accounts import StoppedAccounts, find, read_name, user_as_json, users_status
from bisikd.commands.common import Where, json_option, where_options
from bisikd.errors import BisikdError, NotRunning
from bisikd.passwords import Passwords
from bisikd.state import StateDirectory
from bisikd.users import Role, User, UserStore

name_argument: Final = click.argument("name")


def _common(command: Callable[..., None]) -> Any:
    return where_options(json_option(command))


@click.group()
def users() -> None:
    """The accounts."""


@users.command("list")
@_common
def list_users(where: Where, as_json: bool) -> None:
    """Print every account, and say which files are damaged."""
    try:  # the daemon, while it runs, is the one that knows: its files may be being written
        known = where.ask("users")
    except NotRunning:
        known = users_status(_stored_users(where))
    for user in known["users"]:
        click.echo(json.dumps(user) if as_json else _line(user))
    for damage in known["damaged"]:
        click.echo(f"bisikd: {damage}", err=True)


@users.command()
@name_argument
@_common
def show(name: str, where: Where, as_json: bool) -> None:
    """Print all that an account's file says, but for the login ID, which nobody can tell."""
    try:
        user = where.ask("user", name=name)
    except NotRunning:
        user = user_as_json(find(_stored_users(where), read_name(name), closed=True))
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
def rename(name: str, new_name: str, where: Where, as_json: bool) -> None:
    """Give an account another name. What it said keeps the old one, which nobody else can take."""
    user = _done(
        where,
        "rename-user",
        lambda accounts: accounts.rename(read_name(name), read_name(new_name)),
        name=name,
        new_name=new_name,
    )
    _say(user, f"{harmless(user['formerly'][-1])} is called {harmless(user['name'])} from now on.", as_json)


@users.command()
@name_argument
@click.option("--forget", is_flag=True, help="Remove the file too: then anybody may take the name.")
@_common
def remove(name: str, forget: bool, where: Where, as_json: bool) -> None:
    """Close an account: its devices and its login ID let nobody in any more. What it said stays in the log."""
    user = _done(
        where,
        "remove-user",
        lambda accounts: (accounts.forget if forget else accounts.close)(read_name(name)),
        name=name,
        forget=forget,
    )
    after = "its name is free." if forget else "its name stays taken."
    _say(user, f"The account {harmless(user['name'])} is closed; {after}", as_json)


@users.command("revoke")
@name_argument
@click.argument("device")
@_common
def revoke_device(name: str, device: str, where: Where, as_json: bool) -> None:
    """Take one device of an account away. DEVICE is its fingerprint, as `show` prints it, or how that begins."""
    user = _done(
        where,
        "revoke-device",
        lambda accounts: accounts.revoke_device(read_name(name), device),
        name=name,
        device=device,
    )
    count = len(user["devices"])
    left = f"{count} device{'' if count == 1 else 's'} left"
    _say(user, f"That device lets nobody in as {harmless(user['name'])} any more; {left}.", as_json)


@users.command("reset-id")
@name_argument
@_common
def reset_id(name: str, where: Where, as_json: bool) -> None:
    """Make a new login ID and print it; the old one brings the name to no more devices. Known devices stay known."""
    try:
        user = where.ask("reset-id", name=name)
    except NotRunning:
        with _stopped(where) as accounts:
            account, login_id = accounts.reset_login_id(read_name(name))
            user = user_as_json(account) | {"login_id": login_id}
    click.echo(json.dumps(user) if as_json else user["login_id"])


@users.command()
@name_argument
@click.argument("role", type=click.Choice([role.value for role in Role]))
@_common
def role(name: str, role: str, where: Where, as_json: bool) -> None:
    """Make an account a member, a moderator or an owner."""
    user = _done(
        where, "set-role", lambda accounts: accounts.set_role(read_name(name), Role(role)), name=name, role=role
    )
    _say(user, f"{harmless(user['name'])} is {user['role']} now.", as_json)


def _done(where: Where, command: str, stopped: Callable[[StoppedAccounts], User], **arguments: Any) -> dict[str, Any]:
    """The account after the running daemon changed it by `command`, or, where none runs, `stopped` did."""
    try:
        user: dict[str, Any] = where.ask(command, **arguments)
    except NotRunning:
        with _stopped(where) as accounts:
            user = user_as_json(stopped(accounts))
    return user


def _stored_users(where: Where) -> UserStore:
    return UserStore.open(where.existing_state().users_directory, finish=False)


@contextmanager
def _stopped(where: Where) -> Iterator[StoppedAccounts]:
    """The accounts of a daemon that does not run, locked. Raises BisikdError."""
    directory = where.existing_state().path  # makes none where there is none
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
