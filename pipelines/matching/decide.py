"""Scores and decisions: accept what can be taken unseen, refuse what is known to be wrong, leave the rest to people."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipelines.matching.candidates import STEP, Evidence
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.phrases import Reading, Role
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.vocabularies import AudioLabel

ACCEPT_FROM = 0.8
REVIEW_FROM = 0.3
REVIEWS_PER_LABEL = 24  # candidates beyond these are refused: a long list for one sound is a list of guesses

ROLE = {
    Role.SOURCE: 1.0,
    Role.AGENT: 1.0,
    Role.WHOLE: 0.95,
    Role.ACT: 0.96,
    Role.PARENT: 0.96,
    Role.TOOL: 0.9,
    Role.OBJECT: 0.6,
    Role.PART: 0.6,
    Role.CONTEXT: 0.6,
    Role.GROUP: 0.6,
    Role.QUALIFIER: 0.6,
    Role.CHILD: 0.5,
    Role.DEFINED: 0.6,
}
LIKELY = 0.6  # in place of the above where a mention is likely, not certain
GENERAL = 0.5  # a class such as Vehicle is too wide to accept, a part of the body too small
DOUBTED = 0.6  # at most, where the group of the sound speaks against what its name says
REFUSED = 0.3  # of its score, so that what is refused stands below what a person should look at
_GROUP_OF_DOMAIN = {"animal": "animals", "person": "people", "vehicle": "vehicle", "device": "devices"}
SOUNDING = frozenset([Role.SOURCE, Role.AGENT, Role.WHOLE, Role.ACT, Role.TOOL])


@dataclass(frozen=True)
class Judged:
    """One decided pair; `number` is the visual label's position in the vocabulary."""

    number: int
    score: float
    method: str
    decision: str  # accept | review | reject
    reason: str
    role: Role  # of the mention that led to it


def precedence(one: Judged) -> tuple[int, float]:
    """Sorts the better one first: by decision, then by score."""
    return -_RANK[one.decision], -one.score


