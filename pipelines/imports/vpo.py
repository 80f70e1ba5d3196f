"""VPO (arXiv 2304.02970): the layout of its release, and the regrouped copy that EASE and DDESeg read.

    VPO/VPO-MS/*.csv                         img_Id, ann_Ids, cateName, cateId, vgg_file, split, audio_pos
    VPO/VPO-MS/{data/IMAGE.jpg, mask/IMAGE.png}
    VPO/VPO-SS/{data/CLASS/IMAGE.jpg, mask/CLASS/IMAGE_MASK.png}
    VPO/VPO-MSMI/*.csv                       multi_instance: of rows with 0 the files lie in VPO-MS
    vggsound_bench/VGGSound/audios/FILE.wav

One row a source: the rows of one image are one scene, in VPO-SS each row is one. Its sound is the raw sum of three
seconds around the middle of each clip, panned by `audio_pos`, mono without that column. Masks hold COCO's ids, and 92
to 94 for male, female and baby; those of several objects of a class do not tell them apart. The list's `val` is what
its authors test on, and is called test here.

    *.csv                                    uid, frame, mask, category, split, type; category: numbers of classes
    TYPE/UID/{frames/N.jpg, labels_semantic/N.png, mono_audio.wav}

The copy has one sound, in which several may be mixed: its samples are recordings.
"""

import json
import re
from collections.abc import Iterator

from pipelines.imports.planned import Found, LayoutError, PlannedClip, PlannedSample, PlannedSource
from pipelines.imports.tables import rows
from shards import storage

# VPO's classes in the order of their numbers, and the values that its masks have for them.
VALUES = {
    "airplane": 5, "baby": 94, "bird": 16, "bus": 6, "car": 3, "cat": 17, "cell phone": 77, "cow": 21, "dog": 18,
    "elephant": 22, "female": 93, "horse": 19, "keyboard": 76, "male": 92, "motorcycle": 4, "mouse": 74, "sheep": 20,
    "skateboard": 41, "sports ball": 37, "tennis racket": 43, "zebra": 24,
}  # fmt: skip
CLASSES = tuple(name.replace(" ", "_") for name in VALUES)
SUBSETS = ("VPO-SS", "VPO-MS", "VPO-MSMI")
_AUDIOS = "vggsound_bench/VGGSound/audios"
_SPLITS = {"train": "train", "val": "test", "test": "test", "validation": "val"}
_COLUMNS = ("img_Id", "ann_Ids", "cateName", "cateId", "vgg_file", "split")
_COPY = ("uid", "frame", "mask", "category", "split", "type")
_NUMBER = re.compile(r"0|[1-9]\d*")


def read(folder: str, subset: str = "") -> Found:
    """Plan the samples of one subset.

    Args:
        folder: holds VPO/ and vggsound_bench/, or the list of the copy. subset: of SUBSETS; empty: the only one there.

    Raises:
        LayoutError: neither layout, or a subset has to be named.
    """
    there = [name for name in SUBSETS if storage.exists(storage.join(folder, "VPO", name))]
    if not there:
        return _copy(folder, subset)
    if subset not in there and (subset or len(there) > 1):
        raise LayoutError(f"{folder} has {', '.join(there)}: name one with --subset")
    name = subset or there[0]
    found = Found(name.lower().replace("-", "_"), classes=CLASSES, values=tuple(VALUES.values()))
    below = f"VPO/{name}"
    lists = [one for one in storage.names(storage.join(folder, below)) if one.endswith(".csv")]
    if len(lists) != 1:
        raise LayoutError(
            f"{folder}/{below} has {len(lists)} CSV files: leave the one list that is to be read"
        )
    scenes: dict[str, list[dict[str, str]]] = {}
    for where, row in rows(found, folder, [f"{below}/{lists[0]}"], _COLUMNS):
        if fault := _fault(row):
            found.bad_row(where, fault)
        else:
            image = row["img_Id"] + (f"_{row['ann_Ids']}" if name == "VPO-SS" else "")
            scenes.setdefault(image, []).append(row)
    for image, told in scenes.items():
        _scene(found, name, image, told)
    return found


def _fault(row: dict[str, str]) -> str:
    """What is wrong with a row; "" for nothing."""
    name, place = row["cateName"], row.get("audio_pos", "0.5")
    if VALUES.get(name) != _int(row["cateId"]):
        return f"cateName {name!r} with cateId {row['cateId']!r}: VPO's number of it is {VALUES.get(name, 'none')}"
    if row["split"] not in _SPLITS:
        return f"split {row['split']!r}: one of {', '.join(_SPLITS)}"
    if not row["img_Id"] or not row["vgg_file"] or "/" in row["img_Id"] + row["vgg_file"]:
        return f"img_Id {row['img_Id']!r}, vgg_file {row['vgg_file']!r}: names of files"
    if _pan(place) is None:
        return f"audio_pos {place!r}: a number from 0 (left) to 1 (right)"
    return ""


