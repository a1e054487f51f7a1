"""What comes from the rooms: from entries on lanes and in pages to verified events in the reader's queue.

An entry waits until the key that signed it is known; a room waits until the reader has taken what came before. What
is believed is decided in `entries`, order in `rooms`, how far the reader has come in `reader`. It sends nothing but
questions, and does not know own messages from others'.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from bisik.authors import Authors
from bisik.directs import Directs
from bisik.entries import is_genuine_untrusted, missing_key_untrusted, to_event_untrusted
from bisik.events import Event, Message, Notice
from bisik.i18n import N_, _
from bisik.opener import Opener
from bisik.reader import Place, Reader
from bisik.requests import Requests
from bisik.rooms import Heard, RoomFeed
from bisik_protocol.chat.messages import (
    MAX_PAGE_ENTRIES,
    Device,
    Entry,
    GetDevice,
    History,
    MessageEntry,
    Presence,
    Refused,
    Reply,
    decode_entry_untrusted,
)
from bisik_protocol.chat.statements import decode_any_statement_untrusted, statement_hash
from bisik_protocol.errors import RemoteProtocolError

_LOG_SHORTER: Final = N_(
    "The server's log of {} is shorter than what this device has already read: it was restored from a copy, or"
    " rolled back. Ask the operator."
)
_MISSING: Final = N_("Something that {} wrote in {} before this is missing, or was changed.")


@dataclass(slots=True, eq=False)
class Followed:
    """A room on its way to the reader."""

    feed: RoomFeed
    heard: Heard
    read: int  # newest entry that the reader had read when the room was joined
    wanted: bool = True
    delivered: int = 0
    """Newest message of somebody else that was handed over to the reader in this run."""


class Incoming:
    """All that is followed, for one reader."""

    def __init__(
        self, reader: Reader, authors: Authors, requests: Requests, opener: Opener, directs: Directs, *, name: str
    ) -> None:
        """`name` is one's own: what oneself said is not news that it has come."""
        self._name = name
        self._opener = opener
        self._directs = directs
        self._reader = reader
        self._authors = authors
        self._requests = requests
        self._keys_asked: set[bytes] = set()
        self._stopped: dict[Followed, None] = {}  # in order: something came and could not be handed over
        self._left: dict[str, Followed] = {}  # rooms that were followed in this run, and how far

    def follow(self, name: str, presence: Presence, *, context: int = 0, history: int = MAX_PAGE_ENTRIES) -> Followed:
        """Begin where the reader was, less `context` entries; the last `history` entries if it never was there."""
        if presence is Presence.WRITER:
            return Followed(RoomFeed(name, presence), Heard({}), 0)
        left = self._left.get(name)
        if left is not None:  # what it was given then may still wait to be read
            feed = RoomFeed(name, presence, position=left.feed.position, history=history)
            return Followed(feed, left.heard, left.read)
        read = self._reader.cursor(name)
        position = None if read is None else max(0, read - context)
        feed = RoomFeed(name, presence, position=position, history=history)
        return Followed(feed, Heard(self._reader.heard(name)), read or 0)

    def unfollow(self, followed: Followed) -> None:
        """What still comes of the room is not handed over any more."""
        followed.wanted = False
        self._stopped.pop(followed, None)
        if followed.feed.presence is not Presence.WRITER:
            self._left[followed.feed.room] = followed

    def on_log_shorter(self, followed: Followed) -> None:
        """The server has less than it once showed this reader."""
        name = followed.feed.room
        followed.heard.forget()
        followed.read = 0
        self._reader.put_side(Notice(room=name, text=_(_LOG_SHORTER).format(self._directs.label(name))))

    def on_entry(self, followed: Followed, entry: Entry, *, own: bool) -> None:
        """An entry came on the room's lane; `own` where it answers a post of ours."""
        followed.feed.on_entry(entry, own=own)
        self._advance(followed)

    def next_event(self) -> Event | None:
        """The next event for the reader, or None. Asking means that the one before was dealt with."""
        event = self._reader.next()
        if self._stopped and self._reader.hungry:
            stopped, self._stopped = self._stopped, {}
            for followed in stopped:
                self._advance(followed)
        return event if event is not None else self._reader.next()

    def _advance(self, followed: Followed) -> None:
        """Hand over what can be handed over, and ask for what that takes."""
        feed = followed.feed
        while followed.wanted and (entry := feed.peek()) is not None:
            if self._reader.full:
                self._stopped[followed] = None
                return
            if missing_key_untrusted(entry, self._authors) is not None:
                self._stopped[followed] = None
                self._ask_for_keys(feed)
                return
            self._hand_over(followed, feed.take())
        if followed.wanted and feed.page_wanted():
            self._requests.ask(feed.page_request, partial(self._on_page_untrusted, followed), again=False)

    def _hand_over(self, followed: Followed, entry: Entry) -> None:
        event = to_event_untrusted(entry, self._authors, self._opener)
        if isinstance(entry, MessageEntry) and entry.author != self._name:
            followed.delivered = entry.seq
        if entry.seq <= followed.read:
            self._reader.put(event)  # shown once more: the reader's place is further on
            return
        author = statement_link = None
        if isinstance(entry, MessageEntry) and (
            isinstance(event, Message) or is_genuine_untrusted(entry, self._authors)  # sealed, and not to be opened
        ):
            statement = decode_any_statement_untrusted(entry.statement)
            author = statement.author
            statement_link = (statement.seq, statement_hash(entry.statement))
            if not followed.heard.continues(statement, statement_link[1]):
                missing = _(_MISSING).format(entry.author, self._directs.label(entry.room))
                self._reader.put(Notice(room=entry.room, text=missing))
        self._reader.put(event, Place(room=entry.room, seq=entry.seq, author=author, statement=statement_link))

    def _on_page_untrusted(self, followed: Followed, reply: Reply) -> None:
        if not isinstance(reply, History):
            raise RemoteProtocolError("reply")
        followed.feed.on_page_untrusted(decode_page_untrusted(reply, followed.feed.room))
        self._advance(followed)

    def _ask_for_keys(self, feed: RoomFeed) -> None:
        for entry in feed.waiting():
            key_hash = missing_key_untrusted(entry, self._authors)
            if key_hash is not None and key_hash not in self._keys_asked:
                self._keys_asked.add(key_hash)
                self._requests.ask(
                    partial(GetDevice, key_hash=key_hash),
                    partial(self._on_device_untrusted, key_hash, entry.author),
                )

    def _on_device_untrusted(self, key_hash: bytes, author: str, reply: Reply) -> None:
        self._keys_asked.discard(key_hash)
        news = learn_key_untrusted(self._authors, key_hash, author, reply)
        if news is not None:
            self._reader.put_side(Notice(text=news))
        stopped, self._stopped = self._stopped, {}
        for followed in stopped:
            self._advance(followed)


def decode_page_untrusted(reply: History, room: str) -> list[Entry]:
    """The entries of a page, whole and of the room that was asked for. Raises RemoteProtocolError."""
    return [decode_entry_of_untrusted(data, room) for data in reply.entries]


def decode_entry_of_untrusted(data: bytes, room: str) -> Entry:
    """An entry whose statement can be read, of the room that it should be of. Raises RemoteProtocolError."""
    entry = decode_entry_untrusted(data)
    if entry.room != room:
        raise RemoteProtocolError("entry")
    if isinstance(entry, MessageEntry):
        decode_any_statement_untrusted(entry.statement)
    return entry


def learn_key_untrusted(authors: Authors, key_hash: bytes, author: str, reply: Reply) -> str | None:
    """Take the reply to GetDevice, which was asked because of something that `author` is to have said.

    A sentence where that is news for a person. Raises RemoteProtocolError.
    """
    news = None
    if isinstance(reply, Device):
        news = authors.learn_untrusted(key_hash, reply)
    elif isinstance(reply, Refused):
        authors.learn_unknown(key_hash)
    else:
        raise RemoteProtocolError("reply")
    authors.asked(key_hash, author)
    return news
