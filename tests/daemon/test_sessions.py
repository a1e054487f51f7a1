"""The table of sessions: bounds, who is put out first, and a failure that stays where it happened."""

from pathlib import Path

import pytest

from bisik_protocol.chat.messages import Joined, ListRooms
from bisik_protocol.transport.events import CloseCode
from bisikd.config import Limits
from tests.support.stage import open_stage


async def test_a_session_ends_with_its_connection(tmp_path: Path) -> None:
    """Nothing of it is left in the table, in its rooms, or running."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        assert len(stage.sessions) == 1
        tama.connection.end(CloseCode.NORMAL)
        await stage.settled()
        assert len(stage.sessions) == 0
        assert list(stage.sessions) == []
        lobby = stage.chat.hub.get("#lobby")
        assert lobby is not None
        assert not lobby.memberships
        assert len(lobby.chains) == 0


async def test_among_too_many_strangers_the_one_who_waits_longest_goes(tmp_path: Path) -> None:
    """Somebody who holds the door without coming in cannot keep others out."""
    async with open_stage(tmp_path, limits=Limits(unadmitted_sessions=2)) as stage:
        member = await stage.member("tama", 1)
        strangers = [stage.visitor(2) for _ in range(3)]
        await stage.settled()
        assert [stranger.connection.closed for stranger in strangers] == [True, False, False]
        assert not member.connection.closed
        assert len(stage.sessions) == 3
        assert stage.sessions.counters == {"put-out": 1}


async def test_when_all_places_are_taken_the_newcomer_is_sent_away(tmp_path: Path) -> None:
    """Members are not put out for strangers."""
    async with open_stage(tmp_path, limits=Limits(sessions=2)) as stage:
        members = [await stage.member("tama", 1), await stage.member("tama", 1)]
        late = stage.visitor(2)
        await stage.settled()
        assert late.connection.close_code == CloseCode.REFUSED
        assert not any(member.connection.closed for member in members)
        assert stage.sessions.counters == {"full": 1}


async def test_a_user_with_too_many_sessions_loses_the_quietest(tmp_path: Path) -> None:
    """A phone that died five times today leaves five sessions; the one that is alive stays."""
    async with open_stage(tmp_path, limits=Limits(sessions_per_user=2)) as stage:
        first, second = await stage.member("tama", 1), await stage.member("tama", 1)
        first.connection.last_heard, second.connection.last_heard = 20.0, 10.0
        third = await stage.member("tama", 1)
        assert [visitor.connection.closed for visitor in (first, second, third)] == [False, True, False]
        assert second.connection.close_code == CloseCode.REFUSED
        await stage.member("sari", 2)
        assert not third.connection.closed


async def test_a_failure_in_one_session_ends_that_session_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is reported and costs one connection; the room goes on."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")

        def fail(*arguments: object) -> list[bytes]:
            raise ZeroDivisionError("a bug")

        with monkeypatch.context() as broken:
            broken.setattr(stage.log, "entries", fail)
            dewi = await stage.member("dewi", 3)
            dewi.ask_join("#lobby")
            await stage.settled()
        assert dewi.connection.close_code == CloseCode.INTERNAL
        (report,) = stage.failures
        stage.failures.clear()
        assert "ZeroDivisionError: a bug" in report
        tama.say("#lobby", "still here")
        await stage.settled()
        assert sari.texts("#lobby") == ["still here"]
        assert len(stage.sessions) == 2


async def test_a_log_that_lost_history_ends_the_session_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence would look like a complete history; the client reconnects and the operator is told."""
    async with open_stage(tmp_path) as stage:
        await stage.member("tama", 1, "#lobby")
        monkeypatch.setattr(stage.log, "entries", lambda *arguments: [])
        sari = await stage.member("sari", 2)
        sari.ask_join("#lobby")
        await stage.settled()
        assert sari.connection.close_code == CloseCode.INTERNAL
        assert "The log has nothing after entry 0 of #lobby" in stage.failures.pop()


async def test_a_connection_that_is_over_is_not_answered(tmp_path: Path) -> None:
    """What arrived before the goodbye but was not handled yet is dropped."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        sent = len(tama.connection.sent)
        tama.ask(ListRooms(tama.number()))
        tama.connection.end(CloseCode.NORMAL)
        await stage.settled()
        assert len(tama.connection.sent) == sent


async def test_one_user_may_be_in_a_room_from_many_sessions(tmp_path: Path) -> None:
    """Each session has its own lanes and its own place in the room."""
    async with open_stage(tmp_path) as stage:
        sessions = [await stage.member("tama", 1) for _ in range(3)]
        for session in sessions:
            assert isinstance(await session.join("#lobby"), Joined)
        sessions[0].say("#lobby", "halo")
        await stage.settled()
        assert [session.texts("#lobby") for session in sessions] == [["halo"]] * 3
