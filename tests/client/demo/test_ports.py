"""The demo's daemon comes back on its port, so nobody else may be given that port in between."""

import socket

import pytest

from bisik.demo.ports import HIGHEST, LOWEST, steady_port


def test_a_steady_port_is_free_and_below_what_systems_hand_out() -> None:
    """It can be bound, and no socket gets it by accident."""
    port = steady_port()
    assert LOWEST <= port <= HIGHEST
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))


def test_a_port_that_is_in_use_is_passed_over() -> None:
    """The next one is tried, and in the end it is said that there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        taken = sock.getsockname()[1]
        free = steady_port()
        choices = iter([taken, free])
        assert steady_port(lambda lowest, highest: next(choices)) == free
        with pytest.raises(OSError, match="no free UDP port"):
            steady_port(lambda lowest, highest: taken)
