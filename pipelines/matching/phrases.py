"""Reading a sound's label: which words name things, and what part each thing plays in the sound.

`people eating apple` has an agent (people) and an object (apple); `train wheels squealing` has a part (wheels)
of the thing that sounds (train); `typing on computer keyboard` handles the thing that sounds.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from pipelines.matching.ideas import Ideas
from pipelines.matching.lexicon import Lexicon, Verb
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.wording import STOP_WORDS, alternatives, brackets, is_participle, stems, tokens

_PREPOSITIONS = frozenset(
    ["against", "around", "at", "by", "for", "from", "in", "into", "of", "on", "over", "under", "with"]
)
_LONGEST_NAME = 4  # words
_LONGEST_ACT = 3  # chunks
_PLAY = frozenset({"play", "strike", "shot", "shoot", "hit", "kick", "throw"})


class Role(StrEnum):
    """What a thing does in the sound."""

    SOURCE = "source"  # it sounds, or is made to sound
    AGENT = "agent"  # the person who makes the sound
    WHOLE = "whole"  # a part of it sounds
    ACT = "act"  # the act needs it
    TOOL = "tool"  # its name is in the verb: hammering
    OBJECT = "object"  # something is done to it
    PART = "part"  # it sounds as part of something else
    CONTEXT = "context"  # it stands in brackets


@dataclass(frozen=True)
class Mention:
    """A thing that the label mentions: its words from the last backwards are tried as names."""

    words: tuple[str, ...]
    role: Role
    close: bool = (
        True  # False: likely, not certain: what an act often needs, or a word that is a sound too (`pop`)
    )

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Reading:
    """All that a label says. `domains`: of the verbs' usual subjects; `plays`: something is played or struck."""

    mentions: tuple[Mention, ...]
    domains: frozenset[str]
    plays: bool


@dataclass(frozen=True)
class _Chunk:
    words: tuple[str, ...]
    kind: str  # noun | verb | preposition | word
    verb: Verb | None = None


