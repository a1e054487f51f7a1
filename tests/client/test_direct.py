"""Direct rooms without I/O: sealed, opened, sealed anew, called after the other; and what a server may try."""

import msgspec
import pytest

from bisik.conversation import Conversation
from bisik.directs import Directs, room_name
from bisik.entries import to_event_untrusted
from bisik.errors import NoRecipients, NotKnown, WrongUsage
from bisik.events import DirectCalled, Event, Message, Notice, OwnMessage
from bisik.opener import Opener
from bisik.recipients import recipient_devices
from bisik.store import Store
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import MessageEntry, Presence
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import (
    STATEMENT_CONTEXT,
    Kind,
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    encode_statement,
    statement_hash,
)
from bisik_protocol.errors import RemoteProtocolError
from tests.client.fake_daemon import FakeDaemon, Wire, drain, settle
from tests.support.keys import device_key, sealing_key

ROOM = "@sari+tama"


def make(
    daemon: FakeDaemon, name: str, key: int, *, store: Store | None = None, sealing: bool = True
) -> Conversation:
    """Somebody who follows their conversations."""
    daemon.admit(name, device_key(key))
    made = Conversation(name=name, device=device_key(key), store=store or Store(None), reader="chat")
    if sealing:
        made.on_sealing_key(sealing_key(key))
    made.follow_directs()
    return made


class Two:
    """Tama and Sari, connected, with sealing keys."""

    def __init__(self, *, store: Store | None = None) -> None:
        self.daemon = FakeDaemon()
        self.tama = make(self.daemon, "tama", 0, store=store)
        self.sari = make(self.daemon, "sari", 1)
        self.wires = [Wire(self.tama, self.daemon), Wire(self.sari, self.daemon, seed=1)]
        settle(*self.wires)

    def settle(self) -> None:
        settle(*self.wires)

    def open(self, talk: Conversation, other: str) -> None:
        """As /msg does it."""
        open_direct(talk, other)
        self.settle()

    def say(self, talk: Conversation, text: str, room: str = ROOM) -> int:
        outbox_id = talk.outbox.enqueue(room, text, time_ms=1)
        talk.post(room)
        self.settle()
        return outbox_id


def open_direct(talk: Conversation, other: str) -> None:
    def on_reply(reply: messages.Reply) -> None:
        assert isinstance(reply, messages.Direct)
        talk.direct_rooms.learn_untrusted(reply.room, reply.name)
        talk.join(reply.room)
        talk.direct_rooms.ask_keys(reply.room)

    talk.ask(lambda number: messages.GetDirect(number, other), on_reply)


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Message)]


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


