"""What the journal is told: fields to filter by, harmless text, no secret, and nothing where there is no journal."""

import io
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bisikd.console import Console
from bisikd.invitation import Ready
from bisikd.journald import Happening, JournalSocket

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
READY = Ready(
    listen="[::]:9999", fingerprint=bytes(32), join_password="abcd-efgh", invite="bisik://h:1/?fp=x&join=abcd-efgh"
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that plays systemd-journald's, at `tmp_path / "socket"`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.setblocking(False)
        yield listener


@pytest.fixture
def speaker(tmp_path: Path, journal: socket.socket) -> Iterator[JournalSocket]:
    speaker = JournalSocket(tmp_path / "socket")
    yield speaker
    speaker.close()


def heard(journal: socket.socket) -> dict[str, str]:
    """The fields of one entry, read as journald does."""
    data, fields = journal.recv(65536), {}
    while data:
        name, mark, rest = re.split(rb"([=\n])", data, maxsplit=1)
        if mark == b"=":
            value, _, data = rest.partition(b"\n")
        else:
            size = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


def test_an_entry_has_its_id_its_kind_and_its_priority(journal: socket.socket, speaker: JournalSocket) -> None:
    """Under the name that `journalctl -t bisikd` asks for."""
    assert speaker.send(Happening.DISK, "The disk is full.", path="/var/lib/bisikd")
    assert heard(journal) == {
        "MESSAGE": "The disk is full.",
        "MESSAGE_ID": Happening.DISK.message_id,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "bisikd",
        "BISIKD_EVENT": "disk",
        "BISIKD_PATH": "/var/lib/bisikd",
    }


def test_text_cannot_smuggle_a_field_or_a_terminals_commands(journal: socket.socket, speaker: JournalSocket) -> None:
    """A line feed in a text is part of it, and what moves a cursor is made visible."""
    speaker.send(Happening.SESSION_FAILED, "one\nPRIORITY=0\n\x1b[2Jtwo", room="#a\nMESSAGE_ID=1")
    fields = heard(journal)
    assert fields["PRIORITY"] == "3"
    assert fields["MESSAGE_ID"] == Happening.SESSION_FAILED.message_id
    assert fields["MESSAGE"].startswith("one\nPRIORITY=0\n")
    assert "\x1b" not in "".join(fields.values())


def test_a_long_report_is_cut(journal: socket.socket, speaker: JournalSocket) -> None:
    """Rather that than nothing at all, which is what too large a datagram comes to."""
    assert speaker.send(Happening.SESSION_FAILED, "x" * 10_000_000)
    assert 1_000 < len(heard(journal)["MESSAGE"]) < 20_000


def test_the_journal_is_used_only_where_stderr_goes_to_it(tmp_path: Path, journal: socket.socket) -> None:
    """By hand, in a pipe, or under another manager, stderr it is."""
    path = tmp_path / "socket"
    with (tmp_path / "stderr").open("wb") as stderr:
        status = os.fstat(stderr.fileno())
        right = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        number = stderr.fileno()
        found = JournalSocket.from_environment(right, descriptor=number, path=path)
        assert found is not None
        found.close()
        wrong = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"}
        assert JournalSocket.from_environment(wrong, descriptor=number, path=path) is None
        assert JournalSocket.from_environment({}, descriptor=number, path=path) is None
        assert JournalSocket.from_environment(right, descriptor=number, path=tmp_path / "none") is None
    assert JournalSocket.from_environment(right, descriptor=number, path=path) is None


def test_the_journal_is_not_told_the_join_password(journal: socket.socket, speaker: JournalSocket) -> None:
    """Nor is stdout, which goes there as well; `bisikd invite` has it."""
    out = io.StringIO()
    Console(as_json=False, out=out, talk=io.StringIO(), journal=speaker).ready(READY)
    fields = heard(journal)
    assert fields["BISIKD_EVENT"] == "ready"
    assert "abcd-efgh" not in "".join(fields.values())
    assert out.getvalue() == ""


def test_what_the_journal_does_not_take_goes_to_stderr(tmp_path: Path, speaker: JournalSocket) -> None:
    """A journal that is being restarted costs no sentence."""
    talk = io.StringIO()
    console = Console(as_json=False, out=io.StringIO(), talk=talk, journal=speaker)
    (tmp_path / "socket").unlink()
    console.note("The disk is full.", Happening.DISK)
    console._write(console._take())
    assert talk.getvalue() == "bisikd: The disk is full.\n"


def test_what_the_journal_takes_is_not_said_twice(journal: socket.socket, speaker: JournalSocket) -> None:
    """stderr goes to the journal too."""
    talk = io.StringIO()
    console = Console(as_json=False, out=io.StringIO(), talk=talk, journal=speaker)
    console.note("The disk is full.", Happening.DISK)
    console.stopping()
    console._write(console._take())
    assert talk.getvalue() == ""
    assert [heard(journal)["BISIKD_EVENT"] for _ in range(2)] == ["disk", "stopping"]


def test_every_id_is_documented_and_none_is_there_twice() -> None:
    """Operators filter by what operating.md lists."""
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| `([0-9a-f]{32})` \|", OPERATING.read_text(), re.MULTILINE))
    assert listed == {happening.label: happening.message_id for happening in Happening}
    assert len(set(listed.values())) == len(listed)
