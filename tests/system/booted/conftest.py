"""One booted machine for all tests here, and the service installed on it as an operator would."""

from collections.abc import Iterator

import pytest

from tests.support.booted import BootedMachine, booted, why_not


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "booted" in item.path.parts:
            item.add_marker(pytest.mark.systemd)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedMachine]:
    if reason := why_not():
        pytest.skip(reason)
    with booted(tmp_path_factory.mktemp("booted")) as machine:
        yield machine


@pytest.fixture
def service(machine: BootedMachine) -> BootedMachine:
    """The machine with bisikd installed and running, and no settings beside its own."""
    machine.bisikd("install", "--yes", "--public-host", "127.0.0.1")
    machine.run("systemctl", "reset-failed")
    return machine
