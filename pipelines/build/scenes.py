"""Stage shard of scenes: targets drawn from the masks of what sounds, and its clips mixed to one sound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from label_maps import LabelMap
from pipelines.build.code import code_versions
from pipelines.build.outcome import Outcome
from pipelines.build.samples import EXHAUSTIVE, image_record, read_photo
from pipelines.media import masks
from pipelines.recipes.recipe import Recipe, SceneSound
from shards import format, hashing, parts, records, scene
from shards.errors import AvsError
from shards.reader import read_clip
from shards.records import SampleRecord
from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ, mix, pcm_of, pcm_to_flac
from shards.writer import Content

_NOISE: dict[str, Any] = {
    "category": "",
    "sample_id": "",
    "mask_ids": [],
    "area_px": 0,
    "bbox": [0, 0, 0, 0],
}  # as a source


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


def shard_scenes(table: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap) -> Outcome:
    """Write one shard of paired scenes; kept rows are `shards.tables.samples(targets)`."""
    numbers = {name: number for number, name in enumerate(classes(recipe, label_map), start=1)}

    def encode(row: dict[str, Any]) -> parts.Encoded:
        source, photo = read_photo(row, corpora)
        target = _Target(row, recipe)
        mask = Content.of(masks.png(target.pixels))
        hashes = {"source": source.sha256, "photo": photo.sha256, "mask": mask.sha256}
        record, sound = _record(row, out, recipe, label_map, target, hashes)
        members = {"flac": sound, "jpg": photo, "mask.png": mask}
        if numbers:
            members[format.CLASSES] = Content.of(masks.grey_png(target.classes(numbers)))
        return record, members

    targets = recipe.scene.targets
    versions = code_versions(scenes=True)
    return Outcome.of(*parts.write(table, out, "shard", encode, versions, targets))


class _Target:
    """What of a photo sounds."""

    def __init__(self, row: dict[str, Any], recipe: Recipe) -> None:
        self.sources = row["sources"]
        self.size = [row["height"], row["width"]]
        self.alone = recipe.scene.sources == "instance"
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
        )


@dataclass(frozen=True)
class _Heard:
    """A clip, its part that is heard, and where that begins, in samples."""

    audio: records.Audio | None
    pcm: np.ndarray
    start: int


def _record(
    row: dict[str, Any],
    out: str,
    recipe: Recipe,
    label_map: LabelMap,
    target: _Target,
    hashes: Mapping[str, str],
) -> tuple[SampleRecord, Content]:
    """The record of a scene, and its sound."""
    rules, samples = recipe.scene.sound, round(recipe.scene.sound.duration_s * RATE_HZ)
    heard = [_heard(source, out, recipe, samples) for source in row["sources"]]
    if row["kind"] == "noise":
        heard = [_Heard(None, mix.noise(recipe.seed, row["key"], samples), 0)]
    sources = tuple(_sources(row, heard, recipe))
    tracks = [
        mix.Track(one.pcm, source.gain_db, source.pan, source.delay)
        for one, source in zip(heard, sources, strict=True)
    ]
    channels, law = (2, rules.pan) if rules.stereo else (1, "")
    made = mix.render(tracks, samples, channels, law)
    sound = Content.of(pcm_to_flac(made.pcm))
    labels = {
        label_id: label
        for source in row["sources"]
        for label_id, label in zip(source["label_ids"] or (), source["labels"] or (), strict=True)
    }
    record = SampleRecord(
        key=row["key"],
        sample_id=row["sample_id"],
        split=row["split"],
        category=row["category"],
        component=row["component"],
        pairing=records.Pairing(seed=recipe.seed),
        image=image_record(row, label_map, sorted(labels.items()), hashes),
        mask=target.record(hashes["mask"]),
        scene_kind=row["kind"],
        scene_sources=sources,
        sound=records.Sound(
            rule=rules.rule,
            channels=channels,
            pan_law=law,
            duration_s=samples / RATE_HZ,
            scale=made.scale,
            clipped=made.clipped,
            sha256=sound.sha256,
        ),
    )
    return record, sound


def _heard(source: dict[str, Any], out: str, recipe: Recipe, samples: int) -> _Heard:
    """A source's clip from the pool, cut.

    Raises:
        Rejected: what is left of it is silent.
    """
    place = {name.removeprefix("clip_"): value for name, value in source["clip"].items()}
    sound, clip = read_clip(out, place)
    pcm = pcm_of(sound.data)
    start = mix.crop_start(pcm, samples, recipe.scene.sound.crop)
    part = mix.cropped(pcm, start, samples)
    peak = int(np.abs(part.astype(np.int32)).max(initial=0)) / 32768
    if not peak or peak < recipe.select.silence_peak:
        told = f"{clip.id} from {start / RATE_HZ:g} s on: peak {peak:.5f}; at least {recipe.select.silence_peak:g}"
        raise Rejected(Reason.AUDIO_SILENT, told)
    return _Heard(clip.audio, part, start)


def _sources(row: dict[str, Any], heard: list[_Heard], recipe: Recipe) -> list[records.Source]:
    rules, seed = recipe.scene.sound, recipe.seed
    told = [_NOISE] if row["kind"] == "noise" else row["sources"]
    names = [f"{source['sample_id']}|{source['category']}" for source in told]
    loudest = min(names, key=lambda name: hashing.hash64(seed, "loudest", row["key"], name), default="")
    below = [0.0 if name == loudest else _below_db(rules, seed, row["key"], name) for name in names]
    loud = "equal_rms" if row["kind"] == "noise" else rules.rule  # a raw sum says nothing of noise
    gains = mix.gains(loud, [one.pcm for one in heard], rules.level_db, below)
    found = []
    for source, one, gain_db in zip(told, heard, gains, strict=True):
        pan = _pan(source, row, seed) if rules.stereo else 0.5
        given: dict[str, Any] = {}
        if "instances" in recipe.scene.targets:
            instances = zip(source["mask_ids"], source.get("instances") or (), strict=True)
            given["instances"] = tuple(
                records.Instance(mask_id, counts.decode()) for mask_id, counts in instances
            )
        found.append(
            records.Source(
                category=source["category"],
                mask_ids=tuple(source["mask_ids"]),
                area_px=source["area_px"],
                bbox=tuple(source["bbox"]),
                audio=one.audio,
                crop_start_s=one.start / RATE_HZ,
                gain_db=gain_db,
                pan=pan,
                delay=mix.delay(pan) if rules.stereo and rules.delay else 0,
                **given,
            )
        )
    return found


def _below_db(rules: SceneSound, seed: int, key: str, source_id: str) -> float:
    """By how much a source is quieter than the loudest under `snr`, drawn by hash, to a tenth."""
    spread = round(10 * (rules.snr_high_db - rules.snr_low_db))
    return (round(10 * rules.snr_low_db) + int(hashing.unit(seed, "snr", key, source_id) * (spread + 1))) / 10


def _pan(source: dict[str, Any], row: dict[str, Any], seed: int) -> float:
    """Where a source is heard: at the middle of its box; what is not seen, anywhere, drawn by hash."""
    x, _, width, _ = source["bbox"]
    if not source["mask_ids"]:
        return int(hashing.unit(seed, "pan", row["key"], source["category"]) * 1001) / 1000
    return (1000 * (2 * x + width) + row["width"]) // (2 * row["width"]) / 1000
