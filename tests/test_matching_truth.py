"""Real vocabularies against hand-made truth, and the figures that say how well they agree."""

from dataclasses import replace
from pathlib import Path

import pytest
from real_data import LABELS

from pipelines.matching import evaluation, gold, proposals
from pipelines.matching.evaluation import Figures
from pipelines.matching.gold import GoldError
from pipelines.matching.matcher import Matcher
from pipelines.matching.proposals import Proposal
from pipelines.matching.semantic import SemanticExtraMissing
from pipelines.matching.sources import read_labels
from pipelines.matching.vocabularies import AudioLabel, Vocabularies

GOLD = LABELS / "gold_links_sample.csv"
DATA = Path(__file__).parent / "data"
TRUTHS = {
    "gold": ("vggsound", GOLD),
    "judgement": ("vggsound", DATA / "matching_judgement.csv"),
    "audioset": ("audioset", DATA / "matching_judgement_audioset.csv"),
    "fsd50k": ("fsd50k", DATA / "matching_judgement_fsd50k.csv"),
    "audioset 2": ("audioset", DATA / "matching_judgement_2_audioset.csv"),
    "fsd50k 2": ("fsd50k", DATA / "matching_judgement_2_fsd50k.csv"),
    "esc50 2": ("esc50", DATA / "matching_judgement_2_esc50.csv"),
}
ACCEPT = {
    "gold": 0.98,
    "judgement": 0.94,
    "audioset": 0.88,
    "fsd50k": 0.75,
    "audioset 2": 0.90,
    "fsd50k 2": 0.94,
    "esc50 2": 0.94,
}
real = pytest.mark.skipif(not GOLD.exists(), reason="needs the real label files at shared/data/labels")


def row(label: str, name: str, decision: str, source: str = "vggsound") -> Proposal:
    return Proposal(source, label, "lvis", name, "1", 0.5, "name", decision, "")


@pytest.mark.parametrize("first", ["audio_label", "vggsound_label"])
def test_figures_by_hand(tmp_path: Path, first: str) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        f"{first},source,visual_label,relation\n"
        "a,lvis,one,same\na,lvis,Two,same\na,lvis,three,related\na,lvis,six,same\nb,,,none\n"
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
    found = evaluation.evaluate(gold.read(str(truth)), rows, matched=4)
    assert found == Figures(labels=2, same=3, accepted=1, reviewed=1, wrong=2, reviews=2, matched=4)
    assert (found.precision, found.accept_coverage, found.review_coverage) == (1 / 3, 1 / 3, 2 / 3)
    assert found.reviews_per_label == 0.5


def test_a_truth_can_tell_the_sources_of_equal_labels(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(
        "audio_source,audio_label,source,visual_label,relation\none,a,lvis,x,same\ntwo,a,,,none\n"
    )
    truth = gold.read(str(path))
    assert [truth.relation(source, "a", "lvis", "X") for source in ("one", "two", "three")] == [
        "same",
        "none",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("audio_label,source,visual_label,relation\na,lvis,one,maybe\n", "csv:2: relation is 'maybe'"),
        ("label,source,visual_label,relation\n", "the header is"),
        ("audio_label,source,visual_label\n", "the header is"),
    ],
)
def test_a_faulty_truth_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(GoldError, match=says):
        gold.read(str(tmp_path / "truth.csv"))


@pytest.fixture(scope="module")
def vocabularies() -> Vocabularies:
    known = read_labels(str(LABELS), ("vggsound", "audioset", "fsd50k"))
    esc50 = sorted({label for _, label in gold.read(str(TRUTHS["esc50 2"][1])).links})  # it names all classes
    return replace(known, audio=(*known.audio, *(AudioLabel(label, "esc50") for label in esc50)))


@pytest.fixture(scope="module")
def rows(vocabularies: Vocabularies) -> list[Proposal]:
    return list(proposals.rows(Matcher(vocabularies.visual), vocabularies.audio))


@real
@pytest.mark.parametrize("name", TRUTHS)
def test_real_labels_reach_the_targets(rows: list[Proposal], vocabularies: Vocabularies, name: str) -> None:
    source, path = TRUTHS[name]
    matched = sum(label.source == source for label in vocabularies.audio)
    figures = evaluation.evaluate(
        gold.read(str(path)), [one for one in rows if one.audio_source == source], matched
    )
    assert figures.precision >= 0.98
    assert figures.accept_coverage >= ACCEPT[name]
    assert figures.review_coverage >= 0.95
    assert figures.reviews_per_label <= 5


