"""The dialogue as transcripts: `<<` what it says, asks or does, `>>` what it is answered."""

import pytest

from bisik.dialogue import (
    Answer,
    Ask,
    Dialogue,
    Enter,
    Find,
    Found,
    GiveUp,
    Login,
    Problem,
    Prove,
    Register,
    Registered,
    Say,
    Settled,
    Step,
    dialogue,
)
from bisik_protocol.chat.invite import Invite
from bisik_protocol.chat.messages import Code
from bisik_protocol.crypto.identity import fingerprint_groups

FINGERPRINT = bytes(range(32))
OTHER = bytes(32)
ENTER = Enter("127.0.0.1", 9999, FINGERPRINT)
SETTLED = Settled("127.0.0.1", 9999, FINGERPRINT, "tama")
INVITE = Invite(host="127.0.0.1", port=9999, fingerprint=FINGERPRINT, join_password="pw")

WRONG = Problem("Incorrect password. Try again.", Code.INCORRECT_PASSWORD)
TAKEN = Problem("The name tama is taken.", Code.NAME_TAKEN)
UNKNOWN = Problem("Nobody here has that name.", Code.NAME_UNKNOWN)
ID_NEEDED = Problem("This device is new to tama: its login ID is needed.", Code.LOGIN_ID_INCORRECT)
ID_WRONG = Problem("That is not the login ID of tama.", Code.LOGIN_ID_INCORRECT)


class Playbook:
    """One dialogue, compared step by step with what is expected of it."""

    def __init__(self, played: Dialogue) -> None:
        self._played = played
        self.settled: Settled | None = None
        self._step: Step | None = None
        self.send(None)

    def send(self, answer: Answer) -> None:
        try:
            self._step = self._played.send(answer)
        except StopIteration as stop:
            self._step, self.settled = None, stop.value

    def __lshift__(self, expected: str | Step) -> "Playbook":
        """A sentence that holds `expected` (it is answered by itself), or exactly this step."""
        if isinstance(expected, str):
            assert isinstance(self._step, Say), f"{self._step} where a sentence with {expected!r} should be"
            assert expected in self._step.text
            self.send(None)
        else:
            assert self._step == expected
        return self

    def __rshift__(self, answer: Answer) -> "Playbook":
        self.send(answer)
        return self


SERVER, PORT = Ask("Server: "), Ask("Port [9999]: ")
CONFIRM = Ask("Is that the right one? (yes/no) ")
PASSWORD = Ask("Password: ", secret=True)
WHICH, NAME, LOGIN_ID = Ask("Register or login? "), Ask("Name: "), Ask("Login ID: ", secret=True)


def at_the_password() -> Playbook:
    return (
        Playbook(dialogue())
        << "Welcome"
        << SERVER
        >> "127.0.0.1:9999"
        << Find("127.0.0.1", 9999)
        >> Found(FINGERPRINT)
        << fingerprint_groups(FINGERPRINT)
        << CONFIRM
        >> "yes"
        << ENTER
        >> None
    )


def at_the_choice() -> Playbook:
    return at_the_password() << PASSWORD >> "pw" << Prove("pw") >> None


def at_the_new_name() -> Playbook:
    return at_the_choice() << WHICH >> "register"


def at_the_known_name() -> Playbook:
    return at_the_choice() << WHICH >> "login"


class TestServer:
    def test_the_plain_way(self) -> None:
        """Everything right at once."""
        play = at_the_new_name() << NAME >> "Tama" << Register("tama") >> Registered("k7mq-2hfd") << "k7mq-2hfd"
        assert play.settled == SETTLED

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ("", "missing"),
            ("13121213131", "not an address"),
            ("1.2.3", "not an address"),
            ("two words", "neither a host name nor an address"),
            ("host:abc", "A port is a number"),
            ("host:99999", "no such port"),
            ("a:b:c", "more than one colon"),
            ("\x1b]0;x\x07", "neither a host name nor an address"),
            ("bisik://host/?fp=short", "fingerprint in this invite link is damaged"),
        ],
    )
    def test_a_server_that_cannot_be_is_asked_again(self, typed: str, sentence: str) -> None:
        """With the reason."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> typed << sentence << SERVER
        assert play.settled is None

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [("99999", "no such port"), ("abc", "is a number"), ("0", "no such port"), ("-1", "is a number")],
    )
    def test_a_port_that_cannot_be_is_asked_again(self, typed: str, sentence: str) -> None:
        """The server is not asked again for that."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> "127.0.0.1" << PORT >> typed << sentence << PORT
        play >> "" << Find("127.0.0.1", 9999)

    def test_nobody_listening_asks_for_the_server_again(self) -> None:
        """The person may have mistyped either."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> "127.0.0.1" << PORT >> "1"
        play << Find("127.0.0.1", 1) >> Problem("Nobody is listening there.") << "Nobody is listening" << SERVER

    def test_an_invite_may_be_pasted_where_the_server_is_asked(self) -> None:
        """Its fingerprint needs no confirmation."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> INVITE.url() << ENTER >> None << PASSWORD
        assert play.settled is None

    def test_what_is_typed_may_have_white_space_around_it(self) -> None:
        """People paste."""
        Playbook(dialogue()) << "Welcome" << SERVER >> "  127.0.0.1:9999 \t" << Find("127.0.0.1", 9999)


