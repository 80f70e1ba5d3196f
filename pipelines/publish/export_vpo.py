"""Scenes in the layout of VPO's release (arXiv 2304.02970), for code that was written for it.

    VPO/VPO-SS/vpo_ss_data_stereo.csv        data/CLASS/IMAGE.jpg   mask/CLASS/IMAGE_MASK.png    without mixtures
    VPO/VPO-MS/vpo_ms_data_stereo.csv        data/IMAGE.jpg         mask/IMAGE.png               else
    VPO/VPO-MSMI/vpo_msmi_data_stereo.csv    the same                                            of single objects
    vggsound_bench/VGGSound/audios/FILE.wav  what each source sounds

One row a source; the rows of one image are its scene. Mask values are VPO's numbers, 255 is ignore. Its loaders cut
three seconds from the middle of each sound, pan and add them, as our rule `vpo` does; a sound is here as it goes into
the sum. They read `train` and, as their test, `val`: our test is called `val` here, and our own val `validation`, which
they pass over.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from pipelines.imports.vpo import VALUES
from pipelines.media.masks import grey_png
from pipelines.publish.seen import seen
from shards import format, records, scene, storage
from shards.manifest import DatasetError
from shards.reader import Dataset, Sample
from shards.sound import RATE_HZ, mix, pcm_of

COLUMNS = ("img_Id", "ann_Ids", "cateName", "cateId", "vgg_file", "split", "audio_pos", "multi_instance")
SPLITS = {"train": "train", "val": "validation", "test": "val"}
# Our category -> VPO's class, where it is called otherwise.
_NAMES = {
    "cell_phone": "cell phone", "woman": "female", "computer_keyboard": "keyboard", "man": "male",
    "computer_mouse": "mouse", "soccer_ball": "sports ball", "basketball": "sports ball", "volleyball": "sports ball",
    "tennis_racket": "tennis racket",
}  # fmt: skip
CLASSES = {name: (name, number) for name, number in VALUES.items()} | {
    ours: (name, VALUES[name]) for ours, name in _NAMES.items()
}


@dataclass(frozen=True)
class _Subset:
    name: str  # of its folder
    by_class: bool  # photos and masks lie in folders of their class

    @property
    def csv(self) -> str:
        return f"{self.name.lower().replace('-', '_')}_data_stereo.csv"


def export(dataset: Dataset, out: str, progress: Callable[[int, int], None]) -> tuple[int, dict[str, int]]:
    """Write the singles and mixtures of VPO's classes; gives their number, and of what was left out how many by reason.

    Raises:
        DatasetError: no scenes, or nothing that VPO has a class for.
    """
    rows = (
        dataset.table(columns=["kind", "duration_s", "key"]).to_pylist() if dataset.manifest.targets else []
    )
    if not rows:
        raise DatasetError(
            f"{dataset.url} holds no scenes: build it by a recipe with a table [scene], as vpo_ms"
        )
    kinds = {row["kind"] for row in rows}
    clips = {row["clip_id"]: row for row in dataset.table(format.POOL_TABLE).to_pylist()}
    written, left_out = list[dict[str, Any]](), dict[str, int]()
    ids: dict[int, str] = {}
    subset = _Subset("VPO-MS", False) if "mixture" in kinds else _Subset("VPO-SS", True)
    done, total = 0, len(rows)
    for sample in dataset.samples():
        record = records.decode(format.json_bytes(sample.record), records.SampleRecord)
        why = _unfit(record)
        if why:
            left_out[why] = left_out.get(why, 0) + 1
        else:
            if record.mask.policy == "instance":
                subset = _Subset("VPO-MSMI", False)
            written += _sample(dataset, sample, record, subset, clips, ids, out)
        progress(done := done + 1, total)
    if not written:
        told = ", ".join(f"{number} {why}" for why, number in left_out.items())
        raise DatasetError(
            f"{dataset.url} has nothing of VPO's 21 classes ({told}): build vpo_ss, vpo_ms or vpo_msmi"
        )
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(written)
    storage.write_atomic(storage.join(out, "VPO", subset.name, subset.csv), text.getvalue().encode())
    return len(ids), left_out


def _unfit(record: records.SampleRecord) -> str:
    """Why VPO's layout cannot hold a sample; empty if it can."""
    if record.kind not in ("single", "mixture"):
        return f"{record.kind}: VPO has no such samples"
    strange = sorted({source.category for source in record.sources} - set(CLASSES))
    return f"{', '.join(strange)}: none of VPO's classes" if strange else ""


def _sample(
    dataset: Dataset,
    sample: Sample,
    record: records.SampleRecord,
    subset: _Subset,
    clips: dict[str, dict[str, Any]],
    ids: dict[int, str],
    out: str,
) -> list[dict[str, Any]]:
    """Write the files of one scene; its rows."""
    number = 900_000_000_000 + int(sample.key, 16) % 100_000_000_000  # COCO's own have six digits
    if ids.setdefault(number, sample.key) != sample.key:
        raise DatasetError(
            f"{sample.key} and {ids[number]} would both be image {number}: export fewer samples"
        )
    image, first = f"{number:012d}", CLASSES[record.sources[0].category][0]
    place = storage.join(out, "VPO", subset.name)
    photo, mask = f"{image}.jpg", f"{image}.png"
    if subset.by_class:
        photo, mask = f"{first}/{image}.jpg", f"{first}/{image}_{1:012d}.png"
    storage.write_atomic(storage.join(place, "data", photo), sample.jpg)
    layers = [(CLASSES[name][1], pixels) for name, pixels in seen(dataset, sample)]
    numbers = scene.class_pixels(layers, record.image.height, record.image.width)
    storage.write_atomic(storage.join(place, "mask", mask), grey_png(numbers))
    found = []
    for turn, source in enumerate(record.sources, start=1):
        file = f"{sample.key}_{turn}"
        name, class_number = CLASSES[source.category]
        storage.write_atomic(
            storage.join(out, "vggsound_bench", "VGGSound", "audios", f"{file}.wav"),
            _sound(dataset, record, source, clips),
        )
        found.append(
            dict(
                zip(
                    COLUMNS,
                    (image, turn, name, class_number, file, SPLITS[record.split], source.pan,
                     int(record.mask.policy == "instance")),
                    strict=True,
                )
            )
        )  # fmt: skip
    return found


def _sound(
    dataset: Dataset, record: records.SampleRecord, source: records.Source, clips: dict[str, dict[str, Any]]
) -> bytes:
    """A source as it goes into the sum, as WAV: 16 bit if it is the clip as it is, else floating point."""
    assert source.audio  # noise does not come here
    assert record.sound
    pcm = pcm_of(dataset.read_member(clips[source.audio.id], "flac"))
    samples = round(record.sound.duration_s * RATE_HZ)
    part = mix.cropped(pcm, round(source.crop_start_s * RATE_HZ), samples)
    file = io.BytesIO()
    if source.gain_db == 0 and record.sound.scale == 1:
        soundfile.write(file, part, RATE_HZ, format="WAV", subtype="PCM_16")
    else:
        loud = part / np.float32(32768) * np.float32(mix.factor(source.gain_db) / 65536 * record.sound.scale)
        soundfile.write(file, loud, RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue()
