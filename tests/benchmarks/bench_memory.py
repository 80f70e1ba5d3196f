"""What a training step keeps for its backward pass, by model, size and checkpointing: counted, no GPU needed.

Tensors without content go through the model, and PyTorch tells which it would keep. They know no autocast: the decoder
counts as float32, so a GPU keeps somewhat less. What it holds besides (weights, workspace, gaps) is not in it.

    python tests/benchmarks/bench_memory.py
"""

import argparse

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from avs_train.losses import mask_loss, upsample
from avs_train.model_config import ModelConfig
from avs_train.models import build_model, normalise


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="vit_h,vit_l,vit_b")
    parser.add_argument("--image-sizes", default="1024,512,256")
    args = parser.parse_args()
    print("| model | pixels | GB an image | with checkpointing |\n|---|---|---|---|")
    for size in args.sizes.split(","):
        for side in map(int, args.image_sizes.split(",")):
            cells = [
                (
                    kept(size, side, batch=2, checkpointing=again)
                    - kept(size, side, batch=1, checkpointing=again)
                )
                / 1e9
                for again in (False, True)
            ]
            print(f"| {size} | {side} | {cells[0]:.2f} | {cells[1]:.2f} |", flush=True)


def kept(size: str, side: int, *, batch: int, checkpointing: bool) -> int:
    """Bytes of distinct storages, parameters left out, that autograd keeps for one step."""
    config = ModelConfig(
        size=size, image_size=side, frozen_dtype="bfloat16", compile=False, attention="flash",
        checkpointing=checkpointing,
    )  # fmt: skip
    model = build_model(config, torch.device("meta"))
    own = {parameter.untyped_storage()._cdata for parameter in (*model.parameters(), *model.buffers())}
    kept_: list[torch.Tensor] = []  # alive, so that no storage is taken for another

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept_.append(tensor)
        return tensor

    with FakeTensorMode(allow_non_fake_inputs=True):
        image = torch.zeros(batch, 3, side, side, dtype=torch.uint8)
        mask = torch.zeros(batch, side, side, dtype=torch.uint8)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = model(normalise(image), torch.zeros(batch, 128))
            mask_loss(upsample(logits, side), mask)
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in kept_}
    return sum(size for name, size in storages.items() if name not in own)


if __name__ == "__main__":
    main()
