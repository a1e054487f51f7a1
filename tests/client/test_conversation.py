"""The chat without I/O: order, once, across reconnects, slow readers, lanes that overtake one another."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik.conversation import Conversation
from bisik.errors import BisikError, Refused
from bisik.events import ChatEvent, Join, Message, Moderated, Notice, OwnMessage, Receipt, TopicSet
from bisik.store import Store
from bisik_protocol.chat import messages
from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted
from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    Act,
    Code,
    JoinEntry,
    MessageEntry,
    ModerationEntry,
    Presence,
    TopicEntry,
)
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import Kind
from bisik_protocol.errors import RemoteProtocolError
from tests.client.fake_daemon import SERVER, START_MS, TREE, FakeDaemon, Wire, drain, settle
from tests.support.keys import device_key

SEEDS = range(20)


def make(
    daemon: FakeDaemon, name: str = "tama", key: int = 0, *, store: Store | None = None, reader: str = "chat"
) -> Conversation:
    daemon.admit(name, device_key(key))
    return Conversation(name=name, device=device_key(key), store=store or Store(None), reader=reader)


def say(conversation: Conversation, *texts: str, room: str = LOBBY) -> list[int]:
    ids = []
    for text in texts:
        ids.append(conversation.outbox.enqueue(room, text, time_ms=START_MS))
        conversation.post(room)
    return ids


def chat_events(conversation: Conversation, wire: Wire | None = None) -> list[ChatEvent]:
    return [event for event in drain(conversation, wire) if not isinstance(event, Notice | OwnMessage)]


def texts(conversation: Conversation, wire: Wire | None = None) -> list[str]:
    return [event.text for event in chat_events(conversation, wire) if isinstance(event, Message)]


def notices(conversation: Conversation, wire: Wire | None = None) -> list[str]:
    return [event.text for event in drain(conversation, wire) if isinstance(event, Notice)]


class TestFirstVisit:
    def newcomer(self, store: Store, shown: str = "yhnb-2t89", *, name: str = "tama") -> Conversation:
        return Conversation(name=name, device=device_key(0), store=store, reader="chat", join_password=shown)

    def kinds(self, wire: Wire) -> list[type]:
        return [type(request) for request in wire.session.requests]

    def test_everything_goes_out_in_one_flight(self) -> None:
        """The password, the name, the rooms, in the order in which a server needs them."""
        daemon = FakeDaemon()
        tama = self.newcomer(Store(None))
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        flight = [messages.decode_request_untrusted(data) for _lane, data in tama.messages_to_send()]
        assert [type(request) for request in flight] == [messages.Prove, messages.Register, messages.JoinRoom]
        for request in flight:
            wire.session.receive(CONTROL_LANE, messages.encode(request))
        say(tama, "halo")
        wire.settle()
        assert tama.admitted
        assert daemon.texts() == ["halo"]

    def test_after_that_the_device_is_known(self) -> None:
        """The next connection needs neither password nor name."""
        daemon = FakeDaemon()
        tama = self.newcomer(Store(None))
        tama.join(LOBBY)
        settle(first := Wire(tama, daemon))
        first.disconnect()
        settle(second := Wire(tama, daemon))
        assert self.kinds(second)[0] is messages.Login
        assert not {messages.Prove, messages.Register} & set(self.kinds(second))
        assert tama.admitted

    @pytest.mark.parametrize(
        ("password", "name", "code"),
        [("wrong", "tama", Code.INCORRECT_PASSWORD), ("yhnb-2t89", "ayu", Code.NAME_TAKEN)],
    )
    def test_a_refusal_is_told_as_it_was_said_and_nothing_is_remembered(
        self, password: str, name: str, code: Code
    ) -> None:
        """The next try may be under another name: nothing may be pinned to this one."""
        daemon, store = FakeDaemon(), Store(None)
        daemon.admit("ayu", device_key(1))
        tama = self.newcomer(store, password, name=name)
        tama.join(LOBBY)
        settle(Wire(tama, daemon))
        assert isinstance(tama.failure, Refused)
        assert tama.failure.code is code
        assert str(tama.failure) in ("Incorrect password. Try again.", "Taken.")
        assert store.device(tama.own_key) is None

    def test_a_taken_name_is_looked_into_first_on_the_next_connection(self) -> None:
        """A server closes a session that asks for many rooms before it is let in."""
        daemon = FakeDaemon()
        daemon.admit("tama", device_key(0))
        tama = self.newcomer(Store(None))
        first = Wire(tama, daemon)
        while messages.Login not in self.kinds(first):
            assert first.step()
        first.disconnect()
        settle(second := Wire(tama, daemon))
        assert self.kinds(second)[0] is messages.Login
        assert tama.admitted

    def test_a_registration_whose_answer_was_lost_was_one(self) -> None:
        """The server knows the device by that name: it is in, and in its rooms too."""
        daemon = FakeDaemon()
        daemon.admit("tama", device_key(0))
        tama = self.newcomer(Store(None))
        tama.join(LOBBY)
        say(tama, "halo")
        settle(Wire(tama, daemon))
        assert tama.admitted
        assert tama.failure is None
        assert daemon.texts() == ["halo"]


class TestFollowing:
    def test_a_room_is_asked_for_once(self) -> None:
        """Whoever joins it again, on the way or there, is told of the same answer."""
        daemon = FakeDaemon()
        tama = make(daemon)
        told: list[Refused | None] = []
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        tama.join(LOBBY, on_reply=told.append)
        assert told == []
        wire.settle()
        assert told == [None]
        tama.join(LOBBY, on_reply=told.append)
        assert told == [None, None]
        wire.settle()
        assert [type(request) for request in wire.session.requests].count(messages.JoinRoom) == 1

    def test_first_join_brings_the_last_entries_and_then_the_live_ones(self) -> None:
        """History first, then what is said now, each once and in order."""
        daemon = FakeDaemon()
        early = make(daemon, "ayu", 1)
        say(early, *[f"early {n}" for n in range(60)])
        Wire(early, daemon).settle()
        late = make(daemon)
        late.join(LOBBY)
        wire = Wire(late, daemon)
        wire.settle()
        assert texts(late, wire) == [f"early {n}" for n in range(10, 60)]
        say(late, "now")
        assert texts(late, wire) == ["now"]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_lanes_may_overtake_one_another(self, seed: int) -> None:
        """Whatever order the lanes are delivered in, each room's order stays, and nothing comes twice."""
        daemon = FakeDaemon()
        tama, ayu = make(daemon), make(daemon, "ayu", 1)
        tama.join(LOBBY)
        tama.join("#ops")
        ayu.join("#ops")
        ayu.join(LOBBY)
        wires = Wire(tama, daemon, seed=seed), Wire(ayu, daemon, seed=seed + 100)
        say(ayu, "a1", "a2", "a3")
        say(ayu, "o1", "o2", room="#ops")
        say(tama, "b1", "b2")
        settle(*wires)
        for conversation, wire in zip((tama, ayu), wires, strict=True):
            seen = [event for event in chat_events(conversation, wire) if isinstance(event, Message)]
            assert [event.text for event in seen if event.room == LOBBY] == daemon.texts(LOBBY)
            assert [event.text for event in seen if event.room == "#ops"] == daemon.texts("#ops")

    def test_events_have_the_fields_of_the_json_lines(self) -> None:
        """A message and a join, field by field."""
        daemon = FakeDaemon()
        tama = make(daemon)
        daemon.append(JoinEntry(LOBBY, 1, START_MS, "ayu"))
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        tama.outbox.enqueue(LOBBY, "waves", kind=Kind.ACT, time_ms=START_MS)
        tama.post(LOBBY)
        wire.settle()
        joined, acted = chat_events(tama)
        assert isinstance(joined, Join)
        assert joined.as_json() == {
            "type": "join",
            "room": LOBBY,
            "author": "ayu",
            "time": "2025-11-22T09:00:00.000Z",
            "seq": 1,
        }
        assert isinstance(acted, Message)
        assert acted.as_json() == {
            "type": "message",
            "room": LOBBY,
            "author": "tama",
            "text": "waves",
            "seq": 2,
            "id": acted.id,
            "time": "2025-11-22T09:00:00.002Z",
            "kind": "act",
        }

    def test_a_slow_reader_gets_everything_through_pages_of_history(self) -> None:
        """What comes faster than it is read is fetched again later: bounded memory, no gap."""
        daemon = FakeDaemon()
        ayu, tama = make(daemon, "ayu", 1), make(daemon)
        tama.join(LOBBY)
        wires = Wire(tama, daemon), Wire(ayu, daemon)
        wanted = [f"m{n}" for n in range(800)]
        for start in range(0, 800, 100):
            say(ayu, *wanted[start : start + 100])
            settle(*wires)
        assert texts(tama, wires[0]) == wanted
        say(ayu, "after that")
        settle(*wires)
        assert texts(tama, wires[0]) == ["after that"]

    def test_pages_that_come_in_parts_are_put_together(self) -> None:
        """The server may send fewer entries than a page; the rest is asked for."""
        daemon = FakeDaemon()
        daemon.page_bytes = 3000
        ayu, tama = make(daemon, "ayu", 1), make(daemon)
        tama.join(LOBBY)
        wires = Wire(tama, daemon), Wire(ayu, daemon)
        wanted = [f"m{n}" for n in range(700)]
        for start in range(0, 700, 50):
            say(ayu, *wanted[start : start + 50])
            settle(*wires)
        assert texts(tama, wires[0]) == wanted

    def test_a_reader_that_was_away_goes_on_where_it_was(self) -> None:
        """The cursor is the reader's, in the home, and another reader has another."""
        daemon, store = FakeDaemon(), Store(None)
        ayu = make(daemon, "ayu", 1)
        ayu_wire = Wire(ayu, daemon)
        first = make(daemon, store=store)
        first.join(LOBBY)
        wire = Wire(first, daemon)
        say(ayu, "one", "two")
        settle(wire, ayu_wire)
        assert texts(first, wire) == ["one", "two"]
        wire.disconnect()
        say(ayu, "three")
        ayu_wire.settle()
        again = make(daemon, store=store)
        again.join(LOBBY)
        assert texts(again, Wire(again, daemon)) == ["three"]
        other = make(daemon, store=store, reader="tail")
        other.join(LOBBY)
        assert texts(other, Wire(other, daemon)) == ["one", "two", "three"]

    def test_an_event_that_was_not_finished_with_comes_again(self) -> None:
        """Killed while it handles an event, a program is given the event again."""
        daemon, store = FakeDaemon(), Store(None)
        ayu = make(daemon, "ayu", 1)
        say(ayu, "one", "two")
        Wire(ayu, daemon).settle()
        first = make(daemon, store=store)
        first.join(LOBBY)
        Wire(first, daemon).settle()
        assert first.next_event() is not None
        assert first.next_event() is not None  # "one" is done with, "two" is not
        first.reader.save()
        again = make(daemon, store=store)
        again.join(LOBBY)
        assert texts(again, Wire(again, daemon)) == ["two"]

    def test_context_is_shown_once_more_and_moves_nothing(self) -> None:
        """A person who comes back sees the last lines again; the place in the room stays."""
        daemon, store = FakeDaemon(), Store(None)
        ayu = make(daemon, "ayu", 1)
        say(ayu, "one", "two", "three")
        Wire(ayu, daemon).settle()
        first = make(daemon, store=store)
        first.join(LOBBY)
        assert len(texts(first, Wire(first, daemon))) == 3
        again = make(daemon, store=store)
        again.join(LOBBY, context=2)
        wire = Wire(again, daemon)
        wire.settle()
        assert [event.text for event in drain(again, wire) if isinstance(event, Message)] == ["two", "three"]
        assert again.reader.cursor(LOBBY) == 3

    def test_a_room_that_was_left_says_nothing_more(self) -> None:
        """What was on the way when the room was left is not shown."""
        daemon = FakeDaemon()
        tama, ayu = make(daemon), make(daemon, "ayu", 1)
        tama.join(LOBBY)
        wires = Wire(tama, daemon), Wire(ayu, daemon)
        settle(*wires)
        say(ayu, "too late")
        wires[1].settle()
        replies: list[Refused | None] = []
        tama.leave(LOBBY, on_reply=replies.append)
        settle(*wires)
        assert replies == [None]
        assert chat_events(tama, wires[0]) == []
        assert tama.rooms == []

    def test_a_room_that_was_left_can_be_joined_again(self) -> None:
        """From where the reader was."""
        daemon = FakeDaemon()
        tama, ayu = make(daemon), make(daemon, "ayu", 1)
        tama.join(LOBBY)
        wires = Wire(tama, daemon), Wire(ayu, daemon)
        say(ayu, "one")
        settle(*wires)
        assert texts(tama, wires[0]) == ["one"]
        tama.leave(LOBBY)
        say(ayu, "two")
        settle(*wires)
        tama.join(LOBBY)
        settle(*wires)
        assert texts(tama, wires[0]) == ["two"]

    def test_what_was_given_before_leaving_does_not_come_again(self) -> None:
        """Read or still waiting to be read: joining again begins behind it."""
        daemon = FakeDaemon()
        tama, ayu = make(daemon), make(daemon, "ayu", 1)
        tama.join(LOBBY)
        wires = Wire(tama, daemon), Wire(ayu, daemon)
        say(ayu, "one", "two")
        settle(*wires)
        first = tama.next_event()
        assert isinstance(first, Message)
        tama.leave(LOBBY)
        settle(*wires)
        tama.join(LOBBY)
        say(ayu, "three")
        settle(*wires)
        assert [first.text, *texts(tama, wires[0])] == ["one", "two", "three"]

    def test_a_refused_join_is_told_to_who_asked(self) -> None:
        """And the room is not followed."""
        daemon = FakeDaemon()
        tama = make(daemon)
        wire = Wire(tama, daemon)
        replies: list[Refused | None] = []
        tama.join("#none", Presence.READER, on_reply=replies.append)
        wire.settle()
        assert [reply.code for reply in replies if reply] == [Code.ROOM_INVALID]
        assert tama.rooms == []

    def test_a_log_that_became_shorter_is_said_and_followed_on(self) -> None:
        """A restored server: a sentence, and what is said from then on is shown."""
        daemon, store = FakeDaemon(), Store(None)
        ayu = make(daemon, "ayu", 1)
        ayu_wire = Wire(ayu, daemon)
        tama = make(daemon, store=store)
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        say(ayu, "one", "two", "three")
        settle(wire, ayu_wire)
        assert len(texts(tama, wire)) == 3
        wire.disconnect()
        ayu_wire.disconnect()
        daemon.forget_after(LOBBY, 1)
        wire = Wire(tama, daemon)
        assert any("shorter" in text for text in notices(tama, wire))
        bima = make(daemon, "bima", 2)
        say(bima, "new")
        bima_wire = Wire(bima, daemon)
        settle(wire, bima_wire)
        assert texts(tama, wire) == ["new"]


