"""Keys that the service manager hands in, in place of files of the state directory (systemd.exec(5), Credentials).

They are sealed to the machine on disk and lie in memory that cannot be swapped, for the service alone, while it runs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PREFIX: Final = "bisikd."
_MAX_BYTES: Final = 64 * 1024


def credential(name: str, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """What was given as `bisikd.NAME`, or None. Raises OSError if it is there and cannot be read."""
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    try:
        with (Path(directory) / (PREFIX + name)).open("rb") as file:
            return file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
