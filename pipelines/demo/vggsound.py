"""Generated clips in VGGSound's layout: `vggsound.csv` without header, `clips/<id>_<start, 6 digits>.<extension>`."""

import csv
import os
from dataclasses import dataclass

import numpy as np

from pipelines.demo.encoders import ENCODERS, encode
from pipelines.demo.sounds import room_noise, synthesise
from pipelines.demo.vocabulary import categories, sounding
from shards.hashing import hash64, unit

FAULTS = ("missing_clip", "corrupt_clip", "silent_clip", "short_clip", "duplicate_id", "label_not_in_map")
_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True)
class Clip:
    """One clip: `number` counts from 0 in its category; faults come after the sound clips."""

    category: str
    number: int
    role: str = ""


def clips(per_category: int) -> list[Clip]:
    """`per_category` sound clips of each sounding category, and one of each fault."""
    good = [Clip(category, number) for category in sounding() for number in range(per_category)]
    names = sounding()
    return good + [Clip(names[k % len(names)], per_category + k, role) for k, role in enumerate(FAULTS)]


def make(root: str, seed: int, clip: Clip) -> list[list[str]]:
    """Write a clip below `root` and give its rows: one, or two alike for `duplicate_id`."""
    key = f"{clip.category}/{clip.number}/{clip.role}"
    video = "".join(_ID_LETTERS[hash64(seed, "video", key, k) % 64] for k in range(11))
    start_s = hash64(seed, "start", key) % 180
    labels = categories()[clip.category].vggsound_labels
    label = "wind noise" if clip.role == "label_not_in_map" else labels[clip.number % len(labels)]
    rate_hz = _RATES_HZ[hash64(seed, "rate", key) % len(_RATES_HZ)]
    sound = _sound(seed, clip, key, rate_hz)
    turn = hash64(seed, "format", clip.category)
    extension = list(ENCODERS)[(turn + clip.number) % len(ENCODERS)]
    content = encode(sound, rate_hz, extension)
    if clip.role == "corrupt_clip":
        content = b"\xff" * 64 + content[64::2]
    if clip.role != "missing_clip":
        path = os.path.join(root, "vggsound", "clips", f"{video}_{start_s:06d}.{extension}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    split = "test" if clip.number % 5 in (2, 4) else "train"
    return [[video, str(start_s), label, split]] * (2 if clip.role == "duplicate_id" else 1)


def _sound(seed: int, clip: Clip, key: str, rate_hz: int) -> np.ndarray:
    """(n, 1 or 2) float32."""
    length = unit(seed, "length", key)
    duration_s = (
        10.0
        if length < 0.06
        else 1.0 + length * 8
        if length < 0.12
        else 2.0 + 3.5 * unit(seed, "seconds", key)
    )
    if clip.role == "short_clip":
        duration_s = 0.4
    if clip.role == "label_not_in_map":
        mono = room_noise(seed, key, rate_hz, duration_s)
    else:
        mono = synthesise(seed, clip.category, clip.number, rate_hz, duration_s)
    if clip.role == "silent_clip":
        mono = np.zeros_like(mono)
    if unit(seed, "stereo", key) < 0.6:
        return mono[:, None]
    delay = rate_hz // 2000  # half a millisecond further from the right ear
    return np.stack([mono, 0.7 * np.concatenate([np.zeros(delay, np.float32), mono[:-delay]])], axis=1)


def write_table(root: str, rows: list[list[str]]) -> None:
    path = os.path.join(root, "vggsound", "vggsound.csv")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
