"""Checkpoints: read without unpickling, loaded strictly.

Files are PyTorch archives (`.pth`, `.pt`), read with `weights_only`, or safetensors with a `.json` beside.
"""

import json
import pickle
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avs_train.layouts import CheckpointError, from_released, layout, listed
from avs_train.models.ap_sam import ApSam
from avs_train.models.sam import Sam
from avs_train.models.sama import Sama
from avs_train.vggish import VGGish
from shards import storage, unfinished

Tensors = dict[str, Tensor]

# By model: prefixes of an official SAM checkpoint's keys that it does not use, and of its own that SAM lacks.
NO_MASK_PROMPTS = ("prompt_encoder.mask_downscaling.",)
NO_PROMPTS = (*NO_MASK_PROMPTS, "prompt_encoder.point_embeddings.", "prompt_encoder.not_a_point_embed.")
UNUSED_OF_SAM: dict[type, tuple[str, ...]] = {Sam: NO_MASK_PROMPTS, Sama: NO_PROMPTS, ApSam: NO_PROMPTS}
CLASS_TOKENS = "mask_decoder.class_tokens.weight"
NEW_BESIDE_SAM: dict[type, tuple[str, ...]] = {
    Sam: (), Sama: ("adapters.", CLASS_TOKENS), ApSam: ("audio_projection.",)
}  # fmt: skip
# What PyTorch and its unpickler raise of bytes that they did not write.
_DAMAGE = (
    *(
        SafetensorError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ),
    *(ArithmeticError, MemoryError, OSError, struct.error),
)
UNUSED_OF_VGGISH = ("pproc.",)  # the PCA after the network


def read(path: str | Path) -> Tensors:
    """Name -> tensor on the CPU from a `.safetensors`, `.pth` or `.pt` file.

    Raises:
        CheckpointError: no such file, not a checkpoint, or one that holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint; give the path of a .safetensors, .pth or .pt file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds more than tensors, and no code is run from a checkpoint ({_first_line(error)}); "
            "save its state dict alone, or the file is damaged: download it again"
        ) from error
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path}: an incomplete or damaged checkpoint ({_first_line(error)}); download it again"
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(
            f"{path}: not a flat state dict of names and tensors; save `model.state_dict()` alone"
        )
    return dict(found)


def write(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a `.safetensors` file with `about` as `.json` beside it, or a `.pth` archive of tensors alone.

    Each file appears complete or not at all. The same tensors give the same safetensors bytes.
    """
    path = Path(path)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if path.suffix == ".safetensors":
        with unfinished.replacing(str(path)) as name:
            save(whole, name)
        listing = {name: [str(t.dtype).removeprefix("torch."), *t.shape] for name, t in whole.items()}
        text = json.dumps({**about, "sha256": storage.sha256(str(path)), "tensors": listing}, indent=1) + "\n"
        storage.write_atomic(str(path.with_suffix(".json")), text.encode())
    elif path.suffix in (".pth", ".pt"):
        with storage.open_atomic(str(path)) as file:
            torch.save(whole, file)
    else:
        raise CheckpointError(f"{path}: unknown kind of file {path.suffix!r}; use .safetensors, .pth or .pt")


