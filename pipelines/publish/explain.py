"""One sample's whole story, from source URL to shard offset; or why an item was dropped."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build import split
from pipelines.publish import lookup, records
from pipelines.recipes import recipe
from shards import format, hashing
from shards.manifest import DatasetError, Manifest
from shards.pools import Pools
from shards.reader import Dataset, as_told
from shards.records import SampleRecord, decode, paired_as
from shards.tables import column

Facts = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """What is known of one item, in sections; each is a table of facts, in the order of the build."""

    title: str
    sections: dict[str, Facts]


def explain(dataset: Dataset, asked: str) -> list[Story]:
    """The story of a sample, or of every sample of an image, clip or video, or of what was dropped.

    Args:
        asked: a key or its first digits (6 at least), a sample id, an image, mask, clip or video id; the corpus in
            front of an id may be missing.

    Raises:
        DatasetError: nothing of that name was kept or dropped.
    """
    table = dataset.table()
    ids = pa.array(lookup.names(asked))
    stories = [sample_story(dataset, row) for row in table.take(lookup.samples(table, asked)).to_pylist()]
    pool = dataset.table(format.POOL_TABLE)
    named = [pc.is_in(pool[name], ids) for name in ("key", "clip_id", "video_id")]
    heard = pc.list_flatten(table["clip_ids"]) if "clip_ids" in table.column_names else table["clip_id"]
    unheard = pc.invert(pc.is_in(pool["clip_id"], heard.combine_chunks()))
    for clip in pool.filter(pc.and_(pc.or_(pc.or_(*named[:2]), named[2]), unheard)).to_pylist():
        stories.append(_unheard(clip, table))
    rejected = dataset.table(format.REJECTIONS)
    for row in rejected.filter(lookup.dropped(rejected["item"], asked)).to_pylist():
        facts = {name: row[name] for name in ("stage", "reason", "detail", "category")}
        stories.append(Story(f"{row['item']} was dropped", {"dropped": facts}))
    if not stories:
        raise DatasetError(
            f"{dataset.url} kept and dropped nothing called {asked!r}: give a key, or a sample, image, mask, clip or "
            f"video id as in {format.SAMPLES} and {format.REJECTIONS}"
        )
    return stories


def _unheard(clip: dict[str, Any], table: pa.Table) -> Story:
    """Of a clip of the pool that no sample hears."""
    wanted = pa.array(clip["categories"], pa.string())
    fits = pc.is_in(table["category"], wanted).to_numpy()
    if "categories" in table.column_names:
        fits[lookup.having(table["categories"], wanted)] = True
    may = (
        table["sample_id"]
        .filter(pc.and_(pc.equal(table["split"], clip["split"]), pa.array(fits)))
        .to_pylist()
    )
    facts = {
        **{name: clip[name] for name in ("key", "video_id", "split", "label", "licence")},
        "categories": ", ".join(clip["categories"]),
        "time": f"from {clip['start_s']:g} s, {clip['duration_s']:g} s long",
        "heard by": "no sample as the dataset is: each drew another clip",
        "may be heard by": f"{len(may)} sample(s) of {clip['split']}, where a trainer draws anew"
        + (f": {', '.join(may[:3])}{', …' if len(may) > 3 else ''}" if may else ""),
        "tar": f"{clip['shard']}, offset {clip['flac_offset']}, {clip['flac_size']} bytes",
        "sha256": clip["flac_sha256"],
    }
    return Story(f"{clip['clip_id']} is in the pool", {"pool": facts})


def sample_story(dataset: Dataset, row: dict[str, Any], pools: Pools | None = None) -> Story:
    """Of a row of samples.parquet.

    Args:
        pools: of the dataset, where they are made already.

    Raises:
        DatasetError, RecordError: its record is not what the row says. FileNotFoundError: its shard is gone.
    """
    made = dataset.manifest
    record = as_told(row, dataset.read_member(row, "json"))
    rules = recipe.recorded(made)
    imported = {
        "as published": "imported from the release of a finished dataset, not built by rules of a recipe"
    }
    image, mask, sources = record["image"], record["mask"], records.sources(record)
    links = [*image["labels"], *(source["audio"]["label"] for source in sources if source["audio"])]
    return Story(
        f"{row['key']}  {row['sample_id']}",
        {
            "photo": {
                **{name: image[name] for name in ("id", "url", "author", "licence", "licence_url", "sha256")},
                "names": ", ".join(image["photo_keys"]),
                "size": f"{image['width']} x {image['height']} px",
            },
            "mask": {
                "joined from": ", ".join(mask["ids"]),
                "policy": mask["policy"],
                "area": f"{mask['area_px']} px, {mask['area_fraction']:.5f} of the photo",
                "box": f"x {mask['bbox'][0]}, y {mask['bbox'][1]}, {mask['bbox'][2]} x {mask['bbox'][3]} px",
                "sha256": mask["sha256"],
            },
            **_sounds(record, sources),
            "category": {
                row["category"] or "none": f"label map {made.label_map['name']} {made.label_map['version']}",
                **{_label(link): _decided(link) for link in links},
            }
            if rules
            else {row["category"]: "as published"},
            "rules": _rules(row, record, rules) if rules else imported,
            "split": _split(row, rules) if rules else {"split": row["split"], **imported},
            "pairing": _pairing(pools or pools_of(dataset), row, record) if rules else imported,
            "shard": _shard(made, row),
        },
    )


def _sounds(record: dict[str, Any], sources: list[dict[str, Any]]) -> dict[str, Facts]:
    """A section of the clip, or of a scene's sound and of each of its sources."""
    if "sound" not in record:
        return {"sound": _clip(record["audio"])}
    made = record["sound"]
    found: dict[str, Facts] = {
        "sound": {
            "kind": record["kind"],
            "made by": f"{made['rule']}, {made['duration_s']:g} s, "
            + (f"stereo by {made['pan_law']} pan" if made["channels"] == 2 else "mono"),
            "scale": f"{made['scale']:.5f}; {made['clipped']} values would not have fitted",
            "sha256": made["sha256"],
        }
    }
    for place, source in enumerate(sources, start=1):
        seen = (
            f"{source['area_px']} px of {', '.join(source['mask_ids'])}" if source["mask_ids"] else "not seen"
        )
        at = f", pan {source['pan']:g}, delay {source['delay']} samples" if made["channels"] == 2 else ""
        found[f"source {place}"] = {
            "category": source["category"] or "noise",
            "mask": seen,
            **(_clip(source["audio"]) if source["audio"] else {}),
            "heard": f"from {source['crop_start_s']:g} s of the clip, {source['gain_db']:+.1f} dB{at}",
        }
    return found


