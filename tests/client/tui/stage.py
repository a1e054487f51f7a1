"""The UI on a stage: a real chat without a network, a daemon in a few lines, other people, and a pilot at the keys.

Everything runs on one thread and in one event loop, as it does for a person, with Trio as the guest in it. `play`
runs a scene; `Stage.until` waits for what is to be seen.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

from textual.pilot import Pilot

from bisik.chat import Chat
from bisik.conversation import Conversation
from bisik.errors import BisikError
from bisik.events import LinkChanged, LinkState, Message
from bisik.home import Profile
from bisik.link import Link
from bisik.store import Store
from bisik.tui.app import BisikApp
from bisik.tui.session import Session
from bisik.tui.setup import Setup
from bisik_protocol.chat import messages
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.transport.stats import ConnectionStats
from tests.client.fake_daemon import START_MS, FakeDaemon, Wire, drain
from tests.support.keys import device_key, sealing_key

PATIENCE_S = 8.0
_NOUGHTS: dict[str, Any] = {field.name: 0 for field in fields(ConnectionStats)}
QUIET = ConnectionStats(**_NOUGHTS | {"srtt_s": 0.048, "loss_in": 0.02})
"""A link with nothing to complain of."""


class StringAndCans:
    """In the place of a link: what is sent arrives at once, as long as the string is not cut."""

    def __init__(self, chat: Chat, conversation: Conversation, daemon: FakeDaemon) -> None:
        self.state = LinkState.CONNECTING
        self.failed: BisikError | None = None
        self.last_trouble: str | None = None
        self.never_reached = False
        self.numbers: ConnectionStats | None = None
        self._chat = chat
        self._conversation = conversation
        self._daemon = daemon
        self._wire: Wire | None = None

    def connect(self) -> None:
        self._wire = Wire(self._conversation, self._daemon)
        self.numbers = QUIET
        self.tell(LinkState.CONNECTED, "Connected.")
        self.kick()

    def cut(self, *, retry_in_s: float = 4.0) -> None:
        assert self._wire is not None
        self._wire.disconnect()
        self._wire = self.numbers = None
        self.tell(LinkState.WAITING, "chat.example.org cannot be found.", retry_in_s=retry_in_s)

    def tell(self, state: LinkState, text: str, *, retry_in_s: float | None = None) -> None:
        self.state = state
        self._conversation.reader.put_side(LinkChanged(state=state, text=text, retry_in_s=retry_in_s))
        self._chat._news.tell()

    def kick(self) -> None:
        if self._wire is not None:
            self._wire.settle()
        self._chat._news.tell()

    def stats(self) -> ConnectionStats | None:
        return self.numbers


class Person:
    """Somebody else, who says things."""

    def __init__(self, daemon: FakeDaemon, name: str, key: int) -> None:
        daemon.admit(name, device_key(key))
        self.conversation = Conversation(name=name, device=device_key(key), store=Store(None), reader="chat")
        self.conversation.on_sealing_key(sealing_key(key))
        self.conversation.follow_directs()
        self._wire = Wire(self.conversation, daemon)
        self._wire.settle()

    def heard(self) -> list[str]:
        """What has come since this was asked last."""
        self._wire.settle()
        return [event.text for event in drain(self.conversation) if isinstance(event, Message)]

    def speak_to(self, name: str) -> None:
        """Open a conversation, as /msg does."""

        def on_reply(reply: messages.Reply) -> None:
            assert isinstance(reply, messages.Direct)
            self.conversation.direct_rooms.learn_untrusted(reply.room, reply.name)
            self.conversation.join(reply.room)

        self.conversation.ask(partial(messages.GetDirect, name=name), on_reply)
        self._wire.settle()

    def say(self, *texts: str, room: str = LOBBY) -> None:
        for text in texts:
            self.conversation.outbox.enqueue(room, text, time_ms=START_MS)
            self.conversation.post(room)
        self._wire.settle()


class Stage:
    """What a scene needs. `me` is sari."""

    def __init__(self, folder: Path, daemon: FakeDaemon, **setup: Any) -> None:
        self.folder = folder
        self.daemon = daemon
        self.link: StringAndCans
        self.pilot: Pilot[None]
        self.connected = True
        self.rang: list[str] = []
        setup.setdefault("load", lambda: lambda rooms, face, bell: Session(self._open_chat, rooms, face, bell))
        self.app = BisikApp(Setup(me="sari", where="chat.example.org:9999", **setup))
        self.app.write = self._note_ring  # type: ignore[method-assign] # what a terminal would be given

    def _note_ring(self, sequence: str) -> None:
        if sequence:
            self.rang.append(sequence)

    @asynccontextmanager
    async def _open_chat(self) -> AsyncIterator[Chat]:
        self.daemon.admit("sari", device_key(0))
        profile = Profile(name="sari", host="chat.example.org", port=9999, fingerprint=bytes(32), folder=self.folder)
        store = Store(profile.store_path)
        try:
            chat = Chat(profile, store, device_key(0), reader="chat")
            chat._conversation.on_sealing_key(sealing_key(0))
            self.link = StringAndCans(chat, chat._conversation, self.daemon)
            chat._link = cast(Link, self.link)
            if self.connected:
                self.link.connect()
            with closing(chat.searching):
                yield chat
                chat._conversation.reader.done()
                chat._conversation.reader.save()
        finally:
            store.close()

    @property
    def runs(self) -> bool:
        """Whether the chat is open."""
        return self.app._engine is not None and self.app._engine.running

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Letters, and Enter for a line feed."""
        names = {"\n": "enter", " ": "space"}
        await self.pilot.press(*[names.get(letter, letter) for letter in text])

    def rows(self) -> list[str]:
        """What a person sees, row by row."""
        return ["".join(segment.text for segment in line) for line in self.app.screen._compositor.render_strips()]

    def sees(self, text: str) -> bool:
        return any(text in row for row in self.rows())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to be so. Fails after a long while, with what was to be seen then."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError("this is what was seen:\n" + "\n".join(self.rows()))
            await self.pilot.pause(0.005)

    async def until_seen(self, text: str) -> None:
        await self.until(lambda: self.sees(text))

    async def until_gone(self, text: str) -> None:
        await self.until(lambda: not self.sees(text))


Scene = Callable[[Stage], Awaitable[None]]


def play(
    scene: Scene,
    folder: Path,
    *,
    daemon: FakeDaemon | None = None,
    size: tuple[int, int] = (100, 24),
    connected: bool = True,
    early: bool = False,
    **setup: Any,
) -> Stage:
    """Run a scene to its end; the person has left after that. `early`: it begins before the chat is open."""

    async def run() -> Stage:
        stage = Stage(folder, daemon or FakeDaemon(), **setup)
        stage.connected = connected
        async with stage.app.run_test(size=size) as stage.pilot:
            if not early:
                await stage.until(lambda: stage.app._takes_lines)
            try:
                await scene(stage)
            finally:  # the guest must leave before its host does
                stage.app.leave()
                await stage.until(lambda: not stage.runs)
        return stage

    return asyncio.run(run())
