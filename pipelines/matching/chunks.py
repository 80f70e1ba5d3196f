"""Chunks: the words of a label that belong together, each a thing, a verb, a preposition or an unknown word."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.matching.lexicon import Lexicon, Verb
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.wording import STOP_WORDS, is_participle, stems

_PREPOSITIONS = frozenset(
    ["against", "around", "at", "by", "for", "from", "in", "into", "of", "on", "over", "under", "with"]
)
_LONGEST_NAME = 4  # words


@dataclass(frozen=True)
class Chunk:
    """Words of a label that belong together."""

    words: tuple[str, ...]
    kind: str  # noun | verb | preposition | and (between two nouns) | word (unknown)
    verb: Verb | None = None


def words_of(chunks: Iterable[Chunk]) -> tuple[str, ...]:
    return tuple(word for chunk in chunks for word in chunk.words)


class Chunker:
    """Cuts labels against one visual vocabulary: only its names and the lexicon's nouns count as nouns."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon) -> None:
        self._index = index
        self._lexicon = lexicon

    def known(self, words: tuple[str, ...]) -> bool:
        """Whether the words are a name in the visual vocabulary or a noun of the lexicon."""
        name = self._lexicon.key(words)
        return name in self._index.named or name in self._lexicon.nouns or name in self._lexicon.parts

    def own_name(self, words: tuple[str, ...]) -> bool:
        """Whether a visual label has the words as its name, and not as a synonym."""
        return any(found.rank == 0 for found in self._index.named.get(self._lexicon.key(words), ()))

    def chunks(self, words: tuple[str, ...]) -> list[Chunk]:
        chunks: list[Chunk] = []
        joints: list[int] = []
        start = 0
        while start < len(words):
            if words[start] in STOP_WORDS:
                if words[start] in ("and", "or"):
                    joints.append(len(chunks))
                start += 1
                continue
            if words[start] in _PREPOSITIONS:
                chunks.append(Chunk(words[start : start + 1], "preposition"))
                start += 1
                continue
            for length in range(min(_LONGEST_NAME, len(words) - start), 0, -1):
                found = self._chunk(words[start : start + length], chunks, words[start + length :])
                if found:
                    break
            chunks.append(found or Chunk(words[start : start + 1], "word"))
            start += len(chunks[-1].words)
        for at in reversed(joints):
            if [chunk.kind for chunk in chunks[max(0, at - 1) : at + 1]] == ["noun", "noun"]:
                chunks.insert(at, Chunk(("and",), "and"))
        return chunks

    def _chunk(self, words: tuple[str, ...], before: list[Chunk], after: tuple[str, ...]) -> Chunk | None:
        """The words as one chunk, or None if they are several."""
        verb = self._lexicon.verb(words)
        if len(words) > 1:
            if self.known(words):
                return Chunk(words, "noun")
            return Chunk(words, "verb", verb) if verb else None
        known = self.known(words)
        if is_participle(words[0]) and not known:
            return Chunk(words, "verb", verb or Verb(self._stem(words[0]), frozenset()))
        compound = not before and bool(after) and self.known(after[:1])  # speech synthesizer, tap water
        if verb and not is_participle(words[0]) and not (compound and "sound" in verb.classes):
            follows_noun = bool(before) and before[-1].kind == "noun"
            if follows_noun and "sound" in verb.classes:
                return Chunk(words, "verb", verb)
            if not known and (before or "sound" in verb.classes or (after and verb.classes)):
                return Chunk(words, "verb", verb)
        return Chunk(words, "noun") if known else None

    def _stem(self, word: str) -> str:
        """The base form of a verb that the table does not know: one that an act or a name uses, if any."""
        found = stems(word)[1:]
        return next(
            (stem for stem in found if stem in self._lexicon.act_words or stem in self._index.named), found[0]
        )
