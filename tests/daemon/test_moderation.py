"""The file of moderators' decisions: whole or not changed, read back as written, refused by name when damaged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.chat.messages import BanKind
from bisikd.moderation import (
    FILE_NAME,
    Ban,
    Decisions,
    Mute,
    RoomRules,
    canonical_range,
    is_in_range,
    open_moderation,
    read_decisions,
    without_ended,
)
from bisikd.state import StateError

DECISIONS = Decisions(
    bans=(
        Ban(what=BanKind.NAME, target="tama", by="mod", since_ms=5, until_ms=9, reason='says "no"\n'),
        Ban(what=BanKind.ADDRESS, target="192.0.2.0/24", by="(operator)", since_ms=6),
    ),
    mutes=(Mute(name="budi", by="mod", since_ms=7, room="#ops"),),
    rooms={"#ops": RoomRules(topic="quiet", private=True, allowed=("budi",)), "#kabar": RoomRules(read_only=True)},
)


def test_what_was_decided_is_read_back(tmp_path: Path) -> None:
    """All of it, from a file for its owner only."""
    moderation = open_moderation(tmp_path)
    assert moderation.decisions == Decisions()
    moderation.store(DECISIONS)
    assert open_moderation(tmp_path).decisions == DECISIONS
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content",
    [
        "bans = 5",
        "nonsense = 1",
        "[[bans]]\nwhat = 'planet'\ntarget = 'x'\nby = 'y'\nsince_ms = 1",
        "[[bans]]\nwhat = 'address'\ntarget = 'x'\nby = 'y'\nsince_ms = 1",
        "[[mutes]]\nname = 'x'",
        "[rooms.'#ops']\nprivat = true",
        "\x00",
    ],
)
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    """Bans are not forgotten because a byte is wrong: the start says which file, and what to do."""
    path = tmp_path / FILE_NAME
    path.write_text(content)
    with pytest.raises(StateError, match="is damaged") as caught:
        open_moderation(tmp_path)
    assert str(path) in str(caught.value)
    assert path.read_text() == content


@given(st.binary(max_size=300))
def test_whatever_is_in_the_file_the_answer_is_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Any bytes are decisions or a StateError."""
    path = tmp_path_factory.getbasetemp() / FILE_NAME
    path.write_bytes(content)
    try:
        found = read_decisions(path)
    except StateError:
        return
    assert isinstance(found, Decisions)


def test_what_is_over_is_dropped() -> None:
    """At its very millisecond; what has no end stays, and rooms without rules need no place."""
    decisions = Decisions(bans=DECISIONS.bans, mutes=DECISIONS.mutes, rooms={**DECISIONS.rooms, "#x": RoomRules()})
    assert without_ended(decisions, 8) == DECISIONS
    assert without_ended(decisions, 9).bans == DECISIONS.bans[1:]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.77/24 ", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("2001:DB8::1/48", "2001:db8::/48"),
    ],
)
def test_a_range_has_one_spelling(text: str, canonical: str) -> None:
    """So that it is banned once, and found when it is taken back."""
    assert canonical_range(text) == canonical


@pytest.mark.parametrize(
    ("host", "range_", "inside"),
    [
        ("192.0.2.7", "192.0.2.0/24", True),
        ("::ffff:192.0.2.7", "192.0.2.0/24", True),
        ("192.0.3.7", "192.0.2.0/24", False),
        ("2001:db8::5", "2001:db8::/48", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("192.0.2.7", "2001:db8::/48", False),
        ("somewhere", "0.0.0.0/0", False),
    ],
)
def test_addresses_are_found_however_they_are_written(host: str, range_: str, inside: bool) -> None:
    """IPv4 inside IPv6 as a dual-stack socket shows it, with zones, and names that are none."""
    assert is_in_range(host, range_) is inside
