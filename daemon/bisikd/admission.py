"""Who is let in: the join password, new names, known names, and how much guessing a session may do.

Before the join password has been proved every refusal is the same refusal (but to the holder of a key whose account
was closed, who may know), so that a stranger learns nothing about names, and nothing that costs Argon2 or tells names
apart is done for one. A device that was admitted once needs only its key, and is never slowed by what others guess.
Argon2 runs in worker threads, at most two at once.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import trio

from bisik_protocol.chat.messages import (
    Admitted,
    Code,
    Done,
    Login,
    Prove,
    Refused,
    Register,
    Reply,
    Request,
)
from bisik_protocol.chat.names import InvalidName, canonical_name
from bisik_protocol.chat.sealing_bundle import bundle_digest
from bisik_protocol.chat.statements import LOGIN_CONTEXT
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.errors import RemoteProtocolError
from bisikd.journal import StorageFull
from bisikd.log.facts import device_record
from bisikd.passwords import new_login_id
from bisikd.users import NOBODY, DeviceTaken, NameTaken, NotWritten, TooMany

if TYPE_CHECKING:
    from bisikd.blocking import Blocking
    from bisikd.guard import Guard
    from bisikd.invites import InviteRecord, Invites
    from bisikd.journal import Journal
    from bisikd.login_ids import LoginIds
    from bisikd.passwords import Passwords
    from bisikd.permissions import Permissions
    from bisikd.users import UserStore

MAX_TRIES: Final = 3  # wrong passwords, names and login IDs in one session
MAX_REQUESTS: Final = 32  # before a session is admitted; a person needs a handful
MAX_WAITING_HASHES: Final = 64  # each takes 75 ms with two at once; who comes later is told so at once

# Said before the join password is proved: what is no matter of names, and what only a known key's holder asks for.
_SAID_TO_ANYBODY: Final = frozenset(
    {Code.TRY_LATER, Code.STORAGE, Code.ACCOUNT_CLOSED, Code.BANNED, Code.INVITE_OVER}
)

UNKNOWN_NAME: Final = "Nobody here has that name. Check how it is spelt, or register it."
ACCOUNT_CLOSED: Final = "The operator of this server has closed your account. Ask them, if that is a surprise."
INCORRECT_PASSWORD: Final = "Incorrect password. Try again."  # noqa: S105 # the one refusal before the proof


@dataclass(frozen=True, slots=True)
class AdmittedUser:
    """Whose session it is, and the device it came from."""

    name: str
    modulus: bytes = field(repr=False)
    key_hash: bytes

    @property
    def device(self) -> VerifyKey:
        """The device's key."""
        return _device_key(self.modulus)


@lru_cache(maxsize=256)
def _device_key(modulus: bytes) -> VerifyKey:
    """The key of a device that was admitted: whoever speaks shares these, and who only listens holds none.

    A key that has verified anything takes more than 2 KiB.
    """
    return VerifyKey.from_modulus_untrusted(modulus)


