"""What the demo's network does to datagrams: the shares that were asked for, by the seed, and nothing else."""

import random

import pytest

from bisik.demo.weather import Conditions, Weather

FINE = Conditions(delay_s=0.02, jitter_s=0.0, loss=0.0, duplicate=0.0, corrupt=0.0, hold_back=0.0)
DATAGRAMS = [random.Random(n).randbytes(40) for n in range(2000)]


def weather(conditions: Conditions, seed: int = 7) -> Weather:
    return Weather(conditions, random.Random(seed))


def carry_all(conditions: Conditions, seed: int = 7) -> tuple[Weather, list[list[tuple[float, bytes]]]]:
    sky = weather(conditions, seed)
    return sky, [sky.carry(datagram) for datagram in DATAGRAMS]


def test_in_fine_weather_everything_arrives_as_it_was_after_the_delay() -> None:
    """Without any share, each datagram arrives once, whole, and when the delay says."""
    sky, arriving = carry_all(FINE)
    assert arriving == [[(0.02, datagram)] for datagram in DATAGRAMS]
    assert sky.counts == {"offered": len(DATAGRAMS)}


def test_the_same_seed_makes_the_same_weather() -> None:
    """A run can be replayed by its seed; another seed is another run."""
    stormy = Conditions()
    assert carry_all(stormy, 1)[1] == carry_all(stormy, 1)[1]
    assert carry_all(stormy, 1)[1] != carry_all(stormy, 2)[1]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3, 1.0])
def test_the_asked_for_share_is_lost(loss: float) -> None:
    """What is lost does not arrive, is counted, and is about as much as was asked for."""
    sky, arriving = carry_all(Conditions(loss=loss, duplicate=0.0))
    assert sky.counts["lost"] == sum(not copies for copies in arriving)
    assert sky.counts["lost"] / len(DATAGRAMS) == pytest.approx(loss, abs=0.04)


def test_a_copy_arrives_after_the_original_and_is_counted() -> None:
    """A duplicated datagram arrives twice, the second time later."""
    sky, arriving = carry_all(Conditions(loss=0.0, duplicate=0.2, corrupt=0.0))
    twice = [copies for copies in arriving if len(copies) == 2]
    assert sky.counts["duplicated"] == len(twice)
    assert len(twice) / len(DATAGRAMS) == pytest.approx(0.2, abs=0.04)
    assert all(first[1] == second[1] and first[0] < second[0] for first, second in twice)


def test_a_damaged_datagram_differs_in_one_byte() -> None:
    """Damage changes one byte, always really, and never the length."""
    sky, arriving = carry_all(Conditions(loss=0.0, duplicate=0.0, corrupt=0.3))
    differences = [
        sum(a != b for a, b in zip(datagram, copies[0][1], strict=True))
        for datagram, copies in zip(DATAGRAMS, arriving, strict=True)
    ]
    assert set(differences) == {0, 1}
    assert sky.counts["corrupted"] == sum(differences)


def test_an_empty_datagram_cannot_be_damaged() -> None:
    """UDP allows datagrams of no bytes; they have no byte to change."""
    assert weather(Conditions(loss=0.0, duplicate=0.0, corrupt=1.0)).carry(b"")[0][1] == b""


def test_delays_stay_within_their_bounds() -> None:
    """Delay, jitter and holding back add up, and to no more than that."""
    _, arriving = carry_all(Conditions(delay_s=0.03, jitter_s=0.02, hold_back=0.5, hold_back_s=0.06, loss=0.0))
    delays = [copies[0][0] for copies in arriving]
    assert min(delays) >= 0.03
    assert max(delays) <= 0.03 + 0.02 + 0.06
    assert sum(delay > 0.05 for delay in delays) / len(delays) == pytest.approx(0.5 * 5 / 6, abs=0.05)
