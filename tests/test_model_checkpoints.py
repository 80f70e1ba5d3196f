"""Checkpoints: official SAM loads one to one, faults come all at once, conversions go both ways."""

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from click.testing import CliRunner
from segment_anything import sam_model_registry
from test_model_encoder import SHAPE, upstream_encoder
from torch import Tensor, nn

from avs_train import checkpoints, layouts
from avs_train import config as configuration
from avs_train.commands.convert import command
from avs_train.layouts import CheckpointError
from avs_train.models import ModelConfig, build_model
from avs_train.models.encoder import ImageEncoder
from avs_train.vggish import VGGish

TINY = ModelConfig(size="tiny", image_size=64)


@pytest.fixture(scope="module")
def tiny_sam() -> dict[str, Tensor]:
    """An official checkpoint's keys in our tiny size, the mask prompt's too."""
    torch.manual_seed(0)
    tensors = build_model(ModelConfig("sam", "tiny", 64)).state_dict()
    with torch.device("meta"):
        upstream = sam_model_registry["vit_b"]().state_dict()
    tensors |= {k: torch.zeros(v.shape) for k, v in upstream.items() if "mask_downscaling" in k}
    assert tensors.keys() >= {k for k in upstream if "image_encoder.blocks." not in k and "pixel" not in k}
    return tensors


