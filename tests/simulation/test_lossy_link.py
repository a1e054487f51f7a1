"""The promise at its smallest: a handshake and 200 messages over a link that loses up to half, seed by seed."""

import pytest

from tests.support.endpoints import Endpoints
from tests.support.simnet import Conditions

MESSAGES = 200
LANES = 3
EVERY_S = 0.05
SEEDS = 50
AT_ONCE = 5  # seeds a test, so that workers share them


def converse(seed: int, loss: float) -> None:
    """Both ways at once on three lanes, after a handshake over the same link."""
    bad = Conditions(loss=loss, duplicate=0.03, reorder=0.05, corrupt=0.01, jitter=0.01) if loss else Conditions()
    stage = Endpoints(seed, bad)
    caller, connection = stage.connect()
    sent = [(number % LANES, b"%d " % number + bytes(90)) for number in range(MESSAGES)]
    for number, (lane, message) in enumerate(sent):
        there = number % 2 == 0

        def say(lane: int = lane, message: bytes = message, there: bool = there) -> None:
            if there:
                stage.send(caller, lane, message)
            else:
                stage.send_back(connection, lane, message)

        stage.net.at(stage.net.now + number * EVERY_S, say)
    stage.net.run(lambda: len(stage.received[connection]) + len(caller.messages) >= MESSAGES, 120.0)
    stage.net.run_for(5.0)  # what comes twice would come now
    for taken, parity in ((stage.received[connection], 0), (caller.messages, 1)):
        for lane in range(LANES):
            expected = [message for number, (on, message) in enumerate(sent) if on == lane and number % 2 == parity]
            assert [message for _, on, message in taken if on == lane] == expected, f"seed {seed}, loss {loss}"
    assert caller.connection.stats(stage.net.now).in_flight_bytes == 0, f"seed {seed}, loss {loss}"


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3, 0.5])
def test_two_hundred_messages_arrive_once_and_in_order(loss: float, first: int) -> None:
    """Every message of either side, once, in its lane's order, and nothing stays in flight. Fails with the seed."""
    for seed in range(first, first + AT_ONCE):
        converse(seed, loss)
