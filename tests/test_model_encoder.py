"""The encoder against the `segment-anything` package: same weights, output and gradients, in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from avs_train.models.attention import WindowAttention
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


def upstream_forward(encoder: ImageEncoderViT, image: Tensor, added: list[Tensor | None]) -> Tensor:
    x = encoder.patch_embed(image) + encoder.pos_embed
    for block, extra in zip(encoder.blocks, added, strict=True):
        x = block(x if extra is None else x + extra[:, None, None])
    return encoder.neck(x.permute(0, 3, 1, 2))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_encoder_and_its_gradients_match_upstream(checkpointing: bool) -> None:
    upstream = upstream_encoder()
    ours = our_encoder(upstream, checkpointing=checkpointing)
    image = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    added = [torch.randn(2, 48, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    weight = torch.randn(2, 32, 10, 10, dtype=torch.float64)

    expected = upstream_forward(upstream, image, added)
    names, parameters = zip(*upstream.named_parameters(), strict=True)
    expected_grads = torch.autograd.grad((expected * weight).sum(), [*parameters, *added])

    actual = ours(image, added)
    ours_by_name = dict(ours.named_parameters())
    grads = torch.autograd.grad((actual * weight).sum(), [*(ours_by_name[name] for name in names), *added])

    assert_close(actual, expected)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_close(grad, expected_grad)


@pytest.mark.slow  # a C++ compiler works for a minute
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_blocks_give_what_eager_ones_give(checkpointing: bool) -> None:
    upstream = upstream_encoder()
    eager, compiled = our_encoder(upstream), our_encoder(upstream, checkpointing=checkpointing)
    for block in compiled.blocks:
        block.compile(dynamic=False)
    assert compiled.state_dict().keys() == eager.state_dict().keys()
    image = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    added = [torch.randn(2, SHAPE["dim"], dtype=torch.float64, requires_grad=True) for _ in range(3)]
    for encoder in (eager, compiled):
        encoder.requires_grad_(False)
    results = [encoder(image, added) for encoder in (eager, compiled)]
    assert_close(results[1], results[0])
    towards = torch.randn_like(results[0])
    gradients = [torch.autograd.grad((result * towards).sum(), added) for result in results]
    for ours, theirs in zip(*gradients, strict=True):
        assert_close(ours, theirs)


def test_encoder_without_additions_is_upstreams_own_forward() -> None:
    upstream = upstream_encoder()
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.float64)
    assert_close(our_encoder(upstream)(image), upstream(image))


def test_flash_form_equals_the_cpu_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form for accelerators, run here: relative positions inside the dot product."""
    torch.manual_seed(0)
    attention = WindowAttention(48, 3, grid=10, window=4).double()
    nn.init.normal_(attention.rel_pos_h)
    nn.init.normal_(attention.rel_pos_w)
    x = torch.randn(2, 10, 10, 48, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    inputs = [x, *attention.parameters()]

    by_pieces = attention(x)
    piece_grads = torch.autograd.grad((by_pieces * weight).sum(), inputs)
    monkeypatch.setattr(attention, "in_pieces", lambda q: False)
    inside = attention(x)
    inside_grads = torch.autograd.grad((inside * weight).sum(), inputs)

    assert_close(inside, by_pieces)
    for a, b in zip(inside_grads, piece_grads, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("heads", [1, 4])  # head widths of 32 and 8: places inside the product, and as a bias
def test_pieces_that_cut_a_score_matrix_give_the_same(heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(32, heads, grid=6, window=0).double()
    nn.init.normal_(attention.rel_pos_h)
    nn.init.normal_(attention.rel_pos_w)
    x = torch.randn(3, 6, 6, 32, dtype=torch.float64, requires_grad=True)
    inputs = [x, *attention.parameters()]
    monkeypatch.setattr(attention, "in_pieces", lambda q: False)
    whole = attention(x)
    whole_grads = torch.autograd.grad(whole.square().sum(), inputs)
    monkeypatch.undo()
    monkeypatch.setattr(
        "avs_train.models.chunked_attention.PIECE", 36 * 6 * 4
    )  # four rows at a time, then two
    pieces = attention(x)
    piece_grads = torch.autograd.grad(pieces.square().sum(), inputs)
    assert_close(pieces, whole)
    for a, b in zip(piece_grads, whole_grads, strict=True):
        assert_close(a, b)


def test_frozen_float32_encoder_matches_upstream_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a CPU: oneDNN projections, one head at a time, heads that lie apart in memory."""
    monkeypatch.setattr("avs_train.models.chunked_attention.PIECE", 10 * 10 * 20)  # two rows at a time
    upstream = upstream_encoder()
    ours = our_encoder(upstream).float().requires_grad_(False)
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    added = [torch.randn(1, 48, requires_grad=True) for _ in range(3)]
    exact_added = [extra.detach().double().requires_grad_() for extra in added]
    weight = torch.randn(1, 32, 10, 10)

    expected = upstream_forward(upstream, image.double(), exact_added)
    expected_grads = torch.autograd.grad((expected * weight).sum(), exact_added)
    actual = ours(image, added)
    grads = torch.autograd.grad((actual * weight).sum(), added)

    torch.testing.assert_close(actual.double(), expected, rtol=1e-3, atol=1e-4)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad.double(), expected_grad, rtol=1e-3, atol=1e-3)


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
    shape = dict(SHAPE, dim=96, heads=3, window=14)
    side = 16 * 40
    upstream = upstream_encoder(side, **shape).float().requires_grad_(False)
    ours = ImageEncoder(image_size=side, **shape).requires_grad_(False)
    image = torch.randn(1, 3, side, side)
    added = [torch.randn(1, 96, requires_grad=True) for _ in range(3)]
    kept = kept_bytes(lambda: ours(image, added))
    assert 2.5 * kept < kept_bytes(lambda: upstream_forward(upstream, image, added))


def kept_bytes(run: Callable[[], Tensor]) -> int:
    held = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run()
    assert out.requires_grad
    return sum(storage.nbytes() for storage in held.values())
