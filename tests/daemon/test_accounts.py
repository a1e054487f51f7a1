"""What the operator does to accounts while people use them: everybody sees the same, and no message is lost of it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import bisikd.journal
from bisik_protocol.chat.messages import Admitted, Code, Device, GetDevice, MessageEntry
from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.events import CloseCode
from bisikd.accounts import Accounts, NoAccount
from bisikd.errors import BisikdError
from bisikd.users import NameTaken, NotWritten, Role
from tests.support.stage import Stage, Visitor, open_stage


def accounts_of(stage: Stage) -> Accounts:
    return Accounts(stage.chat.doorkeeper, stage.sessions.put_out)


@asynccontextmanager
async def in_background(act: Callable[..., Awaitable[object]], *arguments: str) -> AsyncIterator[trio.Event]:
    """Do it beside the body; the event is set once it is done."""
    done = trio.Event()

    async def run() -> None:
        await act(*arguments)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield done


def authors(visitor: Visitor, room: str) -> list[str]:
    return [entry.author for entry in visitor.entries(room) if isinstance(entry, MessageEntry)]


# Renaming ----------------------------------------------------------------------------------------------------------


async def test_a_renamed_member_comes_back_by_the_old_name_and_speaks_under_the_new_one(tmp_path: Path) -> None:
    """The client knows only the name that it had; it is told the one that it has."""
    async with open_stage(tmp_path) as stage:
        reader = await stage.member("budi", 2, "#lobby")
        before = await stage.member("tama", 1, "#lobby")
        before.say("#lobby", "one")
        await stage.settled()
        await accounts_of(stage).rename("tama", "sari")
        assert before.connection.close_code == CloseCode.GOING_AWAY
        after = stage.visitor(1)
        admitted = await after.login("tama")
        assert isinstance(admitted, Admitted)
        assert admitted.name == "sari"
        joined = await after.join("#lobby")
        after.said["#lobby"] = before.said["#lobby"]
        assert joined.chain_seq == 1
        after.say("#lobby", "two")
        await stage.settled()
        assert authors(reader, "#lobby") == ["tama", "sari"]
        device = await reader.request(GetDevice(reader.number(), after.key_hash))
        assert isinstance(device, Device)
        assert (device.name, device.formerly) == ("sari", ["tama"])


async def test_what_was_said_just_before_a_rename_is_stored_under_the_old_name_and_nothing_after_it(
    tmp_path: Path,
) -> None:
    """The log would not take a message whose author is not its key's; none may come to it."""
    async with open_stage(tmp_path) as stage:
        reader = await stage.member("budi", 2, "#lobby")
        tama = await stage.member("tama", 1, "#lobby")
        stage.writing.hold()
        tama.say("#lobby", "before")
        await stage.settled()
        async with in_background(accounts_of(stage).rename, "tama", "sari") as renamed:
            await stage.settled()
            tama.say("#lobby", "after")
            refused = await stage.visitor(1).login("tama")
            assert refused.code is Code.TRY_LATER
            stage.writing.release()
            await renamed.wait()
        assert authors(reader, "#lobby") == ["tama"]
        assert isinstance(await stage.visitor(1).login("sari"), Admitted)


async def test_what_waits_for_the_disk_while_its_author_is_renamed_is_left_to_the_client_to_send_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not taken yet, and taken now it would be under a name that its key has no more."""
    monkeypatch.setattr(bisikd.journal, "MAX_QUEUED", 1)
    async with open_stage(tmp_path) as stage:
        reader = await stage.member("budi", 2, "#lobby")
        tama = await stage.member("tama", 1, "#lobby")
        stage.writing.hold()
        for text in ("writing", "queued", "waits"):
            tama.say("#lobby", text)
            await stage.settled()
        async with in_background(accounts_of(stage).rename, "tama", "sari") as renamed:
            await stage.settled()
            stage.writing.release()
            await renamed.wait()
        assert reader.texts("#lobby") == ["writing", "queued"]
        assert isinstance(await stage.visitor(1).login("sari"), Admitted)


async def test_a_rename_that_the_disk_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has been told then, and is told again; the member goes on under the old name."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")

        def refuse(name: str, new_name: str) -> None:
            raise NotWritten("The disk refused.")

        monkeypatch.setattr(stage.users, "rename", refuse)
        with pytest.raises(NotWritten):
            await accounts_of(stage).rename("tama", "sari")
        assert stage.log.device(tama.key_hash) == ("tama", tama.device.public.modulus)
        again = await stage.member("tama", 1, "#lobby")
        again.say("#lobby", "still tama")
        await stage.settled()
        assert authors(again, "#lobby") == ["tama"]


async def test_a_rename_that_the_log_has_no_room_for_is_refused_before_anything_changes(tmp_path: Path) -> None:
    """Nobody is called anything else, and the member comes back."""
    async with open_stage(tmp_path) as stage:
        await stage.member("tama", 1, "#lobby")
        stage.log.full = True
        with pytest.raises(BisikdError, match="no room left"):
            await accounts_of(stage).rename("tama", "sari")
        assert stage.users.get("tama") is not None
        assert isinstance(await stage.visitor(1).login("tama"), Admitted)


async def test_a_name_that_is_anothers_cannot_be_given(tmp_path: Path) -> None:
    """Nor one that looks like it; nobody is put out for the try."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        await stage.member("sari", 2)
        with pytest.raises(NameTaken):
            await accounts_of(stage).rename("tama", "sari")
        assert not tama.connection.closed
        with pytest.raises(NoAccount, match="Nobody is called dewi"):
            await accounts_of(stage).rename("dewi", "x")


