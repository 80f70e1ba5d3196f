"""What a run begins from: another run, or released weights in one file; and never with other frozen weights."""

from dataclasses import replace

import pytest
import torch
from alone import ALONE, Quiet
from click.testing import CliRunner
from generated_shards import write_dataset
from safetensors.torch import load_file

from avs_train import assembly, checkpoints, cli, layouts, loop
from avs_train import config as configuration
from avs_train.models import ModelConfig, build_model, trainable_parameters
from avs_train.run_folder import RunError, load_checkpoint

CPU = torch.device("cpu")
SMALL = ["model.image_size=64", "train_encoder=false", "epochs=1", "train.batch_size=2", "workers=0",
         "tensorboard=false", "evaluate.pictures=0", "validate_first=false", "validate_every=9",
         "data.augment=false"]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    torch.set_num_threads(1)
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 4, "val": 2, "test": 2}, size=64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """sam.pth, other_sam.pth (another positional encoding), and released.pth: SAMA on a third one, in released keys."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in ((1, "sam"), (2, "other_sam")):
        torch.manual_seed(seed)
        checkpoints.write(
            folder / f"{name}.pth", build_model(ModelConfig("sam", "tiny", 64)).state_dict(), {}
        )
    torch.manual_seed(3)
    sama = build_model(ModelConfig("sama", "tiny", 64)).state_dict()
    checkpoints.write(folder / "released.pth", layouts.to_released(sama, {}, "test"), {})
    checkpoints.write(folder / "sama.safetensors", sama, {})
    return folder


def settings(*overrides):
    return configuration.load("tiny", [*SMALL, *overrides])


def test_a_released_file_is_the_whole_model(weights):
    """No SAM checkpoint is needed, and the positional encoding is the file's own."""
    expected = load_file(weights / "sama.safetensors")
    for name in ("released.pth", "sama.safetensors"):
        found = assembly.open_model(settings(f"train.init={weights / name}"), CPU).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_released_weights_are_measured_by_one_command_under_their_name(
    weights, dataset, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = ["eval", "tiny", "--data", dataset, *SMALL, f"train.init={weights / 'released.pth'}"]
    said = CliRunner().invoke(cli.main, arguments)
    assert said.exit_code == 0, said.output
    assert (tmp_path / "runs/tiny/eval-generated-test-released.pth.json").is_file()


def test_a_run_from_released_weights_keeps_their_frozen_part_for_good(weights, dataset, tmp_path):
    begun = settings(f"train.init={weights / 'released.pth'}", f"sam_checkpoint={weights / 'sam.pth'}")
    loop.fit(begun, dataset, tmp_path / "run", ALONE, Quiet(), stop=1)
    loop.fit(
        begun, dataset, tmp_path / "run", ALONE, Quiet()
    )  # goes on from its checkpoint, not from the file
    saved = load_checkpoint(tmp_path / "run" / "last")
    assert saved.state["step"] == 2
    measured, _ = assembly.open_settings(str(tmp_path / "run"))
    model = assembly.open_model(measured, CPU)
    pe = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(model.state_dict()[pe], load_file(weights / "sama.safetensors")[pe])
    assert all(torch.equal(trainable_parameters(model)[name], saved.weights[name]) for name in saved.weights)


def test_frozen_weights_other_than_those_of_the_training_are_refused(weights, dataset, tmp_path):
    loop.fit(
        settings(f"sam_checkpoint={weights / 'sam.pth'}"), dataset, tmp_path / "run", ALONE, Quiet(), stop=1
    )
    other = f"sam_checkpoint={weights / 'other_sam.pth'}"
    with pytest.raises(RunError, match=r"other frozen weights than the model has now, those of .*/sam\.pth"):
        assembly.open_model(assembly.open_settings(str(tmp_path / "run"), [other])[0], CPU)
    with pytest.raises(RunError, match="other frozen weights"):
        loop.fit(
            settings(f"train.init={tmp_path / 'run'}", other), dataset, tmp_path / "next", ALONE, Quiet()
        )
    with pytest.raises(RunError, match="other frozen weights"):
        loop.fit(settings(other), dataset, tmp_path / "run", ALONE, Quiet())


def test_going_on_needs_what_the_run_began_from_no_more(weights, dataset, tmp_path):
    sam = f"sam_checkpoint={weights / 'sam.pth'}"
    loop.fit(settings(sam), dataset, tmp_path / "first", ALONE, Quiet(), stop=1)
    second = settings(sam, f"train.init={tmp_path / 'first'}")
    loop.fit(second, dataset, tmp_path / "second", ALONE, Quiet(), stop=1)
    (tmp_path / "first").rename(tmp_path / "gone")
    assert loop.fit(second, dataset, tmp_path / "second", ALONE, Quiet()).step == 2


def test_trained_weights_alone_begin_a_run_too(weights, dataset, tmp_path):
    sam = f"sam_checkpoint={weights / 'sam.pth'}"
    loop.fit(settings(sam), dataset, tmp_path / "first", ALONE, Quiet(), stop=1)
    file = tmp_path / "first" / "last" / "weights.safetensors"
    model = assembly.open_model(settings(sam, f"train.init={file}"), CPU)
    assert all(
        torch.equal(trainable_parameters(model)[name], value) for name, value in load_file(file).items()
    )


def test_the_fingerprint_knows_weights_whatever_their_storage_and_image_size():
    def fingerprint(seed, **changed):
        torch.manual_seed(seed)
        tensors = build_model(ModelConfig("sama", "tiny", 64)).state_dict()
        model = build_model(replace(ModelConfig("sama", "tiny", 64), **changed))
        fitting = {k: v for k, v in tensors.items() if model.state_dict()[k].shape == v.shape}
        model.load_state_dict(fitting, strict=False)
        return assembly.frozen_fingerprint(model)

    assert fingerprint(0) == fingerprint(0, frozen_dtype="bfloat16") == fingerprint(0, image_size=128)
    assert fingerprint(0) != fingerprint(1)
