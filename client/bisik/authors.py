"""Who said it: device keys, the names they are bound to, and whether an entry is what its author signed.

A key's owner is learned once from the server and pinned in the home: from then on the server cannot give the key to
another name. It asks for nothing by itself and shows nothing; `rooms` holds entries back until their key is known.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bisik.i18n import _
from bisik.store import Store
from bisik_protocol.chat.messages import Device, MessageEntry
from bisik_protocol.chat.statements import STATEMENT_CONTEXT, Statement
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.errors import RemoteProtocolError

KEYS_IN_MEMORY: Final = 1000


@dataclass(frozen=True, slots=True)
class Author:
    """A device's key and the name pinned to it; no key where the server says that it does not know it either."""

    name: str
    key: VerifyKey | None


class Authors:
    """The devices that this home has heard of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: OrderedDict[bytes, Author] = OrderedDict()

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
        return self._keep(key_hash, Author(name, VerifyKey.from_modulus_untrusted(modulus)))

    def learn_untrusted(self, key_hash: bytes, device: Device) -> str | None:
        """Pin what the server says of a key. A sentence where a name that was known has a new device.

        Raises RemoteProtocolError("device") when the key is not the one that was asked for.
        """
        key = VerifyKey.from_modulus_untrusted(device.device)
        if key.key_hash != key_hash:
            raise RemoteProtocolError("device")
        others = self._store.pin_device(key_hash, device.name, device.device)
        self._keep(key_hash, Author(device.name, key))
        return (
            _("{name} speaks from a device that was not seen here before.").format(name=device.name)
            if others
            else None
        )

    def learn_unknown(self, key_hash: bytes) -> None:
        """The server does not know the key: for this run, nothing signed by it can be verified."""
        self._keep(key_hash, Author("", None))

    def _keep(self, key_hash: bytes, author: Author) -> Author:
        self._recent[key_hash] = author
        while len(self._recent) > KEYS_IN_MEMORY:
            self._recent.popitem(last=False)
        return author


def objection(entry: MessageEntry, statement: Statement, author: Author) -> str | None:
    """Why the entry is not to be believed, completing `a message that …` for a person; None when all is well."""
    if statement.room != entry.room:
        return _("was written for another room")
    if author.key is None:
        return _("is signed by a key that the server does not know, not by {author}").format(author=entry.author)
    if author.name != entry.author:
        return _("is signed by a device of {name}, not by {author}").format(name=author.name, author=entry.author)
    if not author.key.verify(STATEMENT_CONTEXT, entry.statement, entry.signature):
        return _("does not carry the signature of {author}").format(author=entry.author)
    return None
