"""What the operator does to accounts while the daemon runs: rename, close, forget, role, new login ID.

It owns the order in which log, file and sessions follow such a change. A device that speaks under another name must
be in the log under it before its next message is, so while a name is being changed nobody is logged in by it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bisik_protocol.chat.names import InvalidName, canonical_name
from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.events import CloseCode
from bisikd.errors import BisikdError
from bisikd.log.facts import device_record
from bisikd.passwords import Passwords, new_login_id
from bisikd.times import rfc3339
from bisikd.users import Role, User, UserStore

if TYPE_CHECKING:
    from bisikd.admin import Commands
    from bisikd.admission import Doorkeeper

PutOut = Callable[[str, CloseCode, str], None]  # everybody who is logged in by this name, and what they are told


class NoAccount(BisikdError):  # noqa: N818
    """There is no account of that name."""


def read_name(text: object) -> str:
    """A name in its one spelling. Raises NoAccount for what is no name."""
    try:
        return canonical_name(str(text))
    except InvalidName as error:
        raise NoAccount(str(error)) from None


def find(users: UserStore, name: str, *, closed: bool = False) -> User:
    """The account; with `closed` also one that was closed. Raises NoAccount with what is known instead."""
    user = users.get(name) or (users.get_closed(name) if closed else None)
    if user is not None:
        return user
    for damage in users.damaged:
        if damage.name == name:
            raise NoAccount(str(damage))
    for other in users:
        if name in other.formerly:
            raise NoAccount(f"{name} is called {other.name} now.")
    if users.get_closed(name) is not None:
        raise NoAccount(f"The account {name} was closed. `bisikd users remove --forget {name}` lets the name go.")
    raise NoAccount(f"Nobody is called {name}. `bisikd users list` shows who there is.")


def user_as_json(user: User) -> dict[str, Any]:
    """An account as programs read it."""
    value: dict[str, Any] = {
        "type": "user",
        "name": user.name,
        "role": user.role.value,
        "created": rfc3339(user.created_ms),
        "devices": [fingerprint_text(device.key_hash) for device in user.devices],
    }
    if user.formerly:
        value["formerly"] = list(user.formerly)
    if user.removed_ms is not None:
        value["removed"] = rfc3339(user.removed_ms)
    return value


class StoppedAccounts:
    """The same for a daemon that does not run: who holds the state's lock changes the files, and nothing else.

    What the log has to be told of a rename it is told at the next start.
    """

    def __init__(self, users: UserStore, passwords: Passwords, now_ms: int) -> None:
        self._users = users
        self._passwords = passwords
        self._now_ms = now_ms

    def rename(self, name: str, new_name: str) -> User:
        find(self._users, name)
        return self._users.rename(name, new_name)

    def close(self, name: str) -> User:
        find(self._users, name)
        return self._users.close_account(name, self._now_ms)

    def forget(self, name: str) -> User:
        user = find(self._users, name, closed=True)
        self._users.forget(name)
        return user

    def set_role(self, name: str, role: Role) -> User:
        find(self._users, name)
        return self._users.change(name, lambda user: replace(user, role=role))

    def revoke_device(self, name: str, device: str) -> User:
        """Without the one device whose fingerprint begins so. Raises BisikdError where it is not exactly one."""
        user = find(self._users, name)
        start = device.lower().replace("-", "").replace(" ", "")
        gone = [known for known in user.devices if fingerprint_text(known.key_hash).startswith(start)]
        if not start or len(gone) != 1:
            raise BisikdError(
                f"{len(gone)} devices of {name} begin with that: name exactly one of those that "
                f"`bisikd users show {name}` prints."
            )
        kept = tuple(known for known in user.devices if known is not gone[0])
        return self._users.change(name, lambda user: replace(user, devices=kept))

    def reset_login_id(self, name: str) -> tuple[User, str]:
        """The new login ID too; it is in no file."""
        find(self._users, name)
        login_id = new_login_id()
        stored_form = self._passwords.hash(login_id)
        return self._users.change(name, lambda user: replace(user, login_id_hash=stored_form)), login_id


class Accounts:
    """The accounts of a running daemon. Every method raises BisikdError with a sentence for the operator."""

    def __init__(self, door: "Doorkeeper", put_out: PutOut) -> None:
        self._door = door
        self._put_out = put_out

    async def rename(self, name: str, new_name: str) -> User:
        """Whoever is logged in is put out for a moment and comes back under the new name."""
        async with self._alone(name):
            user = find(self._door.users, name)
            self._door.users.refuse_rename(user, new_name)
            self._put_out(name, CloseCode.GOING_AWAY, f"You are called {new_name} from now on.")
            await self._tell_log(user, new_name)
            try:
                return await self._door.blocking.writing(self._door.users.rename, name, new_name)
            except BaseException:
                await self._tell_log(user, name)
                raise

    async def close(self, name: str) -> User:
        """Nobody is let in by the name any more, and whoever is in is put out."""
        async with self._alone(name):
            user = await self._door.blocking.writing(self._stopped().close, name)
            self._put_out(name, CloseCode.REFUSED, "Your account on this server was closed.")
            return user

    async def forget(self, name: str) -> User:
        async with self._alone(name):
            user = await self._door.blocking.writing(self._stopped().forget, name)
            self._put_out(name, CloseCode.REFUSED, "Your account on this server was removed.")
            return user

    async def revoke_device(self, name: str, device: str) -> User:
        """Whoever is logged in is put out for a moment; the person's other devices come back, that one cannot."""
        async with self._alone(name):
            user = await self._door.blocking.writing(self._stopped().revoke_device, name, device)
            self._put_out(name, CloseCode.GOING_AWAY, "A device of yours was revoked by the operator.")
            return user

    async def set_role(self, name: str, role: Role) -> User:
        return await self._door.blocking.writing(self._stopped().set_role, name, role)

    async def reset_login_id(self, name: str) -> tuple[User, str]:
        """Devices that are known stay so; only the secret for new ones is another."""
        return await self._door.blocking.hashing(self._stopped().reset_login_id, name)

    def commands(self) -> "Commands":
        """The admin socket's commands on accounts."""
        return {
            "users": self._list,
            "user": self._show,
            "rename-user": partial(self._answer, self._rename_of),
            "remove-user": partial(self._answer, self._removed_of),
            "revoke-device": partial(self._answer, self._revoked_of),
            "set-role": partial(self._answer, self._role_of),
            "reset-id": self._reset,
        }

    # Inside -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        """While this runs nobody logs in by the name, and no account gains a device."""
        async with self._door.accounts:
            self._door.changing.add(name)
            try:
                yield
            except _HalfDone as error:
                raise BisikdError(str(error)) from None  # the name stays locked until a restart has put it right
            except BaseException:
                self._door.changing.discard(name)
                raise
            self._door.changing.discard(name)

    async def _tell_log(self, user: User, name: str) -> None:
        """All of the account's devices speak as `name` from now on."""
        told = 0
        try:
            for device in user.devices:
                await self._door.journal.store(partial(device_record, name, device.modulus))
                told += 1
        except BisikdError as error:
            if told == 0 and name != user.name:
                raise
            raise _HalfDone(
                f"{error} The account {user.name} cannot be used until there is room and bisikd was restarted; "
                "nothing of it is lost."
            ) from None

    def _stopped(self) -> StoppedAccounts:
        return StoppedAccounts(self._door.users, self._door.passwords, self._door.now_ms())

    # Commands ---------------------------------------------------------------------------------------------------

    async def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return users_status(self._door.users)

    async def _show(self, request: dict[str, Any]) -> dict[str, Any]:
        return user_as_json(find(self._door.users, read_name(request.get("name")), closed=True))

    async def _answer(
        self, change: Callable[[dict[str, Any], str], Awaitable[User]], request: dict[str, Any]
    ) -> dict[str, Any]:
        return user_as_json(await change(request, read_name(request.get("name"))))

    async def _rename_of(self, request: dict[str, Any], name: str) -> User:
        return await self.rename(name, read_name(request.get("new_name")))

    async def _removed_of(self, request: dict[str, Any], name: str) -> User:
        return await (self.forget(name) if request.get("forget") is True else self.close(name))

    async def _revoked_of(self, request: dict[str, Any], name: str) -> User:
        return await self.revoke_device(name, str(request.get("device") or ""))

    async def _role_of(self, request: dict[str, Any], name: str) -> User:
        try:
            role = Role(request.get("role"))
        except ValueError:
            raise BisikdError(f"A role is one of {', '.join(role.value for role in Role)}.") from None
        return await self.set_role(name, role)

    async def _reset(self, request: dict[str, Any]) -> dict[str, Any]:
        user, login_id = await self.reset_login_id(read_name(request.get("name")))
        return user_as_json(user) | {"login_id": login_id}


class _HalfDone(Exception):  # noqa: N818
    """The log knows some of the account's devices by one name and some by another."""


def users_status(users: UserStore) -> dict[str, Any]:
    """Every account, by name, and what is wrong with files that hold none."""
    accounts = sorted([*users, *users.closed], key=lambda user: user.name)
    return {"users": list(map(user_as_json, accounts)), "damaged": list(map(str, users.damaged))}
