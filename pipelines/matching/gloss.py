"""Shared words: visual labels whose names and definitions share rare words with a sound's label.

The weakest idea, for sounds whose thing nothing else finds: what it proposes goes to review, never further.
Words weigh by their inverse document frequency (Spärck Jones 1972) over the visual vocabulary.
"""

import math
from collections import Counter

from pipelines.matching.candidates import Evidence
from pipelines.matching.phrases import Mention, Role
from pipelines.matching.vocabularies import VisualLabel
from pipelines.matching.wording import STOP_WORDS, singular, stems, tokens

_MOST = 2  # proposals a label
_LEAST_SHARE = 0.3  # of the weight of the label's words
_IN_DEFINITION = 0.6  # the weight of a word that only the definition has, against one of the name
_TRUST = 0.3, 0.5  # at no shared word and at all words shared


def _words(text: str) -> set[str]:
    """Singulars and base forms; a word of a label and of a definition meet if any of their forms do."""
    return {
        stem
        for word in tokens(text)
        if word not in STOP_WORDS and len(word) > 2
        for stem in stems(singular(word))
    }


class Glosses:
    """An inverted index of the words of names and definitions."""

    def __init__(self, visual: tuple[VisualLabel, ...]) -> None:
        self._rarest = math.log(max(2, len(visual)))
        self._weights: dict[str, dict[int, float]] = {}
        counts: Counter[str] = Counter()
        for number, label in enumerate(visual):
            names = {word for name in label.names for word in _words(name)}
            for word in names | _words(label.definition):
                self._weights.setdefault(word, {})[number] = 1.0 if word in names else _IN_DEFINITION
                counts[word] += 1
        self._rarity = {word: math.log(len(visual) / count) for word, count in counts.items()}

    def find(self, label: str) -> list[Evidence]:
        """The labels that share most, best first; equal ones in the vocabulary's order."""
        words = [stems(singular(word)) for word in tokens(label) if word not in STOP_WORDS]
        total = len(words) * self._rarest
        shared: dict[int, float] = {}
        for forms in words:
            best: dict[int, float] = {}
            for form in forms:
                for number, weight in self._weights.get(form, {}).items():
                    best[number] = max(best.get(number, 0.0), weight * self._rarity[form])
            for number, weight in best.items():
                shared[number] = shared.get(number, 0.0) + weight
        mention = Mention(tokens(label), Role.SOURCE)
        ranked = sorted(shared.items(), key=lambda item: (-round(item[1], 9), item[0]))[:_MOST]
        low, high = _TRUST
        return [
            Evidence(
                number,
                mention,
                "gloss",
                low + (high - low) * min(1.0, weight / total),
                "shares rare words with it",
            )
            for number, weight in ranked
            if weight / total >= _LEAST_SHARE
        ]
