"""What a client makes of the server's signed heads: it lets the log grow, and catches every other change."""

import pytest

from bisik.checkpoints import Alarm, Checkpoints
from bisik.conversation import DECISION_LOOK_S, PROOF_RETRY_S, Conversation
from bisik.events import Notice
from bisik.store import Store
from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    CheckpointSeen,
    Code,
    Consistency,
    Refused,
    Rooms,
    decode_request_untrusted,
    encode,
)
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import decode_statement_untrusted
from bisik_protocol.errors import RemoteProtocolError
from tests.client.fake_daemon import SERVER, START_MS, TREE, FakeDaemon, Wire, drain
from tests.support.keys import device_key, server_identity
from tests.support.signed_tree import SignedTree

LEAVES = [bytes([n]) * 32 for n in range(40)]
HONEST = SignedTree(LEAVES)
SIZES = (1, 2, 3, 7, 8, 20, 33, 40)


def held(size: int) -> Store:
    """A home that has seen so many entries."""
    store = Store(None)
    store.remember_checkpoint(size, HONEST.note(size))
    return store


def visit(store: Store, tree: SignedTree) -> Checkpoints:
    """Come back to a server that has this log and answers as the daemon does."""
    checkpoints = Checkpoints(store)
    asked = checkpoints.begin(SERVER)
    assert asked is not None
    checkpoints.on_admitted(tree.note())
    size = len(tree.leaves)
    if asked > size:
        checkpoints.on_reply_untrusted(asked, Refused(1, Code.UNKNOWN, "Shorter."))
    else:
        checkpoints.on_reply_untrusted(asked, Consistency(1, tree.note(), tree.consistency(asked, size)))
    return checkpoints


@pytest.mark.parametrize("size", SIZES)
def test_every_log_that_continues_is_believed_and_kept(size: int) -> None:
    """Of the same length or any greater one."""
    for now in range(size, len(LEAVES) + 1):
        store = held(size)
        checkpoints = visit(store, SignedTree(LEAVES[:now]) if now % 7 else HONEST)
        assert checkpoints.proved
        assert checkpoints.alarm is None
        assert store.log_alarm() is None
        assert checkpoints.size == (now if now % 7 else len(LEAVES))


@pytest.mark.parametrize("size", SIZES)
def test_every_rollback_is_caught(size: int) -> None:
    """To any earlier state, the empty log among them; what is held stays held."""
    for now in range(size):
        store = held(size)
        checkpoints = visit(store, SignedTree(LEAVES[:now]))
        assert not checkpoints.proved
        assert checkpoints.alarm is not None
        assert (checkpoints.alarm.kind, checkpoints.alarm.held, checkpoints.alarm.shown) == (Alarm.SHORTER, size, now)
        assert store.checkpoint() == (size, HONEST.note(size))
        assert store.log_alarm() is not None


@pytest.mark.parametrize("size", [3, 8, 20])
def test_every_fork_is_caught(size: int) -> None:
    """Rolled back to any earlier state and gone on with something else: as long as before, or longer."""
    for kept in range(size):
        for now in (size, size + 1, 40):
            forked = SignedTree([*LEAVES[:kept], *(b"\xff" * 32 for _ in range(now - kept))])
            checkpoints = visit(held(size), forked)
            assert not checkpoints.proved
            assert checkpoints.alarm is not None
            assert checkpoints.alarm.kind is Alarm.REWRITTEN


