"""Precision, coverage, queue length and time of `avs-data match`, and what each of its ideas is worth.

Prints Markdown. The peer is a plain token match with rapidfuzz over the same names in the same run.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rapidfuzz import fuzz, process

import label_maps
from pipelines.matching import evaluation, gold, lexicon, phrases, proposals, wording
from pipelines.matching.candidates import Finder
from pipelines.matching.decide import Judge
from pipelines.matching.decisions import Decided
from pipelines.matching.gold import Truth
from pipelines.matching.kinds import Kinds
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.matcher import Matcher
from pipelines.matching.phrases import Reader
from pipelines.matching.proposals import Proposal
from pipelines.matching.sources import read_labels
from pipelines.matching.vocabularies import AudioLabel, VisualLabel, Vocabularies
from pipelines.matching.wording import singular, tokens
from pipelines.review import decided as decided_links

AUDIO_SOURCES = ("vggsound", "audioset", "fsd50k")
ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "labels"
DATA = ROOT / "tests" / "data"


def kept_aside(label: str) -> bool:
    """A third of this project's judgement, never looked at while the matcher was written."""
    return int(hashlib.sha256(label.encode()).hexdigest(), 16) % 3 == 0


def part(truth: Truth, aside: bool) -> Truth:
    return Truth({sound: known for sound, known in truth.links.items() if kept_aside(sound[1]) == aside})


def half(truth: Truth, which: int) -> Truth:
    """Of the second judgement, the half whose misses were looked at (1), or the one that stays unseen (0)."""
    kept = {
        sound: known
        for sound, known in truth.links.items()
        if int(hashlib.sha256(f"half:{sound[1]}".encode()).hexdigest(), 16) % 2 == which
    }
    return Truth(kept)


def match(vocabularies: Vocabularies, decided: Iterable[Decided] = (), **options: Any) -> list[Proposal]:
    return list(proposals.rows(Matcher(vocabularies.visual, decided=decided, **options), vocabularies.audio))


def token_match(vocabularies: Vocabularies) -> list[Proposal]:
    """The peer: names whose words, in the singular, all stand in the label are accepted, similar ones reviewed."""

    def plain(text: str) -> str:
        return " ".join(singular(word) for word in tokens(text))

    named = [
        (number, plain(name)) for number, label in enumerate(vocabularies.visual) for name in label.names
    ]
    choices = [name for _, name in named]
    found = []
    for audio in vocabularies.audio:
        best: dict[int, float] = {}
        ranked = process.extract(
            plain(audio.label), choices, scorer=fuzz.token_set_ratio, score_cutoff=70, limit=None
        )
        for _, ratio, at in ranked:
            best[named[at][0]] = max(ratio, best.get(named[at][0], 0.0))
        for number, ratio in sorted(best.items(), key=lambda item: -item[1])[:8]:
            visual = vocabularies.visual[number]
            decision = "accept" if ratio == 100 else "review"
            pair = (audio.source, audio.label, visual.source, visual.name, visual.id)
            found.append(Proposal(*pair, ratio / 100, "token", decision, ""))
    return found


@dataclass(frozen=True)
class Measure:
    """A truth, and the audio source that it is about."""

    name: str
    source: str
    truth: Truth


def figures(measure: Measure, found: Iterable[Proposal], audio: Iterable[AudioLabel]) -> evaluation.Figures:
    matched = sum(label.source == measure.source for label in audio)
    return evaluation.evaluate(
        measure.truth, [row for row in found if row.audio_source == measure.source], matched
    )


def cells(one: evaluation.Figures) -> str:
    ratios = f"{one.precision:.3f} | {one.accept_coverage:.3f} | {one.review_coverage:.3f}"
    return f"{one.labels} | {one.same} | {ratios} | {one.reviews_per_label:.2f}"


# Ideas, each with how to do without it: on the lexicon, the vocabularies, or by a patch of one function.
def without_nouns(*kinds: str) -> Callable[[Lexicon], Lexicon]:
    def change(known: Lexicon) -> Lexicon:
        nouns = {
            word: [one for one in relations if one.kind not in kinds]
            for word, relations in known.nouns.items()
        }
        return replace(known, nouns=nouns)

    return change


def nothing(*_: object, **__: object) -> list:
    return []


