"""The visual vocabulary by name, with what is known of each class: its domain and the wider classes above it."""

import re
from dataclasses import dataclass

from pipelines.matching.knowledge import GENUS_ENDS
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.vocabularies import VisualLabel
from pipelines.matching.wording import name_key, tokens

_FILLERS = re.compile(
    r"^(an?|the|any|either|one|several|various|two|kinds?|types?|sorts?|species|of|several|all)$"
)
_DEPTH = 4


def genus(definition: str) -> tuple[str, ...]:
    """The words up to and with the head noun of a definition: `any of various large birds of prey` -> `large birds`.

    None where it begins with two nouns: `a person or animal` is neither for certain.
    """
    text = re.sub(r"\([^)]*\)", " ", definition).replace("/", " ").replace("-", "")
    found: list[str] = []
    for word in tokens(re.split(r"[;,:.]\s|$", text.strip(), maxsplit=1)[0]):
        if not found and _FILLERS.match(word):
            continue
        if found and word in GENUS_ENDS:
            if word == "or":
                return ()
            break
        found.append(word)
    return tuple(found)


@dataclass(frozen=True)
class Named:
    """A visual label under one of its names."""

    number: int  # position in the vocabulary
    rank: int  # 0 the label's own name, 1 a synonym, 2 a synonym that LVIS gives with its sense in brackets


class VisualIndex:
    """Names to labels; `wider[key]` lists (key of a wider class, how it is known).

    By position in the vocabulary: `keys` of all names, `equals` of those that mean the same, `domains`.
    """

    def __init__(self, visual: tuple[VisualLabel, ...], lexicon: Lexicon) -> None:
        self.visual = visual
        self.lexicon = lexicon
        self.named: dict[str, list[Named]] = {}
        self.keys: list[tuple[str, ...]] = []
        self.equals: list[tuple[str, ...]] = []
        self.wider: dict[str, list[tuple[str, str]]] = {}
        for number, label in enumerate(visual):
            ranks: dict[str, int] = {}
            for at, name in enumerate(label.names):
                ranks.setdefault(name_key(name), 0 if at == 0 else 2 if label.senses[at] else 1)
            keys = tuple(ranks)
            self.keys.append(keys)
            self.equals.append(self._equals(keys))
            if label.senses[0]:  # the tables can name a sense, too: `bow weapon`
                ranks.setdefault(name_key(f"{label.names[0]} {label.senses[0]}"), 0)
            for name, rank in ranks.items():
                self.named.setdefault(name, []).append(Named(number, rank))
        right_above = [self._wider(label, keys[0]) for label, keys in zip(visual, self.keys, strict=True)]
        for keys, above in zip(self.keys, right_above, strict=True):
            self.wider.setdefault(keys[0], []).extend(above)
        self.domains = tuple(
            self._domain(label, [wide for wide, _ in above])
            for label, above in zip(visual, right_above, strict=True)
        )

    def _equals(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The names that mean the same: LVIS also lists `boy` and `baby` under `person`, which are kinds of it."""
        nouns = self.lexicon.nouns
        return tuple(
            name
            for name in keys
            if not any(
                relation.kind in ("kind_of", "form_of") and relation.thing in keys
                for relation in nouns.get(name, ())
            )
        )

    def _wider(self, label: VisualLabel, name: str) -> list[tuple[str, str]]:
        """Keys of the classes right above a label, each with how it is known."""
        above: list[tuple[str, str]] = []
        words = genus(label.definition)
        for start in range(max(0, len(words) - 2), len(words)):
            wide = self.lexicon.key(words[start:])
            if wide not in (name, ""):
                above.append((wide, "definition"))
        return above + [(name_key(wide), "hierarchy") for wide in label.ancestors[:1]]

    def _domain(self, label: VisualLabel, waiting: list[str]) -> str:
        """The domain that the label's sense, name, ancestors or definition names first; "" if none does.

        `waiting`: the keys of the classes right above it.
        """
        known = self.lexicon.domains
        for name in (*label.senses, label.names[0], *label.ancestors):
            words = tokens(name)
            for start in range(len(words)):
                if domain := known.get(self.lexicon.key(words[start:])):
                    return domain
        for _ in range(_DEPTH):
            for name in waiting:
                if name in known:
                    return known[name]
            waiting = [wide for name in waiting for wide, _ in self.wider.get(name, ())]
        return ""
