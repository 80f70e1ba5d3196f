"""AVS-Synthetic (arXiv 2305.11019) in its release layout, read as the authors' loader reads it.

    annotations.csv                   nine columns: inst_id, img_id, …, …, cls_name, cls_id, dataset, split, audio_name
    category_for_vggsound_audios.pkl  class id -> the names of its clips, for training
    images/IMG_ID.jpg
    masks/INST_ID.png
    audios/AUDIO_NAME.wav

Columns are found by name, and by position where the header names them otherwise; `split` is certain. The split
`validate` is val. A sample of val or test hears the clip of its row. With the pickle, a sample of train hears any clip
of its class, whatever its row says; without, the clip of its row. A clip of val or test is never heard in training.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.imports import plain_pickle
from pipelines.imports.planned import Found, LayoutError, PlannedClip, PlannedSample
from pipelines.imports.tables import rows
from shards import storage

TABLE, POOLS = "annotations.csv", "category_for_vggsound_audios.pkl"
_PLACES = {"inst_id": 0, "img_id": 1, "cls_name": 4, "cls_id": 5, "split": 7, "audio_name": 8}
_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}


def read(folder: str) -> Found:
    """Plan the samples of a release folder.

    Raises:
        LayoutError: no annotations.csv, one whose columns cannot be told, or a pickle of something else. TextError: not
        CSV in UTF-8.
    """
    found = Found("avs_synthetic")
    pools = _pools(storage.join(folder, POOLS))
    categories: dict[str, str] = {}
    for where, row in _rows(found, folder):
        split, category = _SPLITS.get(row["split"].lower()), row["cls_name"].replace(" ", "_").lower()
        class_id, audio = _class_id(row["cls_id"]), row["audio_name"].removesuffix(".wav")
        if split is None or not all((row["inst_id"], row["img_id"], category)):
            found.bad_row(where, f"{row}: needs ids, a class, and a split of {', '.join(_SPLITS)}")
            continue
        drawn = split == "train" and class_id in pools
        if not audio and not drawn:
            found.bad_row(where, f"{row}: no audio, and {POOLS} has no clips of class {class_id!r}")
            continue
        if drawn:
            categories.setdefault(class_id, category)
        image, instance = row["img_id"].removesuffix(".jpg"), row["inst_id"].removesuffix(".png")
        clip = _clip("" if drawn else audio)
        found.samples.append(
            PlannedSample(
                image_id=f"avs_synthetic:{image}", category=category, split=split, image_path=f"images/{image}.jpg",
                mask_id=f"avs_synthetic:{instance}", mask_path=f"masks/{instance}.png",
                **clip, window=-1, component=f"avs_synthetic:{image}",
            )
        )  # fmt: skip
    for class_id, category in categories.items():
        for name in dict.fromkeys(pools[class_id]):
            clip = _clip(name.removesuffix(".wav"))
            found.clips.append(PlannedClip(**clip, window=-1, split="train", category=category))
    return found


def _clip(name: str) -> dict[str, Any]:
    """The fields of a clip; a sample that draws one has none yet."""
    if not name:
        return {"clip_id": "", "video_id": "", "audio_path": ""}
    return {"clip_id": f"avs_synthetic:{name}", "video_id": name[:11], "audio_path": f"audios/{name}.wav"}


def _rows(found: Found, folder: str) -> Iterator[tuple[str, dict[str, str]]]:
    for where, row in rows(found, folder, [TABLE], ["split"]):
        header = list(row)
        if len(header) != 9 and not row.keys() >= _PLACES.keys():
            raise LayoutError(
                f"{TABLE} has the header {','.join(header)}: it needs a column split, and the others by their names "
                f"({', '.join(_PLACES)}) or nine columns in the order of the release"
            )
        yield where, {name: row[name if name in row else header[place]] for name, place in _PLACES.items()}


def _pools(url: str) -> Mapping[str, list[str]]:
    """Class id -> names of clips; empty where the release has no pickle."""
    if not storage.exists(url):
        return {}
    value = plain_pickle.read(url)
    if not isinstance(value, dict):
        raise LayoutError(
            f"{url} holds a {type(value).__name__}: a dict of class ids and their clips is read"
        )
    pools: dict[str, list[str]] = {}
    for class_id, names in value.items():
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise LayoutError(f"{url}, class {class_id!r}: {str(names)[:80]} is no list of names of clips")
        if names:
            pools[_class_id(class_id)] = [name for name in names if name]
    return pools


def _class_id(value: object) -> str:
    """3, "3", "03" and 3.0 are one class."""
    text = str(value).strip()
    try:
        return str(int(float(text)))
    except (ValueError, OverflowError):
        return text
