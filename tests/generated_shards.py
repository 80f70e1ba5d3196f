"""A small dataset in the shard format, generated: photos with two shapes, and a sound that says which one is meant."""

import io
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from shards import format, storage, tables
from shards.hashing import hash64, pair, pool_hashes
from shards.manifest import Manifest, ShardEntry, dump
from shards.writer import Content, Shard, write_shard

# category -> (colour, shape, tone in Hz)
CATEGORIES = {
    "bell": ((220, 60, 50), "disc", 300.0),
    "drum": ((50, 90, 220), "box", 900.0),
    "flute": ((60, 190, 80), "triangle", 2700.0),
}


def scene(seed: int, name: str, size: int, category: str) -> tuple[bytes, bytes]:
    """A JPEG with the category's shape and another one, and the PNG mask of the first."""
    rng = np.random.default_rng(hash64("scene", seed, name))
    image = np.full((size, size, 3), rng.integers(90, 160), np.uint8)
    image += rng.integers(0, 30, image.shape, dtype=np.uint8)
    mask = np.zeros((size, size), np.uint8)
    other = rng.choice([each for each in CATEGORIES if each != category])
    left_first = bool(rng.integers(2))
    for side, shown in zip((0, 1), (category, other) if left_first else (other, category), strict=True):
        radius = int(size * rng.uniform(0.14, 0.2))
        x, y = int(size * (0.27 + 0.46 * side)), int(size * rng.uniform(0.3, 0.7))
        colour, shape, _ = CATEGORIES[shown]
        targets = [(image, colour)] + ([(mask, 255)] if shown == category else [])
        for target, value in targets:
            if shape == "disc":
                cv2.circle(target, (x, y), radius, value, -1)
            elif shape == "box":
                cv2.rectangle(target, (x - radius, y - radius), (x + radius, y + radius), value, -1)
            else:
                corners = np.array([[x, y - radius], [x - radius, y + radius], [x + radius, y + radius]])
                cv2.fillPoly(target, [corners.astype(np.int32)], value)
    jpg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return jpg.tobytes(), cv2.imencode(".png", mask)[1].tobytes()


