"""What model to build, and the sizes there are; said without torch, so that `--help` can show it at once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PATCH, MOST_PIXELS = 16, 16_384  # pixels a side: of a patch, and of the largest image
MOST_CLASSES = 255  # background among them: class masks have 8 bits, and 255 there means no class
FROZEN_DTYPES = ("float32", "bfloat16")
ATTENTION = ("flash", "narrow", "flex")  # the paths of models/attention.py


@dataclass(frozen=True)
class Size:
    """Widths and depths of one model size."""

    dim: int  # of encoder tokens
    depth: int  # encoder blocks
    heads: int
    global_blocks: tuple[int, ...]  # blocks that attend over the whole grid
    window: int = 14  # tokens a side
    out_dim: int = 256  # of image embeddings, prompts and the decoder
    decoder_heads: int = 8
    decoder_hidden: int = 2048


SIZES = {
    "tiny": Size(96, 4, 3, (1, 3), window=4, out_dim=64, decoder_heads=4, decoder_hidden=128),
    "vit_b": Size(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Size(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Size(1280, 32, 16, (7, 15, 23, 31)),
}
MODELS = ("sama", "ap_sam", "sam")


@dataclass(frozen=True)
class ModelConfig:
    """What to build. Every field is checked at once by `faults`."""

    name: str = "sama"  # sama | ap_sam | sam
    size: str = "vit_h"  # vit_b | vit_l | vit_h | tiny
    image_size: int = 1024  # pixels a side, a multiple of 16; SAM's weights are of 1024 and are interpolated
    adapters: int | None = None  # evenly spaced audio adapters; None: one for each encoder block
    train_encoder: bool = False  # train the image encoder too (for `tiny`, which starts from nothing)
    frozen_dtype: str = "float32"  # storage of the frozen encoder's projections: float32 | bfloat16
    checkpointing: bool = False  # recompute encoder blocks in the backward pass: less memory, more time
    compile: bool | None = None  # torch.compile each encoder block; left out: on a GPU
    classes: int = 0  # a mask for each class and background, as 71 of AVSBench-semantic; 0: for what sounds
    attention: str = "auto"  # of the encoder: auto | flash | narrow | flex (models/attention.py)

    def compiled(self, device: "torch.device") -> bool:
        """Whether blocks are compiled on this device."""
        return device.type == "cuda" if self.compile is None else self.compile

    def faults(self) -> list[str]:
        """Everything that is wrong with this configuration, each with its remedy; empty when it is fine."""
        found = []
        if self.name not in MODELS:
            found.append(f"name={self.name!r}: no such model; use one of {', '.join(MODELS)}")
        if self.size not in SIZES:
            found.append(f"size={self.size!r}: no such size; use one of {', '.join(SIZES)}")
        if fault := side_fault(self.image_size):
            found.append(f"image_size={fault}")
        if self.frozen_dtype not in FROZEN_DTYPES:
            found.append(f"frozen_dtype={self.frozen_dtype!r}: use one of {', '.join(FROZEN_DTYPES)}")
        if self.classes and not 2 <= self.classes <= MOST_CLASSES:
            found.append(
                f"classes={self.classes}: 0, or background and at least one class: 2 to {MOST_CLASSES}"
            )
        if self.classes and self.name != "sama":
            found.append(f"classes={self.classes}: only sama tells classes; leave it out for {self.name}")
        if self.attention not in ("auto", *ATTENTION):
            found.append(f"attention={self.attention!r}: use one of auto, {', '.join(ATTENTION)}")
        if self.size in SIZES and self.adapters is not None:
            if self.name != "sama" and self.adapters:
                found.append(f"adapters={self.adapters}: only sama has them; leave it out for {self.name}")
            try:
                placement(SIZES[self.size].depth, self.adapters)
            except ValueError as error:
                found.append(str(error))
        return found


def side_fault(side: int) -> str:
    """What is wrong with the side of an image, in pixels; "": nothing."""
    if PATCH <= side <= MOST_PIXELS and side % PATCH == 0:
        return ""
    return f"{side}: use a multiple of {PATCH}, the pixels of a patch, up to {MOST_PIXELS:,}"


def placement(depth: int, count: int) -> tuple[int, ...]:
    """Indexes of the `count` blocks, evenly spaced from block 0, that get an adapter (paper, Table 7).

    Raises:
        ValueError: `count` does not divide `depth`, so no even spacing exists.
    """
    if count == 0:
        return ()
    if count < 0 or count > depth or depth % count:
        fitting = ", ".join(str(n) for n in range(1, depth + 1) if depth % n == 0)
        raise ValueError(
            f"adapters={count}: even spacing needs a divisor of the {depth} encoder blocks; "
            f"use 0 or one of {fitting}"
        )
    return tuple(range(0, depth, depth // count))
