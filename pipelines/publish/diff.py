"""What changed between two datasets, by record: each change of each sample, with its cause."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.publish.records import clip_ids
from shards import format
from shards.reader import Dataset
from shards.rejections import Reason

KINDS = (
    "added",
    "removed",
    "relabelled",
    "moved",
    "re-masked",
    "re-paired",
    "photo changed",
    "sound changed",
    "amended",  # the record alone: a licence, an author, who decided a label
)
# A reason in rejections.parquet -> the cause that a person is told.
_SOURCE_GONE = {
    Reason.IMAGE_MISSING,
    Reason.MASK_MISSING,
    Reason.CLIP_MISSING,
    Reason.IMAGE_UNREADABLE,
    Reason.MASK_UNREADABLE,
    Reason.AUDIO_UNREADABLE,
    Reason.AUDIO_TRUNCATED,
}


@dataclass(frozen=True)
class Change:
    """One change of one sample. `before`, `after`: what differs (category, split, clip, hash); "": not there."""

    kind: str
    key: str
    sample_id: str
    category: str
    cause: str  # source gone | new source | rule changed | label map changed | new category | takedown | ...
    detail: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Diff:
    """Changes from `a` to `b`, samples of each, shards that both have, and clips that only one has.

    `clips_removed` has id, cause and detail of each.
    """

    a: str
    b: str
    samples_a: int
    samples_b: int
    unchanged: int
    shards_same: int
    shards_changed: int  # in b: new or other bytes
    bytes_same: int
    bytes_changed: int
    clips_added: tuple[str, ...]
    clips_removed: tuple[tuple[str, str, str], ...]
    categories_added: tuple[str, ...]
    categories_removed: tuple[str, ...]
    changes: tuple[Change, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """kind -> category -> samples."""
        found: dict[str, Counter[str]] = {}
        for change in self.changes:
            found.setdefault(change.kind, Counter())[change.category] += 1
        return {kind: dict(sorted(found[kind].items())) for kind in KINDS if kind in found}

    def causes(self) -> dict[tuple[str, str], int]:
        """(kind, cause) -> samples."""
        found = Counter((change.kind, change.cause) for change in self.changes)
        return dict(sorted(found.items(), key=lambda item: (KINDS.index(item[0][0]), -item[1], item[0][1])))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        record = asdict(self)
        record["counts"] = self.counts()
        record["causes"] = [
            {"kind": kind, "cause": cause, "samples": number}
            for (kind, cause), number in self.causes().items()
        ]
        return record


class _Side:
    """One dataset, ready for questions."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.rows = {row["key"]: row for row in dataset.table().to_pylist()}
        self.clips = {row["clip_id"]: row for row in dataset.table(format.POOL_TABLE).to_pylist()}
        self.categories = {
            name for row in self.rows.values() for name in row.get("categories", [row["category"]])
        }
        self.rejected: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in dataset.table(format.REJECTIONS).to_pylist():
            self.rejected[row["item"]].append(row)
        self.by_mask: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows.values():
            for mask_id in row["mask_ids"]:
                self.by_mask[mask_id].append(row)


