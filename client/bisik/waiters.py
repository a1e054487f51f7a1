"""Who waits to hear what became of a message in the outbox, whichever process of this home brings it out."""

from collections.abc import Callable

from bisik.errors import BisikError, Refused
from bisik.events import Receipt
from bisik.outbox import Failed, Outbox
from bisik_protocol.chat.messages import Code

OnOutcome = Callable[[Receipt | BisikError], None]


class Waiters:
    """Callbacks by outbox id; each is called once."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: dict[int, tuple[str, OnOutcome]] = {}

    def add(self, outbox_id: int, room: str, on_outcome: OnOutcome) -> None:
        """Call back when the outcome is known, which may be now."""
        self._waiting[outbox_id] = (room, on_outcome)
        self.tell(outbox_id)

    def drop(self, outbox_id: int) -> None:
        self._waiting.pop(outbox_id, None)

    def tell(self, outbox_id: int) -> None:
        """The outbox may know the outcome now."""
        outcome = self._outbox.outcome(outbox_id) if outbox_id in self._waiting else None
        if outcome is None:
            return
        _, on_outcome = self._waiting.pop(outbox_id)
        if isinstance(outcome, Failed):
            on_outcome(Refused(Code.STATEMENT_INVALID, outcome.reason))
        else:
            on_outcome(outcome)

    def tell_room(self, room: str) -> None:
        """The outbox may know outcomes in this room that no entry told of: another process was faster."""
        for outbox_id in self._in_room(room):
            self.tell(outbox_id)

    def give_up_room(self, room: str, error: BisikError) -> None:
        """Nothing can be posted in the room; what waits there stays in the outbox."""
        for outbox_id in self._in_room(room):
            self._waiting.pop(outbox_id)[1](error)

    def _in_room(self, room: str) -> list[int]:
        return [outbox_id for outbox_id, (where, _) in self._waiting.items() if where == room]