class TestTalking:
    def test_two_people_read_each_other(self) -> None:
        """Each is given what both said, under the other's name, and the log holds nothing that can be read."""
        two = Two()
        two.open(two.tama, "sari")
        two.say(two.tama, "kopi di dapur")
        two.say(two.sari, "sebentar")
        heard = [event for event in drain(two.sari) if isinstance(event, Message)]
        assert [(event.room, event.author, event.text) for event in heard] == [
            ("@tama", "tama", "kopi di dapur"),
            ("@tama", "sari", "sebentar"),
        ]
        said = drain(two.tama)
        assert texts(said) == ["kopi di dapur", "sebentar"]
        assert {event.room for event in said if isinstance(event, Message | OwnMessage)} == {"@sari"}
        for entry in two.daemon.rooms[ROOM]:
            assert b"kopi" not in messages.encode(entry)

    def test_who_is_spoken_to_need_not_do_anything(self) -> None:
        """A conversation that somebody else begins is followed by itself, and said to be new."""
        two = Two()
        two.open(two.tama, "sari")
        two.say(two.tama, "halo")
        assert ROOM in two.sari.rooms
        events = drain(two.sari)
        assert DirectCalled(room="@tama") in events
        assert texts(events) == ["halo"]

    def test_conversations_are_found_again(self) -> None:
        """Who starts anew follows what there is; what was closed stays closed until there is news."""
        store = Store(None)
        two = Two(store=store)
        two.open(two.tama, "sari")
        two.say(two.tama, "satu")
        drain(two.tama)
        two.tama.directs.close(ROOM, two.tama.position(ROOM))
        two.wires.pop(0).disconnect()
        again = make(two.daemon, "tama", 0, store=store)
        two.wires.append(Wire(again, two.daemon, seed=5))
        two.settle()
        assert again.rooms == []
        two.say(two.sari, "dua")
        assert again.rooms == [ROOM]
        assert texts(drain(again)) == ["dua"]

    def test_a_direct_room_waits_for_the_sealing_key(self) -> None:
        """A home of before gets its key late: until then nothing is joined, and then nothing is missing."""
        two = Two()
        late = make(two.daemon, "ayu", 2, sealing=False)
        two.wires.append(Wire(late, two.daemon, seed=3))
        two.settle()
        assert device_key(2).public.key_hash not in two.daemon.bundles
        late.on_sealing_key(sealing_key(2))
        two.settle()
        two.open(two.tama, "ayu")
        two.say(two.tama, "halo", "@ayu+tama")
        assert texts(drain(late)) == ["halo"]

    def test_published_once(self) -> None:
        """A server that has this device's key is not told again."""
        two = Two()
        two.wires.pop(0).disconnect()
        wire = Wire(two.tama, two.daemon)
        two.wires.append(wire)
        two.settle()
        assert not any(isinstance(request, messages.Publish) for request in wire.session.requests)

    def test_a_renamed_person_keeps_the_conversation(self) -> None:
        """The room is called after the new name at once, and is the same; the person is told."""
        two = Two()
        two.open(two.tama, "sari")
        two.say(two.tama, "halo")
        drain(two.tama)
        two.daemon.names["sari"] = "wati"
        two.daemon.devices[device_key(1).public.key_hash] = ("wati", device_key(1).public.modulus)
        two.tama.direct_rooms.list()
        two.settle()
        assert DirectCalled(room="@wati", before="@sari") in drain(two.tama)
        two.say(two.tama, "masih di sana?")
        assert {event.room for event in drain(two.tama) if isinstance(event, Message)} == {"@wati"}

    @pytest.mark.parametrize("told_first", [True, False])
    def test_nobody_is_put_in_anothers_place_by_a_new_name(self, told_first: bool) -> None:
        """A server that says that Sari is called Budi now, and shows Budi's devices: nothing is sealed to those."""
        two = Two()
        budi = make(two.daemon, "budi", 2)
        two.wires.append(Wire(budi, two.daemon, seed=2))
        two.settle()
        two.open(two.tama, "budi")
        two.open(two.tama, "sari")
        two.say(two.tama, "halo")
        drain(two.tama)
        before = recipient_devices(two.tama._store, ROOM)
        two.daemon.names["sari"] = "budi"
        if told_first:
            two.tama.direct_rooms.learn_untrusted(ROOM, "budi")
        two.tama.direct_rooms.ask_keys(ROOM)
        two.settle()
        assert any("shows none of the devices that sari had" in text for text in notices(drain(two.tama)))
        assert recipient_devices(two.tama._store, ROOM) == before
        assert device_key(2).public.key_hash not in before


class TestOffline:
    def test_the_first_message_needs_a_connection(self) -> None:
        """Without keys nothing can be sealed, and nothing is put into the outbox."""
        tama = make(FakeDaemon(), "tama", 0)
        with pytest.raises(NoRecipients):
            tama.outbox.enqueue(ROOM, "halo", time_ms=1)
        assert tama.outbox.count() == 0

    def test_later_ones_do_not(self) -> None:
        """With keys that are known a message waits in the outbox, sealed, and goes out with the next connection."""
        two = Two()
        two.open(two.tama, "sari")
        two.wires.pop(0).disconnect()
        two.tama.outbox.enqueue(ROOM, "dari terowongan", time_ms=1)
        [queued] = two.tama.outbox.queued(ROOM)
        assert b"terowongan" not in queued.statement
        two.wires.append(Wire(two.tama, two.daemon, seed=7))
        two.settle()
        assert texts(drain(two.sari)) == ["dari terowongan"]


