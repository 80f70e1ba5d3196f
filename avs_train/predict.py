"""What sounds in a photo or in each frame of a video: masks of their own size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch

from avs_train import assembly
from avs_train.audio import open_encoder
from avs_train.config import Config, ConfigError
from avs_train.data import decode
from avs_train.distributed import choose_device
from avs_train.losses import likeliest, upsample
from avs_train.video import Frame
from shards.sound import RATE_HZ, WINDOW_SAMPLES

# photos (H, W, 3) uint8, and for each its window of sound (15600,) float32 -> for each (H, W) uint8: 0 where nothing
# sounds, else 1, or the number of the class
Predict = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[np.ndarray]]


def open_masks(config: Config) -> Predict:
    """A function that says what sounds, on the device that the configuration names.

    Raises:
        ConfigError: a model that hears nothing.
    """
    if config.model.name == "sam":
        raise ConfigError(config.name, ["vanilla SAM hears nothing: predict with sama or ap_sam"])
    device, side = choose_device(config.train.device), config.model.image_size
    model = assembly.open_model(config, device).eval()
    encoder = open_encoder(config.audio, device)
    logits_of = assembly.open_predict(config, model, device)

    @torch.inference_mode()
    def predict(photos: Sequence[np.ndarray], windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        pixels = np.empty((len(photos), side, side, 3), np.uint8)
        for photo, out in zip(photos, pixels, strict=True):
            decode.resized(photo, out)
        image = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
        audio = torch.stack([encoder(torch.from_numpy(window)) for window in windows]).to(device)
        truth = torch.zeros(len(photos), 1, 1, dtype=torch.uint8, device=device)
        logits = logits_of(image, audio, truth)
        sizes = [photo.shape[1::-1] for photo in photos]
        if config.model.classes:
            numbers = likeliest(logits, side).cpu().numpy()
            return [
                cv2.resize(one, size, interpolation=cv2.INTER_NEAREST_EXACT)
                for one, size in zip(numbers, sizes, strict=True)
            ]
        single = upsample(logits, side).cpu().numpy()
        return [
            (cv2.resize(z, size, interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
            for z, size in zip(single, sizes, strict=True)
        ]

    return predict


def window_around(waveform: np.ndarray, time_s: float) -> np.ndarray:
    """The 0.975 s of a sound around a time, moved inside it at its ends; silence half a second after it has ended.

    Args:
        waveform: (n,) float32, mono, 16 kHz.

    Returns:
        (15600,) float32; a sound shorter than that is repeated.
    """
    if time_s > len(waveform) / RATE_HZ + 0.5 or time_s < -0.5:
        return np.zeros(WINDOW_SAMPLES, np.float32)
    start = round(time_s * RATE_HZ) - WINDOW_SAMPLES // 2
    start = max(0, min(start, len(waveform) - WINDOW_SAMPLES))
    return decode.fill_window(waveform[start : start + WINDOW_SAMPLES])


def masks_of(
    predict: Predict,
    frames: Iterable[Frame],
    waveform: np.ndarray,
    *,
    sound_s: float,
    every_s: float,
    at_once: int,
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame with its mask, a batch at a time.

    Args:
        waveform: (n,) float32, mono, 16 kHz, that begins `sound_s` after the first frame.
        every_s: a new mask is made when this much time has passed since the last; 0 makes one for each frame.
        at_once: frames in a batch.
    """
    mask: np.ndarray | None = None
    due_s = 0.0

    def marked() -> Iterator[tuple[Frame, bool]]:
        nonlocal due_s
        for frame in frames:
            new = frame.time_s >= due_s - 1e-9
            if new:
                due_s = (frame.time_s // every_s + 1) * every_s if every_s else frame.time_s
            yield frame, new

    frames_left = marked()
    while batch := list(islice(frames_left, at_once)):
        new = [frame for frame, is_new in batch if is_new]
        windows = [window_around(waveform, frame.time_s - sound_s) for frame in new]
        made = iter(predict([frame.image for frame in new], windows) if new else [])
        for frame, is_new in batch:
            mask = next(made) if is_new else mask
            assert mask is not None
            yield frame, mask


def told(index: int, time_s: float, mask: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """What `--masks` says of a frame.

    Args:
        mask: as of `Predict`. names: of its classes, the first is 1; empty where it has none.
    """
    found = {"frame": index, "time_s": time_s, "segmentation": run_lengths(mask > 0)}
    if names:
        numbers = (int(number) for number in np.unique(mask) if number)
        found["classes"] = {names[number - 1]: run_lengths(mask == number) for number in numbers}
    return found


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """(H, W) bool to COCO's uncompressed run lengths: column by column, beginning with zeros."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[:1].any() else counts}
