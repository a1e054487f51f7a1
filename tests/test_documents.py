"""The documents beside the protocol: what they point to exists, and what they list is complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|bisik:)([^)\s]+)\)")


def _links(document: Path) -> list[tuple[str, str]]:
    """Text and target of each link to something in this repository."""
    return LINK.findall(document.read_text(encoding="utf-8"))


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Each link is to a file that is there, and to a heading that is in it."""
    for _, target in _links(document):
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), target


def test_every_test_that_a_promise_names_is_there() -> None:
    """A promise in threats.md that loses its test is a promise no more."""
    named = [(text.strip("`"), target) for text, target in _links(ROOT / "docs" / "threats.md") if "tests/" in target]
    assert len(named) > 30
    for name, target in named:
        assert f"def {name}(" in (ROOT / "docs" / target).resolve().read_text(encoding="utf-8"), name


# Reasons -------------------------------------------------------------------------------------------------------

# What a server counts comes from here; the rest of the protocol is the client's, or is answered and not dropped.
SERVER_SIDE = ["wire", "transport", "crypto/handshake_server.py", "crypto/mac.py", "crypto/protection.py"]
SERVER_SIDE += ["crypto/versions.py"]
CLIENTS_ONLY = {"reset"}


def _server_modules() -> Iterator[Path]:
    for place in SERVER_SIDE:
        path = ROOT / "protocol" / "bisik_protocol" / place
        yield from path.glob("*.py") if path.is_dir() else [path]


def _raised_reasons(module: Path) -> set[str]:
    """The literal reasons of RemoteProtocolError, and of what is counted without one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RemoteProtocolError":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("self.drops", "self._drops"):
            found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
    return found


def test_every_reason_for_a_drop_is_explained() -> None:
    """`bisikd status` shows reasons; operating.md says what each means, and no others."""
    reasons = set().union(*(_raised_reasons(path) for path in _server_modules() if path.name != "client.py"))
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = text[text.index("\n## What was dropped\n") :].split("\n## ")[1]
    explained = set(re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))))
    sockets_and_sessions = {
        "send-",
        "receive-",
        "session-full",
        "session-put-out",
        "session-failed",
        "session-banned",
    }
    assert explained == reasons - CLIENTS_ONLY | sockets_and_sessions
