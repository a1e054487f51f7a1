"""A member of the whole chat at the protocol's level: comes in, joins the lobby, posts signed statements.

It is what `bisik` is to the daemon, without the home, the outbox and the checks, so that one process can be hundreds
of them. Several sessions share a user and a device, because making RSA keys is not what is measured.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.peers.transport_chat import OnMessage, TransportClient
from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    ZERO_DIGEST,
    Admitted,
    Joined,
    JoinRoom,
    Login,
    MessageEntry,
    Post,
    Presence,
    Prove,
    Refused,
    Register,
    decode_entry_untrusted,
    decode_from_daemon_untrusted,
    encode,
)
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import (
    LOGIN_CONTEXT,
    STATEMENT_CONTEXT,
    Kind,
    Statement,
    decode_statement_untrusted,
    encode_statement,
    statement_hash,
)
from bisik_protocol.crypto.identity import SigningKey

TIME_MS: Final = 1_795_338_000_000


@dataclass(slots=True)
class Person:
    """A user with one device; `known` once the daemon has admitted it."""

    name: str
    device: SigningKey = field(repr=False)
    known: bool = False


class MemberClient(TransportClient):
    """Ready once it is in the lobby. `closed` or `refused` say why it never will be."""

    def __init__(
        self,
        address: tuple[Any, ...],
        fingerprint: bytes,
        on_message: OnMessage,
        on_ready: Callable[[], None],
        *,
        person: Person,
        join_password: str,
    ) -> None:
        super().__init__(address, fingerprint, on_message, on_ready)
        self.refused: Refused | None = None
        self._person = person
        self._join_password = join_password
        self._lane: int | None = None
        self._seq = 0
        self._previous = ZERO_DIGEST
        self._prepared: deque[bytes] = deque()

    @property
    def backlog_bytes(self) -> int:
        assert self._lane is not None
        return self.connection.backlog(self._lane)

    def send(self, message: bytes) -> None:
        """Post a text; what `prepare` was given goes first."""
        assert self._lane is not None
        self.connection.send(self._lane, self._prepared.popleft() if self._prepared else self._sign(message))

    def prepare(self, messages: list[bytes]) -> None:
        """Sign the texts that `send` will be called with next, so that signing is not part of what is measured."""
        self._prepared += [self._sign(message) for message in messages]

    def on_connected(self) -> None:
        connection, person = self.connection, self._person
        modulus = person.device.public.modulus
        signature = person.device.sign(LOGIN_CONTEXT, connection.channel_binding)
        if person.known:
            connection.send(CONTROL_LANE, encode(Login(1, person.name, modulus, signature)))
        else:
            connection.send(CONTROL_LANE, encode(Prove(0, self._join_password)))
            connection.send(CONTROL_LANE, encode(Register(1, person.name, modulus, signature)))
        connection.send(CONTROL_LANE, encode(JoinRoom(2, LOBBY, Presence.MEMBER, history=0)))

    def on_lane_message(self, lane: int, data: bytes) -> None:
        if lane == CONTROL_LANE:
            self._on_control(data)
            return
        entry = decode_entry_untrusted(data)
        if isinstance(entry, MessageEntry):
            self._on_message(decode_statement_untrusted(entry.statement).text.encode())

    def _on_control(self, data: bytes) -> None:
        match decode_from_daemon_untrusted(data):
            case Admitted():
                self._person.known = True
            case Joined(lane=lane, chain_seq=seq, chain_hash=previous):
                self._lane, self._seq, self._previous = lane, seq, previous
                self._on_ready()
            case Refused() as refused:
                self.refused = refused

    def _sign(self, message: bytes) -> bytes:
        self._seq += 1
        statement = encode_statement(
            Statement(
                room=LOBBY,
                author=self._person.device.public.key_hash,
                seq=self._seq,
                time=TIME_MS,
                kind=Kind.SAY,
                text=message.decode(),
                previous=self._previous,
            )
        )
        self._previous = statement_hash(statement)
        return encode(Post(statement, self._person.device.sign(STATEMENT_CONTEXT, statement)))