def save(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Write a safetensors file.

    Raises:
        CheckpointError: the disk does not take it.
    """
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} cannot be written ({_first_line(error)}): make room, or name a place that can be written to, and "
            "run the same command again"
        ) from error


def check(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    source: str | Path,
    *,
    unused: Iterable[str] = (),
    new: Iterable[str] = (),
) -> None:
    """Compare names and shapes; the module may be on the meta device.

    Args:
        source: named in errors.
        unused: prefixes of keys that the checkpoint may have and the module does not.
        new: prefixes of keys that the module has and the checkpoint may lack.

    Raises:
        CheckpointError: with all missing, unknown and misshapen keys.
    """
    wanted = module.state_dict()
    faults = {
        "missing": [k for k in wanted if k not in tensors and not k.startswith(tuple(new))],
        "unknown": [k for k in tensors if k not in wanted and not k.startswith(tuple(unused))],
        "of another shape": [
            f"{k} is {tuple(tensors[k].shape)}, the model has {tuple(wanted[k].shape)}"
            for k in wanted
            if k in tensors and tensors[k].shape != wanted[k].shape
        ],
    }
    if any(faults.values()):
        lines = [f"{len(keys)} {what}: {listed(keys)}" for what, keys in faults.items() if keys]
        raise CheckpointError(
            f"{source} does not fit the model, where every key must match; nothing was loaded\n  "
            + "\n  ".join(lines)
            + f"\nAnother model, size or image size? `avs-train convert {source}` says what it holds."
        )


def load_strictly(
    module: nn.Module, tensors: Mapping[str, Tensor], source: str | Path, **allowed: Any
) -> None:
    """Copy every tensor into the module's parameter or buffer of that name; `allowed` as in `check`.

    Raises:
        CheckpointError: as `check`; the module is then unchanged.
    """
    check(module, tensors, source, **allowed)
    module.load_state_dict({k: v for k, v in tensors.items() if k in module.state_dict()}, strict=False)


def resized(model: nn.Module, tensors: Mapping[str, Tensor]) -> Tensors:
    """A checkpoint with the encoder's positions interpolated to the model's image size; the same tensors where it fits.

    As ViTDet does (arXiv 2203.16527): absolute positions bicubic, over the grid; relative ones of blocks that attend
    over the whole grid linear, over the distance. Windows have their size at any image size.
    """
    wanted, found = model.state_dict(), dict(tensors)
    for key, tensor in tensors.items():
        size = wanted[key].shape if key in wanted else tensor.shape
        if tensor.shape == size or tensor.dim() != len(size) or tensor.shape[-1] != size[-1]:
            continue
        if key == "image_encoder.pos_embed":
            grid = F.interpolate(
                tensor.float().permute(0, 3, 1, 2), size[1:3], mode="bicubic", align_corners=False
            )
            found[key] = grid.permute(0, 2, 3, 1)
        elif key.endswith((".attn.rel_pos_h", ".attn.rel_pos_w")):
            line = F.interpolate(tensor.float().t()[None], size[0], mode="linear", align_corners=False)
            found[key] = line[0].t()
    return found


def load_sam(model: Sam | Sama | ApSam, path: str | Path) -> None:
    """Load official SAM weights, at any image size. Prompts that the model does not use are left out; adapters and the
    audio projection keep their start. A SAMA checkpoint, ours or released, loads into `Sama` with its adapters.

    Raises:
        CheckpointError: as `read` and `check`.
    """
    tensors = read(path)
    if layout(tensors) == "released":
        tensors, _ = from_released(tensors, path)
    kind = type(model)
    new = NEW_BESIDE_SAM[kind] if layout(tensors) == "sam" else ()
    with_classes(model, tensors)
    load_strictly(model, resized(model, tensors), path, unused=UNUSED_OF_SAM[kind], new=new)


def with_classes(model: nn.Module, tensors: Tensors) -> None:
    """Let a model's classes begin from the single mask of a checkpoint that knows none: its token, slightly varied."""
    own = model.state_dict().get(CLASS_TOKENS)
    token = tensors.get("mask_decoder.mask_tokens.weight")
    if own is not None and token is not None and CLASS_TOKENS not in tensors:
        tensors[CLASS_TOKENS] = token[:1] + 0.1 * token[:1].std() * torch.randn(own.shape)


def load_vggish(path: str | Path) -> VGGish:
    """VGGish in evaluation mode, frozen; also from a released SAMA-AVS checkpoint, which holds one.

    Raises:
        CheckpointError: as `read` and `check`.
    """
    tensors = read(path)
    if layout(tensors) == "released":
        _, tensors = from_released(tensors, path)
    vggish = VGGish()
    load_strictly(vggish, tensors, path, unused=UNUSED_OF_VGGISH)
    return vggish.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