@pytest.fixture(scope="module")
def tiny_vggish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGGish in 16 bits, to keep the file small."""
    path = tmp_path_factory.mktemp("vggish") / "vggish.pth"
    torch.manual_seed(1)
    checkpoints.write(path, VGGish().half().state_dict(), {})
    return path


@pytest.mark.parametrize(("size", "keys"), [("vit_b", 314), ("vit_l", 482), ("vit_h", 594)])
def test_official_keys_and_shapes_fit_every_model(size: str, keys: int) -> None:
    with torch.device("meta"):
        official = sam_model_registry[size]().state_dict()
        assert len(official) == keys
        for name in ("sam", "sama", "ap_sam"):
            model = build_model(ModelConfig(name, size))
            checkpoints.check(
                model,
                official,
                "official",
                unused=checkpoints.UNUSED_OF_SAM[type(model)],
                new=checkpoints.NEW_BESIDE_SAM[type(model)],
            )


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_sam_loads_into_sama_and_adapters_keep_their_start(
    tiny_sam: dict[str, Tensor], tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"sam{ending}"
    checkpoints.write(path, tiny_sam, {"layout": "sam"})
    model = build_model(TINY)
    start = {name: p.clone() for name, p in model.adapters.named_parameters()}
    checkpoints.load_sam(model, path)
    for name, tensor in model.state_dict().items():
        expected = start[name.removeprefix("adapters.")] if name.startswith("adapters.") else tiny_sam[name]
        assert torch.equal(tensor, expected), name


def test_every_fault_is_named_and_nothing_is_loaded(tiny_sam: dict[str, Tensor], tmp_path: Path) -> None:
    broken = dict(tiny_sam, stranger=torch.zeros(1))
    del broken["prompt_encoder.no_mask_embed.weight"]
    del broken["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    broken["image_encoder.pos_embed"] = torch.zeros(1, 64, 64, 95)
    checkpoints.write(tmp_path / "broken.pth", broken, {})
    model = build_model(TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        checkpoints.load_sam(model, tmp_path / "broken.pth")
    text = str(error.value)
    assert "2 missing: " in text
    assert "prompt_encoder.no_mask_embed.weight" in text
    assert "positional_encoding_gaussian_matrix" in text
    assert "1 unknown: stranger" in text
    assert "image_encoder.pos_embed is (1, 64, 64, 95), the model has (1, 4, 4, 96)" in text
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("side", [4, 7, 16])  # tokens; the weights are of a grid of 10
def test_weights_of_another_image_size_are_interpolated_as_upstream_and_opencv_do(
    side: int, tmp_path: Path
) -> None:
    upstream = upstream_encoder()
    ours = {f"image_encoder.{key}": tensor for key, tensor in upstream.state_dict().items()}
    encoder = ImageEncoder(image_size=16 * side, **SHAPE).double()
    holder = nn.Module()
    holder.image_encoder = encoder
    resized = checkpoints.resized(holder, ours)
    encoder.load_state_dict({key.removeprefix("image_encoder."): tensor for key, tensor in resized.items()})

    # Upstream interpolates relative positions itself when it meets another grid; its absolute ones do not move.
    grid = upstream.pos_embed.detach()[0].numpy()
    places = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    upstream.pos_embed = nn.Parameter(torch.from_numpy(places)[None])
    image = torch.randn(1, 3, 16 * side, 16 * side, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(image), upstream(image), rtol=1e-4, atol=1e-4)


def test_weights_of_the_models_own_size_are_not_touched(tiny_sam: dict[str, Tensor]) -> None:
    resized = checkpoints.resized(build_model(TINY), tiny_sam)
    assert all(resized[key] is tensor for key, tensor in tiny_sam.items())


def test_sam_weights_train_at_256_and_512_pixels(tiny_sam: dict[str, Tensor], tmp_path: Path) -> None:
    checkpoints.write(tmp_path / "sam.pth", tiny_sam, {})
    for name in ("sama_avs_256", "sama_avs_512"):
        config = replace(configuration.load(name).model, size="tiny", frozen_dtype="float32")
        model = build_model(config)
        checkpoints.load_sam(model, tmp_path / "sam.pth")
        logits = model(torch.randn(1, 3, config.image_size, config.image_size), torch.rand(1, 128))
        assert logits.shape == (1, 1, config.image_size // 4, config.image_size // 4)
    with torch.device("meta"):
        official, big = sam_model_registry["vit_h"]().state_dict(), build_model(ModelConfig(image_size=256))
        rest = {"unused": checkpoints.UNUSED_OF_SAM[type(big)], "new": checkpoints.NEW_BESIDE_SAM[type(big)]}
        checkpoints.check(big, checkpoints.resized(big, official), "official", **rest)


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("evil"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_code_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(1), "evil": Evil()}, "evil.pth")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        checkpoints.read("evil.pth")
    Path("raw.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"raw\.pth"):
        checkpoints.read("raw.pth")
    assert not Path("evil").exists()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_truncated_missing_and_nested_files_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"whole{ending}"
    checkpoints.write(path, {"a": torch.arange(1000.0)}, {})
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(CheckpointError, match=f"whole{ending}"):
        checkpoints.read(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoints.read(tmp_path / "absent.pth")
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "nested.pth")
    with pytest.raises(CheckpointError, match="not a flat state dict"):
        checkpoints.read(tmp_path / "nested.pth")


def test_our_files_are_the_same_bytes_and_tell_what_they_hold(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2, 3), "a": torch.zeros(1, dtype=torch.bfloat16)}
    for name in ("one", "two"):
        checkpoints.write(tmp_path / f"{name}.safetensors", tensors, {"layout": "sam"})
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    about = json.loads((tmp_path / "one.json").read_text())
    assert about["layout"] == "sam"
    assert about["sha256"] == hashlib.sha256((tmp_path / "one.safetensors").read_bytes()).hexdigest()
    assert about["tensors"] == {"b": ["float32", 2, 3], "a": ["bfloat16", 1]}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.json", "one.safetensors", "two.json", "two.safetensors"
    ]  # fmt: skip


def released_keys(depth: int) -> set[str]:
    """The released model's state dict, from its published modules: nothing here comes from our rules."""
    with torch.device("meta"):
        official = sam_model_registry["vit_b"]().state_dict()
    keys = {k for k in official if k.startswith(("image_encoder.", "mask_decoder."))}
    keys = {k for k in keys if ".blocks." not in k or int(k.split(".")[2]) < depth}
    for part in ("weight", "bias"):
        keys |= {f"image_encoder.prompt_generator.lightweight_mlp_{i}.0.{part}" for i in range(depth)}
        keys.add(f"image_encoder.prompt_generator.shared_mlp.{part}")
        keys |= {f"audio_encoder.audio_backbone.features.{i}.{part}" for i in (0, 3, 6, 8, 11, 13)}
        keys |= {f"audio_encoder.audio_backbone.embeddings.{i}.{part}" for i in (0, 2, 4)}
    return keys | {"pe_layer.positional_encoding_gaussian_matrix", "no_mask_embed.weight"}


