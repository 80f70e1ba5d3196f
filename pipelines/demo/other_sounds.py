"""Generated clips in the layouts of AudioSet, FSD50K and ESC-50, and a folder of one's own."""

import csv
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.demo.encoders import encode
from pipelines.demo.sounds import synthesise
from pipelines.demo.vocabulary import OtherLabel, other_labels
from shards.hashing import hash64

CORPORA = ("audioset", "fsd50k", "esc50", "folder")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NAMES = ("{}", "Y{}", "{}_30", "{}_000030", "{}_30.000_40.000")  # of AudioSet's clips, as people call them
_LICENCES = (
    "http://creativecommons.org/publicdomain/zero/1.0/",
    "http://creativecommons.org/licenses/by/3.0/",
)


@dataclass(frozen=True)
class OtherClip:
    """One clip of a corpus; `number` counts over all its clips."""

    corpus: str
    label: OtherLabel
    number: int


def clips(per_category: int) -> list[OtherClip]:
    """At least five of each label, so that each ESC-50 fold has one."""
    count = max(5, per_category // 2)
    found = []
    for corpus in CORPORA[:3]:
        labels = [label for label in other_labels(corpus) for _ in range(count)]
        found += [OtherClip(corpus, label, number) for number, label in enumerate(labels)]
    labels = [OtherLabel("dog", "folder", "woof", "woof")] * 4
    return found + [OtherClip("folder", label, number) for number, label in enumerate(labels)]


def make(root: str, seed: int, clip: OtherClip) -> OtherClip:
    """Write a clip's media below `root`."""
    rate_hz, seconds = 44_100 if clip.corpus == "esc50" else 22_050, 2.0 + clip.number % 3
    sound = synthesise(seed, clip.label.category, 10_000 + clip.number, rate_hz, seconds)
    if clip.corpus == "esc50":  # filled up to 5 s
        sound = np.concatenate([sound, np.zeros(5 * rate_hz - len(sound), np.float32)])
    path = os.path.join(root, _path(seed, clip))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(encode(sound[:, None], rate_hz, "wav"))
    return clip


def write_tables(root: str, seed: int, made: list[OtherClip]) -> None:
    """The lists of all four."""
    for corpus, write in (
        ("audioset", _audioset),
        ("fsd50k", _fsd50k),
        ("esc50", _esc50),
        ("folder", _folder),
    ):
        write(root, seed, [clip for clip in made if clip.corpus == corpus])


def _path(seed: int, clip: OtherClip) -> str:
    number = clip.number
    if clip.corpus == "audioset":
        return f"audioset/clips/{_NAMES[number % len(_NAMES)].format(_video(seed, clip))}.wav"
    if clip.corpus == "fsd50k":
        return f"fsd50k/FSD50K.{'eval' if number % 5 == 4 else 'dev'}_audio/{900_000_000 + number}.wav"
    if clip.corpus == "esc50":
        return f"esc50/audio/{_esc50_name(clip)}.wav"
    return f"folder/sounds/{number}.wav"


def _video(seed: int, clip: OtherClip) -> str:
    first = "-" if clip.number % 4 == 0 else "a"
    return first + "".join(_LETTERS[hash64(seed, "audioset", clip.number, k) % 64] for k in range(10))


def _audioset(root: str, seed: int, made: list[OtherClip]) -> None:
    head = "# Segments csv created for generated clips\n# num_ytids, num_segs\n# YTID, start_seconds, end_seconds, positive_labels\n"  # noqa: E501
    lists: dict[str, list[str]] = {"balanced_train": [], "eval": [], "unbalanced_train": []}
    labels = {label.source_id: label.name for label in other_labels("audioset")}
    other = {clip.label.category: clip.label.source_id for clip in made}
    for clip in made:
        name = ("balanced_train", "unbalanced_train", "eval", "balanced_train", "eval")[clip.number % 5]
        mids = [clip.label.source_id]
        if clip.number == 7:  # two things are heard
            mids += [mid for category, mid in other.items() if category != clip.label.category][:1]
        lists[name].append(f'{_video(seed, clip)}, 30.000, 40.000, "{",".join(mids)}"\n')
    for name, rows in lists.items():
        _text(root, f"audioset/{name}_segments.csv", head + "".join(rows))
    classes = [[number, mid, name] for number, (mid, name) in enumerate(labels.items())]
    _csv(root, "audioset/class_labels_indices.csv", [["index", "mid", "display_name"], *classes])


def _fsd50k(root: str, seed: int, made: list[OtherClip]) -> None:
    dev, evaluated = [["fname", "labels", "mids", "split"]], [["fname", "labels", "mids"]]
    about: dict[str, dict[str, dict[str, str]]] = {"dev": {}, "eval": {}}
    ratings = {}
    for clip in made:
        number = str(900_000_000 + clip.number)
        row, place = [number, clip.label.name, clip.label.source_id], clip.number % 5
        if place == 4:
            evaluated.append(row)
        else:
            dev.append([*row, "val" if place == 2 else "train"])
        licence = _LICENCES[clip.number % len(_LICENCES)]
        about["eval" if place == 4 else "dev"][number] = {"license": licence, "uploader": f"user {place}"}
        ratings[number] = {clip.label.source_id: [0.5, 0.5] if clip.number == 3 else [1.0, 1.0]}
    labels = [[number, label.name, label.source_id] for number, label in enumerate(other_labels("fsd50k"))]
    for name, rows in (("dev", dev), ("eval", evaluated), ("vocabulary", labels)):
        _csv(root, f"fsd50k/FSD50K.ground_truth/{name}.csv", rows)
    for name, clips_info in about.items():
        _text(root, f"fsd50k/FSD50K.metadata/{name}_clips_info_FSD50K.json", json.dumps(clips_info))
    _text(root, "fsd50k/FSD50K.metadata/pp_pnp_ratings_FSD50K.json", json.dumps(ratings))


def _esc50_name(clip: OtherClip) -> str:
    return f"{1 + clip.number % 5}-{700_000_000 + clip.number}-A-{clip.label.source_id}"


def _esc50(root: str, seed: int, made: list[OtherClip]) -> None:
    rows: list[Iterable[object]] = [["filename", "fold", "target", "category", "esc10", "src_file", "take"]]
    terms = ["## Licensing/attribution details for individual clips:", ""]
    for clip in made:
        name, target = _esc50_name(clip), clip.label.source_id
        rows.append([f"{name}.wav", name[0], target, clip.label.name, False, 700_000_000 + clip.number, "A"])
        address = f"http://www.freesound.org/people/user/sounds/{700_000_000 + clip.number}/"
        terms.append(f"- [{name.rpartition('-')[0]}.ogg]: clip derived from it.wav ({address}) by user [CC0]")
    _csv(root, "esc50/meta/esc50.csv", rows)
    _text(root, "esc50/LICENSE", "\n".join(terms) + "\n")


def _folder(root: str, seed: int, made: list[OtherClip]) -> None:
    """Labels that no map links until its user says what they mean."""
    sounds: list[Iterable[object]] = [["file", "start", "end", "label", "licence", "author"]]
    sounds += [[f"sounds/{clip.number}.wav", 0, 1.5, clip.label.name, "CC0", "me"] for clip in made]
    images: list[Iterable[object]] = [["image", "mask", "label", "licence", "author"]]
    for number in range(4):
        noise = np.random.default_rng(hash64(seed, "own", number)).integers(0, 255, (150, 200, 3))
        os.makedirs(os.path.join(root, "folder", "photos"), exist_ok=True)
        Image.fromarray(noise.astype(np.uint8)).save(os.path.join(root, "folder", "photos", f"{number}.jpg"))
        images.append([f"photos/{number}.jpg", "[[20,20,150,20,150,120,20,120]]", "my dog", "CC0", "me"])
    _csv(root, "folder/sounds.csv", sounds)
    _csv(root, "folder/images.csv", images)


def _csv(root: str, path: str, rows: Iterable[Iterable[object]]) -> None:
    _write(root, path, lambda file: csv.writer(file, lineterminator="\n").writerows(rows))


def _text(root: str, path: str, text: str) -> None:
    _write(root, path, lambda file: file.write(text))


def _write(root: str, path: str, write: Callable) -> None:
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8", newline="") as file:
        write(file)
