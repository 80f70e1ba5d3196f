"""Wording: what spellings of one name share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.matching.wording import (
    alternatives,
    brackets,
    is_participle,
    name_key,
    sense,
    singular,
    stems,
    tokens,
)


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("alligators", "alligator"),
        ("buses", "bus"),
        ("bus", "bus"),
        ("calves", "calf"),
        ("children", "child"),
        ("cows", "cow"),
        ("dress", "dress"),
        ("flies", "fly"),
        ("foxes", "fox"),
        ("geese", "goose"),
        ("glasses", "glasses"),  # spectacles, not two glasses
        ("horses", "horse"),
        ("knives", "knife"),
        ("matches", "match"),
        ("mice", "mouse"),
        ("tennis", "tennis"),
        ("wolves", "wolf"),
    ],
)
def test_singular(plural: str, expected: str) -> None:
    assert singular(plural) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ice cream", "icecream"),
        ("cell phone", "Cellphones"),
        ("Ping-pong ball", "ping_pong_balls"),
        ("aeroplane", "airplane"),
        ("Dough­nut", "donut"),
        ("carpenter's saw", "carpenters saw"),
        ("Café table", "cafe tables"),
    ],
)
def test_one_name_has_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ball", "bell"), ("harmonica", "harmonium"), ("glass", "glasses"), ("fork", "tuning fork")],
)
def test_two_names_have_two_keys(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    words = tokens(text)
    assert tokens(" ".join(words)) == words
    assert name_key(text.upper()) == name_key(text.upper().lower())


@given(st.text(alphabet=st.characters(min_codepoint=97, max_codepoint=122), max_size=12))
def test_stems_begin_with_the_word_and_end(word: str) -> None:
    found = stems(word)
    assert found[0] == word
    assert all(found) or not word


@pytest.mark.parametrize(
    ("word", "stem"),
    [("chopping", "chop"), ("typing", "type"), ("hammering", "hammer"), ("rings", "ring"), ("popped", "pop")],
)
def test_stems_hold_the_base_form(word: str, stem: str) -> None:
    assert stem in stems(word)


def test_a_participle_has_a_vowel_before_its_ending() -> None:
    assert is_participle("typing")
    assert is_participle("baaing")
    assert not any(is_participle(word) for word in ("string", "wing", "spring", "king", "siren"))


def test_alternatives_and_brackets() -> None:
    assert [tokens(part) for part in alternatives("bee, wasp, etc. buzzing")] == [
        ("bee",),
        ("wasp",),
        ("buzzing",),
    ]
    assert len(alternatives("Water_tap_and_faucet")) == 2
    assert brackets("police car (siren)") == ("police car  ", ("siren",))


def test_an_lvis_name_has_a_sense() -> None:
    assert sense("bus_(vehicle)") == ("bus", "vehicle")
    assert sense("alarm_clock") == ("alarm clock", "")
    assert sense("wiper_(for_windshield/screen)") == ("wiper", "for windshield/screen")
