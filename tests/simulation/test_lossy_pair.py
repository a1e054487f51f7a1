"""The first lossy tests: a handshake and 200 messages, at four rates of loss, fifty seeds each, in virtual time.

A failing run prints its seed and its loss; the same numbers here give the same run.
"""

import pytest

from tests.support.endpoints import Endpoints
from tests.support.simnet import Conditions

MESSAGES = 200
GAP_S = 0.02
SEEDS_A_TEST = 10  # so that workers share them
SETTLED_WITHIN_S = {0.0: 1.0, 0.1: 2.0, 0.3: 4.0, 0.5: 12.0}  # after the last message was sent


def talk(seed: int, loss: float) -> None:
    """One client, one server, 150 messages up and 50 down over three lanes; then both ends come to rest."""
    stage = Endpoints(seed, Conditions(loss=loss, duplicate=0.05, reorder=0.1, corrupt=0.03, truncate=0.01))
    net = stage.net
    caller, connection = stage.connect(limit=30.0)
    up: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    down: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for number in range(MESSAGES):
        lane, message = number % 3, b"message %d " % number * (1 + number % 7)
        if number % 4:
            up[lane].append(message)
            stage.send(caller, lane, message)
        else:
            down[lane].append(message)
            stage.send_back(connection, lane, message)
        net.run_for(GAP_S)

    def is_settled() -> bool:
        received = len(stage.received[connection]) + len(caller.messages)
        return received >= MESSAGES and all(
            stats.backlog_bytes == 0 and stats.in_flight_bytes == 0
            for stats in (caller.connection.stats(net.now), connection.stats(net.now))
        )

    net.run(is_settled, SETTLED_WITHIN_S[loss])
    net.run_for(1.0)
    assert by_lane(stage.received[connection]) == up
    assert by_lane(caller.messages) == down
    assert len(stage.opened) == len(stage.server) == 1


def by_lane(deliveries: list[tuple[float, int, bytes]]) -> dict[int, list[bytes]]:
    lanes: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for _, lane, data in deliveries:
        lanes[lane].append(data)
    return lanes


@pytest.mark.parametrize("first", range(0, 50, SEEDS_A_TEST), ids=lambda first: f"seeds {first}+")
@pytest.mark.parametrize("loss", list(SETTLED_WITHIN_S))
def test_handshake_and_two_hundred_messages(loss: float, first: int) -> None:
    """Every message arrives exactly once, in its lane's order, and afterwards nothing is owed or in flight."""
    for seed in range(first, first + SEEDS_A_TEST):
        try:
            talk(seed, loss)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, loss {loss}: {error}") from error


def test_the_same_seed_gives_the_same_run() -> None:
    """Times and sizes of all datagrams repeat, though the handshake's keys, which nothing depends on, do not."""
    runs = []
    for _ in range(2):
        stage = Endpoints(5, Conditions(loss=0.3, duplicate=0.1, reorder=0.1, jitter=0.01))
        log: list[tuple[float, int]] = []
        stage.net.tap = lambda source, target, datagram, log=log, stage=stage: log.append(  # type: ignore[misc]
            (stage.net.now, len(datagram))
        )
        caller, _ = stage.connect(limit=30.0)
        for number in range(20):
            stage.send(caller, 1, b"%d" % number)
            stage.net.run_for(0.1)
        runs.append(log)
    assert runs[0] == runs[1]