def test_a_proof_of_something_else_is_no_proof() -> None:
    """Hashes left out, added, swapped or changed; a shorter tree; a head that the server did not sign."""
    good = HONEST.consistency(20, 40)
    wrong = [good[:-1], [*good, bytes(32)], good[::-1], [bytes(32), *good[1:]], []]
    for proof in wrong:
        checkpoints = Checkpoints(held(20))
        checkpoints.begin(SERVER)
        checkpoints.on_reply_untrusted(20, Consistency(1, HONEST.note(40), proof))
        assert not checkpoints.proved
        assert checkpoints.alarm is not None
        assert checkpoints.alarm.kind is Alarm.REWRITTEN
    for note, kind in (
        (HONEST.note(7), Alarm.SHORTER),
        (SignedTree(LEAVES, server=1).note(), Alarm.UNSIGNED),
        (HONEST.note(40)[:-20] + b"AAAA" + HONEST.note(40)[-16:], Alarm.UNSIGNED),
        (b"nonsense", Alarm.UNSIGNED),
    ):
        checkpoints = Checkpoints(held(20))
        checkpoints.begin(SERVER)
        checkpoints.on_reply_untrusted(20, Consistency(1, note, good))
        assert checkpoints.alarm is not None
        assert checkpoints.alarm.kind is kind


def test_the_first_checkpoint_is_taken_if_it_is_signed() -> None:
    """As a fingerprint is at a first visit; from then on it is held."""
    store = Store(None)
    checkpoints = Checkpoints(store)
    assert checkpoints.begin(SERVER) is None
    checkpoints.on_admitted(None)
    assert checkpoints.proved
    checkpoints.on_admitted(HONEST.note(8))
    assert checkpoints.proved
    assert store.checkpoint() == (8, HONEST.note(8))
    other = Checkpoints(Store(None))
    other.begin(server_identity(1).public)
    other.on_admitted(HONEST.note(8))
    assert other.alarm is not None
    assert other.alarm.kind is Alarm.UNSIGNED


def test_an_announcement_is_proved_before_it_is_kept() -> None:
    """A server cannot talk a client into holding a head that it did not continue from."""
    store = held(8)
    checkpoints = visit(store, SignedTree(LEAVES[:8]))
    assert checkpoints.on_seen(HONEST.note(8)) is None
    assert checkpoints.on_seen(HONEST.note(20)) == 8
    assert store.checkpoint() == (8, HONEST.note(8))
    checkpoints.on_reply_untrusted(8, Consistency(1, HONEST.note(20), HONEST.consistency(8, 20)))
    assert store.checkpoint() == (20, HONEST.note(20))
    fork = SignedTree([*LEAVES[:7], *LEAVES[8:30]])
    assert checkpoints.on_seen(fork.note()) == 20
    checkpoints.on_reply_untrusted(20, Consistency(1, fork.note(), fork.consistency(20, 29)))
    assert checkpoints.alarm is not None
    assert checkpoints.alarm.kind is Alarm.REWRITTEN
    assert checkpoints.on_seen(b"\xff") is None


def test_a_log_that_is_whole_again_explains_itself() -> None:
    """The operator put the newer copy back."""
    store = held(20)
    assert visit(store, SignedTree(LEAVES[:8])).alarm is not None
    assert visit(store, HONEST).proved
    assert store.log_alarm() is None


def test_any_other_reply_is_refused() -> None:
    """Rooms prove nothing."""
    checkpoints = Checkpoints(held(8))
    checkpoints.begin(SERVER)
    with pytest.raises(RemoteProtocolError):
        checkpoints.on_reply_untrusted(8, Rooms(1, []))
    assert not checkpoints.proved


@pytest.mark.parametrize("kind", Alarm)
def test_each_alarm_says_what_is_kept_and_what_to_do(kind: Alarm) -> None:
    """In words that need no explanation."""
    checkpoints = Checkpoints(held(8))
    checkpoints.begin(SERVER)
    checkpoints._raise_alarm(kind)
    assert checkpoints.alarm is not None
    sentence = checkpoints.alarm.sentence
    assert "Nothing that you write is sent now; it is kept here." in sentence
    assert "Ask the server's operator" in sentence
    assert ("bisik trust-log" in sentence) == (kind is not Alarm.UNSIGNED)


# In a conversation -------------------------------------------------------------------------------------------------


def member(daemon: FakeDaemon, store: Store) -> Conversation:
    daemon.admit("tama", device_key(0))
    return Conversation(name="tama", device=device_key(0), store=store, reader="chat")


