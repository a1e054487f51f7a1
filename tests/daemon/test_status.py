"""`bisikd status` for people: every line says something, and nobody's name can draw on the screen."""

from typing import Any

import pytest

from bisikd.status import status_for_people

SESSION: dict[str, Any] = {
    "user": "tama",
    "address": "192.0.2.7:1234",
    "age_s": 100.0,
    "quiet_s": 61.0,
    "rooms": ["#lab", "#lobby"],
    "behind": ["#lab"],
    "srtt_s": 0.1234,
    "min_rtt_s": 0.1,
    "loss_out": 0.3,
    "loss_in": 0.07,
    "in_flight_bytes": 0,
    "backlog_bytes": 0,
    "datagrams_sent": 1,
    "datagrams_received": 1,
    "repair_datagrams": 0,
}


def status(**changes: Any) -> dict[str, Any]:
    return {
        "version": "1.2.3",
        "listen": "[::]:9999",
        "fingerprint": "abcd",
        "uptime_s": 3725.0,
        "sessions": [],
        "rooms": [],
        "directs": 2,
        "drops": {},
        "refused": {},
        "disk": {"log_bytes": 5, "free_bytes": 3 * 1024**3, "total_bytes": 4 * 1024**3},
        "log": {"records": 5, "groups": 2, "times_full": 0},
    } | changes


def test_an_idle_daemon_says_so() -> None:
    """Version, address, age, fingerprint, and that nobody is there."""
    text = "\n".join(status_for_people(status()))
    for part in (
        "bisikd 1.2.3 on [::]:9999, up 1 h 2 min",
        "fingerprint abcd",
        "0 rooms, 2 direct conversations",
        "0 sessions",
    ):
        assert part in text
    assert "dropped" not in text
    assert "full" not in text


def test_a_session_is_a_line_with_its_link() -> None:
    """Round trip, loss both ways, silence, rooms, and whether it is behind."""
    line = next(line for line in status_for_people(status(sessions=[SESSION])) if "tama" in line)
    assert line == "  tama  192.0.2.7:1234  rtt 123 ms  loss 7% in 30% out  quiet 1 min  #lab #lobby  behind in 1"


def test_strangers_have_no_name() -> None:
    """A session that has not logged in yet is shown as that."""
    text = "\n".join(status_for_people(status(sessions=[SESSION | {"user": None, "behind": []}])))
    assert "(not logged in)" in text
    assert "behind" not in text


def test_refusals_and_full_disks_are_shown_when_there_were_any() -> None:
    """Counted by reason, in a fixed order."""
    log = {"records": 5, "groups": 2, "times_full": 3}
    text = "\n".join(status_for_people(status(drops={"type": 2, "cookie": 1}, log=log)))
    assert "dropped: cookie 1, type 2" in text
    assert "full 3 times" in text


@pytest.mark.parametrize("members", [[], ["tama", "sari"]])
def test_a_room_is_a_line(members: list[str]) -> None:
    """Who is present by name, how many sessions follow, how much was said."""
    rules = {"topic": "a\x1b[2Jb", "private": True, "read_only": False, "allowed": ["tama"]}
    room = {"room": "#lobby", "members": members, "sessions": 3, "head": 12, **rules}
    line = next(line for line in status_for_people(status(rooms=[room])) if "#lobby" in line)
    assert line == f"  #lobby  12 entries, 3 sessions, private: {', '.join(members) or 'nobody'}"
