"""What a command that brings a name to a device does last: others can seal to the device from then on."""

from contextlib import suppress
from typing import Final

from bisik.chat import open_profile
from bisik.errors import BisikError
from bisik.home import Home, Profile

ADMITTED_S: Final = 10.0


async def publish_key(home: Home, profile: Profile) -> None:
    """Publish this device's sealing key, if the server can be reached; the next command does it otherwise."""
    with suppress(BisikError):
        async with open_profile(home, profile, reader="publish") as chat:
            await chat.wait_admitted(ADMITTED_S, patient=False)