def say(conversation: Conversation, text: str) -> None:
    root = conversation.checkpoints.root
    conversation.outbox.enqueue(LOBBY, text, time_ms=START_MS, checkpoint=root)
    conversation.post(LOBBY)


def notices(conversation: Conversation, wire: Wire) -> list[str]:
    return [event.text for event in drain(conversation, wire) if isinstance(event, Notice)]


def test_nothing_is_sent_to_a_server_whose_log_was_rolled_back_until_the_person_decides() -> None:
    """It is read on; what is written waits, and goes out by itself after the decision."""
    daemon, store = FakeDaemon(), held(20)
    tama = member(daemon, store)
    tama.join(LOBBY)
    wire = Wire(tama, daemon)
    say(tama, "halo")
    wire.settle()
    (notice,) = notices(tama, wire)
    assert "shorter than it was: this device has seen 20 entries" in notice
    assert daemon.texts() == []
    assert tama.outbox.count() == 1
    tama.handle_timeout(DECISION_LOOK_S)
    wire.settle()
    assert daemon.texts() == []
    alarm = store.log_alarm()
    assert alarm == ("shorter", 20, TREE.note())
    store.trust_log((len(TREE.leaves), TREE.note()))  # in another process
    tama.handle_timeout(3 * DECISION_LOOK_S)
    wire.settle()
    assert daemon.texts() == ["halo"]
    assert tama.checkpoints.alarm is None


def test_the_proof_is_asked_for_before_anything_is_sent_and_costs_no_round_trip() -> None:
    """Behind the login, in the same flight."""
    daemon, store = FakeDaemon(), Store(None)
    store.remember_checkpoint(3, TREE.note(3))
    tama = member(daemon, store)
    say(tama, "halo")
    wire = Wire(tama, daemon)
    kinds = [type(request).__name__ for request in _requests(tama)]
    assert kinds == ["Login", "GetConsistency", "JoinRoom"]
    del wire
    tama.on_disconnected()
    wire = Wire(tama, daemon)
    wire.settle()
    assert daemon.texts() == ["halo"]
    assert tama.checkpoints.size == len(TREE.leaves)
    say(tama, "again")
    wire.settle()
    newest = daemon.chain(LOBBY, device_key(0).public.key_hash)[-1]
    assert decode_statement_untrusted(newest.statement).checkpoint == tama.checkpoints.root


def _requests(conversation: Conversation) -> list[object]:
    return [decode_request_untrusted(data) for lane, data in conversation.messages_to_send() if lane == CONTROL_LANE]


def test_a_server_that_cannot_prove_it_just_now_is_asked_again_and_told_nothing() -> None:
    """No alarm, and no message before the proof."""
    daemon, store = FakeDaemon(), Store(None)
    store.remember_checkpoint(3, TREE.note(3))
    daemon.busy = True
    tama = member(daemon, store)
    say(tama, "halo")
    wire = Wire(tama, daemon)
    wire.settle()
    assert notices(tama, wire) == ["The server cannot sign its log now."]
    assert daemon.texts() == []
    assert tama.checkpoints.alarm is None
    daemon.busy = False
    tama.handle_timeout(PROOF_RETRY_S)
    wire.settle()
    assert daemon.texts() == ["halo"]


def test_a_fork_that_shows_in_the_middle_of_a_visit_stops_what_is_sent() -> None:
    """By an announcement; the alarm is told once."""
    daemon = FakeDaemon()
    tama = member(daemon, Store(None))
    tama.join(LOBBY)
    wire = Wire(tama, daemon)
    say(tama, "before")
    wire.settle()
    drain(tama, wire)
    daemon.tree = SignedTree([bytes(32), *TREE.leaves])
    for _ in range(2):
        tama.receive_message_untrusted(CONTROL_LANE, encode(CheckpointSeen(daemon.tree.note())), 0.0)
        wire.settle()
    (notice,) = notices(tama, wire)
    assert "NOT a continuation" in notice
    say(tama, "after")
    wire.settle()
    assert daemon.texts() == ["before"]
