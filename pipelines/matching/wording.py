"""Wording: from a label as it is written to the tokens that matching compares.

Two wordings of one name must give one key: case, accents, hyphens and underscores, plural endings,
British spellings and the choice between `cell phone` and `cellphone` all disappear here.
"""

import re
import unicodedata
from functools import lru_cache

from pipelines.matching.knowledge import PLURALS, SPELLINGS

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_BRACKETS = re.compile(r"\(([^)]*)\)")
_ALTERNATIVE = re.compile(r"[,;()]|_and_|\betc\b")
STOP_WORDS = frozenset({"a", "an", "and", "any", "or", "the"})


@lru_cache(maxsize=65536)
def tokens(text: str) -> tuple[str, ...]:
    """Lower-case words without accents or punctuation, in order: `People's Bow-Tie` -> `peoples bow tie`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower().replace("'", "")
    return tuple(word for word in _NOT_WORD.split(plain) if word)


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """The singular of an English noun in its American spelling; what is no plural comes back unchanged."""
    if word in PLURALS:
        word = PLURALS[word]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        if word.endswith("ies") and len(word) > 4:
            word = word[:-3] + "y"
        elif word.endswith(("ches", "shes", "sses", "xes", "zzes")):
            word = word[:-2]
        else:
            word = word[:-1]
    return SPELLINGS.get(word, word)


def key(words: tuple[str, ...]) -> str:
    """What two spellings of one name share: the words run together (`ice cream` and `icecream`)."""
    return "".join(words)


def name_key(text: str) -> str:
    """The key of a name as a data file writes it."""
    return key(tuple(singular(word) for word in tokens(text)))


@lru_cache(maxsize=65536)
def stems(word: str) -> tuple[str, ...]:
    """Base forms that an English verb form can have, likeliest first: `chopping` -> `chopping, chopp, chop, choppe`."""
    forms = [word]
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word[: -len(ending)]
            forms.append(stem)
            if ending != "s":
                if len(stem) > 2 and stem[-1] == stem[-2]:
                    forms.append(stem[:-1])
                forms.append(stem + "e")
    return tuple(forms)


def is_participle(word: str) -> bool:
    """Whether the word has the form of a verb in -ing (`typing`, but not `wing` or `string`)."""
    return word.endswith("ing") and len(word) > 4 and any(letter in "aeiouy" for letter in word[:-3])


def alternatives(text: str) -> tuple[str, ...]:
    """The wordings that a label offers: parts between commas and FSD50K's `_and_`."""
    return tuple(part for part in _ALTERNATIVE.split(text) if tokens(part))


def brackets(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without its brackets, and what stands in them: context, such as the `(microphone)` of wind noise."""
    return _BRACKETS.sub(" ", text), tuple(found for found in _BRACKETS.findall(text) if tokens(found))


def sense(name: str) -> tuple[str, str]:
    """An LVIS name and its sense: `bus_(vehicle)` -> (`bus`, `vehicle`); the sense is "" without brackets."""
    found = _BRACKETS.search(name)
    return _BRACKETS.sub(" ", name).replace("_", " ").strip(), found.group(1).replace(
        "_", " "
    ) if found else ""
