"""Stage shard of scenes: targets drawn from the masks of what sounds, and its clips mixed to one sound."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from label_maps import LabelMap
from pipelines.build import decoded
from pipelines.build.code import code_versions
from pipelines.build.outcome import Outcome
from pipelines.build.samples import EXHAUSTIVE, LABEL_COLUMNS, image_record, mask_source, read_photo
from pipelines.build.scene_sound import rules, sounded
from pipelines.media import masks
from pipelines.recipes.recipe import Recipe
from shards import format, parts, records, scene
from shards.errors import AvsError
from shards.reader import read_clip
from shards.records import SampleRecord
from shards.scene_sound import NOISE, Parts, SoundRules
from shards.writer import Content


class ClassesError(AvsError):
    """More categories than a class mask can number."""


def classes(recipe: Recipe, label_map: LabelMap) -> tuple[str, ...]:
    """The categories of KEY.classes.png by their number: those of the recipe as it lists them, then all others, sorted.

    Raises:
        ClassesError: over 254 of them.
    """
    if "classes" not in recipe.scene.targets:
        return ()
    possible = label_map.shown & label_map.hearing
    listed = [name for name in dict.fromkeys(recipe.labels.categories) if name in possible]
    found = (*listed, *sorted(possible - set(listed)))
    if len(found) >= format.IGNORE:
        raise ClassesError(
            f"{len(found)} categories, and a class mask has numbers for {format.IGNORE - 1}: name fewer in "
            "labels.categories, or leave classes out of scene.targets"
        )
    return found


def shard_scenes(
    table: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap, decoded_url: str = ""
) -> Outcome:
    """Write one shard of paired scenes; kept rows are `shards.tables.samples(targets)`."""
    known = decoded.load(decoded_url)
    numbers = {name: number for number, name in enumerate(classes(recipe, label_map), start=1)}
    heard = _parts(rules(recipe))

    def encode(row: dict[str, Any]) -> parts.Encoded:
        source, photo = read_photo(row, corpora, known)
        target = _Target(row, recipe)
        mask = Content.of(masks.png(target.pixels))
        hashes = {"source": source.sha256, "photo": photo.sha256, "mask": mask.sha256}
        record, sound = _record(row, out, recipe, label_map, target, hashes, heard)
        members = {"flac": sound, "jpg": photo, "mask.png": mask}
        if numbers:
            members[format.CLASSES] = Content.of(masks.grey_png(target.classes(numbers)))
        return record, members

    targets = recipe.scene.targets
    versions = code_versions(scenes=True)
    return Outcome.of(*parts.write(table, out, "shard", encode, versions, targets))


@lru_cache(maxsize=1)
def _parts(how: SoundRules) -> Parts:
    """Of all shards that this process writes."""
    return Parts(how)


class _Target:
    """What of a photo sounds."""

    def __init__(self, row: dict[str, Any], recipe: Recipe) -> None:
        self.sources = row["sources"]
        self.size = [row["height"], row["width"]]
        self.alone = recipe.scene.sources == "instance"
        self.drawn = mask_source(
            (source["mask_source"] for source in self.sources if source["mask_ids"]), recipe
        )
        rles = [self._rle(source["counts"]) for source in self.sources if source["mask_ids"]]
        union = masks.union(rles) if rles else None
        self.area_px = masks.area_px(union) if union else 0
        self.bbox = masks.bbox(union) if union else (0, 0, 0, 0)
        self.pixels = masks.pixels(union) if union else np.zeros(self.size, bool)

    def _rle(self, counts: bytes) -> masks.Rle:
        return {"size": self.size, "counts": counts}

    def classes(self, numbers: Mapping[str, int]) -> np.ndarray:
        """(height, width) uint8."""
        layers = [
            (numbers[source["category"]], masks.pixels(self._rle(source["counts"])))
            for source in self.sources
            if source["mask_ids"]
        ]
        return scene.class_pixels(layers, *self.size)

    def record(self, sha256: str) -> records.Mask:
        told = [source["exhaustive"] for source in self.sources if source["mask_ids"]]
        exhaustive = None if not told or None in told else all(told)
        return records.Mask(
            ids=tuple(mask_id for source in self.sources for mask_id in source["mask_ids"]),
            policy="instance" if self.alone else "union",
            area_px=self.area_px,
            area_fraction=self.area_px / (self.size[0] * self.size[1]),
            bbox=self.bbox,
            sha256=sha256,
            exhaustive=EXHAUSTIVE[False if False in told else exhaustive],
            source=self.drawn,
        )


def _record(
    row: dict[str, Any],
    out: str,
    recipe: Recipe,
    label_map: LabelMap,
    target: _Target,
    hashes: Mapping[str, str],
    heard: Parts,
) -> tuple[SampleRecord, Content]:
    """The record of a scene, and its sound."""
    sources, clips = [NOISE] if row["kind"] == "noise" else [], []
    for source in row["sources"]:
        place = {name.removeprefix("clip_"): value for name, value in source["clip"].items()}
        sound, clip = read_clip(out, place)
        sources.append(_source(source, clip.audio))
        clips.append(heard.of(sound.data, sound.sha256, clip.audio.id))
    if "instances" in recipe.scene.targets:
        planned = row["sources"] or [{}] * len(sources)
        sources = [_with_instances(*both) for both in zip(sources, planned, strict=True)]
    sounding, told, content = sounded(row["key"], row["width"], sources, clips, recipe)
    labels = {
        (corpus, label_id): (corpus, label_id, label)
        for source in row["sources"]
        for corpus, label_id, label in zip(*(source[name] or () for name in LABEL_COLUMNS), strict=True)
    }
    record = SampleRecord(
        key=row["key"],
        sample_id=row["sample_id"],
        split=row["split"],
        category=row["category"],
        component=row["component"],
        pairing=records.Pairing(seed=recipe.seed),
        image=image_record(row, label_map, [labels[key] for key in sorted(labels)], hashes),
        mask=target.record(hashes["mask"]),
        scene_kind=row["kind"],
        scene_sources=sounding,
        sound=told,
    )
    return record, content


def _source(source: dict[str, Any], audio: records.Audio) -> records.Source:
    return records.Source(
        category=source["category"],
        mask_ids=tuple(source["mask_ids"]),
        area_px=source["area_px"],
        bbox=tuple(source["bbox"]),
        audio=audio,
    )


def _with_instances(source: records.Source, planned: dict[str, Any]) -> records.Source:
    listed = zip(source.mask_ids, planned.get("instances") or (), strict=bool(source.mask_ids))
    instances = tuple(records.Instance(mask_id, drawn.decode()) for mask_id, drawn in listed)
    return msgspec.structs.replace(source, instances=instances)