LEXICON: dict[str, Callable[[Lexicon], Lexicon]] = {
    "verbs": lambda known: replace(known, verbs={}),
    "acts and voices (acts.csv)": lambda known: replace(known, acts={}),
    "other names (same_as)": without_nouns("same_as"),
    "kinds upwards (kind_of, has_part, similar_to)": without_nouns("kind_of", "has_part", "similar_to"),
    "forms: sex, age, breed, build (form_of)": without_nouns("form_of"),
    "parts and wholes": lambda known: replace(without_nouns("part_of")(known), parts={}),
    "words that mislead (opaque)": without_nouns("opaque"),
    "words too wide (general.csv)": lambda known: replace(known, general=frozenset()),
    "things that are not real": lambda known: replace(known, unreal=frozenset()),
}
AUDIO: dict[str, Callable[[AudioLabel], AudioLabel]] = {
    "parents": lambda label: replace(label, parents=()),
    "children": lambda label: replace(label, children=()),
    "groups of sounds": lambda label: replace(label, group=""),
    "MIDs": lambda label: replace(label, id=""),
}
VISUAL: dict[str, Callable[[VisualLabel], VisualLabel]] = {
    "LVIS synonyms": lambda label: replace(label, names=label.names[:1], senses=label.senses[:1]),
    "LVIS definitions": lambda label: replace(label, definition=""),
    "Open Images hierarchy": lambda label: replace(label, ancestors=()),
}
PATCHES: dict[str, list[tuple[Any, str, Any]]] = {
    "alternatives": [(phrases, "alternatives", lambda text: (text,))],
    "plurals": [(wording, "singular", str), (lexicon, "singular", str)],
    "brackets": [(phrases, "brackets", lambda text: (text, ()))],
    "heads of compounds": [(Finder, "_heads", nothing)],
    "tools that verbs name": [(Reader, "_tools", nothing)],
    "kinds downwards": [(Kinds, "below", nothing)],
    "word order": [(Finder, "_reordered", nothing)],
    "spelling": [(Finder, "_alike", nothing)],
    "homonyms by verbs and groups": [(Judge, "_in_context", lambda self, label, reading, found: found)],
    "the nearest class wins": [(Judge, "_nearest", lambda self, found, overruled: found)],
    "narrow names mean each of their kinds": [(Kinds, "family", lambda self, name: frozenset())],
    "a wide class for a label as wide": [(Judge, "_names_itself", lambda self, evidence: False)],
}


def without(idea: str, vocabularies: Vocabularies) -> list[Proposal]:
    audio = tuple(AUDIO[idea](label) for label in vocabularies.audio) if idea in AUDIO else vocabularies.audio
    visual = (
        tuple(VISUAL[idea](label) for label in vocabularies.visual) if idea in VISUAL else vocabularies.visual
    )
    known = LEXICON[idea](lexicon.build()) if idea in LEXICON else None
    with ExitStack() as stack:
        for target, name, value in PATCHES.get(idea, []):
            stack.enter_context(patch.object(target, name, value))
        return match(Vocabularies(audio, visual), lexicon=known)


def ablation(measures: list[Measure], vocabularies: Vocabularies) -> None:
    print("| without | accepted | accepted or in review | wrong accepts | review rows a label |")
    print("|---|---:|---:|---:|---:|")
    for idea in ("(nothing)", *AUDIO, *LEXICON, *VISUAL, *PATCHES):
        found = without(idea, vocabularies)
        sums = [figures(measure, found, vocabularies.audio) for measure in measures]
        accepted = sum(one.accepted for one in sums)
        reviews = sum(row.decision == "review" for row in found) / len(vocabularies.audio)
        print(
            f"| {idea} | {accepted} | {accepted + sum(one.reviewed for one in sums)} "
            f"| {sum(one.wrong for one in sums)} | {reviews:.2f} |"
        )


