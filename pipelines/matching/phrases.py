"""Reading a sound's label: which words name things, and what part each thing plays in the sound.

`people eating apple` has an agent (people) and an object (apple); `train wheels squealing` has a part (wheels)
of the thing that sounds (train); `typing on computer keyboard` handles the thing that sounds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from pipelines.matching.chunks import Chunk, Chunker, words_of
from pipelines.matching.lexicon import Lexicon, Verb
from pipelines.matching.visual_index import VisualIndex, genus
from pipelines.matching.wording import alternatives, brackets, is_participle, stems, tokens

_SOUND_OF = re.compile(r"([^.;]*?)\b(?:of|by|from)\b(.*)", re.DOTALL)
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
    CONTEXT = "context"  # it stands in brackets, or brackets give it another sense
    QUALIFIER = "qualifier"  # it stands before a word that is not known: violin pizzicato, train set
    GROUP = "group"  # brackets list its kinds that sound
    PARENT = "parent"  # the vocabulary puts the sound below one that names it
    CHILD = "child"  # the vocabulary puts a sound of it below this one
    DEFINED = "defined"  # the sound's definition says that it makes it


@dataclass(frozen=True)
class Mention:
    """A thing that the label mentions: its words from the last backwards are tried as names."""

    words: tuple[str, ...]
    role: Role
    close: bool = (
        True  # False: likely, not certain: what an act often needs, or a word that is a sound too (`pop`)
    )
    domain: str = ""  # that brackets give it: the `(instrument)` of a rattle
    unreal: str = ""  # the word that says that it is no real thing: `toy`
    alone: bool = False  # the wording names it and nothing that happens

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Reading:
    """All that a label says. `domains`: of the verbs' usual subjects; `plays`: something is played or struck;
    `bare`: it names a sound or an act and no thing.
    """

    chunks: tuple[tuple[Chunk, ...], ...]  # of each alternative, what stands in brackets last
    mentions: tuple[Mention, ...]
    domains: frozenset[str]
    plays: bool
    bare: bool


class Reader:
    """Reads labels against one visual vocabulary: only its names and the lexicon's nouns count as nouns."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon) -> None:
        self._index = index
        self._lexicon = lexicon
        self._chunker = Chunker(index, lexicon)

    def read(self, label: str, synonyms: Iterable[str] = ()) -> Reading:
        mentions: dict[Mention, None] = {}
        chunks: list[tuple[Chunk, ...]] = []
        inside: list[tuple[Chunk, ...]] = []
        for text in (label, *synonyms):
            plain, bracketed = brackets(text)
            outer = [self._chunker.chunks(tokens(part)) for part in alternatives(plain)]
            inner = [
                self._chunker.chunks(tokens(part)) for found in bracketed for part in alternatives(found)
            ]
            mentions.update(dict.fromkeys(self._mentions(outer, inner)))
            chunks += map(tuple, outer)
            inside += map(tuple, inner)
        verbs = [chunk.verb for part in chunks + inside for chunk in part if chunk.verb]
        return Reading(
            (*chunks, *inside),
            tuple(mentions),
            frozenset(domain for verb in verbs for domain in verb.domains),
            any(verb.base in _PLAY for verb in verbs),
            bool(chunks) and all(self._sounds(part) for part in chunks),
        )

    def makers(self, definition: str) -> list[Mention]:
        """What a definition says that the sound is of: `the cry of a crow`, `a noise made by a horse`."""
        said = _SOUND_OF.match(definition)
        if not said or not any(self._lexicon.verb((word,)) for word in tokens(said[1])):
            return []
        words = genus(said[2])
        return [Mention(words, Role.DEFINED, close=False)] if words else []

    def _mentions(self, outer: list[list[Chunk]], inner: list[list[Chunk]]) -> list[Mention]:
        """The mentions of one wording. Brackets say who sounds where nothing before them does (`Whimper (dog)`),
        of what kinds a group is (`Roaring cats (lions, tigers)`), or in which sense a word is meant
        (`Rattle (instrument)`); else they are context.
        """
        found: list[Mention] = []
        for chunks in outer:
            acts, idle = self._acts(chunks)
            found += [*self._things(chunks, idle), *acts]
        things = [one for one in found if one.role in (Role.SOURCE, Role.WHOLE, Role.AGENT)]
        subjects = {domain for part in outer for chunk in part if chunk.verb for domain in chunk.verb.domains}
        for chunks in inner:
            named = [chunk for chunk in chunks if chunk.kind == "noun"]
            words = words_of(chunks)
            done = [one for part in outer if not things for one in self._acts([*part, *chunks])[0]]
            found += [one for one in done if one not in found]  # Chopping (food)
            whole = [(*words_of(part), *words) for part in outer]
            if any(self._named_so(one) for one in whole):
                found = [replace(one, role=Role.CONTEXT) if one in things else one for one in found]
                found += [Mention(one, Role.SOURCE) for one in whole if self._named_so(one)]
                continue
            domain = self._lexicon.domains.get(self._lexicon.key(words), "")
            kinds = bool(named) and any(self._is_kind(named[-1].words, one.words) for one in things)
            sounds = not things and bool(named) and self._domain(named[-1].words) in subjects
            role = Role.SOURCE if kinds or sounds else Role.CONTEXT
            if kinds:
                found = [replace(one, role=Role.GROUP) if one in things else one for one in found]
            elif domain and things:
                found = [replace(one, domain=domain) if one in things else one for one in found]
                continue
            found += [replace(one, role=role, alone=False) for one in self._things(chunks, set())]
        return found

    def _sounds(self, chunks: list[Chunk] | tuple[Chunk, ...]) -> bool:
        """Whether a wording names sounds and acts alone, no thing that makes them."""
        return bool(chunks) and all(
            chunk.kind in ("verb", "preposition")
            or (
                not self._chunker.own_name(chunk.words)
                and (self._lexicon.verb(chunk.words) or self._lexicon.key(chunk.words) in self._lexicon.acts)
            )
            for chunk in chunks
        )

    def _named_so(self, words: tuple[str, ...]) -> bool:
        return self._chunker.known(words) or self._lexicon.key(words[::-1]) in self._index.named

    def _is_kind(self, words: tuple[str, ...], wide: tuple[str, ...]) -> bool:
        """Whether the words name a kind of what the last of the wide words names."""
        lexicon, names, goal = self._lexicon, {self._lexicon.key(words)}, set[str]()
        for start in range(len(wide)):
            goal |= self._same(lexicon.key(wide[start:]))
        for _ in range(3):
            names |= {
                relation.thing
                for name in names
                for relation in lexicon.nouns.get(name, ())
                if relation.kind in ("kind_of", "form_of", "same_as") and relation.close
            }
            names |= {above for name in names for above, _ in self._index.wider.get(name, ())}
        return bool(names & goal) and lexicon.key(words) not in goal

    def _same(self, name: str) -> set[str]:
        relations = self._lexicon.nouns.get(name, ())
        return {name, *(relation.thing for relation in relations if relation.kind == "same_as")}

    def _things(self, chunks: list[Chunk], idle: set[int]) -> list[Mention]:
        """The things of one alternative, each with its role; chunks at `idle` only name an act (`tap` dancing)."""
        mentions: list[Mention] = [Mention(chunks[at].words, Role.OBJECT) for at in sorted(idle)]
        rest = [chunk for at, chunk in enumerate(chunks) if at not in idle]
        doing = any(chunk.verb for chunk in rest) or all(self._is_person(chunk) for chunk in rest)
        agent = bool(rest) and doing and self._is_person(rest[0])
        if agent:
            mentions.append(Mention(rest[0].words, Role.AGENT))
            rest = rest[1:]
        phrase: list[Chunk] = []
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
            elif chunk.kind == "and":
                close_phrase()
            else:
                phrase.append(chunk)
        close_phrase()
        unreal = self._unreal(chunks)
        alone = not any(chunk.verb for chunk in chunks)
        return [replace(one, unreal=unreal, alone=alone) for one in mentions]

    def _unreal(self, chunks: list[Chunk]) -> str:
        """The word before the last that says that the thing is no real one, "" if none does."""
        words = (chunk.words[0] for chunk in chunks[:-1])
        return next((word for word in words if word in self._lexicon.unreal), "")

    def _is_person(self, chunk: Chunk) -> bool:
        relations = self._lexicon.nouns.get(self._lexicon.key(chunk.words), ())
        return any(relation.thing == "person" and relation.close for relation in relations)

    def _phrase(self, chunks: list[Chunk], role: Role, alone: bool) -> list[Mention]:
        """A noun phrase has the role, but where its last noun is part of the noun before, that one sounds.

        What a thing is made of and stands behind it (`door wood`) is passed over.
        `alone`: the phrase is a whole wording, so that a single word may be a sound as well as a thing.
        """
        while len(chunks) > 1 and self._is_material(chunks[-1]):
            chunks = chunks[:-1]
        words = words_of(chunks)
        domains = self._lexicon.parts.get(self._lexicon.key(chunks[-1].words), set())
        nouns = [chunk for chunk in chunks[:-1] if chunk.kind == "noun"]
        if nouns and self._domain(nouns[-1].words) in domains:
            return [Mention(nouns[-1].words, Role.WHOLE), Mention(words, Role.PART)]
        if nouns and chunks[-1].kind == "word":
            return [Mention(words, role), Mention(nouns[-1].words, Role.QUALIFIER)]
        verb = self._lexicon.verb(words) if alone and role is Role.SOURCE and len(words) == 1 else None
        return [Mention(words, role, close=verb is None or self._is_thing(words, verb))]

    def _is_thing(self, words: tuple[str, ...], verb: Verb) -> bool:
        """Whether a word that is a verb too names a thing, standing alone: a tool for the work (drill), or what has
        its name from its own voice (crow).
        """
        return (self._chunker.own_name(words) and "work" in verb.classes) or self._domain(
            words
        ) in verb.domains

    def _is_material(self, chunk: Chunk) -> bool:
        return self._lexicon.domains.get(self._lexicon.key(chunk.words)) == "material"

    def _domain(self, words: tuple[str, ...]) -> str:
        name = self._lexicon.key(words)
        named = self._index.named.get(name, [])
        kinds = [relation.thing for relation in self._lexicon.nouns.get(name, ())]
        named = named or [found for kind in kinds for found in self._index.named.get(kind, [])]
        return next(
            (self._index.domains[found.number] for found in named), self._lexicon.domains.get(name, "")
        )

    def _acts(self, chunks: list[Chunk]) -> tuple[list[Mention], set[int]]:
        """Things that acts need, tools that verbs name, and where nouns stand that only name an act."""
        mentions: list[Mention] = []
        idle: set[int] = set()
        verbs: set[str] = set()
        bases = [chunk.verb.base if chunk.verb else self._lexicon.key(chunk.words) for chunk in chunks]
        unreal = self._unreal(chunks)
        start = 0
        while start < len(chunks):
            for end in range(min(len(chunks), start + _LONGEST_ACT), start, -1):
                act = "".join(
                    base
                    for base, chunk in zip(bases[start:end], chunks[start:end], strict=True)
                    if chunk.kind != "preposition"
                )
                things = self._lexicon.acts.get(act, []) if chunks[end - 1].kind != "preposition" else []
                subject = self._subject(chunks, start) if end - start == 1 else ""
                if not things or subject == "thing":
                    continue
                verbs.update(bases[start:end])
                mentions += [
                    Mention(tokens(thing), Role.ACT, close and subject in ("", "itself"), unreal=unreal)
                    for thing, close in things
                    if close or subject not in ("unknown", "itself")
                ]
                if end - start > 1 and chunks[start].kind == "noun":
                    idle.add(start)
                start = end - 1
                break
            start += 1
        return mentions + (self._tools(chunks, verbs) if chunks else []), idle

    def _subject(self, chunks: list[Chunk], at: int) -> str:
        """Who does the act that one chunk names: "thing" if it is no act at all here, "person", "unknown" (a word
        that may be a thing), "itself" (a word that is a thing, too: tick) or "" where nobody is named.
        """
        chunk = chunks[at]
        nouns = [earlier for earlier in chunks[:at] if earlier.kind == "noun"]
        if nouns:
            return "person" if all(self._is_person(noun) for noun in nouns) else "thing"
        if chunk.kind == "noun":
            verb = self._lexicon.verb(chunk.words)
            if len(chunks) == 1 and verb and not self._is_thing(chunk.words, verb):
                return "itself"
            return "" if any(other.verb and other.verb.base in _PLAY for other in chunks) else "thing"
        classes = chunk.verb.classes if chunk.verb else frozenset[str]()
        behind = chunks[at + 1] if at + 1 < len(chunks) else None
        if behind and behind.kind == "noun" and classes == {"sound"}:  # a barking fox
            return "person" if self._is_person(behind) else "thing"
        if (at and chunks[at - 1].kind == "word") or (behind and behind.kind == "word"):
            return "unknown"
        if "handle" in classes and any(other.kind == "noun" for other in chunks[at:]):
            return "thing"
        heard = is_participle(chunk.words[-1]) or "sound" in classes or not classes
        return "" if heard or (chunk.verb and chunk.verb.domains) else "unknown"

    def _tools(self, chunks: list[Chunk], acts: set[str]) -> list[Mention]:
        """`hammering nails` -> hammer; `lawn mowing` -> lawn mower."""
        first = chunks[0]
        if (
            len(chunks) > 1
            and first.kind in ("word", "noun")
            and chunks[1].verb
            and "work" in chunks[1].verb.classes
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
