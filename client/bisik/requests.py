"""Numbers, and who waits for which reply: the client's half of the control lane.

It knows that requests have replies, and that a question may be asked again on the next connection; it does not know
what any of them mean.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bisik.errors import Refused
from bisik_protocol.chat.messages import Refused as RefusedReply
from bisik_protocol.chat.messages import Reply, Request, encode
from bisik_protocol.errors import RemoteProtocolError

MakeRequest = Callable[[int], Request]
OnReply = Callable[[Reply], None]


@dataclass(frozen=True, slots=True)
class _Question:
    make: MakeRequest
    on_reply: OnReply
    again: bool


class Requests:
    """The questions of one session after another."""

    def __init__(self) -> None:
        self.is_open = False
        """Whether there is a session to ask in."""
        self._next_number = 1
        self._asked: dict[int, _Question] = {}
        self._held: list[_Question] = []  # for the next session
        self._unsent: list[bytes] = []

    @property
    def unanswered(self) -> bool:
        """Whether a reply is due in this session."""
        return bool(self._asked)

    def ask(self, make: MakeRequest, on_reply: OnReply, *, again: bool = True) -> None:
        """Ask what `make` makes of a number, now or in the next session.

        Without `again` the question is this session's own: with the session it is forgotten.
        """
        question = _Question(make, on_reply, again)
        if self.is_open:
            self._send(question)
        elif again:
            self._held.append(question)

    def open(self) -> None:
        """A session begins. What is to be asked again waits for `release`."""
        self.is_open = True

    def release(self) -> None:
        """Ask what earlier sessions left unanswered."""
        held, self._held = self._held, []
        for question in held:
            self._send(question)

    def close(self) -> None:
        """The session is over."""
        self.is_open = False
        self._held = [question for question in self._asked.values() if question.again] + self._held
        self._asked.clear()
        self._unsent.clear()

    def take(self) -> list[bytes]:
        """What is to be sent on the control lane now."""
        unsent, self._unsent = self._unsent, []
        return unsent

    def answer_untrusted(self, reply: Reply) -> None:
        """Hand a reply to whoever asked. Raises RemoteProtocolError("reply") when nobody did."""
        question = self._asked.pop(reply.number, None)
        if question is None:
            raise RemoteProtocolError("reply")
        question.on_reply(reply)

    def _send(self, question: _Question) -> None:
        number = self._next_number
        self._next_number = number % 0xFFFF_FFFF + 1
        self._asked[number] = question
        self._unsent.append(encode(question.make(number)))


def refusal_untrusted(reply: Reply) -> Refused:
    """The reply as the error that it is. Raises RemoteProtocolError("reply") for any other reply."""
    if not isinstance(reply, RefusedReply):
        raise RemoteProtocolError("reply")
    return Refused(reply.code, reply.text)
