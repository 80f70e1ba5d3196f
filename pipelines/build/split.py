"""Stage split: train, val and test, so that no photo and no video is in two of them.

A photo's split is a hash of its component: all images that are the same photograph under any name (LVIS
id, COCO id, Flickr id, near-duplicate found by `fetch`). A video's split follows the official one: test
videos and every held-out video are heard in val or test only. Nothing else decides, so a new category moves no sample.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build.outcome import Outcome
from pipelines.recipes.recipe import Split
from shards import hashing
from shards.errors import AvsError
from shards.manifest import HeldOutList
from shards.rejections import Reason, rejection
from shards.text import read_rows, read_text


class HeldOutError(AvsError, ValueError):
    """A list of held-out videos that names none, or something else; the message says where."""


_START = re.compile(r"_[0-9]{6}$")  # of a clip, behind its video
_COLUMNS = ("video_id", "name", "id")  # of ids, the first that is there
_LISTED = re.compile(r"([A-Za-z0-9_-]{11})(?:_[0-9]+)*")
_ID = "11 characters of A-Z, a-z, 0-9, - and _, which `_<start>` may follow"
_REMEDY = "write a first line that calls the column of YouTube ids `video_id`"


def photo_split(component: str, seed: int, sizes: Split) -> str:
    return _drawn(hashing.unit(seed, "photo", component), sizes)


def _drawn(unit: float, sizes: Split) -> str:
    position = unit * (sizes.train + sizes.val + sizes.test)
    return "val" if position < sizes.val else "test" if position < sizes.val + sizes.test else "train"


def video_split(video_id: str, held_out: bool, seed: int, sizes: Split) -> str | None:
    """The one split that may hear a video; None where the recipe gives that split no size."""
    if not held_out:
        return "train" if sizes.train else None
    if not sizes.val + sizes.test:
        return None
    return "val" if hashing.unit(seed, "video", video_id) * (sizes.val + sizes.test) < sizes.val else "test"


def _any(recording: str, seed: int, sizes: Split) -> str:
    """The split of a recording of which no corpus says where it belongs."""
    return _drawn(hashing.unit(seed, "video", recording), sizes)


def photo_names(table: pa.Table) -> pa.Table:
    """Images to rows (name, node): each name of a photograph, and the least of all its names.

    Args:
        table: `image_id`, `photo_keys` (list of names, may be empty); any number of rows an image.
    """
    ids, keys = table["image_id"].to_pylist(), table["photo_keys"].to_pylist()
    names: list[str] = []
    nodes: list[str] = []
    for known in sorted(
        {tuple(sorted({image_id, *found})) for image_id, found in zip(ids, keys, strict=True)}
    ):
        names += known
        nodes += [known[0]] * len(known)
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


def name_recordings(table: pa.Table, linked: dict[str, str]) -> pa.Table:
    """Add `recording` to clips: the video, or the least id of the videos that near-duplicate clips link to it."""
    names = [linked.get(video, video) for video in table["video_id"].to_pylist()]
    return table.append_column("recording", pa.array(names, pa.string()))


def split_clips(table: pa.Table, held_out: frozenset[str], seed: int, sizes: Split) -> Outcome:
    """Add `split` to clips, all clips of a recording together; one that is held out holds out the others.

    A recording that a corpus puts into a split for good (`split_is_final`) is in that one. Where two put it into
    different ones, or a list holds it out of the training that it is meant for, it stays out of all but the one that
    is heard last: test, then val.
    """
    columns = ["clip_id", "video_id", "recording", "official_split", "split_is_final", "category"]
    rows = table.select(columns).to_pylist()
    kept_out = {
        row["recording"]
        for row in rows
        if row["official_split"] not in ("train", None) or row["video_id"] in held_out
    }
    placed = kept_out | {row["recording"] for row in rows if row["official_split"] == "train"}
    final: dict[str, set[str]] = {}
    for row in rows:
        if row["split_is_final"]:
            final.setdefault(row["recording"], set()).add(row["official_split"])
    splits, rejections = [], []
    for row in rows:
        recording, is_out = row["recording"], row["recording"] in kept_out
        detail = f"{'held-out' if is_out else 'training'} video; its splits have size 0 in the recipe"
        split = (
            video_split(recording, is_out, seed, sizes)
            if recording in placed
            else _any(recording, seed, sizes)
        )
        if meant := final.get(recording):
            split = next((name for name in ("test", "val") if name in meant), "train")
            if row["split_is_final"] and row["official_split"] != split:
                split, detail = None, f"the same recording is in {split} of another corpus or list"
            elif split == "train" and is_out:
                split, detail = None, "a held-out video, which its corpus puts into train"
            elif not getattr(sizes, split):
                split, detail = None, f"its corpus puts it into {split}, which has size 0 in the recipe"
        splits.append(split)
        if split is None:
            rejections.append(rejection("split", row["clip_id"], Reason.NO_SPLIT, detail, row["category"]))
    column = pa.array(splits, pa.string())
    return Outcome.of(table.append_column("split", column).filter(pc.is_valid(column)), rejections)


def pair_names(table: pa.Table) -> pa.Table:
    """Near-duplicate photos (`photo_key_a`, `photo_key_b`) to rows as of `photo_names`: each pair is one photograph."""
    keys = pa.array([[key] for key in table["photo_key_b"].to_pylist()], pa.list_(pa.string()))
    return photo_names(pa.table({"image_id": table["photo_key_a"], "photo_keys": keys}))


def linked_videos(pairs: pa.Table) -> dict[str, str]:
    """Videos that near-duplicate clips (`clip_id_a`, `clip_id_b`) link, to the least id of each group."""
    clips = zip(pairs["clip_id_a"].to_pylist(), pairs["clip_id_b"].to_pylist(), strict=True)
    return components([_START.sub("", clip.split(":", 1)[1]) for clip in pair] for pair in clips)


def read_held_out(url: str) -> frozenset[str]:
    """Video ids of a CSV that training must not hear: rows whose `split` is not train, or all without that column.

    The ids are in the column `video_id`, `name` or `id`, or in the first of a list without header whose lines all begin
    with an id. An id is the 11 characters of YouTube; `_<start>` or `_<start>_<end>` may follow, as AVSBench writes it.

    Raises:
        HeldOutError: no video, no such column, no such id. TextError: no CSV in UTF-8. OSError: no such file.
    """
    found = set()
    for line, split, name in _listed(url):
        if split == "train":
            continue
        listed = _LISTED.fullmatch(name)
        if not listed:
            raise HeldOutError(f"{url}:{line}: {name!r} is no YouTube id: {_ID}")
        found.add(listed[1])
    if not found:
        raise HeldOutError(
            f"{url} lists no video to hold out: {_REMEDY}, and rows whose `split` is not train"
        )
    return frozenset(found)


def held_out_list(url: str, name: str) -> HeldOutList:
    """What a manifest says of a list that is there; raises as `read_held_out`."""
    return {"list": name, "videos": len(read_held_out(url)), "own_leaks": leaks_within(url)}


def leaks_within(url: str) -> dict[str, tuple[int, int]]:
    """Of such a CSV, by split other than train: rows whose video the list has in train, too, and all rows of it."""
    listed = [(split, found[1]) for _, split, name in _listed(url) if (found := _LISTED.fullmatch(name))]
    trained = {video for split, video in listed if split == "train"}
    rows = Counter(split for split, _ in listed if split != "train")
    shared = Counter(split for split, video in listed if split != "train" and video in trained)
    return {split: (shared[split], rows[split]) for split in sorted(rows) if shared[split]}


def _listed(url: str) -> list[tuple[int, str, str]]:
    """Line, split in small letters (empty: not said) and what should be an id, of each row."""
    text = io.StringIO(read_text(url), newline=None)
    lines = [
        (line, [value.strip().strip('"').strip() for value in row.split(",")])
        for line, row in enumerate(text, start=1)
        if row.strip()
    ]
    if lines and all(_LISTED.fullmatch(values[0]) for _, values in lines):
        for line, values in lines:
            if "train" in map(str.lower, values):
                raise HeldOutError(
                    f"{url}:{line}: without a header nothing tells which column is the split; {_REMEDY}, and `split`"
                )
        return [(line, "", values[0]) for line, values in lines]
    rows = list(read_rows(url))
    names = rows[0][1] if rows else {}
    column = next((name for name in _COLUMNS if name in names), None)
    if rows and column is None:
        raise HeldOutError(
            f"{url} has no column `video_id`, `name` or `id`, and not every line begins with a YouTube id; its first "
            f"line is {', '.join(names)[:200]}; {_REMEDY}, or give ids alone, one a line"
        )
    return [(line, row.get("split", "").lower(), row[column]) for line, row in rows if column]
