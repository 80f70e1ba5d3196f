"""Which keys a checkpoint has, by where it comes from, and how to rename between them.

| layout     | where it comes from              | keys                                                    |
|------------|----------------------------------|---------------------------------------------------------|
| `sam`      | official SAM ViT-B, ViT-L, ViT-H | `image_encoder.*`, `prompt_encoder.*`, `mask_decoder.*` |
| `sama`     | this project                     | as `sam` less the prompts not used, and `adapters.*`    |
| `ap_sam`   | this project                     | the same with `audio_projection.*`                      |
| `trained`  | a run of this project            | of those, what training moved                           |
| `released` | the released SAMA-AVS weights    | `image_encoder.prompt_generator.*`, `pe_layer.*`, ...   |
| `vggish`   | the PyTorch port of VGGish       | `features.*`, `embeddings.*`                            |
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from shards.errors import AvsError

Tensors = dict[str, Tensor]
SHOWN = 8  # keys that an error spells out


class CheckpointError(AvsError):
    """A checkpoint that cannot be read, does not fit, or cannot be converted; the text says what to do."""


def layout(tensors: Mapping[str, Tensor]) -> str:
    """Which of the table above these keys are; `unknown` when none."""
    if any(key.startswith("image_encoder.prompt_generator.") for key in tensors):
        return "released"
    if "features.0.weight" in tensors and "embeddings.0.weight" in tensors:
        return "vggish"
    if "image_encoder.patch_embed.proj.weight" not in tensors:
        return (
            "trained"
            if any(key.startswith(("adapters.", "audio_projection.")) for key in tensors)
            else "unknown"
        )
    for name, prefix in (("sama", "adapters."), ("ap_sam", "audio_projection.")):
        if any(key.startswith(prefix) for key in tensors):
            return name
    return "sam"


# Released SAMA-AVS key -> ours, as patterns; the last one keeps what has the same name in both.
_FROM_RELEASED = (
    (r"image_encoder\.prompt_generator\.lightweight_mlp_(\d+)\.0\.(weight|bias)", r"adapters.first.\1.\2"),
    (r"image_encoder\.prompt_generator\.shared_mlp\.(weight|bias)", r"adapters.shared.\1"),
    (r"(pe_layer\..*|no_mask_embed\..*)", r"prompt_encoder.\1"),
    (r"((?:image_encoder|mask_decoder)\.(?!prompt_generator\.).*)", r"\1"),
)
_TO_RELEASED = (
    (
        r"adapters\.first\.(\d+)\.(weight|bias)",
        r"image_encoder.prompt_generator.lightweight_mlp_\1.0.\2",
    ),
    (r"adapters\.shared\.(weight|bias)", r"image_encoder.prompt_generator.shared_mlp.\1"),
    (r"prompt_encoder\.(pe_layer\..*|no_mask_embed\..*)", r"\1"),
    (r"((?:image_encoder|mask_decoder)\..*)", r"\1"),
)
_RELEASED_VGGISH = "audio_encoder.audio_backbone."


def from_released(tensors: Mapping[str, Tensor], source: str | Path) -> tuple[Tensors, Tensors]:
    """Released SAMA-AVS weights -> (SAMA, VGGish), under this project's names.

    Raises:
        CheckpointError: keys that no rule covers.
    """
    vggish = {
        key.removeprefix(_RELEASED_VGGISH): tensor
        for key, tensor in tensors.items()
        if key.startswith(_RELEASED_VGGISH)
    }
    rest = {key: tensor for key, tensor in tensors.items() if not key.startswith(_RELEASED_VGGISH)}
    return _rename(rest, _FROM_RELEASED, source), vggish


def to_released(sama: Mapping[str, Tensor], vggish: Mapping[str, Tensor], source: str | Path) -> Tensors:
    """SAMA and VGGish -> one state dict that the released code loads.

    Raises:
        CheckpointError: an encoder block without adapter, or unknown keys.
    """
    blocks = {key.split(".")[2] for key in sama if key.startswith("image_encoder.blocks.")}
    adapted = {key.split(".")[2] for key in sama if key.startswith("adapters.first.")}
    if blocks != adapted:
        raise CheckpointError(
            f"{source}: {len(adapted)} adapters for {len(blocks)} blocks; the released code has one each"
        )
    renamed = _rename(sama, _TO_RELEASED, source)
    return renamed | {_RELEASED_VGGISH + key: tensor for key, tensor in vggish.items()}


def _rename(tensors: Mapping[str, Tensor], rules: Iterable[tuple[str, str]], source: str | Path) -> Tensors:
    renamed: Tensors = {}
    unknown = []
    for key, tensor in tensors.items():
        match = next((m.expand(new) for old, new in rules if (m := re.fullmatch(old, key))), None)
        if match is None:
            unknown.append(key)
        else:
            renamed[match] = tensor
    if unknown:
        raise CheckpointError(f"{source}: {len(unknown)} unknown keys: {listed(unknown)}")
    return renamed


def listed(keys: Sequence[str]) -> str:
    """The first few of many, for an error."""
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