def hidden_halves(vocabularies: Vocabularies) -> None:
    """Either half of the label map's sounds is hidden: what do the decisions on the others say of them?"""
    everything = decided_links.of_map(label_maps.load("avs"), [])
    sounds = sorted({one.audio_label for one in everything if one.audio_source == "vggsound"})
    print("| hidden sounds, links | matched | links accepted | accepted or in review ", end="")
    print("| accepted, not in the map | learned: in the map, not in it | review rows a label |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for side in (1, 0):
        hidden = {label for label in sounds if hashlib.sha256(label.encode()).digest()[0] % 2 == side}
        shown = [one for one in everything if one.audio_label not in hidden]
        links = {
            (one.audio_label, one.source, one.visual_id)
            for one in everything
            if one.accepted and one.audio_label in hidden
        }
        audio = tuple(one for one in vocabularies.audio if one.source == "vggsound" and one.label in hidden)
        for name, known in (("without decisions", []), ("with those on the other half", shown)):
            by: dict[str, dict[tuple[str, str, str], str]] = {one: {} for one in proposals.DECISIONS}
            for row in match(Vocabularies(audio, vocabularies.visual), known):
                by[row.decision][row.audio_label, row.source, row.visual_id] = row.method
            accepted, queued = len(by["accept"].keys() & links), len(by["review"].keys() & links)
            learned = [link in links for link, method in by["accept"].items() if method == "decision"]
            print(
                f"| {len(hidden)}, {len(links)} | {name} | {accepted / len(links):.3f} "
                f"| {(accepted + queued) / len(links):.3f} | {len(by['accept'].keys() - links)} "
                f"| {learned.count(True)}, {learned.count(False)} | {len(by['review']) / len(audio):.2f} |"
            )


def other_vocabularies(measures: list[Measure], vocabularies: Vocabularies) -> None:
    """What the whole label map, which is about VGGSound, says of sounds of other vocabularies."""
    found = match(vocabularies, decided_links.of_map(label_maps.load("avs"), []))
    print("| truth | labels | links | precision | accept | accept + review | review rows a label |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for measure in measures:
        if measure.source != "vggsound":
            print(f"| {measure.name} | {cells(figures(measure, found, vocabularies.audio))} |")


def median_processor_s(work: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def names_alone(vocabularies: Vocabularies) -> str:
    """An independent truth: AudioSet classes that share a MID with an Open Images class, matched by name alone."""
    matcher = Matcher(vocabularies.visual)
    numbers = {label.id: number for number, label in enumerate(vocabularies.visual)}
    decisions = []
    for label in vocabularies.audio:
        if label.source == "audioset" and label.id in numbers:
            found = {one.number: one.decision for one in matcher.propose(replace(label, id=""))}
            decisions.append(found.get(numbers[label.id], "missing"))
    accepted, reviewed = decisions.count("accept"), decisions.count("review")
    return (
        f"{len(decisions)} AudioSet classes share a MID with Open Images; "
        f"by name alone {accepted} are accepted, {reviewed} go to review."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", default=str(SHARED), help="folder of label files (default: %(default)s)")
    parser.add_argument(
        "--gold",
        action="append",
        metavar="SOURCE=CSV",
        help="further truth about an audio source, audio_label,source,visual_label,relation; may be repeated",
    )
    parser.add_argument("--runs", type=int, default=5, help="timed runs, of which the median counts")
    options = parser.parse_args()
    esc50 = gold.read(str(DATA / "matching_judgement_2_esc50.csv"))  # it names all 50 classes
    vocabularies = read_labels(options.labels, AUDIO_SOURCES)
    classes = (AudioLabel(label, "esc50") for _, label in esc50.links)
    vocabularies = replace(vocabularies, audio=(*vocabularies.audio, *classes))
    second = [
        *(
            (source, gold.read(str(DATA / f"matching_judgement_2_{source}.csv")))
            for source in AUDIO_SOURCES[1:]
        ),
        ("esc50", esc50),
    ]
    own = [
        (source, gold.read(str(DATA / f"matching_judgement_{source}.csv"))) for source in AUDIO_SOURCES[1:]
    ]
    measures = [
        Measure("VGGSound, gold sample", "vggsound", gold.read(f"{options.labels}/gold_links_sample.csv")),
        Measure("VGGSound, judgement", "vggsound", gold.read(str(DATA / "matching_judgement.csv"))),
        *(Measure(f"{source}, two thirds", source, part(truth, False)) for source, truth in own),
        *(Measure(f"{source}, third kept aside", source, part(truth, True)) for source, truth in own),
        *(Measure(f"{source}, second, half in view", source, half(truth, 1)) for source, truth in second),
        *(Measure(f"{source}, second, half unseen", source, half(truth, 0)) for source, truth in second),
    ]
    for text in options.gold or []:
        source, _, path = text.partition("=")
        measures.append(Measure(Path(path).name, source, gold.read(path)))

    kinds: list[tuple[str, Callable[[], list[Proposal]]]] = [
        ("avs-data match", lambda: match(vocabularies)),
        ("plain token match (rapidfuzz)", lambda: token_match(vocabularies)),
    ]
    try:
        Matcher(vocabularies.visual, semantic=True)
        kinds.insert(1, ("avs-data match --semantic", lambda: match(vocabularies, semantic=True)))
    except ImportError as missing:
        print(f"(no --semantic rows: {missing})")
    print("## Figures\n")
    print("| truth | matcher | labels | links | precision | accept | accept + review | review rows a label |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    found = {name: work() for name, work in kinds}
    for measure in measures:
        for name, rows in found.items():
            print(f"| {measure.name} | {name} | {cells(figures(measure, rows, vocabularies.audio))} |")
    print("\n## Processor time, index and match, s\n")
    for source in (*AUDIO_SOURCES, "esc50"):
        only = replace(vocabularies, audio=tuple(one for one in vocabularies.audio if one.source == source))
        taken = median_processor_s(lambda only=only: match(only), options.runs)
        print(f"- {source}, {len(only.audio)} labels: {taken:.2f}")
    print(f"\n{names_alone(vocabularies)}")
    print("\n## Each idea left out, all truths together\n")
    ablation(measures, vocabularies)
    print("\n## Decisions\n")
    hidden_halves(vocabularies)
    print()
    other_vocabularies(measures, vocabularies)


if __name__ == "__main__":
    main()
