"""What is in one split: the rows of samples.parquet, the clips of pool.parquet, and what identifies both."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from avs_train.data.order import SettingError
from shards import format
from shards.hashing import hash64
from shards.manifest import DatasetError, ShardEntry
from shards.pools import Pools
from shards.reader import Dataset
from shards.records import NEGATIVES, RECORDING
from shards.scene_sound import SoundRules

_SAMPLE_COLUMNS = [
    "key", "sample_id", "category", "shard", "flac_offset", "flac_size", "flac_sha256", "jpg_offset", "jpg_size",
    "jpg_sha256", "mask_png_offset", "mask_png_size", "mask_png_sha256", "image_id", "clip_id", "video_id",
    "width", "height", "duration_s",
]  # fmt: skip
_SCENE_COLUMNS = ["kind", "json_offset", "json_size", "json_sha256"]
_CLASS_COLUMNS = ["classes_png_offset", "classes_png_size", "classes_png_sha256"]
_CLIP_COLUMNS = ["clip_id", "categories", "shard", "flac_offset", "flac_size", "flac_sha256", "duration_s"]


@dataclass(frozen=True)
class Member:
    """Where a member's bytes are, and their hash."""

    shard: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Row:
    """One sample of the table, as the loader needs it.

    clip_id: of the clip that KEY.flac holds; of a scene, whose sound is its own, the key. classes: its class masks,
    None where the dataset has none. kind: `shards.records.Kind`. json: of a scene, what it is made of.
    """

    key: str
    sample_id: str
    category: str
    image_id: str
    clip_id: str
    width: int
    height: int
    jpg: Member
    mask: Member
    flac: Member
    classes: Member | None = None
    kind: str = "single"
    json: Member | None = None

    @property
    def is_negative(self) -> bool:
        """Whether nothing that is seen sounds, so that the mask is empty."""
        return self.kind in NEGATIVES


@dataclass(frozen=True)
class Clips:
    """The clips of one split: where each is, and which of them a category may hear."""

    split: str
    members: dict[str, Member]
    duration_s: dict[str, float]
    pools: Pools

    def drawn(self, seed: int, epoch: int, sample_id: str, category: str) -> str | None:
        """The clip that a sample hears in an epoch; None where its category has no pool."""
        index = self.pools.draw(seed, epoch, sample_id, self.split, category)
        return None if index is None else self.pools.ids[index]

    def others(self, category: str) -> list[str]:
        """Clips of the split that sound like none of `category`, several joined by `+`; sorted by id."""
        own = {clip_id for name in category.split("+") for clip_id in self.pools.of(self.split, name)}
        return [clip_id for clip_id in self.pools.ids if clip_id not in own]


@dataclass(frozen=True)
class Split:
    """One split of a dataset; rows are numbered in the order of samples.parquet (shard, key).

    classes: of its class masks, the first is 1; empty where it has none. scenes: samples have sounds of their own;
    sound: how these were mixed, None where that is not known. kinds: those that were chosen, none: all.
    """

    url: str
    name: str
    dataset: str
    pairing_seed: int
    table: pa.Table
    clips: Clips
    shards: tuple[ShardEntry, ...]
    fraction: float = 1.0
    classes: tuple[str, ...] = ()
    scenes: bool = False
    sound: SoundRules | None = None
    kinds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def shard_sizes(self) -> list[int]:
        """Rows per shard, in table order; shards that hold no row of a few-shot subset are left out."""
        counts = self.table.column("shard").combine_chunks().value_counts().field("counts")
        return counts.to_pylist()

    @property
    def shard_paths(self) -> list[str]:
        """The shards that `shard_sizes` counts."""
        return self.table.column("shard").combine_chunks().unique().to_pylist()

    def row(self, index: int) -> Row:
        value = {name: self.table.column(name)[index].as_py() for name in self.table.column_names}

        def member(name: str) -> Member:
            size, sha256 = value[f"{name}_size"], value[f"{name}_sha256"]
            return Member(value["shard"], value[f"{name}_offset"], size, sha256)

        kind = value["kind"] if self.scenes else "single"
        own = self.scenes and kind != RECORDING
        return Row(
            value["key"], value["sample_id"], value["category"], value["image_id"],
            value["key"] if own else value["clip_id"], value["width"], value["height"],
            member("jpg"), member("mask_png"), member("flac"), member("classes_png") if self.classes else None,
            kind, member("json") if self.scenes else None,
        )  # fmt: skip

    @cached_property
    def counts(self) -> dict[str, int]:
        """Samples of each kind; all are single where the dataset has no scenes."""
        if not self.scenes:
            return {"single": len(self)}
        return dict(sorted(Counter(self.table.column("kind").to_pylist()).items()))

    @cached_property
    def objects(self) -> dict[str, list[Member]]:
        """By image id the masks of what sounds alone in a photo: of its single samples."""
        found: dict[str, list[Member]] = {}
        if self.scenes:
            rows = zip(
                self.table.column("image_id").to_pylist(), self.table.column("kind").to_pylist(), strict=True
            )
            for index, (image_id, kind) in enumerate(rows):
                if kind == "single":
                    found.setdefault(image_id, []).append(self.row(index).mask)
        return found

    def identity(self) -> dict[str, Any]:
        """What a checkpoint keeps to refuse other data: the content of the shards, not where they lie."""
        return {
            "dataset": self.dataset,
            "split": self.name,
            "samples": len(self),
            "fraction": self.fraction,
            "pairing_seed": self.pairing_seed,
            "clips": len(self.clips.members),
            "clips_hash": hash64(*sorted(self.clips.members)),
            "shards": {shard.path: shard.sha256 for shard in self.shards},
            **({"classes": list(self.classes)} if self.classes else {}),
            **({"kinds": list(self.kinds)} if self.kinds else {}),
        }


