"""The dialogue of a first visit: what is asked, in which order, and what is said to every wrong answer.

Sans-IO: a generator that yields what is to be done (`Say`, `Ask`, `Find`, `Prove`, `Register`, `Login`) and is sent
the answer. It knows no terminal and no network, so that a test reads like the conversation.

    server, port -> fingerprint, which the person confirms unless it is known -> password -> register or login
    -> name -> login ID

The password comes before everything else because a server tells strangers nothing. An invite, where there is one,
answers the questions that it can.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from bisik.i18n import _
from bisik_protocol.chat.invite import DEFAULT_PORT, Invite, parse_endpoint, parse_invite, parse_port
from bisik_protocol.chat.messages import Code
from bisik_protocol.chat.names import InvalidName, canonical_name
from bisik_protocol.crypto.identity import fingerprint_groups


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the person. The answer is None."""

    text: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the person; the answer is what was typed, without white space around it."""

    prompt: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Find:
    """Find out who is there; the answer is a `Found`, or a `Problem`."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Found:
    """A server answers with this fingerprint. `known_as`: this home has been there before, as that name.

    `expected` is what this home remembers of the address, when that is another server.
    """

    fingerprint: bytes
    known_as: str | None = None
    expected: bytes | None = None


@dataclass(frozen=True, slots=True)
class Enter:
    """Stand before the server with this identity; the answer is None, or a `Problem`."""

    host: str
    port: int
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Prove:
    """Show the join password; the answer is None, or a `Problem`."""

    join_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Register:
    """Take the name; the answer is `Registered`, or a `Problem`."""

    name: str


@dataclass(frozen=True, slots=True)
class Registered:
    """The login ID, or None where the name was this device's already."""

    login_id: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """Bring the name to this device; the answer is None, or a `Problem`."""

    name: str
    login_id: str | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Problem:
    """It did not work. `code` is None where the server was not reached."""

    text: str
    code: Code | None = None


Step = Say | Ask | Find | Enter | Prove | Register | Login
Answer = str | Found | Problem | Registered | None


@dataclass(frozen=True, slots=True)
class Settled:
    """How the dialogue ended: who one is, and where."""

    host: str
    port: int
    fingerprint: bytes
    name: str


Dialogue = Generator[Step, Answer, Settled]


class GiveUp(Exception):  # noqa: N818 # an end, not an error
    """The dialogue cannot go on; `args[0]` says why. `mismatch`: because the server is not the known one."""

    def __init__(self, text: str, *, mismatch: bool = False) -> None:
        super().__init__(text)
        self.mismatch = mismatch


def dialogue(invite: Invite | None = None, name: str | None = None) -> Dialogue:
    """The whole of it. With an invite, only what it does not say is asked, and a new name is what is wanted.

    Raises GiveUp.
    """
    yield Say(
        _("Welcome to bisik.")
        if invite is None
        else _("Joining the server at {host} port {port}.").format(host=invite.host, port=invite.port)
    )
    place = yield from _find_server(invite)
    if place.name:
        return place
    yield from _prove(None if invite is None else invite.join_password)
    registering = True
    if invite is None:
        registering = yield from _register_or_login()
    while True:
        chosen = yield from (_register(name) if registering else _login(name))
        if chosen is not None:
            return Settled(place.host, place.port, place.fingerprint, chosen)
        registering, name = not registering, None


# Where --------------------------------------------------------------------------------------------------------


def _find_server(invite: Invite | None) -> Dialogue:
    """A server that we stand before; with a name already where this home is known there."""
    given = invite
    while True:
        if given is None:
            given = yield from _ask_server()
        place = yield from (_meet(given) if given.fingerprint is None else _enter(given, given.fingerprint))
        if isinstance(place, Settled):
            return place
        if invite is not None:
            raise GiveUp(place)
        yield Say(place)
        given = None


def _ask_server() -> Generator[Step, Answer, Invite]:
    while True:
        typed = yield from _ask(_("Server: "))
        try:
            if typed.lower().startswith("bisik:"):
                return parse_invite(typed)
            host, port = parse_endpoint(typed)
        except ValueError as error:
            yield Say(str(error))
            continue
        if typed.removesuffix(f":{port}") == typed:
            port = yield from _ask_port()
        return Invite(host=host, port=port)


def _ask_port() -> Generator[Step, Answer, int]:
    while True:
        typed = yield from _ask(_("Port [{default_port}]: ").format(default_port=DEFAULT_PORT))
        if not typed:
            return DEFAULT_PORT
        try:
            return parse_port(typed)
        except ValueError as error:
            yield Say(str(error))


