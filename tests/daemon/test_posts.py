"""Posts: checked, stored once whatever is repeated, refused in words, and never shown before they are stored."""

from pathlib import Path

import pytest

from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    Code,
    GetDevice,
    GetHistory,
    MessageEntry,
    Presence,
    decode_entry_untrusted,
    encode,
)
from bisik_protocol.chat.statements import statement_hash
from bisik_protocol.transport.events import CloseCode
from tests.support.keys import device_key
from tests.support.stage import Stage, Visitor, open_stage, text_of


def stored_texts(stage: Stage) -> list[str]:
    return [text_of(entry) for entry in stage.entries_seen if isinstance(entry, MessageEntry)]


async def test_nothing_is_shown_before_it_is_stored(tmp_path: Path) -> None:
    """While the disk is busy nobody sees the message, its author included."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        stage.writing.hold()
        tama.say("#lobby", "halo")
        await stage.settled()
        assert tama.texts("#lobby") == sari.texts("#lobby") == []
        stage.writing.release()
        await stage.settled()
        assert tama.texts("#lobby") == sari.texts("#lobby") == ["halo"]


async def test_posts_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """Many posts that arrive together are stored with few fsyncs."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        groups = len(stage.log.appended)
        tama.say("#lobby", *map(str, range(40)))
        await stage.settled()
        assert tama.texts("#lobby") == [str(number) for number in range(40)]
        assert len(stage.log.appended) - groups <= 2


async def test_the_statement_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    """What the author signed is what everybody gets."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        tama.say("#lobby", "halo \x1b[31m dunia")
        await stage.settled()
        (entry,) = (entry for entry in sari.entries("#lobby") if isinstance(entry, MessageEntry))
        assert entry.statement == tama.said["#lobby"][0]
        assert entry.author == "tama"
        assert entry.time == stage.time_ms


async def test_a_post_that_is_stored_already_is_answered_with_its_entry(tmp_path: Path) -> None:
    """A retry after a lost receipt stores nothing and shows nothing to the others."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        tama.say("#lobby", "one", "two")
        await stage.settled()
        tama.post("#lobby", tama.said["#lobby"][0])
        await stage.settled()
        assert tama.texts("#lobby") == ["one", "two", "one"]
        assert sari.texts("#lobby") == ["one", "two"]
        assert stored_texts(stage) == ["one", "two"]


async def test_a_post_that_is_on_its_way_is_stored_once_and_told_to_both(tmp_path: Path) -> None:
    """Two processes of one home post the same statement at the same time."""
    async with open_stage(tmp_path) as stage:
        first = await stage.member("tama", 1)
        second = await stage.member("tama", 1)
        await first.join("#lobby")
        await first.request_leave("#lobby")
        await first.join("#lobby", Presence.WRITER)
        await second.join("#lobby", Presence.WRITER)
        stage.writing.hold()
        first.say("#lobby", "halo")
        await stage.settled()
        second.post("#lobby", first.said["#lobby"][0])
        second.post("#lobby", first.said["#lobby"][0])
        await stage.settled()
        stage.writing.release()
        await stage.settled()
        assert first.texts("#lobby") == second.texts("#lobby") == ["halo"]
        assert stored_texts(stage) == ["halo"]


async def test_after_a_restart_a_repeated_post_is_still_stored_once(tmp_path: Path) -> None:
    """The chain is in the log: a new daemon knows the statement, and where the device's next one belongs."""
    async with open_stage(tmp_path) as before:
        tama = await before.member("tama", 1, "#lobby")
        tama.say("#lobby", "one")
        await before.settled()
        said = tama.said
    async with open_stage(tmp_path, log=before.log) as after:
        tama = await after.member("tama", 1)
        tama.said = said
        joined = await tama.join("#lobby", after=2)
        assert (joined.chain_seq, joined.chain_hash) == (1, statement_hash(said["#lobby"][0]))
        tama.post("#lobby", said["#lobby"][0])
        tama.say("#lobby", "two")
        await after.settled()
        assert tama.texts("#lobby") == ["one", "two"]
        assert stored_texts(after) == ["two"]