# Closing -----------------------------------------------------------------------------------------------------------


async def test_a_closed_account_puts_its_devices_out_and_tells_them_why_and_nobody_else(tmp_path: Path) -> None:
    """Who holds the key may know; a stranger with the name is told what every stranger is told."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        await accounts_of(stage).close("tama")
        assert tama.connection.close_code == CloseCode.REFUSED
        assert (await stage.visitor(1).login("tama")).code is Code.ACCOUNT_CLOSED
        assert (await stage.visitor(3).login("tama")).code is Code.INCORRECT_PASSWORD
        posing = stage.visitor(1)
        posing.connection.channel_binding = b"another channel"  # the key's signature, from somewhere else
        assert (await posing.login("tama")).code is Code.INCORRECT_PASSWORD
        newcomer = stage.visitor(4)
        await newcomer.prove()
        assert (await newcomer.register("tama")).code is Code.NAME_TAKEN
        assert (await newcomer.login("tama", "any")).code is Code.NAME_UNKNOWN


async def test_what_a_closed_or_forgotten_account_said_can_still_be_verified(tmp_path: Path) -> None:
    """Its key is told to whoever asks: from its file, and then from the log."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        budi = await stage.member("budi", 2)
        await accounts_of(stage).close("tama")
        for _ in range(2):
            device = await budi.request(GetDevice(budi.number(), tama.key_hash))
            assert (device.name, device.device) == ("tama", tama.device.public.modulus)
            if stage.users.get_closed("tama"):
                await accounts_of(stage).forget("tama")
        newcomer = stage.visitor(4)
        await newcomer.prove()
        assert isinstance(await newcomer.register("tama"), Admitted)


async def test_a_person_whose_account_was_closed_may_begin_anew_where_the_password_is_known(tmp_path: Path) -> None:
    """Closing is no ban: it ends the account, not the person."""
    async with open_stage(tmp_path) as stage:
        await stage.member("tama", 1)
        await accounts_of(stage).close("tama")
        again = stage.visitor(1)
        await again.prove()
        assert isinstance(await again.register("sari"), Admitted)
        again = await stage.member("sari", 1, "#lobby")
        again.say("#lobby", "new")
        await stage.settled()
        assert authors(again, "#lobby") == ["sari"]


async def test_a_login_id_that_was_reset_is_worth_nothing(tmp_path: Path) -> None:
    """The new one brings the name to another device; the devices that are known go on."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        await visitor.prove()
        old = (await visitor.register("tama")).login_id
        _, new = await accounts_of(stage).reset_login_id("tama")
        assert not visitor.connection.closed
        other = stage.visitor(2)
        await other.prove()
        assert (await other.login("tama", old)).code is Code.LOGIN_ID_INCORRECT
        assert isinstance(await other.login("tama", new), Admitted)


# The socket's commands ---------------------------------------------------------------------------------------------


async def test_the_commands_answer_in_json(tmp_path: Path) -> None:
    """What `bisikd users` prints comes from here while the daemon runs."""
    async with open_stage(tmp_path) as stage:
        await stage.member("tama", 1)
        commands = accounts_of(stage).commands()

        async def ask(command: str, **arguments: Any) -> Any:
            return json.loads(json.dumps(await commands[command]({"command": command, **arguments})))

        assert (await ask("set-role", name="tama", role="owner"))["role"] == "owner"
        user = stage.users.get("tama")
        assert user is not None
        assert user.role is Role.OWNER
        assert (await ask("rename-user", name="Tama", new_name="Sari"))["formerly"] == ["tama"]
        assert len((await ask("reset-id", name="sari"))["login_id"]) >= 20
        assert (await ask("user", name="sari"))["name"] == "sari"
        with pytest.raises(NoAccount, match="tama is called sari now"):
            await ask("user", name="tama")
        assert "removed" in await ask("remove-user", name="sari")
        assert [user["name"] for user in (await ask("users"))["users"]] == ["sari"]
        await ask("remove-user", name="sari", forget=True)
        assert (await ask("users"))["users"] == []
        for wrong in ({"name": "a b"}, {}, {"name": 7}):
            with pytest.raises(NoAccount):
                await ask("user", **wrong)
        with pytest.raises(BisikdError, match="role"):
            await ask("set-role", name="x", role="king")


async def test_a_device_that_the_operator_revoked_is_put_out_and_cannot_come_back(tmp_path: Path) -> None:
    """Its fingerprint's beginning names it, where that is the beginning of exactly one."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        (device,) = stage.chat.users.get("tama").devices  # type: ignore[union-attr] # it was just made
        with pytest.raises(BisikdError, match="0 devices of tama begin with that"):
            await accounts_of(stage).revoke_device("tama", "zzzz")
        with pytest.raises(BisikdError, match="begin with that"):
            await accounts_of(stage).revoke_device("tama", "")
        user = await accounts_of(stage).revoke_device("tama", fingerprint_text(device.key_hash)[:12])
        assert user.devices == ()
        assert tama.connection.close_code == CloseCode.GOING_AWAY
        assert not isinstance(await stage.visitor(1).login("tama"), Admitted)
