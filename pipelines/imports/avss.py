"""AVSBench-semantic (arXiv 2301.13190) in its official folder.

    metadata.csv                          vid, uid, s_min, s_sec, a_obj, split, label
    label2idx.json                        optional: its names in the order of their numbers, from 0 or 1 on
    v1s|v1m|v2/UID/frames/0.jpg           … of 5 s in v1s and v1m, 10 in v2; only 0 has a mask in v1s's training
    v1s|v1m|v2/UID/labels_semantic/0.png  … the numbers of classes as values,
    v1s|v1m|v2/UID/labels_rgb/0.png       … or as colours of the PASCAL VOC palette; one of the two is enough
    v1s|v1m|v2/UID/audio.wav

Frame i belongs to VGGish window i. One sample a frame that has a mask; its image id is LABEL/UID#FRAME. `a_obj`
says what is heard, and the mask what of it is seen: besides the 70 classes, names may be `off-the-screen` and
`background`.
"""

import re
from pathlib import Path

from pipelines.imports.leaks import youtube_id
from pipelines.imports.planned import Found, LayoutError, PlannedSample
from pipelines.imports.tables import rows
from shards import storage
from shards.format import SPLITS
from shards.rejections import Reason, rejection
from shards.text import read_json

TABLE, NUMBERS = "metadata.csv", "label2idx.json"
FRAMES = {"v1s": 5, "v1m": 5, "v2": 10}
CLASSES = tuple(Path(__file__).with_name("avss_classes.txt").read_text().split())
_NO_CLASS = ("off-the-screen", "background")
_TIMES = re.compile(r".{11}_(\d+)_\d+")


def read(folder: str) -> Found:
    """Plan the samples of a folder.

    Raises:
        LayoutError: label2idx.json numbers other classes. TextError: a file that is not the text it should be.
    """
    _check_numbers(storage.join(folder, NUMBERS))
    found = Found("avsbench_avss", classes=CLASSES)
    for where, row in rows(
        found, folder, [TABLE], ["vid", "uid", "s_min", "s_sec", "a_obj", "split", "label"]
    ):
        names, strange = _names(row["a_obj"])
        if fault := _fault(row):
            found.bad_row(where, fault)
        elif strange:
            why = f"a_obj {row['a_obj']!r} names {', '.join(strange)}, none of the {len(CLASSES)} classes"
            found.rejections.append(rejection("import", where, Reason.UNKNOWN_LABEL, why))
        else:
            found.samples += _frames(row, names)
    return found


def _frames(row: dict[str, str], names: tuple[str, ...]) -> list[PlannedSample]:
    uid, label, split = row["uid"], row["label"], row["split"]
    video, below, times = f"avsbench_avss:{label}/{uid}", f"{label}/{uid}", _TIMES.fullmatch(uid)
    return [
        PlannedSample(
            image_id=f"{video}#{frame}", category="", split=split, image_path=f"{below}/frames/{frame}.jpg",
            mask_id=f"{video}#{frame}", mask_path=f"{below}/labels_semantic/{frame}.png",
            colours_path=f"{below}/labels_rgb/{frame}.png", clip_id=f"{video}#{frame}", video_id=youtube_id(uid),
            audio_path=f"{below}/audio.wav", window=frame, component=video,
            start_s=int(times[1]) / 1000 if times and label != "v1m" else 0.0, label=row["a_obj"], names=names,
        )
        for frame in range(1 if (label, split) == ("v1s", "train") else FRAMES[label])
    ]  # fmt: skip


def _fault(row: dict[str, str]) -> str:
    """What is wrong with a row; "" for nothing."""
    uid, times = row["uid"], _TIMES.fullmatch(row["uid"])
    if row["split"] not in SPLITS or row["label"] not in FRAMES or not uid or not row["a_obj"]:
        return (
            f"uid {uid!r}, a_obj {row['a_obj']!r}, split {row['split']!r}, label {row['label']!r}: needs a uid, what "
            f"is heard, a split of {', '.join(SPLITS)} and a label of {', '.join(FRAMES)}"
        )
    if "/" in uid:
        return f"uid {uid!r}: the name of a folder in {row['label']}"
    if not uid.startswith(row["vid"][:11]):
        return f"uid {uid!r} is not of video {row['vid']!r}"
    told = _start_s(row)
    if row["label"] != "v1m" and times and told is not None and told * 1000 != int(times[1]):
        return f"uid {uid!r} begins at {int(times[1])} ms; s_min {row['s_min']} and s_sec {row['s_sec']} say {told:g} s"
    return ""


def _start_s(row: dict[str, str]) -> float | None:
    """What the row's times say; None where they are no numbers."""
    try:
        return float(row["s_min"]) * 60 + float(row["s_sec"])
    except ValueError:
        return None


def _names(a_obj: str) -> tuple[tuple[str, ...], list[str]]:
    """The classes that a row names, sorted, and names that are none; the release writes one as `h orse`."""
    known = {_plain(name): name for name in (*CLASSES, *_NO_CLASS)}
    names = [name for name in a_obj.split("_") if name]
    found = {known[_plain(name)] for name in names if _plain(name) in known}
    return tuple(sorted(found.difference(_NO_CLASS))), [name for name in names if _plain(name) not in known]


def _plain(name: str) -> str:
    return re.sub(r"[\s-]", "", name.lower())


def _check_numbers(url: str) -> None:
    if not storage.exists(url):
        return
    told = read_json(url)
    wanted = {name: number for number, name in enumerate(["background", *CLASSES])}
    if isinstance(told, dict) and told.keys() <= wanted.keys():
        firsts = {number - wanted[name] if type(number) is int else None for name, number in told.items()}
        if firsts in ({0}, {1}):
            return
    raise LayoutError(
        f"{url} does not number background and the {len(CLASSES)} classes of AVSBench-semantic in their order: its "
        "masks would be read as other classes; remove it if it is not the release's, or give the release's own folder"
    )