class TestDevices:
    def test_a_new_device_reads_what_waited(self) -> None:
        """What was sealed before a device came is sealed anew, once, and the device is announced."""
        two = Two()
        two.open(two.tama, "sari")
        two.wires.pop(0).disconnect()
        for text in ("satu", "dua", "tiga"):
            two.tama.outbox.enqueue(ROOM, text, time_ms=1)
        phone = make(two.daemon, "sari", 2)
        two.wires.append(Wire(phone, two.daemon, seed=2))
        two.settle()
        two.wires.append(Wire(two.tama, two.daemon, seed=4))
        two.settle()
        for reader in (phone, two.sari, two.tama):
            events = drain(reader)
            assert texts(events) == ["satu", "dua", "tiga"]
            if reader is two.tama:
                assert [text for text in notices(events) if "sari has a new device" in text]
        assert two.tama.outbox.count() == 0
        assert len(two.daemon.rooms[ROOM]) == 3

    def test_two_devices_each(self) -> None:
        """All four read all of it, whoever says it."""
        two = Two()
        others = [make(two.daemon, "tama", 2), make(two.daemon, "sari", 3)]
        two.wires += [Wire(other, two.daemon, seed=n) for n, other in enumerate(others, 8)]
        two.settle()
        two.open(two.tama, "sari")
        for n, talk in enumerate((two.tama, two.sari, *others)):
            two.settle()
            if not recipient_devices(talk._store, ROOM):
                talk.direct_rooms.ask_keys(ROOM)
                two.settle()
            two.say(talk, f"pesan {n}")
        for talk in (two.tama, two.sari, *others):
            assert texts(drain(talk)) == [f"pesan {n}" for n in range(4)]

    def test_a_server_that_will_not_be_content(self) -> None:
        """Where what it asked for is refused all the same, there is a pause, and the message is kept."""
        two = Two()
        two.open(two.tama, "sari")
        two.daemon.recipients = lambda room: set()  # type: ignore[method-assign]
        two.say(two.tama, "halo")
        assert two.tama.outbox.count() == 1
        assert two.tama.next_timeout() is not None

    def test_a_ghost_device_is_announced(self) -> None:
        """A device that the server adds to one's own name is told of before anything is sealed to it unseen."""
        two = Two()
        two.open(two.tama, "sari")
        drain(two.tama)
        ghost = make(two.daemon, "tama", 3)
        two.wires.append(Wire(ghost, two.daemon, seed=9))
        two.settle()
        two.say(two.tama, "halo")
        [told] = [text for text in notices(drain(two.tama)) if "new device" in text]
        assert told.startswith("You have a new device")

    def test_somebody_elses_device_is_not_sealed_to(self) -> None:
        """A device that is known as another's stops it: nothing is sent, and the person is told why."""
        two = Two()
        two.tama.authors.learn_untrusted(
            device_key(2).public.key_hash, messages.Device(0, "ayu", device_key(2).public.modulus)
        )
        mallory = make(two.daemon, "sari", 2)
        two.wires.append(Wire(mallory, two.daemon, seed=2))
        two.settle()
        two.open(two.tama, "sari")
        assert notices(drain(two.tama)) == ["The server says that a device of ayu is sari's. Nothing is sent."]
        with pytest.raises(NoRecipients):
            two.tama.outbox.enqueue(ROOM, "halo", time_ms=1)

    def test_a_key_that_its_device_did_not_sign(self) -> None:
        """A sealing key that the server has put in place of the device's own is refused in a sentence."""
        two = Two()
        theirs = device_key(1).public.key_hash
        bundle, _ = two.daemon.bundles[theirs]
        two.daemon.bundles[theirs] = (bundle, bytes(384))
        two.open(two.tama, "sari")
        [told] = notices(drain(two.tama))
        assert "has not signed" in told
        assert recipient_devices(two.tama._store, ROOM) == frozenset()

    def test_nobody_to_seal_to(self) -> None:
        """Somebody whose devices are all of before cannot be written to yet, and that is said."""
        two = Two()
        two.daemon.admit("budi", device_key(4))
        two.open(two.tama, "budi")
        [told] = notices(drain(two.tama))
        assert told.startswith("budi has no device yet")


