"""What people decided, as evidence for labels that nobody has decided yet.

A link accepted for *dog barking* speaks for the same visual label at *dog howling*: both name the dog. A reading that
was refused stays refused. What a decision was about is the mention of its label that leads to the visual label, and
where none does and the label names one thing only, that thing: so decisions teach names that no table knows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.matching.candidates import BELOW, Evidence, Finder
from pipelines.matching.phrases import Mention, Reader, Reading, Role
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from pipelines.matching.wording import tokens

TRUST = 0.9  # in what was decided about the same thing under another label
DOUBTED = 0.6  # where it was accepted for one label and refused for another, or is not sure otherwise
KIND = 3  # sounds of a thing that a kind of it (a gull, of a bird) was accepted for, at least, to be sure
_ABOUT = (Role.SOURCE, Role.AGENT, Role.WHOLE, Role.ACT, Role.TOOL)
_NAMED = 3  # labels that a reason names


@dataclass(frozen=True)
class Decided:
    """One link that somebody decided."""

    audio_source: str
    audio_label: str
    source: str  # of the visual label
    visual_id: str
    accepted: bool
    decided_by: str
    general: bool = True  # False: about this sound of the thing alone; a doubt for its others, no refusal


@dataclass
class _Votes:
    accepted: list[str]  # labels it was accepted for
    refused: list[str]
    doubted: list[str]


class Decisions:
    """Decisions on one visual vocabulary; those on labels that it does not have are passed over."""

    def __init__(
        self, decided: Iterable[Decided], visual: tuple[VisualLabel, ...], reader: Reader, finder: Finder
    ) -> None:
        self._finder = finder
        self._own: dict[tuple[str, str], list[tuple[int, Decided]]] = {}
        self._things: dict[str, dict[int, _Votes]] = {}
        numbers = {(label.source, label.id): number for number, label in enumerate(visual)}
        for one in sorted(
            decided, key=lambda one: (one.audio_source, one.audio_label, one.source, one.visual_id)
        ):
            number = numbers.get((one.source, one.visual_id))
            if number is not None:
                self._own.setdefault((one.audio_source, one.audio_label), []).append((number, one))
        for (_, label), links in self._own.items():
            mentions = [one for one in reader.read(label).mentions if one.role in _ABOUT and one.close]
            reached = [(one, {evidence.number for evidence in finder.find(one)}) for one in mentions]
            for number, link in links:
                about = [one for one, found in reached if number in found] or mentions[: len(mentions) == 1]
                for name in {name for one in about for name in finder.names(one)}:
                    votes = self._things.setdefault(name, {}).setdefault(number, _Votes([], [], []))
                    refused = votes.refused if link.general else votes.doubted
                    (votes.accepted if link.accepted else refused).append(label)

    def find(self, label: AudioLabel, reading: Reading) -> Iterator[Evidence]:
        """What the decisions say of a label: of itself, then of the things that it names."""
        whole = Mention(tokens(label.label), Role.SOURCE)
        settled = set()
        for number, one in self._own.get((label.source, label.label), ()):
            settled.add(number)
            said = "accepted" if one.accepted else "refused"
            why = f"{said} for this label by {one.decided_by}"
            yield Evidence(number, whole, "decision", 1.0, why, True, "" if one.accepted else why)
        for mention in reading.mentions if self._things else ():
            known = [self._things[name] for name in self._finder.names(mention) if name in self._things]
            reached = self._finder.find(mention) if known else []
            named = {one.number for one in reached if one.direct}
            kinds = {one.number for one in reached if one.method in BELOW}
            for things in known:
                for number, votes in things.items():
                    if number not in settled and (votes.accepted or votes.refused):
                        acting = mention.role is Role.ACT and number not in named
                        few = number in kinds and len(set(votes.accepted)) < KIND
                        yield self._evidence(number, mention, votes, sure=not acting and not few)

    @staticmethod
    def _evidence(number: int, mention: Mention, votes: _Votes, sure: bool) -> Evidence:
        """`sure`: False of a kind that was accepted for few sounds of the thing, and of all that an act points to
        without its name. What was decided on a car's horn holds for what is called a car; *skidding* names none.
        """
        against = votes.refused + votes.doubted
        accepted, refused = _list(votes.accepted), _list(against)
        if not against:
            trust = TRUST if sure else DOUBTED
            return Evidence(number, mention, "decision", trust, f"accepted for {accepted}")
        if votes.accepted:
            why = f"accepted for {accepted}, refused for {refused}"
            return Evidence(number, mention, "decision", DOUBTED, why)
        why = f"refused for {refused}"
        return Evidence(number, mention, "decision", TRUST, why, refused=why)


def _list(labels: list[str]) -> str:
    named = ", ".join(repr(label) for label in labels[:_NAMED])
    return named + (f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else "")
