"""How much arithmetic one image costs, for the share of a device's peak that a run reaches (MFU)."""

from dataclasses import dataclass

from avs_train.model_config import PATCH, SIZES, ModelConfig


@dataclass(frozen=True)
class Flops:
    """Floating-point operations for one image; a multiply-add counts as two.

    Model arithmetic only: what a kernel repeats (attention scores in the backward pass, recomputed blocks) or
    pads is not counted. Norms, activations, adapters and the positional terms are below 1 % and left out.
    """

    inference: int
    training: int


def flops_per_image(config: ModelConfig) -> Flops:
    """Encoder and decoder for one image; training with the encoder's weights frozen or not, as configured."""
    size = SIZES[config.size]
    grid = config.image_size // PATCH
    tokens = grid**2
    side = size.window * -(-grid // size.window)  # windows are padded to whole ones

    patches = 2 * tokens * 3 * PATCH**2 * size.dim
    projections = size.depth * 2 * tokens * 12 * size.dim**2  # 3 + 1 in attention, 4 + 4 in the MLP
    windowed = size.depth - len(size.global_blocks)
    attention = 4 * size.dim * (windowed * side**2 * size.window**2 + len(size.global_blocks) * tokens**2)
    neck = 2 * tokens * size.out_dim * (size.dim + 9 * size.out_dim)
    decoder = _decoder(tokens, size.out_dim)

    inference = patches + projections + attention + neck + decoder
    if config.name == "sam":
        return Flops(inference, 0)
    if config.train_encoder:
        return Flops(inference, 3 * inference - patches)  # pixels need no gradient
    if config.name == "ap_sam":
        return Flops(inference, inference + 2 * decoder)
    # Gradients flow through frozen projections: one product for the input's gradient, none for the weight's.
    backward = projections + 2 * attention + neck + 2 * decoder
    return Flops(inference, inference + backward)


def _decoder(tokens: int, dim: int) -> int:
    """The image side of SAM's mask decoder; its few prompt tokens cost next to nothing."""
    half = dim // 2
    token_to_image = 2 * tokens * 2 * dim * half  # keys and values, in two blocks and the final attention
    image_to_token = 2 * tokens * 2 * dim * half  # queries and output, in two blocks
    upscaling = 2 * tokens * 4 * dim * (dim // 4) + 2 * 4 * tokens * 4 * (dim // 4) * (dim // 8)
    read_out = 2 * 16 * tokens * (dim // 8)
    return 3 * token_to_image + 2 * image_to_token + upscaling + read_out
