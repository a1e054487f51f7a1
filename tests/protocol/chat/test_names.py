"""Names: one spelling, humane refusals, and look-alikes that share a skeleton."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bisik_protocol.chat import names
from bisik_protocol.chat.messages import MAX_NAME_BYTES, MAX_ROOM_BYTES
from bisik_protocol.chat.names import LOBBY, InvalidName, canonical_name, canonical_room, skeleton
from bisik_protocol.chat.text import harmless

any_text = st.text(st.characters(), max_size=40)  # lone surrogates and controls included
name_like = st.text(st.characters(categories=["L", "N", "M"], include_characters="._-\u200c\u200d"), max_size=20)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("tama", "tama"),
        ("Tama", "tama"),
        ("TAMA_2", "tama_2"),
        ("ｔａｍａ", "tama"),  # full-width
        ("ﾀﾏ", "タマ"),  # half-width katakana
        ("e\u0301mile", "émile"),  # a letter and a combining accent
        ("Ÿves", "ÿves"),
        ("K", "k"),  # KELVIN SIGN
        ("ΑΣ", "ας"),  # a final sigma
        ("budi.santoso-3", "budi.santoso-3"),
        ("राम", "राम"),
        ("ශ්\u200dරී", "ශ්\u200dරී"),  # Sri, whose conjunct needs the joiner
        ("محمد", "محمد"),
        ("_x_", "_x_"),
        ("7", "7"),
    ],
)
def test_a_name_has_one_spelling(typed: str, stored: str) -> None:
    """Case, width and composition are the typist's; the stored spelling is one."""
    assert canonical_name(typed) == stored


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "needs at least one"),
        ("a" * 200, "too long"),
        ("é" * 33, "has 66"),
        ("\x1b[31mtama", "escape sequences"),
        ("tama\x07", "escape sequences"),
        ("ta\nma", "escape sequences"),
        ("\x9b31m", "escape sequences"),
        ("tama\u2028", "escape sequences"),
        ("\ud800", "escape sequences"),
        ("ta ma", "cannot hold spaces"),
        (" tama", "cannot hold spaces"),
        ("ta\u00a0ma", "cannot hold spaces"),
        ("ta\u3000ma", "cannot hold spaces"),
        ("tama\u202etxt", "U+202E"),
        ("ta\u200bma", "U+200B"),
        ("ta\u200dma", "U+200D"),
        ("tama\U000e0061", "U+E0061"),
        ("tama\ufe0f", "U+FE0F"),
        ("👍", "thumbs up sign"),
        ("ﬁ", "U+FB01"),
        ("a/b", "solidus"),
        ("#tama", "number sign"),
        ("@tama", "commercial at"),
        ("ta'ma", "apostrophe"),
        ("..", "begins with a letter"),
        ("-rf", "begins with a letter"),
        ("\u0301a", "begins with a letter"),
        ("__", "needs at least one"),
        ("1\u05d0", "writing directions"),
        ("a" + "\u0301" * 9, "heap of accents"),
        ("क्\u200d", "invisible"),
        ("\U0010ffff", "not a character"),
        ("\ue000", "U+E000"),
    ],
)
def test_each_impossible_name_yields_one_sentence(typed: str, says: str) -> None:
    """The sentence says what is wrong and holds nothing of what was typed that could hurt a terminal."""
    with pytest.raises(InvalidName) as caught:
        canonical_name(typed)
    sentence = str(caught.value)
    assert says in sentence
    assert sentence.startswith(("A name ", "That name "))
    assert sentence.endswith(".")
    assert sentence.isascii()
    assert sentence.isprintable()


@given(any_text | name_like)
@example("İ")
@example("ΑΣ\u0301")
@example("\u1e9b\u0323")
@example("ｶﾞ")
def test_spelling_a_name_twice_changes_nothing(text: str) -> None:
    """A canonical name is its own spelling, within its bounds, and shown as it stands."""
    try:
        name = canonical_name(text)
    except InvalidName:
        return
    assert canonical_name(name) == name
    assert 1 <= len(name.encode()) <= MAX_NAME_BYTES
    assert harmless(name) == name
    assert unicodedata.is_normalized("NFC", name)


