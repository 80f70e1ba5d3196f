"""Stage split: train, val and test, so that no photo and no video is in two of them.

A photo's split is a hash of its component: all images that are the same photograph under any name (LVIS
id, COCO id, Flickr id, near-duplicate). A video's split follows the official one: test videos and every
held-out video are heard in val or test only. Nothing else decides, so a new category moves no sample.
"""

import csv
import io
import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.recipe import Split
from pipelines.records import Outcome, Reason, rejection
from shards import hashing, storage

_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


def photo_split(component: str, seed: int, sizes: Split) -> str:
    position = hashing.unit(seed, "photo", component) * (sizes.train + sizes.val + sizes.test)
    return "val" if position < sizes.val else "test" if position < sizes.val + sizes.test else "train"


def video_split(video_id: str, held_out: bool, seed: int, sizes: Split) -> str | None:
    """The one split that may hear a video; None where the recipe gives that split no size."""
    if not held_out:
        return "train" if sizes.train else None
    if not sizes.val + sizes.test:
        return None
    return "val" if hashing.unit(seed, "video", video_id) * (sizes.val + sizes.test) < sizes.val else "test"


def photo_names(table: pa.Table) -> pa.Table:
    """Images to rows (name, node): each name of a photograph, and the least of all its names.

    Args:
        table: `image_id`, `photo_keys` (list of names, may be empty); any number of rows an image.
    """
    images = dict(zip(table["image_id"].to_pylist(), table["photo_keys"].to_pylist(), strict=True))
    names, nodes = [], []
    for image_id, keys in images.items():
        known = {image_id, *keys}
        names += sorted(known)
        nodes += [min(known)] * len(known)
    return pa.table({"name": pa.array(names, pa.string()), "node": pa.array(nodes, pa.string())})


def linked_nodes(names: pa.Table) -> list[list[str]]:
    """Nodes that share a name, from all rows (name, node) of some names."""
    distinct = names.group_by(["name", "node"]).aggregate([])
    shared = distinct.group_by("name").aggregate([("node", "list")])
    return sorted(sorted(nodes) for nodes in shared["node_list"].to_pylist() if len(nodes) > 1)


def components(links: Iterable[Iterable[str]]) -> dict[str, str]:
    """Every linked node to the name of its component: the least of its nodes. A node not named is its own."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link in links:
        first, *others = (root(node) for node in link)
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return {node: root(node) for node in parent}


def split_samples(table: pa.Table, linked: dict[str, str], seed: int, sizes: Split) -> Outcome:
    """Add `component` and `split` to candidates."""
    rows = table.select(["image_id", "photo_keys"]).to_pylist()
    nodes = [min(row["image_id"], *row["photo_keys"]) for row in rows]
    names = [linked.get(node, node) for node in nodes]
    splits = [photo_split(name, seed, sizes) for name in names]
    table = table.append_column("component", pa.array(names, pa.string()))
    return Outcome.of(table.append_column("split", pa.array(splits, pa.string())), [])


def split_clips(table: pa.Table, held_out: frozenset[str], seed: int, sizes: Split) -> Outcome:
    """Add `split` to clips, all clips of a video together; one official test clip holds out its whole video."""
    rows = table.select(["clip_id", "video_id", "official_split", "category"]).to_pylist()
    kept_out = held_out | {row["video_id"] for row in rows if row["official_split"] != "train"}
    splits = [video_split(row["video_id"], row["video_id"] in kept_out, seed, sizes) for row in rows]
    rejections = [
        rejection(
            "split",
            row["clip_id"],
            Reason.NO_SPLIT,
            f"{'held-out' if row['video_id'] in kept_out else 'training'} video; its splits have size 0 in the recipe",
            row["category"],
        )
        for row, name in zip(rows, splits, strict=True)
        if name is None
    ]
    column = pa.array(splits, pa.string())
    return Outcome.of(table.append_column("split", column).filter(pc.is_valid(column)), rejections)


def read_held_out(url: str) -> frozenset[str]:
    """Video ids of a CSV that training must not hear: rows whose `split` is not train, or all without that column.

    The id is the 11 characters of YouTube at the head of the column `video_id`, `name`, `id` or the first one;
    AVSBench writes `<id>_<start>` there.

    Raises:
        ValueError: no header, or ids that are no YouTube ids.
    """
    rows = list(csv.DictReader(io.StringIO(storage.read_bytes(url).decode("utf-8-sig"))))
    if not rows:
        raise ValueError(f"{url} lists no video; it is a CSV with a header and a column `video_id` or `name`")
    column = next((name for name in ("video_id", "name", "id") if name in rows[0]), next(iter(rows[0])))
    found = set()
    for number, row in enumerate(rows, start=2):
        if (row.get("split") or "").strip().lower() == "train":
            continue
        head = _YOUTUBE_ID.match((row[column] or "").strip())
        if not head:
            raise ValueError(
                f"{url}:{number}: {column} = {row[column]!r} starts with no YouTube id (11 characters)"
            )
        found.add(head.group())
    return frozenset(found)
