"""Training step of our encoder with adapters beside the segment-anything encoder with the same adapters.

Both run at reduced depth: the last block attends over the whole grid, the others in windows. Prints a Markdown
table; every figure is the median of the repeats. `bench_gpu.py` measures the whole model on an accelerator.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from avs_train.model_config import placement
from avs_train.models.adapters import AudioAdapters
from avs_train.models.build import (
    PATCH,
    SIZES,
    ModelConfig,
    Size,
    assemble,
    compile_blocks,
    freeze,
)


class Reference(nn.Module):
    """The upstream encoder, its adapters added at the input of each block as the released SAMA code does."""

    def __init__(self, size: Size, image_size: int) -> None:
        super().__init__()
        self.encoder = ImageEncoderViT(
            img_size=image_size,
            patch_size=PATCH,
            embed_dim=size.dim,
            depth=size.depth,
            num_heads=size.heads,
            out_chans=size.out_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=size.window,
            global_attn_indexes=size.global_blocks,
        ).requires_grad_(False)
        self.adapters = AudioAdapters(size.depth, placement(size.depth, size.depth), size.dim)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        x = self.encoder.patch_embed(image) + self.encoder.pos_embed
        for block, added in zip(self.encoder.blocks, self.adapters(audio), strict=True):
            x = block(x + added[:, None, None])
        return self.encoder.neck(x.permute(0, 3, 1, 2))


class Ours(nn.Module):
    """Encoder and adapters of SAMA, frozen and stored as the trainer has them."""

    def __init__(self, size: Size, config: ModelConfig) -> None:
        super().__init__()
        model = assemble(config, size)
        freeze(model, config)
        self.encoder, self.adapters = model.image_encoder, model.adapters
        if config.compile:
            compile_blocks(self.encoder)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.encoder(image, self.adapters(audio))


def saved_bytes(run: Callable[[], Tensor], model: nn.Module) -> int:
    """Bytes that autograd keeps between forward and backward, parameters not counted; each storage once."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run()
    del out
    return sum(storage.nbytes() for storage in kept.values())


def timed(runs: list[Callable[[], Any]], repeats: int, device: str) -> list[float]:
    """Median seconds of each call after a warm-up; they take turns, so that all meet the same machine."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats + 1):
        for run, taken in zip(runs, seconds, strict=True):
            synchronise(device)
            start = time.perf_counter()
            run()
            synchronise(device)
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[1:]) for taken in seconds]


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(args: argparse.Namespace) -> None:
    """Step time and saved activations at reduced depth, ours against the reference, in both precisions."""
    size = replace(SIZES[args.size], depth=args.depth, global_blocks=(args.depth - 1,))
    config = ModelConfig(size=args.size, image_size=args.image_size, compile=args.compile)
    image = torch.randn(args.batch, 3, args.image_size, args.image_size, device=args.device)
    audio = torch.rand(args.batch, 128, device=args.device)
    machine = f"{args.threads} threads" if args.device == "cpu" else torch.cuda.get_device_name()
    print(f"{args.size}, depth {args.depth}, {args.image_size} pixels, batch {args.batch}, {machine}")
    print("\n| precision | encoder | step s | saved MiB | time ratio | memory ratio |")
    print("|---|---|---|---|---|---|")
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        reference = Reference(size, args.image_size).to(args.device)
        ours = Ours(size, replace(config, frozen_dtype=precision)).to(args.device)
        models = (reference, ours)
        reference_mib, ours_mib = (
            saved_bytes(partial(forward, model, image, audio, precision), model) / 2**20 for model in models
        )
        steps: list[Callable[[], Any]] = [
            partial(train_encoder_step, model, image, audio, precision) for model in models
        ]
        reference_s, ours_s = timed(steps, args.repeats, args.device)
        print(f"| {precision} | reference | {reference_s:.2f} | {reference_mib:.0f} | 1 | 1 |")
        ratios = f"{reference_s / ours_s:.2f} | {reference_mib / ours_mib:.2f}"
        print(f"| {precision} | ours | {ours_s:.2f} | {ours_mib:.0f} | {ratios} |", flush=True)


def autocast(device: str, precision: str) -> Any:
    return torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def forward(model: nn.Module, image: Tensor, audio: Tensor, precision: str) -> Tensor:
    with autocast(image.device.type, precision):
        return model(image, audio)


def train_encoder_step(model: nn.Module, image: Tensor, audio: Tensor, precision: str) -> None:
    model.zero_grad()
    forward(model, image, audio, precision).float().square().mean().backward()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", choices=sorted(SIZES), default=None, help="vit_b on a CPU, vit_h on CUDA")
    parser.add_argument(
        "--depth", type=int, default=3, help="encoder blocks in the comparison; the last is global"
    )
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=None, help="1 on a CPU, 8 on CUDA")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="torch.compile our blocks in the comparison")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.size = args.size or ("vit_h" if args.device == "cuda" else "vit_b")
    args.batch = args.batch or (8 if args.device == "cuda" else 1)
    compare(args)


if __name__ == "__main__":
    main()
