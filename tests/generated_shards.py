"""A small dataset in the shard format, generated: photos with two shapes, and a sound that says which one is meant."""

import io
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import soundfile

from shards import format, new_dataset, parts, records, storage, tables
from shards.hashing import hash64
from shards.manifest import Manifest
from shards.pools import Pools
from shards.writer import Content

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
    sounds = {
        f"gen:{split}_{category}_{i:03d}": _clip(
            f"gen:{split}_{category}_{i:03d}",
            split,
            category,
            sound(seed, f"{split}{category}{i}", category, duration_s),
            duration_s,
        )
        for split in samples
        for category in CATEGORIES
        for i in range(clips)
    }
    pool = parts.write_shard_of(
        str(root), format.shard_path(format.POOL, 0), sorted(sounds.values(), key=lambda one: one[0].key)
    )
    pools = Pools(pool.rows)
    made: dict[str, list[parts.Encoded]] = {}
    for split, count in samples.items():
        for i in range(count):
            category, image_id = list(CATEGORIES)[i % len(CATEGORIES)], f"gen:{split}_{i:05d}"
            sample_id = format.sample_id(image_id, category)
            clip = sounds[pools.ids[pools.draw(seed, 0, sample_id, split, category)]]
            one = _sample(image_id, split, category, seed, clip, *scene(seed, image_id, size, category))
            index = format.shard_index(one[0].key, format.shard_count(count, samples_per_shard))
            made.setdefault(format.shard_path(split, index), []).append(one)
    return _complete(str(root), "generated", seed, [pool], made)


def write_dataset_of(
    root: str | Path, found: list[tuple[bytes, bytes, bytes]], *, samples_per_shard: int
) -> str:
    """Write a train split of given (JPEG, PNG, FLAC), each sample with a clip of its own."""
    made: dict[str, list[parts.Encoded]] = {}
    for i, (jpg, png, flac) in enumerate(found):
        clip = _clip(f"gen:{i}", "train", "thing", flac, 10.0)
        one = _sample(f"gen:{i}", "train", "thing", 0, clip, jpg, png)
        index = format.shard_index(one[0].key, format.shard_count(len(found), samples_per_shard))
        made.setdefault(format.shard_path("train", index), []).append(one)
    return _complete(str(root), "benchmark", 0, [], made)


def _clip(clip_id: str, split: str, category: str, flac: bytes, duration_s: float) -> parts.Encoded:
    content = Content.of(flac)
    record = records.ClipRecord(
        id=clip_id, key=format.key_of(clip_id), video_id=clip_id, start_s=0.0, duration_s=duration_s, split=split,
        label=records.NO_LABEL, official_split=split, sha256=content.sha256, categories=(category,),
    )  # fmt: skip
    return record, {"flac": content}


def _sample(
    image_id: str, split: str, category: str, seed: int, clip: parts.Encoded, jpg: bytes, png: bytes
) -> parts.Encoded:
    mask = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    photo, drawn = Content.of(jpg), Content.of(png)
    heard, sounding = clip
    assert isinstance(heard, records.ClipRecord)
    sample_id, area = format.sample_id(image_id, category), int((mask > 0).sum())
    record = records.SampleRecord(
        key=format.key_of(sample_id), sample_id=sample_id, split=split, category=category, component=image_id,
        pairing=records.Pairing(seed), audio=heard.audio,
        image=records.Image(
            id=image_id, corpus="gen", width=mask.shape[1], height=mask.shape[0], sha256=photo.sha256,
            photo_keys=(image_id,), labels=(records.NO_LABEL,),
        ),
        mask=records.Mask(
            ids=(image_id,), policy="union", area_px=area, area_fraction=area / mask.size,
            bbox=tuple(cv2.boundingRect(mask)), sha256=drawn.sha256,
        ),
    )  # fmt: skip
    return record, {**sounding, "jpg": photo, "mask.png": drawn}


def _complete(
    root: str, name: str, seed: int, written: list[parts.Part], made: dict[str, list[parts.Encoded]]
) -> str:
    for path, found in made.items():
        written.append(parts.write_shard_of(root, path, sorted(found, key=lambda one: one[0].key)))
    by_path = {part.path: part for part in written}
    about = Manifest(name=name, seed=seed, recipe={}, label_map={}, code={}, funnel=())
    new_dataset.complete(root, about, by_path, by_path.__getitem__, [])
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