class TestIdentity:
    def test_a_known_server_needs_no_questions(self) -> None:
        """The second visit asks nothing, even where the address was typed."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> "127.0.0.1:9999" << Find("127.0.0.1", 9999)
        play >> Found(FINGERPRINT, known_as="tama")
        assert play.settled == SETTLED

    def test_another_server_at_a_known_address_is_a_loud_stop(self) -> None:
        """Both fingerprints are shown; nothing is sent."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> "127.0.0.1:9999" << Find("127.0.0.1", 9999)
        with pytest.raises(GiveUp) as stopped:
            play >> Found(OTHER, expected=FINGERPRINT)
        assert stopped.value.mismatch
        assert fingerprint_groups(OTHER) in str(stopped.value)
        assert fingerprint_groups(FINGERPRINT) in str(stopped.value)

    def test_a_fingerprint_that_is_not_confirmed_sends_nothing(self) -> None:
        """No leads back to the server."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> "127.0.0.1:9999" << Find("127.0.0.1", 9999)
        play >> Found(FINGERPRINT) << "fingerprint" << CONFIRM >> "no" << "nothing was sent" << SERVER

    @pytest.mark.parametrize("typed", ["", "maybe", "yess", "1"])
    def test_yes_has_to_be_said(self, typed: str) -> None:
        """Enter alone trusts nobody."""
        play = Playbook(dialogue()) << "Welcome" << SERVER >> "127.0.0.1:9999" << Find("127.0.0.1", 9999)
        play >> Found(FINGERPRINT) << "fingerprint" << CONFIRM >> typed << "yes or no" << CONFIRM >> "Y" << ENTER


class TestPassword:
    def test_a_wrong_password_is_asked_again(self) -> None:
        """In the words of the original, as often as it takes."""
        play = at_the_password()
        for _ in range(5):
            play << PASSWORD >> "no" << Prove("no") >> WRONG << "Incorrect password. Try again."
        play << PASSWORD >> "pw" << Prove("pw") >> None << WHICH

    def test_an_empty_password_says_whose_it_is(self) -> None:
        """And is not tried."""
        at_the_password() << PASSWORD >> "" << "whoever runs it" << PASSWORD

    def test_a_server_that_is_gone_is_said(self) -> None:
        """The answer is no verdict on the password."""
        at_the_password() << PASSWORD >> "pw" << Prove("pw") >> Problem("No answer.") << "No answer." << PASSWORD

    def test_passwords_are_not_in_what_is_logged(self) -> None:
        """The steps hide their secrets."""
        assert "pw" not in repr(Prove("pw"))
        assert "k7mq" not in repr(Registered("k7mq")) + repr(Login("tama", "k7mq"))


class TestRegister:
    @pytest.mark.parametrize("typed", ["tester", "", "both", "\x1b[A", "yes"])
    def test_neither_register_nor_login_is_asked_again(self, typed: str) -> None:
        """With what the two words mean."""
        at_the_choice() << WHICH >> typed << "register if you are new here" << WHICH

    @pytest.mark.parametrize("typed", ["register", "REGISTER", "r", " register "])
    def test_register_may_be_said_in_short(self, typed: str) -> None:
        """Capitals do not matter."""
        at_the_choice() << WHICH >> typed << NAME

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ("", "at least one letter or digit"),
            ("x" * 200, "too long"),
            ("\x1b[31mred", "control characters or escape sequences"),
            ("two words", "spaces"),
            ("a/b", "cannot hold"),
        ],
    )
    def test_a_name_that_cannot_be_is_asked_again(self, typed: str, sentence: str) -> None:
        """The server is not troubled, and what was typed is not repeated."""
        at_the_new_name() << NAME >> typed << sentence << NAME

    def test_a_taken_name_is_asked_again_and_shows_the_way_to_login(self) -> None:
        """It may be the person's own, from another device."""
        play = at_the_new_name() << NAME >> "tama" << Register("tama") >> TAKEN << "type /login" << NAME
        play >> "/login" << NAME >> "tama" << Login("tama") >> ID_NEEDED << LOGIN_ID >> "k7mq"
        play << Login("tama", "k7mq") >> None << "Welcome back, tama"
        assert play.settled == SETTLED

    def test_another_name_after_a_taken_one(self) -> None:
        """A look-alike is told in the server's words."""
        looks = Problem("The name tama, or one that looks like it, is taken.", Code.NAME_TAKEN)
        play = at_the_new_name() << NAME >> "tama" << Register("tama") >> looks << "looks like it" << NAME
        play >> "tama2" << Register("tama2") >> Registered("id") << "id"
        assert play.settled is not None
        assert play.settled.name == "tama2"

    def test_a_registration_that_was_cut_off_before_is_taken_up(self) -> None:
        """The name is there and the ID is not."""
        play = at_the_new_name() << NAME >> "tama" << Register("tama") >> Registered(None) << "cannot be shown again"
        assert play.settled == SETTLED

    def test_any_other_refusal_is_said(self) -> None:
        """And the name is asked again."""
        full = Problem("No more accounts.", Code.STORAGE)
        at_the_new_name() << NAME >> "tama" << Register("tama") >> full << "No more accounts." << NAME


