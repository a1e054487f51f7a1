"""Direct rooms over one connection after another: which there are, and which devices what is said there is sealed to.

It publishes this device's sealing key, asks which conversations there are, and asks for the keys of both people where
something is to be sealed. What the server answers is judged here: a key must be signed by its device, a device must
not be known as somebody else's, and a person is told of a device that was not there before. It sends nothing but
questions; rooms are joined by the conversation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from bisik.authors import Authors
from bisik.directs import Directs
from bisik.events import Notice
from bisik.i18n import _
from bisik.incoming import learn_key_untrusted
from bisik.opener import Opener
from bisik.reader import Reader
from bisik.recipients import recipient_devices, replace_recipients
from bisik.requests import Requests, refusal_untrusted
from bisik.store import Store
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import Reply, SealingDevice, SealingKeys
from bisik_protocol.chat.sealing_bundle import bundle_digest, check_bundle_untrusted, make_bundle
from bisik_protocol.crypto.identity import SigningKey, VerifyKey, fingerprint_groups
from bisik_protocol.crypto.sealing_key import SealingKey
from bisik_protocol.errors import RemoteProtocolError

MAX_FOLLOWED: Final = 40  # direct rooms that are joined by themselves; a session has room for more than these


@dataclass(slots=True, eq=False)
class _Asked:
    """Both halves of the devices of a room, on their way."""

    room: str
    theirs: SealingKeys | None = None
    ours: SealingKeys | None = None
    unknown: int = 0
    """Devices whose owner's former names are being asked for."""


