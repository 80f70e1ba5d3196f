"""IS3, interactive synthetic sound sources (arXiv 2407.13676): photos of two things, each heard alone.

    IS3_annotation.json       of each annotation its box and category
    images/NAME.jpg           a copy of the photo for each annotation
    gt_segmentation/NAME.jpg  its mask, black and white
    audio_waw/NAME.wav        its sound

NAME is `<photo>_<thing>`, as accordion_baby_10467_accordion; the photo is accordion_baby_10467. All of it is a test.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipelines.imports import media
from pipelines.imports.planned import Found, LayoutError, PlannedSample
from pipelines.media import images
from shards import storage, text
from shards.rejections import Rejected

TABLE = "IS3_annotation.json"
_MASKS, _IMAGES, _SOUNDS = "gt_segmentation", "images", ("audio_waw", "audio_wav")
_NAME = re.compile(
    r"(.+_[0-9]+)_[^0-9].*"
)  # the photo's name ends in a number, the thing's may have several words
_MOST_APART = 8.0  # levels of 255, of two copies of a photo; those of two photos are tens apart
_NAMES = ("name", "image", "file", "file_name", "filename", "id", "audio")  # of an annotation in a list


def read(folder: str) -> Found:
    """Plan the samples of a release folder.

    Raises:
        LayoutError: no IS3_annotation.json, or one that names no annotations. TextError: no JSON.
    """
    found = Found("is3")
    masks, photos = (_files(folder, below) for below in (_MASKS, _IMAGES))
    sounds = next(filter(None, (_files(folder, below) for below in _SOUNDS)), {})
    of_photo: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, category in _annotations(folder):
        match = _NAME.fullmatch(name)
        photo = match[1] if match else name.rpartition("_")[0]
        lacks = [
            what
            for what, files in (("mask", masks), ("image", photos), ("sound", sounds))
            if name not in files
        ]
        if not photo or not category:
            found.bad_row(name, f"category {category!r}: a name <photo>_<thing> and a category are needed")
        elif lacks:
            found.bad_row(name, f"no {' and no '.join(lacks)} of this name")
        else:
            of_photo[photo].append((name, category.strip().lower().replace(" ", "_")))
    for photo, things in sorted(of_photo.items()):
        if len(things) != 2 or things[0][1] == things[1][1]:
            told = ", ".join(f"{name} ({category})" for name, category in things)
            found.bad_row(photo, f"{told}: a photo has two annotations of different categories")
            continue
        if why := _differ(*(storage.join(folder, photos[name]) for name, _ in things)):
            found.bad_row(
                photo, f"the images of {things[0][0]} and {things[1][0]} are no copies of one photo: {why}"
            )
            continue
        for name, category in things:
            found.samples.append(
                PlannedSample(
                    image_id=f"is3:{photo}", category=category, split="test", image_path=photos[name],
                    mask_id=f"is3:{name}", mask_path=masks[name], clip_id=f"is3:{name}", video_id=name,
                    audio_path=sounds[name], window=-1, component=f"is3:{photo}",
                )
            )  # fmt: skip
    return found


def _differ(one: str, other: str) -> str:
    """In what two images are no copies of one photo; empty where they are, and where one is unreadable (told later)."""
    if storage.read_bytes(one) == storage.read_bytes(other):
        return ""
    try:
        (_, first, *size), (_, second, *its_size) = (media.photo(url) for url in (one, other))
        if size != its_size:
            return f"{size[0]} x {size[1]} and {its_size[0]} x {its_size[1]} pixels"
        lumas = [np.asarray(images.shown(content, (64, 64)), np.float64) for content in (first, second)]
    except (Rejected, *images.FAULTS):
        return ""
    apart = np.abs(lumas[0] - lumas[1]).mean()
    return f"{apart:.0f} levels of 255 apart" if apart > _MOST_APART else ""


def _files(folder: str, below: str) -> dict[str, str]:
    """Path of each file below the folder, by its name without the end."""
    return {
        posixpath.splitext(name)[0]: f"{below}/{name}" for name in storage.names(storage.join(folder, below))
    }


def _annotations(folder: str) -> Iterator[tuple[str, str]]:
    """Name and category of each annotation: of a list of objects, or of an object by name."""
    url = storage.join(folder, TABLE)
    if not storage.exists(url):
        raise LayoutError(f"{folder} has no {TABLE}: give the folder of IS3, unpacked")
    told = text.read_json(url)
    rows = [(one, _named(one)) for one in told] if isinstance(told, list) else []
    if isinstance(told, dict):
        rows = [(one, name) for name, one in told.items()]
    named = [(_stem(name), one) for one, name in rows if name]
    if not named or len(named) < len(rows):
        raise LayoutError(f"{url} is neither an object of annotations by name nor a list of them with names")
    for name, one in named:
        category = one.get("category", one.get("class", "")) if isinstance(one, dict) else ""
        yield name, category if isinstance(category, str) else ""


def _named(one: Any) -> str:
    found = (one.get(name) for name in _NAMES) if isinstance(one, dict) else ()
    return next((name for name in found if isinstance(name, str) and name), "")


def _stem(name: str) -> str:
    stem, end = posixpath.splitext(posixpath.basename(name))
    return stem if end in (".jpg", ".jpeg", ".png", ".wav") else stem + end
