"""Whether somebody is spoken to."""

import pytest

from bisik.mentions import mentions


@pytest.mark.parametrize("text", ["tama", "Tama, look", "hey @tama!", "(TAMA)", "is it tama?", "@tama"])
def test_a_name_as_a_word_is_a_mention(text: str) -> None:
    """In any case, with or without an @, whatever stands around it."""
    assert mentions(text, "tama")


@pytest.mark.parametrize("text", ["tamarind", "pertama", "ta-ma", "", "tama_2"])
def test_a_part_of_a_word_is_none(text: str) -> None:
    """Nobody is called by accident."""
    assert not mentions(text, "tama")


def test_a_name_is_text_and_no_pattern() -> None:
    """Names may hold dots."""
    assert mentions("a.b", "a.b")
    assert not mentions("axb", "a.b")