class TestBelieving:
    def entry(self, daemon: FakeDaemon, **changes: object) -> MessageEntry:
        """One stored message of ayu's, with some of its fields changed."""
        ayu = make(daemon, "ayu", 1)
        say(ayu, "halo")
        Wire(ayu, daemon).settle()
        entry = daemon.rooms[LOBBY].pop()
        assert isinstance(entry, MessageEntry)
        fields = {name: getattr(entry, name) for name in entry.__struct_fields__} | changes
        return MessageEntry(**fields)

    def shown(self, daemon: FakeDaemon, entry: MessageEntry) -> list[str]:
        daemon.rooms[entry.room] = [entry]
        tama = make(daemon)
        tama.join(entry.room)
        return [event.text for event in drain(tama, Wire(tama, daemon)) if isinstance(event, Notice | Message)]

    def test_what_is_signed_is_shown(self) -> None:
        """The control of the tests below."""
        daemon = FakeDaemon()
        assert self.shown(daemon, self.entry(daemon)) == ["halo"]

    def test_a_forged_signature_is_not_shown(self) -> None:
        """One bit of it is enough."""
        daemon = FakeDaemon()
        good = self.entry(daemon)
        bad = self.entry(daemon, signature=bytes([good.signature[0] ^ 1]) + good.signature[1:])
        (text,) = self.shown(daemon, bad)
        assert "does not carry the signature of ayu" in text

    def test_words_put_into_another_mouth_are_not_shown(self) -> None:
        """The name in the entry must be the name that the key is bound to."""
        daemon = FakeDaemon()
        (text,) = self.shown(daemon, self.entry(daemon, author="bima"))
        assert "signed by a device of ayu, not by bima" in text

    def test_words_carried_to_another_room_are_not_shown(self) -> None:
        """A statement names its room."""
        daemon = FakeDaemon()
        daemon.rooms["#ops"] = []
        (text,) = self.shown(daemon, self.entry(daemon, room="#ops"))
        assert "was written for another room" in text

    def test_a_key_that_nobody_knows_is_not_believed(self) -> None:
        """The room goes on behind it."""
        daemon = FakeDaemon()
        entry = self.entry(daemon)
        del daemon.devices[device_key(1).public.key_hash]
        (text,) = self.shown(daemon, entry)
        assert "a key that the server does not know" in text

    def test_a_key_is_bound_to_its_name_for_good(self) -> None:
        """A server that gives the key to another name later is not believed."""
        daemon, store = FakeDaemon(), Store(None)
        ayu = make(daemon, "ayu", 1)
        say(ayu, "one")
        Wire(ayu, daemon).settle()
        tama = make(daemon, store=store)
        tama.join(LOBBY)
        assert texts(tama, Wire(tama, daemon)) == ["one"]
        say(ayu, "two")
        Wire(ayu, daemon).settle()
        daemon.devices[device_key(1).public.key_hash] = ("bima", device_key(1).public.modulus)
        entry = daemon.rooms[LOBBY][-1]
        daemon.rooms[LOBBY][-1] = MessageEntry(
            entry.room, entry.seq, entry.time, "bima", *_statement_and_signature(entry)
        )
        again = make(daemon, store=store)
        again.join(LOBBY)
        (text,) = notices(again, Wire(again, daemon))
        assert "signed by a device of ayu, not by bima" in text

    def test_a_new_device_of_a_known_name_is_said(self) -> None:
        """Once, in a sentence."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        for key in (1, 2):
            ayu = make(daemon, "ayu", key)
            say(ayu, f"from {key}")
            settle(wire, Wire(ayu, daemon))
        assert notices(tama, wire) == ["ayu speaks from a device that was not seen here before."]

    def test_a_message_that_was_left_out_is_missed(self) -> None:
        """A server that drops one of an author's messages and numbers the rest anew is caught."""
        daemon = FakeDaemon()
        ayu = make(daemon, "ayu", 1)
        say(ayu, "one", "two", "three")
        Wire(ayu, daemon).settle()
        one, _, three = daemon.rooms[LOBBY]
        daemon.rooms[LOBBY] = [one, MessageEntry(LOBBY, 2, three.time, "ayu", *_statement_and_signature(three))]
        tama = make(daemon)
        tama.join(LOBBY)
        assert notices(tama, Wire(tama, daemon)) == [
            "Something that ayu wrote in #lobby before this is missing, or was changed."
        ]

    def test_a_message_left_out_while_away_is_missed_too(self) -> None:
        """How far each author had come is kept with the cursor."""
        daemon, store = FakeDaemon(), Store(None)
        ayu = make(daemon, "ayu", 1)
        say(ayu, "one")
        Wire(ayu, daemon).settle()
        tama = make(daemon, store=store)
        tama.join(LOBBY)
        assert texts(tama, Wire(tama, daemon)) == ["one"]
        say(ayu, "two", "three")
        Wire(ayu, daemon).settle()
        one, _, three = daemon.rooms[LOBBY]
        daemon.rooms[LOBBY] = [one, MessageEntry(LOBBY, 2, three.time, "ayu", *_statement_and_signature(three))]
        again = make(daemon, store=store)
        again.join(LOBBY)
        assert len(notices(again, Wire(again, daemon))) == 1


