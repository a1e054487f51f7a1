"""What the operator sees: the contract's JSON lines, lines for people, and never a stall or a control byte."""

import io
import json
import threading

import pytest
import trio
import trio.testing

from bisik_protocol.chat.messages import Act, Entry, JoinEntry, LeaveEntry, MessageEntry, ModerationEntry, TopicEntry
from bisik_protocol.chat.statements import Kind, Statement, encode_statement, message_id
from bisikd import console as console_module
from bisikd.console import Console, entry_as_json, entry_for_people, json_line
from bisikd.invitation import Ready
from bisikd.journald import Happening
from bisikd.times import rfc3339

TIME_MS = 1_795_338_000_123  # 2026-11-22T09:00:00.123Z
READY = Ready(
    listen="127.0.0.1:9999",
    fingerprint=bytes(range(32)),
    join_password="aaaa-bbbb",
    invite="bisik://h:1/?fp=x&join=y",
)


def message(text: str, kind: Kind = Kind.SAY) -> tuple[MessageEntry, Statement]:
    statement = Statement("#lobby", bytes(32), 1, 0, kind, text, bytes(32))
    encoded = encode_statement(statement)
    return MessageEntry("#lobby", 12, TIME_MS, "tama", encoded, bytes(384)), statement


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (TIME_MS, "2026-11-22T09:00:00.123Z"),
        (1_795_338_000_000, "2026-11-22T09:00:00.000Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(time_ms: int, text: str) -> None:
    """Always three digits after the second, always Z."""
    assert rfc3339(time_ms) == text


def test_a_message_as_json_is_the_contracts() -> None:
    """Names, order and values as scripts rely on them."""
    entry, statement = message("halo")
    assert list(entry_as_json(entry, statement).items()) == [
        ("type", "message"),
        ("room", "#lobby"),
        ("author", "tama"),
        ("text", "halo"),
        ("seq", 12),
        ("id", message_id(entry.statement)),
        ("time", "2026-11-22T09:00:00.123Z"),
    ]


def test_an_action_says_so() -> None:
    """/me has a kind of its own; plain messages have no such field."""
    entry, statement = message("waves", Kind.ACT)
    assert entry_as_json(entry, statement)["kind"] == "act"
    assert "* tama waves" in entry_for_people(entry, statement)


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        (JoinEntry("#lobby", 1, TIME_MS, "tama"), "join", "#lobby tama joined"),
        (LeaveEntry("#lobby", 2, TIME_MS, "tama"), "leave", "#lobby tama left"),
    ],
)
def test_joins_and_leaves(entry: Entry, kind: str, words: str) -> None:
    """Room, author, time and number; for people a sentence."""
    value = entry_as_json(entry, None)
    assert value == {
        "type": kind,
        "room": "#lobby",
        "author": "tama",
        "time": "2026-11-22T09:00:00.123Z",
        "seq": entry.seq,
    }
    assert words in entry_for_people(entry, None)


def act(what: Act, target: str = "", until: int | None = None, reason: str = "") -> ModerationEntry:
    return ModerationEntry("#lobby", 3, TIME_MS, "mod", what, target, until, reason)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (TopicEntry("#lobby", 3, TIME_MS, "mod", "hi"), "#lobby mod set the topic: hi\n"),
        (TopicEntry("#lobby", 3, TIME_MS, "mod", ""), "#lobby mod took the topic away\n"),
        (act(Act.BAN, "tama", TIME_MS, "spam"), "#lobby mod banned tama until 2026-11-22T09:00:00.123Z: spam\n"),
        (act(Act.BAN), "#lobby mod banned an address\n"),
        (act(Act.READ_ONLY), "#lobby mod made the room read-only\n"),
        *((act(what, "tama"), "#lobby mod ") for what in Act),
    ],
)
def test_what_moderators_do(entry: Entry, words: str) -> None:
    """Each act has its words for people, and its fields for programs."""
    assert words in entry_for_people(entry, None)
    value = entry_as_json(entry, None)
    assert value["type"] in {"topic", "moderation"}
    assert (value["room"], value["author"], value["seq"]) == ("#lobby", "mod", 3)
    if isinstance(entry, ModerationEntry):
        assert (value["act"], value["target"], value["text"]) == (entry.act.value, entry.target, entry.reason)
        assert value["until"] == (None if entry.until is None else "2026-11-22T09:00:00.123Z")


