"""Decoder, prompts and proposals against the `segment-anything` package, with the same weights."""

from functools import partial

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from avs_train import checkpoints
from avs_train.model_config import SIZES
from avs_train.models import ModelConfig, build_model
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

    whole = dense.expand(1, -1, 8, 8)
    expected = torch.cat(  # upstream decodes one image at a time
        [
            upstream(image[i : i + 1], pe, sparse[i : i + 1], whole, multimask_output=False)[0]
            for i in range(2)
        ]
    )
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


def test_masks_of_boxes_match_upstream() -> None:
    boxes = torch.rand(5, 4, dtype=torch.float64).sort(dim=1).values * SIDE
    # upstream computes coordinates in float32 whatever the weights
    prompts, _ = upstream_sam().prompt_encoder(points=None, boxes=boxes.float(), masks=None)
    torch.testing.assert_close(
        our_sam(upstream_sam()).prompt_encoder.boxes(boxes), prompts, atol=2e-5, rtol=0
    )
    upstream = upstream_sam().double()
    ours = our_sam(upstream_sam()).double()
    features = torch.randn(1, 64, 8, 8, dtype=torch.float64)
    expected, expected_iou = upstream.mask_decoder(
        features,
        ours.prompt_encoder.positions(),
        ours.prompt_encoder.boxes(boxes),
        ours.prompt_encoder.no_mask().expand(5, -1, 8, 8),
        multimask_output=False,
    )
    masks, iou = ours.outline(features, boxes)
    assert_close(masks, expected)
    assert_close(iou, expected_iou)


def blobs(sparse: Tensor) -> tuple[Tensor, Tensor]:
    """Discs whose places, sizes and scores follow from the prompt: what a trained decoder would give."""
    shape = sparse[:, 0, :9].unflatten(1, (3, 3))
    x, y = 16 + 12 * shape[..., :1, None].tanh(), 16 + 12 * shape[..., 1:2, None].tanh()
    radius = 2 + 6 * shape[..., 2:, None].sigmoid()
    place = torch.arange(32.0)
    distance = ((place[:, None] - y) ** 2 + (place - x) ** 2).sqrt()
    return 2 * (radius - distance), shape.sum(-1).sigmoid()


def test_proposals_match_the_automatic_mask_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = upstream_sam()
    ours = our_sam(upstream)
    monkeypatch.setattr(
        upstream.mask_decoder, "forward", lambda **given: blobs(given["sparse_prompt_embeddings"])
    )
    monkeypatch.setattr(ours.mask_decoder, "propose", lambda image, pe, sparse, dense: blobs(sparse))
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    generator = SamAutomaticMaskGenerator(
        upstream,
        points_per_side=6,
        points_per_batch=10,
        pred_iou_thresh=0.4,
        stability_score_thresh=0.6,
        stability_score_offset=1.0,
        box_nms_thresh=0.6,
    )
    expected = generator.generate(image)
    options = ProposalOptions(6, 10, min_predicted_iou=0.4, min_stability=0.6, max_box_iou=0.6)
    masks = propose(ours, torch.randn(3, SIDE, SIDE), options)
    assert 5 < len(masks) == len(expected) < 3 * 36  # the filters took some and left some
    for mask, record in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(mask.numpy(), record["segmentation"])


def test_oracle_takes_the_proposal_nearest_to_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = our_sam(upstream_sam())
    monkeypatch.setattr(ours.mask_decoder, "propose", lambda image, pe, sparse, dense: blobs(sparse))
    image = torch.randn(2, 3, SIDE, SIDE)
    options = ProposalOptions(6, 36, min_predicted_iou=0.4, min_stability=0.6)
    masks = propose(ours, image[0], options)
    truth = masks[[4, 1]].unsqueeze(1).float()
    truth[0, 0, :2] = 1  # not exactly a proposal
    logits = oracle(ours, image, truth, options)
    assert logits.shape == (2, 1, SIDE, SIDE)
    for one, true in zip(logits[:, 0] > 0, truth[:, 0] > 0.5, strict=True):
        scores = [(mask & true).sum() / (mask | true).sum() for mask in masks]
        assert torch.equal(one, masks[int(torch.stack(scores).argmax())])
    nothing = ProposalOptions(2, min_predicted_iou=2)
    assert (oracle(ours, image, truth, nothing) == -10).all()
