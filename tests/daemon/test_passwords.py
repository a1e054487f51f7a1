"""Passwords: readable, strong, typed as people type, hashed at a cost that nobody escapes."""

import math
import re

import pytest

from bisikd.passwords import (
    ALPHABET,
    DEFAULT_COST,
    Cost,
    Passwords,
    is_stored_form,
    new_join_password,
    new_login_id,
    normalized,
)

CHEAP = Cost(memory_kib=8, passes=1, lanes=1)


def test_what_was_hashed_is_verified_and_nothing_else_is() -> None:
    """A hash knows its own secret."""
    passwords = Passwords(CHEAP)
    stored = passwords.hash("k7mq-2hfd")
    assert passwords.verify(stored, "k7mq-2hfd")
    assert not passwords.verify(stored, "k7mq-2hfe")
    assert not passwords.verify(stored, "")


@pytest.mark.parametrize(
    "typed",
    [
        "k7mq-2hfd",
        "K7MQ-2HFD",
        "k7mq2hfd",
        "k7mq 2hfd",
        " k7mq-2hfd\n",
        "k7mq–2hfd",
        "k7mq_2hfd",
        "ｋ７ｍｑ－２ｈｆｄ",
    ],
)
def test_a_secret_may_be_typed_as_people_type(typed: str) -> None:
    """Case, spaces, dashes (also the long ones that phones make) and full width do not matter."""
    assert normalized(typed) == b"k7mq2hfd"
    passwords = Passwords(CHEAP)
    assert passwords.verify(passwords.hash("k7mq-2hfd"), typed)


def test_the_same_secret_is_stored_differently_each_time() -> None:
    """Salted: two users with one secret do not show it."""
    passwords = Passwords(CHEAP)
    assert passwords.hash("x") != passwords.hash("x")


def test_the_default_cost_is_the_documented_one() -> None:
    """64 MiB, three passes, one lane, written into the stored form."""
    assert Cost(memory_kib=65536, passes=3, lanes=1) == DEFAULT_COST
    stored = Passwords().hash("x")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert is_stored_form(stored)


def test_a_stored_form_keeps_the_cost_it_was_made_at() -> None:
    """Changing the cost does not shut out who registered before."""
    stored = Passwords(CHEAP).hash("x")
    assert Passwords(Cost(memory_kib=16, passes=2, lanes=1)).verify(stored, "x")


def test_an_unknown_user_is_refused_at_the_same_cost() -> None:
    """The dummy has the very parameters of a real hash, so that the time tells nobody which names there are."""
    passwords = Passwords(CHEAP)
    assert not passwords.verify(None, "x")
    assert is_stored_form(passwords._nobodys)
    assert passwords._nobodys.rsplit("$", 2)[0] == passwords.hash("x").rsplit("$", 2)[0]


@pytest.mark.parametrize(
    "stored",
    ["", "x", "$argon2id$", "$argon2id$v=19$m=7,t=1,p=1$" + "A" * 22 + "$" + "A" * 43, "\ud800"],
    ids=ascii,
)
def test_a_damaged_stored_form_is_just_wrong(stored: str) -> None:
    """It lets nobody in and raises nothing."""
    assert not Passwords(CHEAP).verify(stored, "x")


@pytest.mark.parametrize("secret", ["\ud800", "\x00", "x" * 100_000, "\U000e0061"], ids=lambda text: ascii(text[:8]))
def test_any_text_can_be_tried(secret: str) -> None:
    """What comes from the network never raises."""
    passwords = Passwords(CHEAP)
    assert not passwords.verify(passwords.hash("k7mq"), secret)


@pytest.mark.parametrize(
    ("text", "stored_form"),
    [
        ("$argon2id$v=19$m=65536,t=3,p=1$" + "A" * 22 + "$" + "B" * 43, True),
        ("$argon2i$v=19$m=65536,t=3,p=1$" + "A" * 22 + "$" + "B" * 43, False),
        ("$argon2id$v=19$m=65536,t=3,p=1$" + "A" * 22 + "$" + "B" * 42, False),
        ("$argon2id$v=19$m=65536,t=3,p=1$" + "A" * 22 + "$" + "B" * 43 + "\n", False),
        ("k7mq-2hfd", False),
    ],
)
def test_a_stored_form_is_recognised(text: str, stored_form: bool) -> None:
    """So that a damaged file is found when it is read, not when its owner comes."""
    assert is_stored_form(text) is stored_form


@pytest.mark.parametrize(("make", "groups", "bits"), [(new_login_id, 5, 80), (new_join_password, 4, 60)])
def test_new_secrets_are_readable_and_strong(make: type, groups: int, bits: int) -> None:
    """Groups of four from an alphabet without look-alikes, and different each time."""
    secret = make()
    assert re.fullmatch(rf"[{ALPHABET}]{{4}}(-[{ALPHABET}]{{4}}){{{groups - 1}}}", secret)
    assert math.log2(len(ALPHABET)) * 4 * groups > bits
    assert len({make() for _ in range(100)}) == 100


def test_the_alphabet_has_no_look_alikes() -> None:
    """Nothing that is taken for something else, read from a screen or over a telephone."""
    assert len(set(ALPHABET)) == len(ALPHABET) == 31
    assert not set(ALPHABET) & set("01ilo")
