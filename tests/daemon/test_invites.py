"""Invites of their own: who comes in by one, when it is over, what is at rest, and the commands."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from bisik_protocol.chat.invite import parse_invite
from bisik_protocol.chat.messages import Admitted, Code, Done
from bisikd import invites as invites_module
from bisikd.invites import FILE_NAME, InviteRefused, Invites, open_invites, wanted_invite
from bisikd.state import StateError
from tests.support.daemon_process import bisikd, fresh_state, open_daemon
from tests.support.stage import Stage, Visitor, open_stage


def stage_invites(stage: Stage) -> Invites:
    return stage.chat.doorkeeper.invites


def make(stage: Stage, **how: Any) -> str:
    """A new invite's secret."""
    return stage_invites(stage).create(stage.time_ms, **how)[1]


async def come_in(stage: Stage, device: int, name: str, secret: str) -> tuple[Visitor, Any]:
    visitor = stage.visitor(device)
    proved = await visitor.prove(secret)
    return visitor, proved if not isinstance(proved, Done) else await visitor.register(name)


async def test_an_invite_lets_in_beside_the_join_password(tmp_path: Path) -> None:
    """Its secret serves in the password's place, however it is typed; the password goes on."""
    async with open_stage(tmp_path) as stage:
        secret = make(stage, label="for the class")
        _, reply = await come_in(stage, 1, "tama", secret.upper().replace("-", " "))
        assert isinstance(reply, Admitted)
        await stage.member("budi", 2)
        (record,) = stage_invites(stage).all()
        assert (record.uses, record.guests, record.label) == (1, ("tama",), "for the class")


async def test_uses_are_names_that_were_taken_by_it(tmp_path: Path) -> None:
    """Showing it, failing to register, and logging in count nothing; the last use ends it, and that is said."""
    async with open_stage(tmp_path) as stage:
        secret = make(stage, max_uses=1)
        await stage.member("budi", 2)
        visitor, reply = await come_in(stage, 1, "budi", secret)
        assert visitor.refusal(reply) is Code.NAME_TAKEN
        assert isinstance(await visitor.register("tama"), Admitted)
        late, reply = await come_in(stage, 3, "late", secret)
        assert late.refusal(reply) is Code.INVITE_OVER
        assert reply.text == "Your invite has been used as often as it may be. Ask for another one."
        assert stage.users.get("late") is None


async def test_of_two_who_come_at_once_by_the_last_use_one_is_let_in(tmp_path: Path) -> None:
    """Both have shown it before either registers."""
    async with open_stage(tmp_path) as stage:
        secret = make(stage, max_uses=1)
        one, other = stage.visitor(1), stage.visitor(2)
        for visitor in (one, other):
            assert isinstance(await visitor.prove(secret), Done)
        assert isinstance(await one.register("tama"), Admitted)
        assert other.refusal(await other.register("budi")) is Code.INVITE_OVER
        assert stage.users.get("budi") is None


async def test_an_invite_ends_at_its_time(tmp_path: Path) -> None:
    """By the wall clock, to the millisecond; also for who has shown it already."""
    async with open_stage(tmp_path) as stage:
        secret = make(stage, lasts_s=60)
        early = stage.visitor(1)
        stage.time_ms += 59_999
        assert isinstance(await early.prove(secret), Done)
        stage.time_ms += 1
        assert early.refusal(await early.register("tama")) is Code.INVITE_OVER
        late, reply = await come_in(stage, 2, "budi", secret)
        assert late.refusal(reply) is Code.INVITE_OVER
        assert "has expired" in reply.text


async def test_what_was_revoked_was_never_there(tmp_path: Path) -> None:
    """A stranger who shows it is told what every stranger is told; who has shown it is told that it is gone."""
    async with open_stage(tmp_path) as stage:
        secret = make(stage)
        inside = stage.visitor(1)
        await inside.prove(secret)
        stage_invites(stage).revoke(stage_invites(stage).all()[0].id)
        assert inside.refusal(await inside.register("tama")) is Code.INVITE_OVER
        late, reply = await come_in(stage, 2, "budi", secret)
        assert late.refusal(reply) is Code.INCORRECT_PASSWORD