class TestTheServerTries:
    """The entry is signed and stored as it should be, but for one thing."""

    def said(self) -> tuple[Two, MessageEntry, SealedStatement]:
        two = Two()
        two.open(two.tama, "sari")
        two.say(two.tama, "halo")
        drain(two.sari)
        [entry] = two.daemon.rooms[ROOM]
        assert isinstance(entry, MessageEntry)
        statement = decode_any_statement_untrusted(entry.statement)
        assert isinstance(statement, SealedStatement)
        return two, entry, statement

    def judged(self, two: Two, entry: MessageEntry, statement: SealedStatement | Statement) -> Message | str:
        """What Sari is shown of the statement, signed by Tama's device."""
        encoded = encode_statement(statement)
        forged = msgspec.structs.replace(
            entry, statement=encoded, signature=device_key(0).sign(STATEMENT_CONTEXT, encoded)
        )
        opener = Opener(device_key(1).public.key_hash)
        opener.key = sealing_key(1)
        event = to_event_untrusted(forged, two.sari.authors, opener)
        assert isinstance(event, Message | Notice)
        assert opener.damaged == (isinstance(event, Notice) and "damaged" in event.text)
        return event if isinstance(event, Message) else event.text

    def test_nothing_is_wrong(self) -> None:
        """The same entry as it was: what the others are compared with."""
        two, entry, statement = self.said()
        shown = self.judged(two, entry, statement)
        assert isinstance(shown, Message)
        assert shown.text == "halo"

    @pytest.mark.parametrize("what", ["seq", "previous"])
    def test_moved_in_the_chain(self, what: str) -> None:
        """Sealed for one place, it opens in no other."""
        two, entry, statement = self.said()
        change = {"seq": 7} if what == "seq" else {"previous": bytes([1]) * 32}
        shown = self.judged(two, entry, msgspec.structs.replace(statement, **change))
        assert isinstance(shown, str)
        assert "was damaged, or sealed wrongly" in shown

    def test_truncated(self) -> None:
        """A ciphertext that is shorter does not open."""
        two, entry, statement = self.said()
        cut = msgspec.structs.replace(statement.sealed, ciphertext=statement.sealed.ciphertext[:-1])
        shown = self.judged(two, entry, msgspec.structs.replace(statement, sealed=cut))
        assert isinstance(shown, str)

    def test_readdressed(self) -> None:
        """Without one of those that it was for, it does not open for the others either."""
        two, entry, statement = self.said()
        mine = [wrap for wrap in statement.sealed.wraps if wrap.device == device_key(1).public.key_hash]
        fewer = msgspec.structs.replace(statement.sealed, wraps=mine)
        shown = self.judged(two, entry, msgspec.structs.replace(statement, sealed=fewer))
        assert isinstance(shown, str)

    def test_not_for_this_device(self) -> None:
        """What was sealed to others only is a sentence, not a crash, and is not counted as damage."""
        two, entry, statement = self.said()
        others = [wrap for wrap in statement.sealed.wraps if wrap.device != device_key(1).public.key_hash]
        fewer = msgspec.structs.replace(statement.sealed, wraps=others)
        shown = self.judged(two, entry, msgspec.structs.replace(statement, sealed=fewer))
        assert isinstance(shown, str)
        assert "sealed before this device was there" in shown

    def test_not_sealed(self) -> None:
        """A message that everybody could read is not shown in a direct room."""
        two, entry, statement = self.said()
        plain = Statement(ROOM, statement.author, 1, 1, Kind.SAY, "halo", statement.previous)
        shown = self.judged(two, entry, plain)
        assert isinstance(shown, str)
        assert "is not sealed" in shown

    def test_sealed_in_a_room(self) -> None:
        """Nor is a sealed one in a room that is for everybody."""
        two, entry, statement = self.said()
        moved = msgspec.structs.replace(statement, room=LOBBY)
        shown = self.judged(two, msgspec.structs.replace(entry, room=LOBBY), moved)
        assert isinstance(shown, str)
        assert "should not be" in shown

    def test_swapped_signature(self) -> None:
        """Another's signature is noticed before anything is opened."""
        two, entry, _ = self.said()
        forged = msgspec.structs.replace(entry, signature=device_key(1).sign(STATEMENT_CONTEXT, entry.statement))
        event = to_event_untrusted(forged, two.sari.authors, two.sari.opener)
        assert isinstance(event, Notice)
        assert "does not carry the signature" in event.text

    def test_replayed(self) -> None:
        """An entry that comes again under the next number is told of as a break in the author's chain."""
        two, entry, _ = self.said()
        two.daemon.append(msgspec.structs.replace(entry, seq=2))
        two.wires[1].session.show(two.daemon.rooms[ROOM][-1])
        two.settle()
        assert any("missing, or was changed" in text for text in notices(drain(two.sari)))

    def test_what_cannot_be_opened_does_not_break_the_chain(self) -> None:
        """A device that comes later is not told that something is missing behind what was sealed before it."""
        two, _, _ = self.said()
        phone = make(two.daemon, "sari", 2)
        two.wires.append(Wire(phone, two.daemon, seed=2))
        two.settle()
        two.say(two.tama, "lagi")
        events = drain(phone)
        assert texts(events) == ["lagi"]
        assert [text for text in notices(events) if "message" in text.lower()] == [
            "Message 1 of tama was sealed before this device was there, or for other devices. It is not shown."
        ]

    def test_what_lies_between_does_not_break_the_chain_either(self) -> None:
        """Something that this device cannot open is genuine all the same: nothing is said to be missing behind it."""
        two = Two()
        two.open(two.tama, "sari")
        two.say(two.tama, "satu")
        for_all = two.daemon.recipients
        two.daemon.recipients = lambda room: for_all(room) - {device_key(1).public.key_hash}  # type: ignore[method-assign]
        with two.tama._store.writing() as connection:
            connection.execute("DELETE FROM recipients WHERE device = ?", (device_key(1).public.key_hash,))
        two.say(two.tama, "dua")
        two.daemon.recipients = for_all  # type: ignore[method-assign]
        two.say(two.tama, "tiga")
        events = drain(two.sari)
        assert texts(events) == ["satu", "tiga"]
        assert len(notices(events)) == 1
        assert "sealed before this device was there" in notices(events)[0]

    @pytest.mark.parametrize("room", ["#lobby", "@sari", "@sari+sari", "@tama+sari", "@Sari+tama"])
    def test_a_room_that_is_none(self, room: str) -> None:
        """A direct room that no server of this protocol would name ends the connection."""
        two = Two()
        with pytest.raises(RemoteProtocolError):
            two.tama.receive_message_untrusted(0, messages.encode(messages.DirectNews(room, "sari")), now=0.0)


