"""Coming in for the first time: the join password, then a new name, or a known name with its login ID.

Sans-IO like `conversation`, and driven in the same way. What was asked is asked again on the next connection, behind
the password if that was right before: a server ends the session of somebody who guesses wrong three times.
"""

from collections.abc import Callable
from functools import partial

from bisik.errors import BisikError
from bisik.requests import OnReply, Requests
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import CONTROL_LANE, Reply, Request
from bisik_protocol.chat.statements import LOGIN_CONTEXT
from bisik_protocol.crypto.identity import ServerPublic, SigningKey
from bisik_protocol.errors import RemoteProtocolError


class Newcomer:
    """Somebody with a device's key whom the server does not know yet."""

    failure: BisikError | None = None
    come_back_later: str | None = None

    def __init__(self, device: SigningKey) -> None:
        self._device = device
        self._requests = Requests()
        self._binding = b""
        self._proved: str | None = None

    # Asked by the program ---------------------------------------------------------------------------------------

    def prove(self, join_password: str, on_reply: OnReply) -> None:
        """Show the join password."""

        def on_proved(reply: Reply) -> None:
            if isinstance(reply, messages.Done):
                self._proved = join_password
            on_reply(reply)

        self._requests.ask(partial(messages.Prove, join_password=join_password), on_proved)

    def register(self, name: str, on_reply: OnReply) -> None:
        """Ask for a new name, bound to this device."""
        self._requests.ask(lambda number: self._signed(messages.Register, number, name), on_reply)

    def login(self, name: str, login_id: str | None, on_reply: OnReply) -> None:
        """Say who one is, with the login ID where this device is new."""
        make = partial(messages.Login, login_id=login_id)
        self._requests.ask(lambda number: self._signed(make, number, name), on_reply)

    # Told by whoever drives it ----------------------------------------------------------------------------------

    def on_connected(self, channel_binding: bytes, server: ServerPublic) -> None:
        self._binding = channel_binding
        self._requests.open()
        if self._proved is not None:
            self._requests.ask(partial(messages.Prove, join_password=self._proved), lambda _: None, again=False)
        self._requests.release()

    def on_disconnected(self) -> None:
        self._requests.close()

    def receive_message_untrusted(self, lane: int, data: bytes, now: float) -> None:
        """Raises RemoteProtocolError."""
        message = messages.decode_from_daemon_untrusted(data)
        if lane != CONTROL_LANE:
            raise RemoteProtocolError("lane")
        if not isinstance(message, messages.Announcement):
            self._requests.answer_untrusted(message)

    def messages_to_send(self) -> list[tuple[int, bytes]]:
        return [(CONTROL_LANE, request) for request in self._requests.take()]

    @property
    def is_expecting(self) -> bool:
        return self._requests.unanswered

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        """Nothing here waits for a time."""

    def _signed(self, make: Callable[..., Request], number: int, name: str) -> Request:
        return make(
            number=number,
            name=name,
            device=self._device.public.modulus,
            signature=self._device.sign(LOGIN_CONTEXT, self._binding),
        )
