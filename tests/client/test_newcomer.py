"""Coming in: the sans-IO newcomer, the gate before a door that a test plays, and what is read from an invite."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from bisik.errors import HomeError, NotKnown, Refused, Unreachable, WrongUsage
from bisik.gate import Gate, arrive, open_gate, register
from bisik.home import Home
from bisik.newcomer import Newcomer
from bisik.visit import check_same_name, known_profile, person_name, read_invite, who_visits
from bisik_protocol.chat import messages
from bisik_protocol.chat.invite import Invite
from bisik_protocol.chat.messages import CONTROL_LANE, Code, Reply
from bisik_protocol.chat.statements import LOGIN_CONTEXT
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, MessageReceived
from tests.client.loopback import Server, answer, open_server
from tests.support.keys import device_key, server_identity

DEVICE = device_key()
SERVER = server_identity().public
FINGERPRINT = bytes(range(32))


class Door:
    """A server's admission: one password, one account, three tries a session, as the contract says."""

    def __init__(self) -> None:
        self.users: dict[str, bytes] = {}
        self.requests: list[messages.Request] = []
        self.lose_replies_to_register = False
        self._proved: set[bytes] = set()
        self._tries: dict[bytes, int] = {}
        self._device_names: dict[bytes, str] = {}

    def on_message(self, connection: Connection, message: MessageReceived) -> None:
        request = messages.decode_request_untrusted(message.data)
        self.requests.append(request)
        binding = connection.channel_binding
        reply = self.reply(request, binding)
        if isinstance(reply, messages.Refused) and reply.code is not Code.LOGIN_ID_INCORRECT:
            self._tries[binding] = self._tries.get(binding, 0) + 1
        if isinstance(request, messages.Register) and self.lose_replies_to_register:
            self.lose_replies_to_register = False
            connection.close(CloseCode.INTERNAL)
            return
        answer(connection, reply)
        if self._tries.get(binding, 0) >= 3:
            connection.close(CloseCode.REFUSED, "Too many tries. Connect again.")

    def reply(self, request: messages.Request, binding: bytes) -> messages.FromDaemon:
        number = request.number
        if isinstance(request, messages.Prove):
            if request.join_password == "pw":
                self._proved.add(binding)
                return messages.Done(number)
            return messages.Refused(number, Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")
        assert isinstance(request, messages.Register | messages.Login)
        key = VerifyKey.from_modulus_untrusted(request.device)
        assert key.verify(LOGIN_CONTEXT, binding, request.signature)
        if self._device_names.get(key.key_hash) == request.name and isinstance(request, messages.Login):
            return messages.Admitted(number, request.name, None, None)
        if binding not in self._proved:
            return messages.Refused(number, Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")
        return self._register(request, key) if isinstance(request, messages.Register) else self._login(request)

    def _register(self, request: messages.Register, key: VerifyKey) -> messages.FromDaemon:
        if request.name in self.users:
            return messages.Refused(request.number, Code.NAME_TAKEN, "Taken.")
        self.users[request.name] = key.key_hash
        self._device_names[key.key_hash] = request.name
        return messages.Admitted(request.number, request.name, "the-login-id", None)

    def _login(self, request: messages.Login) -> messages.FromDaemon:
        if request.name not in self.users:
            return messages.Refused(request.number, Code.NAME_UNKNOWN, "Unknown.")
        if request.login_id != "the-login-id":
            return messages.Refused(request.number, Code.LOGIN_ID_INCORRECT, "Wrong.")
        return messages.Admitted(request.number, request.name, None, None)


class TestNewcomer:
    def requests(self, newcomer: Newcomer) -> list[messages.Request]:
        return [messages.decode_request_untrusted(data) for _, data in newcomer.messages_to_send()]

    def answer(self, newcomer: Newcomer, message: messages.FromDaemon) -> None:
        newcomer.receive_message_untrusted(CONTROL_LANE, messages.encode(message), 0.0)

    def test_password_and_name_go_out_in_one_flight(self) -> None:
        """In that order; the server answers them so."""
        newcomer, replies = Newcomer(DEVICE), list[Reply]()
        newcomer.on_connected(b"b" * 32, SERVER)
        newcomer.prove("pw", replies.append)
        newcomer.register("tama", replies.append)
        kinds = [type(request) for request in self.requests(newcomer)]
        assert kinds == [messages.Prove, messages.Register]

    def test_a_new_connection_is_proved_and_signed_anew(self) -> None:
        """The password only if it was right; the signature is over the new channel."""
        newcomer, replies = Newcomer(DEVICE), list[Reply]()
        newcomer.on_connected(b"1" * 32, SERVER)
        newcomer.prove("wrong", replies.append)
        self.answer(newcomer, messages.Refused(1, Code.INCORRECT_PASSWORD, "No."))
        newcomer.prove("pw", replies.append)
        self.answer(newcomer, messages.Done(2))
        newcomer.register("tama", replies.append)
        newcomer.on_disconnected()
        newcomer.on_connected(b"2" * 32, SERVER)
        proof, registration = self.requests(newcomer)
        assert isinstance(proof, messages.Prove)
        assert proof.join_password == "pw"
        assert isinstance(registration, messages.Register)
        assert DEVICE.public.verify(LOGIN_CONTEXT, b"2" * 32, registration.signature)

    def test_a_password_that_was_never_right_is_not_tried_by_itself(self) -> None:
        """Each try counts with the server."""
        newcomer = Newcomer(DEVICE)
        newcomer.on_connected(b"1" * 32, SERVER)
        newcomer.prove("wrong", lambda _: None)
        self.answer(newcomer, messages.Refused(1, Code.INCORRECT_PASSWORD, "No."))
        newcomer.on_disconnected()
        newcomer.on_connected(b"2" * 32, SERVER)
        assert self.requests(newcomer) == []

    @pytest.mark.parametrize(
        ("lane", "data"),
        [
            (1, messages.encode(messages.Done(1))),
            (0, b"\xff"),
            (0, messages.encode(messages.Done(77))),
        ],
    )
    def test_what_nobody_may_say_is_refused(self, lane: int, data: bytes) -> None:
        """Other lanes, nonsense, replies to nothing."""
        newcomer = Newcomer(DEVICE)
        newcomer.on_connected(b"1" * 32, SERVER)
        with pytest.raises(RemoteProtocolError):
            newcomer.receive_message_untrusted(lane, data, 0.0)

    def test_announcements_are_not_for_newcomers(self) -> None:
        """They are heard and ignored."""
        newcomer = Newcomer(DEVICE)
        newcomer.on_connected(b"1" * 32, SERVER)
        self.answer(newcomer, messages.CheckpointSeen(b"note"))
        assert newcomer.messages_to_send() == []
        assert newcomer.next_timeout() is None


class TestGate:
    async def test_in_by_password_and_name(self) -> None:
        """And the login ID comes out."""
        door = Door()
        async with open_server(door.on_message) as server, self.gate(server) as gate:
            await gate.reach()
            await gate.prove("pw")
            assert await gate.register("tama") == "the-login-id"

    async def test_wrong_answers_beyond_what_a_session_allows(self) -> None:
        """The server ends the session; the gate comes back, and proves again what was right before."""
        door = Door()
        async with open_server(door.on_message) as server, self.gate(server) as gate:
            for _ in range(4):
                with pytest.raises(Refused, match="Incorrect password"):
                    await gate.prove("wrong")
            await gate.prove("pw")
            for _ in range(4):
                with pytest.raises(Refused, match="Unknown"):
                    await gate.login("nobody", "id")
            assert await gate.register("tama") == "the-login-id"
            assert len(server.connections) >= 3

    async def test_a_lost_reply_to_a_registration_is_not_a_taken_name(self) -> None:
        """The server has stored it, and the connection ended: the device's key tells who it was."""
        door = Door()
        door.lose_replies_to_register = True
        async with open_server(door.on_message) as server, self.gate(server) as gate:
            await gate.prove("pw")
            assert await gate.register("tama") is None
            assert door.users == {"tama": DEVICE.public.key_hash}

    async def test_a_name_of_somebody_else_stays_taken(self) -> None:
        """The second look asks with this device's key, and learns nothing."""
        door = Door()
        door.users["tama"] = b"another device"
        async with open_server(door.on_message) as server, self.gate(server) as gate:
            await gate.prove("pw")
            with pytest.raises(Refused) as refused:
                await gate.register("tama")
            assert refused.value.code is Code.NAME_TAKEN

    async def test_a_registration_is_remembered(self, tmp_path: Path) -> None:
        """Name, address and fingerprint, from then on the default."""
        door = Door()
        home = Home(tmp_path)
        async with open_server(door.on_message) as server:
            folder = home.folder(server.fingerprint)
            folder.mkdir(parents=True)
            (folder / "device.pem").write_bytes(DEVICE.to_pem())
            profile, login_id = await register(
                home,
                host="127.0.0.1",
                port=server.port,
                fingerprint=server.fingerprint,
                join_password="pw",
                name="tama",
            )
        assert login_id == "the-login-id"
        assert home.require_default() == profile

    async def test_a_wrong_password_is_told_before_the_name_and_the_key_is_kept(self, tmp_path: Path) -> None:
        """Both went out together; the next try goes on with the same key."""
        door = Door()
        home = Home(tmp_path)
        async with open_server(door.on_message) as server:
            with pytest.raises(Refused, match="Incorrect password"):
                await register(
                    home,
                    host="127.0.0.1",
                    port=server.port,
                    fingerprint=server.fingerprint,
                    join_password="wrong",
                    name="tama",
                )
            assert [type(request) for request in door.requests] == [messages.Prove, messages.Register]
            key = (home.folder(server.fingerprint) / "device.pem").read_bytes()
            device, line = await arrive(home, host="127.0.0.1", port=server.port, fingerprint=server.fingerprint)
            line.close()
        assert device.to_pem() == key
        assert home.default() is None

    @pytest.mark.parametrize("damaged", [True, False])
    async def test_who_cannot_arrive_is_told_why(self, tmp_path: Path, damaged: bool) -> None:
        """A key that is damaged, or nobody there; in no case is a socket left over."""
        home = Home(tmp_path)
        async with open_server() as server:
            if damaged:
                home.folder(server.fingerprint).mkdir(parents=True)
                (home.folder(server.fingerprint) / "device.pem").write_bytes(b"?")
                with pytest.raises(HomeError, match="damaged"):
                    await arrive(home, host="127.0.0.1", port=server.port, fingerprint=server.fingerprint)
        if not damaged:
            with pytest.raises(Unreachable):
                await arrive(home, host="127.0.0.1", port=server.port, fingerprint=server.fingerprint)

    async def test_nobody_there_is_unreachable(self) -> None:
        """After one round of trying."""
        async with open_server() as server:
            pass
        with trio.fail_after(30):
            async with open_gate("127.0.0.1", server.port, server.fingerprint, DEVICE) as gate:
                with pytest.raises(Unreachable):
                    await gate.reach()
                with pytest.raises(Unreachable):
                    await gate.prove("pw")

    async def test_a_server_that_never_answers_is_unreachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may be busy; nobody waits for ever."""
        monkeypatch.setattr("bisik.gate.REPLY_S", 0.2)
        async with open_server() as server, self.gate(server) as gate:
            with pytest.raises(Unreachable, match="does not answer"):
                await gate.prove("pw")

    def gate(self, server: Server) -> AbstractAsyncContextManager[Gate]:
        return open_gate("127.0.0.1", server.port, server.fingerprint, DEVICE)


class TestVisit:
    def save(self, home: Home) -> None:
        home.save(name="tama", host="127.0.0.1", port=9999, fingerprint=FINGERPRINT)

    @pytest.mark.parametrize(
        ("text", "invite"),
        [
            ("127.0.0.1", Invite(host="127.0.0.1")),
            (" example.org:7 ", Invite(host="example.org", port=7)),
            ("[::1]:7", Invite(host="::1", port=7)),
            ("'bisik://example.org:7/'", Invite(host="example.org", port=7)),
        ],
    )
    def test_an_invite_or_an_address(self, text: str, invite: Invite) -> None:
        """As people type and paste them."""
        assert read_invite(text) == invite

    @pytest.mark.parametrize("text", ["", "bisik://", "a:b", "13121213131", "bisik://h/?fp=x"])
    def test_neither_is_wrong_usage(self, text: str) -> None:
        """With the sentence of whoever read it."""
        with pytest.raises(WrongUsage):
            read_invite(text)

    def test_a_name_in_its_one_spelling(self) -> None:
        """Or wrong usage."""
        assert person_name("TAMA") == "tama"
        with pytest.raises(WrongUsage):
            person_name("two words")

    def test_a_server_that_moved_is_remembered_at_its_new_address(self, tmp_path: Path) -> None:
        """The invite says where it is now; the fingerprint says which it is."""
        home = Home(tmp_path)
        self.save(home)
        moved = Invite(host="example.org", port=7, fingerprint=FINGERPRINT)
        found = known_profile(home, moved)
        assert found is not None
        assert (found.name, found.address) == ("tama", "example.org:7")
        assert home.require_default().host == "example.org"

    def test_an_address_alone_finds_who_was_there(self, tmp_path: Path) -> None:
        """And a stranger's fingerprint at it does not."""
        home = Home(tmp_path)
        self.save(home)
        assert known_profile(home, Invite(host="127.0.0.1", port=9999)) is not None
        assert known_profile(home, Invite(host="127.0.0.1", port=9999, fingerprint=bytes(32))) is None
        assert known_profile(home, Invite(host="127.0.0.2", port=9999)) is None

    def test_another_name_is_refused(self, tmp_path: Path) -> None:
        """None, or the same, is not."""
        home = Home(tmp_path)
        self.save(home)
        profile = home.require_default()
        check_same_name(home, profile, None)
        check_same_name(home, profile, "tama")
        with pytest.raises(Refused, match="you are tama"):
            check_same_name(home, profile, "bima")

    def test_a_known_home_needs_nothing(self, tmp_path: Path) -> None:
        """Neither invite nor network."""
        home = Home(tmp_path)
        with pytest.raises(NotKnown):
            who_visits(home, None, None)
        self.save(home)
        assert who_visits(home, None, None).name == "tama"
        assert who_visits(home, "127.0.0.1:9999", "Tama").name == "tama"
