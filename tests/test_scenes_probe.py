"""No listener can tell a negative by how it was made: loudness and spectrum give it away no more than by chance."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from test_bytes_version import label_map, planned_sample, write_media

from pipelines.build.pair import CLIP_COLUMNS
from pipelines.build.scenes import shard_scenes
from pipelines.recipes.recipe import Recipe, Scene, SceneSound
from shards import format, parts, records
from shards.records import NO_LABEL, ClipRecord
from shards.sound import pcm_to_flac
from shards.writer import Content

PHOTOS = 400
CLIPS = 60


def write_pool(out: str) -> list[dict[str, Any]]:
    """Clips of very different loudness, length and colour."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(CLIPS):
        samples = int(rng.integers(16_000, 64_000))
        power = np.fft.rfft(rng.standard_normal(samples)) * np.linspace(
            1, 0, samples // 2 + 1
        ) ** rng.uniform(0, 6)
        wave = np.fft.irfft(power, samples)
        pcm = (wave / np.abs(wave).max() * 32_000 * 10 ** rng.uniform(-2, 0)).astype(np.int16)
        sound = Content.of(pcm_to_flac(pcm))
        clip_id = f"gen:{i}"
        record = ClipRecord(
            id=clip_id, key=format.key_of(clip_id), video_id=clip_id, start_s=0.0, duration_s=samples / 16_000,
            label=NO_LABEL, official_split="train", sha256=sound.sha256, categories=("dog",), split="train",
        )  # fmt: skip
        made.append((record, {"flac": sound}))
    part = parts.write_shard_of(out, "pool/pool-000000.tar", sorted(made, key=lambda one: one[0].key))
    return part.rows.to_pylist()


def features(flac: bytes) -> list[float]:
    """Level, peak, and the energy of 20 bands, in decibels."""
    wave, _ = soundfile.read(io.BytesIO(flac))
    bands = np.array_split(np.abs(np.fft.rfft(wave)) ** 2, 20)
    energies = [np.mean(wave**2), np.max(wave**2), *(band.mean() / len(wave) for band in bands)]
    return (10 * np.log10(np.array(energies) + 1e-12)).tolist()


def auc_of_a_linear_probe(found: np.ndarray, negative: np.ndarray) -> float:
    """Ridge regression, five times trained on four fifths and asked about the last."""
    scores = np.zeros(len(found))
    x = np.c_[(found - found.mean(axis=0)) / (found.std(axis=0) + 1e-9), np.ones(len(found))]
    for fold in range(5):
        test = np.arange(len(found)) % 5 == fold
        learnt = x[~test]
        weights = np.linalg.solve(
            learnt.T @ learnt + np.eye(x.shape[1]), learnt.T @ (2.0 * negative[~test] - 1)
        )
        scores[test] = x[test] @ weights
    above = scores[negative][:, None] > scores[~negative][None]
    return float(above.mean())


@pytest.mark.parametrize("rule", ["equal_rms", "vpo"])
def test_a_linear_probe_cannot_tell_off_screen_sound_from_what_is_seen(rule: str, tmp_path: Path) -> None:
    write_media(tmp_path)
    out = str(tmp_path / "out")
    pool = write_pool(out)
    sound = SceneSound(rule=rule, crop="loudest", duration_s=2.0)
    recipe = Recipe("probe", seed=1, scene=Scene(("binary",), sound=sound))
    sample = planned_sample(dict.fromkeys((*CLIP_COLUMNS, "clip_id"), ""))
    rng = np.random.default_rng(1)
    rows = []
    for i in range(2 * PHOTOS):
        kind: records.Kind = "single" if i % 2 else "off_screen"
        seen = kind == "single"
        sample_id = format.sample_id(f"lvis:{i}", "dog" if seen else "", None if seen else kind)
        clip = pool[int(rng.integers(CLIPS))]
        source = {
            **sample, "sample_id": sample_id, "category": "dog", "instances": [sample["counts"]],
            "mask_ids": ["lvis:1_1"] if seen else [], "area_px": sample["area_px"] if seen else 0,
            "bbox": [sample[f"bbox_{side}"] if seen else 0 for side in "xywh"],
            "clip": {name: clip[name] for name in CLIP_COLUMNS},
        }  # fmt: skip
        rows.append(
            {**sample, "image_id": f"lvis:{i}", "kind": kind, "sample_id": sample_id, "key": format.key_of(sample_id),
             "category": "dog" if seen else "", "sources": [source]}
        )  # fmt: skip
    made = shard_scenes(pa.Table.from_pylist(rows), str(tmp_path), out, recipe, label_map()).kept.to_pylist()
    assert len(made) == 2 * PHOTOS
    with open(Path(out) / "train" / "train-000000.tar", "rb") as file:
        content = file.read()
    flacs = [content[row["flac_offset"] : row["flac_offset"] + row["flac_size"]] for row in made]
    found = np.array([features(flac) for flac in flacs])
    negative = np.array([row["kind"] == "off_screen" for row in made])
    assert abs(auc_of_a_linear_probe(found, negative) - 0.5) < 0.06
    found[negative, 2:7] += 3.0  # what another way of making them would leave: the probe hears it
    assert auc_of_a_linear_probe(found, negative) > 0.6
