"""Scores and decisions: accept what can be taken unseen, refuse what is known to be wrong, leave the rest to people."""

from dataclasses import dataclass, replace

from pipelines.matching.candidates import STEP, Evidence
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.phrases import Reading, Role
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.vocabularies import AudioLabel

ACCEPT_FROM = 0.8
REVIEW_FROM = 0.3
REVIEWS_PER_LABEL = 8  # candidates beyond these are refused: a long list for one sound is a list of guesses

ROLE = {
    Role.SOURCE: 1.0,
    Role.AGENT: 1.0,
    Role.WHOLE: 0.95,
    Role.ACT: 0.96,
    Role.TOOL: 0.9,
    Role.OBJECT: 0.6,
    Role.PART: 0.6,
    Role.CONTEXT: 0.6,
}
LIKELY = 0.6  # in place of the above where a mention is likely, not certain
GENERAL = 0.5  # a class such as Vehicle is too wide to accept, a part of the body too small
REFUSED = 0.3  # of its score, so that what is refused stands below what a person should look at
_GROUP_OF_DOMAIN = {"animal": "animals", "person": "people", "vehicle": "vehicle", "device": "others"}


@dataclass(frozen=True)
class Proposal:
    """One decided pair; `number` is the visual label's position in the vocabulary."""

    number: int
    score: float
    method: str
    decision: str  # accept | review | reject
    reason: str


def precedence(proposal: Proposal) -> tuple[int, float]:
    """Sorts the better proposal first: by decision, then by score."""
    return -_RANK[proposal.decision], -proposal.score


class Judge:
    """Decides the candidates of one label."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon, senses: bool) -> None:
        self._index = index
        self._lexicon = lexicon
        self._senses = senses

    def decide(self, label: AudioLabel, reading: Reading, found: list[Evidence]) -> list[Proposal]:
        """One proposal for each visual label found, best first: by `precedence`, then the vocabulary's order."""
        if self._senses:
            found = [self._in_context(label, reading, one) for one in found]
            # A guess from meaning that its domain refutes was never a candidate.
            found = [one for one in found if not (one.refused and one.method == "semantic")]
        best: dict[int, Proposal] = {}
        for evidence in self._nearest(found):
            proposal = self._one(evidence)
            before = best.get(evidence.number)
            if before is None or precedence(proposal) < precedence(before):
                best[evidence.number] = proposal
        return self._shortened(sorted(best.values(), key=lambda one: (*precedence(one), one.number)))

    def score(self, evidence: Evidence) -> float:
        role = ROLE[evidence.mention.role] if evidence.mention.close else LIKELY
        score = evidence.trust * role
        too_wide = self._index.keys[evidence.number][0] in self._lexicon.general
        if evidence.method != "mid" and (too_wide or self._index.domains[evidence.number] == "body"):
            score = min(score, GENERAL)
        return round(score, 4)

    def _one(self, evidence: Evidence) -> Proposal:
        score = self.score(evidence)
        if evidence.refused:
            return Proposal(
                evidence.number, round(score * REFUSED, 4), evidence.method, "reject", evidence.refused
            )
        decision = "accept" if score >= ACCEPT_FROM else "review" if score >= REVIEW_FROM else "reject"
        reason = f"{evidence.why}; {_PLAYS[evidence.mention.role]}"
        return Proposal(evidence.number, score, evidence.method, decision, reason)

    def _nearest(self, found: list[Evidence]) -> list[Evidence]:
        """Refuses wider classes of a source that has the mentioned thing itself.

        People are the exception: Open Images draws many a man or woman as `Person`, so `Person` stays.
        """
        visual = self._index.visual
        direct: dict[tuple[tuple[str, ...], str], Evidence] = {}
        for evidence in found:
            if evidence.direct and not evidence.refused and evidence.trust >= STEP["synonym"]:
                place = evidence.mention.words, visual[evidence.number].source
                direct[place] = max(direct.get(place, evidence), evidence, key=lambda one: one.trust)
        result = []
        for evidence in found:
            nearer = direct.get((evidence.mention.words, visual[evidence.number].source))
            wider = not evidence.direct and evidence.method not in _BESIDE and not evidence.refused
            if nearer and wider and self._index.keys[evidence.number][0] != "person":
                evidence = replace(
                    evidence, refused=f"{visual[nearer.number].name!r} of the same source is nearer"
                )
            result.append(evidence)
        return result

    def _in_context(self, label: AudioLabel, reading: Reading, evidence: Evidence) -> Evidence:
        """Refuses a label of a domain that the sound cannot have; makes sure of one that it is expected to have."""
        domain = self._index.domains[evidence.number]
        if not domain or evidence.method == "mid" or evidence.mention.role in _NOT_SOUNDING:
            return evidence
        groups = [label.group] if label.group else self._groups(reading)
        fits = {self._lexicon.groups.get((group, domain), "") for group in groups}
        if fits == {"foreign"} and not evidence.refused:
            name = self._index.visual[evidence.number].name
            reason = f"{name!r} is of the domain {domain!r}, but the sound is of {' or '.join(groups)!r}: a homonym"
            return replace(evidence, refused=reason)
        if fits == {"expected"} and not evidence.mention.close:
            return replace(evidence, mention=replace(evidence.mention, close=True))
        return evidence

    @staticmethod
    def _groups(reading: Reading) -> list[str]:
        """The groups that the verbs speak for, where the source gives no group."""
        if reading.plays:
            return ["music", "sports"]
        return sorted(_GROUP_OF_DOMAIN[domain] for domain in reading.domains)

    @staticmethod
    def _shortened(ordered: list[Proposal]) -> list[Proposal]:
        """Leaves the best REVIEWS_PER_LABEL to review; the order stays."""
        reviews = 0
        result = []
        for proposal in ordered:
            if proposal.decision == "review":
                reviews += 1
                if reviews > REVIEWS_PER_LABEL:
                    reason = f"below the {REVIEWS_PER_LABEL} best for review: {proposal.reason}"
                    proposal = Proposal(proposal.number, proposal.score, proposal.method, "reject", reason)
            result.append(proposal)
        return result


_BESIDE = {"has_part", "narrower", "semantic", "similar_to"}  # ways that lead to no wider class
_RANK = {"accept": 2, "review": 1, "reject": 0}
_NOT_SOUNDING = (Role.OBJECT, Role.CONTEXT, Role.ACT, Role.TOOL)
_PLAYS = {
    Role.SOURCE: "it sounds",
    Role.AGENT: "the person makes the sound",
    Role.WHOLE: "a part of it sounds",
    Role.ACT: "the act needs it",
    Role.TOOL: "the verb names it",
    Role.OBJECT: "something is done to it",
    Role.PART: "it sounds as part of something else",
    Role.CONTEXT: "it stands in brackets",
}