def _meet(given: Invite) -> Generator[Step, Answer, Settled | str]:
    """First contact without an invite: the person confirms the fingerprint. A sentence where it comes to nothing."""
    found = yield Find(given.host, given.port)
    if isinstance(found, Problem):
        return found.text
    if not isinstance(found, Found):
        raise TypeError(found)
    if found.known_as is not None:
        return Settled(given.host, given.port, found.fingerprint, found.known_as)
    if found.expected is not None:
        raise GiveUp(
            _(
                "The server at {host} port {port} is NOT the one that was there before. Its fingerprint is\n"
                "  {fingerprint}\n"
                "and should be\n"
                "  {expected}\n"
                "Somebody may be listening in. Ask the server's operator; if the change is real, come in with a"
                " new invite: bisik join INVITE"
            ).format(
                host=given.host,
                port=given.port,
                fingerprint=fingerprint_groups(found.fingerprint),
                expected=fingerprint_groups(found.expected),
            ),
            mismatch=True,
        )
    yield Say(
        _(
            "This is the first visit to {host} port {port}. Its fingerprint is\n"
            "  {fingerprint}\nIt must be the one that whoever runs the server was shown when it was started."
        ).format(host=given.host, port=given.port, fingerprint=fingerprint_groups(found.fingerprint))
    )
    if not (yield from _yes_or_no(_("Is that the right one? (yes/no) "))):
        return _("Then nothing was sent to it. Ask the operator for an invite link: it holds the right fingerprint.")
    return (yield from _enter(given, found.fingerprint))


def _enter(given: Invite, fingerprint: bytes) -> Generator[Step, Answer, Settled | str]:
    problem = yield Enter(given.host, given.port, fingerprint)
    if isinstance(problem, Problem):
        return problem.text
    return Settled(given.host, given.port, fingerprint, "")


# Who ----------------------------------------------------------------------------------------------------------


def _prove(given: str | None) -> Generator[Step, Answer, None]:
    while True:
        password = given if given is not None else (yield from _ask(_("Password: "), secret=True))
        given = None
        if not password:
            yield Say(_("The password is the server's: whoever runs it was shown it when the server was started."))
            continue
        problem = yield Prove(password)
        if not isinstance(problem, Problem):
            return
        yield Say(problem.text)


def _register_or_login() -> Generator[Step, Answer, bool]:
    while True:
        typed = (yield from _ask(_("Register or login? "))).lower()
        if typed in ("register", "r", "daftar", "d"):
            return True
        if typed in ("login", "log in", "l", "masuk", "m"):
            return False
        yield Say(_("Type register if you are new here, or login if you already have a name on this server."))


def _register(given: str | None) -> Generator[Step, Answer, str | None]:
    """The name; None where the person wants to log in instead."""
    while True:
        name = yield from _ask_name(given, instead="/login")
        given = None
        if name is None:
            return None
        answer = yield Register(name)
        if isinstance(answer, Registered):
            yield Say(_welcome(name, answer.login_id))
            return name
        if isinstance(answer, Problem):
            taken = answer.code is Code.NAME_TAKEN
            yield Say(
                _("{text} If it is yours, from another device, type /login.").format(text=answer.text)
                if taken
                else answer.text
            )


def _login(given: str | None) -> Generator[Step, Answer, str | None]:
    """The name; None where the person wants to register instead."""
    while True:
        name = yield from _ask_name(given, instead="/register")
        given = None
        if name is None:
            return None
        problem = yield Login(name)  # a device that was here before needs no ID
        while isinstance(problem, Problem) and problem.code is Code.LOGIN_ID_INCORRECT:
            login_id = yield from _ask(_("Login ID: "), secret=True)
            if not login_id:
                break
            problem = yield Login(name, login_id)
            if isinstance(problem, Problem):
                yield Say(problem.text)
        else:
            if not isinstance(problem, Problem):
                yield Say(_("Welcome back, {name}.").format(name=name))
                return name
            yield Say(problem.text)


def _ask_name(given: str | None, *, instead: str) -> Generator[Step, Answer, str | None]:
    while True:
        typed = given if given is not None else (yield from _ask(_("Name: ")))
        given = None
        if typed.lower() == instead:
            return None
        try:
            return canonical_name(typed)
        except InvalidName as error:
            yield Say(str(error))


def _welcome(name: str, login_id: str | None) -> str:
    if login_id is None:
        return _(
            "You are {name}. An earlier try was cut off before its login ID came; it cannot be shown again, and"
            " this device does not need it."
        ).format(name=name)
    return _(
        "You are {name}. Your login ID is\n"
        "  {login_id}\n"
        "Keep it as you keep a password: it brings your name to another device, and is not shown again."
    ).format(name=name, login_id=login_id)


def _yes_or_no(prompt: str) -> Generator[Step, Answer, bool]:
    while True:
        typed = (yield from _ask(prompt)).lower()
        if typed in ("yes", "y", "ya"):
            return True
        if typed in ("no", "n", "tidak", "t"):
            return False
        yield Say(_("Please type yes or no."))


def _ask(prompt: str, *, secret: bool = False) -> Generator[Step, Answer, str]:
    typed = yield Ask(prompt, secret)
    if not isinstance(typed, str):
        raise TypeError(typed)
    return typed.strip()
