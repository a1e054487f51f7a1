"""Run one target on files, without a fuzzer: `python -m tests.fuzz.replay TARGET FILE...`; no file: its seeds."""

import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    name, *paths = sys.argv[1:]
    for data in [Path(path).read_bytes() for path in paths] or TARGETS[name].seeds():
        TARGETS[name].run(data)


if __name__ == "__main__":
    main()
