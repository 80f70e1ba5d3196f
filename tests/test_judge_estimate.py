"""What is drawn, and what it says of the whole: against numpy, against exhaustive search, and against known truths."""

import numpy as np
import pytest

from pipelines.judge import draw, estimate
from pipelines.judge.errors import JudgeError
from pipelines.judge.estimate import Counts

Z = 1.959963984540054


def wilson_by_roots(share, n):
    """The interval as the roots of (p - share)^2 = z^2 p (1 - p) / n, where the score test does not refuse p."""
    return np.sort(np.roots([1 + Z**2 / n, -(2 * share + Z**2 / n), share**2]).real)


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (38, 40), (390, 400), (1, 2)])
def test_the_interval_of_one_stratum_is_the_score_test_turned_round(right, n):
    found = estimate.estimate({"bell": Counts(10**12, right=right, bad=n - right)})
    assert (found.low, found.high) == pytest.approx(wilson_by_roots(right / n, n), abs=1e-7)
    assert found.share == right / n


def test_strata_are_weighted_by_what_they_have():
    strata = {
        "bell": Counts(900, right=30, bad=6, disputed=4, cannot_tell=5),
        "drum": Counts(90, right=9, bad=1),
        "flute": Counts(10, right=2),
        "gong": Counts(100),
    }
    population = np.array([900, 90, 10])
    right, told = np.array([30, 9, 2]), np.array([40, 10, 2])
    weights = population / population.sum()
    share = (weights * right / told).sum()
    per_sample = np.repeat(weights / told, told)
    kish = per_sample.sum() ** 2 / (per_sample**2).sum()
    effective = kish * (1000 - 1) / (1000 - told.sum())
    found = estimate.estimate(strata)
    assert found.share == pytest.approx(share)
    assert found.effective == pytest.approx(effective)
    assert (found.low, found.high) == pytest.approx(wilson_by_roots(share, effective))
    assert found.told == 52
    assert found.covered == pytest.approx(1000 / 1100)
    assert estimate.estimate({"gong": Counts(100, cannot_tell=3)}) is None
    everything = estimate.estimate({"bell": Counts(10, right=9, bad=1)})
    assert (everything.low, everything.share, everything.high) == (0.9, 0.9, 0.9)


@pytest.mark.parametrize(
    ("right", "told", "population"), [(45, 50, 10**9), (38, 40, 3000), (50, 50, 400), (9, 10, 11)]
)
def test_how_many_more_is_the_least_number_that_is_enough(right, told, population):
    found = estimate.estimate({"bell": Counts(population, right=right, bad=told - right)})
    more = estimate.more(found, population)

    def half(n):
        effective = np.inf if n >= population else n * (population - 1) / (population - n)
        low, high = (found.share,) * 2 if np.isinf(effective) else wilson_by_roots(found.share, effective)
        return (high - low) / 2

    assert half(told + more) <= 0.01 + 1e-9
    assert half(told) > 0.01
    assert half(told + more - 2) > 0.01 - 1e-6
    assert estimate.more(estimate.estimate({"b": Counts(10**6, right=9700, bad=300)}), 10**6) == 0


@pytest.mark.parametrize("equally", [False, True])
def test_95_percent_of_the_intervals_hold_the_truth(equally):
    """1,000 draws by hash from a dataset of which it is known what is wrong."""
    sizes, rates = [1300, 750, 400, 350, 200], [0.12, 0.07, 0.10, 0.05, 0.15]
    names = np.repeat([f"c{i}" for i in range(5)], sizes).tolist()
    rng = np.random.default_rng(7)
    wrong = np.concatenate([rng.random(size) < rate for size, rate in zip(sizes, rates, strict=True)])
    truth = 1 - wrong.mean()
    hashed = draw.hashes([f"lvis:{i}|x" for i in range(len(names))])
    codes = np.repeat(np.arange(5), sizes)
    held = 0
    for seed in range(1000):
        rows = draw.draw(hashed, names, 400, seed, equally=equally).rows
        right = np.bincount(codes[rows], ~wrong[rows], minlength=5).astype(int)
        told = np.bincount(codes[rows], minlength=5)
        counts = {f"c{i}": Counts(sizes[i], right=right[i], bad=told[i] - right[i]) for i in range(5)}
        found = estimate.estimate(counts)
        held += found.low <= truth <= found.high
    assert 930 <= held <= 970


def test_the_draw_is_of_the_lowest_hashes_and_a_new_sample_moves_none():
    names = [f"lvis:{i}|dog" for i in range(200)] + [f"lvis:{i}|cat" for i in range(40)] + ["lvis:1|owl"]
    strata = [name.split("|")[1] for name in names]
    hashed = draw.hashes(names)
    found = draw.draw(hashed, strata, 25, seed=3)
    assert {name: one.drawn for name, one in found.strata.items()} == {"cat": 4, "dog": 20, "owl": 1}
    ranks = draw.ranks(hashed, 3)
    for stratum, one in found.strata.items():
        inside = [row for row in range(len(names)) if strata[row] == stratum]
        lowest = sorted(inside, key=lambda row: ranks[row])[: one.drawn]
        assert sorted(lowest) == sorted(row for row in found.rows if strata[row] == stratum)
    chosen = {names[row] for row in found.rows}

    order = np.random.default_rng(0).permutation(len(names))
    shuffled = draw.draw(hashed[order], [strata[i] for i in order], 25, seed=3)
    assert [names[i] for i in order[shuffled.rows]] == [names[i] for i in found.rows]
    assert {names[row] for row in draw.draw(hashed, strata, 25, seed=4).rows} != chosen
    larger = draw.draw(hashed, strata, 60, seed=3, had=found.rows.tolist())
    assert chosen < {names[row] for row in larger.rows}
    more, of = [*names, "lvis:900|dog"], [*strata, "dog"]
    assert len(chosen - {more[row] for row in draw.draw(draw.hashes(more), of, 25, seed=3).rows}) <= 1


def test_a_draw_is_in_proportion_and_leaves_no_stratum_out():
    rng = np.random.default_rng(5)
    for _ in range(200):
        populations = {f"c{i}": int(n) for i, n in enumerate(rng.geometric(0.02, rng.integers(1, 30)))}
        total = sum(populations.values())
        wanted = int(rng.integers(len(populations), total + 1))
        sizes = draw.allocate(populations, wanted)
        assert sum(sizes.values()) == wanted
        assert all(1 <= sizes[name] <= populations[name] for name in populations)
        shares = {name: has * wanted / total for name, has in populations.items()}
        assert all(sizes[name] <= max(1, np.ceil(shares[name])) for name in populations)
    few = draw.draw(draw.hashes(list("abcdef")), list("abcdef"), 2, seed=0)
    assert list(few.strata) == [draw.ALL]
    assert len(few.rows) == 2
    equally = draw.draw(
        draw.hashes([str(i) for i in range(100)]), ["a"] * 95 + ["b"] * 5, 40, 0, equally=True
    )
    assert {name: one.drawn for name, one in equally.strata.items()} == {"a": 35, "b": 5}
    with pytest.raises(JudgeError, match="draw at least one"):
        draw.draw(draw.hashes([]), [], 4, 0)