def diff(
    a: Dataset,
    b: Dataset,
    name_a: str = "",
    name_b: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Diff:
    """Compare two datasets; rows only, no media is read but the records of samples that are otherwise alike.

    Args:
        progress: told how many samples of `a` are compared, of how many.
    """
    old, new = _Side(a), _Side(b)
    changes: list[Change] = []
    unchanged = 0
    came = [row for key, row in new.rows.items() if key not in old.rows]
    relabelled: set[str] = set()
    for row in came:
        before = _relabelled_from(row, old, new)
        if before is None:
            changes.append(Change("added", *_who(row), *_why_added(row, old, new), after=row["split"]))
        else:
            relabelled.add(before["key"])
            cause = "label map changed" if _labels_differ(a, b) else "review decision"
            detail = f"masks {', '.join(sorted(set(before['mask_ids']) & set(row['mask_ids'])))}"
            changes.append(
                Change("relabelled", *_who(row), cause, detail, before["category"], row["category"])
            )
    for number, (key, before) in enumerate(old.rows.items()):
        progress(number, len(old.rows))
        if key not in new.rows:
            if key not in relabelled:
                cause, detail = _why_removed(before, new, a, b)
                changes.append(Change("removed", *_who(before), cause, detail, before=before["split"]))
            continue
        found = list(_changed(before, new.rows[key], old, new))
        changes += found
        unchanged += not found
    shards = {entry.sha256 for entry in (*a.manifest.shards, *a.manifest.pool_shards)}
    entries = (*b.manifest.shards, *b.manifest.pool_shards)
    same = [entry for entry in entries if entry.sha256 in shards]
    return Diff(
        a=name_a or a.url,
        b=name_b or b.url,
        samples_a=len(old.rows),
        samples_b=len(new.rows),
        unchanged=unchanged,
        shards_same=len(same),
        shards_changed=len(entries) - len(same),
        bytes_same=sum(entry.bytes for entry in same),
        bytes_changed=sum(entry.bytes for entry in entries) - sum(entry.bytes for entry in same),
        clips_added=tuple(sorted(set(new.clips) - set(old.clips))),
        clips_removed=tuple(
            (clip, *_why_clip_removed(clip, clip, new, a, b))
            for clip in sorted(set(old.clips) - set(new.clips))
        ),
        categories_added=tuple(sorted(new.categories - old.categories)),
        categories_removed=tuple(sorted(old.categories - new.categories)),
        changes=tuple(sorted(changes, key=lambda change: (KINDS.index(change.kind), change.key))),
    )


def _who(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["key"], row["sample_id"], row["category"]


def _labels_differ(a: Dataset, b: Dataset) -> bool:
    """Another label map, or other categories chosen from it."""
    return a.manifest.label_map["sha256"] != b.manifest.label_map["sha256"]


def _by_map(reason: str, a: Dataset, b: Dataset) -> bool:
    """Whether an item of one of two datasets was dropped for what the label map says."""
    return reason == Reason.LABEL_NOT_IN_MAP or (reason == Reason.NARROWER_SOUND and _labels_differ(a, b))


def _relabelled_from(row: dict[str, Any], old: _Side, new: _Side) -> dict[str, Any] | None:
    """The sample of `old`, gone from `new`, that had masks of this one under another category."""
    for mask_id in row["mask_ids"]:
        for before in old.by_mask.get(mask_id, ()):
            if before["key"] not in new.rows and before["category"] != row["category"]:
                return before
    return None


def _cause(rejected: Mapping[str, str], of: str, a: Dataset, b: Dataset) -> tuple[str, str]:
    """The cause of what became of `of`, a sample's or a clip's id, and what there is to say beyond id and cause."""
    stage, reason, detail = rejected["stage"], rejected["reason"], rejected["detail"]
    asked, _, rest = detail.partition(": ")
    detail = rest if rest and asked in of else detail
    told = detail if reason == Reason.JUDGED_BAD else f"{reason} ({detail})"
    if rejected["item"] != of:
        told = f"{rejected['item']}: {told}"
    if stage == "takedown":
        return "takedown", detail
    if stage == "profile":
        return "licence profile", detail
    if stage == "review":
        return "review decision", told
    if reason == Reason.JUDGED_BAD:
        return "judged bad", told
    if _by_map(reason, a, b):
        return "label map changed", told
    if reason in _SOURCE_GONE:
        return "source gone", told
    if reason == Reason.NO_CLIP:
        return "no clip left", told
    if a.manifest.recipe["sha256"] != b.manifest.recipe["sha256"]:
        return "rule changed", told
    return "source changed", told


def _why_removed(row: dict[str, Any], new: _Side, a: Dataset, b: Dataset) -> tuple[str, str]:
    items = [row["sample_id"], *row["mask_ids"], row["image_id"]]
    for rejected in (rejected for item in items for rejected in new.rejected.get(item, ())):
        if rejected["category"] in (None, row["category"]) or rejected["reason"] == Reason.LABEL_NOT_IN_MAP:
            return _cause(rejected, row["sample_id"], a, b)
    return "source gone", f"{row['image_id']} or its masks are no longer in the corpora"


def _why_clip_removed(clip: str, of: str, new: _Side, a: Dataset, b: Dataset) -> tuple[str, str]:
    if rejected := new.rejected.get(clip):
        return _cause(rejected[0], of, a, b)
    return "source gone", f"{'' if clip == of else f'{clip} is '}no longer in the corpora"


def _why_added(row: dict[str, Any], old: _Side, new: _Side) -> tuple[str, str]:
    rejected = [
        found
        for item in (row["sample_id"], *row["mask_ids"], row["image_id"])
        for found in old.rejected.get(item, ())
        if found["category"] in (None, row["category"])
    ]
    if row["category"] not in old.categories and not any(found["category"] for found in rejected):
        return "new category", row["category"]
    rejected.sort(key=lambda found: (not found["category"], found["reason"] != Reason.LABEL_NOT_IN_MAP))
    if not rejected:
        return "new source", f"{row['image_id']} was not in the corpora"
    told = f"was {rejected[0]['reason']} ({rejected[0]['detail']})"
    if rejected[0]["reason"] in _SOURCE_GONE:
        return "new source", told
    if rejected[0]["reason"] == Reason.NO_CLIP:
        return "new clip", told
    if _by_map(rejected[0]["reason"], old.dataset, new.dataset):
        return "label map changed", told
    return "rule changed", told


def _changed(before: dict[str, Any], after: dict[str, Any], old: _Side, new: _Side) -> Iterable[Change]:
    who, a, b = _who(after), old.dataset, new.dataset
    rules = a.manifest.recipe["sha256"] != b.manifest.recipe["sha256"]
    found = []

    def change(kind: str, cause: str, detail: str, column: str) -> None:
        found.append(Change(kind, *who, cause, detail, str(before[column]), str(after[column])))

    if before["split"] != after["split"]:
        if before["component"] != after["component"]:
            detail = (
                f"the photograph now belongs with {after['component']}, before with {before['component']}"
            )
            change("moved", "source changed", detail, "split")
        else:
            change("moved", "rule changed", "seed or split sizes", "split")
    if before["mask_png_sha256"] != after["mask_png_sha256"]:
        gone = sorted(set(before["mask_ids"]) ^ set(after["mask_ids"]))
        if gone:
            rejected = next((one for item in gone for one in new.rejected.get(item, ())), None)
            cause, detail = "source changed", ", ".join(gone)
            if rejected:
                cause, detail = _cause(rejected, after["sample_id"], a, b)
            change("re-masked", cause, detail, "mask_png_sha256")
        else:
            change("re-masked", "source changed", "the same masks are drawn otherwise", "mask_png_sha256")
    heard, hears = clip_ids(before), clip_ids(after)
    if heard != hears:
        scene = "clip_ids" if "clip_ids" in before and "clip_ids" in after else "clip_id"
        change("re-paired", *_why_repaired(before, after, old, new), scene)
    elif before["flac_sha256"] != after["flac_sha256"]:
        if rules and "clip_ids" in after:
            change("sound changed", "rule changed", "its clips are put together otherwise", "flac_sha256")
        else:
            change("sound changed", "source changed", f"other media of {', '.join(hears)}", "flac_sha256")
    if before["jpg_sha256"] != after["jpg_sha256"]:
        change("photo changed", "source changed", f"another file of {after['image_id']}", "jpg_sha256")
    if not found and before["json_sha256"] != after["json_sha256"]:
        cause = "label map changed" if _labels_differ(a, b) else "rule changed" if rules else "source changed"
        change("amended", cause, "the record alone differs", "json_sha256")
    return found


def _why_repaired(before: dict[str, Any], after: dict[str, Any], old: _Side, new: _Side) -> tuple[str, str]:
    came = next((clip_id for clip_id in clip_ids(after) if clip_id not in clip_ids(before)), "")
    gone = next((clip_id for clip_id in clip_ids(before) if clip_id not in clip_ids(after)), came)
    if gone not in new.clips:
        told_as = ", ".join(clip_ids(before))  # what the change itself names
        return _why_clip_removed(gone, told_as, new, old.dataset, new.dataset)
    if old.dataset.manifest.seed != new.dataset.manifest.seed:
        return "rule changed", f"seed {new.dataset.manifest.seed}"
    if before["split"] != after["split"]:
        return "moved", f"{after['split']} has clips of its own"
    if new.clips[gone]["split"] != after["split"]:
        return "source changed", f"{gone} is heard in {new.clips[gone]['split']} now"
    if came not in old.clips:
        return "new clip", f"{came} draws a lower number for it"
    return "source changed", f"{came} is of its category now"
