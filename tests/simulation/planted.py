"""Bugs for the simulator to find: each puts one plausible mistake into the product, from outside, for one run.

A simulator that finds nothing proves nothing until it has found these. Each is a function that replaces a part by one
with the mistake in it; its docstring says what the mistake is.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bisik.events import Receipt
from bisik.outbox import Outbox
from bisik.posting import Posting
from bisik.store import Store
from bisik_protocol.chat.messages import Code, PostRefused
from bisik_protocol.crypto import protection
from bisik_protocol.crypto.protection import PacketSealer
from bisik_protocol.crypto.replay import ReplayWindow
from bisik_protocol.transport import connection, receiving
from bisik_protocol.transport import path as path_module
from bisik_protocol.transport.congestion import CongestionWindow
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.half_open import HalfOpenTable
from bisik_protocol.transport.inbound import ReceiveLane
from bisik_protocol.transport.outgoing import Outgoing
from bisik_protocol.transport.path import Path
from bisik_protocol.transport.ranges import PacketRanges
from bisik_protocol.transport.repair import Repair
from bisik_protocol.transport.sending import SendQueue
from bisik_protocol.wire import frames
from bisikd.chains import Tip
from bisikd.feed import Feed
from bisikd.journal import Journal
from bisikd.presence import Presence
from tests.simulation.watch import Replace

Bug = Callable[[Replace], None]


def ack_forgotten(replace: Replace) -> None:
    """A message that came twice is not worth an ACK, though the first one's ACK may have been lost."""
    on_message = Connection._on_message

    def wrong(connection: Connection, frame: frames.Message, now: float) -> bool:
        before = connection._inbound._credit.buffered, connection._inbound._credit.taken
        on_message(connection, frame, now)
        return (connection._inbound._credit.buffered, connection._inbound._credit.taken) != before

    _replace_handler(replace, frames.Message, wrong)


def ack_of_one_too_many(replace: Replace) -> None:
    """An ACK tells of the number after the highest that arrived."""
    newest_first = PacketRanges.newest_first

    def wrong(ranges: PacketRanges) -> list[tuple[int, int]]:
        (low, high), *others = newest_first(ranges)
        return [(low, high + 1), *others]

    replace(PacketRanges, "newest_first", wrong)


def bytes_in_flight_leak(replace: Replace) -> None:
    """What is lost stays counted in flight."""
    on_lost = CongestionWindow.on_lost

    def wrong(window: CongestionWindow, size: int, sent_at: float, now: float) -> None:
        on_lost(window, size, sent_at, now)
        window.in_flight += size

    replace(CongestionWindow, "on_lost", wrong)


def duplicate_delivered(replace: Replace) -> None:
    """A message that was delivered is delivered again when a late copy of it comes."""
    receive = ReceiveLane.receive_untrusted

    def wrong(lane: ReceiveLane, frame: frames.Message) -> tuple[int, list[tuple[bytes, int]]]:
        if frame.sequence == lane._next - 1 and frame.count == 1:
            return 0, [(frame.data, 0)]
        return receive(lane, frame)

    replace(ReceiveLane, "receive_untrusted", wrong)


def silence_never_forgotten(replace: Replace) -> None:
    """Backoff is never reset: after a silence, the repeat of every later message waits for as long as that took."""
    on_copy_sent = Repair.on_copy_sent
    longest: dict[Repair, float] = {}

    def wrong(repair: Repair, chunk: Any, now: float, loss: float, silence: float) -> None:
        longest[repair] = max(silence, longest.get(repair, 0.0))
        on_copy_sent(repair, chunk, now, loss, silence)
        if longest[repair] > 2.0:
            chunk.due = now + longest[repair]

    replace(Repair, "on_copy_sent", wrong)


def silence_of_nobody(replace: Replace) -> None:
    """The clock of what is owed to us goes on after the last of it was given up as lost."""
    detect_losses = Outgoing._detect_losses

    def wrong(outgoing: Outgoing, now: float) -> None:
        owed_since = outgoing._owed_since
        detect_losses(outgoing, now)
        outgoing._owed_since = owed_since

    replace(Outgoing, "_detect_losses", wrong)


def replay_window_off(replace: Replace) -> None:
    """Packet numbers are not remembered."""

    class Wrong(ReplayWindow):
        def accept(self, number: int) -> bool:
            return True

    replace(receiving, "ReplayWindow", Wrong)


def replay_window_one_too_wide(replace: Replace) -> None:
    """The number just behind the window counts as new each time that it comes: an off-by-one at its edge."""

    class Wrong(ReplayWindow):
        def __init__(self) -> None:
            super().__init__(8)

        def accept(self, number: int) -> bool:
            return number == self._highest - self._size or super().accept(number)

    replace(receiving, "ReplayWindow", Wrong)


def lost_chunk_not_requeued(replace: Replace) -> None:
    """A lost chunk of a long message is forgotten."""
    on_lost = SendQueue.on_lost

    def wrong(queue: SendQueue, chunk: Any, now: float) -> None:
        if chunk.thin:
            on_lost(queue, chunk, now)

    replace(SendQueue, "on_lost", wrong)


def path_validation_skipped(replace: Replace) -> None:
    """Whatever address an authentic packet comes from is believed to receive."""
    init = Path.__init__

    def wrong(path: Path, address: Any, *, validated: bool) -> None:
        init(path, address, validated=True)

    replace(Path, "__init__", wrong)


def amplification_of_four(replace: Replace) -> None:
    """Four times what came from an unproven address may go there."""
    replace(path_module, "AMPLIFICATION_FACTOR", 4)


