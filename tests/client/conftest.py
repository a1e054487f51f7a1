"""A daemon for the tests that need a real one; those that harm it take one of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.processes import Daemon


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all tests that only talk to it; each uses names and rooms of its own."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    yield daemon
    daemon.stop()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that may be killed."""
    made = Daemon(tmp_path / "daemon")
    yield made
    made.stop()
