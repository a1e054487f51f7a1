"""Proving a log alone: an honest one passes, and each way of being dishonest is found and named."""

from collections.abc import Callable
from errno import EIO
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest

from bisik_protocol.chat.checkpoint import sign_checkpoint
from bisik_protocol.chat.messages import MessageEntry, decode_entry_untrusted
from bisikd.export import line_for_people, record_as_json
from bisikd.log import LogDamaged, LogPolicy, Record, RecordKind, Report, entry_record, iter_records, verify_log
from bisikd.log.ledger import Staged
from tests.daemon.log.bench import DIRECTORY, KEY, SIGNING, open_log, open_real, small_log
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import START_MS, Talk
from tests.support.keys import decryption_key, device_key, server_identity


def verified(files: MemoryFiles) -> Report:
    return verify_log(DIRECTORY, KEY, SIGNING, files=files)


def test_an_honest_log_passes() -> None:
    """And everything in it is counted."""
    report = verified(MemoryFiles(small_log(closed=True).contents))
    assert report.ok
    assert (report.segments, report.records, report.messages) == (2, 8, 1)
    assert (report.commits, report.checkpoints, report.unfinished_bytes) == (5, 2, 0)


def test_an_empty_log_passes() -> None:
    """Nothing is there, and nothing is wrong."""
    report = verified(MemoryFiles())
    assert (report.ok, report.segments) == (True, 0)


def test_an_unfinished_end_is_no_problem() -> None:
    """It was never acknowledged; it is only reported. Nothing is changed."""
    small = small_log(closed=False)
    files = MemoryFiles(small.contents | {small.last: small.contents[small.last] + b"torn"})
    before = files.snapshot()
    report = verified(files)
    assert (report.ok, report.unfinished_bytes, report.records) == (True, 4, 8)
    assert files.snapshot() == before


def test_damage_is_named_and_ends_the_check() -> None:
    """File, byte, and that nothing behind it was looked at."""
    small = small_log(closed=True)
    data = bytearray(small.contents["00000001.segment"])
    data[1500] ^= 1  # in the first group's COMMIT
    report = verified(MemoryFiles(small.contents | {"00000001.segment": bytes(data)}))
    assert len(report.problems) == 1
    assert "00000001.segment, byte 1427: Damaged" in report.problems[0]
    assert "Nothing behind this was checked" in report.problems[0]


def test_damage_anywhere_is_found() -> None:
    """A flipped bit in every byte of a small log, but for the last record, which holds nothing."""
    small = small_log(closed=True)
    for name, data in small.contents.items():
        for at in range(len(data) - (33 if name == small.last else 0)):
            flipped = bytearray(data)
            flipped[at] ^= 1 << at % 8
            assert not verified(MemoryFiles(small.contents | {name: bytes(flipped)})).ok, (name, at)


def test_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """No directory, or a disk that fails: a sentence in the report, not an exception."""
    assert "cannot be read" in verify_log(tmp_path / "none", KEY, SIGNING).problems[0]
    files = MemoryFiles(small_log(closed=True).contents)
    files.fault = lambda operation, path: OSError(EIO, "I/O error") if path.name.startswith("00000002") else None
    assert "00000002.segment, byte 0: This cannot be read (I/O error)." in verified(files).problems[0]


def forge(record: Record, **changes: object) -> Record:
    """The same message with something else in it."""
    entry = decode_entry_untrusted(record.payload)
    return entry_record(msgspec.structs.replace(entry, **changes))


def dishonest(records: Callable[[Talk], list[Record]]) -> Report:
    """What verification says of a log whose daemon stored without asking."""
    talk, files = Talk(), MemoryFiles()
    log = open_log(files)
    with patch.object(Staged, "admit", lambda self, fact: self.facts.append(fact)):
        log.append([talk.register("tama"), talk.say("tama", "satu"), *records(talk)])
    log.close()
    return verified(files)


def test_a_forged_signature_is_found() -> None:
    """Words that the author never signed."""
    report = dishonest(lambda talk: [forge(talk.say("tama", "dua"), signature=bytes(384)), talk.say("tama", "tiga")])
    assert len(report.problems) == 1
    assert "signature of tama under this message is not genuine" in report.problems[0]


def test_a_message_under_another_name_is_found() -> None:
    """The signature is genuine, the name is not the key's."""
    report = dishonest(lambda talk: [forge(talk.say("tama", "dua"), author="budi"), talk.say("tama", "tiga")])
    assert ["given to tama" in problem for problem in report.problems] == [True]


def test_a_message_by_an_unknown_key_is_found() -> None:
    """No DEVICE came before it."""

    def unknown(talk: Talk) -> list[Record]:
        talk.devices["budi"] = 1
        return [talk.say("budi", "halo")]

    assert ["given to nobody" in problem for problem in dishonest(unknown).problems] == [True]


def test_a_message_left_out_is_found() -> None:
    """By the room's count and by the author's chain; one sentence, and then it goes on."""

    def gap(talk: Talk) -> list[Record]:
        talk.say("tama", "dua")
        return [talk.say("tama", "tiga"), talk.say("tama", "empat")]

    report = dishonest(gap)
    assert ["next entry is not 3" in problem for problem in report.problems] == [True]


