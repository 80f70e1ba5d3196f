"""Parts are written again when the code that makes bytes changes: its version is a hash of what it makes, kept here."""

import hashlib
import importlib.metadata
import json
import platform
import wave
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from label_maps import LabelMap, Link
from pipelines.build import code
from pipelines.build.pair import CLIP_COLUMNS
from pipelines.build.pool import convert_clips
from pipelines.build.samples import shard_samples
from pipelines.build.scenes import shard_scenes
from pipelines.recipes.recipe import Recipe, Scene, SceneSound
from shards import format, parts
from shards.tables import column

WIDTH, HEIGHT = 40, 24
SOUND = {"source": "vggsound", "source_id": "dog barking", "label": "dog barking"}
SIGHT = {"source": "lvis", "source_id": "378", "label": "dog", "synset": "dog.n.01"}
LABELS = {"category": "dog", "relation": "same", "decided_by": "somebody", "decided_on": "2026-01-02"}


def link(**given: str) -> Link:
    return Link(**{field.name: {**LABELS, **given}.get(field.name, "") for field in fields(Link)})


def label_map() -> LabelMap:
    return LabelMap("golden", "1.0.0", (link(**SOUND), link(**SIGHT)))


def write_media(folder: Path) -> None:
    """A sound that no codec rounds and no resampler touches, and a photo with an orientation."""
    noise = np.random.default_rng(0).integers(-20_000, 20_000, 16_000).astype(np.int16)
    with wave.open(str(folder / "clip.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.concatenate([noise, np.full(16_000, 5_000, np.int16)]).tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.add.outer(np.arange(HEIGHT) * 5, np.arange(WIDTH) * 3).astype(np.uint8)
    Image.fromarray(pixels).convert("RGB").save(folder / "photo.jpg", "JPEG", quality=80, exif=exif)


def planned_clip() -> dict[str, Any]:
    clip_id = "vggsound:aaaaaaaaaaa_000030"
    return {"clip_id": clip_id, "key": format.key_of(clip_id), "shard": "pool/pool-000000.tar", "corpus": "vggsound",
            "video_id": "aaaaaaaaaaa", "start_s": 30.0, "label_id": "dog barking", "label": "dog barking",
            "part_start_s": None, "part_end_s": None,
        "longest_s": None, "is_padded": False, "official_split": "train",
            "clip_path": "clip.wav", "licence": None, "author": "Zoë", "url": "https://example.org/a",
            "category": "dog", "categories": ["dog"], "split": "train", "stamp": "1:1"}  # fmt: skip


def planned_sample(clip: dict[str, Any]) -> dict[str, Any]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[4:14, 6:31] = 1
    mask[8, 8:20:3] = 0
    area = int(mask.sum())
    sample_id = format.sample_id("lvis:1", "dog")
    heard = {f"clip_{name.removeprefix('clip_')}": clip[name] for name in
             ("clip_id", "shard", "flac_offset", "flac_size", "json_offset", "json_size", "json_sha256")}  # fmt: skip
    return {"sample_id": sample_id, "key": format.key_of(sample_id), "shard": "train/train-000000.tar",
            "split": "train", "category": "dog", "component": "lvis:1", "corpus": "lvis", "image_id": "lvis:1",
            "image_path": "photo.jpg", "image_stamp": "1:1", "image_url": None, "photo_keys": ["coco:1"],
            "width": WIDTH, "height": HEIGHT, "licence": "cc-by-2.0", "licence_url": None, "author": None,
            "mask_ids": ["lvis:1_1", "lvis:1_2"], "label_corpora": ["lvis"],
            "label_ids": ["378"], "labels": ["dog"], "exhaustive": True,
            "mask_source": "human",
            "counts": coco_mask.encode(mask)["counts"],
            "area_px": area, "area_fraction": area / mask.size, "bbox_x": 6, "bbox_y": 4, "bbox_w": 25, "bbox_h": 10,
            **heard}  # fmt: skip


def made(folder: Path) -> dict[str, str]:
    """sha256 of everything that the two stages which write shards make of one clip and one sample."""
    recipe, out = Recipe("golden", seed=7), str(folder / "out")
    write_media(folder)
    plan = pa.Table.from_pylist([planned_clip()])
    pool = convert_clips(plan, str(folder), out, recipe.select, label_map())
    (clip,) = pool.kept.to_pylist()
    samples = shard_samples(
        pa.Table.from_pylist([planned_sample(clip)]), str(folder), out, recipe, label_map()
    )
    (sample,) = samples.kept.to_pylist()
    found = {f"clip {name}": clip[f"{column(name)}_sha256"] for name in format.CLIP_MEMBERS}
    found |= {f"sample {name}": sample[f"{column(name)}_sha256"] for name in format.SAMPLE_MEMBERS}
    for row in (clip, sample):
        found[row["shard"]] = hashlib.sha256((folder / "out" / row["shard"]).read_bytes()).hexdigest()
    return found


def made_scenes(folder: Path) -> dict[str, str]:
    """The same of what makes scenes: a single source, silence and noise, in stereo."""
    sound = SceneSound(
        rule="snr", crop="loudest", duration_s=1.5, stereo=True, pan="constant_power", delay=True
    )
    recipe, out = Recipe("golden", seed=7, scene=Scene(format.TARGETS, sound=sound)), str(folder / "out")
    write_media(folder)
    plan = pa.Table.from_pylist([planned_clip()])
    (clip,) = convert_clips(plan, str(folder), out, recipe.select, label_map()).kept.to_pylist()
    sample = planned_sample(clip)
    source = {**sample, "instances": [sample["counts"]], "bbox": [sample[f"bbox_{side}"] for side in "xywh"]}
    source |= {"mask_ids": ["lvis:1_1"], "clip": {name: clip[name] for name in CLIP_COLUMNS}}
    rows = []
    for kind in ("single", "silence", "noise"):
        seen = kind == "single"
        sample_id = format.sample_id("lvis:1", "dog" if seen else "", None if seen else kind)
        rows.append(
            {**sample, "kind": kind, "key": format.key_of(sample_id), "sample_id": sample_id,
             "category": "dog" if seen else "", "sources": [source] if seen else []}
        )  # fmt: skip
    made = shard_scenes(pa.Table.from_pylist(rows), str(folder), out, recipe, label_map())
    names = format.sample_members(format.TARGETS)
    return {
        f"{row['kind']} {name}": row[f"{column(name)}_sha256"]
        for row in made.kept.to_pylist()
        for name in names
    }


def other_code() -> list[str]:
    """Packages that decide bytes and have not the version of constraints.txt, for which the hashes stand."""
    lines = Path("constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    return [
        f"{name} {importlib.metadata.version(name)}, not {pinned[name]}"
        for name in code.code_versions()
        if name in pinned and importlib.metadata.version(name) != pinned[name]
    ]


def test_the_version_of_the_bytes_moves_with_them(tmp_path: Path) -> None:
    if differ := other_code():
        pytest.skip(f"the hashes are of other packages: {', '.join(differ)}")
    if "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip(f"the hashes are of zlib, and zlib-ng ({zlib.ZLIB_RUNTIME_VERSION}) may pack otherwise")
    if platform.machine() != "x86_64":
        pytest.skip(f"the hashes are of x86_64, and codecs may round otherwise on {platform.machine()}")
    (tmp_path / "scenes").mkdir()
    for golden, found in (
        (code.GOLDEN, made(tmp_path)),
        (code.GOLDEN_SCENES, made_scenes(tmp_path / "scenes")),
    ):
        assert json.loads(golden.read_text()) == found, (
            f"what is written into shards has changed. If that is meant, say so in CHANGELOG.md and make {golden} "
            f"this, so that nobody's parts of earlier code stay:\n{json.dumps(found, indent=1)}"
        )


def test_the_version_is_in_the_plan_and_in_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code, the same plan: every shard is written again."""
    write_media(tmp_path)
    plan, out = pa.Table.from_pylist([planned_clip()]), str(tmp_path / "out")

    def inode() -> int:
        convert_clips(plan, str(tmp_path), out, Recipe("golden").select, label_map())
        return (tmp_path / "out" / "pool" / "pool-000000.tar").stat().st_ino

    first = inode()
    assert inode() == first
    assert code.code_versions()["bytes"] == code.bytes_version(code.GOLDEN)
    golden = tmp_path / "bytes.json"
    golden.write_text('{"clip flac": "another"}')
    monkeypatch.setattr(code, "GOLDEN", golden)
    code.code_versions.cache_clear()
    try:
        assert inode() != first
        assert code.differences({}) == [
            f"{name} unknown, here {v}" for name, v in sorted(code.code_versions().items())
        ]
    finally:
        code.code_versions.cache_clear()


def test_a_damaged_part_is_written_again(tmp_path: Path) -> None:
    write_media(tmp_path)
    plan, out = pa.Table.from_pylist([planned_clip()]), str(tmp_path / "out")
    for damage in (b"", b"PAR1", None):
        pool = convert_clips(plan, str(tmp_path), out, Recipe("golden").select, label_map())
        assert pool.kept.num_rows == 1
        part = tmp_path / "out" / ".work" / "parts" / "pool" / "pool-000000.parquet"
        assert parts.load(out, "pool/pool-000000.tar").rows.num_rows == 1
        if damage is not None:
            part.write_bytes(damage)
