"""Wording: what spellings of one name share; and the form of the tables about English."""

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.matching import knowledge
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


TABLES = sorted(path.stem for path in Path(str(files("pipelines.matching.knowledge"))).glob("*.csv"))
ALLOWED = {
    ("nouns", "relation"): {"same_as", "kind_of", "form_of", "part_of", "has_part", "similar_to", "opaque"},
    ("nouns", "strength"): {"close", "loose", ""},
    ("acts", "strength"): {"close", "loose"},
    ("verbs", "class"): {"sound", "handle", "work"},
    ("groups", "fit"): {"expected", "foreign"},
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_sorted_and_says_nothing_twice(table: str) -> None:
    found = [tuple(row.values()) for row in knowledge.rows(table)]
    assert found == sorted(set(found))
    for (name, column), values in ALLOWED.items():
        if name == table:
            assert {row[column] for row in knowledge.rows(table)} <= values


def test_nouns_contradict_nothing() -> None:
    said: dict[tuple[str, str], set[str]] = {}
    above: dict[str, set[str]] = {}
    for row in knowledge.rows("nouns"):
        assert (row["relation"] == "opaque") == (row["thing"] == "") == (row["strength"] == "")
        if row["thing"]:
            said.setdefault((row["word"], row["thing"]), set()).add(row["relation"])
        if row["relation"] in ("kind_of", "form_of") and row["strength"] == "close":
            above.setdefault(row["word"], set()).add(row["thing"])
    assert not {pair: relations for pair, relations in said.items() if len(relations) > 1}
    for word in above:  # no word is a kind of itself
        reached, waiting = set[str](), [word]
        while waiting:
            waiting = [wide for one in waiting for wide in above.get(one, ()) if wide not in reached]
            reached.update(waiting)
        assert word not in reached
