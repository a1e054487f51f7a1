"""The fuzzing targets without a fuzzer: every reader of others' bytes has one, and what was found stays mended."""

import ast
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import fuzz
from tests.fuzz.planted import PLANTED
from tests.fuzz.replay import CORPUS
from tests.fuzz.target import edited, join, split
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "protocol/bisik_protocol", ROOT / "client/bisik"]
ELSEWHERE = {  # of the client, in states that no target reaches; `from-daemon` and `entry` decode what they read
    "Talk.receive_message_untrusted",  # a protocol class: no code
    "Newcomer.receive_message_untrusted",
    "Conversation._on_left_untrusted",
    "Conversation._on_proof_untrusted",
    "Checkpoints.on_reply_untrusted",
    "Incoming._on_page_untrusted",
    "decode_page_untrusted",
    "is_genuine_untrusted",  # of what does not open
    "DirectRooms._on_device_untrusted",  # asked only where somebody's name has changed
    "RoomFeed.on_page_untrusted",
    "_keys_untrusted",  # keys of a user's own configuration
}


def untrusted_functions() -> set[tuple[str, str]]:
    """File and qualified name of every function that says that it reads bytes of others."""
    found = set()

    def walk(path: Path, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                walk(path, child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name.endswith("_untrusted"):
                found.add((str(path), prefix + child.name))

    for package in PACKAGES:
        for path in package.rglob("*.py"):
            walk(path, ast.parse(path.read_text("utf-8")), "")
    return found


def called_by_seeds() -> set[tuple[str, str]]:
    """The same, of every function that some target's valid seeds go through."""
    called: set[CodeType] = set()

    def notice(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    for target in TARGETS.values():
        seeds = target.seeds()
        sys.setprofile(notice)
        try:
            for seed in seeds:
                target.run(seed)
        finally:
            sys.setprofile(None)
    return {(code.co_filename, code.co_qualname) for code in called}


def test_no_untrusted_function_is_without_a_target() -> None:
    """Not by what a table claims: the valid seeds of the targets are run, and each function must have been called."""
    missing = {name for where, name in untrusted_functions() - called_by_seeds()}
    assert missing - ELSEWHERE == set()


def cases() -> Iterator[tuple[str, Path]]:
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file():
            yield path.parent.name, path


@pytest.mark.parametrize(("name", "path"), list(cases()), ids=lambda value: getattr(value, "name", value))
def test_what_was_found_stays_mended(name: str, path: Path) -> None:
    """An input that once raised, ate memory or took long is refused or taken like any other."""
    TARGETS[name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_valid_and_damaged_seeds_raise_nothing_else(name: str) -> None:
    """The seeds as they are, and cut or with bytes changed by chance of a fixed seed."""
    chance = random.Random(name)
    seeds = TARGETS[name].seeds()
    for seed in [*seeds[:8], *(chance.choice(seeds) for _ in range(8))]:
        TARGETS[name].run(seed)
        damaged = bytearray(seed or bytes(8))
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        TARGETS[name].run(bytes(damaged))
        TARGETS[name].run(bytes(damaged[: chance.randrange(len(damaged) + 1)]))


QUICK = sorted(
    {"varint", "frames", "hello", "kex-part", "request", "from-daemon", "entry", "statement", "proof-file"}
)


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=1300))
def test_any_bytes_raise_nothing_else(name: str, data: bytes) -> None:
    """The same functions, under Hypothesis."""
    TARGETS[name].run(data)


# The machinery -----------------------------------------------------------------------------------------------------


def test_a_planted_bug_comes_out() -> None:
    """What is not the one exception is let through to whoever runs the target, and the one exception is not."""
    PLANTED.run(b"")
    PLANTED.run(b"\x05b\x00")
    with pytest.raises(IndexError, match="planted"):
        PLANTED.run(b"\x05b\xff")


def test_the_fuzzer_finds_a_planted_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By coverage, in seconds, from a fixed seed; where atheris is not installed there is nothing to try."""
    pytest.importorskip("atheris")
    monkeypatch.setattr(fuzz, "FINDINGS", tmp_path)
    [outcome] = fuzz.fuzz([PLANTED.name], 30, 1)
    assert [path.read_bytes()[:3] for path in outcome.found] == [b"\x05b\xff"]
    assert outcome.failed


def test_scripts_change_what_they_say() -> None:
    """Parts come apart as they were joined, and an edit stands where it should."""
    parts = [(1, b"\x00\x02XY"), (0, b"")]
    assert split(join(parts)) == parts
    assert edited([b"abcd", b"abcd"], join(parts)) == [b"ab", b"abXY"]
