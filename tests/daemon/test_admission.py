"""Who is let in, what strangers learn (nothing), and how little guessing gets."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from bisik_protocol.chat.messages import (
    Admitted,
    Code,
    Done,
    GetHistory,
    ListMembers,
    ListRooms,
    Login,
    Refused,
    Register,
)
from bisik_protocol.transport.events import CloseCode
from bisikd import admission
from bisikd.admission import INCORRECT_PASSWORD, MAX_REQUESTS
from bisikd.log.format import RecordKind
from bisikd.session import ADMISSION_S
from bisikd.users import NotWritten
from tests.support.keys import device_key
from tests.support.stage import JOIN_PASSWORD, Stage, Visitor, open_stage


async def registered(stage: Stage, name: str, device: int) -> str:
    """Register and go away; the login ID."""
    visitor = stage.visitor(device)
    await visitor.prove()
    admitted = await visitor.register(name)
    assert isinstance(admitted, Admitted)
    assert admitted.login_id is not None
    visitor.connection.end(CloseCode.NORMAL)
    await stage.settled()
    return admitted.login_id


async def at_the_door(stage: Stage, device: int = 0) -> Visitor:
    """Somebody who knows the join password."""
    visitor = stage.visitor(device)
    assert isinstance(await visitor.prove(), Done)
    return visitor


# Coming in ---------------------------------------------------------------------------------------------------------


async def test_a_newcomer_registers_with_the_join_password(tmp_path: Path) -> None:
    """The name comes back in its one spelling, with a login ID; the log and the accounts know the device."""
    async with open_stage(tmp_path) as stage:
        visitor = await at_the_door(stage, 1)
        admitted = await visitor.register("Tama")
        assert (admitted.name, admitted.checkpoint) == ("tama", stage.log.checkpoint())
        assert len(admitted.login_id) >= 20
        user = stage.users.get("tama")
        assert user is not None
        assert [device.modulus for device in user.devices] == [device_key(1).public.modulus]
        assert stage.log.device(visitor.key_hash) == ("tama", device_key(1).public.modulus)


async def test_requests_may_be_sent_without_waiting(tmp_path: Path) -> None:
    """Password and registration in one go: they are answered strictly in order."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        stage.hashing.hold()
        proof = visitor.ask_prove()
        register = Register(visitor.number(), "tama", device_key(1).public.modulus, visitor.signature())
        visitor.ask(register)
        await stage.settled()
        assert visitor.control == []
        stage.hashing.release()
        await stage.settled()
        assert isinstance(visitor.reply(proof), Done)
        assert isinstance(visitor.reply(register.number), Admitted)