class _Refusal(Exception):  # noqa: N818 # an answer, not an error
    """Why the request is refused; `guessed` where it was a try at a secret or a name."""

    def __init__(self, code: Code, text: str, *, guessed: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.guessed = guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorkeeper:
    """What admission needs to know and to do, shared by all sessions.

    `join_hash` is asked each time, for it can be changed.
    """

    users: "UserStore"
    passwords: "Passwords"
    login_ids: "LoginIds"
    guard: "Guard"
    journal: "Journal"
    join_hash: Callable[[], str]
    blocking: "Blocking"
    now: Callable[[], float]
    now_ms: Callable[[], int]
    permissions: "Permissions"
    invites: "Invites"
    sleep: Callable[[float], Awaitable[None]] = trio.sleep
    accounts: trio.Lock = field(default_factory=trio.Lock)
    """Held while accounts are changed."""
    changing: set[str] = field(default_factory=set)
    """Names whose account is being changed: nobody logs in by one now."""

    async def is_join_password(self, host: str, secret: str) -> bool:
        """Whether `secret` opens the door; somebody who guesses much from `host` waits for the answer."""
        return await self._guess(host, None, self.join_hash(), secret)

    async def is_login_id(self, host: str, name: str, secret: str) -> bool:
        """Whether `secret` is the login ID of `name`; a name without an account costs the same."""
        user = self.users.get(name)
        return await self._guess(host, name, None if user is None else user.login_id_hash, secret)

    async def create_account(self, name: str, device: VerifyKey, invite: str | None = None) -> str:
        """Bind a free name to its first device and return the login ID, once all of that is stored.

        `invite` is the hash of the one that its owner came in by, which is used once more.
        """
        ready = self.login_ids.take_nowait()
        if ready is None:
            login_id = new_login_id()
            ready = login_id, await self._hash(self.passwords.hash, login_id)
        login_id, stored_form = ready
        async with self.accounts:
            if self.users.taken(name):  # by somebody who was faster
                raise _Refusal(Code.NAME_TAKEN, _taken(name))
            if invite is not None:
                self.refuse_if_over(self.invites.get(invite))
            await self._store_device(name, device)
            await self._write(self.users.create, name, device.modulus, stored_form, self.now_ms())
            if invite is not None:
                with suppress(
                    OSError
                ):  # the account is there; that the invite counts one use less is the lesser harm
                    await self.blocking.writing(self.invites.use, invite, name)
        return login_id

    def refuse_if_over(self, invite: "InviteRecord | None") -> None:
        """Only who has the secret comes here: they are told why it is worth nothing any more."""
        over = "was taken back" if invite is None else invite.over(self.now_ms())
        if over is not None:
            raise _Refusal(Code.INVITE_OVER, f"Your invite {over}. Ask for another one.")

    async def add_device(self, name: str, device: VerifyKey) -> None:
        """Bind a known name to one more device, once that is stored."""
        async with self.accounts:
            if self.users.get(name) is None:  # renamed or closed while the login ID was looked at
                raise _Refusal(Code.NAME_UNKNOWN, UNKNOWN_NAME)
            await self._store_device(name, device)
            await self._write(self.users.add_device, name, device.modulus, self.now_ms())

    async def _store_device(self, name: str, device: VerifyKey) -> None:
        """The log first: it must know the key of every message in it, so that it can be verified alone."""
        try:
            await self.journal.store(lambda now_ms: device_record(name, device.modulus, now_ms))
        except StorageFull as error:
            raise _Refusal(Code.STORAGE, str(error)) from None

    async def _write(self, write: Callable[..., object], *arguments: Any) -> None:
        try:
            await self.blocking.writing(write, *arguments)
        except NameTaken as error:
            raise _Refusal(Code.NAME_TAKEN, str(error)) from None
        except DeviceTaken as error:
            raise _Refusal(Code.DEVICE_KNOWN, str(error)) from None
        except (TooMany, NotWritten) as error:
            raise _Refusal(Code.STORAGE, str(error)) from None

    async def _guess(self, host: str, account: str | None, stored: str | None, secret: str) -> bool:
        delay_s = self.guard.attempt(self.now(), host, account)
        right: bool | None = False  # also where the session ends before it was told
        try:
            await self.sleep(delay_s)
            right = bool(await self._hash(self.passwords.verify, stored, secret))
        except _Refusal:
            right = None
            raise
        finally:
            if right is None:
                self.guard.withdrawn(host, account)
            elif right:
                self.guard.succeeded(host, account)
            else:
                self.guard.failed(self.now(), host, account)
        return right

    async def _hash(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.blocking.hashing.waiting >= MAX_WAITING_HASHES:
            raise _Refusal(Code.TRY_LATER, "Many people are coming in right now. Try again in a moment.")
        return await self.blocking.hashing(function, *arguments)


class Admission:
    """One session's way in. `binding` is its channel's, `host` where it comes from."""

    def __init__(self, doorkeeper: Doorkeeper, *, binding: bytes, host: str) -> None:
        self.user: AdmittedUser | None = None
        self._door = doorkeeper
        self._binding = binding
        self._host = host
        self._proved = False
        self._invite: str | None = None
        self._tries = 0
        self._requests = 0

    @property
    def exhausted(self) -> bool:
        """Whether the session has had all the tries it gets."""
        return self._tries >= MAX_TRIES or self._requests >= MAX_REQUESTS

    async def answer(self, request: Request) -> Reply:
        """The reply to a request of a session that is not admitted; afterwards `user` says whether it now is."""
        self._requests += 1
        try:
            return await self._answer(request)
        except _Refusal as refusal:
            if refusal.guessed:
                self._tries += 1
            if not self._proved and refusal.code not in _SAID_TO_ANYBODY:
                return Refused(request.number, Code.INCORRECT_PASSWORD, INCORRECT_PASSWORD)
            return Refused(request.number, refusal.code, refusal.text)

    async def _answer(self, request: Request) -> Reply:
        if isinstance(request, Prove):
            return await self._prove(request)
        if isinstance(request, Register):
            return await self._register(request)
        if isinstance(request, Login):
            return await self._login(request)
        raise _Refusal(Code.NOT_ADMITTED, "Register or log in first.")

    async def _prove(self, request: Prove) -> Reply:
        if not self._proved:
            invite = self._door.invites.find(request.join_password)
            if invite is not None:
                self._door.refuse_if_over(invite)
                self._invite = invite.hash
            elif not await self._door.is_join_password(self._host, request.join_password):
                raise _Refusal(Code.INCORRECT_PASSWORD, INCORRECT_PASSWORD, guessed=True)
            self._proved = True
        return Done(request.number)

    async def _register(self, request: Register) -> Reply:
        device = self._device(request)
        self._need_proof()
        name = _canonical(request.name)
        if self._door.users.taken(name):
            raise _Refusal(Code.NAME_TAKEN, _taken(name))
        if known := self._door.users.by_key(device.key_hash):
            raise _Refusal(Code.DEVICE_KNOWN, f"This device belongs to {known[0].name}: log in with that name.")
        self._refuse_banned(name, device)
        login_id = await self._door.create_account(name, device, self._invite)
        return self._admit(request.number, name, device, login_id)

    async def _login(self, request: Login) -> Reply:
        device = self._device(request)
        known = self._door.users.by_key(device.key_hash)
        closed = self._door.users.closed_by_key(device.key_hash)
        owner = NOBODY if known is None else known[0]
        try:
            name = canonical_name(request.name)
        except InvalidName:
            name = ""  # nobody's
        if name in owner.names and known is not None:
            self._refuse_while_changing(owner.name)
            self._refuse_banned(owner.name, device)
            return self._admit(request.number, owner.name, device, None)
        if known is None and closed:
            raise _Refusal(Code.ACCOUNT_CLOSED, ACCOUNT_CLOSED)
        self._need_proof()
        await self._check_login_id(name, request.login_id, owner.name)
        self._refuse_banned(name, device)
        await self._door.add_device(name, device)
        return self._admit(request.number, name, device, None)

    async def _check_login_id(self, name: str, login_id: str | None, owner: str) -> None:
        """`owner` is whose device it is, or empty. Each refusal comes after the same work: its time says nothing."""
        exists = self._door.users.get(name) is not None
        right = login_id is not None and await self._door.is_login_id(self._host, name, login_id)
        if owner:
            raise _Refusal(Code.DEVICE_KNOWN, f"This device belongs to {owner}: log in with that name.")
        if not exists:
            raise _Refusal(Code.NAME_UNKNOWN, UNKNOWN_NAME, guessed=True)
        if login_id is None:
            raise _Refusal(Code.LOGIN_ID_INCORRECT, f"This device is new to {name}: its login ID is needed.")
        if not right:
            raise _Refusal(Code.LOGIN_ID_INCORRECT, f"That is not the login ID of {name}. Try again.", guessed=True)

    def _refuse_while_changing(self, name: str) -> None:
        if name in self._door.changing:
            raise _Refusal(Code.TRY_LATER, "Your account is being changed. Try again in a moment.")

    def _device(self, request: Register | Login) -> VerifyKey:
        """The key of the request, which must have signed for this channel."""
        try:
            device = VerifyKey.from_modulus_untrusted(request.device)
        except RemoteProtocolError:
            raise _Refusal(Code.STATEMENT_INVALID, "That is not a key of the kind that this server takes.") from None
        if not device.verify(LOGIN_CONTEXT, self._binding, request.signature):
            raise _Refusal(Code.STATEMENT_INVALID, "The request is not signed with the device's key.")
        return device

    def _need_proof(self) -> None:
        if not self._proved:
            raise _Refusal(Code.INCORRECT_PASSWORD, INCORRECT_PASSWORD)

    def _admit(self, number: int, name: str, device: VerifyKey, login_id: str | None) -> Reply:
        self.user = AdmittedUser(name, device.modulus, device.key_hash)
        role = self._door.permissions.role_of(name)
        known = self._door.users.device(device.key_hash)
        sealing = None if known is None or known.published is None else bundle_digest(known.published.bundle)
        return Admitted(number, name, login_id, self._door.journal.checkpoint, role, sealing)

    def _refuse_banned(self, name: str, device: VerifyKey) -> None:
        """Only who has shown that the name is theirs is told that it is banned."""
        refusal = self._door.permissions.refusal_of(name, device.key_hash)
        if refusal is not None:
            raise _Refusal(Code.BANNED, refusal)


def _canonical(name: str) -> str:
    try:
        return canonical_name(name)
    except InvalidName as error:
        raise _Refusal(Code.NAME_INVALID, str(error)) from None


def _taken(name: str) -> str:
    return f"The name {name}, or one that looks like it, is taken. Choose another one."
