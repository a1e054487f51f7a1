"""What the daemon proves of its log to a member who asks, and when it tells of a new head."""

from pathlib import Path
from typing import Any

import pytest

from bisik_protocol.chat.checkpoint import origin_of, verify_checkpoint_untrusted
from bisik_protocol.chat.messages import (
    CheckpointSeen,
    Code,
    Consistency,
    GetConsistency,
    GetInclusion,
    Inclusion,
    decode_entry_untrusted,
)
from bisik_protocol.chat.tree import EMPTY_ROOT, entry_leaf, verify_consistency, verify_inclusion
from bisikd.log.errors import IndexDamaged
from tests.support.keys import server_identity
from tests.support.memory_log import CHECKPOINT_RECORDS
from tests.support.stage import Stage, Visitor, open_stage, text_of


def head(note: bytes) -> Any:
    identity = server_identity()
    return verify_checkpoint_untrusted(note, origin_of(identity.fingerprint), identity.signing.public)


async def talking(stage: Stage) -> Visitor:
    """A member who has said enough for several heads."""
    tama = await stage.member("tama", 1, "#lobby")
    *most, last = map(str, range(2 * CHECKPOINT_RECORDS))
    tama.say("#lobby", *most)
    await stage.settled()
    tama.say("#lobby", last)
    await stage.settled()
    return tama


async def test_every_earlier_tree_is_proved_to_be_continued(tmp_path: Path) -> None:
    """Also one that no head is known of: after a crash the daemon may have forgotten that it signed it."""
    async with open_stage(tmp_path) as stage:
        tama = await talking(stage)
        size = stage.log.tree_size
        assert size > head(stage.log.checkpoint() or b"").size
        roots = {0: EMPTY_ROOT}
        for old in (0, 1, 2, 7, 64, 99, size):
            reply = await tama.request(GetConsistency(tama.number(), old))
            assert isinstance(reply, Consistency)
            newest = head(reply.note)
            roots[old] = head(stage.log._tree.note(old)).root
            assert verify_consistency(old, roots[old], newest.size, newest.root, reply.proof)
        assert newest.size == size


async def test_a_tree_that_never_was_cannot_be_proved(tmp_path: Path) -> None:
    """Nor an entry; the sentence says what there is."""
    async with open_stage(tmp_path) as stage:
        tama = await talking(stage)
        refused = await tama.request(GetConsistency(tama.number(), stage.log.tree_size + 1))
        assert refused.code is Code.UNKNOWN
        assert f"has {stage.log.tree_size} entries" in refused.text
        for room, seq in (("#lobby", 0), ("#lobby", 999), ("#dapur", 1)):
            assert (await tama.request(GetInclusion(tama.number(), room, seq))).code is Code.UNKNOWN
        assert (await tama.request(GetInclusion(tama.number(), "a b", 1))).code is Code.ROOM_INVALID


async def test_what_was_said_is_proved_to_be_in_the_log_at_once(tmp_path: Path) -> None:
    """Under a head that is signed for it if need be."""
    async with open_stage(tmp_path) as stage:
        tama = await talking(stage)
        for seq in (1, 2, 2 * CHECKPOINT_RECORDS + 1):
            reply = await tama.request(GetInclusion(tama.number(), "#lobby", seq))
            assert isinstance(reply, Inclusion)
            newest = head(reply.note)
            leaf = entry_leaf(reply.salt, reply.entry)
            assert verify_inclusion(leaf, reply.leaf, newest.size, reply.proof, newest.root)
            assert decode_entry_untrusted(reply.entry).seq == seq
        assert text_of(decode_entry_untrusted(reply.entry)) == str(2 * CHECKPOINT_RECORDS - 1)  # type: ignore[arg-type]


async def test_a_log_that_cannot_be_read_or_signed_now_is_no_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told to ask later, which it takes for neither a proof nor a refusal; the session goes on."""
    async with open_stage(tmp_path) as stage:
        tama = await talking(stage)

        def fail(*arguments: object) -> None:
            raise IndexDamaged(tmp_path, "Gone.")

        monkeypatch.setattr(stage.log, "consistency", fail)
        assert (await tama.request(GetConsistency(tama.number(), 3))).code is Code.TRY_LATER
        monkeypatch.setattr(stage.log, "sign_head", fail)
        assert (await tama.request(GetConsistency(tama.number(), stage.log.tree_size))).code is Code.TRY_LATER
        assert not tama.connection.closed


async def test_the_same_proof_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart everybody asks the same."""
    async with open_stage(tmp_path) as stage:
        tama = await talking(stage)
        made: list[int] = []
        real = stage.log.consistency

        def count(old_size: int, size: int | None = None) -> list[bytes]:
            made.append(old_size)
            return real(old_size, size)

        monkeypatch.setattr(stage.log, "consistency", count)
        replies = [await tama.request(GetConsistency(tama.number(), 3)) for _ in range(5)]
        assert made == [3]
        assert len({tuple(reply.proof) for reply in replies}) == 1


async def test_a_new_head_is_told_to_members_who_take_what_they_are_sent(tmp_path: Path) -> None:
    """Not to strangers, and not to who is behind: they will be told of a later one, or ask."""
    async with open_stage(tmp_path) as stage:
        tama, sari = await stage.member("tama", 1), await stage.member("sari", 2)
        stranger = stage.visitor(3)
        sari.connection.takes = False
        sari.connection.send(0, bytes(5000))
        sari.connection.sent.clear()
        stage.sessions.announce_checkpoint(b"note")
        assert CheckpointSeen(b"note") in tama.control
        assert sari.control == []
        assert stranger.control == []
