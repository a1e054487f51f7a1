"""bisikd.toml: reading it with the line of each key, and writing the one that documents every key.

It owns the text. What keys there are is in `settings`; what is above the file in `loading`.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli_w

from bisikd.config.settings import STATE_WORDS, Key, all_keys, all_tables
from bisikd.errors import UsageProblem

MAX_FILE_BYTES: Final = 1024 * 1024
_HEADER: Final = re.compile(r"\s*\[\s*([\w.\"' -]+?)\s*\]\s*(?:#.*)?$")
_ASSIGNMENT: Final = re.compile(r"\s*([\w.\"' -]+?)\s*=")

INTRODUCTION: Final = (
    "The configuration of bisikd. Every key is here with its default, commented out: take away the # of those that\n"
    "you change. The environment stands above this file, and flags above the environment; `bisikd config show` says\n"
    "what holds, and where it comes from. `bisikd reload` takes in what was changed, or says why it cannot."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A value that stands in the file, under a key that exists."""

    value: Any
    line: int | None


def read_file(path: Path, *, required: bool) -> dict[str, Written]:
    """What the file sets, by full name; `state` may be among it. Raises UsageProblem with file, line and key."""
    text = _read(path, required=required)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageProblem(f"{path} is not valid TOML: {error}.") from None
    known = {key.name for key in all_keys()} | {"state"}
    tables = {name for name, _, _ in all_tables()}
    lines = _lines(text)
    found: dict[str, Written] = {}
    for name, value in _flat(content, tables):
        line = lines.get(name)
        if name in tables:
            raise UsageProblem(f"{at(path, line)}: '{name}' is a table: write [{name}] and its keys below.")
        if name not in known:
            raise UsageProblem(f"{at(path, line)}: there is no key '{name}'.{nearest(name, known, tables)}")
        found[name] = Written(value=value, line=line)
    return found


def at(path: Path, line: int | None) -> str:
    """Where something stands, for the beginning of a sentence."""
    return str(path) if line is None else f"{path}, line {line}"


def nearest(name: str, known: Iterable[str], tables: Iterable[str] = ()) -> str:
    """A sentence that helps who wrote a key that does not exist."""
    known = sorted(known)
    near = difflib.get_close_matches(name, [*known, *(f"[{table}]" for table in tables)], n=1)
    if near:
        return f" Did you mean '{near[0]}'?"
    table = name.rpartition(".")[0]
    beside = [key for key in known if key.rpartition(".")[0] == table] or known
    return f" The keys are: {', '.join(beside)}."


def _read(path: Path, *, required: bool) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise UsageProblem(f"There is no configuration file {path}.") from None
        return ""
    except OSError as error:
        raise UsageProblem(f"Cannot read {path}: {error.strerror or error}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageProblem(f"{path} is larger than any configuration; is it the right file?")
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageProblem(f"{path} is not valid TOML: line {line} is not UTF-8 text.") from None


def _flat(content: dict[str, Any], tables: set[str]) -> Iterable[tuple[str, Any]]:
    """Every value by its full name, one table deep; a table that is none of ours as a value of its own."""
    for name, value in content.items():
        if isinstance(value, dict) and (name in tables or value):
            for inner, inner_value in value.items():
                yield f"{name}.{inner}", inner_value
        else:
            yield name, value


def _lines(text: str) -> dict[str, int]:
    """On which line each key is set. The file has been read as TOML: looking at how lines begin is enough."""
    found: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            found.setdefault(_bare(header[1]), number)
            prefix = _bare(header[1]) + "."
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(prefix + _bare(assignment[1]), number)
    return found


def _bare(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


# Writing -----------------------------------------------------------------------------------------------------------


def documented_file() -> str:
    """The whole file: every key explained and commented out, with its default."""
    parts = [_comment(INTRODUCTION), "", _comment(STATE_WORDS), '# state = "/var/lib/bisikd"', ""]
    keys = list(all_keys())
    for name, words in [("", ""), *((name, words) for name, _, words in all_tables())]:
        if name:
            parts += ["", _comment(words), f"[{name}]", ""]
        for key in keys:
            if key.table == name:
                parts += [_comment(_words(key)), f"# {toml_line(key, key.default)}", ""]
    return "\n".join(parts).rstrip() + "\n"


def toml_line(key: Key, value: Any) -> str:
    """`name = value` as it stands in the key's table; a key without a value is shown empty."""
    shown = "" if value is None else key.kind.show(value)
    return tomli_w.dumps({key.name.rpartition(".")[2]: shown}).rstrip("\n")


def _words(key: Key) -> str:
    words = f"{key.words}\n{key.kind.words[0].upper()}{key.kind.words[1:]}"
    words += "; by default there is none." if key.default is None else "."
    return words + (" A change needs a restart." if key.restart else "")


def _comment(words: str) -> str:
    return "\n".join(f"# {line}" for line in words.split("\n"))
