"""A port that stays free while its daemon is dead."""

import random
import socket
from collections.abc import Callable
from typing import Final

LOWEST: Final = 20_000
HIGHEST: Final = 32_767  # above it systems hand ports out by themselves: Linux from 32768, others from 49152
TRIES: Final = 200


def steady_port(choose: Callable[[int, int], int] = random.randint) -> int:
    """A free UDP port of 127.0.0.1, below those that any socket may be given without asking for it.

    Raises OSError when none was found.
    """
    for _ in range(TRIES):
        port = choose(LOWEST, HIGHEST)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("there is no free UDP port")
