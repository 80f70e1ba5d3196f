"""The last step: what every stage counted to the funnel, rejections to sorted slices, and all of it to a dataset."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.build.code import code_versions
from pipelines.build.scene_sound import rules
from pipelines.build.scenes import classes
from pipelines.build.shuffle import Grouping
from pipelines.recipes.recipe import Recipe
from shards import new_dataset, parts, storage, tables
from shards.claims import WORK
from shards.manifest import HeldOutList, Manifest, MapVersion, MaskSource, Step, Target
from shards.tables import REJECTIONS

# (stage, unit): the funnel's steps, in order.
FUNNEL = (
    ("index", "masks"),
    ("categorize", "masks"),
    ("measure", "masks"),
    ("select", "masks"),
    ("index", "clips"),
    ("categorize", "clips"),
    ("exclude", "clips"),
    ("select", "clips"),
    ("split", "clips"),
    ("convert", "clips"),
    *((stage, "samples") for stage in ("merge", "exclude", "cap", "limit", "split", "trim", "pair", "shard")),
)
FUNNEL_OF_SCENES = (
    *FUNNEL[: FUNNEL.index(("exclude", "samples"))],
    *(
        (stage, "samples")
        for stage in ("cap", "split", "compose", "exclude", "limit", "trim", "pair", "shard")
    ),
)
EMPTY = "empty.txt"  # below the work folder: why a build came to no sample
Counts = dict[tuple[str, str, str, str], int]  # (stage, unit, "in" | "kept" | reason, category) -> items


def funnel(counts: Counts) -> tuple[Step, ...]:
    """One entry a step that saw anything."""
    steps = []
    for stage, unit in FUNNEL_OF_SCENES if any(key[0] == "compose" for key in counts) else FUNNEL:
        events: Counter[str] = Counter()
        for (found_stage, found_unit, event, _), number in counts.items():
            if (found_stage, found_unit) == (stage, unit):
                events[event] += number
        entered, kept = events.pop("in", 0), events.pop("kept", 0)
        step = new_dataset.step(stage, unit, entered, events)
        assert step["kept"] == kept, (step, kept)
        if entered:
            steps.append(step)
    return tuple(steps)


def samples_per_category(counts: Counts) -> dict[str, int]:
    """Samples that were paired with a clip, per category that is seen and heard: a scene counts for each of them."""
    found: Counter[str] = Counter()
    for key, number in sorted(counts.items()):
        if key[:3] == ("pair", "samples", "kept"):
            found.update(dict.fromkeys(filter(None, key[3].split("+")), number))
    return dict(sorted(found.items()))


def samples(counts: Counts) -> int:
    """All that were paired."""
    return sum(number for key, number in counts.items() if key[:3] == ("pair", "samples", "kept"))


def write_rejections(table: pa.Table, out: str, grouping: Grouping) -> str:
    """One sorted slice of rejections.parquet, below the work folder."""
    group = grouping.group(table["item"][0].as_py())
    url = storage.join(out, WORK, "rejections", f"{group:0>4}.parquet")
    rows = table.sort_by([(name, "ascending") for name in REJECTIONS.names])
    with storage.open_atomic(url) as file:
        pq.write_table(rows, file)
    return url


def finish(
    out: str,
    recipe: Recipe,
    label_map: LabelMap,
    held_out: tuple[HeldOutList, ...],
    counts: Counts,
    shard_paths: Iterable[str],
    rejections: Iterable[str],
) -> None:
    """Write the tables and the manifest; where no sample is left, only why, to EMPTY."""
    scenes = bool(recipe.scene.targets)
    about = Manifest(
        name=recipe.name,
        seed=recipe.seed,
        recipe={"text": recipe.text, "sha256": recipe.sha256},
        label_map=_named(label_map, scenes),
        code=code_versions(scenes),
        funnel=funnel(counts),
        held_out=held_out,
        targets=cast(tuple[Target, ...], recipe.scene.targets),  # the recipe's own check allows no other
        classes=classes(recipe, label_map),
        mask_sources=cast(tuple[MaskSource, ...], recipe.select.mask_sources if recipe.takes_models else ()),
        sound=rules(recipe) if scenes else None,
    )
    try:
        new_dataset.complete(out, about, shard_paths, partial(parts.load, out), _slices(rejections))
    except new_dataset.NoSamples as error:  # a runner would wrap it
        storage.write_atomic(storage.join(out, WORK, EMPTY), str(error).encode())


def _named(label_map: LabelMap, scenes: bool) -> MapVersion:
    named = MapVersion(name=label_map.name, version=label_map.version, sha256=label_map.sha256)
    if scenes:
        named["groups_sha256"] = label_map.groups_sha256
    return named


def _slices(urls: Iterable[str]) -> Iterator[pa.Table]:
    for url in sorted(urls):
        yield tables.read(url)


def write_report(url: str, counts: Counts) -> None:
    """The counts of a dry run, for the command to print."""
    storage.write_atomic(url, json.dumps([[*key, number] for key, number in sorted(counts.items())]).encode())


def read_report(url: str) -> Counts:
    return {tuple(key): number for *key, number in json.loads(storage.read_bytes(url))}