async def test_a_wrong_secret_is_a_wrong_password(tmp_path: Path) -> None:
    """Three tries, and the session ends: invites open no second way to guess."""
    async with open_stage(tmp_path) as stage:
        make(stage)
        visitor = stage.visitor(1)
        for _ in range(3):
            assert visitor.refusal(await visitor.prove("aaaa-bbbb-cccc-dddd-eeee")) is Code.INCORRECT_PASSWORD
        await trio.testing.wait_all_tasks_blocked()
        assert visitor.connection.closed


def test_secrets_are_not_at_rest(tmp_path: Path) -> None:
    """The file has a hash; what was made, used and revoked is read back."""
    invites = open_invites(tmp_path)
    record, secret = invites.create(5, lasts_s=60, max_uses=2, label='a "label"')
    invites.use(record.hash, "tama")
    content = (tmp_path / FILE_NAME).read_text()
    assert secret not in content
    assert secret.replace("-", "") not in content
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    again = open_invites(tmp_path)
    found = again.find(secret)
    assert found is not None
    assert (found.uses, found.guests, found.expires_ms, found.label) == (1, ("tama",), 60_005, 'a "label"')
    again.revoke(record.id[:4])
    assert open_invites(tmp_path).all() == []


def test_revoking_needs_to_know_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, or several, of that beginning: said."""
    invites = Invites()
    for _ in range(20):
        invites.create(0)
    for id_ in ("", "zz", invites.all()[0].hash[:0]):
        with pytest.raises(InviteRefused, match="There is no invite"):
            invites.revoke(id_)
    digits = [record.hash[0] for record in invites.all()]
    double = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(InviteRefused, match="give more of it"):
        invites.revoke(double)
    monkeypatch.setattr(invites_module, "MAX_INVITES", 20)
    with pytest.raises(InviteRefused, match="which is the limit"):
        invites.create(0)


@pytest.mark.parametrize("content", ["invites = 1", "[[invites]]\nhash = 5", "x = 1", "\x00", "[[invites]]\n"])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    """The start says which file, and what removing it would mean."""
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(StateError, match=FILE_NAME):
        open_invites(tmp_path)
    assert (tmp_path / FILE_NAME).read_text() == content


@pytest.mark.parametrize(
    "request_",
    [{"lasts_s": 0}, {"lasts_s": 1.5}, {"max_uses": 0}, {"max_uses": True}, {"label": "x" * 101}, {"label": 5}],
)
def test_what_no_invite_can_be_is_said(request_: dict[str, Any]) -> None:
    """One sentence for the operator."""
    with pytest.raises(InviteRefused, match=r"\.$"):
        wanted_invite(request_)


async def test_the_commands_beside_a_daemon_and_without_one(tmp_path: Path) -> None:
    """A link of the contract's form each time; the list shows no secret; what was revoked is gone."""
    state = fresh_state(tmp_path / "state")

    async def run(*arguments: str) -> Any:
        return await trio.to_thread.run_sync(lambda: bisikd("invite", *arguments, "--state", state))

    async with open_daemon(state) as daemon:
        link = parse_invite((await run("new", "--for", "7d", "--uses", "3", "--label", "class")).stdout.strip())
        assert link.fingerprint == daemon.invite.fingerprint
        assert link.port == daemon.invite.port
        assert link.join_password not in (None, daemon.invite.join_password)
        listed = (await run("list")).stdout
        assert "0 of 3 uses, until 20" in listed
        assert listed.endswith("class\n")
        assert str(link.join_password) not in listed
    made = json.loads((await run("new", "--json")).stdout)
    assert parse_invite(made["link"]).join_password == made["secret"]
    assert (await run("revoke", made["id"])).returncode == 0
    assert (await run("revoke", made["id"])).returncode == 1
    (left,) = map(json.loads, (await run("list", "--json")).stdout.splitlines())
    assert (left["label"], left["max_uses"], left["over"]) == ("class", 3, None)
    assert parse_invite((await run()).stdout.strip()).join_password == daemon.ready["join_password"]