class DirectRooms:
    """`join` is called with rooms that are to be followed, `on_keys` with those whose recipients are known now."""

    def __init__(
        self,
        *,
        store: Store,
        device: SigningKey,
        authors: Authors,
        requests: Requests,
        directs: Directs,
        opener: Opener,
        reader: Reader,
        join: Callable[[str], None],
        on_keys: Callable[[str], None],
    ) -> None:
        self.follows = False
        """Whether conversations are joined by themselves."""
        self.trouble: dict[str, str] = {}
        """Why nothing can be sealed in a room now, in a sentence for a person."""
        self._told: dict[str, str] = {}
        self._store = store
        self._device = device
        self._authors = authors
        self._requests = requests
        self._directs = directs
        self._opener = opener
        self._reader = reader
        self._join = join
        self._on_keys = on_keys
        self._me = ""
        self._admitted = False
        self._published = False
        self._refused = False
        self._held: bytes | None = None  # digest of what the server has of this device
        self._bundle: tuple[bytes, bytes] | None = None
        self._wanted: dict[str, None] = {}  # rooms whose keys are to be asked for
        self._asking: set[str] = set()

    @property
    def is_publishing(self) -> bool:
        """Whether the server has let us in, and does not know yet what is to be sealed to this device."""
        return self._admitted and not self._published and not self._refused

    # Told by the conversation -----------------------------------------------------------------------------------

    def on_admitted(self, name: str, sealing: bytes | None) -> None:
        """The server has let us in, and says which sealing key it has of this device."""
        self._me, self._held, self._admitted = name, sealing, True
        self._publish()
        if self.follows:
            self.list()

    def on_disconnected(self) -> None:
        self._admitted = self._published = self._refused = False
        self._wanted |= dict.fromkeys(self._asking)
        self._asking.clear()

    def on_key(self, key: SealingKey) -> None:
        """This device's sealing key is there."""
        self._opener.key = key
        self._publish()

    def list(self) -> None:
        """Ask which conversations there are."""
        self._requests.ask(messages.ListDirects, self._on_directs_untrusted, again=False)

    def on_joined(self, room: str) -> None:
        """A person is in the room now, and may want to say something there when there is no connection."""
        if not recipient_devices(self._store, room):
            self.ask_keys(room)

    def ask_keys(self, room: str) -> None:
        """Ask for the devices of both people, as soon as that can be."""
        self._wanted[room] = None
        self._ask_wanted()

    def on_news_untrusted(self, news: messages.DirectNews) -> None:
        """Something was said in a room that is not followed. Raises RemoteProtocolError."""
        self.learn_untrusted(news.room, news.name)
        if self.follows:
            self._directs.reopen(news.room)
            self._join(news.room)

    def learn_untrusted(self, room: str, name: str) -> None:
        """A room and the other's name. Raises RemoteProtocolError."""
        if name == self._me:
            raise RemoteProtocolError("direct")
        called = self._directs.learn_untrusted(room, name)
        if called is not None:
            self._reader.put_side(called)

    # Asking -----------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        if self._opener.key is None or not self._admitted:
            return
        if self._bundle is None:
            self._bundle = make_bundle(self._device, self._opener.key.public)
        bundle, signature = self._bundle
        if bundle_digest(bundle) == self._held:
            self._on_published()
        else:
            question = partial(messages.Publish, bundle=bundle, signature=signature)
            self._requests.ask(question, self._on_publish_untrusted, again=False)

    def _on_publish_untrusted(self, reply: Reply) -> None:
        if isinstance(reply, messages.Done):
            self._on_published()
            return
        refused = refusal_untrusted(reply)
        self._refused = True
        sentence = _("Direct messages cannot be read on this device: {why}").format(why=refused)
        self._reader.put_side(Notice(text=sentence))

    def _on_published(self) -> None:
        self._published = True
        self._ask_wanted()

    def _ask_wanted(self) -> None:
        """This device must have published before, or nothing would be sealed to it."""
        if not self._published:
            return
        wanted, self._wanted = self._wanted, {}
        for room in wanted:
            if room not in self._asking:
                self._asking.add(room)
                asked = _Asked(room)
                for name in (self._directs.name(room), self._me):
                    question = partial(messages.GetSealingKeys, name=name)
                    self._requests.ask(question, partial(self._on_keys_untrusted, asked, name), again=False)

    def _on_directs_untrusted(self, reply: Reply) -> None:
        if not isinstance(reply, messages.Directs):
            refusal_untrusted(reply)
            return
        for info in reply.directs:
            self.learn_untrusted(info.room, info.name)
        for info in reply.directs[:MAX_FOLLOWED]:
            if self._directs.wants(info.room, info.head):
                self._directs.reopen(info.room)
                self._join(info.room)

    # Judging ----------------------------------------------------------------------------------------------------

    def _on_keys_untrusted(self, asked: _Asked, name: str, reply: Reply) -> None:
        if not isinstance(reply, SealingKeys):
            self._give_up(asked.room, str(refusal_untrusted(reply)))
            return
        if name == self._me:
            asked.ours = reply
        else:
            before = self._somebody_else(asked.room, reply)
            if before is not None:
                sentence = _(
                    "The server says that {name} is {called} now, and shows none of the devices that {name} had."
                    " Nothing is sent."
                )
                self._give_up(asked.room, sentence.format(name=before, called=reply.name))
                return
            asked.theirs = reply
            self.learn_untrusted(asked.room, reply.name)
        if asked.ours is None or asked.theirs is None or asked.room not in self._asking:
            return
        for keys in (asked.theirs, asked.ours):
            for each in keys.keys:
                self._ask_for_names(asked, keys.name, VerifyKey.from_modulus_untrusted(each.device).key_hash)
        if not asked.unknown:
            self._judge(asked)

    def _somebody_else(self, room: str, keys: SealingKeys) -> str | None:
        """Whom the server puts another person in the place of, if it does: names are its word, keys are not."""
        known = recipient_devices(self._store, room).difference(self._store.devices_of(self._me))
        if not known.isdisjoint(VerifyKey.from_modulus_untrusted(each.device).key_hash for each in keys.keys):
            return None
        owners = [author for device in known if (author := self._authors.get(device)) is not None]
        if any(keys.name == owner.name or keys.name in owner.former_names for owner in owners):
            return None  # all of their devices are new ones, which the person is told
        return next((owner.name for owner in owners), None)

    def _ask_for_names(self, asked: _Asked, name: str, key_hash: bytes) -> None:
        """A device that is known under another name: its owner may have been renamed."""
        if self._authors.get(key_hash) is None or not self._authors.must_ask(key_hash, name):
            return
        asked.unknown += 1
        question = partial(messages.GetDevice, key_hash=key_hash)
        self._requests.ask(question, partial(self._on_device_untrusted, asked, key_hash, name), again=False)

    def _on_device_untrusted(self, asked: _Asked, key_hash: bytes, name: str, reply: Reply) -> None:
        news = learn_key_untrusted(self._authors, key_hash, name, reply)
        if news is not None:
            self._reader.put_side(Notice(text=news))
        asked.unknown -= 1
        if not asked.unknown:
            self._judge(asked)

    def _judge(self, asked: _Asked) -> None:
        """Take the keys, unless one of them is not what it should be: then nothing is sealed."""
        if asked.theirs is None or asked.ours is None or asked.room not in self._asking:
            return
        if not asked.theirs.keys:
            sentence = _("{name} has no device yet that can read direct messages: bisik must be started there once.")
            self._give_up(asked.room, sentence.format(name=asked.theirs.name))
            return
        for keys in (asked.theirs, asked.ours):
            for each in keys.keys:
                wrong = self._wrong(keys.name, each)
                if wrong is not None:
                    self._give_up(asked.room, wrong)
                    return
        before = recipient_devices(self._store, asked.room)
        for keys in (asked.theirs, asked.ours):
            self._meet(asked.room, keys, before)
        replace_recipients(self._store, asked.room, [*asked.theirs.keys, *asked.ours.keys])
        self._asking.discard(asked.room)
        self.trouble.pop(asked.room, None)
        self._told.pop(asked.room, None)
        self._on_keys(asked.room)

    def _wrong(self, name: str, device: SealingDevice) -> str | None:
        key = VerifyKey.from_modulus_untrusted(device.device)
        try:
            check_bundle_untrusted(key, device.bundle, device.signature)
        except RemoteProtocolError:
            return _(
                "The server shows a key for a device of {name} that the device has not signed. Nothing is sent."
            ).format(name=name)
        author = self._authors.get(key.key_hash)
        if author is None or author.key is None or name == author.name or name in author.former_names:
            return None
        return _("The server says that a device of {author} is {name}'s. Nothing is sent.").format(
            author=author.name, name=name
        )

    def _meet(self, room: str, keys: SealingKeys, before: frozenset[bytes]) -> None:
        """Pin the devices to their owner, and say which were not there before."""
        known = set(self._store.devices_of(keys.name))
        is_known = bool(known or before)
        for each in keys.keys:
            key_hash = VerifyKey.from_modulus_untrusted(each.device).key_hash
            if key_hash not in known:
                self._authors.learn_untrusted(key_hash, messages.Device(0, keys.name, each.device))
            if is_known and key_hash not in known and key_hash not in before:
                self._reader.put_side(Notice(room=room, text=self._new_device(keys.name, key_hash)))

    def _new_device(self, name: str, key_hash: bytes) -> str:
        sentence = (
            _("You have a new device, {device}: what is said here from now on can be read there. Is it yours?")
            if name == self._me
            else _("{name} has a new device, {device}: what is said here from now on can be read there.")
        )
        return sentence.format(name=name, device=fingerprint_groups(key_hash))

    def _give_up(self, room: str, sentence: str) -> None:
        self._asking.discard(room)
        self.trouble[room] = sentence
        if self._told.get(room) != sentence:
            self._told[room] = sentence
            self._reader.put_side(Notice(room=room, text=sentence))
