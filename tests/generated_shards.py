"""A small dataset in the shard format, generated: photos with two shapes, and a sound that says which one is meant."""

import io
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pyarrow.parquet as pq
import soundfile
from pycocotools import mask as coco_mask

from shards import format, new_dataset, parts, records, storage, tables
from shards import scene as scenes
from shards.hashing import hash64
from shards.manifest import Manifest
from shards.pools import Pools
from shards.sound import mix, pcm_of, pcm_to_flac
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
    root: str | Path,
    found: list[tuple[bytes, bytes, bytes]],
    *,
    samples_per_shard: int,
    name: str = "",
    category: str = "thing",
) -> str:
    """Write a train split of given (JPEG, PNG, FLAC), each sample with a clip of its own.

    Args:
        name: in every id.
    """
    made: dict[str, list[parts.Encoded]] = {}
    for i, (jpg, png, flac) in enumerate(found):
        clip = _clip(f"gen:{name}{i}", "train", category, flac, 10.0)
        one = _sample(f"gen:{name}{i}", "train", category, 0, clip, jpg, png)
        index = format.shard_index(one[0].key, format.shard_count(len(found), samples_per_shard))
        made.setdefault(format.shard_path("train", index), []).append(one)
    return _complete(str(root), "benchmark", 0, [], made)


def write_scenes(
    root: str | Path, *, seed: int = 0, size: int = 96, samples: int = 10, channels: int = 1
) -> str:
    """Write a train split of scenes with all targets: photos of two shapes, each under all kinds of sound in turn."""
    clips = {
        category: [
            _clip(f"gen:{category}_{i}", "train", category, sound(seed, f"{category}{i}", category, 2.5), 2.5)
            for i in range(3)
        ]
        for category in CATEGORIES
    }
    pool = parts.write_shard_of(
        str(root),
        format.shard_path(format.POOL, 0),
        sorted((one for found in clips.values() for one in found), key=lambda one: one[0].key),
    )
    made: dict[str, list[parts.Encoded]] = {}
    kinds: list[records.Kind] = ["single", "mixture", "silence", "noise", "off_screen"]
    for i in range(samples):
        one = _scene(f"gen:{i:05d}", kinds[i % len(kinds)], i, clips, seed, size, channels)
        index = format.shard_index(one[0].key, format.shard_count(samples, 8))
        made.setdefault(format.shard_path("train", index), []).append(one)
    return _complete(
        str(root), "scenes", seed, [pool], made, targets=format.TARGETS, classes=tuple(CATEGORIES)
    )


def _scene(
    image_id: str,
    kind: records.Kind,
    turn: int,
    clips: dict[str, list[parts.Encoded]],
    seed: int,
    size: int,
    channels: int,
) -> parts.Encoded:
    names = list(CATEGORIES)
    names = names[turn % 3 :] + names[: turn % 3]
    seen = names[: {"single": 1, "mixture": 2}.get(kind, 0)]
    heard = names[2:] if kind == "off_screen" else seen
    jpg, _ = scene(seed, image_id, size, names[0])
    drawn = {name: np.zeros((size, size), bool) for name in seen}
    for number, pixels in enumerate(drawn.values()):
        pixels[20:70, 8 + 30 * number : 48 + 30 * number] = True  # of two, they overlap
    pcms = {name: pcm_of(clips[name][turn % 3][1]["flac"].data) for name in heard}
    sources = [
        records.Source(
            category=name, mask_ids=(f"{image_id}_{name}",) if name in seen else (),
            area_px=int(drawn[name].sum()) if name in seen else 0,
            bbox=tuple(cv2.boundingRect(drawn[name].astype(np.uint8))) if name in seen else (0, 0, 0, 0),
            audio=clips[name][turn % 3][0].audio, crop_start_s=0.5, gain_db=mix.gain_to(-25.0, pcms[name][8000:32000]),
            pan=0.25, delay=mix.delay(0.25),
            instances=(records.Instance(f"{image_id}_{name}", _counts(drawn[name])),) if name in seen else (),
        )
        for name in heard
    ]  # fmt: skip
    if kind == "noise":
        sources = [records.Source("", (), 0, (0, 0, 0, 0), None, gain_db=-20.2, instances=())]
    mask = np.logical_or.reduce([np.zeros((size, size), bool), *drawn.values()])
    classes = np.zeros((size, size), np.uint8)
    for name, pixels in drawn.items():
        classes[pixels] = np.where(classes[pixels], 255, list(CATEGORIES).index(name) + 1)
    png, classes_png = (cv2.imencode(".png", each)[1].tobytes() for each in (mask * np.uint8(255), classes))
    photo, target = Content.of(jpg), Content.of(png)
    category = "+".join(sorted(seen))
    sample_id = format.sample_id(image_id, category, kind if not seen else None)
    record = records.SampleRecord(
        key=format.key_of(sample_id), sample_id=sample_id, split="train", category=category, component=image_id,
        pairing=records.Pairing(seed),
        image=records.Image(
            id=image_id, corpus="gen", width=size, height=size, sha256=photo.sha256, photo_keys=(image_id,), labels=(),
        ),
        mask=records.Mask(
            ids=tuple(f"{image_id}_{name}" for name in seen), policy="union", area_px=int(mask.sum()),
            area_fraction=int(mask.sum()) / mask.size, bbox=tuple(cv2.boundingRect(mask.astype(np.uint8))),
            sha256=target.sha256,
        ),
        scene_kind=kind, scene_sources=tuple(sources),
        sound=records.Sound("equal_rms", channels, "linear" if channels == 2 else "", 1.5, 1.0, 0, ""),
    )  # fmt: skip
    made = scenes.rendered(
        record, lambda audio: next(pcms[name] for name in heard if clips[name][turn % 3][0].id == audio.id)
    )
    flac = Content.of(pcm_to_flac(made.pcm))
    record = msgspec.structs.replace(
        record,
        sound=msgspec.structs.replace(
            record.sound, scale=made.scale, clipped=made.clipped, sha256=flac.sha256
        ),
    )
    return record, {"flac": flac, "jpg": photo, "mask.png": target, "classes.png": Content.of(classes_png)}


def _counts(pixels: np.ndarray) -> str:
    return coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()


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
    root: str,
    name: str,
    seed: int,
    written: list[parts.Part],
    made: dict[str, list[parts.Encoded]],
    targets: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
) -> str:
    for path, found in made.items():
        written.append(parts.write_shard_of(root, path, sorted(found, key=lambda one: one[0].key), targets))
    by_path = {part.path: part for part in written}
    nobody = {"name": "", "version": "", "sha256": ""}
    about = Manifest(
        name=name, seed=seed, recipe={"text": "", "sha256": ""}, label_map=nobody, code={}, funnel=(),
        targets=targets, classes=classes,
    )  # fmt: skip
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
