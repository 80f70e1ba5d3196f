"""Scenes in the layout of AVSBench-semantic (arXiv 2301.13190), for code that was written for it.

    metadata.csv                     vid, uid, s_min, s_sec, a_obj, split, label
    label2idx.json                   class names to numbers; background is 0
    v1s/UID/frames/{0..4}.jpg        the photo, as often as its loaders look for frames of five seconds
    v1s/UID/labels_semantic/N.png    the number of the class at each pixel; of train frame 0 alone, as there
    v1s/UID/labels_rgb/N.png         the same in the colours of the PASCAL VOC palette
    v1s/UID/audio.wav                five seconds, mono, 16 bit, 16 kHz; a shorter sound is repeated

`a_obj` names what is seen and heard, joined by `_`, a space in a name written as `-`: `off-the-screen` where what
sounds is not seen, `background` under silence and noise. Pixels where two classes sound are background: the layout has
no ignored ones.
"""

import csv
import io
import json
from collections.abc import Callable

import numpy as np
import soundfile
from PIL import Image

from pipelines.imports.class_masks import voc_palette
from pipelines.media.masks import grey_png
from shards import format, storage
from shards.manifest import DatasetError
from shards.reader import Dataset, Sample
from shards.sound import RATE_HZ

COLUMNS = ("vid", "uid", "s_min", "s_sec", "a_obj", "split", "label")
FRAMES, SECONDS = 5, 5
_NO_CLASS = {"off_screen": "off-the-screen", "silence": "background", "noise": "background"}


def export(dataset: Dataset, out: str, progress: Callable[[int, int], None]) -> tuple[int, dict[str, int]]:
    """Write every sample; gives their number, and that nothing was left out.

    Raises:
        DatasetError: a dataset without class masks, or two samples that would have one name.
    """
    if "classes" not in dataset.manifest.targets:
        raise DatasetError(
            f"{dataset.url} has no class masks: build it by a recipe with classes in scene.targets, as avs_scenes"
        )
    numbers = {"background": 0} | {
        _name(name): number for number, name in enumerate(dataset.manifest.classes, start=1)
    }
    storage.write_atomic(storage.join(out, "label2idx.json"), json.dumps(numbers, indent=1).encode())
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    videos: dict[str, str] = {}
    done, total = 0, dataset.manifest.tables[format.SAMPLES].rows
    for sample in dataset.samples():
        record = sample.record
        video = sample.key[:11]  # as long as YouTube's ids are
        if videos.setdefault(video, sample.key) != sample.key:
            raise DatasetError(
                f"{sample.key} and {videos[video]} would both be video {video}: export fewer samples"
            )
        uid = f"{video}_0_{1000 * SECONDS}"
        heard = "_".join(map(_name, sorted(filter(None, record["category"].split("+")))))
        what = heard or _NO_CLASS.get(record["kind"], "background")
        row = (video, uid, 0, 0, what, record["split"], "v1s")
        table.writerow(dict(zip(COLUMNS, row, strict=True)))
        _files(sample, storage.join(out, "v1s", uid))
        progress(done := done + 1, total)
    storage.write_atomic(storage.join(out, "metadata.csv"), text.getvalue().encode())
    return done, {}


def _name(category: str) -> str:
    """Names are joined by `_`, so none may be in one."""
    return category.replace("_", "-")


def _files(sample: Sample, folder: str) -> None:
    with Image.open(io.BytesIO(sample.classes_png)) as image:
        numbers = np.asarray(image).copy()
    numbers[numbers == format.IGNORE] = 0
    coloured = io.BytesIO()
    Image.fromarray(voc_palette(256)[numbers]).save(coloured, "PNG", compress_level=3)
    for frame in range(FRAMES):
        storage.write_atomic(storage.join(folder, "frames", f"{frame}.jpg"), sample.jpg)
        if frame == 0 or sample.record["split"] != "train":
            storage.write_atomic(storage.join(folder, "labels_semantic", f"{frame}.png"), grey_png(numbers))
            storage.write_atomic(storage.join(folder, "labels_rgb", f"{frame}.png"), coloured.getvalue())
    pcm, _ = soundfile.read(io.BytesIO(sample.flac), dtype="int16", always_2d=True)
    mono = np.resize((pcm.astype(np.int32).sum(axis=1) // pcm.shape[1]).astype(np.int16), SECONDS * RATE_HZ)
    sound = io.BytesIO()
    soundfile.write(sound, mono, RATE_HZ, format="WAV", subtype="PCM_16")
    storage.write_atomic(storage.join(folder, "audio.wav"), sound.getvalue())