def open_split(url: str, name: str) -> Split:
    """Open a split at a path or URL; reads the manifest and two tables, no shard.

    Raises:
        DatasetError: no dataset there, or the split is empty.
    """
    dataset = Dataset(url)
    manifest = dataset.manifest
    scenes = _SCENE_COLUMNS if manifest.targets else []
    classes = _CLASS_COLUMNS if manifest.classes else []
    table = dataset.table(format.SAMPLES, [*_SAMPLE_COLUMNS, *scenes, *classes, "split"])
    table = table.filter(pc.field("split") == name).drop_columns("split").combine_chunks()
    if table.num_rows == 0:
        found = {split: counts["samples"] for split, counts in dataset.manifest.counts.items()}
        raise DatasetError(f"{url} has no sample in split {name!r}; its splits hold {found}")
    pool = dataset.table(format.POOL_TABLE, [*_CLIP_COLUMNS, "split"]).filter(pc.field("split") == name)
    shards = tuple(shard for shard in manifest.shards if shard.split == name)
    return Split(
        dataset.url, name, manifest.name, manifest.seed, table, _clips(pool, name), shards,
        classes=manifest.classes, scenes=bool(scenes), sound=manifest.sound,
    )  # fmt: skip


def of_kinds(split: Split, kinds: Sequence[str]) -> Split:
    """The samples of some kinds, `shards.records.Kind`; none named: all.

    Raises:
        SettingError: a kind of which there is none.
    """
    wanted = tuple(dict.fromkeys(kinds))
    if not wanted:
        return split
    if missing := [kind for kind in wanted if kind not in split.counts]:
        there = ", ".join(f"{number} {kind}" for kind, number in split.counts.items())
        raise SettingError(
            f"data.kinds: {split.name} of {split.url} has no {', '.join(missing)}; it has {there}"
        )
    if not split.scenes:
        return split
    return replace(
        split, table=split.table.filter(pc.field("kind").isin(wanted)).combine_chunks(), kinds=wanted
    )


def few_shot(split: Split, fraction: float) -> Split:
    """The first `fraction` of a fixed shuffle of the split's videos (Table 3 of the paper).

    A video is in every larger fraction too. The shuffle is the order of a hash of the video id. Of scenes, which may
    have many videos or none, the photos are taken so.
    """
    if fraction >= 1:
        return split
    column = "image_id" if split.scenes and not split.counts.keys() <= {RECORDING} else "video_id"
    videos = split.table.column(column).to_pylist()
    ranked = sorted(set(videos), key=lambda video: hash64("few-shot", video))
    kept = set(ranked[: max(1, round(fraction * len(ranked)))])
    rows = [index for index, video in enumerate(videos) if video in kept]
    return replace(split, table=split.table.take(rows).combine_chunks(), fraction=fraction)


def differences(saved: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Where two `Split.identity` differ, one line each; empty when they are the same data."""
    lines = [
        f"{name}: {saved.get(name)!r} then, {found.get(name)!r} now"
        for name in found
        if name != "shards" and saved.get(name) != found.get(name)
    ]
    before, after = saved.get("shards", {}), found.get("shards", {})
    for word, names in (
        ("gone", sorted(before.keys() - after.keys())),
        ("new", sorted(after.keys() - before.keys())),
        ("changed", sorted(path for path in before.keys() & after.keys() if before[path] != after[path])),
    ):
        if names:
            lines.append(f"{len(names)} shards {word}: {_some(names)}")
    return lines


def _clips(pool: pa.Table, split: str) -> Clips:
    rows = pool.to_pylist()
    return Clips(
        split,
        {
            row["clip_id"]: Member(row["shard"], row["flac_offset"], row["flac_size"], row["flac_sha256"])
            for row in rows
        },
        {row["clip_id"]: row["duration_s"] for row in rows},
        Pools(pool),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