class TestPosting:
    def outcomes(self, conversation: Conversation, ids: list[int], room: str = LOBBY) -> list[Receipt | BisikError]:
        found: list[Receipt | BisikError] = []
        for outbox_id in ids:
            conversation.waiters.add(outbox_id, room, found.append)
        return found

    def test_a_receipt_names_the_stored_message(self) -> None:
        """Sequence number, id and time of the entry that everybody gets."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        found = self.outcomes(tama, say(tama, "halo"))
        wire.settle()
        (event,) = [event for event in chat_events(tama, wire) if isinstance(event, Message)]
        assert found == [Receipt(room=LOBBY, seq=event.seq, id=event.id, time=event.time)]

    def test_what_is_said_while_offline_goes_out_in_order(self) -> None:
        """Queued, then stored, each once."""
        daemon = FakeDaemon()
        tama = make(daemon)
        wanted = [f"m{n}" for n in range(200)]
        found = self.outcomes(tama, say(tama, *wanted))
        assert tama.outbox.count() == 200
        Wire(tama, daemon).settle()
        assert daemon.texts() == wanted
        assert [outcome.seq for outcome in found if isinstance(outcome, Receipt)] == list(range(1, 201))
        assert tama.outbox.count() == 0

    @pytest.mark.parametrize("seed", SEEDS)
    def test_connections_cut_anywhere_lose_and_double_nothing(self, seed: int) -> None:
        """Cut after every few messages, in either direction, for as long as it takes."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join(LOBBY)
        wanted = [f"m{n}" for n in range(40)]
        said = iter(wanted)
        seen: list[str] = []
        for turn in range(1000):
            wire = Wire(tama, daemon, seed=seed * 1000 + turn)
            for _ in range(3 + (turn * 7 + seed) % 23):
                if (text := next(said, None)) is not None:
                    say(tama, text)
                wire.step()
            seen += texts(tama)
            if tama.outbox.count() == 0:
                wire.settle()
                seen += texts(tama, wire)
                break
            wire.disconnect()
        assert daemon.texts() == wanted
        assert seen == wanted

    def test_a_full_log_is_tried_again_later(self) -> None:
        """Nothing is lost while the server's disk is full, and nothing is asked for in between."""
        daemon = FakeDaemon()
        tama = make(daemon)
        wire = Wire(tama, daemon)
        daemon.full = True
        say(tama, "one", "two")
        wire.settle()
        assert daemon.texts() == []
        retry_at = tama.next_timeout()
        assert retry_at is not None
        tama.handle_timeout(retry_at - 0.1)
        assert tama.messages_to_send() == []
        daemon.full = False
        tama.handle_timeout(retry_at)
        wire.settle()
        assert daemon.texts() == ["one", "two"]
        assert tama.next_timeout() is None

    def test_who_sends_too_fast_is_told_once_and_waits_as_long_as_the_server_says(self) -> None:
        """The messages are kept, and go out in order when it is time."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        wire.settle()
        daemon.too_fast_ms = 1500
        say(tama, "one", "two")
        wire.settle()
        assert tama.next_timeout() == 1.5
        tama.handle_timeout(1.5)
        wire.settle()
        assert notices(tama) == ["Too fast."]
        daemon.too_fast_ms = 0
        tama.handle_timeout(1.5)
        wire.settle()
        assert daemon.texts() == ["one", "two"]
        assert tama.outbox.count() == 0

    def test_a_statement_that_is_never_taken_fails_alone(self) -> None:
        """What waits behind it closes the gap and is stored."""
        daemon = FakeDaemon()
        daemon.refuse_texts = {"bad"}
        tama = make(daemon)
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        found = self.outcomes(tama, say(tama, "one", "bad", "two", "three"))
        wire.settle()
        assert daemon.texts() == ["one", "two", "three"]
        assert [isinstance(outcome, Refused) for outcome in found].count(True) == 1
        states = [event.state for event in drain(tama, wire) if isinstance(event, OwnMessage)]
        assert sorted(states) == ["failed", "stored", "stored", "stored"]

    def test_a_room_that_does_not_exist_begins_with_what_is_sent(self) -> None:
        """Sending is enough: no join command is needed first."""
        daemon = FakeDaemon()
        tama = make(daemon)
        wire = Wire(tama, daemon)
        found = self.outcomes(tama, say(tama, "halo", room="#ops"), "#ops")
        wire.settle()
        assert daemon.texts("#ops") == ["halo"]
        assert len(found) == 1

    def test_a_room_that_cannot_be_had_is_told_to_who_waits(self) -> None:
        """The message stays in the outbox; who waits hears why."""
        daemon = FakeDaemon()
        tama = make(daemon)
        room = "#" + "x" * 62
        found = self.outcomes(tama, say(tama, "halo", room=room), room)
        Wire(tama, daemon).settle()
        assert [type(outcome) for outcome in found] == [Refused]
        assert tama.outbox.count() == 1

    def test_two_processes_of_one_home_take_each_others_messages_along(self) -> None:
        """What one queued and could not send, the other sends, in order and once."""
        daemon, store = FakeDaemon(), Store(None)
        first, second = make(daemon, store=store), make(daemon, store=store)
        ids = say(first, "one")
        found = self.outcomes(first, ids)
        wire = Wire(second, daemon)
        say(second, "two")
        wire.settle()
        assert daemon.texts() == ["one", "two"]
        assert found == []
        Wire(first, daemon).settle()
        assert [outcome.seq for outcome in found if isinstance(outcome, Receipt)] == [1]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_two_processes_at_once_lose_and_double_nothing(self, seed: int) -> None:
        """Both connected, both sending, one home: one chain."""
        daemon, store = FakeDaemon(), Store(None)
        tamas = make(daemon, store=store), make(daemon, store=store, reader="tail")
        wires = [Wire(tama, daemon, seed=seed + n) for n, tama in enumerate(tamas)]
        ids = []
        for n in range(20):
            ids += say(tamas[(n + seed) % 2], f"m{n}")
            for wire in wires:
                wire.step()
        found = self.outcomes(tamas[0], ids)
        settle(*wires)
        assert daemon.texts() == [f"m{n}" for n in range(20)]
        assert len(found) == 20

    def test_after_a_refusal_the_entry_of_what_was_sent_before_it_sets_sending_going_again(self) -> None:
        """The room is joined again when all that was sent is answered, and an entry may be the last answer."""
        daemon = FakeDaemon()
        tama = make(daemon)
        wire = Wire(tama, daemon)
        tama.join(LOBBY)
        wire.settle()
        say(tama, "one", "two")
        refused = messages.PostRefused(LOBBY, 2, Code.CHAIN, "")
        tama.receive_message_untrusted(CONTROL_LANE, messages.encode(refused), 0.0)
        wire.settle()
        say(tama, "three")
        wire.settle()
        assert daemon.texts() == ["one", "two", "three"]
        assert not tama.is_expecting

    def test_a_restored_home_renumbers_what_the_server_does_not_have(self) -> None:
        """A home from an old copy: nothing of what it says from then on is lost or takes an old number."""
        daemon = FakeDaemon()
        old, new = Store(None), Store(None)
        before = make(daemon, store=old)
        say(before, "one", "two")
        Wire(before, daemon).settle()
        # The same device with an empty store, as if restored from before its first message.
        after = make(daemon, store=new)
        found = self.outcomes(after, say(after, "three", "four"))
        wire = Wire(after, daemon)
        wire.settle()
        assert daemon.texts() == ["one", "two", "three", "four"]
        assert [outcome.seq for outcome in found if isinstance(outcome, Receipt)] == [3, 4]
        say(after, "five")
        wire.settle()
        assert daemon.texts()[-1] == "five"

    def test_a_restored_home_does_not_repeat_what_was_stored(self) -> None:
        """The copy was made while messages waited: those get their receipts, what is new gets new numbers."""
        daemon = FakeDaemon()
        store, copy = Store(None), Store(None)
        tama = make(daemon, store=store)
        say(tama, "one", "two")
        store._connection.backup(copy._connection)
        Wire(tama, daemon).settle()
        say(tama, "three")
        Wire(tama, daemon).settle()
        restored = make(daemon, store=copy)
        found = self.outcomes(restored, [1, 2, *say(restored, "four", "five")])
        Wire(restored, daemon).settle()
        assert daemon.texts() == ["one", "two", "three", "four", "five"]
        assert [outcome.seq for outcome in found if isinstance(outcome, Receipt)] == [1, 2, 4, 5]

    def test_an_idle_restored_home_goes_on_behind_the_servers_end(self) -> None:
        """It learns its place when it joins, before it says anything."""
        daemon = FakeDaemon()
        before = make(daemon)
        say(before, "one", "two")
        Wire(before, daemon).settle()
        after = make(daemon)
        after.join(LOBBY)
        wire = Wire(after, daemon)
        wire.settle()
        say(after, "three")
        wire.settle()
        assert daemon.texts() == ["one", "two", "three"]
        posts = [entry for entry in daemon.rooms[LOBBY] if isinstance(entry, MessageEntry)]
        assert len(posts) == 3

    def test_a_server_restored_from_an_old_copy_is_written_on(self) -> None:
        """It has less than it once confirmed: what waits is renumbered behind what is left."""
        daemon = FakeDaemon()
        tama = make(daemon)
        say(tama, "one", "two", "three")
        wire = Wire(tama, daemon)
        wire.settle()
        wire.disconnect()
        daemon.forget_after(LOBBY, 1)
        found = self.outcomes(tama, say(tama, "four", "five"))
        Wire(tama, daemon).settle()
        assert daemon.texts() == ["one", "four", "five"]
        assert len(found) == 2

    def test_two_copies_of_one_home_both_get_through(self) -> None:
        """A device that was cloned: whoever is refused goes behind the other."""
        daemon = FakeDaemon()
        copies = make(daemon), make(daemon)
        wires = [Wire(copy, daemon, seed=n) for n, copy in enumerate(copies)]
        for n in range(10):
            say(copies[n % 2], f"m{n}")
            settle(*wires)
        assert sorted(daemon.texts()) == sorted(f"m{n}" for n in range(10))


class TestLogin:
    def test_a_device_that_is_not_known_is_told_how_to_come_in(self) -> None:
        """The server's one refusal for strangers is no sentence for a member."""
        daemon = FakeDaemon()
        tama = Conversation(name="tama", device=device_key(0), store=Store(None), reader="chat")
        tama.join(LOBBY)
        Wire(tama, daemon).settle()
        assert isinstance(tama.failure, Refused)
        assert "bisik login INVITE --name tama" in str(tama.failure)
        assert not tama.admitted

    def test_a_server_that_is_busy_is_come_back_to(self) -> None:
        """Not a failure: the link tries later."""
        tama = make(FakeDaemon())
        tama.on_connected(b"", SERVER)
        refused = messages.Refused(1, Code.TRY_LATER, "Wait a little.")
        tama.receive_message_untrusted(CONTROL_LANE, messages.encode(refused), 0.0)
        assert tama.come_back_later == "Wait a little."
        assert tama.failure is None

    def test_questions_outlive_connections(self) -> None:
        """Asked before the first connection, and again when one is lost."""
        daemon = FakeDaemon()
        tama = make(daemon)
        replies: list[messages.Reply] = []
        tama.ask(messages.ListRooms, replies.append)
        Wire(tama, daemon).disconnect()
        Wire(tama, daemon).settle()
        assert [type(reply) for reply in replies] == [messages.Rooms]

    def test_the_newest_checkpoint_is_kept_and_named(self) -> None:
        """What is said from then on names the log that was seen."""
        daemon, store = FakeDaemon(), Store(None)
        tama = make(daemon, store=store)
        Wire(tama, daemon).settle()
        assert tama.checkpoints.root == read_checkpoint_untrusted(TREE.note()).root
        assert make(daemon, store=store).checkpoints.root == tama.checkpoints.root