def test_a_message_left_out_of_a_chain_is_found() -> None:
    """Also where the room's count has been made to fit."""

    def gap(talk: Talk) -> list[Record]:
        talk.say("tama", "dua")
        talk.heads["#lobby"] -= 1
        return [talk.say("tama", "tiga"), talk.say("tama", "empat")]

    assert ["does not continue message 1" in problem for problem in dishonest(gap).problems] == [True]


def test_a_message_moved_to_another_room_is_found() -> None:
    """A statement names its room."""

    def moved(talk: Talk) -> list[Record]:
        return [forge(talk.say("tama", "dua"), room="#riset", seq=1)]

    assert ["made in #lobby is in #riset" in problem for problem in dishonest(moved).problems] == [True]


def test_a_record_that_cannot_be_read_is_found() -> None:
    """Authentic, whole, and nonsense."""
    talk, files = Talk(), MemoryFiles()
    log = open_log(files)
    log._writer.append([talk.register("tama"), Record(RecordKind.ENTRY, b"nonsense")])
    assert ["not an encoded entry" in problem for problem in verified(files).problems] == [True]


def test_a_checkpoint_signed_by_another_is_found() -> None:
    """The text fits the tree, the signature does not fit the server."""
    files = MemoryFiles()
    log = open_log(files)
    log.append([Talk().join("tama")])
    with patch("bisikd.log.store.sign_checkpoint", lambda head, key: sign_checkpoint(head, device_key())):
        log.close()
    assert ["not signed by this server" in problem for problem in verified(files).problems] == [True]


# Who can read ------------------------------------------------------------------------------------------------------


def test_an_auditor_verifies_with_a_key_of_its_own(tmp_path: Path) -> None:
    """On a copy of the segments, with nothing of the server's but its public signing key."""
    talk = Talk()
    log = open_real(tmp_path / "log", auditor=decryption_key(1).public)
    log.append([talk.register("tama"), talk.say("tama", "halo")])
    log.close()
    report = verify_log(tmp_path / "log", decryption_key(1), server_identity().signing.public)
    assert (report.problems, report.messages) == ([], 1)


def test_nobody_else_reads() -> None:
    """A key that the log was not encrypted to, and a server that it is not of."""
    files = MemoryFiles(small_log(closed=True).contents)
    stranger = verify_log(DIRECTORY, decryption_key(1), SIGNING, files=files)
    assert "not encrypted to this key" in stranger.problems[0]
    other = verify_log(DIRECTORY, KEY, device_key().public, files=files)
    assert "not signed by this server" in other.problems[0]


# Reading records one by one -----------------------------------------------------------------------------------------


def test_records_are_read_in_order_with_their_places() -> None:
    """What was appended, numbered as the tree numbers it."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files, policy=LogPolicy(segment_bytes=2000))
    records = [talk.register("tama"), *(talk.say("tama", f"pesan {number}") for number in range(9))]
    for record in records:
        log.append([record])
    found = list(iter_records(DIRECTORY, KEY, SIGNING, files=files))
    assert [Record(each.kind, each.payload) for each in found] == records
    assert [each.index for each in found] == list(range(10))
    assert [(each.segment, each.offset) for each in found] == sorted((each.segment, each.offset) for each in found)
    assert found[-1].segment == len(files.contents)


def test_records_end_at_damage_with_its_place() -> None:
    """What comes before it is read."""
    small = small_log(closed=True)
    data = bytearray(small.contents["00000002.segment"])
    data[-1000] ^= 1
    records = iter_records(
        DIRECTORY, KEY, SIGNING, files=MemoryFiles(small.contents | {"00000002.segment": bytes(data)})
    )
    read = []
    with pytest.raises(LogDamaged, match=r"00000002\.segment"):
        read += list(records)
    assert isinstance(decode_entry_untrusted(small.records[3].payload), MessageEntry)


def test_what_moderators_did_is_proved_and_shown_with_the_rest(tmp_path: Path) -> None:
    """`log verify` counts it, `log show` says it in words, `log export` has its fields."""
    talk = Talk()
    log = open_real(tmp_path / "log", now_ms=lambda: START_MS)
    log.append([talk.register("tama"), talk.join("tama"), *talk.moderate("tama"), talk.say("tama", "after")])
    log.close()
    identity = server_identity()
    report = verify_log(tmp_path / "log", identity.decryption, identity.signing.public)
    assert (report.problems, report.records, report.messages) == ([], 5, 1)
    records = list(iter_records(tmp_path / "log", identity.decryption, identity.signing.public))
    shown = [line_for_people(record) or "" for record in records]
    assert "tama set the topic: about" in shown[2]
    assert "tama put tamu out: why" in shown[3]
    assert [(record_as_json(record) or {})["type"] for record in records[2:4]] == ["topic", "moderation"]


def test_a_log_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    """Nothing is locked, nothing is cut: the daemon's unfinished group is simply not there yet."""
    talk = Talk(signed=False)
    log = open_real(tmp_path / "log", now_ms=lambda: START_MS)
    log.append([talk.register("tama"), talk.join("tama")])
    identity = server_identity()
    reading = iter_records(tmp_path / "log", identity.decryption, identity.signing.public)
    assert next(reading).kind is RecordKind.DEVICE
    log.append([talk.leave("tama")])
    assert len(list(reading)) == 1
    assert len(list(iter_records(tmp_path / "log", identity.decryption, identity.signing.public))) == 3
    log.close()