class Judge:
    """Decides the candidates of one label."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon) -> None:
        self._index = index
        self._lexicon = lexicon

    def decide(self, label: AudioLabel, reading: Reading, found: Iterable[Evidence]) -> list[Judged]:
        """One decision for each visual label found, best first: by `precedence`, then the vocabulary's order."""
        sensed = [self._in_sense(one) for one in found]
        found = self._settled(sensed)
        overruled = [one for one in sensed if one not in found]
        found = self._in_context(label, reading, found)
        # A guess from meaning that its domain refutes was never a candidate.
        found = [one for one in found if not (one.refused and one.method == "semantic")]
        best: dict[int, Judged] = {}
        for evidence in self._nearest(found, overruled):
            judged = self._one(evidence)
            before = best.get(evidence.number)
            if before is None or precedence(judged) < precedence(before):
                best[evidence.number] = judged
        return self._shortened(sorted(best.values(), key=lambda one: (*precedence(one), one.number)))

    @staticmethod
    def _settled(found: list[Evidence]) -> list[Evidence]:
        """Without the evidence that a decision overrules: all on a link that was decided itself, and on a reading
        that was refused.
        """
        decided = [one for one in found if one.method == "decision"]
        links = {one.number for one in decided if one.direct}
        readings = {(one.number, one.mention.words) for one in decided if one.refused}
        return [
            one
            for one in found
            if one.method == "decision"
            or not (one.number in links or (one.number, one.mention.words) in readings)
        ]

    def score(self, evidence: Evidence) -> float:
        role = ROLE[evidence.mention.role]
        score = evidence.trust * (role if evidence.mention.close else min(role, LIKELY))
        too_wide = self.too_wide(evidence.number)
        silent = evidence.method == "head" and self._index.domains[evidence.number] in _SILENT
        told = evidence.method in ("mid", "decision") or self._names_itself(evidence)
        if not told and (too_wide or silent):
            score = min(score, GENERAL)
        return round(score, 4)

    def too_wide(self, number: int) -> bool:
        """Whether a visual label is a class too wide, or a part of the body too small, to say what sounds."""
        return self._index.keys[number][0] in self._lexicon.general or self._index.domains[number] == "body"

    def _names_itself(self, evidence: Evidence) -> bool:
        """Whether the label says the class's name and no more, so that both are as wide: *insects*; not *glass*, of
        whose senses LVIS has one.
        """
        mention, senses = evidence.mention, self._index.visual[evidence.number].senses
        named = evidence.method == "name" and mention.alone and mention.role is Role.SOURCE
        return named and not any(senses[:1])

    def _one(self, evidence: Evidence) -> Judged:
        score, role = self.score(evidence), evidence.mention.role
        if evidence.refused:
            refused = round(score * REFUSED, 4)
            return Judged(evidence.number, refused, evidence.method, "reject", evidence.refused, role)
        decision = "accept" if score >= ACCEPT_FROM else "review" if score >= REVIEW_FROM else "reject"
        reason = f"{evidence.why}; {_PLAYS[role]}"
        return Judged(evidence.number, score, evidence.method, decision, reason, role)

    def _nearest(self, found: list[Evidence], overruled: list[Evidence]) -> list[Evidence]:
        """Refuses wider classes of a source that has the mentioned thing itself, whatever people decided on that one.

        A rooster is called a chicken, too, and Open Images draws many a man or woman as `Person`: these stay.
        """
        visual = self._index.visual
        direct: dict[tuple[tuple[str, ...], str], Evidence] = {}
        for evidence in (*found, *overruled):
            own = evidence.direct or evidence.method == "form_of"
            if own and not evidence.refused and evidence.trust >= STEP["synonym"]:
                place = evidence.mention.words, visual[evidence.number].source
                direct[place] = max(direct.get(place, evidence), evidence, key=lambda one: one.trust)
        result = []
        for evidence in found:
            nearer = direct.get((evidence.mention.words, visual[evidence.number].source))
            wider = not evidence.direct and evidence.method not in _BESIDE and not evidence.refused
            person = self._index.keys[evidence.number][0] == "person"
            if nearer and wider and not person and self._akin(nearer, evidence):
                evidence = replace(
                    evidence, refused=f"{visual[nearer.number].name!r} of the same source is nearer"
                )
            result.append(evidence)
        return result

    def _akin(self, one: Evidence, other: Evidence) -> bool:
        """Whether two visual labels can be of one domain: that a mouse is no computer's makes it no less a rodent."""
        domains = {self._index.domains[one.number], self._index.domains[other.number]}
        return len(domains) == 1 or "" in domains

    def _in_sense(self, evidence: Evidence) -> Evidence:
        """Refuses what the label itself rules out: a toy, or a sense other than the one in its brackets."""
        mention, domain = evidence.mention, self._index.domains[evidence.number]
        name = self._index.visual[evidence.number].name
        if mention.unreal and not evidence.refused:
            return replace(evidence, refused=f"{mention.unreal!r} says that it is no real {name!r}")
        if mention.domain and domain and domain != mention.domain and not evidence.refused:
            reason = f"{name!r} is of the domain {domain!r}, but the label says {mention.domain!r}: a homonym"
            return replace(evidence, refused=reason)
        return evidence

    def _in_context(self, label: AudioLabel, reading: Reading, found: list[Evidence]) -> list[Evidence]:
        """Refuses homonyms: labels of a domain that the verbs or the group of the sound rule out. Where the mention
        has no reading that fits better, they are a doubt, no refusal.
        """
        groups = self._groups(reading)
        fitting = {
            one.mention.words
            for one in found
            if not one.refused
            and one.trust > GENERAL
            and self._fit(groups, one) != {"foreign"} != self._fit([label.group], one)
        }
        several = self._homonyms(found) if not groups and not label.group else set()
        result = []
        for one in found:
            by_verbs, by_group = self._fit(groups, one), self._fit([label.group], one)
            against = by_verbs == {"foreign"} or (by_group == {"foreign"} and "expected" not in by_verbs)
            said = " or ".join(groups if by_verbs == {"foreign"} else [label.group])
            certain = one.method == "mid" or (one.method == "decision" and one.direct)
            if one.refused or certain or one.mention.role in _NOT_SOUNDING:
                pass
            elif against and (one.mention.words in fitting or not one.direct):
                domain, name = self._index.domains[one.number], self._index.visual[one.number].name
                reason = f"{name!r} is of the domain {domain!r}, but the sound is of {said!r}: a homonym"
                one = replace(one, refused=reason)
            elif against:
                doubt = f", though the sound is of {said!r}"
                one = replace(one, trust=min(one.trust, DOUBTED), why=one.why + doubt)
            elif one.mention.words in several and (one.direct or one.method == "decision"):
                doubt = f", but {one.mention.text!r} names things of several domains"
                one = replace(one, trust=min(one.trust, DOUBTED), why=one.why + doubt)
            elif one.mention.role is not Role.ACT and (by_verbs if groups else by_group) == {"expected"}:
                trust = STEP["synonym"] if one.method == "bridge" and groups else one.trust
                one = replace(one, trust=max(one.trust, trust), mention=replace(one.mention, close=True))
            result.append(one)
        return result

    def _homonyms(self, found: list[Evidence]) -> set[tuple[str, ...]]:
        """The mentions whose own name is that of two things that have nothing in common: mouse, tank."""
        domains: dict[tuple[str, ...], set[str]] = {}
        for one in found:
            if one.direct and not one.refused and (domain := self._index.domains[one.number]):
                domains.setdefault(one.mention.words, set()).add(domain)
        return {words for words, known in domains.items() if len(known) > 1 and known & _APART}

    def _fit(self, groups: list[str], evidence: Evidence) -> set[str]:
        """How the domain of a visual label fits groups of sounds: `expected`, `foreign` or "" for each."""
        domain = self._index.domains[evidence.number]
        return (
            {self._lexicon.groups.get((group.casefold(), domain), "") for group in groups}
            if domain
            else set()
        )

    @staticmethod
    def _groups(reading: Reading) -> list[str]:
        """The groups that the verbs speak for."""
        if reading.plays:
            return ["music", "sports"]
        return sorted(_GROUP_OF_DOMAIN[domain] for domain in reading.domains)

    @staticmethod
    def _shortened(ordered: list[Judged]) -> list[Judged]:
        """Leaves the best REVIEWS_PER_LABEL to review; the order stays."""
        reviews = 0
        result = []
        for one in ordered:
            if one.decision == "review":
                reviews += 1
                if reviews > REVIEWS_PER_LABEL:
                    reason = f"below the {REVIEWS_PER_LABEL} best for review: {one.reason}"
                    one = replace(one, decision="reject", reason=reason)
            result.append(one)
        return result