class TestHostileServer:
    def connected(self) -> Conversation:
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join(LOBBY)
        Wire(tama, daemon).settle()
        return tama

    @given(st.integers(0, 5), st.binary(max_size=300))
    def test_any_bytes_on_any_lane_are_refused_or_ignored(self, lane: int, data: bytes) -> None:
        """One exception and no other."""
        tama = self.connected()
        with suppress(RemoteProtocolError):
            tama.receive_message_untrusted(lane, data, 0.0)

    @pytest.mark.parametrize(
        "message",
        [
            messages.Done(77),
            messages.Joined(78, LOBBY, 5, 0, 0, bytes(32)),
            messages.PostRefused("#other", 1, Code.CHAIN, ""),
            messages.PostRefused(LOBBY, 9, Code.CHAIN, ""),
            messages.CheckpointSeen(b"nonsense"),
            messages.CheckpointSeen(b"\n\xff\n\n"),
        ],
    )
    def test_unasked_messages_are_refused_or_ignored(self, message: messages.FromDaemon) -> None:
        """Nothing that the server says by itself does harm."""
        tama = self.connected()
        with suppress(RemoteProtocolError):
            tama.receive_message_untrusted(CONTROL_LANE, messages.encode(message), 0.0)
        assert tama.checkpoints.root == read_checkpoint_untrusted(TREE.note()).root

    def test_a_reply_of_the_wrong_kind_is_refused(self) -> None:
        """Rooms are no answer to a login."""
        tama = make(FakeDaemon())
        tama.on_connected(b"", SERVER)
        with pytest.raises(RemoteProtocolError):
            tama.receive_message_untrusted(CONTROL_LANE, messages.encode(messages.Rooms(1, [])), 0.0)

    def test_lanes_that_nobody_opened_hold_only_so_much(self) -> None:
        """A server cannot fill the memory with messages of rooms that do not exist."""
        tama = self.connected()
        for lane in range(100, 169):
            tama.receive_message_untrusted(lane, bytes(60_000), 0.0)
        with pytest.raises(RemoteProtocolError):
            tama.receive_message_untrusted(169, bytes(60_000), 0.0)

    def test_entries_of_another_room_are_refused(self) -> None:
        """A lane is one room's."""
        tama = self.connected()
        entry = messages.encode(JoinEntry("#ops", 1, START_MS, "ayu"))
        with pytest.raises(RemoteProtocolError):
            tama.receive_message_untrusted(1, entry, 0.0)


