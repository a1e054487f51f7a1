"""docs/protocol.md says what the code does: its examples, constants, and tables of messages, frames and codes."""

import ast
import importlib
import json
import pkgutil
import re
from enum import Enum
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, get_args

import msgspec
import pytest
from msgspec import NODEFAULT, Struct

import bisik_protocol
from bisik import confirming
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import Announcement, Entry, Reply, Request
from bisik_protocol.chat.sealing_bundle import SealingBundle
from bisik_protocol.chat.statements import SealedStatement, Statement
from bisik_protocol.transport.events import CloseCode
from bisik_protocol.wire import frames, handshake, packets
from bisikd import admission, config, confirmations, presence, requests, rooms, session
from tests.support.protocol_examples import EXAMPLES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")

Row = list[str]


def _section(heading: str) -> str:
    """From the heading's line to the next heading."""
    start = DOCUMENT.index(f"\n{heading}\n") + len(heading) + 2
    end = re.search(r"^#", DOCUMENT[start:], re.MULTILINE)
    return DOCUMENT[start : start + end.start()] if end else DOCUMENT[start:]


def _rows(text: str) -> list[Row]:
    """The cells of all table rows but the rules under their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _modules() -> list[ModuleType]:
    """All of the protocol, and of both programs what the chat's rules are written in."""
    found = pkgutil.walk_packages(bisik_protocol.__path__, "bisik_protocol.")
    return [importlib.import_module(info.name) for info in found] + [
        admission,
        config,
        confirmations,
        confirming,
        presence,
        requests,
        rooms,
        session,
    ]


def _constants() -> list[Row]:
    text = DOCUMENT[DOCUMENT.index("\n## Constants\n") :]
    return [row for row in _rows(text) if row[0].startswith("`")]


def _values(name: str) -> list[Any]:
    """What the code has under a name, which may be dotted, wherever it has it."""
    first, *attributes = name.split(".")
    values = [vars(module)[first] for module in _modules() if first in vars(module)]
    for attribute in attributes:
        values = [getattr(value() if isinstance(value, type) else value, attribute) for value in values]
    return values


# Examples ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_example_is_what_the_code_makes(name: str) -> None:
    """`python -m tests.support.protocol_examples` prints what the document shows."""
    assert f"\n```\n{EXAMPLES[name]()}\n```\n" in DOCUMENT


def test_every_block_of_bytes_is_a_worked_example() -> None:
    """Nobody can add bytes to the document that nothing checks."""
    blocks = re.findall(r"^```\n(.*?)\n```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert sorted(blocks) == sorted(example() for example in EXAMPLES.values())


# Constants -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", _constants(), ids=lambda row: row[0].strip("`"))
def test_constant_has_the_documents_value(row: Row) -> None:
    """Each row of the section of constants names one value of the code, and states it."""
    values = _values(row[0].strip("`"))
    assert values, "the code has no constant of this name"
    assert all(value == ast.literal_eval(row[1]) for value in values)


def test_every_constant_that_the_text_names_is_listed() -> None:
    """Prose names constants instead of repeating their values; each is in the list at the end."""
    listed = {row[0].strip("`") for row in _constants()}
    text = DOCUMENT[: DOCUMENT.index("\n## Constants\n")]
    prose = re.sub(r"^```.*?^```$|^    .*?$|`[^`]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {word for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", prose) if not hasattr(frames, word)}
    assert named - listed - {code.name for code in CloseCode} == set()


# Datagrams, frames, codes --------------------------------------------------------------------------------------


def test_datagram_types_are_the_codes() -> None:
    """Type byte by type byte."""
    documented = {row[0]: re.sub(r"\[(.*?)\].*", r"\1", row[1]) for row in _rows(_section("## Datagrams"))[1:7]}
    assert documented == {
        f"{handshake.TYPE_HELLO:02x}": "HELLO",
        f"{handshake.TYPE_RETRY:02x}": "RETRY",
        f"{handshake.TYPE_KEX:02x}": "KEX",
        f"{handshake.TYPE_SKEX:02x}": "SKEX",
        f"{packets.RESET_TYPE:02x}": "reset",
        f"{packets.DATA_TYPE:02x}, {packets.DATA_TYPE | packets.PHASE_MASK:02x}": "data packet, key phase 0 or 1",
    }


