"""Cohen's kappa against scikit-learn and by hand; gold links: how many, which, how reviewers did on them."""

import random

import pytest
from review_world import PROPOSALS, make_world
from sklearn.metrics import cohen_kappa_score

from label_maps import load
from pipelines.matching import gold
from pipelines.matching.gold import GoldError
from pipelines.review import agreement, intake, kappa
from pipelines.review.gold import answer_to
from pipelines.review.records import Answer

GOLD_CSV = """vggsound_label,source,visual_label,relation
cattle mooing,lvis,cow,same
cattle mooing,open_images,Cattle,same
thing 01 ringing,,,none
thing 02 ringing,lvis,thing_02,same
thing 03 ringing,lvis,thing_03,same
thing 04 ringing,lvis,thing_04,related
thing 05 ringing,lvis,Thing_05,same
thing 06 ringing,,,none
thing 07 ringing,,,none
"""


def test_kappa_by_hand():
    # 50 things: both yes 20, both no 15, first yes alone 5, second yes alone 10 -> p_o 0.7, p_e 0.5
    first = ["y"] * 20 + ["y"] * 5 + ["n"] * 10 + ["n"] * 15
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa.cohen_kappa(first, second) == pytest.approx(0.4)


def test_kappa_against_scikit_learn():
    rng = random.Random(3)
    for size in (2, 5, 40, 300):
        first = [rng.choice("arx") for _ in range(size)]
        second = [one if rng.random() < 0.6 else rng.choice("arx") for one in first]
        if len({*first, *second}) > 1:
            assert kappa.cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_where_it_is_undefined():
    assert kappa.cohen_kappa([], []) is None
    assert kappa.cohen_kappa("aaa", "aaa") is None
    assert kappa.cohen_kappa("aaa", "bbb") == 0
    with pytest.raises(ValueError, match="2 and 1 answers"):
        kappa.cohen_kappa("aa", "a")


def test_pairs_count_blind_votes_alone(tmp_path):
    """A third pass sees both sides, so it says nothing about agreement."""
    with make_world(tmp_path, media=False, reviewers=2).open() as queue:
        answers = {"anna": "aarra", "ben": "ararr"}
        items = [item for item in queue.items() if item.asked][:5]
        for place, item in enumerate(items):
            for who, letters in answers.items():
                queue.decide(item.id, who, Answer({"a": "accept", "r": "reject"}[letters[place]]))
            if queue.item(item.id).state == "third":
                queue.decide(item.id, "cleo", Answer("accept"))
        queue.decide([i for i in queue.items() if i.asked][6].id, "ben", Answer("reject"))
        (pair,) = agreement.pairs(queue)
    assert (pair.first, pair.second, pair.links, pair.agreed) == ("anna", "ben", 5, 2)
    assert pair.kappa == pytest.approx(cohen_kappa_score(list(answers["anna"]), list(answers["ben"])))


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "gold.csv"
    path.write_text(GOLD_CSV)
    return gold.read(str(path))


def test_what_a_gold_file_answers(truth):
    answers = {p.key: answer_to(p, truth) for p in PROPOSALS}
    assert answers[("vggsound", "cattle mooing", "lvis", "80")] == "accept"
    assert (
        answers[("vggsound", "cattle mooing", "lvis", "82")] == "reject"
    )  # not among those that are the same
    assert answers[("vggsound", "thing 01 ringing", "lvis", "1001")] == "reject"
    assert answers[("vggsound", "thing 04 ringing", "lvis", "1004")] is None  # near enough not to count
    assert answers[("vggsound", "thing 05 ringing", "lvis", "1005")] == "accept"
    assert answers[("vggsound", "dog barking", "lvis", "378")] is None  # the file does not know the sound


def ask_gold(queue, folder, truth):
    options = intake.IntakeOptions(gold_rate=0.15)
    return intake.import_proposals(queue, PROPOSALS, options, load(folder / "maps/small.csv"), [], truth)


def test_gold_is_a_share_of_the_queue_half_of_it_accepts(tmp_path, truth):
    with make_world(tmp_path, media=False).open() as queue:
        report = ask_gold(queue, tmp_path, truth)
        golden = [item for item in queue.items() if item.gold]
        assert report.gold == len(golden) == 6  # 34 links asked, 15 % rounded up
        assert sum(item.gold == "accept" for item in golden) == 3
        again = ask_gold(queue, tmp_path, truth)
        assert again.gold == 6
        places = [place for place, item in enumerate(i for i in queue.items() if i.asked) if item.gold]
        assert (
            max(b - a for a, b in zip([0, *places], [*places, 33], strict=True)) <= 12
        )  # spread, not in a heap


def test_gold_is_asked_of_everybody_and_scored(tmp_path, truth):
    with make_world(tmp_path, media=False).open() as queue:
        ask_gold(queue, tmp_path, truth)
        golden = [item for item in queue.items() if item.gold]
        for item in golden:
            queue.decide(item.id, "anna", Answer("accept"))
            queue.decide(item.id, "ben", Answer(item.gold))
        assert agreement.gold_scores(queue) == [
            agreement.GoldScore("anna", 6, 3, 3),
            agreement.GoldScore("ben", 6, 6, 0),
        ]
        for item in golden:  # what stands is the known answer, whoever spoke first
            assert queue.item(item.id).outcome == item.gold
        (pair,) = agreement.pairs(queue)
        assert (pair.links, pair.agreed) == (6, 3)


def test_a_faulty_gold_file_is_named(tmp_path):
    path = tmp_path / "gold.csv"
    path.write_text("vggsound_label,source,visual_label,relation\na,lvis,b,alike\n")
    with pytest.raises(GoldError, match=r"gold.csv:2: relation is 'alike'"):
        gold.read(str(path))
