"""The way in, for programs: `newcomer` on a link, with replies to wait for and errors to raise."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from bisik.dial import dial
from bisik.errors import BisikError, Refused, Unreachable
from bisik.home import Home, Profile
from bisik.i18n import _
from bisik.line import Line
from bisik.link import ROUND_S, Link, held
from bisik.newcomer import Newcomer
from bisik.news import News
from bisik.requests import OnReply
from bisik_protocol.chat.messages import Admitted, Code, Reply
from bisik_protocol.chat.messages import Refused as RefusedReply
from bisik_protocol.crypto.identity import SigningKey

REPLY_S: Final = 30.0  # the server lets somebody who guesses wait, 15 s at most from one address


class Gate:
    """Each method raises Refused, Unreachable or IdentityMismatch."""

    def __init__(self, link: Link, newcomer: Newcomer, news: News) -> None:
        self._link = link
        self._newcomer = newcomer
        self._news = news

    async def reach(self) -> None:
        """Until the server has proved who it is."""
        with trio.move_on_after(REPLY_S):
            while not self._link.reached and self._link.failed is None and not self._link.never_reached:
                await self._news.wait()
        if self._link.failed is not None:
            raise self._link.failed
        if not self._link.reached:
            raise Unreachable(self._link.last_trouble or _("The server does not answer."))

    async def prove(self, join_password: str) -> None:
        """Show the join password; everything else needs that first."""
        await self._ask(lambda on_reply: self._newcomer.prove(join_password, on_reply))

    async def prove_and_register(self, join_password: str, name: str) -> str | None:
        """Both in one flight. Raises for the password before it does for the name."""
        proof = self._asked(lambda on_reply: self._newcomer.prove(join_password, on_reply))
        registration = self._asked(lambda on_reply: self._newcomer.register(name, on_reply))
        await self._reply(proof)
        return await self._registered(name, registration)

    async def register(self, name: str) -> str | None:
        """Take a name for this device. The login ID, or None when the name was this device's already.

        That is so when an earlier try was cut off: the server knows the device, and the ID was lost on the way.
        """
        return await self._registered(name, self._asked(lambda on_reply: self._newcomer.register(name, on_reply)))

    async def _registered(self, name: str, replies: list[Reply]) -> str | None:
        try:
            admitted = await self._reply(replies)
        except Refused as refused:
            if refused.code not in (Code.NAME_TAKEN, Code.DEVICE_KNOWN):
                raise
            try:
                await self.login(name, None)
            except Refused:
                raise refused from None
            return None
        return admitted.login_id if isinstance(admitted, Admitted) else None

    async def login(self, name: str, login_id: str | None) -> None:
        """Log in by name, and by login ID where the device is new."""
        await self._ask(lambda on_reply: self._newcomer.login(name, login_id, on_reply))

    async def _ask(self, ask: Callable[[OnReply], None]) -> Reply:
        return await self._reply(self._asked(ask))

    def _asked(self, ask: Callable[[OnReply], None]) -> list[Reply]:
        """Ask, and do not wait: the reply will be in the list."""
        replies: list[Reply] = []
        ask(replies.append)
        self._link.kick()
        return replies

    async def _reply(self, replies: list[Reply]) -> Reply:
        with trio.move_on_after(REPLY_S):
            while not replies and self._link.failed is None and not self._link.never_reached:
                await self._news.wait()
        if self._link.failed is not None:
            raise self._link.failed
        if not replies:
            raise Unreachable(self._link.last_trouble or _("The server does not answer."))
        if isinstance(replies[0], RefusedReply):
            raise Refused(replies[0].code, replies[0].text)
        return replies[0]


@asynccontextmanager
async def open_gate(
    host: str, port: int, fingerprint: bytes, device: SigningKey, line: Line | None = None
) -> AsyncIterator[Gate]:
    """Stand before a server whose fingerprint is known, or was confirmed by a person; on a line, if there is one."""
    newcomer, news = Newcomer(device), News()
    link = Link(newcomer, host=host, port=port, fingerprint=fingerprint, on_turn=news.tell, line=line)
    async with held(link):
        yield Gate(link, newcomer, news)


async def device_of(home: Home, fingerprint: bytes) -> SigningKey:
    """This device's key for a server, made at the first visit. Raises HomeError."""
    return await trio.to_thread.run_sync(home.device, fingerprint)


async def arrive(home: Home, *, host: str, port: int, fingerprint: bytes) -> tuple[SigningKey, Line]:
    """This device's key, and a line to the server: at a first visit the one is made while the other is dialled.

    Raises HomeError, Unreachable, IdentityMismatch.
    """
    keys: list[SigningKey] = []
    failures: list[BisikError] = []
    line: Line | None = None

    async def make_key() -> None:
        try:
            keys.append(await device_of(home, fingerprint))
        except BisikError as error:
            failures.append(error)
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(make_key)
            try:
                line = await dial(host, port, fingerprint, timeout_s=ROUND_S)
            except BisikError as error:
                failures.append(error)
    except BaseException:
        if line is not None:
            line.close()
        raise
    if line is not None and not failures:
        return keys[0], line
    if line is not None:
        line.close()
    raise failures[0]


async def register(
    home: Home, *, host: str, port: int, fingerprint: bytes, join_password: str, name: str
) -> tuple[Profile, str | None]:
    """Take a name and remember it in the home. The login ID is None as `Gate.register` says."""
    device, line = await arrive(home, host=host, port=port, fingerprint=fingerprint)
    async with open_gate(host, port, fingerprint, device, line) as gate:
        login_id = await gate.prove_and_register(join_password, name)
        return home.save(name=name, host=host, port=port, fingerprint=fingerprint), login_id
