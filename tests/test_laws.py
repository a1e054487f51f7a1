"""The laws of the house that a test can hold: what the core may import, what may raise, and how tests are kept.

Each check reads the source as Python does, so that a law is broken where it is broken and not where it is mentioned.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROTOCOL = ROOT / "protocol" / "bisik_protocol"
PACKAGES = [PROTOCOL, ROOT / "daemon" / "bisikd", ROOT / "client" / "bisik"]
TESTS = ROOT / "tests"

# The core is sans-IO: bytes and time in, bytes and events out. What is not in here gives neither time nor randomness
# nor a way to the outside, or is `cryptography`, which draws its randomness where nothing branches on it, or is
# `pkgutil`, which reads a table that lies beside the code.
PURE = {
    "abc", "base64", "binascii", "bisect", "bisik_protocol", "collections", "confusable_homoglyphs",
    "cryptography", "dataclasses", "enum", "functools", "hashlib", "heapq", "hmac", "itertools", "math", "msgspec",
    "ipaddress", "operator", "pkgutil", "precis_i18n", "re", "string", "struct", "types", "typing", "unicodedata",
    "urllib.parse",
}  # fmt: skip


def sources(*roots: Path) -> list[Path]:
    return sorted(path for root in roots for path in root.rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """The modules that a file imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or "bisik_protocol"


def test_the_core_imports_nothing_that_knows_time_chance_or_the_world() -> None:
    """Only modules known to be pure, so that the same inputs give the same outputs and a seed replays a run."""
    broken = [
        f"{where(path, node)} imports {module}"
        for path in sources(PROTOCOL)
        for node, module in imported(tree_of(path))
        if not PURE & {module, module.split(".")[0]}
    ]
    assert broken == []


def test_the_core_calls_nothing_that_reads_or_writes() -> None:
    """Neither `open` nor `input` nor `print`, nor an import by name at run time."""
    forbidden = {"open", "input", "print", "__import__", "eval", "exec", "breakpoint"}
    broken = [
        f"{where(path, node)} calls {node.func.id}"
        for path in sources(PROTOCOL)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
    ]
    assert broken == []


def raised(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[ast.Raise, str]]:
    """What a function raises by name; a bare `raise`, or one of a variable, has none."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            exception = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            yield node, ast.unparse(exception)


def test_untrusted_functions_raise_one_type() -> None:
    """What reads bytes from the network says so in its name, and refuses them by RemoteProtocolError only."""
    broken = [
        f"{where(path, node)} in {function.name} raises {name}"
        for path in sources(PROTOCOL)
        for function in functions(tree_of(path))
        if function.name.endswith("_untrusted")
        for node, name in raised(function)
        if name != "RemoteProtocolError"
    ]
    assert broken == []


def test_what_refuses_bytes_on_the_wire_is_called_untrusted() -> None:
    """In `wire`, where bytes are read, whatever raises RemoteProtocolError carries the name that warns of it."""
    broken = [
        f"{where(path, node)} in {function.name}"
        for path in sources(PROTOCOL / "wire")
        for function in functions(tree_of(path))
        if not function.name.endswith("_untrusted")
        for node, name in raised(function)
        if name == "RemoteProtocolError"
    ]
    assert broken == []


def test_untrusted_functions_are_called_where_refusal_is_expected() -> None:
    """In the core, calls of `*_untrusted` stand in one, under an `except`, or in the handler of a frame."""
    broken = []
    for path in sources(PROTOCOL):
        for function in functions(tree_of(path)):
            if function.name.endswith("_untrusted") or function.name.startswith("_on_"):
                continue  # a handler's caller is the one that catches
            guarded = {id(node) for attempt in attempts(function) for part in attempt.body for node in ast.walk(part)}
            broken += [
                f"{where(path, call)} in {function.name} calls {name}"
                for call, name in untrusted_calls(function)
                if id(call) not in guarded
            ]
    assert broken == []


def attempts(function: ast.AST) -> Iterator[ast.Try]:
    """The `try` statements that expect RemoteProtocolError, or everything."""
    for node in ast.walk(function):
        if isinstance(node, ast.Try):
            caught = " ".join(ast.unparse(handler.type) if handler.type else "Exception" for handler in node.handlers)
            if "RemoteProtocolError" in caught or "BisikProtocolError" in caught or "Exception" in caught:
                yield node


def untrusted_calls(function: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name.endswith("_untrusted"):
                yield node, name


def test_secrets_are_not_shown() -> None:
    """A dataclass field named after a secret is left out of the representation, which ends up in logs."""
    words = ("secret", "password", "login_id", "traffic", "token", "reset_key", "cookie_key")
    broken = []
    for path in sources(*PACKAGES):
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ClassDef) or not any(
                "dataclass" in ast.unparse(d) for d in node.decorator_list
            ):
                continue
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    kind, shown = ast.unparse(field.annotation), "repr=False" not in ast.unparse(field)
                    secret = any(word in field.target.id for word in words) and not harmless(field.target.id)
                    if secret and shown and ("bytes" in kind or "str" in kind):
                        broken.append(f"{where(path, field)} {node.name}.{field.target.id}")
    assert broken == []


def harmless(name: str) -> bool:
    """What was hashed or encrypted is a secret no more."""
    return name.endswith("_hash") or name.startswith("sealed_")


def test_the_import_contracts_hold() -> None:
    """Arrows point down: what `lint-imports` checks in CI is checked here too, layers of the core included."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    result = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_every_source_file_says_what_it_is() -> None:
    """Each module that is not empty begins with a docstring; each package of ours and each folder of tests is one."""
    for path in sources(*PACKAGES, TESTS):
        tree = tree_of(path)
        assert not tree.body or ast.get_docstring(tree), f"{where(path, tree)} has no docstring"
    for root in (*PACKAGES, TESTS):
        for folder in {path.parent for path in sources(root)}:
            assert (folder / "__init__.py").exists(), f"{folder.relative_to(ROOT)} has no __init__.py"


TEST_FILES = [path for path in sources(TESTS) if path.name.startswith("test_")]


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_are_sentences_and_do_not_wait(path: Path) -> None:
    """Every test says in a docstring what holds, and none reads the clock, sleeps on it, or draws unseeded chance."""
    tree = tree_of(path)
    for function in functions(tree):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), f"{where(path, function)} {function.name} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            call = f"{node.value.id}.{node.attr}"
            assert call not in CLOCKS_AND_CHANCE, f"{where(path, node)} uses {call}"


CLOCKS_AND_CHANCE = {
    "time.sleep", "time.time", "datetime.now", "datetime.utcnow",
    "random.random", "random.randrange", "random.randint", "random.choice", "random.shuffle", "random.randbytes",
}  # fmt: skip


def test_names_of_test_files_are_unique_within_their_folder_and_functions_within_their_file() -> None:
    """A second function of the same name would silently replace the first, and never run."""
    for path in TEST_FILES:
        names = [node.name for node in tree_of(path).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        doubled = {name for name in names if names.count(name) > 1}
        assert not doubled, f"{path.relative_to(ROOT)}: {doubled}"