def _int(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _pan(text: str) -> float | None:
    """To a thousandth; None where it is no place."""
    try:
        place = float(text)
    except ValueError:
        return None
    return round(place, 3) if 0 <= place <= 1 else None


def _scene(found: Found, subset: str, image: str, told: list[dict[str, str]]) -> None:
    splits = {row["split"] for row in told}
    if len(splits) > 1:
        found.bad_row(image, f"its rows are of {' and '.join(sorted(splits))}")
        return
    split = _SPLITS[told[0]["split"]]
    alone = subset == "VPO-MSMI" and any(
        row.get("multi_instance", "1") not in ("0", "0.0", "False") for row in told
    )
    below = f"VPO/{subset if alone or subset != 'VPO-MSMI' else 'VPO-MS'}"
    first = told[0]
    photo, mask = f"{first['img_Id']}.jpg", f"{first['img_Id']}.png"
    if subset == "VPO-SS":
        number = _int(first["ann_Ids"])
        annotation = first["ann_Ids"] if number is None else f"{number:012d}"
        photo, mask = (
            f"{first['cateName']}/{photo}",
            f"{first['cateName']}/{first['img_Id']}_{annotation}.png",
        )
    sources = []
    for row in sorted(told, key=lambda row: (row["cateName"], row["ann_Ids"], row["vgg_file"])):
        category, clip_id = row["cateName"].replace(" ", "_"), f"vggsound:{row['vgg_file']}"
        place = _pan(row["audio_pos"]) if "audio_pos" in row else None
        sources.append(PlannedSource(category, f"{row['img_Id']}_{row['ann_Ids']}", clip_id, place))
        found.clips.append(
            PlannedClip(
                clip_id=clip_id, video_id=row["vgg_file"][:11], audio_path=f"{_AUDIOS}/{row['vgg_file']}.wav",
                window=-1, split=split, category=category,
            )
        )  # fmt: skip
    found.samples.append(
        PlannedSample(
            image_id=f"{found.name}:{image}", category="+".join(sorted({source.category for source in sources})),
            split=split, image_path=f"{below}/data/{photo}", mask_id="", mask_path=f"{below}/mask/{mask}", clip_id="",
            video_id="", audio_path="", window=-1, component=f"coco:{first['img_Id'].lstrip('0')}",
            sources=tuple(sources),
        )
    )  # fmt: skip


def _copy(folder: str, subset: str) -> Found:
    """The regrouped copy: `subset` is its column `type`, as it is written there."""
    lists = [one for one in storage.names(folder) if one.endswith(".csv")]
    if len(lists) != 1:
        raise LayoutError(
            f"{folder} has no VPO/ with {', '.join(SUBSETS)}, nor one CSV file with {', '.join(_COPY)}: give the "
            "folder that holds VPO/ and vggsound_bench/, or that of the regrouped copy"
        )
    found = Found("vpo_copy", classes=CLASSES)
    for where, row in rows(found, folder, lists, _COPY):
        names = list(_classes(row["category"]))
        if row["split"] not in _SPLITS or not names or None in names or "/" in row["uid"] + row["type"]:
            found.bad_row(
                where,
                f"uid {row['uid']!r}, split {row['split']!r}, category {row['category']!r}: needs numbers of 1 to 21",
            )
        elif subset in ("", row["type"]):
            uid, split, below = f"vpo_copy:{row['uid']}", _SPLITS[row["split"]], f"{row['type']}/{row['uid']}"
            frame, mask = (row[name].rsplit("/", 1)[-1] for name in ("frame", "mask"))
            found.samples.append(
                PlannedSample(
                    image_id=f"{uid}#{frame}", category="", split=split, image_path=f"{below}/frames/{frame}",
                    mask_id=f"{uid}#{mask}", mask_path=f"{below}/labels_semantic/{mask}", clip_id=uid,
                    video_id=row["uid"], audio_path=f"{below}/mono_audio.wav", window=-1, component=uid,
                    label=row["category"],
                    names=tuple(sorted({name for name in names if name})),
                )
            )  # fmt: skip
    return found


def _classes(text: str) -> Iterator[str | None]:
    """The classes that a Python list of numbers names, background left out; None for a number of no class."""
    try:
        numbers = json.loads(text)
    except ValueError:
        numbers = None
    for number in numbers if isinstance(numbers, list) else [None]:
        if number != 0:
            yield CLASSES[number - 1] if type(number) is int and 0 < number <= len(CLASSES) else None