def sound(seed: int, name: str, category: str, duration_s: float) -> bytes:
    """FLAC, 16 kHz: the category's tone, slightly out of tune, over noise."""
    rng = np.random.default_rng(hash64("sound", seed, name))
    time_s = np.arange(int(duration_s * 16000)) / 16000
    tone = np.sin(2 * np.pi * CATEGORIES[category][2] * rng.uniform(0.9, 1.1) * time_s)
    file = io.BytesIO()
    samples = 0.4 * tone + 0.02 * rng.standard_normal(len(time_s))
    soundfile.write(file, samples.astype(np.float32), 16000, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def write_dataset(
    root: str | Path,
    samples: dict[str, int],
    *,
    seed: int = 0,
    size: int = 96,
    samples_per_shard: int = 8,
    clips: int = 4,
    duration_s: float = 2.5,
) -> str:
    """Write `samples` per split and `clips` per category and split; returns the dataset's path."""
    root = str(root)
    sample_rows, pool_rows, shards, pool_shards = [], [], [], []
    for split, count in samples.items():
        sounds = {
            f"gen:{split}_{category}_{i:03d}": (
                category,
                sound(seed, f"{split}{category}{i}", category, duration_s),
            )
            for category in CATEGORIES
            for i in range(clips)
        }
        members = {
            format.key_of(clip_id): {"flac": flac, "json": b"{}"} for clip_id, (_, flac) in sounds.items()
        }
        path = f"pool/{split}-pool-000000.tar"
        written = _write(storage.join(root, path), sorted(members.items()))
        pool_shards.append(_entry(path, split, written))
        for clip_id, (category, _) in sounds.items():
            row = _places(format.key_of(clip_id), path, written)
            row |= {"clip_id": clip_id, "video_id": clip_id, "split": split, "categories": [category],
                    "label": category, "start_s": 0.0, "duration_s": duration_s}  # fmt: skip
            pool_rows.append(row)

        per_shard: dict[int, dict[str, dict[str, bytes]]] = {}
        facts = {}
        for i in range(count):
            category = list(CATEGORIES)[i % len(CATEGORIES)]
            image_id = f"gen:{split}_{i:05d}"
            sample_id = format.sample_id(image_id, category)
            key = format.key_of(sample_id)
            pool = sorted(clip_id for clip_id, (each, _) in sounds.items() if each == category)
            clip_id = pool[pair(seed, 0, sample_id, pool_hashes(pool))]
            jpg, png = scene(seed, image_id, size, category)
            shard = format.shard_index(key, format.shard_count(count, samples_per_shard))
            contents = {"flac": sounds[clip_id][1], "jpg": jpg, "json": b"{}", "mask.png": png}
            per_shard.setdefault(shard, {})[key] = contents
            facts[key] = {"sample_id": sample_id, "category": category, "image_id": image_id, "clip_id": clip_id,
                          "video_id": clip_id, "component": image_id, "width": size, "height": size,
                          "duration_s": duration_s}  # fmt: skip
        for index in sorted(per_shard):
            path = format.shard_path(split, index)
            written = _write(storage.join(root, path), sorted(per_shard[index].items()))
            shards.append(_entry(path, split, written))
            for key in sorted(per_shard[index]):
                sample_rows.append({**_places(key, path, written), **facts[key], "split": split})
    _write_table(root, format.SAMPLES, sample_rows, tables.SAMPLES)
    _write_table(root, format.POOL_TABLE, pool_rows, tables.POOL)
    manifest = Manifest(
        name="generated", seed=seed, recipe={}, label_map={}, code={}, shards=tuple(shards),
        counts={split: {"samples": count, "categories": {}} for split, count in samples.items()},
        pool_shards=tuple(pool_shards), tables={}, funnel=(),
    )  # fmt: skip
    storage.write_atomic(storage.join(root, format.MANIFEST), dump(manifest))
    return root


def write_dataset_of(
    root: str | Path, found: list[tuple[bytes, bytes, bytes]], side: int, *, samples_per_shard: int
) -> str:
    """Write a train split of given (JPEG, PNG, FLAC), each sample with a clip of its own."""
    root, count = str(root), len(found)
    ids = {format.key_of(f"gen:{i}|thing"): i for i in range(count)}
    rows, entries, pool_rows = [], [], []
    per_shard: dict[int, list[str]] = {}
    for key in sorted(ids):
        per_shard.setdefault(
            format.shard_index(key, format.shard_count(count, samples_per_shard)), []
        ).append(key)
    for index, keys in sorted(per_shard.items()):
        path = format.shard_path("train", index)
        contents = [
            (key, dict(zip(("jpg", "mask.png", "flac"), found[ids[key]], strict=True)) | {"json": b"{}"})
            for key in keys
        ]
        written = _write(storage.join(root, path), contents)
        entries.append(_entry(path, "train", written))
        for key in keys:
            name = f"gen:{ids[key]}"
            own = {"sample_id": f"{name}|thing", "category": "thing", "image_id": name, "clip_id": name,
                   "video_id": name, "component": name, "width": side, "height": side, "duration_s": 10.0}  # fmt: skip
            rows.append({**_places(key, path, written), **own, "split": "train"})
    _write_table(root, format.SAMPLES, rows, tables.SAMPLES)
    _write_table(root, format.POOL_TABLE, pool_rows, tables.POOL)
    manifest = Manifest(
        name="benchmark", seed=0, recipe={}, label_map={}, code={}, shards=tuple(entries), pool_shards=(),
        counts={"train": {"samples": count, "categories": {}}}, tables={}, funnel=(),
    )  # fmt: skip
    storage.write_atomic(storage.join(root, format.MANIFEST), dump(manifest))
    return root


def spoil(root: str, key: str, extension: str = "jpg") -> str:
    """Change one byte in the middle of a member; returns the shard's path."""
    with storage.open_read(storage.join(root, format.SAMPLES)) as file:
        row = next(row for row in pq.read_table(file).to_pylist() if row["key"] == key)
    name = tables.column(extension)
    path = Path(root) / row["shard"]
    content = bytearray(path.read_bytes())
    content[row[f"{name}_offset"] + row[f"{name}_size"] // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    return row["shard"]


def _write(url: str, samples: list[tuple[str, dict[str, bytes]]]) -> Shard:
    return write_shard(
        url, [(key, {name: Content.of(data) for name, data in contents.items()}) for key, contents in samples]
    )


def _entry(path: str, split: str, written: Shard) -> ShardEntry:
    return ShardEntry(path, split, len(written.members), written.bytes, written.sha256, {})


def _places(key: str, path: str, written: Shard) -> dict[str, object]:
    row: dict[str, object] = {"key": key, "shard": path}
    for extension, member in written.members[key].items():
        name = tables.column(extension)
        row |= {f"{name}_offset": member.offset, f"{name}_size": member.size, f"{name}_sha256": member.sha256}
    return row


def _write_table(root: str, name: str, rows: list[dict[str, object]], schema: pa.Schema) -> None:
    for row in rows:
        assert row.keys() <= set(schema.names), row.keys() - set(schema.names)
    with storage.open_atomic(storage.join(root, name)) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
