"""Login IDs that are made ahead: ready when they are needed, each given out once."""

from collections.abc import Callable
from typing import Any, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

from bisikd.login_ids import LoginIds
from bisikd.passwords import Cost, Passwords

T = TypeVar("T")
CHEAP = Passwords(Cost(memory_kib=32, passes=1, lanes=1))


class Worker:
    """Computes when it is let, and counts."""

    waiting = 0

    def __init__(self) -> None:
        self.done = 0
        self.let = trio.Event()

    async def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        await self.let.wait()
        self.done += 1
        return function(*arguments)


async def test_one_is_ready_and_each_is_given_out_once(nursery: trio.Nursery) -> None:
    """The next is made while nobody waits for it, and its stored form is its own."""
    worker = Worker()
    ids = LoginIds(CHEAP, worker)
    assert ids.take_nowait() is None
    nursery.start_soon(ids.run)
    await wait_all_tasks_blocked()
    assert ids.take_nowait() is None
    worker.let.set()
    given = []
    for made in (1, 2, 3):
        await wait_all_tasks_blocked()
        assert worker.done == made
        ready = ids.take_nowait()
        assert ready is not None
        assert ids.take_nowait() is None
        given.append(ready)
    assert len({login_id for login_id, _ in given}) == 3
    assert all(CHEAP.verify(stored_form, login_id) for login_id, stored_form in given)
    nursery.cancel_scope.cancel()
