"""The devices of the person who asks: which there are, and taking one's right to log in away.

What a device said stays said and can still be verified, for the log knows its key. A device that was revoked is a new
device from then on: it comes in with the login ID, or not at all.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from bisik_protocol.chat.messages import Code, DeviceInfo, Devices, Done, ListDevices, Reply, RevokeDevice
from bisikd.refusal import Refusal
from bisikd.users import NotWritten

if TYPE_CHECKING:
    from bisikd.session import Session
    from bisikd.users import User

REVOKED = "This device was revoked by another one of yours."


async def list_devices(session: "Session", request: ListDevices) -> Reply:
    """All that may log in as this person, oldest first."""
    user = session.chat.users.get(session.user.name)
    if user is None:
        raise Refusal(Code.UNKNOWN, "Your account is not there any more.")
    online = {other.user.key_hash for other in _of_person(session)}
    devices = [DeviceInfo(device.key_hash, device.added_ms, device.key_hash in online) for device in user.devices]
    return Devices(request.number, devices)


async def revoke_device(session: "Session", request: RevokeDevice) -> Reply:
    """Returns once that is on the disk, and the device's sessions are over."""
    chat, name, gone = session.chat, session.user.name, request.key_hash
    if gone == session.user.key_hash:
        raise Refusal(Code.UNKNOWN, "That is the device that you ask from: revoke it from another one.")

    def without(user: "User") -> "User":
        return replace(user, devices=tuple(device for device in user.devices if device.key_hash != gone))

    async with chat.doorkeeper.accounts:
        user = chat.users.get(name)
        if user is None or gone not in {device.key_hash for device in user.devices}:
            raise Refusal(Code.UNKNOWN, "You have no such device.")
        try:
            await chat.blocking.writing(chat.users.change, name, without)
        except NotWritten as error:
            raise Refusal(Code.STORAGE, str(error)) from None
    for other in _of_person(session):
        if other.user.key_hash == gone and chat.sessions is not None:
            chat.sessions.expel(other, REVOKED)
    return Done(request.number)


def _of_person(session: "Session") -> "list[Session]":
    everybody = session.chat.sessions or ()
    return [other for other in everybody if other.admitted and other.user.name == session.user.name]
