"""Message rates: a burst, then a pace; refused with a time and never dropped; each person for themselves."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.chat.messages import Code, Joined, PostRefused
from bisikd.config import Limits
from bisikd.rates import MAX_BUCKETS, MIN_WAIT_S, Rates, cost_of
from tests.support.stage import open_stage

LOBBY = "#lobby"


def take(
    rates: Rates, now: float, name: str = "tama", cost: int = 1, burst: int = 3, per_second: float = 0.5
) -> float:
    return rates.take(now, name, cost, burst=burst, per_second=per_second)


@pytest.mark.parametrize(
    ("times", "waits"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 2]),
        ([0, 0, 0, 2, 2], [0, 0, 0, 0, 2]),
        ([0, 0, 0, 1], [0, 0, 0, 1]),
        ([0, 0, 0, 1.9], [0, 0, 0, MIN_WAIT_S]),
        ([0, 0, 0, 6, 6, 6, 6], [0, 0, 0, 0, 0, 0, 2]),
        ([10, 10, 10, 0], [0, 0, 0, 2]),  # a clock that went back gives nothing
    ],
)
def test_a_burst_and_then_a_pace(times: list[float], waits: list[float]) -> None:
    """Three at once, then one each two seconds; who is refused is told when it will do."""
    rates = Rates()
    assert [take(rates, now) for now in times] == waits


@given(st.lists(st.floats(0, 5), max_size=60))
def test_nobody_gets_more_than_burst_and_pace(gaps: list[float]) -> None:
    """Whatever the times: taken is at most the burst and what time has filled."""
    rates, now, taken = Rates(), 0.0, 0
    for gap in gaps:
        now += gap
        taken += take(rates, now) == 0
    assert taken <= 3 + now * 0.5 + 1e-6


@given(st.lists(st.floats(0, 3), max_size=30))
def test_after_the_time_that_was_told_it_is_taken(gaps: list[float]) -> None:
    """The promise holds for whoever sends nothing in between."""
    rates, now = Rates(), 0.0
    for gap in gaps:
        now += gap
        wait_s = take(rates, now)
        if wait_s:
            now += wait_s + 1e-6
            assert take(rates, now) == 0


def test_each_has_a_bucket_and_without_a_rate_there_is_no_limit() -> None:
    """One who floods slows nobody else."""
    rates = Rates()
    assert sum(take(rates, 0) == 0 for _ in range(100)) == 3
    assert take(rates, 0, "budi") == 0
    assert all(take(rates, 0, per_second=0) == 0 for _ in range(1000))


def test_long_messages_count_as_several_and_the_longest_still_goes() -> None:
    """By each 4 KiB; what is more than a whole burst takes a full bucket."""
    assert [cost_of(size) for size in (0, 4095, 4096, 60_000)] == [1, 1, 2, 15]
    rates = Rates()
    assert take(rates, 0, cost=15) == 0
    assert take(rates, 0, cost=1) == 2
    assert take(rates, 6, cost=15) == 0


def test_memory_is_of_those_who_spoke_lately() -> None:
    """A full bucket is forgotten, and there is a bound."""
    rates = Rates()
    for number in range(MAX_BUCKETS + 50):
        take(rates, 0, f"user{number}")
    assert len(rates) == MAX_BUCKETS
    rates.settle(2.0, 0.5)
    assert len(rates) == 0


async def test_what_is_too_fast_is_refused_with_a_time_and_not_lost(tmp_path: Path) -> None:
    """Of one person, over all rooms and sessions; others go on; moderators too are people."""
    async with open_stage(tmp_path, limits=Limits(messages_burst=2, messages_per_second=0.5)) as stage:
        tama = await stage.member("tama", 1, LOBBY, "#ops")
        budi = await stage.member("budi", 2, LOBBY)
        tama.say(LOBBY, "one")
        tama.say("#ops", "two")
        tama.post(LOBBY, tama.statement(LOBBY, "three"))
        await stage.settled()
        budi.say(LOBBY, "hello")
        await stage.settled()
        (refusal,) = [reply for reply in tama.control if isinstance(reply, PostRefused)]
        assert (refusal.code, refusal.seq) == (Code.TRY_LATER, 2)
        assert 1000 <= refusal.wait_ms <= 2000
        assert "0.5 messages a second" in refusal.text
        assert budi.texts(LOBBY) == ["one", "hello"]
        stage.chat.set_limits(Limits(messages_per_second=0))
        tama.say(LOBBY, "three")
        await stage.settled()
        assert budi.texts(LOBBY) == ["one", "hello", "three"]


async def test_one_member_cannot_use_up_all_rooms(tmp_path: Path) -> None:
    """So many a day, refused in words after that; rooms that are there, other members and moderators are free."""
    async with open_stage(tmp_path, limits=Limits(new_rooms_per_day=2)) as stage:
        tama = await stage.member("tama", 1, LOBBY, "#one", "#two")
        reply = await tama.join("#three")
        assert tama.refusal(reply) is Code.ROOM_LIMIT
        assert reply.text == "You have begun 2 rooms in a day, and that is the limit."
        budi = await stage.member("budi", 2, "#three")
        assert budi.lanes
        assert isinstance(await tama.join("#three"), Joined)
        stage.promote("tama")
        assert isinstance(await tama.join("#four"), Joined)


async def test_the_same_post_again_costs_nothing(tmp_path: Path) -> None:
    """A retry of what is stored is answered with its entry, however fast it comes."""
    async with open_stage(tmp_path, limits=Limits(messages_burst=1, messages_per_second=0.1)) as stage:
        tama = await stage.member("tama", 1, LOBBY)
        tama.say(LOBBY, "one")
        await stage.settled()
        for _ in range(5):
            tama.post(LOBBY, tama.said[LOBBY][0])
            await stage.settled()
        assert tama.refused_posts == []
        assert tama.texts(LOBBY) == ["one"] * 6