# What is refused ---------------------------------------------------------------------------------------------------


async def refused(tama: Visitor, statement: bytes, **how: object) -> list[tuple[int, Code]]:
    tama.post("#lobby", statement, **how)  # type: ignore[arg-type]
    await tama.stage.settled()
    assert tama.texts("#lobby") == ["one"]
    return tama.refused_posts


async def after_one(stage: Stage) -> Visitor:
    tama = await stage.member("tama", 1, "#lobby")
    tama.say("#lobby", "one")
    await stage.settled()
    return tama


@pytest.mark.parametrize("seq", [1, 3, 99])
async def test_a_statement_that_does_not_continue_its_chain_is_refused(tmp_path: Path, seq: int) -> None:
    """Another statement under a number that is taken, or a number that skips."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        assert await refused(tama, tama.statement("#lobby", "other", seq=seq)) == [(seq, Code.CHAIN)]


async def test_a_statement_that_names_another_predecessor_is_refused(tmp_path: Path) -> None:
    """The right number with the wrong hash is a chain that forked."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        statement = tama.statement("#lobby", "two", previous=b"x" * 32)
        assert await refused(tama, statement) == [(2, Code.CHAIN)]


async def test_two_statements_with_one_number_on_their_way_are_not_both_stored(tmp_path: Path) -> None:
    """The second is refused although the first is not stored yet."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        stage.writing.hold()
        tama.post("#lobby", tama.statement("#lobby", "first", seq=1))
        tama.post("#lobby", tama.statement("#lobby", "second", seq=1))
        await stage.settled()
        assert tama.refused_posts == [(1, Code.CHAIN)]
        stage.writing.release()
        await stage.settled()
        assert tama.texts("#lobby") == ["first"]


async def test_a_statement_for_another_room_is_refused(tmp_path: Path) -> None:
    """What was said in one room cannot be put into another."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        assert await refused(tama, tama.statement("#lab", "one")) == [(1, Code.STATEMENT_INVALID)]


async def test_a_statement_of_another_device_is_refused(tmp_path: Path) -> None:
    """Nobody posts what somebody else signed, be it genuine."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        sari = await stage.member("sari", 2, "#lobby")
        statement = sari.statement("#lobby", "from sari")
        assert await refused(tama, statement, signer=device_key(2)) == [(1, Code.STATEMENT_INVALID)]


async def test_a_statement_with_a_signature_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Signed by another key, the statement is not this device's word."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        statement = tama.statement("#lobby", "two")
        assert await refused(tama, statement, signer=device_key(2)) == [(2, Code.STATEMENT_INVALID)]


async def test_an_unreadable_statement_is_refused_without_a_number(tmp_path: Path) -> None:
    """The envelope was fine and what is in it was not: that is said, and the session goes on."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        assert await refused(tama, b"\x00 not a statement") == [(0, Code.STATEMENT_INVALID)]
        assert not tama.connection.closed