class TestModeration:
    def test_who_is_put_out_is_told_and_follows_the_room_no_more(self) -> None:
        """A sentence; nothing more of the room; no way back by itself, not on the next connection either."""
        daemon = FakeDaemon()
        tama, ayu = make(daemon), make(daemon, "ayu", 1)
        for one in (tama, ayu):
            one.join(LOBBY)
            one.join("#ops")
        wires = Wire(tama, daemon), Wire(ayu, daemon)
        settle(*wires)
        (lane,) = [lane for lane, (room, _) in wires[0].session._lanes.items() if room == "#ops"]
        wires[0].session.put_out("#ops", "mod put you out of #ops.")
        settle(*wires)
        under_way = messages.encode(JoinEntry("#ops", 99, START_MS, "ayu"))
        tama.receive_message_untrusted(lane, under_way, 0.0)
        assert "mod put you out of #ops." in notices(tama)
        assert tama.rooms == [LOBBY]
        say(ayu, "without tama", room="#ops")
        settle(*wires)
        assert texts(tama) == []
        wires[0].disconnect()
        again = Wire(tama, daemon)
        settle(again, wires[1])
        assert tama.rooms == [LOBBY]
        assert "without tama" not in texts(tama, again)

    def test_who_waits_for_a_receipt_is_told_and_the_message_is_kept(self) -> None:
        """What was posted on the lane was dropped; it waits in the outbox until the room is joined again."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join("#ops")
        wire = Wire(tama, daemon)
        wire.settle()
        wire.session.put_out("#ops", "Out.")
        (kept,) = say(tama, "late", room="#ops")
        outcomes: list[Receipt | BisikError] = []
        tama.waiters.add(kept, "#ops", outcomes.append)
        wire.settle()
        assert [str(outcome) for outcome in outcomes] == ["Out."]
        assert tama.outbox.count() == 1
        tama.join("#ops")
        wire.settle()
        assert daemon.texts("#ops") == ["late"]

    def test_an_old_goodbye_does_not_end_a_new_stay(self) -> None:
        """The room was joined again before the word came that the last stay had ended."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.join("#ops")
        wire = Wire(tama, daemon)
        wire.settle()
        stale = messages.encode(messages.PutOut("#ops", 99, "Out."))
        tama.receive_message_untrusted(CONTROL_LANE, stale, 0.0)
        assert tama.rooms == ["#ops"]

    def test_a_topic_is_known_from_the_start_and_when_it_changes(self) -> None:
        """From the reply to the join, then from entries; and it is an event with its author."""
        daemon = FakeDaemon()
        daemon.append(TopicEntry(LOBBY, 1, START_MS, "mod", "old"))
        tama = make(daemon)
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        wire.settle()
        wire.session.show(daemon.append(TopicEntry(LOBBY, 2, START_MS, "mod", "new")))
        wire.settle()
        assert tama.topic(LOBBY) == "new"
        assert tama.topic("#none") == ""
        topics = [event for event in chat_events(tama) if isinstance(event, TopicSet)]
        assert [(event.text, event.author) for event in topics] == [("old", "mod"), ("new", "mod")]
        assert topics[0].as_json()["type"] == "topic"

    def test_what_moderators_do_is_an_event(self) -> None:
        """With all that the entry says."""
        daemon = FakeDaemon()
        tama = make(daemon)
        daemon.append(ModerationEntry(LOBBY, 1, START_MS, "mod", Act.MUTE, "ayu", START_MS, "spam"))
        tama.join(LOBBY)
        wire = Wire(tama, daemon)
        (event,) = chat_events(tama, wire)
        assert isinstance(event, Moderated)
        assert event.as_json() == {
            "type": "moderation",
            "room": LOBBY,
            "author": "mod",
            "act": "mute",
            "target": "ayu",
            "text": "spam",
            "until": "2025-11-22T09:00:00.000Z",
            "time": "2025-11-22T09:00:00.000Z",
            "seq": 1,
        }


