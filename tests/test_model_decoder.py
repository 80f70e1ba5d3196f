"""Decoder, prompts and proposals against the `segment-anything` package, with the same weights."""

from functools import partial

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from avs_train import checkpoints
from avs_train.models import ModelConfig, build_model, normalise
from avs_train.models.build import SIZES
from avs_train.models.proposals import ProposalOptions, oracle, propose
from avs_train.models.sam import Sam as OurSam

SIDE = 128
TINY = SIZES["tiny"]


def upstream_sam() -> Sam:
    """The upstream model in our tiny size, every weight away from its start."""
    torch.manual_seed(0)
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIDE,
            patch_size=16,
            embed_dim=TINY.dim,
            depth=TINY.depth,
            num_heads=TINY.heads,
            out_chans=TINY.out_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=TINY.window,
            global_attn_indexes=TINY.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=TINY.out_dim,
            image_embedding_size=(SIDE // 16, SIDE // 16),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=TINY.out_dim,
            transformer=TwoWayTransformer(
                depth=2,
                embedding_dim=TINY.out_dim,
                num_heads=TINY.decoder_heads,
                mlp_dim=TINY.decoder_hidden,
            ),
            iou_head_hidden_dim=TINY.out_dim,
        ),
    )
    for parameter in sam.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    sam.image_encoder.img_size = SIDE
    return sam.eval()


def our_sam(upstream: Sam) -> OurSam:
    model = build_model(ModelConfig("sam", "tiny", SIDE))
    assert isinstance(model, OurSam)
    checkpoints.load_strictly(
        model,
        {k: v for k, v in upstream.state_dict().items() if not k.startswith("pixel_")},
        "upstream",
        unused=checkpoints.UNUSED_OF_SAM[OurSam],
    )
    return model


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_positional_encoding_matches_upstream() -> None:
    upstream = upstream_sam()
    ours = our_sam(upstream)
    # upstream computes coordinates in float32 whatever the weights
    torch.testing.assert_close(
        ours.prompt_encoder.positions(), upstream.prompt_encoder.get_dense_pe(), atol=2e-5, rtol=0
    )
    points = torch.tensor([[0.0, 0.0], [17.5, 90.0], [127.0, 3.0]])
    expected, dense = upstream.prompt_encoder(
        points=(points[:, None], torch.ones(3, 1)), boxes=None, masks=None
    )
    torch.testing.assert_close(ours.prompt_encoder.foreground_points(points), expected, atol=2e-5, rtol=0)
    assert torch.equal(ours.prompt_encoder.no_mask().expand(1, -1, 8, 8), dense[:1])


@pytest.mark.parametrize("prompts", [0, 1, 3])
def test_single_mask_and_its_gradients_match_upstream(prompts: int) -> None:
    upstream = upstream_sam().mask_decoder.double()
    ours = our_sam(upstream_sam()).mask_decoder.double().requires_grad_()
    image = torch.randn(2, 64, 8, 8, dtype=torch.float64, requires_grad=True)
    pe = torch.randn(1, 64, 8, 8, dtype=torch.float64)
    sparse = torch.randn(2, prompts, 64, dtype=torch.float64, requires_grad=True)
    dense = torch.randn(1, 64, 1, 1, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 32, 32, dtype=torch.float64)

    expected = torch.cat([  # upstream decodes one image at a time
        upstream(image[i : i + 1], pe, sparse[i : i + 1], dense.expand(1, -1, 8, 8), multimask_output=False)[0]
        for i in range(2)
    ])  # fmt: skip
    actual = ours(image, pe, sparse, dense)
    assert_close(actual, expected)

    reached = [
        name for name, _ in ours.named_parameters() if not name.startswith(("iou_pred", *unused_heads()))
    ]
    inputs = [image, dense] + ([sparse] if prompts else [])
    grads = []
    for model, masks in ((upstream, expected), (ours, actual)):
        named = dict(model.named_parameters())
        grads.append(
            torch.autograd.grad((masks * weight).sum(), [*inputs, *(named[name] for name in reached)])
        )
    for ours_grad, expected_grad in zip(grads[1], grads[0], strict=True):
        assert_close(ours_grad, expected_grad)


def unused_heads() -> list[str]:
    return [f"output_hypernetworks_mlps.{i}." for i in (1, 2, 3)]


def test_proposals_of_points_match_upstream() -> None:
    upstream = upstream_sam().double()
    ours = our_sam(upstream_sam()).double()
    features = torch.randn(1, 64, 8, 8, dtype=torch.float64)
    points = torch.rand(5, 2, dtype=torch.float64) * SIDE
    sparse = ours.prompt_encoder.foreground_points(points)
    expected, expected_iou = upstream.mask_decoder(
        features,
        ours.prompt_encoder.positions(),
        sparse,
        ours.prompt_encoder.no_mask().expand(5, -1, 8, 8),
        multimask_output=True,
    )
    masks, iou = ours.propose(features, points)
    assert_close(masks, expected)
    assert_close(iou, expected_iou)


def test_proposals_match_the_automatic_mask_generator() -> None:
    upstream = upstream_sam()
    ours = our_sam(upstream)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    generator = SamAutomaticMaskGenerator(
        upstream,
        points_per_side=6,
        points_per_batch=10,
        pred_iou_thresh=-5.0,  # random weights predict nothing near 0.88
        stability_score_thresh=0.3,
        stability_score_offset=0.1,
        box_nms_thresh=0.9,
    )
    expected = generator.generate(image)
    options = ProposalOptions(
        6, 10, min_predicted_iou=-5.0, min_stability=0.3, stability_offset=0.1, max_box_iou=0.9
    )
    pixels = normalise(torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0))[0]
    masks = propose(ours, pixels, options)
    assert 3 <= len(masks) == len(expected)
    for mask, record in zip(masks, expected, strict=True):
        assert (mask.numpy() != record["segmentation"]).mean() < 0.001


def test_oracle_takes_the_proposal_nearest_to_the_truth() -> None:
    ours = our_sam(upstream_sam())
    torch.manual_seed(1)
    image = torch.randn(2, 3, SIDE, SIDE)
    options = ProposalOptions(
        6, 36, min_predicted_iou=-5.0, min_stability=0.3, stability_offset=0.1, max_box_iou=0.9
    )
    masks = [propose(ours, one, options) for one in image]
    truth = torch.stack([masks[0][2], masks[1][1]]).unsqueeze(1).float()
    logits = oracle(ours, image, truth, options)
    assert logits.shape == (2, 1, SIDE, SIDE)
    assert torch.equal(logits > 0, truth > 0.5)
    nothing = ProposalOptions(2, min_predicted_iou=1e9)
    assert (oracle(ours, image, truth, nothing) == -10).all()
