"""AVSBench-semantic's official folder, generated: shapes in the colours of their classes, a tone for each of them."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

CLASSES = (  # noqa: SIM905
    "accordion airplane axe baby bassoon bell bird boat boy bus car cat cello clarinet clipper clock dog donkey drum "
    "duck elephant emergency-car erhu flute frying-food girl goose guitar gun guzheng hair-dryer handpan harmonica "
    "harp helicopter hen horse keyboard leopard lion man marimba missile-rocket motorcycle mower parrot piano pig pipa "
    "saw saxophone sheep sitar sorna squirrel tabla tank tiger tractor train trombone truck trumpet tuba ukulele utv "
    "vacuum-cleaner violin wolf woman"
).split()
HEADER = ["vid", "uid", "s_min", "s_sec", "a_obj", "split", "label"]


def palette(number: int) -> tuple[int, int, int]:
    """The colour of a class, bit by bit as text: the palette of PASCAL VOC."""
    bits = f"{number:024b}"[::-1]
    return tuple(int("".join(bits[3 * i + channel] for i in range(8)), 2) for channel in range(3))


@dataclass
class Clip:
    """One row of metadata.csv and its folder. masks: (h, w) uint8 by number of the frame."""

    label: str
    split: str
    uid: str
    a_obj: str
    masks: dict[int, np.ndarray] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("labels_semantic", "labels_rgb")

    @property
    def frames(self) -> int:
        return 10 if self.label == "v2" else 5


def clip(
    label: str, split: str, uid: str, a_obj: str, seen: str | None = None, size: tuple[int, int] = (72, 60)
) -> Clip:
    """A clip whose frames show a box for each class of `seen` (by default what is heard), moving to the right."""
    names = [name for name in (a_obj if seen is None else seen).split("_") if name in CLASSES]
    made = Clip(label, split, uid, a_obj)
    for frame in range(1 if (label, split) == ("v1s", "train") else made.frames):
        mask = np.zeros(size[::-1], np.uint8)
        for row, name in enumerate(names):
            top = 6 + row * size[1] // 2
            mask[top : top + size[1] // 3, 4 + 3 * frame : 30 + 3 * frame] = CLASSES.index(name) + 1
        made.masks[frame] = mask
    return made


def colours(mask: np.ndarray) -> np.ndarray:
    return np.array([palette(number) for number in range(256)], np.uint8)[mask]


def write(root: Path, clips: list[Clip]) -> Path:
    """The folder; photos show each class in a shade of its own, sound is a chord of one tone a class."""
    rows = []
    for one in clips:
        below = root / one.label / one.uid
        for name in ("frames", *one.kinds):
            (below / name).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(len(rows))
        any_mask = next(iter(one.masks.values()))
        for frame in range(one.frames):
            mask = one.masks.get(frame, np.zeros_like(any_mask))
            photo = rng.integers(90, 130, (*mask.shape, 3), dtype=np.uint8)
            photo[mask > 0] = (colours(mask) // 2 + 100)[mask > 0]
            Image.fromarray(photo).save(below / "frames" / f"{frame}.jpg", quality=95)
            if frame in one.masks and "labels_semantic" in one.kinds:
                Image.fromarray(mask).save(below / "labels_semantic" / f"{frame}.png")
            if frame in one.masks and "labels_rgb" in one.kinds:
                Image.fromarray(colours(mask)).save(below / "labels_rgb" / f"{frame}.png")
        time_s = np.arange(16000 * one.frames) / 16000
        tones = [200 + 40 * CLASSES.index(name) for name in one.a_obj.split("_") if name in CLASSES]
        sound = sum((np.sin(2 * np.pi * hz * time_s) for hz in tones), np.zeros_like(time_s))
        sound = 0.3 * sound / max(1, len(tones)) * (0.5 + time_s / 20) + rng.normal(0, 0.01, len(time_s))
        soundfile.write(below / "audio.wav", sound, 16000, subtype="PCM_16")
        start_s = int(one.uid.split("_")[-2]) // 1000 if one.label != "v1m" else 0
        rows.append([one.uid[:11], one.uid, start_s // 60, start_s % 60, one.a_obj, one.split, one.label])
    with open(root / "metadata.csv", "w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return root