# Ways that lead to no wider class: by what is known of words, and by what others say of the sound.
_OF_WORDS = ("has_part", "part_of", "form", "form_of", "family", "narrower", "similar_to")
_BESIDE = frozenset([*_OF_WORDS, "parent", "child", "decision", "semantic"])
_RANK = {"accept": 2, "review": 1, "reject": 0}
# Domains that share no name with another by kinship.
_APART = frozenset({"animal", "vehicle", "instrument"})
# Domains of things that sound only where something is done to them.
_SILENT = frozenset({"food", "clothing", "plant", "body"})
_NOT_SOUNDING = (
    Role.OBJECT,
    Role.CONTEXT,
    Role.GROUP,
    Role.QUALIFIER,
    Role.TOOL,
    Role.PARENT,
    Role.CHILD,
    Role.DEFINED,
)
_PLAYS = {
    Role.SOURCE: "it sounds",
    Role.AGENT: "the person makes the sound",
    Role.WHOLE: "a part of it sounds",
    Role.ACT: "the act needs it",
    Role.PARENT: "the vocabulary puts the sound below it",
    Role.TOOL: "the verb names it",
    Role.OBJECT: "something is done to it",
    Role.PART: "it sounds as part of something else",
    Role.CONTEXT: "brackets make it context",
    Role.QUALIFIER: "it stands before a word that is not known",
    Role.GROUP: "brackets say which of its kinds sound",
    Role.DEFINED: "the sound is defined by it",
    Role.CHILD: "the vocabulary puts a sound of it below this one",
}
