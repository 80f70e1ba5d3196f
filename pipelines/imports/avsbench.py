"""AVSBench S4 and MS3 (Zhou et al., ECCV 2022) in their official folders.

    S4/s4_meta_data.csv                                      name, start, category, split
    S4/s4_data/visual_frames/SPLIT/CATEGORY/NAME/NAME_1.png  … _5.png, about one a second
    S4/s4_data/gt_masks/SPLIT/CATEGORY/NAME/NAME_1.png       … _5.png; only _1 in training
    S4/s4_data/audio_wav/SPLIT/CATEGORY/NAME.wav
    MS3/ms3_meta_data.csv                                    video_id, split
    MS3/ms3_data/visual_frames/NAME/NAME.mp4_1.png           … _5.png
    MS3/ms3_data/gt_masks/SPLIT/NAME/NAME_1.png              … _5.png
    MS3/ms3_data/audio_wav/SPLIT/NAME.wav

Frame i belongs to VGGish window i - 1. One sample a frame that has a mask file; its image id is VIDEO#FRAME.
AVSBench-semantic, with its metadata.csv, `avss` reads.
"""

from collections.abc import Callable, Iterator

from pipelines.imports import avss
from pipelines.imports.leaks import youtube_id
from pipelines.imports.planned import Found, LayoutError, PlannedSample
from pipelines.imports.tables import rows
from shards import storage
from shards.format import SPLITS

FRAMES = 5
MS3_CATEGORY = "multiple_sources"


def read(folder: str) -> Found:
    """Plan the samples of an S4, an MS3 or a semantic folder; which of them, its meta data file says.

    Raises:
        LayoutError: none of them.
    """
    if storage.exists(storage.join(folder, "s4_meta_data.csv")):
        found = Found("avsbench_s4")
        return _read(found, folder, _s4(found, folder), "s4_data")
    if storage.exists(storage.join(folder, "ms3_meta_data.csv")):
        found = Found("avsbench_ms3")
        return _read(found, folder, _ms3(found, folder), "ms3_data")
    if storage.exists(storage.join(folder, avss.TABLE)):
        return avss.read(folder)
    raise LayoutError(
        f"{folder} has neither s4_meta_data.csv nor ms3_meta_data.csv nor {avss.TABLE}: give the folder of S4, of "
        "MS3 or of AVSBench-semantic"
    )


Video = tuple[
    str, str, str, str, Callable[[int], tuple[str, str]], str
]  # where, name, category, split, files, audio


def _s4(found: Found, folder: str) -> Iterator[Video]:
    for where, row in rows(found, folder, ["s4_meta_data.csv"], ["name", "category", "split"]):
        name, below = row["name"], f"{row['split']}/{row['category']}/{row['name']}"

        def files(frame: int, name: str = name, below: str = below) -> tuple[str, str]:
            return f"visual_frames/{below}/{name}_{frame}.png", f"gt_masks/{below}/{name}_{frame}.png"

        yield where, name, row["category"], row["split"], files, f"audio_wav/{below}.wav"


def _ms3(found: Found, folder: str) -> Iterator[Video]:
    for where, row in rows(found, folder, ["ms3_meta_data.csv"], ["video_id", "split"]):
        name, split = row["video_id"], row["split"]

        def files(frame: int, name: str = name, split: str = split) -> tuple[str, str]:
            return (
                f"visual_frames/{name}/{name}.mp4_{frame}.png",
                f"gt_masks/{split}/{name}/{name}_{frame}.png",
            )

        yield where, name, MS3_CATEGORY, split, files, f"audio_wav/{split}/{name}.wav"


def _read(found: Found, folder: str, videos: Iterator[Video], data: str) -> Found:
    dataset = found.name
    prefix = f"{data}/" if storage.exists(storage.join(folder, data)) else ""
    for where, name, category, split, files, audio in videos:
        if split not in SPLITS or not name or "/" in name or not category:
            found.bad_row(
                where, f"name {name!r}, category {category!r}, split {split!r}: one of {', '.join(SPLITS)}"
            )
            continue
        frames = range(1, 2) if dataset == "avsbench_s4" and split == "train" else range(1, FRAMES + 1)
        for frame in frames:
            image, mask = files(frame)
            video = f"{dataset}:{name}"
            found.samples.append(
                PlannedSample(
                    image_id=f"{video}#{frame}", category=category, split=split, image_path=prefix + image,
                    mask_id=f"{video}#{frame}", mask_path=prefix + mask, clip_id=f"{video}#{frame}",
                    video_id=youtube_id(name), audio_path=prefix + audio, window=frame - 1, component=video,
                )
            )  # fmt: skip
    return found
