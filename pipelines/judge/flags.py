"""What follows from bad samples: a list that recipes leave out, and links of the label map to look at again."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.build.exclude import COLUMNS
from pipelines.judge.results import Results
from pipelines.judge.verdicts import grade, standing, words
from pipelines.matching.proposals import JUDGED, LinkKey, Proposal
from pipelines.publish.records import clips
from pipelines.review import spreadsheet
from shards import storage
from shards.reader import Dataset, as_told

OF_LINKS = ("wrong_sound", "wrong_object", "not_sounding")  # verdicts that may be the label map's fault


@dataclass(frozen=True)
class Flag:
    """A sample or clip that is bad. unit: samples | clips. item: its id."""

    unit: str
    item: str
    reason: str


@dataclass(frozen=True)
class Judged:
    """One sample and what stands of it. verdicts: all answers. verdict: "" where two judges differ."""

    key: str
    sample_id: str
    clip_ids: tuple[str, ...]
    kind: str
    verdict: str
    verdicts: tuple[str, ...]
    judges: tuple[str, ...]
    notes: tuple[str, ...]
    day: str


def judged(results: Results) -> list[Judged]:
    """Samples of both orders that are decided, or that two judges differ on, by sample id; never gold."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows:
        if row["order"] != "gold":
            rows[row["key"]].append(row)
    found = []
    for key, of_sample in rows.items():
        verdicts = tuple(row["verdict"] for row in of_sample)
        stands = standing(verdicts, results.about.judges)
        if stands.state != "open":
            found.append(
                Judged(
                    key,
                    of_sample[0]["sample_id"],
                    tuple(of_sample[0]["clip_ids"]),
                    of_sample[0]["kind"],
                    stands.verdict or "",
                    verdicts,
                    tuple(row["judge"] for row in of_sample),
                    tuple(row["note"] for row in of_sample if row["note"]),
                    of_sample[-1]["judged_at"][:10],
                )
            )
    return sorted(found, key=lambda one: one.sample_id)


def flags(results: Results) -> list[Flag]:
    """What should stay out: where the sound is wrong the clip, since others hear it too; else, or where it is one of
    several, the sample. What two judges differ on is not certain, and stays out, too.
    """
    found: dict[tuple[str, str], Flag] = {}
    for one in judged(results):
        bad = [verdict for verdict in one.verdicts if grade(verdict) == "bad"]
        if not bad or (one.verdict and grade(one.verdict) != "bad"):
            continue
        verdict = one.verdict or bad[0]
        of_clip = verdict == "wrong_sound" and len(one.clip_ids) == 1 and one.kind == "single"
        unit, item = ("clips", one.clip_ids[0]) if of_clip else ("samples", one.sample_id)
        said = words(verdict) if one.verdict else f"judges differ, one says: {words(verdict)}"
        notes = f" ({'; '.join(one.notes)})" if one.notes else ""
        reason = f"{said}{notes}; judged by {', '.join(one.judges)} on {one.day}"
        found.setdefault((unit, item), Flag(unit, item, reason))
    return [found[name] for name in sorted(found)]


def to_csv(found: list[Flag]) -> str:
    """`flags.csv`, which `select.exclude` of a recipe names."""
    return spreadsheet.to_csv([COLUMNS, *((flag.unit, flag.item, flag.reason) for flag in found)])


def proposals(results: Results, dataset: Dataset, least: int = 3, share: float = 0.2) -> list[Proposal]:
    """Links of the label map of whose judged samples many are bad, for `avs-data review import` to ask again.

    Args:
        dataset: the one that was judged; KEY.json of the judged samples is read.
        least, share: bad samples that a link needs, and their share of its judged ones.

    Raises:
        DatasetError, RecordError: what lies there is not what the tables say.
    """
    of_key = {one.key: one for one in judged(results)}
    rows = [row for row in dataset.table().to_pylist() if row["key"] in of_key]

    def links(row: dict[str, Any]) -> list[Proposal]:
        return list(_links(as_told(row, dataset.read_member(row, "json"))))

    bad: dict[LinkKey, Counter[str]] = defaultdict(Counter)
    seen: Counter[LinkKey] = Counter()
    known: dict[LinkKey, Proposal] = {}
    for row, found in zip(rows, storage.together(dataset.url, links, rows), strict=True):
        for link in found:
            known[link.key] = link
            seen[link.key] += 1
            if (verdict := of_key[row["key"]].verdict) in OF_LINKS:
                bad[link.key][verdict] += 1
    made = []
    for key in sorted(bad):
        number, of_all = sum(bad[key].values()), seen[key]
        if number >= least and number >= share * of_all:
            why = ", ".join(f"{words(verdict)} {count}" for verdict, count in sorted(bad[key].items()))
            link = known[key]
            made.append(
                Proposal(
                    *(link.audio_source, link.audio_label, link.source, link.visual_label, link.visual_id),
                    score=1 - number / of_all,
                    method=JUDGED,
                    decision="review",
                    reason=f"{number} of {of_all} judged samples are bad: {why}",
                )
            )
    return made


def _links(record: dict[str, Any]) -> Iterator[Proposal]:
    """Pairs of a sound's label and a mask's label that a sample rests on; of several sounds, those of one category."""
    heard = clips(record)
    for clip in heard:
        sound = clip["label"]
        for seen in record["image"]["labels"]:
            same = len(heard) == 1 or seen.get("category") == sound.get("category")
            if same and sound["source"] and seen["source"]:
                visual = (seen["source"], seen["name"], seen["source_id"])
                yield Proposal(sound["source"], sound["name"], *visual, None, JUDGED, "review", "")
