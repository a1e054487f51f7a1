"""Out of a damaged log: everything that is provably whole, marks where something was, and no silence about it."""

from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest

from bisik_protocol.chat.messages import Act, MessageEntry, ModerationEntry, decode_entry_untrusted
from bisikd.log import (
    LogError,
    LogPolicy,
    RecordKind,
    SalvageReport,
    entry_record,
    iter_records,
    salvage_log,
    verify_log,
)
from bisikd.log.ledger import Staged
from tests.daemon.log.bench import open_real
from tests.daemon.log.talk import START_MS, Talk
from tests.support.keys import device_key, server_identity

KEYS = server_identity().decryption, server_identity().signing.public


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def source(tmp_path: Path, talk: Talk) -> Path:
    """Thirty messages of two people in two rooms, over several segments, closed."""
    directory = tmp_path / "damaged"
    log = open_real(directory, policy=LogPolicy(segment_bytes=4000, checkpoint_records=10))
    log.append([talk.register("tama"), talk.register("budi", 1), talk.join("tama")])
    for number in range(15):
        log.append([talk.say("tama", f"satu {number}"), talk.say("budi", f"dua {number}", "#dapur")])
    log.close()
    return directory


def salvage(source: Path, **options: object) -> tuple[SalvageReport, Path]:
    new = source.with_name("new")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    report = salvage_log(source, new, server_identity(), now_ms=lambda: START_MS, **options)  # type: ignore[arg-type]
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    return report, new


def said(directory: Path) -> dict[str, list[bytes]]:
    """Every entry by room, in order."""
    found: dict[str, list[bytes]] = {}
    for record in iter_records(directory, *KEYS):
        if record.kind is RecordKind.ENTRY:
            found.setdefault(decode_entry_untrusted(record.payload).room, []).append(record.payload)
    return found


def spoil(source: Path, number: int) -> None:
    """A flipped bit in the record of the leaf with this number."""
    record = list(iter_records(source, *KEYS))[number]
    path = source / f"{record.segment:08}.segment"
    content = bytearray(path.read_bytes())
    content[record.offset + 60] ^= 1
    path.write_bytes(content)


def test_a_whole_log_is_copied_whole(source: Path, talk: Talk) -> None:
    """Byte for byte as people know it; and the copy is proved by itself."""
    report, new = salvage(source)
    assert report.whole
    assert (report.copied, report.messages) == (33, 30)
    assert said(new) == talk.said
    verified = verify_log(new, *KEYS)
    assert (verified.problems, verified.records, verified.losses) == ([], 33, 0)


def test_a_spoilt_message_is_marked_and_the_rest_copied(source: Path, talk: Talk) -> None:
    """Its number says "lost", its author's chain goes on, nothing else is missing, and the copy verifies."""
    spoil(source, 11)  # a message of tama
    assert not verify_log(source, *KEYS).ok
    report, new = salvage(source)
    assert (report.copied, report.lost_entries, report.lost_links) == (32, {"#lobby": 1}, 1)
    assert len(report.damage) == 1
    assert "No record can be read here" in report.damage[0]
    found = said(new)
    different = [at for at, entry in enumerate(talk.said["#lobby"]) if found["#lobby"][at] != entry]
    assert len(different) == 1
    mark = decode_entry_untrusted(found["#lobby"][different[0]])
    assert isinstance(mark, ModerationEntry)
    assert (mark.act, mark.seq) == (Act.LOST, different[0] + 1)
    assert found["#dapur"] == talk.said["#dapur"]
    verified = verify_log(new, *KEYS)
    assert (verified.problems, verified.losses) == ([], 2)


@pytest.mark.parametrize("index", ["kept", "deleted"])
def test_what_was_salvaged_goes_on(source: Path, talk: Talk, index: str) -> None:
    """The new log is opened as any, and the people in it speak on."""
    spoil(source, 11)
    _, new = salvage(source)
    if index == "deleted":
        for path in new.glob("index.sqlite3*"):
            path.unlink()
    log = open_real(new)
    assert log.heads() == {"#lobby": 16, "#dapur": 15}
    log.append([talk.say("tama", "masih di sini"), talk.say("budi", "saya juga", "#dapur")])
    log.close()
    assert verify_log(new, *KEYS).ok


def test_a_segment_whose_header_is_gone_costs_itself_only(source: Path, talk: Talk) -> None:
    """The others are copied, and every number in it is marked."""
    damaged = source / "00000002.segment"
    damaged.write_bytes(b"\0" * 100 + damaged.read_bytes()[100:])
    report, new = salvage(source)
    assert "00000002.segment, byte 0" in report.damage[0]
    assert sum(report.lost_entries.values()) > 3
    assert {room: len(entries) for room, entries in said(new).items()} == {
        room: len(entries) for room, entries in talk.said.items()
    }
    assert verify_log(new, *KEYS).ok


def test_a_missing_segment_is_said(source: Path) -> None:
    """By its name; what lies around it is copied."""
    (source / "00000002.segment").unlink()
    report, new = salvage(source)
    assert "00000002.segment" in report.damage[0]
    assert report.messages > 10
    assert verify_log(new, *KEYS).ok


def test_a_lost_key_is_found_among_the_accounts(source: Path) -> None:
    """The record that gave an author their key is spoilt: with the key from elsewhere their messages are kept."""
    spoil(source, 1)
    report, new = salvage(source)
    assert report.messages == 15
    assert len(report.left_out) == 15
    assert "key of budi is lost" in report.left_out[0]
    for path in new.iterdir():
        path.unlink()
    key = device_key(1).public
    report, new = salvage(source, devices={key.key_hash: key.modulus})
    assert (report.messages, report.left_out) == (30, [])
    assert verify_log(new, *KEYS).ok


def test_a_message_that_its_author_never_signed_is_left_out(tmp_path: Path, talk: Talk) -> None:
    """Whole is not enough: it has to be proved."""
    directory = tmp_path / "damaged"
    log = open_real(directory)
    log.append([talk.register("tama"), talk.say("tama", "satu")])
    forged = decode_entry_untrusted(talk.say("tama", "palsu").payload)
    assert isinstance(forged, MessageEntry)
    with patch.object(Staged, "admit", lambda self, fact: self.facts.append(fact)):
        log.append([entry_record(msgspec.structs.replace(forged, signature=bytes(384)))])
    log.close()
    report, new = salvage(directory)
    assert report.messages == 1
    assert "signature of tama under this message is not genuine" in report.left_out[0]
    assert verify_log(new, *KEYS).ok


def test_every_spoilt_byte_costs_what_it_touches(source: Path, talk: Talk) -> None:
    """Wherever one is, at most one leaf is lost, or one segment where it is in a header; and the copy verifies."""
    path = source / "00000003.segment"
    whole = path.read_bytes()
    for at in range(100, len(whole), 331):
        content = bytearray(whole)
        content[at] ^= 0x10
        path.write_bytes(content)
        report, new = salvage(source)
        lost = 33 - report.copied
        assert lost <= (1 if at >= 944 else 6), at
        assert verify_log(new, *KEYS).ok, at
        for each in new.iterdir():
            each.unlink()


def test_nothing_is_written_where_something_is(source: Path, tmp_path: Path) -> None:
    """A directory with anything in it is refused; so is a source without a log."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(LogError, match="is not empty"):
        salvage_log(source, tmp_path / "full", server_identity(), now_ms=lambda: 0)
    with pytest.raises(LogError, match="no segment"):
        salvage_log(tmp_path / "full", tmp_path / "new", server_identity(), now_ms=lambda: 0)