def test_frame_types_are_the_codes() -> None:
    """Every frame that can be read is in the table, under its number."""
    documented = {int(row[0], 16): row[1] for row in _rows(_section("## Frames"))[1:]}
    assert set(documented) == {frames.PADDING, frames.PING, *frames._READERS}
    assert all(getattr(frames, name) == number for number, name in documented.items())


def test_close_codes_are_the_codes() -> None:
    """Number and name of each way to end."""
    assert [(int(row[0]), row[1]) for row in _rows(_section("### CLOSE"))[1:]] == [
        (c.value, c.name) for c in CloseCode
    ]


def test_refusal_codes_are_the_codes() -> None:
    """Every reason that a program may be given."""
    assert [row[0] for row in _rows(_section("### Refusals"))[1:]] == [code.value for code in messages.Code]


# Messages ------------------------------------------------------------------------------------------------------


def _tags(union: UnionType) -> dict[str, str]:
    """Tag to fields as the document writes them: in the order of the array, with defaults."""
    return {str(kind.__struct_config__.tag): _fields(kind) for kind in get_args(union)}


def _fields(kind: type[Struct]) -> str:
    written = []
    for field in msgspec.structs.fields(kind):
        if field.default is NODEFAULT:
            written.append(field.name)
        else:
            default = field.default.value if isinstance(field.default, Enum) else field.default
            written.append(f"{field.name} = {'nil' if default is None else json.dumps(default)}")
    return ", ".join(written)


@pytest.mark.parametrize(
    ("heading", "union"),
    [
        ("### Requests", Request),
        ("### Replies", Reply),
        ("### Announcements", Announcement),
        ("## Entries", Entry),
    ],
)
def test_messages_are_the_codes(heading: str, union: UnionType) -> None:
    """Every tag with its fields, in the order in which they are encoded."""
    documented = {row[0].strip("`"): row[1] for row in _rows(_section(heading))[1:]}
    assert documented == _tags(union)


def test_posts_and_statements_are_the_codes() -> None:
    """Their fields, in order."""
    rows = _rows(_section("## Statements and posts"))
    numbered = [row[1] for row in rows if row[0].isdigit()]
    assert numbered == ["`v1`", *(field.name for field in msgspec.structs.fields(Statement))]
    assert ["`post`", _fields(messages.Post)] in rows
    assert ["`confirm`", _fields(messages.Confirm)] in rows


@pytest.mark.parametrize(
    ("heading", "kind"), [("### Sealing keys", SealingBundle), ("### Sealed statements", SealedStatement)]
)
def test_what_is_signed_for_direct_messages_is_the_codes(heading: str, kind: type[Struct]) -> None:
    """Tag and fields, in order."""
    numbered = [row[1] for row in _rows(_section(heading)) if row[0].isdigit()]
    tag = f"`{kind.__struct_config__.tag}`"
    assert numbered == [tag, *(field.name for field in msgspec.structs.fields(kind))]


@pytest.mark.parametrize("value", [member for kind in (messages.Presence,) for member in kind])
def test_ways_to_be_in_a_room_are_the_codes(value: Enum) -> None:
    """Each has its row."""
    assert value.value in [row[0] for row in _rows(_section("## Rooms"))]


def test_links_inside_the_document_lead_somewhere() -> None:
    """Each #anchor is a heading of this page, each other link a file beside it."""
    anchors = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", DOCUMENT, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", DOCUMENT):
        path, _, anchor = target.partition("#")
        if path:
            assert (Path(__file__).parents[2] / "docs" / path).exists(), target
        else:
            assert anchor in anchors, target
