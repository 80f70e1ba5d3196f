"""Compiled blocks, by what dynamo counts: a handful of graphs, never a break, never a fall back to eager."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from avs_train import assembly
from avs_train import config as configuration
from avs_train.losses import mask_loss, upsample
from avs_train.models import ModelConfig, build_model, normalise
from avs_train.models.build import compile_blocks

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    torch.set_num_threads(threads)


def compiled(**options: Any) -> nn.Module:
    """A tiny model whose blocks dynamo traces whole, as for a GPU, but runs without a C++ compiler."""
    model = build_model(ModelConfig(size="tiny", image_size=128, compile=False, **options))
    compile_blocks(model.image_encoder, backend="aot_eager")  # fullgraph: a graph break would raise
    return model


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    image = torch.randint(0, 256, (size, 3, 128, 128), dtype=torch.uint8)
    return image, torch.rand(size, 128), torch.randint(0, 2, (size, 128, 128), dtype=torch.uint8)


def train(model: nn.Module, size: int) -> None:
    model.train()
    image, audio, mask = batch(size)
    mask_loss(upsample(model(normalise(image), audio), 128), mask).backward()


def graphs() -> int:
    assert not counters["graph_break"], counters["graph_break"]
    return counters["stats"]["unique_graphs"]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (
            {},
            5,
        ),  # training: the first block, whose input needs no gradient, windows, the whole grid; validation: 2
        ({"adapters": 2}, 5),  # blocks with and without adapter share their graphs
        ({"checkpointing": True}, 5),
        ({"name": "ap_sam"}, 4),
    ],
)
def test_training_validation_and_an_odd_batch_stay_far_below_the_limit(options: Any, most: int) -> None:
    model = compiled(**options)
    settings = configuration.load("tiny", ["model.compile=true", "model.image_size=128"])
    predict = assembly.open_predict(settings, model, CPU)
    assert most < torch._dynamo.config.recompile_limit
    for _ in range(2):
        for size in (4, 4):
            train(model, size)
        model.eval()
        with torch.inference_mode():
            for size in (4, 4, 3):
                assert predict(*batch(size)).shape == (size, 1, 32, 32)
        assert graphs() <= most


def test_a_smaller_last_micro_batch_still_fits() -> None:
    model = compiled()
    for size in (3, 3, 2):
        train(model, size)
    model.eval()
    with torch.inference_mode():
        model(torch.randn(4, 3, 128, 128), torch.rand(4, 128))
    assert graphs() <= torch._dynamo.config.recompile_limit


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("path", ["narrow", "flex"])
def test_the_paths_of_gpus_are_traced_whole(path: str) -> None:
    model = compiled(attention=path)
    model.eval().requires_grad_(False)
    image, audio, _ = batch(2)
    with torch.no_grad():
        logits = model(normalise(image), audio)
    assert graphs() == 2
    torch._dynamo.reset()
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        torch.testing.assert_close(logits, model(normalise(image), audio), rtol=1e-4, atol=1e-4)


def test_padding_a_batch_changes_no_prediction() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(size="tiny", image_size=128, compile=False)).double().eval()
    settings = configuration.load("tiny", ["model.compile=true", "model.image_size=128"])
    predict = assembly.open_predict(settings, model, CPU)
    image, audio, mask = batch(4)
    with torch.inference_mode():
        whole = predict(image, audio, mask)
        torch.testing.assert_close(predict(image[:3], audio[:3], mask[:3]), whole[:3], rtol=1e-6, atol=1e-6)


def test_blocks_are_compiled_by_default_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr("avs_train.models.build.compile_blocks", compiled.append)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    build_model(ModelConfig(size="tiny", image_size=128))
    build_model(ModelConfig(size="tiny", image_size=128, compile=False), torch.device("cuda"))
    assert not compiled
    build_model(ModelConfig(size="tiny", image_size=128), torch.device("cuda"))
    assert len(compiled) == 1
