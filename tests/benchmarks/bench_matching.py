"""Precision, coverage, queue length and time of `avs-data match`, and what each of its ideas is worth.

Prints Markdown. The peer is a plain token match with rapidfuzz over the same names in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from rapidfuzz import fuzz, process

from pipelines.matching import evaluation, proposals
from pipelines.matching.ideas import Ideas
from pipelines.matching.matcher import Matcher
from pipelines.matching.proposals import Row
from pipelines.matching.vocabularies import AudioLabel, Vocabularies, read_labels
from pipelines.matching.wording import singular, tokens

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "labels"
JUDGEMENT = ROOT / "tests" / "data" / "matching_judgement.csv"


def match(vocabularies: Vocabularies, ideas: Ideas) -> list[Row]:
    return list(proposals.rows(Matcher(vocabularies.visual, ideas), vocabularies.audio))


def token_match(vocabularies: Vocabularies) -> list[Row]:
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
            found.append(
                Row(audio.label, visual.source, visual.name, visual.id, ratio / 100, "token", decision, "")
            )
    return found


def line(name: str, truths: list[dict], rows: list[Row], matched: int, cells: str = "") -> str:
    figures = [evaluation.evaluate(truth, rows, matched) for truth in truths]
    text = " | ".join(
        f"{one.precision:.3f} | {one.accept_coverage:.3f} | {one.review_coverage:.3f}" for one in figures
    )
    return f"| {name} | {text} | {figures[0].reviews_per_label:.2f} |{cells}"


def median_s(work: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def shared_mids(folder: str) -> str:
    """An independent truth: AudioSet classes that share a MID with an Open Images class, matched by name alone."""
    vocabularies = read_labels(folder, ("audioset",))
    matcher = Matcher(vocabularies.visual, Ideas(mids=False))
    numbers = {label.id: number for number, label in enumerate(vocabularies.visual)}
    decisions = []
    for label in vocabularies.audio:
        if label.mid in numbers:
            found = {one.number: one.decision for one in matcher.propose(label)}
            decisions.append(found.get(numbers[label.mid], "missing"))
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
        help="CSV vggsound_label,source,visual_label,relation; may be repeated "
        "(default: the gold sample beside the labels, and this project's own judgement)",
    )
    parser.add_argument("--runs", type=int, default=5, help="timed runs, of which the median counts")
    options = parser.parse_args()
    paths = options.gold or [f"{options.labels}/gold_links_sample.csv", str(JUDGEMENT)]
    truths = [evaluation.read_truth(path) for path in paths]
    vocabularies = read_labels(options.labels)
    matched = len(vocabularies.audio)

    print(
        "Precision of accept counts accepted pairs that are `same` against those that are `same` or in no link of"
    )
    print("the truth for their label; `related` pairs are left out. Coverage is of `same` links.\n")
    for path, truth in zip(paths, truths, strict=True):
        same = sum(relation == "same" for links in truth.values() for relation in links.values())
        print(f"- {Path(path).name}: {len(truth)} labels, {same} `same` links")
    columns = " | ".join(f"{Path(path).stem}: precision | accept | accept + review" for path in paths)
    head = f"| {columns} | review rows a label |"
    rule = "|---|" + "---:|" * (3 * len(paths) + 1)

    print(f"\n## Figures\n\n| matcher {head} s, whole vocabulary |\n{rule}---:|")
    kinds: list[tuple[str, Callable[[], list[Row]]]] = [
        ("avs-data match", lambda: match(vocabularies, Ideas())),
        ("plain token match (rapidfuzz)", lambda: token_match(vocabularies)),
    ]
    try:
        semantic = Ideas(semantic=True)
        Matcher(vocabularies.visual, semantic)
        kinds.insert(1, ("avs-data match --semantic", lambda: match(vocabularies, semantic)))
    except ImportError as missing:
        print(f"(no --semantic row: {missing})")
    for name, work in kinds:
        print(line(name, truths, work(), matched, f" {median_s(work, options.runs):.2f} |"))
    without = Vocabularies(
        tuple(AudioLabel(one.label, one.source) for one in vocabularies.audio), vocabularies.visual
    )
    print(line("avs-data match, no groups of sounds", truths, match(without, Ideas()), matched, " |"))

    print(f"\n## Ablation: each idea left out\n\n| without {head}\n{rule}")
    print(line("(nothing)", truths, match(vocabularies, Ideas()), matched))
    for idea in fields(Ideas):
        if idea.name not in ("mids", "semantic"):
            rows = match(vocabularies, replace(Ideas(), **{idea.name: False}))
            print(line(idea.name, truths, rows, matched))
    bare = Ideas(**{idea.name: False for idea in fields(Ideas)})
    print(line("everything", truths, match(vocabularies, bare), matched))
    print(f"\n{shared_mids(options.labels)}")


if __name__ == "__main__":
    main()
