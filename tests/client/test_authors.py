"""Whose key it is: pinned for good, under every name that its owner had, and never another's."""

import pytest

from bisik.authors import MAX_NAMES_ASKED, Authors, objection
from bisik.store import Store
from bisik_protocol.chat.messages import Device, MessageEntry
from bisik_protocol.chat.statements import (
    STATEMENT_CONTEXT,
    Kind,
    Statement,
    decode_statement_untrusted,
    encode_statement,
)
from bisik_protocol.errors import RemoteProtocolError
from tests.support.keys import device_key

KEY = device_key(1)
HASH = KEY.public.key_hash


def device(name: str, *formerly: str, key: int = 1) -> Device:
    return Device(1, name, device_key(key).public.modulus, list(formerly))


def verdict(authors: Authors, name: str) -> str | None:
    """What is objected to a message of KEY that is shown under `name`."""
    encoded = encode_statement(Statement("#lobby", HASH, 1, 0, Kind.SAY, "halo", bytes(32)))
    entry = MessageEntry("#lobby", 1, 0, name, encoded, KEY.sign(STATEMENT_CONTEXT, encoded))
    author = authors.get(HASH)
    assert author is not None
    return objection(entry, decode_statement_untrusted(encoded), author)


def test_a_rename_is_believed_told_and_remembered() -> None:
    """What was said under the old name stays good, in this run and the next."""
    store = Store(None)
    authors = Authors(store)
    assert authors.learn_untrusted(HASH, device("tama")) is None
    assert not authors.must_ask(HASH, "tama")
    assert authors.must_ask(HASH, "sari")
    news = authors.learn_untrusted(HASH, device("sari", "tama"))
    assert news is not None
    assert news.startswith("tama is called sari from now on")
    assert "be careful" not in news
    for seen in (authors, Authors(store)):
        assert not seen.must_ask(HASH, "tama")
        assert not seen.must_ask(HASH, "sari")
        assert verdict(seen, "tama") is None
        assert verdict(seen, "sari") is None
        assert verdict(seen, "budi") == "is signed by a device of sari, not by budi"


def test_a_key_is_not_given_to_somebody_else() -> None:
    """A server that says so without the names that it said before is not believed, and asked once."""
    authors = Authors(Store(None))
    authors.learn_untrusted(HASH, device("tama"))
    assert authors.learn_untrusted(HASH, device("sari")) is None
    authors.asked(HASH, "sari")
    assert not authors.must_ask(HASH, "sari")
    assert verdict(authors, "sari") == "is signed by a device of tama, not by sari"
    assert verdict(authors, "tama") is None


def test_a_name_that_another_device_had_is_warned_of() -> None:
    """Whoever is renamed to a name that somebody else was known by may be taken for them."""
    authors = Authors(Store(None))
    authors.learn_untrusted(device_key(2).public.key_hash, device("sari", key=2))
    authors.learn_untrusted(HASH, device("tama"))
    news = authors.learn_untrusted(HASH, device("sari", "tama"))
    assert news is not None
    assert "be careful" in news


def test_the_first_sight_of_a_key_brings_all_its_names() -> None:
    """A newcomer can read what was said before a rename."""
    authors = Authors(Store(None))
    authors.learn_untrusted(HASH, device("sari", "tama", "budi"))
    assert [verdict(authors, name) for name in ("sari", "tama", "budi")] == [None] * 3


def test_a_server_cannot_make_a_client_ask_for_ever() -> None:
    """Each name of a key is asked about once, and only so many."""
    authors = Authors(Store(None))
    authors.learn_untrusted(HASH, device("tama"))
    asked = 0
    for number in range(2 * MAX_NAMES_ASKED):
        while authors.must_ask(HASH, f"name{number}"):
            asked += 1
            authors.asked(HASH, f"name{number}")
    assert asked == MAX_NAMES_ASKED


def test_another_key_than_was_asked_for_is_refused() -> None:
    """The hash is the question."""
    with pytest.raises(RemoteProtocolError):
        Authors(Store(None)).learn_untrusted(HASH, device("tama", key=2))


def test_a_known_key_is_not_unlearned() -> None:
    """A server that says it does not know a key any more changes nothing."""
    authors = Authors(Store(None))
    authors.learn_untrusted(HASH, device("tama"))
    authors.learn_unknown(HASH)
    assert verdict(authors, "tama") is None