@given(any_text | name_like)
def test_a_refusal_is_always_an_invalid_name(text: str) -> None:
    """Whatever is typed, the library's own exceptions stay inside."""
    for spell in (canonical_name, canonical_room):
        refusal = "none"
        try:
            spell(text)
        except InvalidName as error:
            refusal = str(error)
        assert refusal.isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "раypal"),  # Cyrillic er and a
        ("paypal", "paypaI"),  # capital I
        ("paypal", "paypa1"),
        ("ian", "lan"),
        ("bob", "b0b"),
        ("bob", "bоb"),  # Cyrillic o
        ("tama", "ｔａｍａ"),
        ("tama", "TAMA"),
        ("tama", "tаmа"),
        ("marc", "rnarc"),
        ("google", "ɡoogle"),  # LATIN SMALL LETTER SCRIPT G
        ("istanbul", "İstanbul"),
        ("istanbul", "ıstanbul"),
        ("alpha", "αlpha"),
        ("sos", "ѕоѕ"),
        ("wati", "ԝati"),
        ("ශ්\u200dරී", "ශ්රී"),  # with and without the joiner
        ("エ", "工"),
    ],
)
def test_look_alikes_share_a_skeleton(one: str, other: str) -> None:
    """Two names that an eye takes for one another are one name to the server."""
    assert skeleton(canonical_name(one)) == skeleton(canonical_name(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tama", "tami"),
        ("budi", "rudi"),
        ("nina", "vina"),
        ("tama", "támá"),
        ("ani", "ana"),
        ("a-b", "a_b"),
        ("u", "y"),
    ],
)
def test_names_that_differ_to_the_eye_differ_in_skeleton(one: str, other: str) -> None:
    """The net for look-alikes does not catch ordinary pairs of names."""
    assert skeleton(one) != skeleton(other)


@given(name_like)
def test_a_skeleton_is_its_own_skeleton(text: str) -> None:
    """Mapping goes on until nothing changes, so two paths to one shape end in it."""
    once = skeleton(text)
    assert skeleton(once) == once


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", max_size=12))
def test_a_plain_name_has_the_skeleton_that_the_table_gives_it(name: str) -> None:
    """The few lines that plain names need, kept beside the table so that they need not load it, say the same."""
    assert skeleton(name) == names._skeleton_by_table(name)


@pytest.mark.parametrize("character", "abcdefghijklmnopqrstuvwxyz0123456789._-")
def test_each_plain_character_has_the_prototype_that_the_table_gives_it(character: str) -> None:
    """None is left to chance."""
    assert skeleton(character) == names._skeleton_by_table(character)


def test_every_prototype_is_a_fixed_point() -> None:
    """The direction read out of the library's two-way table is right for every line of it."""
    prototypes = names._prototypes()
    assert len(prototypes) > 6000
    for character in prototypes:
        once = skeleton(character)
        assert skeleton(once) == once


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("lobby", LOBBY), ("#Lobby", LOBBY), ("＃ｌｏｂｂｙ", LOBBY), ("#dapur", "#dapur"), ("a" * 63, "#" + "a" * 63)],
)
def test_a_room_is_spelt_with_one_sharp(typed: str, stored: str) -> None:
    """The sharp may be left out when typing and is always stored."""
    assert canonical_room(typed) == stored
    assert canonical_room(stored) == stored
    assert len(stored) <= MAX_ROOM_BYTES


@pytest.mark.parametrize("typed", ["", "#", "##lobby", "#a b", "a" * 64, "#\x1b[2J", "#/etc"])
def test_an_impossible_room_yields_a_sentence_about_rooms(typed: str) -> None:
    """Room names follow the rules for names, and the sentence says which of the two was wrong."""
    with pytest.raises(InvalidName, match=r"room name .*\.$"):
        canonical_room(typed)


def test_importing_names_does_not_load_the_table_of_look_alikes() -> None:
    """Start-up pays for the table only when the skeleton of a name in another alphabet is asked for."""
    program = (
        "import sys; from bisik_protocol.chat import names; assert names.skeleton('tim-10') == 'tlrn-lo';"
        "assert names._prototypes.cache_info().currsize == 0;"
        "assert not any(name.startswith('confusable_homoglyphs') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