async def test_a_known_device_needs_only_its_key(tmp_path: Path) -> None:
    """No join password, no login ID: what was admitted once is admitted again."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        admitted = await stage.visitor(1).login("TAMA")
        assert isinstance(admitted, Admitted)
        assert (admitted.name, admitted.login_id) == ("tama", None)


async def test_a_new_device_comes_in_with_the_login_id_however_it_is_typed(tmp_path: Path) -> None:
    """From then on its key is enough, and the log knows whose it is."""
    async with open_stage(tmp_path) as stage:
        login_id = await registered(stage, "tama", 1)
        visitor = await at_the_door(stage, 2)
        typed = login_id.upper().replace("-", " ")
        assert isinstance(await visitor.login("tama", typed), Admitted)
        assert isinstance(await stage.visitor(2).login("tama"), Admitted)
        assert stage.log.device(visitor.key_hash) == ("tama", device_key(2).public.modulus)


async def test_the_accounts_survive_a_restart(tmp_path: Path) -> None:
    """Another daemon over the same state lets the same devices and login IDs in."""
    async with open_stage(tmp_path) as before:
        login_id = await registered(before, "tama", 1)
    async with open_stage(tmp_path, log=before.log) as after:
        assert isinstance(await after.visitor(1).login("tama"), Admitted)
        assert isinstance(await (await at_the_door(after, 2)).login("tama", login_id), Admitted)


# What strangers learn ----------------------------------------------------------------------------------------------


async def test_before_the_password_is_proved_every_refusal_is_the_same(tmp_path: Path) -> None:
    """Known name, unknown name, right and wrong login ID, bad signature, any request: one sentence."""
    async with open_stage(tmp_path) as stage:
        login_id = await registered(stage, "tama", 1)
        visitor = stage.visitor(2)
        modulus = device_key(2).public.modulus
        signature = visitor.signature()
        requests = [
            Register(1, "tama", modulus, signature),
            Register(2, "free", modulus, signature),
            Register(3, "\x1b[31m", modulus, signature),
            Register(4, "free", modulus, bytes(384)),
            Register(5, "free", bytes(384), signature),
            Login(6, "tama", modulus, signature),
            Login(7, "nobody", modulus, signature),
            Login(8, "tama", modulus, signature, login_id),
            Login(9, "tama", modulus, signature, "wrong"),
            Login(10, "tama", device_key(1).public.modulus, bytes(384)),
            ListRooms(11),
            ListMembers(12, "#lobby"),
            GetHistory(13, "#lobby"),
        ]
        for request in requests:
            assert await visitor.request(request) == Refused(
                request.number, Code.INCORRECT_PASSWORD, INCORRECT_PASSWORD
            )
        assert not visitor.connection.closed
        assert stage.users.get("free") is None


async def test_a_wrong_password_is_said_and_may_be_tried_again(tmp_path: Path) -> None:
    """Two mistakes are forgiven."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        for _ in range(2):
            refused = await visitor.prove("wrong")
            assert (refused.code, refused.text) == (Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")
        assert isinstance(await visitor.prove(JOIN_PASSWORD), Done)
        assert isinstance(await visitor.register("tama"), Admitted)


async def test_the_third_wrong_password_ends_the_session_after_it_was_told(tmp_path: Path) -> None:
    """Three tries, three refusals, and then the goodbye."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        for _ in range(3):
            assert isinstance(await visitor.prove("wrong"), Refused)
        assert visitor.connection.close_code == CloseCode.REFUSED
        assert len(stage.sessions) == 0


async def test_the_goodbye_waits_for_the_last_refusal_to_be_taken_but_not_for_ever(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A close drops what is queued, so it comes after the refusal, or after some seconds."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        visitor.connection.takes = False
        for _ in range(3):
            visitor.ask_prove("wrong")
        await trio.sleep(1)
        assert not visitor.connection.closed
        await trio.sleep(10)
        assert visitor.connection.close_code == CloseCode.REFUSED


# Names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tama", "TAMA", "ｔａｍａ", "t\u0430ma"])
async def test_a_name_or_look_alike_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    """The same name in another case, width or script is the same name to an eye."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        visitor = await at_the_door(stage, 2)
        refused = await visitor.register(name)
        assert refused.code is Code.NAME_TAKEN
        assert "taken" in refused.text


async def test_an_impossible_name_is_refused_with_its_reason(tmp_path: Path) -> None:
    """The sentence of the naming rules, and another try; names are no secrets, so it costs none of the three."""
    async with open_stage(tmp_path) as stage:
        visitor = await at_the_door(stage, 1)
        for name in ("a b", "\x1b[31mred", "#x", "-", "a b", "a b"):
            refused = await visitor.register(name)
            assert refused.code is Code.NAME_INVALID
            assert refused.text.endswith(".")
        assert isinstance(await visitor.register("tama"), Admitted)


async def test_one_name_registered_by_two_at_once_goes_to_one(tmp_path: Path) -> None:
    """Both were free to see when they asked; the accounts decide, once."""
    async with open_stage(tmp_path) as stage:
        first, second = await at_the_door(stage, 1), await at_the_door(stage, 2)
        stage.hashing.hold()
        numbers = []
        for visitor, key in ((first, 1), (second, 2)):
            numbers.append(visitor.number())
            modulus = device_key(key).public.modulus
            visitor.ask(Register(numbers[-1], "tama", modulus, visitor.signature()))
        await stage.settled()
        stage.hashing.release()
        await stage.settled()
        replies = [first.reply(numbers[0]), second.reply(numbers[1])]
        assert sorted(type(reply).__name__ for reply in replies) == ["Admitted", "Refused"]
        devices = [record for group in stage.log.appended for record in group if record.kind is RecordKind.DEVICE]
        assert len(devices) == 1


async def test_a_device_has_one_name(tmp_path: Path) -> None:
    """Its key says who it is: registering or logging in as somebody else is refused, and the name is told."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        login_id = await registered(stage, "sari", 2)
        visitor = await at_the_door(stage, 1)
        for refused in (await visitor.register("dewi"), await visitor.login("sari", login_id)):
            assert refused.code is Code.DEVICE_KNOWN
            assert "tama" in refused.text


# Logging in --------------------------------------------------------------------------------------------------------


async def test_unknown_names_and_wrong_ids_are_told_apart_once_the_password_is_proved(tmp_path: Path) -> None:
    """Each gets its own sentence, and each guess counts."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        visitor = await at_the_door(stage, 2)
        assert (await visitor.login("tama")).code is Code.LOGIN_ID_INCORRECT
        assert (await visitor.login("nobody", "wrong")).code is Code.NAME_UNKNOWN
        assert (await visitor.login("not a name")).code is Code.NAME_UNKNOWN
        assert not visitor.connection.closed
        assert (await visitor.login("tama", "wrong")).code is Code.LOGIN_ID_INCORRECT
        assert visitor.connection.close_code == CloseCode.REFUSED


async def test_every_refused_login_does_the_same_work(tmp_path: Path) -> None:
    """Known, unknown and impossible names, and a known device of another: one hash each, and none without an ID."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        await registered(stage, "sari", 2)
        calls: list[str] = []
        guard, passwords = stage.chat.doorkeeper.guard, stage.chat.doorkeeper.passwords
        for owner, name in ((guard, "attempt"), (passwords, "verify"), (guard, "failed")):
            real = getattr(owner, name)

            def noted(*arguments: object, name: str = name, real: Callable[..., object] = real) -> object:
                calls.append(name)
                return real(*arguments)

            setattr(owner, name, noted)
        for device, name in ((3, "tama"), (3, "nobody"), (3, "not a name"), (2, "tama"), (2, "nobody")):
            visitor = await at_the_door(stage, device)
            calls.clear()
            await visitor.login(name)
            assert calls == []
            await visitor.login(name, "wrong")
            assert calls == ["attempt", "verify", "failed"], name


async def test_an_unknown_name_costs_the_same_hash_as_a_known_one(tmp_path: Path) -> None:
    """Argon2 runs once for each login ID, whether there is an account or not."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        verified: list[str | None] = []
        passwords = stage.chat.doorkeeper.passwords
        real = passwords.verify

        def verify(stored: str | None, secret: str) -> bool:
            verified.append(stored)
            return real(stored, secret)

        visitor = await at_the_door(stage, 2)
        passwords.verify = verify  # type: ignore[method-assign]
        await visitor.login("tama", "wrong")
        await visitor.login("nobody", "wrong")
        assert verified == [stage.users.get("tama").login_id_hash, None]  # type: ignore[union-attr]


async def test_a_signature_over_another_channel_does_not_admit(tmp_path: Path) -> None:
    """A login that was relayed from elsewhere is worth nothing here."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        visitor = await at_the_door(stage, 1)
        visitor.connection.channel_binding = b"another channel"
        assert (await visitor.login("tama")).code is Code.STATEMENT_INVALID


async def test_guessing_slows_the_guesser_and_nobody_with_a_known_device(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Many wrong passwords from one address make its next guess wait; a member's key from there does not."""
    async with open_stage(tmp_path) as stage:
        await registered(stage, "tama", 1)
        for tries in (3, 3, 3, 1):
            guesser = stage.visitor(2)
            for _ in range(tries):
                await guesser.prove("wrong")
        slowed = stage.visitor(2)
        start = trio.current_time()
        slowed.ask_prove()
        assert isinstance(await stage.visitor(1).login("tama"), Admitted)
        assert trio.current_time() == start
        assert slowed.control == []
        await trio.sleep(60)
        assert slowed.control == [Done(1)]


# Order and bounds --------------------------------------------------------------------------------------------------


async def test_who_proved_the_password_still_has_to_say_who_he_is(tmp_path: Path) -> None:
    """Between password and name nothing else is answered."""
    async with open_stage(tmp_path) as stage:
        visitor = await at_the_door(stage, 1)
        assert (await visitor.join("#lobby")).code is Code.NOT_ADMITTED


async def test_who_is_in_cannot_be_admitted_again(tmp_path: Path) -> None:
    """A session has one user for good; the password may be said as often as one likes."""
    async with open_stage(tmp_path) as stage:
        visitor = await stage.member("tama", 1)
        assert (await visitor.login("tama")).code is Code.ALREADY_ADMITTED
        assert (await visitor.register("sari")).code is Code.ALREADY_ADMITTED
        assert (await visitor.prove()).code is Code.ALREADY_ADMITTED


async def test_requests_before_admission_are_bounded(tmp_path: Path) -> None:
    """A stranger who only asks is put out before long."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        for _ in range(MAX_REQUESTS + 5):
            visitor.ask(ListRooms(visitor.number()))
        await stage.settled()
        assert len(visitor.control) == MAX_REQUESTS
        assert visitor.connection.close_code == CloseCode.REFUSED


async def test_a_session_that_never_logs_in_ends(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """People get minutes to type; a member's session then lasts as long as the connection."""
    async with open_stage(tmp_path) as stage:
        visitor, member = stage.visitor(2), await stage.member("tama", 1)
        await trio.sleep(ADMISSION_S + 1)
        assert visitor.connection.close_code == CloseCode.REFUSED
        assert not member.connection.closed


async def test_when_too_many_wait_for_a_hash_the_next_is_told_to_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue in front of Argon2 is bounded, and to be told so is no try."""
    async with open_stage(tmp_path) as stage:
        visitor = stage.visitor(1)
        monkeypatch.setattr(stage.hashing, "waiting", admission.MAX_WAITING_HASHES, raising=False)
        for _ in range(4):
            assert (await visitor.prove("wrong")).code is Code.TRY_LATER
        assert not visitor.connection.closed


@pytest.mark.parametrize("where", ["log", "accounts"])
async def test_a_registration_that_cannot_be_stored_leaves_the_name_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A full disk under the log or under the accounts: refused in words, and the same name goes through later."""
    async with open_stage(tmp_path) as stage:
        visitor = await at_the_door(stage, 1)
        with monkeypatch.context() as broken:
            if where == "log":
                broken.setattr(stage.log, "full", True)
            else:

                def refuse(*arguments: object) -> None:
                    raise NotWritten("The disk refused.")

                broken.setattr(stage.users, "create", refuse)
            refused = await visitor.register("tama")
            assert refused.code is Code.STORAGE
        assert isinstance(await visitor.register("tama"), Admitted)


async def test_secrets_are_in_no_representation(tmp_path: Path) -> None:
    """What might be printed by accident shows neither password nor login ID."""
    async with open_stage(tmp_path) as stage:
        login_id = await registered(stage, "tama", 1)
        shown = repr(msgspec.structs.replace(Login(1, "tama", bytes(384), bytes(384)), login_id=login_id))
        assert login_id not in shown
