"""How well two judges of the same things agree, beyond chance."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeVar

Thing = TypeVar("Thing", str, int)


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Agreement beyond chance of two judges of the same things, (p_o - p_e) / (1 - p_e), in [-1, 1].

    Cohen, "A coefficient of agreement for nominal scales", 1960. None where it is undefined: no things, or
    both judges gave one and the same answer throughout, so that chance alone agrees fully.
    """
    if len(first) != len(second):
        raise ValueError(
            f"{len(first)} and {len(second)} answers: kappa needs one of each judge for every thing"
        )
    n = len(first)
    counts_first, counts_second = Counter(first), Counter(second)
    by_chance = sum(counts_first[answer] * counts_second[answer] for answer in counts_first)  # p_e * n * n
    if by_chance == n * n:
        return None
    agreed = sum(a == b for a, b in zip(first, second, strict=True))
    return (agreed * n - by_chance) / (n * n - by_chance)


def of_pairs(
    answers: Mapping[str, Mapping[Thing, str]],
) -> Iterator[tuple[str, str, int, int, float | None]]:
    """Of every two people who judged the same things: both names, how many things, agreements, and kappa.

    Args:
        answers: by person, then by thing.
    """
    for first, second in combinations(sorted(answers), 2):
        both = sorted(answers[first].keys() & answers[second].keys())
        if both:
            a, b = [answers[first][thing] for thing in both], [answers[second][thing] for thing in both]
            agreed = sum(x == y for x, y in zip(a, b, strict=True))
            yield first, second, len(both), agreed, cohen_kappa(a, b)
