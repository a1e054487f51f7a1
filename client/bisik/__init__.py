"""The bisik client: library, command line, terminal.

What is named here is the library; its parts are loaded when they are used, so that the command line starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisik.chat import Chat as Chat
    from bisik.chat import open_chat as open_chat
    from bisik.errors import BisikError as BisikError
    from bisik.errors import HomeError as HomeError
    from bisik.errors import IdentityMismatch as IdentityMismatch
    from bisik.errors import LogMismatch as LogMismatch
    from bisik.errors import NotKnown as NotKnown
    from bisik.errors import NotOnDisk as NotOnDisk
    from bisik.errors import NotStored as NotStored
    from bisik.errors import Refused as Refused
    from bisik.errors import Unreachable as Unreachable
    from bisik.errors import WrongUsage as WrongUsage
    from bisik.events import Join as Join
    from bisik.events import Leave as Leave
    from bisik.events import Message as Message
    from bisik.events import Receipt as Receipt

_HOMES = {
    "Chat": "bisik.chat",
    "open_chat": "bisik.chat",
    "Join": "bisik.events",
    "Leave": "bisik.events",
    "Message": "bisik.events",
    "Receipt": "bisik.events",
    "BisikError": "bisik.errors",
    "HomeError": "bisik.errors",
    "IdentityMismatch": "bisik.errors",
    "LogMismatch": "bisik.errors",
    "NotKnown": "bisik.errors",
    "NotOnDisk": "bisik.errors",
    "NotStored": "bisik.errors",
    "Refused": "bisik.errors",
    "Unreachable": "bisik.errors",
    "WrongUsage": "bisik.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