class Reader:
    """Reads labels against one visual vocabulary: only its names and the lexicon's nouns count as nouns."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon, ideas: Ideas) -> None:
        self._index = index
        self._lexicon = lexicon
        self._ideas = ideas

    def read(self, label: str) -> Reading:
        mentions: dict[Mention, None] = {}
        verbs: list[Verb] = []
        plain, bracketed = brackets(label)
        for text in (plain, *bracketed):
            for part in alternatives(text) if self._ideas.alternatives else (text,):
                chunks = self._chunks(tokens(part))
                verbs += [chunk.verb for chunk in chunks if chunk.verb]
                acts, idle = self._acts(chunks)
                found = [*self._things(chunks, idle), *acts]
                if text is not plain:
                    found = [replace(mention, role=Role.CONTEXT) for mention in found]
                mentions.update(dict.fromkeys(found))
        return Reading(
            tuple(mentions),
            frozenset(verb.domain for verb in verbs if verb.domain),
            any(verb.base in _PLAY for verb in verbs),
        )

    def known(self, words: tuple[str, ...]) -> bool:
        """Whether the words are a name in the visual vocabulary or a noun of the lexicon."""
        name = self._lexicon.key(words)
        return name in self._index.named or name in self._lexicon.nouns or name in self._lexicon.parts

    def _chunks(self, words: tuple[str, ...]) -> list[_Chunk]:
        chunks: list[_Chunk] = []
        start = 0
        while start < len(words):
            if words[start] in STOP_WORDS:
                start += 1
                continue
            if words[start] in _PREPOSITIONS:
                chunks.append(_Chunk(words[start : start + 1], "preposition"))
                start += 1
                continue
            for length in range(min(_LONGEST_NAME, len(words) - start), 0, -1):
                found = self._chunk(words[start : start + length], chunks, words[start + length :])
                if found:
                    break
            chunks.append(found or _Chunk(words[start : start + 1], "word"))
            start += len(chunks[-1].words)
        return chunks

    def _chunk(self, words: tuple[str, ...], before: list[_Chunk], after: tuple[str, ...]) -> _Chunk | None:
        """The words as one chunk, or None if they are several."""
        verb = self._lexicon.verb(words)
        if len(words) > 1:
            if self.known(words):
                return _Chunk(words, "noun")
            return _Chunk(words, "verb", verb) if verb else None
        known = self.known(words)
        if self._ideas.verbs and is_participle(words[0]) and not known:
            return _Chunk(words, "verb", verb or Verb(self._stem(words[0]), frozenset()))
        compound = not before and bool(after) and self.known(after[:1])  # speech synthesizer, tap water
        if verb and not is_participle(words[0]) and not (compound and "sound" in verb.classes):
            follows_noun = bool(before) and before[-1].kind == "noun"
            if follows_noun and "sound" in verb.classes:
                return _Chunk(words, "verb", verb)
            if not known and (before or "sound" in verb.classes or (after and verb.classes)):
                return _Chunk(words, "verb", verb)
        return _Chunk(words, "noun") if known else None

    def _stem(self, word: str) -> str:
        """The base form of a verb that the table does not know: one that an act or a name uses, if any."""
        found = stems(word)[1:]
        return next(
            (stem for stem in found if stem in self._lexicon.act_words or stem in self._index.named), found[0]
        )

    def _things(self, chunks: list[_Chunk], idle: set[int]) -> list[Mention]:
        """The things of one alternative, each with its role; chunks at `idle` only name an act (`tap` dancing)."""
        mentions: list[Mention] = [Mention(chunks[at].words, Role.OBJECT) for at in sorted(idle)]
        rest = [chunk for at, chunk in enumerate(chunks) if at not in idle]
        doing = any(chunk.verb for chunk in rest) or all(self._is_person(chunk) for chunk in rest)
        agent = bool(rest) and doing and self._is_person(rest[0])
        if agent:
            mentions.append(Mention(rest[0].words, Role.AGENT))
            rest = rest[1:]
        phrase: list[_Chunk] = []
        verb: Verb | None = None
        subject = agent
        preposition = ""

        def close_phrase() -> None:
            nonlocal subject
            if not phrase:
                return
            if agent or (subject and verb):
                role = Role.SOURCE if preposition == "with" else Role.OBJECT
            elif preposition == "for":
                role = Role.OBJECT
            elif verb is None:
                role, subject = Role.SOURCE, any(chunk.kind == "noun" for chunk in phrase)
            else:
                handled = preposition or (verb.classes and "work" not in verb.classes)
                role = Role.SOURCE if handled else Role.OBJECT
            mentions.extend(self._phrase(phrase, role, alone=len(chunks) == 1))
            phrase.clear()

        for chunk in rest:
            if chunk.kind == "verb":
                close_phrase()
                verb, preposition = chunk.verb, ""
            elif chunk.kind == "preposition":
                close_phrase()
                preposition = chunk.words[0]
            else:
                phrase.append(chunk)
        close_phrase()
        return mentions

    def _is_person(self, chunk: _Chunk) -> bool:
        relations = self._lexicon.nouns.get(self._lexicon.key(chunk.words), ())
        return any(relation.thing == "person" and relation.close for relation in relations)

    def _phrase(self, chunks: list[_Chunk], role: Role, alone: bool) -> list[Mention]:
        """A noun phrase has the role, but where its last noun is part of the noun before, that one sounds.

        `alone`: the phrase is a whole wording, so that a single word may be a sound as well as a thing.
        """
        words = tuple(word for chunk in chunks for word in chunk.words)
        domains = self._lexicon.parts.get(self._lexicon.key(chunks[-1].words), set())
        nouns = [chunk for chunk in chunks[:-1] if chunk.kind == "noun"]
        if nouns and self._domain(nouns[-1].words) in domains:
            return [Mention(nouns[-1].words, Role.WHOLE), Mention(words, Role.PART)]
        bare = role is Role.SOURCE and len(words) == 1 and self._lexicon.verb(words) is not None
        return [Mention(words, role, close=not (bare and alone))]

    def _domain(self, words: tuple[str, ...]) -> str:
        name = self._lexicon.key(words)
        named = self._index.named.get(name, [])
        kinds = [relation.thing for relation in self._lexicon.nouns.get(name, ())]
        named = named or [found for kind in kinds for found in self._index.named.get(kind, [])]
        return next(
            (self._index.domains[found.number] for found in named), self._lexicon.domains.get(name, "")
        )

    def _acts(self, chunks: list[_Chunk]) -> tuple[list[Mention], set[int]]:
        """Things that acts need, tools that verbs name, and where nouns stand that only name an act."""
        mentions: list[Mention] = []
        idle: set[int] = set()
        verbs: set[str] = set()
        bases = [chunk.verb.base if chunk.verb else self._lexicon.key(chunk.words) for chunk in chunks]
        start = 0
        while start < len(chunks):
            for end in range(min(len(chunks), start + _LONGEST_ACT), start, -1):
                act = "".join(
                    base
                    for base, chunk in zip(bases[start:end], chunks[start:end], strict=True)
                    if chunk.kind != "preposition"
                )
                things = self._lexicon.acts.get(act, [])
                subject = end - start == 1 and self._subject(chunks, start)
                if not things or subject == "thing":
                    continue
                verbs.update(bases[start:end])
                mentions += [Mention((thing,), Role.ACT, close and not subject) for thing, close in things]
                if end - start > 1 and chunks[start].kind == "noun":
                    idle.add(start)
                start = end - 1
                break
            start += 1
        return mentions + (self._tools(chunks, verbs) if self._ideas.tools and chunks else []), idle

    def _subject(self, chunks: list[_Chunk], at: int) -> str:
        """Who does the act that one chunk names: "thing" if it is no act at all here, "person", or ""."""
        chunk = chunks[at]
        nouns = [earlier for earlier in chunks[:at] if earlier.kind == "noun"]
        if nouns:
            return "person" if all(self._is_person(noun) for noun in nouns) else "thing"
        if chunk.kind == "noun":
            return "" if any(other.verb and other.verb.base in _PLAY for other in chunks) else "thing"
        if chunk.verb and not chunk.verb.domain and not is_participle(chunk.words[-1]):
            return "thing"  # surf, chop: the sound alone, nobody doing it
        handles = "handle" in (chunk.verb.classes if chunk.verb else ())
        return "thing" if handles and any(other.kind == "noun" for other in chunks[at:]) else ""

    def _tools(self, chunks: list[_Chunk], acts: set[str]) -> list[Mention]:
        """`hammering nails` -> hammer; `lawn mowing` -> lawn mower."""
        first = chunks[0]
        if (
            len(chunks) > 1
            and first.kind in ("word", "noun")
            and chunks[1].verb
            and is_participle(chunks[1].words[-1])
        ):
            for stem in stems(chunks[1].words[-1])[1:]:
                for ending in ("er", "r"):
                    if self._lexicon.key((*first.words, stem + ending)) in self._index.named:
                        return [Mention((*first.words, stem + ending), Role.TOOL)]
        if first.verb and first.verb.classes <= {"work"} and first.verb.base not in acts:
            for stem in stems(first.words[-1])[1:]:
                if self._lexicon.key((stem,)) in self._index.named:
                    return [Mention((stem,), Role.TOOL)]
        return []
