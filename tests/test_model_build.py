"""The builder: published counts, what is trained, precision, and that the tiny model learns."""

from dataclasses import replace

import pytest
import torch
from segment_anything import sam_model_registry
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avs_train.flops import flops_per_image
from avs_train.model_config import placement
from avs_train.models import ModelConfig, build_model, normalise, trainable_parameters
from avs_train.vggish import VGGish

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ModelConfig(size="tiny", image_size=128)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        sama, vggish = build_model(ModelConfig()), VGGish()
    outside = count(sama) - count(sama.image_encoder)
    assert count(sama.adapters) == 2_770_176
    assert count(sama.mask_decoder) == 4_058_340
    assert count(sama.prompt_encoder) == 256
    assert outside == 6_828_772
    assert count(sama.image_encoder) == 637_026_048
    assert count(vggish) == 72_141_184
    assert count(sama) + count(vggish) == 715_996_004
    assert round(100 * count(sama.adapters) / 715_996_004, 3) == 0.387


def test_what_gets_no_gradient_is_frozen_and_all_else_outside_the_encoder_is_trained() -> None:
    model = build_model(TINY)
    trained = trainable_parameters(model)
    frozen = {name for name, _ in model.named_parameters()} - trained.keys()
    assert {name.split(".")[0] for name in frozen if "mask_decoder" not in name} == {"image_encoder"}
    assert {".".join(name.split(".")[1:3]) for name in frozen if "mask_decoder" in name} == {
        "iou_prediction_head.layers",
        "output_hypernetworks_mlps.1",
        "output_hypernetworks_mlps.2",
        "output_hypernetworks_mlps.3",
    }
    model(torch.randn(2, 3, 128, 128), torch.rand(2, 128)).square().mean().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in trained.values()
    )
    assert model.image_encoder.pos_embed.grad is None


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("sama", {"adapters", "prompt_encoder", "mask_decoder"}),
        ("ap_sam", {"audio_projection", "mask_decoder"}),
        ("sam", set()),
    ],
)
def test_each_model_trains_its_own_parts(name: str, trained: set[str]) -> None:
    model = build_model(replace(TINY, name=name))
    assert {parameter.split(".")[0] for parameter in trainable_parameters(model)} == trained
    logits = model(torch.randn(2, 3, 128, 128), torch.rand(2, 128))
    assert logits.shape == (2, 1, 32, 32)
    assert logits.dtype == torch.float32
    assert logits.requires_grad == bool(trained)


def test_ap_sam_encoder_does_not_hear_and_sama_encoder_does() -> None:
    torch.manual_seed(0)
    image, audio = torch.randn(2, 3, 128, 128), torch.rand(2, 128)
    deaf = build_model(replace(TINY, name="ap_sam"))
    assert torch.equal(deaf(image, audio), deaf(deaf.embed(image), audio))
    for name in ("ap_sam", "sama"):
        model = build_model(replace(TINY, name=name))
        assert not torch.allclose(model(image, audio), model(image, audio.flip(0)))


def test_placement_is_even_and_starts_at_block_0() -> None:
    assert placement(32, 2) == (0, 16)
    assert placement(32, 4) == (0, 8, 16, 24)
    assert placement(32, 8) == tuple(range(0, 32, 4))
    assert placement(32, 16) == tuple(range(0, 32, 2))
    assert placement(32, 32) == tuple(range(32))
    assert placement(32, 0) == ()
    with pytest.raises(ValueError, match="adapters=5: even spacing needs a divisor of the 32 encoder blocks"):
        placement(32, 5)
    model = build_model(replace(TINY, adapters=2))
    assert set(model.adapters.first) == {"0", "2"}


