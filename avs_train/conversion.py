"""What a checkpoint holds, and the same in another layout."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from avs_train import checkpoints, layouts
from avs_train.layouts import CheckpointError, Tensors
from avs_train.model_config import MODELS, PATCH, SIZES, ModelConfig
from avs_train.models import build_model
from avs_train.vggish import VGGish
from shards import storage

NAMES = {
    "sam": "official SAM",
    "sama": "SAMA",
    "ap_sam": "AP-SAM",
    "trained": "trained parameters of a run",
    "released": "released SAMA-AVS",
    "vggish": "VGGish",
}


def convert(
    source: Path, target: Path | None, to: str | None, frozen: Path | None, vggish: Path | None
) -> Iterator[str]:
    """Read `source`, check it, and write `target` where one is named; yields what to tell.

    Args:
        to: "released" or None. frozen: official SAM weights under a run's trained ones. vggish: VGGish's checkpoint,
            written from a released `source`, read for `to`.

    Raises:
        CheckpointError: not a checkpoint, none of the known layouts, or one that cannot be written so.
    """
    tensors = checkpoints.read(source)
    found = layouts.layout(tensors)
    yield f"{source}: {describe(tensors)}"
    audio_encoder: Tensors = {}
    if found == "released":
        tensors, audio_encoder = layouts.from_released(tensors, source)
        found = "sama"
    elif found == "trained" and target:
        tensors = complete(tensors, source, frozen)
        found = layouts.layout(tensors)
    if found != "trained":
        check(tensors, found, source)
    if audio_encoder:
        check(audio_encoder, "vggish", source)
    if target is None:
        return

    if to and found != "sama":
        raise CheckpointError(f"{source} holds {NAMES[found]}: --to {to} needs SAMA weights")
    if to:
        if not audio_encoder:
            if vggish is None:
                raise CheckpointError(
                    "released SAMA-AVS weights hold VGGish too: give its checkpoint as --vggish"
                )
            audio_encoder = checkpoints.read(vggish)
            check(audio_encoder, "vggish", vggish)
        tensors, found = layouts.to_released(tensors, audio_encoder, source), "released"
    elif audio_encoder and vggish is not None:
        yield save(vggish, audio_encoder, "vggish", source)
    yield save(target, tensors, found, source)


def describe(tensors: Tensors) -> str:
    """One line: layout, size, tensors, numbers, precision."""
    found = layouts.layout(tensors)
    size, side = measure(tensors)
    parts = [NAMES.get(found, "unknown keys")]
    if size:
        parts[0] += f" {size}, {side} pixels"
    numbers = sum(tensor.numel() for tensor in tensors.values())
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    return ", ".join([*parts, f"{len(tensors)} tensors, {numbers:,} numbers", *kinds])


def measure(tensors: Tensors) -> tuple[str, int]:
    """Name of the encoder's size, and the side of its images in pixels; ("", 0) when there is no encoder."""
    positions = tensors.get("image_encoder.pos_embed")
    if positions is None:
        return "", 0
    depth = len({key.split(".")[2] for key in tensors if key.startswith("image_encoder.blocks.")})
    for name, size in SIZES.items():
        if (size.dim, size.depth) == (positions.shape[-1], depth):
            return name, positions.shape[1] * PATCH
    known = ", ".join(f"{name} {size.dim} x {size.depth}" for name, size in SIZES.items())
    raise CheckpointError(
        f"an encoder of width {positions.shape[-1]} and {depth} blocks is unknown; known: {known}"
    )


def check(tensors: Tensors, found: str, source: Path) -> None:
    """Every key and shape against the model of that layout."""
    with torch.device("meta"):
        if found == "vggish":
            checkpoints.check(VGGish(), tensors, source, unused=checkpoints.UNUSED_OF_VGGISH)
            return
        if found not in MODELS:
            raise CheckpointError(
                f"{source}: none of the known layouts; it has {layouts.listed(sorted(tensors))}"
            )
        size, side = measure(tensors)
        adapters = len([key for key in tensors if key.startswith("adapters.first.")]) // 2
        classes = len(tensors.get(checkpoints.CLASS_TOKENS, ()))
        model = build_model(
            ModelConfig(found, size, side, adapters if found == "sama" else None, classes=classes)
        )
    checkpoints.check(model, tensors, source, unused=checkpoints.UNUSED_OF_SAM[type(model)])


def complete(trained: Tensors, source: Path, frozen: Path | None) -> Tensors:
    """A run's trained parameters laid over the official SAM weights they were trained on."""
    if frozen is None:
        raise CheckpointError(
            f"{source} holds trained parameters only: give the official SAM checkpoint as --frozen"
        )
    base = checkpoints.read(frozen)
    return {key: t for key, t in base.items() if not key.startswith(checkpoints.NO_PROMPTS)} | trained


def save(path: Path, tensors: dict[str, Tensor], found: str, source: Path) -> str:
    about = {"layout": found, "made_from": source.name, "made_from_sha256": storage.sha256(str(source))}
    checkpoints.write(path, tensors, about)
    return f"wrote {path}: {describe(tensors)}"
