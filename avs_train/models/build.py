"""One builder that knows the sizes: a `ModelConfig` in, a model out."""

from functools import cache

import torch
from torch import Tensor, nn

from avs_train.model_config import FROZEN_DTYPES, PATCH, SIZES, ModelConfig, Size, placement
from avs_train.models.adapters import AudioAdapters
from avs_train.models.ap_sam import ApSam
from avs_train.models.attention import WindowAttention, choose
from avs_train.models.decoder import MaskDecoder
from avs_train.models.encoder import ImageEncoder
from avs_train.models.prompt_encoder import PromptEncoder
from avs_train.models.sam import Sam
from avs_train.models.sama import Sama

PIXEL_MEAN = (123.675, 116.28, 103.53)  # of ImageNet, 0-255, as SAM has them
PIXEL_STD = (58.395, 57.12, 57.375)


DTYPES = {name: getattr(torch, name) for name in FROZEN_DTYPES}


CPU = torch.device("cpu")


def build_model(config: ModelConfig, device: torch.device = CPU) -> nn.Module:
    """A model with random weights: forward(image (B, 3, S, S), audio (B, 128)) -> logits (B, 1, S/4, S/4), or
    (B, classes, S/4, S/4).

    What is trained requires gradients; everything else is frozen. Load a checkpoint with
    `avs_train.checkpoints`.

    Args:
        device: where the model will run, once the caller has moved it there: it decides how attention is computed and
            whether blocks are compiled, unless `config` does.

    Raises:
        ValueError: the configuration has faults; the text lists all of them.
    """
    if faults := config.faults():
        raise ValueError("the model cannot be built:\n" + "\n".join(f"  - {fault}" for fault in faults))
    size = SIZES[config.size]
    model = assemble(config, size)
    freeze(model, config)
    compiled = config.compiled(device)
    for attention in (module for module in model.modules() if isinstance(module, WindowAttention)):
        paths = [
            choose(device, attention.head_dim, attention.side, training=training)
            if config.attention == "auto"
            else config.attention
            for training in (True, False)
        ]
        attention.training_path, attention.inference_path = paths
    if compiled:
        compile_blocks(model.image_encoder)
    return model


def compile_blocks(encoder: ImageEncoder, backend: str = "inductor") -> None:
    """Compile each block, all of them into the same few graphs: one for windows and one for the whole grid, with and
    without gradients, for each shape of batch. A block that cannot be compiled whole is an error, not a slow block."""
    for block in encoder.blocks:
        block.compile(backend=backend, dynamic=False, fullgraph=True)


def assemble(config: ModelConfig, size: Size) -> Sama | ApSam | Sam:
    """The modules of a model put together, all of them trainable."""
    grid = config.image_size // PATCH
    encoder = ImageEncoder(
        image_size=config.image_size,
        patch=PATCH,
        dim=size.dim,
        depth=size.depth,
        heads=size.heads,
        window=size.window,
        global_blocks=size.global_blocks,
        out_dim=size.out_dim,
        checkpointing=config.checkpointing,
    )
    prompts = PromptEncoder(size.out_dim, grid, config.image_size, points=config.name == "sam")
    decoder = MaskDecoder(
        size.out_dim, size.decoder_heads, size.decoder_hidden, iou_hidden=size.out_dim, classes=config.classes
    )
    if config.name == "sam":
        return Sam(image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder)
    if config.name == "ap_sam":
        # A trained encoder's embeddings change with every step: none are kept, none are rounded.
        rounded = DTYPES["float32" if config.train_encoder else config.frozen_dtype]
        return ApSam(
            image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder, dim=size.out_dim,
            embedding_dtype=rounded,
        )  # fmt: skip
    blocks = placement(size.depth, size.depth if config.adapters is None else config.adapters)
    adapters = AudioAdapters(size.depth, blocks, size.dim)
    return Sama(image_encoder=encoder, adapters=adapters, prompt_encoder=prompts, mask_decoder=decoder)


def freeze(model: Sama | ApSam | Sam, config: ModelConfig) -> None:
    """Leave gradients only where training reaches; store the frozen projections in `frozen_dtype`."""
    if config.name == "sam":
        model.requires_grad_(False)
    if config.name == "ap_sam":
        model.prompt_encoder.requires_grad_(False)
    # The single mask uses neither the IoU head nor the other masks' heads: no gradient reaches them, and
    # frozen they cannot be moved by weight decay, and DDP need not look for unused parameters.
    model.mask_decoder.iou_prediction_head.requires_grad_(False)
    model.mask_decoder.output_hypernetworks_mlps[1:].requires_grad_(False)
    if config.train_encoder:
        return
    model.image_encoder.requires_grad_(False)
    for module in model.image_encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(DTYPES[config.frozen_dtype])


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter for everything that training moves, in the model's order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def normalise(image: Tensor) -> Tensor:
    """uint8 (B, 3, S, S), RGB -> float32 with ImageNet's mean and deviation, on the image's device."""
    shift, scale = _pixel_statistics(image.device)
    return (image.float() - shift) / scale


@cache
def _pixel_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Copied to a device once: a copy a step would wait for it."""
    with torch.inference_mode(False):
        mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
        return mean, std