def test_others_text_reaches_no_terminal_raw() -> None:
    """Escape sequences, line feeds and direction marks are made visible for people and escaped for programs."""
    entry, statement = message("a\x1b[2J\nb\u202ec\u2028d\x9b")
    line = entry_for_people(entry, statement)
    assert not set("\x1b\u202e\u2028\x9b") & set(line)
    assert line.count("\n") == 1
    text = json_line(entry_as_json(entry, statement))
    assert text.isascii()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert json.loads(text)["text"] == statement.text


def test_the_ready_line_is_the_contracts() -> None:
    """One object on one line, before `ready` returns."""
    out = io.StringIO()
    console(out, as_json=True).ready(READY)
    assert json.loads(out.getvalue()) == {
        "type": "ready",
        "listen": "127.0.0.1:9999",
        "fingerprint": "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq",
        "join_password": "aaaa-bbbb",
        "invite": "bisik://h:1/?fp=x&join=y",
    }


def test_people_are_told_address_fingerprint_password_and_invite() -> None:
    """The first start says all that somebody needs to let others in."""
    out = io.StringIO()
    console(out, as_json=False).ready(READY)
    for part in ("127.0.0.1:9999", "aaaq eaye auda", "aaaa-bbbb", "bisik://h:1/?fp=x&join=y"):
        assert part in out.getvalue()


def console(out: io.TextIOBase, *, as_json: bool, talk: io.TextIOBase | None = None) -> Console:
    return Console(as_json=as_json, out=out, talk=talk or io.StringIO())  # type: ignore[arg-type]


async def test_lines_come_out_in_order_and_none_is_lost_at_the_end() -> None:
    """What waits when the daemon stops is written on the way out."""
    out, talk = io.StringIO(), io.StringIO()
    told = console(out, as_json=True, talk=talk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.run)
        for text in ("one", "two"):
            told.entry(*message(text))
        told.note("Something to know.", Happening.STATE)
        nursery.cancel_scope.cancel()
    assert [json.loads(line)["text"] for line in out.getvalue().splitlines()] == ["one", "two"]
    assert talk.getvalue() == "bisikd: Something to know.\n"


class Stuck(io.StringIO):
    """A pipe whose reader does not read until `reading` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.entered = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.reading.wait(10)
        return super().write(text)


async def test_a_reader_who_does_not_read_holds_up_nobody_and_is_told_what_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits is bounded; the rest is counted, and the count is a line of its own."""
    monkeypatch.setattr(console_module, "MAX_WAITING_CHARACTERS", 500)
    out = Stuck()
    told = console(out, as_json=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.run)
        told.entry(*message("first"))
        await trio.to_thread.run_sync(out.entered.wait)
        for number in range(50):
            told.entry(*message(str(number)))
        out.reading.set()
        nursery.cancel_scope.cancel()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[-1]["type"] == "skipped"
    assert len(lines) - 1 + lines[-1]["lines"] == 51


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


async def test_a_reader_who_has_gone_is_no_reason_to_stop() -> None:
    """`bisikd | head -1` ends the printing, not the chat."""
    talk = io.StringIO()
    told = console(Closed(), as_json=True, talk=talk)
    told.ready(READY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.run)
        told.entry(*message("unheard"))
        told.note("still talking", Happening.STATE)
        nursery.cancel_scope.cancel()
    assert "still talking" in talk.getvalue()