class TestNames:
    @pytest.mark.parametrize(("typed", "name"), [("@Sari", "@sari"), ("＠sari", "@sari"), ("lobby", "#lobby")])
    def test_one_spelling(self, typed: str, name: str) -> None:
        """Direct rooms have one spelling, as people and rooms have."""
        assert room_name(typed) == name

    @pytest.mark.parametrize("typed", ["@", "@a b", "@sari+tama"])
    def test_no_name(self, typed: str) -> None:
        """What is nobody's name is refused; so is the name that the log has for the room."""
        with pytest.raises(WrongUsage):
            room_name(typed)

    def test_not_known_yet(self) -> None:
        """A conversation that was never asked for has no room yet."""
        with pytest.raises(NotKnown):
            Directs(Store(None)).room("@sari")

    def test_a_name_that_has_moved_on(self) -> None:
        """Where somebody takes a name that another had, the name is the newer conversation's."""
        directs = Directs(Store(None))
        directs.learn_untrusted("@sari+tama", "sari")
        directs.learn_untrusted("@budi+tama", "sari")
        assert directs.room("@sari") == "@budi+tama"
        assert directs.label("@sari+tama") != "@sari"


class TestOutbox:
    def test_given_up_and_closed_up(self) -> None:
        """Where the server will never take one, those behind it are sealed anew in its place, and still open."""
        two = Two()
        two.open(two.tama, "sari")
        two.wires.pop(0).disconnect()
        ids = [two.tama.outbox.enqueue(ROOM, text, time_ms=1) for text in ("satu", "dua")]
        first, _ = two.tama.outbox.queued(ROOM)
        two.tama.outbox.fail(refused=first.hash, reason="No.")
        [left] = two.tama.outbox.queued(ROOM)
        assert (left.id, left.seq) == (ids[1], 1)
        two.wires.append(Wire(two.tama, two.daemon, seed=3))
        two.settle()
        assert texts(drain(two.sari)) == ["dua"]

    def test_sealed_anew_once(self) -> None:
        """Another process that has been told the same finds nothing left to do."""
        two = Two()
        two.open(two.tama, "sari")
        two.wires.pop(0).disconnect()
        two.tama.outbox.enqueue(ROOM, "halo", kind=Kind.ACT, time_ms=1)
        [before] = two.tama.outbox.queued(ROOM)
        assert two.tama.outbox.seal_again(before.hash) == 1
        assert two.tama.outbox.seal_again(before.hash) == 0
        [after] = two.tama.outbox.queued(ROOM)
        assert (after.seq, after.id) == (before.seq, before.id)
        assert after.hash == statement_hash(after.statement) != before.hash
        said = two.tama.outbox.said(after.id)
        assert said is not None
        assert (said.text, said.kind) == ("halo", Kind.ACT)

    def test_a_writer_needs_not_follow(self) -> None:
        """Whoever has closed a conversation says something in it without being in it again, and it arrives."""
        two = Two()
        two.open(two.tama, "sari")
        two.tama.directs.close(ROOM, 0)
        two.tama.leave(ROOM)
        two.say(two.tama, "dari skrip")
        assert texts(drain(two.sari)) == ["dari skrip"]
        assert two.tama._rooms[ROOM].feed.presence is Presence.WRITER

    def test_who_follows_conversations_follows_the_one_it_begins(self) -> None:
        """Also where it was never opened before something was said in it: it hears the answer."""
        two = Two()
        two.open(two.tama, "sari")
        two.tama.leave(ROOM)
        two.say(two.tama, "halo")
        assert two.tama._rooms[ROOM].feed.presence is Presence.MEMBER
