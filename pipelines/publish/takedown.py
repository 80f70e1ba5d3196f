"""Take photos and videos out of a dataset on request; the rest stays as it is.

`takedowns.json` travels with every later version: `build --base` leaves out what it names, and `publish` refuses a
version that brings it back.
"""

from collections.abc import Callable, Iterable
from functools import partial

from pipelines.publish import records, subset
from shards import format
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.rejections import Reason
from shards.takedowns import TAKEDOWNS, Takedown, dump, load


def takedown(
    dataset: Dataset,
    out: str,
    images: Iterable[str],
    videos: Iterable[str],
    reason: str,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> subset.Made:
    """Write `dataset` to `out` without these photos (under any of their names) and videos.

    Args:
        images: image ids (`lvis:73`) or names of a photograph (`flickr:4711`). videos: YouTube ids.
        reason: recorded with every item, and published.
        progress: told the stage, how many samples or shards are done, of how many.

    Raises:
        DatasetError: an id that the dataset does not have, or nothing would be left.
    """
    asked, videos = set(images), set(videos)
    if not reason.strip():
        raise DatasetError("a takedown needs its --reason: it is published in the changelog")
    pool = dataset.table(format.POOL_TABLE, ["clip_id", "video_id"]).to_pylist()
    table, found = dataset.table(), []
    for row, record in records.records(dataset, table):
        found.append((row["key"], {record["image"]["id"], *record["image"]["photo_keys"]}))
        progress("Read the records", len(found), len(table))
    unknown = sorted(asked - set().union(*(names for _, names in found))) + sorted(
        videos - {row["video_id"] for row in pool}
    )
    if unknown:
        raise DatasetError(
            f"{dataset.url} has no {', '.join(unknown)}: nothing was written; ids are as in {format.SAMPLES} "
            f"(image_id, video_id)"
        )
    samples: dict[str, str] = {}
    requests = [Takedown("video", (video,), reason) for video in videos]
    for name in sorted(asked):
        names = {name}
        while (
            more := {other for _, known in found if known & names for other in known} - names
        ):  # a photograph's names
            names |= more
        samples |= {key: f"{name}: {reason}" for key, known in found if known & names}
        requests.append(Takedown("image", tuple(sorted(names)), reason))
    clips = {row["clip_id"]: f"{row['video_id']}: {reason}" for row in pool if row["video_id"] in videos}
    beside = {TAKEDOWNS: dump((*load(dataset.url), *requests))}
    return subset.write(
        dataset,
        out,
        subset.Cut("takedown", Reason.TAKEN_DOWN, samples, clips, beside),
        partial(progress, "Write shards"),
    )


def returned(dataset: Dataset, takedowns: Iterable[Takedown]) -> list[str]:
    """Names taken down that the dataset has all the same, each with the reason."""
    by_name: dict[tuple[str, str], Takedown] = {
        (one.kind, name): one for one in takedowns for name in one.names
    }
    if not by_name:
        return []
    found = {
        ("video", video) for video in dataset.table(format.POOL_TABLE, ["video_id"])["video_id"].to_pylist()
    }
    for _, record in records.records(dataset, dataset.table()):
        found |= {("image", name) for name in (record["image"]["id"], *record["image"]["photo_keys"])}
    return [f"{kind} {name} ({by_name[kind, name].reason})" for kind, name in sorted(found & set(by_name))]