@pytest.mark.parametrize("lane", [CONTROL_LANE, 1, 77])
async def test_what_is_no_message_at_all_ends_the_session(tmp_path: Path, lane: int) -> None:
    """Bytes that are no request and no post, or a lane that was never opened: whoever speaks is not a client."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        tama.connection.arrive(lane, b"\xc1 garbage")
        await stage.settled()
        assert tama.connection.closed
        assert len(stage.sessions) == 0


async def test_a_post_to_a_room_that_was_left_is_ignored(tmp_path: Path) -> None:
    """Lanes are independent: a post may arrive after the leave that was sent after it."""
    async with open_stage(tmp_path) as stage:
        tama = await after_one(stage)
        await tama.request_leave("#lobby")
        tama.say("#lobby", "late")
        await stage.settled()
        assert stored_texts(stage) == ["one"]
        assert not tama.connection.closed


# A full disk -------------------------------------------------------------------------------------------------------


async def test_when_the_log_is_full_every_post_on_its_way_is_refused_to_its_author_only(tmp_path: Path) -> None:
    """Storage is the reason given, nobody else hears of it, and the same posts are taken when there is room."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        stage.log.full = True
        tama.say("#lobby", "one", "two")
        await stage.settled()
        assert tama.refused_posts == [(1, Code.STORAGE), (2, Code.STORAGE)]
        assert sari.refused_posts == []
        stage.log.full = False
        for statement in tama.said["#lobby"]:
            tama.post("#lobby", statement)
        await stage.settled()
        assert sari.texts("#lobby") == tama.texts("#lobby") == ["one", "two"]
        assert [entry.seq for entry in sari.entries("#lobby")] == list(range(1, 5))


async def test_a_joiner_is_told_the_stored_end_of_its_chain_only(tmp_path: Path) -> None:
    """What is on its way may still be refused, so it does not count as stored."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        stage.writing.hold()
        tama.say("#lobby", "on its way")
        await stage.settled()
        second = await stage.member("tama", 1)
        assert (await second.join("#lobby")).chain_seq == 0
        stage.writing.release()
        await stage.settled()
        assert (await second.join("#lobby")).chain_seq == 1


# History and keys --------------------------------------------------------------------------------------------------


async def test_history_goes_backwards_page_by_page(tmp_path: Path) -> None:
    """Each page is the entries just before the one asked about, oldest first, and the last page is empty."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", *map(str, range(1, 10)))
        await stage.settled()
        pages = []
        before: int | None = None
        while True:
            page = await tama.request(GetHistory(tama.number(), "#lobby", before, 4))
            if not page.entries:
                break
            pages.append([entry.seq for entry in map(decode_entry_untrusted, page.entries)])
            before = pages[-1][0]
        assert pages == [[7, 8, 9, 10], [3, 4, 5, 6], [1, 2]]


async def test_a_page_of_history_has_a_size_bound_and_always_an_entry(tmp_path: Path) -> None:
    """Long messages make shorter pages, and a message longer than a page comes alone."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", "x" * 20_000, "y" * 20_000, "z" * 20_000, "!" * 60_000)
        await stage.settled()
        first = await tama.request(GetHistory(tama.number(), "#lobby", None, 50))
        assert [decode_entry_untrusted(entry).seq for entry in first.entries] == [5]
        second = await tama.request(GetHistory(tama.number(), "#lobby", 5, 50))
        assert [decode_entry_untrusted(entry).seq for entry in second.entries] == [3, 4]


async def test_history_of_a_room_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A mistyped room is told apart from an empty one."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        assert tama.refusal(await tama.request(GetHistory(tama.number(), "#none"))) is Code.ROOM_INVALID


async def test_everybody_can_ask_whose_key_it_is(tmp_path: Path) -> None:
    """The name and the key itself, by the key's hash; unknown hashes are refused."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        sari = await stage.member("sari", 2)
        device = await tama.request(GetDevice(tama.number(), sari.key_hash))
        assert (device.name, device.device) == ("sari", device_key(2).public.modulus)
        assert tama.refusal(await tama.request(GetDevice(tama.number(), b"?" * 32))) is Code.UNKNOWN


async def test_a_session_that_asks_much_and_takes_nothing_is_put_out(tmp_path: Path) -> None:
    """Replies are bounded by what the far side takes."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", *["x" * 40_000] * 3)
        await stage.settled()
        tama.connection.takes = False
        for _ in range(100):
            tama.connection.arrive(CONTROL_LANE, encode(GetHistory(tama.number(), "#lobby")))
        await stage.settled()
        assert tama.connection.closed
        assert sum(len(data) for _, data in tama.connection.sent) < 3 * 1024 * 1024
        assert tama.connection.close_code == CloseCode.FLOW_CONTROL
