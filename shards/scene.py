"""What the record of a scene says, made again: its sound from clips of the pool, its targets from instances."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from shards import format, run_lengths
from shards.records import NEGATIVES, RECORDING, Audio, SampleRecord, Source
from shards.sound import MAX_AUDIO_S, RATE_HZ, mix

_HOW = ((1, ""), *((2, law) for law in mix.PAN_LAWS))  # channels, and how they are panned


def rendered(record: SampleRecord, clip: Callable[[Audio], np.ndarray]) -> mix.Mix:
    """The sound of a scene: what KEY.flac holds.

    Args:
        clip: gives (n,) int16, 16 kHz, of a clip as the pool has it.

    Raises:
        ValueError: no scene, or numbers that no scene has.
    """
    if not record.sound:
        raise ValueError(f"{record.sample_id} is no scene: it hears its clip as it is")
    sound = record.sound
    if not 0 < sound.duration_s <= MAX_AUDIO_S or (sound.channels, sound.pan_law) not in _HOW:
        told = f"{sound.duration_s:g} s in {sound.channels} channels by pan law {sound.pan_law!r}"
        raise ValueError(
            f"a sound of {told}; up to {MAX_AUDIO_S:g} s, mono, or stereo by {' or '.join(mix.PAN_LAWS)}"
        )
    samples = round(sound.duration_s * RATE_HZ)

    def heard(source: Source) -> np.ndarray:
        if source.audio is None:
            return mix.noise(record.pairing.seed, record.key, samples)
        return mix.cropped(clip(source.audio), round(source.crop_start_s * RATE_HZ), samples)

    tracks = [mix.Track(heard(source), source.gain_db, source.pan, source.delay) for source in record.sources]
    return mix.render(tracks, samples, sound.channels, sound.pan_law)


def contradictions(record: SampleRecord) -> Iterator[str]:
    """Where kind, sources and target of a scene do not agree, one text each."""
    kind, sources, mask = record.kind, record.sources, record.mask
    numbers = {
        "single": (1, 1),
        "mixture": (2, 99),
        "silence": (0, 0),
        "noise": (1, 1),
        "off_screen": (1, 99),
        "recording": (1, 1),
    }
    low, high = numbers[kind]
    if not low <= len(sources) <= high:
        yield f"json: {kind} of {len(sources)} sources"
    if record.category != "+".join(record.categories):
        yield f"json: category {record.category!r}, and sources of {', '.join(record.categories) or 'none'}"
    if len({audio.id for audio in record.clips}) < len(record.clips):
        yield "json: two sources hear one clip"
    if kind == RECORDING:
        yield from _of_recording(record)
    for source in sources if kind != RECORDING else ():
        if (source.audio is None) != (kind == "noise") or bool(source.category) == (kind == "noise"):
            yield f"json: a source {source.category!r} with{'out' if source.audio is None else ''} a clip in {kind}"
        if bool(source.area_px) == (kind in NEGATIVES) or bool(source.mask_ids) == (kind in NEGATIVES):
            yield f"json: {source.category}: {len(source.mask_ids)} masks of {source.area_px} pixels in {kind}"
        if source.instances and tuple(one.mask_id for one in source.instances) != source.mask_ids:
            yield f"json: {source.category}: other instances than mask_ids {list(source.mask_ids)}"
    seen = sorted({mask_id for source in sources for mask_id in source.mask_ids})
    if seen != sorted(mask.ids):
        yield f"json: mask.ids {list(mask.ids)}; its sources have {seen}"
    if kind != RECORDING and bool(mask.area_px) == (kind in NEGATIVES):
        yield f"json: a mask of {mask.area_px} pixels in {kind}"


def _of_recording(record: SampleRecord) -> Iterator[str]:
    """One clip as it is, and the classes that the mask shows, if it shows any."""
    for source in record.sources:
        as_it_is = (source.crop_start_s, source.gain_db, source.pan, source.delay) == (0.0, 0.0, 0.5, 0)
        if source.audio is None or not as_it_is or source.category != record.category:
            yield f"json: a recording of {source.category!r} whose clip is changed, missing or of other classes"
        if (source.area_px, source.bbox) != (record.mask.area_px, record.mask.bbox):
            yield f"json: a recording of {source.area_px} pixels, with a mask of {record.mask.area_px}"
    if bool(record.mask.area_px) != bool(record.category):
        yield f"json: a mask of {record.mask.area_px} pixels, and classes {record.category!r}"


def class_pixels(layers: Iterable[tuple[int, np.ndarray]], height: int, width: int) -> np.ndarray:
    """KEY.classes.png as (height, width) uint8: the number of the class that sounds there, `format.IGNORE` where two
    do, because nothing tells which of them is in front; 0 elsewhere.

    Args:
        layers: number of a class and its (height, width) bool pixels; a class may come more than once.
    """
    found = np.zeros((height, width), np.uint8)
    for number, pixels in layers:
        free = (found == 0) | (found == number)
        found[pixels & free] = number
        found[pixels & ~free] = format.IGNORE
    return found


def layers(record: SampleRecord, classes: Mapping[str, int]) -> list[tuple[int, np.ndarray]]:
    """Number of the class and pixels of every source that is seen, from the instances that the record lists.

    Raises:
        ValueError: no run lengths of the photo, or a category that is not among the classes.
    """
    found = []
    for source in record.sources:
        if source.mask_ids and source.category not in classes:
            raise ValueError(f"category {source.category!r} is none of the {len(classes)} classes")
        for instance in source.instances or ():
            drawn = run_lengths.pixels(instance.counts, record.image.height, record.image.width)
            found.append((classes[source.category], drawn))
    return found
