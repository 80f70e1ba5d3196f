"""The whole SAMA on an accelerator: how right and how fast each way of its attention is, eager and compiled.

One table: error against the same weights in float64 (relative; of logits in inference, of all gradients in training),
images a second, peak memory, and the share of the device's bf16 peak (MFU). On a CPU a second is one of processor
time, which others on the machine change little. The last rows train AP-SAM with its encoder and from image embeddings.
Below the table: how many graphs dynamo makes for training, validation and its odd last batch, and how often it breaks
one. A row that would begin after `--seconds` is left out and said so.

    python tests/benchmarks/bench_gpu.py                                                # meant for 8 minutes of an H100
    python tests/benchmarks/bench_gpu.py --device cpu --sizes tiny --image-size 128 --repeats 3
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from avs_train import config as configuration
from avs_train.assembly import open_predict, ready
from avs_train.flops import flops_per_image
from avs_train.losses import mask_loss, upsample
from avs_train.model_config import ATTENTION
from avs_train.models import SIZES, ModelConfig, build_model, trainable_parameters
from avs_train.models.attention import choose
from avs_train.models.build import PATCH, compile_blocks
from avs_train.speed import peak_flops, peak_memory_gb


@dataclass(frozen=True)
class Inputs:
    """A batch on the device: image uint8, audio, true mask."""

    image: Tensor
    audio: Tensor
    mask: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sizes", default="vit_b,vit_h", help="of tiny, vit_b, vit_l, vit_h")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ap-sam", action="store_true", help="only the rows of AP-SAM")
    parser.add_argument("--seconds", type=float, default=440, help="no row begins later than this")
    args = parser.parse_args()
    device, end = torch.device(args.device), time.perf_counter() + args.seconds
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{name}, torch {torch.__version__}, {args.image_size} pixels, batch {args.batch}, bf16\n")
    print(
        "| model | what | compiled | attention | error | images/s | peak GB | MFU |\n|---|---|---|---|---|---|---|---|"
    )
    for size in args.sizes.split(","):
        for row in rows(size, args, device, end):
            print(f"| {size} | {row} |", flush=True)
    print("\n`*`: what the rule of models/attention.py chooses.\n")
    if not args.ap_sam:
        print(f"tiny, traced on the CPU: {graphs()}")


def rows(size: str, args: argparse.Namespace, device: torch.device, end: float) -> Iterator[str]:
    """The cells of each row after the first."""
    plain = ModelConfig(size=size, image_size=args.image_size, frozen_dtype="bfloat16", compile=False)
    inputs = random_inputs(args.batch, args.image_size, device)
    if args.ap_sam:
        yield from ap_sam(plain, inputs, args, device, end)
        return
    start = weights(plain, device)
    exact_logits, exact_gradients = in_float64(plain, start, inputs, device)
    for compiled in (False, True):
        for path in ATTENTION if compiled or device.type == "cpu" else ATTENTION[:2]:
            config = replace(plain, compile=compiled, attention=path)
            model = loaded(config, start, device)
            step = training(model, inputs)
            for what, run, cost in (
                ("inference", lambda model=model: predict(model, inputs), flops_per_image(config).inference),
                ("training", step, flops_per_image(config).training),
            ):
                if what == "training" and path == "flex" and device.type == "cpu":
                    continue  # FlexAttention offers no gradient there
                cells = f"{what} | {'yes' if compiled else 'no'} | {path}{mark(config, what, device)}"
                if time.perf_counter() > end:
                    yield f"{cells} | left out: over --seconds | | | "
                    continue
                try:
                    if what == "inference":
                        wrong = error([predict(model, inputs)], [exact_logits])
                    else:
                        wrong = error(gradients(model, inputs), exact_gradients)
                    yield f"{cells} | {wrong:.1e} | {measured(run, cost, args, device)}"
                except (RuntimeError, NotImplementedError) as failed:
                    yield f"{cells} | failed: {str(failed).splitlines()[0][:80]} | | | "
            del model, step
    yield from ap_sam(plain, inputs, args, device, end)


def ap_sam(
    plain: ModelConfig, inputs: Inputs, args: argparse.Namespace, device: torch.device, end: float
) -> Iterator[str]:
    """AP-SAM trained with its encoder, and from the embeddings that `data.image_embeddings_gb` keeps."""
    if time.perf_counter() > end:
        return
    config = replace(plain, name="ap_sam")
    model = loaded(config, weights(config, device), device)
    with torch.autocast(device.type, torch.bfloat16):
        kept = Inputs(model.embed(ready(inputs.image)), inputs.audio, inputs.mask)
    for what, given in (("AP-SAM training", inputs), ("AP-SAM training from embeddings", kept)):
        yield f"{what} | no | flash | – | {measured(training(model, given), 0, args, device)}"


def graphs() -> str:
    """What dynamo counts over training, validation and its odd last batch; the size of a model changes nothing."""
    torch._dynamo.reset()
    counters.clear()
    model = build_model(ModelConfig(size="tiny", image_size=128, compile=False))
    compile_blocks(model.image_encoder, backend="eager")
    settings = configuration.load("tiny", ["model.compile=true", "model.image_size=128"])
    validate = open_predict(settings, model, torch.device("cpu"))
    for _ in range(2):
        gradients(model, random_inputs(2, 128, torch.device("cpu")))
    model.eval()
    for size in (2, 2, 1):
        given = random_inputs(size, 128, torch.device("cpu"))
        with torch.inference_mode():
            validate(given.image, given.audio, given.mask)
    most, breaks = torch._dynamo.config.recompile_limit, sum(counters["graph_break"].values())
    return f"{counters['stats']['unique_graphs']} graphs, {breaks} graph breaks; the limit of one block is {most}"


def random_inputs(batch: int, side: int, device: torch.device) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=generator)
    mask = torch.randint(0, 2, (batch, side, side), dtype=torch.uint8, generator=generator)
    return Inputs(*(x.to(device) for x in (image, torch.rand(batch, 128, generator=generator), mask)))


def weights(config: ModelConfig, device: torch.device) -> dict[str, Tensor]:
    """Random weights, also where the model begins with zeros: relative positions."""
    torch.manual_seed(0)
    with device:
        model = build_model(config)
        for name, parameter in model.named_parameters():
            if "rel_pos" in name:
                nn.init.normal_(parameter, std=0.1)
    return model.state_dict()


def loaded(config: ModelConfig, start: dict[str, Tensor], device: torch.device) -> Any:
    torch._dynamo.reset()  # models of one process would share the limit of recompilations
    with device:
        model = build_model(config, device)
    model.load_state_dict(start)
    return model


def in_float64(
    config: ModelConfig, start: dict[str, Tensor], inputs: Inputs, device: torch.device
) -> tuple[Tensor, list[Tensor]]:
    """Logits and gradients with the same weights in float64, a sample at a time for want of memory."""
    model = loaded(replace(config, attention="narrow"), start, device).double()
    logits = []
    for index in range(len(inputs.image)):
        one = Inputs(*(x[index : index + 1] for x in (inputs.image, inputs.audio, inputs.mask)))
        logits.append(model(ready(one.image).double(), one.audio.double()))
        (loss_of(logits[-1], one) / len(inputs.image)).backward()
        logits[-1] = logits[-1].detach()
    return torch.cat(logits), [p.grad for p in trainable_parameters(model).values() if p.grad is not None]


def predict(model: nn.Module, inputs: Inputs) -> Tensor:
    with torch.inference_mode(), torch.autocast(inputs.image.device.type, torch.bfloat16):
        return model(ready(inputs.image), inputs.audio)


def gradients(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    model.zero_grad()
    with torch.autocast(inputs.image.device.type, torch.bfloat16):
        logits = model(ready(inputs.image), inputs.audio)
    loss_of(logits, inputs).backward()
    return [p.grad for p in trainable_parameters(model).values() if p.grad is not None]


def training(model: nn.Module, inputs: Inputs) -> Callable[[], object]:
    """A step as the trainer takes it; the learning rate of 0 keeps the weights for the next row."""
    optimizer = torch.optim.AdamW(trainable_parameters(model).values(), lr=0.0, weight_decay=0.0, fused=True)

    def step() -> None:
        gradients(model, inputs)
        optimizer.step()

    return step


def loss_of(logits: Tensor, inputs: Inputs) -> Tensor:
    return mask_loss(upsample(logits, inputs.mask.shape[-1]), inputs.mask)


def error(found: list[Tensor], exact: list[Tensor]) -> float:
    """Root of the summed squared differences over that of the exact values."""
    squares = sum(float((a.double() - b).square().sum()) for a, b in zip(found, exact, strict=True))
    return (squares / sum(float(b.square().sum()) for b in exact)) ** 0.5


def measured(run: Callable[[], object], flops: int, args: argparse.Namespace, device: torch.device) -> str:
    """images/s, peak GB and MFU; the median of the repeats after a warm-up."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    taken = []
    for _ in range(args.repeats + 1):
        begin = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(clock() - begin)
    rate = args.batch / statistics.median(taken[1:])
    peak = peak_flops(device)
    mfu = f"{rate * flops / peak:.0%}" if peak and flops else "–"
    return f"{rate:.1f} | {peak_memory_gb(device):.1f} | {mfu}"


def mark(config: ModelConfig, what: str, device: torch.device) -> str:
    size, grid = SIZES[config.size], config.image_size // PATCH
    chosen = choose(device, size.dim // size.heads, grid, training=what == "training")
    return "*" if chosen == config.attention else ""


if __name__ == "__main__":
    main()