def _statement_and_signature(entry: messages.Entry) -> tuple[bytes, bytes]:
    assert isinstance(entry, MessageEntry)
    return entry.statement, entry.signature


class TestConfirming:
    def test_what_others_said_is_confirmed_and_what_oneself_said_is_not(self) -> None:
        """On the room's lane, once it was handed over."""
        daemon = FakeDaemon()
        tama, sari = make(daemon), make(daemon, "sari", 1)
        wires = [Wire(tama, daemon), Wire(sari, daemon)]
        for conversation in (tama, sari):
            conversation.join(LOBBY)
        settle(*wires)
        say(tama, "halo")
        settle(*wires)
        drain(sari)
        settle(*wires)
        assert [(room, c.delivered) for room, c in wires[1].session.confirms] == [(LOBBY, 1)]
        assert wires[0].session.confirms == []

    def test_after_a_reconnect_positions_are_said_again(self) -> None:
        """Also what was confirmed by hand, in an earlier run."""
        daemon = FakeDaemon()
        tama, sari = make(daemon), make(daemon, "sari", 1)
        wires = [Wire(tama, daemon), Wire(sari, daemon)]
        tama.join(LOBBY)
        sari.join(LOBBY)
        say(tama, "halo")
        settle(*wires)
        sari.confirm(LOBBY, 1)
        settle(*wires)
        wires[1].disconnect()
        again = Wire(sari, daemon)
        settle(wires[0], again)
        assert [(room, c.delivered, c.by_hand) for room, c in again.session.confirms] == [(LOBBY, 1, 1)]

    def test_how_far_an_own_message_has_come_is_an_event(self) -> None:
        """Of messages that went out from this home; others are not its matter."""
        daemon = FakeDaemon()
        tama = make(daemon)
        wire = Wire(tama, daemon)
        tama.join(LOBBY)
        (outbox_id,) = say(tama, "halo")
        wire.settle()
        drain(tama)
        counts = [messages.DeliveredCount(1, 2, 3), messages.DeliveredCount(7, 1, 3)]
        wire.session.out.append((0, messages.encode(messages.Delivered(LOBBY, counts))))
        wire.settle()
        (event,) = drain(tama)
        assert isinstance(event, OwnMessage)
        told = (event.state, event.outbox_id, event.delivered, event.members)
        assert told == ("delivered", outbox_id, 2, 3)

    def test_being_away_is_said_on_every_connection(self) -> None:
        """Until one is back."""
        daemon = FakeDaemon()
        tama = make(daemon)
        tama.away = "lunch"
        wire = Wire(tama, daemon)
        wire.settle()
        said = [request for request in wire.session.requests if isinstance(request, messages.SetAway)]
        assert [request.text for request in said] == ["lunch"]
