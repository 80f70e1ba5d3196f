"""Scenes that a release lists source by source: their sound is added up as it says, their masks are told by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from pipelines.imports import media
from pipelines.imports.planned import PlannedSample
from pipelines.media import masks
from shards import format, records
from shards.parts import Encoded
from shards.reader import read_clip
from shards.records import SampleRecord
from shards.rejections import Reason, Rejected
from shards.scene_sound import SoundRules
from shards.sound import RATE_HZ, mix, pcm_of, pcm_to_flac
from shards.writer import Content

SECONDS = 3.0  # around the middle of each sound, as VPO's loaders take them


def rules(samples: Sequence[PlannedSample]) -> SoundRules | None:
    """How the sounds of a release's scenes are made; None where it has none."""
    panned = [all(source.pan is not None for source in one.sources) for one in samples if one.sources]
    if not panned:
        return None
    stereo = any(panned)
    return SoundRules("vpo", "middle", SECONDS, 2 if stereo else 1, "linear" if stereo else "")


def told(
    record: SampleRecord,
    members: Mapping[str, Content],
    numbers: np.ndarray,
    classes: Sequence[str],
    sources: Sequence[Mapping[str, Any]],
    heard: Mapping[str, Mapping[str, Any]],
    out: str,
) -> Encoded:
    """A sample as the scene of its sources (`planned.PlannedSource`), the raw sum of their clips.

    Args:
        record: with a clip of its own that is passed over. numbers: (height, width) uint8, of classes by their place in
            `classes`, the first is 1; or format.IGNORE. heard: rows of the pool, by clip id.

    Raises:
        Rejected: a clip is not in the pool of its split, silent where it would be heard, or the
            mask shows other classes than what sounds.
    """
    shown = {classes[number - 1] for number in np.setdiff1d(np.unique(numbers), [0, format.IGNORE])}
    named = {source["category"] for source in sources}
    if shown != named:
        what = f"the mask shows {', '.join(sorted(shown)) or 'nothing'}, the list names {', '.join(sorted(named))}"
        raise Rejected(Reason.MASK_AMBIGUOUS, what)
    samples, stereo = round(SECONDS * RATE_HZ), all(source["pan"] is not None for source in sources)
    found, tracks = [], []
    for source in sources:
        clip = heard.get(source["clip_id"])
        if clip is None or clip["split"] != record.split:
            where = f"is heard in {clip['split']}" if clip else "cannot be used"
            raise Rejected(Reason.NO_CLIP, f"its clip {source['clip_id']} {where}")
        sound, of_clip = read_clip(out, clip)
        pcm = pcm_of(sound.data)
        start = mix.crop_start(pcm, samples, "middle")
        media.expect_heard(mix.cropped(pcm, start, samples) / 32768.0)
        pixels = numbers == classes.index(source["category"]) + 1
        ys, xs = np.nonzero(pixels)
        found.append(
            records.Source(
                category=source["category"],
                mask_ids=(source["mask_id"],),
                area_px=len(xs),
                bbox=(int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1),
                audio=of_clip.audio,
                crop_start_s=start / RATE_HZ,
                pan=source["pan"] if stereo else 0.5,
            )
        )
        tracks.append(mix.Track(mix.cropped(pcm, start, samples), pan=found[-1].pan))
    made = mix.render(tracks, samples, 2 if stereo else 1, "linear" if stereo else "")
    flac = Content.of(pcm_to_flac(made.pcm))
    scene = msgspec.structs.replace(
        record,
        mask=msgspec.structs.replace(
            record.mask, ids=tuple(source["mask_id"] for source in sources), policy="union"
        ),
        audio=msgspec.UNSET,
        scene_kind="single" if len(sources) == 1 else "mixture",
        scene_sources=tuple(found),
        sound=records.Sound(
            rule="vpo", channels=2 if stereo else 1, pan_law="linear" if stereo else "", duration_s=SECONDS,
            scale=made.scale, clipped=made.clipped, sha256=flac.sha256,
        ),
    )  # fmt: skip
    return scene, {**members, "flac": flac, format.CLASSES: Content.of(masks.grey_png(numbers))}
