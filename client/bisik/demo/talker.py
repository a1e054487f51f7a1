"""One person of the demo, as a process: says what it reads on stdin, prints what happens, through the library.

    python -m bisik.demo.talker NAME HOME ROOM...

Reads {"invite": "bisik://..."} first, and then lines like {"room": "#lobby", "text": "halo"}; the end of stdin means
goodbye. Prints JSON lines: `here` once it is in its rooms, `said` when it is told to say something, `stored` with the
receipt, `link` when the link's state changes, `notice` for what a person should read, and every message, join and
leave as `bisik tail --json` does. Each has `at`: seconds on the clock that all processes of this machine share. It is
told nothing of what happens to the network or the daemon.
"""

import json
import sys
import time
from typing import Any, Final

import click
import trio

from bisik.chat import Chat, open_chat
from bisik.errors import BisikError, Unreachable
from bisik.events import Join, Leave, LinkChanged, Message, Notice, OwnMessage

CONNECT_TIMEOUT_S: Final = 45.0  # the way is very bad on purpose
LAST_WORDS_S: Final = 30.0  # for what is not stored when stdin ends; whoever listened to us may be gone


def main(arguments: list[str]) -> int:
    """The program. Returns its exit status."""
    name, home, *rooms = arguments
    status = 0
    try:
        trio.run(_talk, name, home, rooms)
    except* BisikError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        click.echo(str(error), err=True)
        status = 1
    except* KeyboardInterrupt:
        status = 130
    return status


async def _talk(name: str, home: str, rooms: list[str]) -> None:
    invite = json.loads(await _read_line())["invite"]
    async with open_chat(invite, name=name, home=home, rooms=(), connect_timeout_s=CONNECT_TIMEOUT_S) as chat:
        with trio.move_on_after(CONNECT_TIMEOUT_S) as joining:
            for room in rooms:
                await chat.join(room)
        if joining.cancelled_caught:
            raise Unreachable("The server did not let us into the rooms in time.")
        async with trio.open_nursery() as listening:
            listening.start_soon(_listen, chat)
            _print({"type": "here", "name": chat.name})
            async with trio.open_nursery() as saying:
                await _say_what_is_read(chat, saying)
                saying.cancel_scope.deadline = trio.current_time() + LAST_WORDS_S
            listening.cancel_scope.cancel()


async def _listen(chat: Chat) -> None:
    async for event in chat.everything():
        match event:
            case Message() | Join() | Leave():
                _print(event.as_json())
            case LinkChanged():
                _print({"type": "link", "state": event.state.value, "text": event.text})
            case Notice():
                _print({"type": "notice", "text": event.text})
            case OwnMessage():
                pass  # `stored` tells more


async def _say_what_is_read(chat: Chat, nursery: trio.Nursery) -> None:
    number = 0
    while line := await _read_line():
        told = json.loads(line)
        number += 1
        _print({"type": "said", "number": number, "room": told["room"], "text": told["text"]})
        outbox_id = await chat.queue(told["room"], told["text"])
        nursery.start_soon(_tell_when_stored, chat, outbox_id, told["room"], number)


async def _tell_when_stored(chat: Chat, outbox_id: int, room: str, number: int) -> None:
    receipt = await chat.stored(outbox_id, room)
    _print({"type": "stored", "number": number, "room": room, "seq": receipt.seq, "id": receipt.id})


async def _read_line() -> str:
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


def _print(line: dict[str, Any]) -> None:
    click.echo(json.dumps({**line, "at": time.monotonic()}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
