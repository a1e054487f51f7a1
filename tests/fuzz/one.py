"""Targets under atheris, one after the other. `tests.fuzz.fuzz` starts it: DIRECTORY NAME... -- LIBFUZZER'S OPTIONS.

To instrument the project takes most of half a minute, so it is done once, and each target runs in a fork of its own:
libFuzzer ends the process it runs in. What it says goes to DIRECTORY/NAME.log, its exit code to DIRECTORY/NAME.exit.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import atheris  # type: ignore[import-not-found, unused-ignore] # only `make fuzz` installs it

if TYPE_CHECKING:  # nothing of the project may be imported before it is instrumented, or the fuzzer is blind to it
    from tests.fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    directory, between = Path(sys.argv[1]), sys.argv.index("--")
    names, options = sys.argv[2:between], sys.argv[between + 1 :]
    targets = _planted() if names == ["planted"] else _all()
    for name in names:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _fuzz(targets[name], directory, options)
        _, status = os.waitpid(child, 0)
        lasted_s = time.monotonic() - began
        (directory / f"{name}.exit").write_text(f"{os.waitstatus_to_exitcode(status)} {lasted_s}")


def _all() -> dict[str, "Target"]:
    with atheris.instrument_imports(include=["bisik", "bisikd", "bisik_protocol"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 # what is imported here is instrumented
    return TARGETS


def _planted() -> dict[str, "Target"]:
    with atheris.instrument_imports(include=["tests.fuzz.planted"]):
        from tests.fuzz.planted import PLANTED  # noqa: PLC0415 # as above
    return {PLANTED.name: PLANTED}


def _fuzz(target: "Target", directory: Path, options: list[str]) -> None:
    """Never returns."""
    log = os.open(directory / f"{target.name}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    corpus = [directory / target.name, CORPUS / target.name]
    corpus[0].mkdir()
    for number, seed in enumerate(target.seeds()):
        (corpus[0] / f"seed-{number}").write_bytes(seed)
        target.run(seed)  # keys and logs that targets make once are no part of an input's time
    atheris.Setup(["fuzz", *(str(path) for path in corpus if path.is_dir()), *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
