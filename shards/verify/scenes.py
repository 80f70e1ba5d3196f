"""A scene's sound, rendered again from the pool, and its targets, drawn again."""

import io
from collections.abc import Iterator

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from shards import format, pictures, records, run_lengths, scene, storage
from shards.records import Audio, SampleRecord
from shards.sound import pcm_of, pcm_to_flac
from shards.verify.job import Job


def check(record: SampleRecord, parts: dict[str, bytes], job: Job) -> Iterator[str]:
    if all(audio.id in job.clips for audio in record.clips):
        yield from _check_rendered(record, parts["flac"], job)
    pictures.check_mask(parts["mask.png"])
    with PngImageFile(io.BytesIO(parts["mask.png"])) as image:
        mask = np.asarray(image) > 0
    if (record.image.height, record.image.width) != mask.shape:
        return  # told by `pictures.check`
    if "instances" in job.targets:
        yield from _check_instances(record, mask)
    if "classes" in job.targets:
        yield from _check_classes(record, parts, mask, job)


def _check_rendered(record: SampleRecord, flac: bytes, job: Job) -> Iterator[str]:
    def clip(audio: Audio) -> np.ndarray:
        row = job.clips[audio.id]
        return pcm_of(
            storage.read_range(storage.join(job.url, row["shard"]), row["flac_offset"], row["flac_size"])
        )

    assert record.sound  # the caller looked
    made = scene.rendered(record, clip)
    if pcm_to_flac(made.pcm) != flac:
        yield "flac: is not what its sources give, rendered again from the pool"
    if (made.scale, made.clipped) != (record.sound.scale, record.sound.clipped):
        yield f"json: scale {record.sound.scale}, clipped {record.sound.clipped}; rendered {made.scale}, {made.clipped}"


def _check_instances(record: SampleRecord, mask: np.ndarray) -> Iterator[str]:
    together = np.zeros_like(mask)
    for source in record.sources:
        drawn = np.zeros_like(mask)
        for instance in source.instances or ():
            drawn |= run_lengths.pixels(instance.counts, *mask.shape)
        if np.count_nonzero(drawn) != source.area_px:
            yield f"json: {source.category}: instances of {np.count_nonzero(drawn)} pixels; area_px {source.area_px}"
        together |= drawn
    if (together != mask).any():
        yield "json: the instances are not what mask.png covers"


def _check_classes(
    record: SampleRecord, parts: dict[str, bytes], mask: np.ndarray, job: Job
) -> Iterator[str]:
    pictures.check_mask(parts[format.CLASSES], format.CLASSES)
    with PngImageFile(io.BytesIO(parts[format.CLASSES])) as image:
        mode, found = image.mode, np.asarray(image)
    numbers = {job.classes.get(name, 0) for name in record.categories} | {0, format.IGNORE}
    if mode != "L" or found.shape != mask.shape or not set(np.unique(found).tolist()) <= numbers:
        yield f"{format.CLASSES}: mode {mode}, {found.shape[::-1]}, values {np.unique(found)[:9]}; of {numbers}"
    elif record.kind == records.RECORDING and set(np.unique(found).tolist()) | {0, format.IGNORE} != numbers:
        yield f"{format.CLASSES}: shows {np.unique(found)}; the record's classes are {record.category!r}"
    elif ((found > 0) != mask).any():
        yield f"{format.CLASSES}: covers other pixels than mask.png"
    elif "instances" in job.targets:
        drawn = scene.class_pixels(scene.layers(record, job.classes), *mask.shape)
        if (drawn != found).any():
            yield f"{format.CLASSES}: is not what its instances give, drawn again"
