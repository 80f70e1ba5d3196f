"""The encoder against the `segment-anything` package: same weights, output and gradients, in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from avs_train.model_config import ATTENTION
from avs_train.models.attention import WindowAttention, choose
from avs_train.models.build import compile_blocks
from avs_train.models.encoder import ImageEncoder

IMAGE_SIZE = 16 * 10  # a grid of 10: windows of 4 need padding to 12
SHAPE: dict[str, Any] = {
    "patch": 16,
    "dim": 48,
    "depth": 3,
    "heads": 3,
    "window": 4,
    "global_blocks": (1,),
    "out_dim": 32,
}


def upstream_encoder(image_size: int = IMAGE_SIZE, **shape: Any) -> ImageEncoderViT:
    shape = SHAPE | shape
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=image_size,
        patch_size=shape["patch"],
        embed_dim=shape["dim"],
        depth=shape["depth"],
        num_heads=shape["heads"],
        out_chans=shape["out_dim"],
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=shape["window"],
        global_attn_indexes=shape["global_blocks"],
    ).double()
    for parameter in encoder.parameters():  # upstream starts positions at zero and norms at one: hide nothing
        parameter.data += 0.2 * torch.randn_like(parameter)
    return encoder


def our_encoder(upstream: ImageEncoderViT, **options: bool) -> ImageEncoder:
    encoder = ImageEncoder(image_size=IMAGE_SIZE, **SHAPE, **options).double()
    encoder.load_state_dict(upstream.state_dict(), strict=True)
    return encoder


def upstream_forward(encoder: ImageEncoderViT, image: Tensor, added: Tensor) -> Tensor:
    x = encoder.patch_embed(image) + encoder.pos_embed
    for block, extra in zip(encoder.blocks, added, strict=True):
        x = block(x + extra[:, None, None])
    return encoder.neck(x.permute(0, 3, 1, 2))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_encoder_and_its_gradients_match_upstream(checkpointing: bool) -> None:
    upstream = upstream_encoder()
    ours = our_encoder(upstream, checkpointing=checkpointing)
    image = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    added = torch.randn(3, 2, 48, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 32, 10, 10, dtype=torch.float64)

    expected = upstream_forward(upstream, image, added)
    names, parameters = zip(*upstream.named_parameters(), strict=True)
    expected_grads = torch.autograd.grad((expected * weight).sum(), [*parameters, added])

    actual = ours(image, added)
    ours_by_name = dict(ours.named_parameters())
    grads = torch.autograd.grad((actual * weight).sum(), [*(ours_by_name[name] for name in names), added])

    assert_close(actual, expected)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_close(grad, expected_grad)


def read_path(encoder: ImageEncoder, path: str) -> ImageEncoder:
    for module in encoder.modules():
        if isinstance(module, WindowAttention):
            module.training_path = module.inference_path = path
    return encoder


@pytest.mark.slow  # a C++ compiler works for a minute
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_blocks_give_what_eager_ones_give(checkpointing: bool) -> None:
    upstream = upstream_encoder()
    eager, compiled = our_encoder(upstream), our_encoder(upstream, checkpointing=checkpointing)
    compile_blocks(compiled)
    assert compiled.state_dict().keys() == eager.state_dict().keys()
    image = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    added = torch.randn(3, 2, SHAPE["dim"], dtype=torch.float64, requires_grad=True)
    for encoder in (eager, compiled):
        encoder.requires_grad_(False)
    results = [encoder(image, added) for encoder in (eager, compiled)]
    assert_close(results[1], results[0])
    towards = torch.randn_like(results[0])
    gradients = [torch.autograd.grad((result * towards).sum(), added)[0] for result in results]
    assert_close(*gradients)


def test_encoder_without_additions_is_upstreams_own_forward() -> None:
    upstream = upstream_encoder()
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    assert_close(our_encoder(upstream)(image), upstream(image))


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("path", ATTENTION)
@pytest.mark.parametrize("window", [4, 0])
def test_every_path_is_plain_attention_with_a_bias(
    path: str, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value and every gradient in float64. FlexAttention offers no gradient on a CPU, but its definition has one."""
    monkeypatch.setattr("torch.nn.attention.flex_attention._validate_device", lambda *tensors: None)
    torch.manual_seed(0)
    attention = WindowAttention(48, 3, grid=6, window=window).double()
    attention.training_path = path
    nn.init.normal_(attention.rel_pos_h)
    nn.init.normal_(attention.rel_pos_w)
    side = attention.side
    q, k, v = (torch.randn(2, 3, side**2, 16, dtype=torch.float64, requires_grad=True) for _ in range(3))
    inputs = [q, k, v, attention.rel_pos_h, attention.rel_pos_w]
    bias = torch.zeros(2, 3, side**2, side**2, dtype=torch.float64)
    for query in range(side**2):
        for key in range(side**2):
            vector = attention.rel_pos_h[query // side - key // side + side - 1]
            vector = vector + attention.rel_pos_w[query % side - key % side + side - 1]
            bias[:, :, query, key] = (q[:, :, query] * vector).sum(-1)
    expected = ((q @ k.transpose(-1, -2)) / 4 + bias).softmax(-1) @ v
    towards = torch.randn_like(expected)
    expected_grads = torch.autograd.grad((expected * towards).sum(), inputs)
    actual = attention._attend(q, k, v)
    grads = torch.autograd.grad((actual * towards).sum(), inputs)
    assert_close(actual, expected)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_close(grad, expected_grad)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("path", ["narrow", "flex"])
def test_the_whole_encoder_is_the_same_on_every_path(path: str) -> None:
    upstream = upstream_encoder().requires_grad_(False)
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    with torch.no_grad():
        assert_close(read_path(our_encoder(upstream).requires_grad_(False), path)(image), upstream(image))


def test_a_value_keeps_its_width_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths of query, key and value as the kernel gets them; a head of ViT-H over the whole grid is 80 wide."""
    widths = []

    def kernel(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        widths.append((q.shape[-1], k.shape[-1], v.shape[-1]))
        return v

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", kernel)
    with torch.device("meta"):
        attention = WindowAttention(1280, 16, grid=64, window=0)
        for attention.training_path in ("flash", "narrow"):
            attention(torch.empty(1, 64, 64, 1280))
    assert widths == [(208, 208, 208), (208, 208, 80)]


@pytest.mark.parametrize(
    ("capability", "size", "training", "path"),
    [
        ((9, 0), "vit_h", True, "flash"),  # H100
        ((8, 6), "vit_h", True, "narrow"),  # A6000: the flash kernel does not train heads 208 wide
        ((8, 6), "vit_h", False, "flash"),
        ((8, 9), "vit_b", True, "flash"),  # 192 wide
        ((12, 0), "vit_h", True, "narrow"),
    ],
)
def test_the_rule_for_the_whole_grid(
    capability: tuple[int, int], size: str, training: bool, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    cuda, width = torch.device("cuda"), {"vit_h": 80, "vit_b": 64}[size]
    assert choose(cuda, width, 64, training=training) == path
    assert choose(cuda, width, 14, training=training) == "flash"  # windows
    assert (
        choose(cuda, width, 112, training=training) == "narrow"
    )  # 1792 pixels: wider than the flash kernel takes
    assert choose(torch.device("cpu"), width, 64, training=training) == "flash"


def test_bfloat16_projections_stay_near_float32() -> None:
    upstream = upstream_encoder()
    exact = our_encoder(upstream)
    rounded = our_encoder(upstream).float()
    for module in rounded.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(torch.bfloat16)
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    expected = exact(image.double())
    actual = rounded(image)
    assert actual.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        reference = upstream.float()(image)
    error = (actual - expected).pow(2).mean().sqrt()
    upstream_error = (reference - expected).pow(2).mean().sqrt()
    assert error < 1.2 * upstream_error  # no worse than upstream under autocast


def test_encoder_keeps_less_than_upstream_for_the_backward_pass() -> None:
    """Bytes of saved tensors with frozen weights, at 640 pixels."""
    shape = dict(SHAPE, dim=160, heads=2, window=14)  # heads as wide as those of ViT-H
    side = 16 * 40
    upstream = upstream_encoder(side, **shape).float().requires_grad_(False)
    ours = ImageEncoder(image_size=side, **shape).requires_grad_(False)
    image = torch.randn(1, 3, side, side)
    added = torch.randn(3, 1, 160, requires_grad=True)
    kept = kept_bytes(lambda: ours(image, added))
    assert 1.3 * kept < kept_bytes(lambda: upstream_forward(upstream, image, added))


def kept_bytes(run: Callable[[], Tensor]) -> int:
    held = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run()
    assert out.requires_grad
    return sum(storage.nbytes() for storage in held.values())