def nonce_reused_after_ratchet(replace: Replace) -> None:
    """The ratchet begins to count anew and forgets to change the key."""
    use = PacketSealer._use

    def wrong(sealer: PacketSealer, secret: bytes) -> None:
        first = getattr(sealer, "first_number", None)
        use(sealer, secret if first is None else sealer._secret)
        if first is not None:
            sealer._iv ^= sealer.first_number ^ first

    replace(protection, "_next_secret", lambda secret: secret)
    replace(PacketSealer, "_use", wrong)


def reset_not_verified(replace: Replace) -> None:
    """Any reset for a connection ends it, whatever its token."""
    replace(
        Connection,
        "is_reset",
        lambda self, connection_id, *_: connection_id == self._secrets.server_connection_id,
    )


def half_open_without_bound(replace: Replace) -> None:
    """Nobody counts the half-open handshakes of one host."""
    init = HalfOpenTable.__init__

    class Uncounted(dict[object, int]):
        def get(self, host: object, default: Any = 0) -> int:
            return 0

        def __missing__(self, host: object) -> int:
            return 1

        def __delitem__(self, host: object) -> None:
            self.pop(host, None)

    def wrong(table: HalfOpenTable) -> None:
        init(table)
        table._by_host = Uncounted()

    replace(HalfOpenTable, "__init__", wrong)


def told_before_stored(replace: Replace) -> None:
    """A message is shown to everybody before the fsync has returned."""

    async def wrong(journal: Journal, group: Sequence[Any]) -> None:
        records = [submission.record(journal._now_ms()) for submission in group]
        for submission in group:
            submission.on_stored()
        journal._flush()
        await journal._writing(journal._append, records)

    replace(Journal, "_write", wrong)


def retry_stored_again(replace: Replace) -> None:
    """A statement that is on its way to the log is taken once more when it is sent again."""
    place = Tip.place

    def wrong(tip: Any, seq: int, previous: bytes, digest: bytes) -> Any:
        if seq in tip.pending:
            tip.pending.pop(seq)
        return place(tip, seq, previous, digest)

    replace(Tip, "place", wrong)


def joins_at_every_connection(replace: Replace) -> None:
    """A reconnect is told to everybody as a join."""
    enter = Presence.enter
    replace(Presence, "enter", lambda self, name: enter(self, name) or True)


def page_forgotten(replace: Replace) -> None:
    """A session that fell behind is never fed again once its lane had to drain."""
    replace(Feed, "on_drained", lambda self, lane: None)


def cursor_off_by_one(replace: Replace) -> None:
    """A reader's place is written down one entry too far."""
    advance = Store.advance

    def wrong(store: Store, reader: str, cursors: dict[str, int], heard: Any) -> None:
        advance(store, reader, {room: seq + 1 for room, seq in cursors.items()}, heard)

    replace(Store, "advance", wrong)


def receipt_for_another(replace: Replace) -> None:
    """A receipt names the place before the message's own."""
    outcome = Outbox.outcome

    def wrong(outbox: Outbox, id_: int) -> Any:
        found = outcome(outbox, id_)
        if isinstance(found, Receipt) and found.seq > 1:
            return Receipt(room=found.room, seq=found.seq - 1, id=found.id, time=found.time)
        return found

    replace(Outbox, "outcome", wrong)


def dropped_on_reconnect(replace: Replace) -> None:
    """What was sent when the connection went is taken out of the outbox."""
    on_disconnected = Posting.on_disconnected

    def wrong(posting: Posting) -> None:
        with posting._outbox._store.writing() as connection:
            connection.executemany("DELETE FROM outbox WHERE hash = ?", [(sent.hash,) for sent in posting._sent])
        on_disconnected(posting)

    replace(Posting, "on_disconnected", wrong)


def refusal_ignored(replace: Replace) -> None:
    """A post that was refused because the disk was full is not tried again."""
    on_refused = Posting.on_refused

    def wrong(posting: Posting, refused: PostRefused, now: float) -> int | None:
        return None if refused.code is Code.STORAGE else on_refused(posting, refused, now)

    replace(Posting, "on_refused", wrong)


def _replace_handler(replace: Replace, frame: type, handler: Callable[..., bool]) -> None:
    replace(connection, "_HANDLERS", {**connection._HANDLERS, frame: handler})


BUGS: dict[Bug, str] = {
    ack_forgotten: "nobody says anything|in flight|after the network healed",
    ack_of_one_too_many: "in flight|do not end with PROTOCOL",
    bytes_in_flight_leak: "in flight",
    duplicate_delivered: "gave it twice",
    silence_never_forgotten: "said something",
    silence_of_nobody: "an answer is waited for",
    replay_window_off: "taken twice",
    replay_window_one_too_wide: "taken twice",
    lost_chunk_not_requeued: "after the network healed",
    path_validation_skipped: "amplification",
    amplification_of_four: "amplification",
    nonce_reused_after_ratchet: "nonce twice",
    reset_not_verified: "was reset",
    half_open_without_bound: "of one host",
    told_before_stored: "not stored",
    retry_stored_again: "numbered from 1|KeyError",
    joins_at_every_connection: "nobody joins twice",
    page_forgotten: "after the network healed",
    cursor_off_by_one: "missing, or was changed|was given|shorter than what this device has already read",
    receipt_for_another: "has a receipt",
    dropped_on_reconnect: "is not stored",
    refusal_ignored: "wait in the outbox|is not stored",
}
"""What the simulator has to say of each, as a regular expression: caught by accident is not caught."""