def _clip(sound: dict[str, Any]) -> Facts:
    return {
        **{name: sound[name] for name in ("id", "video_id", "url", "author", "licence", "sha256")},
        "time": f"from {sound['start_s']:g} s, {sound['duration_s']:g} s long",
        "official split": sound["official_split"],
    }


def _label(link: dict[str, str]) -> str:
    synset = f", {link['synset']}" if link.get("synset") else ""
    called = f", {link['label']!r} in its file" if link.get("label", link["name"]) != link["name"] else ""
    return f"{link['source']} {link['name']!r} ({link['source_id']}{synset}{called})"


def _decided(link: dict[str, str]) -> str:
    return f"{link['relation']}, decided by {link['decided_by']} on {link['decided_on']}"


def _rules(row: dict[str, Any], record: dict[str, Any], rules: recipe.Recipe) -> Facts:
    """Every rule that the sample passed, with its own value."""
    select = rules.select
    image = record["image"]
    sounds = records.clips(record)
    return {
        "mask area": f"{select.min_area_fraction:g} <= {row['area_fraction']:.5f} <= {select.max_area_fraction:g}",
        "shorter side": f"{min(row['width'], row['height'])} px >= {select.min_side_px}",
        "pixels": f"{row['width'] * row['height']} <= {select.max_image_pixels}",
        "crowd, group, depiction": ", ".join(
            f"{name} {'kept' if getattr(select, name) else 'none is kept'}"
            for name in ("crowd", "group_of", "depiction")
        ),
        "photo licence": _licence(image["licence"], select.image_licences),
        "sound licence": ", ".join(_licence(sound["licence"], select.audio_licences) for sound in sounds),
        "sound length": ", ".join(
            f"{sound['duration_s']:g} s >= {select.min_duration_s:g}" for sound in sounds
        ),
        "sound file's length": f"<= {select.max_duration_s:g} s",
        "sound peak": f">= {select.silence_peak:g}",
    }


def _licence(licence: str | None, allowed: tuple[str, ...]) -> str:
    return f"{licence or 'unknown'}; allowed: {', '.join(allowed) or 'any'}"


def _split(row: dict[str, Any], rules: recipe.Recipe) -> Facts:
    sizes = rules.split
    position = hashing.unit(rules.seed, "photo", row["component"])
    again = split.photo_split(row["component"], rules.seed, sizes)
    return {
        "split": row["split"],
        "component": f"{row['component']} (all photos linked with it share the split)",
        "hash": f"{position:.6f} of 1; val is below {sizes.val / _all(sizes):.4f}, test below "
        f"{(sizes.val + sizes.test) / _all(sizes):.4f}: {again}",
    }


def _all(sizes: recipe.Split) -> int:
    return sizes.train + sizes.val + sizes.test


def pools_of(dataset: Dataset) -> Pools:
    return Pools(dataset.table(format.POOL_TABLE, ["clip_id", "split", "categories"]))


def _pairing(pools: Pools, row: dict[str, Any], record: dict[str, Any]) -> Facts:
    seed, epoch = record["pairing"]["seed"], record["pairing"]["epoch"]
    facts: Facts = {"seed, epoch": f"{seed}, {epoch}"}
    told = decode(format.json_bytes(record), SampleRecord)
    taken: list[int] = []
    for place, source in enumerate(told.sources, start=1):
        if source.audio is None:
            continue
        of = f" of source {place}" if len(told.sources) > 1 else ""
        drawn_as = paired_as(told, source)
        drawn = pools.draw(seed, epoch, drawn_as, row["split"], source.category, taken)
        taken += [] if drawn is None else [drawn]
        again = "no clip" if drawn is None else pools.ids[drawn]
        number = len(pools.of(row["split"], source.category))
        facts[f"pool{of}"] = f"{number} {source.category} clip(s) of {row['split']}"
        facts[f"hash{of}"] = f"{hashing.hash64('pair', seed, epoch, drawn_as):016x}"
        same = "the same" if again == source.audio.id else "NOT what the shard holds"
        facts[f"drawn again{of}"] = f"{again} ({same})"
    return facts


def _shard(made: Manifest, row: dict[str, Any]) -> Facts:
    entry = next(entry for entry in made.shards if entry.path == row["shard"])
    members = {
        f"{row['key']}.{extension}": (
            f"offset {row[f'{column(extension)}_offset']}, {row[f'{column(extension)}_size']} bytes, "
            f"sha256 {row[f'{column(extension)}_sha256']}"
        )
        for extension in made.sample_members
    }
    return {
        "tar": f"{entry.path}, sha256 {entry.sha256}",
        **members,
        "recipe": f"sha256 {made.recipe['sha256']}",
    }
