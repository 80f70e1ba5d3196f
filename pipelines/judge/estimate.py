"""How many samples are right, from those that were looked at: plain arithmetic, nothing of files.

Of one stratum it is the share of right ones with Wilson's interval (E. B. Wilson, "Probable inference, the law of
succession, and statistical inference", 1927). Of all of them it is the strata's shares weighted by what they have, with
Wilson's interval on Kish's effective number of samples (L. Kish, "Survey Sampling", 1965), which is the number itself
where the draw is in proportion. Without return from a finite dataset, the number counts for more, and for all of them
there is nothing left to estimate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

Z = 1.959963984540054  # of a normal distribution, 95 % lie within so many deviations
HALF_WIDTH = 0.01  # that `more` is asked for


@dataclass(frozen=True)
class Counts:
    """Samples of one stratum.

    Attributes:
        population: that it has. right, bad: judged so. disputed: two judges differ and no third has decided; they count
            as bad. cannot_tell: those of whom nobody can tell; they count for nothing.
    """

    population: int
    right: int = 0
    bad: int = 0
    disputed: int = 0
    cannot_tell: int = 0

    @property
    def told(self) -> int:
        return self.right + self.bad + self.disputed


@dataclass(frozen=True)
class Estimate:
    """
    Attributes:
        share: of right samples, in [0, 1]. low, high: its interval, 95 %.
        told: samples that it rests on. effective: how many they are worth, drawn with return from one stratum.
        covered: share of the dataset's samples that are of a stratum of which one was judged.
    """

    share: float
    low: float
    high: float
    told: int
    effective: float
    covered: float = 1.0


def wilson(share: float, n: float) -> tuple[float, float]:
    """The interval of 95 % around a share that was found among n; n may be no whole number, or infinite."""
    if math.isinf(n):
        return share, share
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def estimate(strata: Mapping[str, Counts]) -> Estimate | None:
    """Of one stratum or several; None where nothing was judged."""
    judged = [counts for counts in strata.values() if counts.told]
    if not judged:
        return None
    population = sum(counts.population for counts in judged)
    weights = [counts.population / population for counts in judged]
    share = sum(w * counts.right / counts.told for w, counts in zip(weights, judged, strict=True))
    kish = 1 / sum(w * w / counts.told for w, counts in zip(weights, judged, strict=True))
    told = sum(counts.told for counts in judged)
    effective = math.inf if told >= population else kish * (population - 1) / (population - told)
    covered = population / sum(counts.population for counts in strata.values())
    return Estimate(share, *wilson(share, effective), told, effective, covered)


def more(found: Estimate, population: int, half_width: float = HALF_WIDTH) -> int:
    """How many further samples to judge, drawn in the same way, until the interval is +- half_width."""
    if (found.high - found.low) / 2 <= half_width:
        return 0
    low, high = 1, 1
    while _half(found.share, high) > half_width:
        high *= 2
    while low < high:  # the least number, drawn with return from one stratum
        middle = (low + high) // 2
        low, high = (low, middle) if _half(found.share, middle) <= half_width else (middle + 1, high)
    finite = 1.0 if math.isinf(found.effective) else (population - 1) / max(1, population - found.told)
    worth = found.effective / finite / found.told  # of one sample of this draw, with return
    needed = math.ceil(low / worth * population / (population - 1 + low / worth))
    return max(1, min(needed, population) - found.told)


def _half(share: float, n: float) -> float:
    low, high = wilson(share, n)
    return (high - low) / 2