def run(*arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_released_weights_convert_both_ways_without_loss(tmp_path: Path, tiny_vggish: Path) -> None:
    torch.manual_seed(0)
    model = build_model(TINY)
    checkpoints.write(tmp_path / "sama.safetensors", model.state_dict(), {})
    run(tmp_path / "sama.safetensors", tmp_path / "released.pth", "--to", "released", "--vggish", tiny_vggish)
    released = checkpoints.read(tmp_path / "released.pth")
    assert released.keys() == released_keys(depth=4)

    output = run(
        tmp_path / "released.pth", tmp_path / "back.safetensors", "--vggish", tmp_path / "vggish.safetensors"
    )
    assert "released SAMA-AVS tiny, 64 pixels" in output
    back = checkpoints.read(tmp_path / "back.safetensors")
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())
    vggish, original = checkpoints.read(tmp_path / "vggish.safetensors"), checkpoints.read(tiny_vggish)
    assert all(torch.equal(vggish[name], tensor) for name, tensor in original.items())

    direct = build_model(TINY)
    checkpoints.load_sam(direct, tmp_path / "released.pth")
    image, audio = torch.randn(1, 3, 64, 64), torch.rand(1, 128)
    assert torch.equal(direct(image, audio), model(image, audio))
    assert torch.equal(
        checkpoints.load_vggish(tmp_path / "released.pth").embeddings[4].bias,
        original["embeddings.4.bias"].float(),
    )


def test_a_runs_trained_parameters_are_completed_for_release(
    tiny_sam: dict[str, Tensor], tiny_vggish: Path, tmp_path: Path
) -> None:
    checkpoints.write(tmp_path / "sam.pth", tiny_sam, {})
    model = build_model(TINY)
    checkpoints.load_sam(model, tmp_path / "sam.pth")
    trained = {name: p + 1 for name, p in model.named_parameters() if p.requires_grad}
    checkpoints.write(tmp_path / "weights.safetensors", trained, {})
    assert "trained parameters of a run" in run(tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="--frozen"):
        run(tmp_path / "weights.safetensors", tmp_path / "x.pth")
    run(
        tmp_path / "weights.safetensors", tmp_path / "out.pth", "--to", "released",
        "--frozen", tmp_path / "sam.pth", "--vggish", tiny_vggish,
    )  # fmt: skip
    back, _ = layouts.from_released(checkpoints.read(tmp_path / "out.pth"), "out.pth")
    for name, tensor in back.items():
        assert torch.equal(tensor, trained.get(name, model.state_dict()[name])), name


def test_convert_says_what_does_not_work(tmp_path: Path, tiny_sam: dict[str, Tensor]) -> None:
    checkpoints.write(tmp_path / "sam.pth", tiny_sam, {})
    with pytest.raises(CheckpointError, match="holds official SAM: --to released needs SAMA weights"):
        run(tmp_path / "sam.pth", tmp_path / "x.pth", "--to", "released")
    few = build_model(ModelConfig(size="tiny", image_size=64, adapters=2)).state_dict()
    checkpoints.write(tmp_path / "few.safetensors", few, {})
    checkpoints.write(tmp_path / "vggish.pth", VGGish().half().state_dict(), {})
    with pytest.raises(CheckpointError, match="2 adapters for 4 blocks"):
        run(
            tmp_path / "few.safetensors",
            tmp_path / "x.pth",
            "--to",
            "released",
            "--vggish",
            tmp_path / "vggish.pth",
        )
    checkpoints.write(tmp_path / "other.pth", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="none of the known layouts"):
        run(tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="unknown kind of file"):
        run(tmp_path / "sam.pth", tmp_path / "sam.zip")
