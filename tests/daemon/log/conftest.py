"""Logs are left open here on purpose, as by a killed process; what Python would complain about is given back."""

from collections.abc import Iterator

import pytest

from tests.daemon.log.bench import forget_all


@pytest.fixture(autouse=True)
def _forget_open_logs() -> Iterator[None]:
    yield
    forget_all()