def test_all_faults_of_a_configuration_come_at_once() -> None:
    config = ModelConfig("samba", "huge", 100, frozen_dtype="int8")
    with pytest.raises(
        ValueError, match=r"(?s)name='samba'.*size='huge'.*image_size=100.*frozen_dtype='int8'"
    ):
        build_model(config)
    assert ModelConfig("ap_sam", adapters=4).faults() == [
        "adapters=4: only sama has them; leave it out for ap_sam"
    ]


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_storage_works_with_and_without_autocast(autocast: bool) -> None:
    torch.manual_seed(0)
    exact = build_model(TINY)
    model = build_model(replace(TINY, frozen_dtype="bfloat16"))
    model.load_state_dict(exact.state_dict())
    assert model.image_encoder.blocks[0].attn.qkv.weight.dtype == torch.bfloat16
    assert model.image_encoder.blocks[0].norm1.weight.dtype == torch.float32
    assert {parameter.dtype for parameter in trainable_parameters(model).values()} == {torch.float32}
    image, audio = torch.randn(2, 3, 128, 128), torch.rand(2, 128)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(image, audio)
    logits.float().square().mean().backward()
    expected = exact(image, audio)
    assert (logits - expected).abs().max() < 0.1 * expected.abs().max()


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    plain = build_model(TINY)
    saving = build_model(replace(TINY, checkpointing=True))
    saving.load_state_dict(plain.state_dict())
    image, audio = torch.randn(2, 3, 128, 128), torch.rand(2, 128)
    for model in (plain, saving):
        model(image, audio).square().mean().backward()
    for name, parameter in trainable_parameters(plain).items():
        assert torch.equal(parameter.grad, dict(saving.named_parameters())[name].grad)


def test_normalise_is_imagenets_on_unit_pixels() -> None:
    image = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(normalise(image), (image / 255 - mean) / std, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", ["vit_b", "vit_h"])
def test_flops_are_near_those_counted_in_upstream(size: str) -> None:
    """Upstream projects padded tokens too: 4 to 5 % more than ours."""
    with torch.device("meta"):
        upstream = sam_model_registry[size]()
        image, pe = torch.empty(1, 3, 1024, 1024), torch.empty(1, 256, 64, 64)
        upstream.image_encoder.requires_grad_(False)
        with FlopCounterMode(display=False) as forward:
            features = upstream.image_encoder(image + torch.empty(1, requires_grad=True))
            masks, _ = upstream.mask_decoder(features, pe, torch.empty(1, 0, 256), pe, False)
        with FlopCounterMode(display=False) as backward:
            masks.sum().backward()
    counted = forward.get_total_flops(), backward.get_total_flops()
    estimate = flops_per_image(ModelConfig(size=size))
    assert 0.93 < estimate.inference / counted[0] < 0.97
    assert 0.93 < estimate.training / sum(counted) < 0.97
    if size == "vit_h":
        assert round(counted[0] / 1e12, 2) == 5.96


def test_tiny_model_learns_to_follow_the_sound() -> None:
    """Two squares, two sounds: which one to mask is in the sound alone."""
    torch.manual_seed(0)
    model = build_model(replace(TINY, image_size=64, train_encoder=True))
    optimizer = torch.optim.AdamW(trainable_parameters(model).values(), lr=1e-3)
    sounds = torch.rand(2, 128)
    for _ in range(120):
        image, truth, audio = two_squares(sounds, 16)
        logits = model(image, audio)
        overlap = (logits.sigmoid() * truth).sum() / (logits.sigmoid() + truth).sum()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth) - overlap
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image, truth, audio = two_squares(sounds, 64)
    with torch.no_grad():
        assert iou(model(image, audio) > 0, truth) > 0.6
        assert iou(model(image, audio.flip(0)) > 0, truth) < 0.3


def two_squares(sounds: torch.Tensor, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A red and a green square of 16 pixels on grey, the mask of the one that sounds, and its sound."""
    image = 0.1 * torch.randn(batch, 3, 64, 64)
    truth = torch.zeros(batch, 1, 16, 16)
    choice = torch.arange(batch) % 2
    for i in range(batch):
        cells = torch.randperm(9)[:2]
        for colour, cell in enumerate(cells):
            y, x = 20 * int(cell // 3), 20 * int(cell % 3)
            image[i, colour, y : y + 16, x : x + 16] += 2
            if colour == choice[i]:
                truth[i, 0, y // 4 : y // 4 + 4, x // 4 : x // 4 + 4] = 1
    return image, truth, sounds[choice]


def iou(mask: torch.Tensor, truth: torch.Tensor) -> float:
    true = truth > 0.5
    return float((mask & true).sum() / (mask | true).sum())