class TestLogin:
    def test_name_and_login_id(self) -> None:
        """On a new device."""
        play = at_the_known_name() << NAME >> "tama" << Login("tama") >> ID_NEEDED << LOGIN_ID >> " k7mq "
        play << Login("tama", "k7mq") >> None << "Welcome back"
        assert play.settled == SETTLED

    def test_a_device_that_was_here_before_needs_no_id(self) -> None:
        """Its key is enough."""
        play = at_the_known_name() << NAME >> "tama" << Login("tama") >> None << "Welcome back"
        assert play.settled == SETTLED

    def test_an_unknown_name_is_asked_again(self) -> None:
        """Before an ID is asked for."""
        at_the_known_name() << NAME >> "nobody" << Login("nobody") >> UNKNOWN << "Nobody here" << NAME

    def test_a_wrong_id_is_asked_again(self) -> None:
        """As often as it takes."""
        play = at_the_known_name() << NAME >> "tama" << Login("tama") >> ID_NEEDED
        for _ in range(4):
            play << LOGIN_ID >> "bad" << Login("tama", "bad") >> ID_WRONG << "not the login ID"
        play << LOGIN_ID >> "k7mq" << Login("tama", "k7mq") >> None << "Welcome back"

    def test_an_empty_id_leads_back_to_the_name(self) -> None:
        """It may have been the wrong name."""
        at_the_known_name() << NAME >> "tama" << Login("tama") >> ID_NEEDED << LOGIN_ID >> "" << NAME

    def test_the_other_way_is_open(self) -> None:
        """From login to register."""
        at_the_known_name() << NAME >> "/register" << NAME >> "tama" << Register("tama")


class TestInvite:
    def test_an_invite_asks_only_for_the_name(self) -> None:
        """In one go."""
        play = Playbook(dialogue(INVITE)) << "Joining" << ENTER >> None << Prove("pw") >> None << NAME >> "tama"
        play << Register("tama") >> Registered("k7mq") << "k7mq"
        assert play.settled == SETTLED

    def test_an_invite_and_a_name_ask_nothing(self) -> None:
        """As a script would do it."""
        play = Playbook(dialogue(INVITE, "tama")) << "Joining" << ENTER >> None << Prove("pw") >> None
        play << Register("tama") >> Registered("k7mq") << "k7mq"
        assert play.settled == SETTLED

    def test_an_invite_with_an_old_password_asks_for_the_new_one(self) -> None:
        """The operator may have changed it."""
        play = Playbook(dialogue(INVITE)) << "Joining" << ENTER >> None << Prove("pw") >> WRONG << "Incorrect"
        play << PASSWORD >> "new" << Prove("new") >> None << NAME

    def test_an_invite_to_nobody_ends(self) -> None:
        """There is nothing to ask again."""
        play = Playbook(dialogue(INVITE)) << "Joining" << ENTER
        with pytest.raises(GiveUp, match="Nobody is listening"):
            play >> Problem("Nobody is listening there.")

    def test_an_invite_without_a_fingerprint_asks_for_confirmation(self) -> None:
        """Only a fingerprint in the invite saves that."""
        bare = Invite(host="127.0.0.1", port=9999, join_password="pw")
        play = Playbook(dialogue(bare)) << "Joining" << Find("127.0.0.1", 9999) >> Found(FINGERPRINT)
        play << "fingerprint" << CONFIRM >> "yes" << ENTER >> None << Prove("pw") >> None << NAME
