"""The devices of the person who asks: listed, and revoked."""

from pathlib import Path
from typing import Any

from bisik_protocol.chat.messages import Admitted, Code, Devices, Done, GetDevice, ListDevices, RevokeDevice
from tests.support.stage import Visitor, open_stage


async def devices(visitor: Visitor) -> list[tuple[bytes, bool]]:
    reply = await visitor.request(ListDevices(visitor.number()))
    assert isinstance(reply, Devices)
    return [(device.key_hash, device.online) for device in reply.devices]


async def revoke(visitor: Visitor, key_hash: bytes) -> Any:
    return await visitor.request(RevokeDevice(visitor.number(), key_hash))


async def test_a_revoked_device_is_out_and_stays_out(tmp_path: Path) -> None:
    """At once; it is a stranger from then on, while what it said can still be verified."""
    async with open_stage(tmp_path) as stage:
        laptop = stage.visitor(0)
        await laptop.prove()
        login_id = (await laptop.register("tama")).login_id
        phone = stage.visitor(1)
        await phone.prove()
        assert isinstance(await phone.login("tama", login_id), Admitted)
        assert await devices(laptop) == [(laptop.key_hash, True), (phone.key_hash, True)]
        assert isinstance(await revoke(laptop, phone.key_hash), Done)
        await stage.settled()
        assert phone.connection.closed
        assert await devices(laptop) == [(laptop.key_hash, True)]
        again = stage.visitor(1)
        assert again.refusal(await again.login("tama")) is Code.INCORRECT_PASSWORD
        reply = await laptop.request(GetDevice(laptop.number(), phone.key_hash))
        assert (reply.name, reply.device) == ("tama", phone.device.public.modulus)
        await again.prove()
        assert isinstance(await again.login("tama", login_id), Admitted)


async def test_only_ones_own_other_devices_can_be_revoked(tmp_path: Path) -> None:
    """Not the one that asks, not a stranger's, not one that is not there."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0)
        sari = await stage.member("sari", 1)
        for key_hash in (tama.key_hash, sari.key_hash, bytes(32)):
            assert tama.refusal(await revoke(tama, key_hash)) is Code.UNKNOWN
        assert await devices(sari) == [(sari.key_hash, True)]
