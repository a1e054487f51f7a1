"""How one is let in, on each connection anew: by the device's key, or for the first time with password and new name.

All of it goes out in one flight with what follows, because a server answers in order: the join password first, then
the name, and then whatever an admitted member asks. Sans-IO; the questions and their numbers are the conversation's.
"""

from collections.abc import Callable
from functools import partial

from bisik.requests import OnReply, Requests
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import Code, Reply, Request
from bisik_protocol.chat.statements import LOGIN_CONTEXT
from bisik_protocol.crypto.identity import SigningKey


class Admission:
    """Of one device. With a join password its name is to be registered first."""

    def __init__(self, device: SigningKey, join_password: str | None = None) -> None:
        self._device = device
        self._join_password = join_password
        self._taken: Reply | None = None  # the refusal of the name, which may be this device's already
        self.came_late = False
        """Whether what went out in the same flight was refused, because it took a second question to be let in."""

    @property
    def is_first(self) -> bool:
        """Whether the server has not let this device in yet."""
        return self._join_password is not None

    def ask(self, requests: Requests, name: str, channel_binding: bytes, on_reply: OnReply) -> None:
        """Ask to be let in. `on_reply` is given what it comes to: Admitted, or the refusal that says why not."""
        signature = self._device.sign(LOGIN_CONTEXT, channel_binding)

        def signed(make: Callable[..., Request], on_answer: OnReply) -> None:
            modulus = self._device.public.modulus
            requests.ask(partial(make, name=name, device=modulus, signature=signature), on_answer, again=False)

        self.came_late = False
        if self._join_password is None:
            signed(messages.Login, on_reply)
            return
        proved = False

        def on_proved(reply: Reply) -> None:
            nonlocal proved
            proved = isinstance(reply, messages.Done)
            if not proved:
                on_reply(reply)

        def on_registered(reply: Reply) -> None:
            if not proved:
                return  # the first refusal says why
            if isinstance(reply, messages.Refused) and reply.code in (Code.NAME_TAKEN, Code.DEVICE_KNOWN):
                self._taken = reply
                self.came_late = True
                signed(messages.Login, on_known)  # an earlier try may have been cut off before its answer came
                return
            on_admitted(reply)

        def on_known(reply: Reply) -> None:
            on_admitted(reply if isinstance(reply, messages.Admitted) or self._taken is None else self._taken)

        def on_admitted(reply: Reply) -> None:
            if isinstance(reply, messages.Admitted):
                self._join_password = None
            on_reply(reply)

        if (
            self._taken is not None
        ):  # and the connection ended: a session that asks much before it is let in is closed
            signed(messages.Login, on_known)
            return
        requests.ask(partial(messages.Prove, join_password=self._join_password), on_proved, again=False)
        signed(messages.Register, on_registered)
