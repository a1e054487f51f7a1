"""Who said it: device keys, the names they are bound to, and whether an entry is what its author signed.

A key's owner is learned once from the server and pinned in the home: from then on the server cannot give the key to
somebody else. It can say that the owner has another name now, which is told to the person; what was said before
keeps the name that it was said under. It asks for nothing by itself and shows nothing; `rooms` holds entries back
until their key is known.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bisik.i18n import _
from bisik.store import Store
from bisik_protocol.chat.messages import Device, MessageEntry
from bisik_protocol.chat.statements import STATEMENT_CONTEXT, AnyStatement
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.errors import RemoteProtocolError

KEYS_IN_MEMORY: Final = 1000
MAX_NAMES_ASKED: Final = 32  # of one key, in one run


@dataclass(frozen=True, slots=True)
class Author:
    """A device's key and the names pinned to it; no key where the server says that it does not know it either."""

    name: str
    """What its owner is called now."""
    key: VerifyKey | None
    former_names: frozenset[str] = frozenset()


class Authors:
    """The devices that this home has heard of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: OrderedDict[bytes, Author] = OrderedDict()
        self._names_asked: dict[bytes, set[str]] = {}  # names that the server was asked about, by key

    def get(self, key_hash: bytes) -> Author | None:
        """Whose key this is, or None: then ask the server."""
        author = self._recent.get(key_hash)
        if author is not None:
            self._recent.move_to_end(key_hash)
            return author
        row = self._store.device(key_hash)
        if row is None:
            return None
        name, modulus = row
        key = VerifyKey.from_modulus_untrusted(modulus)
        return self._keep(key_hash, Author(name, key, self._store.former_names(key_hash)))

    def must_ask(self, key_hash: bytes, name: str) -> bool:
        """Whether the server has to be asked before something that `name` said with this key can be judged.

        The key is unknown, or its owner may have been renamed since it was learned.
        """
        author = self.get(key_hash)
        if author is None:
            return True
        asked = self._names_asked.get(key_hash, set())
        if author.key is None or name == author.name or name in author.former_names or name in asked:
            return False
        return len(asked) < MAX_NAMES_ASKED

    def learn_untrusted(self, key_hash: bytes, device: Device) -> str | None:
        """Pin what the server says of a key. A sentence where a name that was known has a new device or is new.

        Raises RemoteProtocolError("device") when the key is not the one that was asked for.
        """
        key = VerifyKey.from_modulus_untrusted(device.device)
        if key.key_hash != key_hash:
            raise RemoteProtocolError("device")
        before = self.get(key_hash)
        names = frozenset({device.name, *device.formerly})
        if before is not None and before.key is not None and not names >= {before.name, *before.former_names}:
            return None  # it would be somebody else's now: what is known stays
        others = self._store.pin_device(key_hash, device.name, device.device, device.formerly)
        self._keep(key_hash, Author(device.name, key, names - {device.name}))
        if before is not None and before.key is not None and before.name != device.name:
            return _renamed(before.name, device.name, others)
        return (
            _("{name} speaks from a device that was not seen here before.").format(name=device.name)
            if others
            else None
        )

    def on_renamed(self, key_hash: bytes, name: str) -> None:
        """The owner of a key that is known is called `name` now."""
        author = self.get(key_hash)
        if author is not None and author.key is not None:
            former_names = author.former_names | {author.name}
            self._store.pin_device(key_hash, name, author.key.modulus, former_names)
            self._keep(key_hash, Author(name, author.key, former_names))

    def asked(self, key_hash: bytes, name: str) -> None:
        """The server has been asked about this name of the key, and will not be again in this run."""
        self._names_asked.setdefault(key_hash, set()).add(name)

    def learn_unknown(self, key_hash: bytes) -> None:
        """The server does not know the key: for this run, nothing signed by it can be verified."""
        if self.get(key_hash) is None:
            self._keep(key_hash, Author("", None))

    def _keep(self, key_hash: bytes, author: Author) -> Author:
        self._recent[key_hash] = author
        while len(self._recent) > KEYS_IN_MEMORY:
            forgotten, _ = self._recent.popitem(last=False)
            self._names_asked.pop(forgotten, None)
        return author


def _renamed(old: str, new: str, others: int) -> str:
    sentence = _("{old} is called {new} from now on: the server's operator gave the account another name.")
    if others:
        sentence += " " + _("Another device was known as {new} before, so be careful whom you take it for.")
    return sentence.format(old=old, new=new)


def objection(entry: MessageEntry, statement: AnyStatement, author: Author) -> str | None:
    """Why the entry is not to be believed, completing `a message that …` for a person; None when all is well."""
    if statement.room != entry.room:
        return _("was written for another room")
    if author.key is None:
        return _("is signed by a key that the server does not know, not by {author}").format(author=entry.author)
    if author.name != entry.author and entry.author not in author.former_names:
        return _("is signed by a device of {name}, not by {author}").format(name=author.name, author=entry.author)
    if not author.key.verify(STATEMENT_CONTEXT, entry.statement, entry.signature):
        return _("does not carry the signature of {author}").format(author=entry.author)
    return None
