"""What judgements say of a dataset: estimates per stratum and of all, by whom, and how far they agree."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipelines.judge import results
from pipelines.judge.draw import ALL, columns, strata_of
from pipelines.judge.estimate import Counts, Estimate, estimate, more
from pipelines.judge.results import Results
from pipelines.judge.verdicts import RIGHT, VERDICTS, grade, standing, words
from pipelines.review.kappa import of_pairs
from shards import storage
from shards.reader import Dataset

NOT_JUDGED = "Not judged: nobody has looked at samples drawn by chance."


@dataclass(frozen=True)
class Pair:
    """Two judges and the samples that both judged without knowing of each other. kappa: None where undefined."""

    first: str
    second: str
    samples: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True)
class GoldScore:
    """How often a judge found the wrong sound of gold: said anything but right and cannot tell."""

    judge: str
    samples: int
    found: int


@dataclass(frozen=True)
class Quality:
    """
    Attributes:
        overall: None where nothing of the random draw was judged.
        strata: counts and estimate of each, by name.
        verdicts: samples of the random draw by the verdict that stands.
        drawn: samples of the random draw, judged or not. population: samples of the dataset.
        more: further samples to judge until the interval is +- 1 %. active: samples judged of the active order, which
            count for nothing here.
        first, last: days, ISO 8601, of the judgements on the random draw; "": none.
    """

    manifest_sha256: str
    seed: int
    overall: Estimate | None
    strata: dict[str, tuple[Counts, Estimate | None]]
    verdicts: dict[str, int]
    disputed: int
    drawn: int
    population: int
    more: int
    active: int
    judges: tuple[str, ...]
    pairs: tuple[Pair, ...]
    gold: tuple[GoldScore, ...]
    first: str
    last: str

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        told = {name: value for name, value in asdict(self).items() if name not in ("overall", "strata")}
        strata = {name: {**asdict(counts), **_plain(found)} for name, (counts, found) in self.strata.items()}
        return {**told, "overall": _plain(self.overall), "strata": strata}


def quality(found: Results, kept: Mapping[str, int] | None = None) -> Quality:
    """
    Args:
        kept: of an edition with a part of the samples, how many each stratum has there.
    """
    about, rows = found.about, found.rows
    drawn = [row for row in rows if row["order"] == "random"]
    given: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in drawn:
        given[row["key"]].append(row)
    populations = {name: one.population for name, one in about.strata.items()}
    if kept is not None:
        populations = {ALL: sum(kept.values())} if set(populations) == {ALL} else dict(kept)
    counts = {name: Counts(number) for name, number in sorted(populations.items()) if number}
    verdicts: Counter[str] = Counter()
    disputed = 0
    for of_sample in given.values():
        stratum = of_sample[0]["stratum"]
        stands = standing([row["verdict"] for row in of_sample], about.judges)
        if stands.state == "open":
            continue
        name = "disputed" if stands.verdict is None else grade(stands.verdict)
        counts[stratum] = replace(counts[stratum], **{name: getattr(counts[stratum], name) + 1})
        verdicts[stands.verdict or ""] += 1
        disputed += stands.verdict is None
    overall = estimate(counts)
    population = sum(one.population for one in counts.values())
    days = sorted(row["judged_at"][:10] for row in drawn)
    return Quality(
        manifest_sha256=about.manifest_sha256,
        seed=about.seed,
        overall=overall,
        strata={name: (one, estimate({name: one})) for name, one in counts.items()},
        verdicts={name: verdicts[name] for name in VERDICTS if verdicts[name]},
        disputed=disputed,
        drawn=sum(one.drawn for one in about.strata.values()) if kept is None else len(given),
        population=population,
        more=more(overall, population) if overall else 0,
        active=len({row["key"] for row in rows if row["order"] == "active"}),
        judges=tuple(sorted({row["judge"] for row in drawn})),
        pairs=tuple(_pairs(given)),
        gold=tuple(_gold(rows)),
        first=days[0] if days else "",
        last=days[-1] if days else "",
    )


def beside(url: str) -> Quality | None:
    """Of the results beside a dataset; None where there are none. Raises as `results.read`, and DatasetError."""
    if not storage.exists(results.beside(url)):
        return None
    found = results.find(Dataset(url).url)
    return quality(found) if found else None


def of_edition(found: Results, source: Dataset, edition: Dataset) -> tuple[Quality, Results]:
    """Of a dataset that has a part of the samples that were judged, and their judgements: of those that are the same
    there; a sample that hears another clip is not.
    """
    if edition.url == source.url:
        return quality(found), found
    names = ["key", "json_sha256"]
    before = set(zip(*(source.table(columns=names)[name].to_pylist() for name in names), strict=True))
    table = edition.table(columns=["json_sha256", *columns(edition.manifest)])
    here = zip(*(table[name].to_pylist() for name in names), strict=True)
    keys = frozenset(key for key, sha256 in here if (key, sha256) in before)
    left = replace(found, rows=[row for row in found.rows if row["key"] in keys])
    return quality(left, Counter(strata_of(table, edition.manifest))), left


def _pairs(given: Mapping[str, list[dict[str, Any]]]) -> list[Pair]:
    """Of answers given blind: the first two on each sample."""
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for key, rows in given.items():
        for row in rows[:2]:
            answers[row["judge"]][key] = row["verdict"]
    return [Pair(*found) for found in of_pairs(answers)]


def _gold(rows: list[dict[str, Any]]) -> list[GoldScore]:
    by_judge: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row["order"] == "gold":
            by_judge[row["judge"]].append(grade(row["verdict"]) == "bad")
    return [GoldScore(judge, len(found), sum(found)) for judge, found in sorted(by_judge.items())]


def _plain(found: Estimate | None) -> dict[str, Any]:
    """Infinity is no number of JSON: then all are judged."""
    if found is None:
        return {}
    told = asdict(found)
    return {**told, "effective": None if found.effective == float("inf") else found.effective}


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(found: Estimate) -> str:
    return f"{percent(found.share)} ({100 * found.low:.1f} to {percent(found.high)})"


def sentences(found: Quality | None) -> list[str]:
    """What a card says, in plain text; one sentence where nothing was judged."""
    if found is None or found.overall is None:
        return [NOT_JUDGED]
    overall = found.overall
    told = [
        f"{percent(overall.share)} of the samples are right (95 % interval {100 * overall.low:.1f} to "
        f"{percent(overall.high)}): {overall.told:,} were judged, of {found.drawn:,} drawn by hash (seed {found.seed}) "
        f"from {found.population:,}."
    ]
    wrong = [f"{words(name)} ({number:,})" for name, number in found.verdicts.items() if name != RIGHT]
    wrong += [f"judges differ ({found.disputed:,})"] if found.disputed else []
    if wrong:
        told.append(
            f"Not right: {', '.join(wrong)}. What nobody can tell does not count, what judges differ on does."
        )
    if overall.covered < 1:
        told.append(f"The strata judged hold {percent(overall.covered)} of the samples.")
    when = found.first if found.first == found.last else f"{found.first} to {found.last}"
    told.append(f"Judged by {', '.join(found.judges)}, {when}.")
    for pair in found.pairs:
        kappa = "undefined" if pair.kappa is None else f"{pair.kappa:.2f}"
        told.append(
            f"{pair.first} and {pair.second} agree on {pair.agreed:,} of {pair.samples:,} samples, kappa {kappa}."
        )
    for score in found.gold:
        told.append(
            f"{score.judge} found {score.found:,} of {score.samples:,} samples with a wrong sound mixed in."
        )
    return told