@real
@pytest.mark.parametrize("name", TRUTHS)
def test_a_truth_names_labels_that_exist(vocabularies: Vocabularies, name: str) -> None:
    source, path = TRUTHS[name]
    sounds = {label.label for label in vocabularies.audio if label.source == source}
    seen = {(label.source, label.name.lower()) for label in vocabularies.visual}
    for (_, label), links in gold.read(str(path)).links.items():
        assert label in sounds
        assert set(links) <= seen


@real
def test_truths_of_one_source_are_apart() -> None:
    judged: dict[str, set[tuple[str, str]]] = {}
    for source, path in TRUTHS.values():
        sounds = set(gold.read(str(path)).links)
        assert not sounds & judged.setdefault(source, set())
        judged[source] |= sounds


# Readings that were wrong once: label, what it must not accept, what it must accept.
READINGS = [
    ("Roaring cats (lions, tigers)", {"cat", "Cat"}, {"lion", "Lion", "tiger", "Tiger"}),
    ("Power windows, electric windows", {"Window"}, {"car_(automobile)", "Car"}),
    ("Cap gun", {"gun", "Handgun"}, set()),
    ("Synthetic singing", {"person", "Person"}, set()),
    ("Dental drill, dentist's drill", {"drill", "Drill"}, set()),
    ("Shuffling cards", {"card"}, set()),
    ("Bicycle bell", {"bell"}, {"bicycle", "Bicycle"}),
    ("Car alarm", {"alarm_clock", "Alarm clock"}, {"car_(automobile)", "Car"}),
    ("Mains hum", {"person", "Person"}, set()),
    ("Speech synthesizer", {"person", "Person"}, set()),
    ("Wind noise (microphone)", {"microphone", "Microphone"}, set()),
    ("Gobble", {"turkey_(food)"}, {"Turkey"}),
    ("Meow", set(), {"cat", "Cat"}),
    ("Reversing beeps", set(), {"truck", "Truck"}),
    ("Keyboard (musical)", {"computer_keyboard", "Computer keyboard"}, {"Musical keyboard"}),
]


@real
@pytest.mark.parametrize(("label", "wrong", "right"), READINGS)
def test_audioset_is_read_as_people_read_it(
    rows: list[Proposal], label: str, wrong: set[str], right: set[str]
) -> None:
    accepted = {
        one.visual_label
        for one in rows
        if (one.audio_source, one.audio_label, one.decision) == ("audioset", label, "accept")
    }
    assert not wrong & accepted
    assert right <= accepted


@real
@pytest.mark.parametrize(
    ("label", "junk"),
    [("Harmonic", "Harmonica"), ("Liquid", "batter_(food)"), ("Wood", "clothespin"), ("Mains hum", "person")],
)
def test_the_queue_holds_no_junk(rows: list[Proposal], label: str, junk: str) -> None:
    found = [one.decision for one in rows if (one.audio_label, one.visual_label) == (label, junk)]
    assert set(found) <= {"reject"}


@real
def test_names_find_the_classes_that_mids_join(vocabularies: Vocabularies) -> None:
    """AudioSet and FSD50K share MIDs with Open Images: a truth that no rule was written for."""
    matcher = Matcher(vocabularies.visual)
    numbers = {label.id: number for number, label in enumerate(vocabularies.visual)}
    shared = [label for label in vocabularies.audio if label.id in numbers]
    accepted = found = 0
    for label in shared:
        named = {one.number: one.decision for one in matcher.propose(replace(label, id=""))}
        accepted += named.get(numbers[label.id]) == "accept"
        found += named.get(numbers[label.id]) in ("accept", "review")
        joined = next(one for one in matcher.propose(label) if one.number == numbers[label.id])
        assert (joined.method, joined.decision, joined.score) == ("mid", "accept", 1.0)
    assert len(shared) > 100
    assert accepted >= 0.85 * len(shared)
    assert found >= 0.98 * len(shared)


@real
def test_semantics_only_add_rows_for_review(rows: list[Proposal], vocabularies: Vocabularies) -> None:
    pytest.importorskip("wordllama", reason="needs the extra `semantic`")
    audio = [label for label in vocabularies.audio if label.source == "vggsound"]
    more = list(proposals.rows(Matcher(vocabularies.visual, semantic=True), audio))
    known = [one for one in rows if one.audio_source == "vggsound"]
    assert {one.key for one in known if one.decision == "accept"} == {
        one.key for one in more if one.decision == "accept"
    }
    assert sum(one.method == "semantic" and one.decision == "review" for one in more) > 100


def test_a_missing_extra_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wordllama", None)
    with pytest.raises(SemanticExtraMissing, match=r"pip install 'avs-data\[semantic\]'"):
        Matcher((), semantic=True)
