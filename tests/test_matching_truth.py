"""Real vocabularies against hand-made truth, and the figures that say how well they agree."""

from pathlib import Path

import pytest

from pipelines.matching import evaluation, proposals
from pipelines.matching.evaluation import Figures
from pipelines.matching.ideas import Ideas
from pipelines.matching.matcher import Matcher
from pipelines.matching.proposals import Row
from pipelines.matching.semantic import SemanticExtraMissing
from pipelines.matching.vocabularies import AUDIO_SOURCES, read_labels

LABELS = Path(__file__).parents[1].parent / "shared" / "data" / "labels"
GOLD = LABELS / "gold_links_sample.csv"
JUDGEMENT = Path(__file__).parent / "data" / "matching_judgement.csv"
real = pytest.mark.skipif(not GOLD.exists(), reason="needs the real label files at shared/data/labels")


def row(label: str, name: str, decision: str) -> Row:
    return Row(label, "lvis", name, "1", 0.5, "name", decision, "")


def test_figures_by_hand(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "vggsound_label,source,visual_label,relation\n"
        "a,lvis,one,same\na,lvis,two,same\na,lvis,three,related\na,lvis,six,same\nb,,,none\n"
    )
    rows = [
        row("a", "one", "accept"),  # right
        row("a", "two", "review"),  # to review
        row("a", "three", "accept"),  # related: counts neither way
        row("a", "four", "accept"),  # wrong
        row("b", "five", "accept"),  # wrong: there is none
        row("c", "seven", "accept"),  # not judged
        row("c", "eight", "review"),
    ]
    found = evaluation.evaluate(evaluation.read_truth(str(truth)), rows, matched=4)
    assert found == Figures(labels=2, same=3, accepted=1, reviewed=1, wrong=2, reviews=2, matched=4)
    assert (found.precision, found.accept_coverage, found.review_coverage) == (1 / 3, 1 / 3, 2 / 3)
    assert found.reviews_per_label == 0.5


def test_an_unknown_relation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("vggsound_label,source,visual_label,relation\na,lvis,one,maybe\n")
    with pytest.raises(ValueError, match="'maybe' is no relation"):
        evaluation.read_truth(str(tmp_path / "truth.csv"))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    vocabularies = read_labels(str(LABELS))
    return list(proposals.rows(Matcher(vocabularies.visual), vocabularies.audio))


@real
@pytest.mark.parametrize("truth", [GOLD, JUDGEMENT], ids=["gold", "judgement"])
def test_real_labels_reach_the_targets(rows: list[Row], truth: Path) -> None:
    figures = evaluation.evaluate(evaluation.read_truth(str(truth)), rows, matched=309)
    assert figures.precision >= 0.98
    assert figures.accept_coverage >= 0.65
    assert figures.review_coverage >= 0.95
    assert figures.reviews_per_label <= 5


@real
@pytest.mark.parametrize("truth", [GOLD, JUDGEMENT], ids=["gold", "judgement"])
def test_a_truth_names_labels_that_exist(truth: Path) -> None:
    vocabularies = read_labels(str(LABELS))
    sounds = {label.label for label in vocabularies.audio}
    seen = {(label.source, label.name) for label in vocabularies.visual}
    for label, links in evaluation.read_truth(str(truth)).items():
        assert label in sounds
        assert set(links) <= seen


@real
def test_the_judgement_is_apart_from_the_gold() -> None:
    assert not set(evaluation.read_truth(str(GOLD))) & set(evaluation.read_truth(str(JUDGEMENT)))


@real
def test_names_find_the_classes_that_mids_join() -> None:
    """AudioSet and FSD50K share MIDs with Open Images: a truth that no rule was written for."""
    vocabularies = read_labels(str(LABELS), AUDIO_SOURCES)
    by_name = Matcher(vocabularies.visual, Ideas(mids=False))
    by_mid = Matcher(vocabularies.visual)
    numbers = {label.id: number for number, label in enumerate(vocabularies.visual)}
    shared = [label for label in vocabularies.audio if label.mid in numbers]
    accepted = found = 0
    for label in shared:
        decisions = {one.number: one.decision for one in by_name.propose(label)}
        accepted += decisions.get(numbers[label.mid]) == "accept"
        found += decisions.get(numbers[label.mid]) in ("accept", "review")
        joined = next(one for one in by_mid.propose(label) if one.number == numbers[label.mid])
        assert (joined.method, joined.decision, joined.score) == ("mid", "accept", 1.0)
    assert len(shared) > 100
    assert accepted >= 0.85 * len(shared)
    assert found >= 0.98 * len(shared)


@real
def test_semantics_only_add_rows_for_review(rows: list[Row]) -> None:
    pytest.importorskip("wordllama", reason="needs the extra `semantic`")
    vocabularies = read_labels(str(LABELS))
    more = list(proposals.rows(Matcher(vocabularies.visual, Ideas(semantic=True)), vocabularies.audio))
    accepted = {(one.vggsound_label, one.source, one.visual_id) for one in rows if one.decision == "accept"}
    assert {
        (one.vggsound_label, one.source, one.visual_id) for one in more if one.decision == "accept"
    } == accepted
    assert sum(one.method == "semantic" and one.decision == "review" for one in more) > 100
    figures = evaluation.evaluate(evaluation.read_truth(str(JUDGEMENT)), more, matched=309)
    assert figures.review_coverage >= 0.95
    assert figures.reviews_per_label <= 5


def test_a_missing_extra_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wordllama", None)
    with pytest.raises(SemanticExtraMissing, match=r"pip install 'avs-data\[semantic\]'"):
        Matcher((), Ideas(semantic=True))
