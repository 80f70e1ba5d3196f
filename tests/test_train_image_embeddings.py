"""AP-SAM from image embeddings on disk: the same training without the encoder, never from stale or damaged ones."""

import json

import numpy as np
import pytest
import torch
from alone import ALONE, Quiet
from generated_shards import write_dataset
from safetensors.torch import load_file

from avs_train import assembly, checkpoints, loop
from avs_train import config as configuration
from avs_train.data.image_embeddings import ImageEmbeddings, StaleError, Stored
from avs_train.data.samples import open_split
from avs_train.models import ModelConfig, build_model
from avs_train.run_folder import load_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SHA = [f"{index:064x}" for index in range(9)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 9, "val": 3}, size=64)


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "sam.pth"
    checkpoints.write(path, build_model(ModelConfig("sam", "tiny", 64)).state_dict(), {})
    return path


def settings(sam, *overrides):
    small = ["model.name=ap_sam", "model.image_size=64", "train_encoder=false", "epochs=3", "train.batch_size=4",
             "workers=1", "tensorboard=false", "evaluate.pictures=2", "validate_first=false", "validate_every=1",
             "data.augment=false", "evaluate.batch_size=2", f"sam_checkpoint={sam}"]  # fmt: skip
    return configuration.load("tiny", [*small, *overrides])


def encoded(monkeypatch):
    """Counts the images that the encoder of an AP-SAM sees."""
    seen = []
    real = torch.nn.Module.__call__

    def counted(self, *arguments, **named):
        if type(self).__name__ == "ImageEncoder":
            seen.append(len(arguments[0]))
        return real(self, *arguments, **named)

    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    return seen


@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
def test_training_is_the_same_and_the_encoder_sees_each_photo_once(dataset, sam, tmp_path, monkeypatch, kept):
    loop.fit(settings(sam, f"frozen_dtype={kept}"), dataset, tmp_path / "without", ALONE, Quiet())
    seen = encoded(monkeypatch)
    with_store = settings(sam, f"frozen_dtype={kept}", "image_embeddings_gb=1")
    loop.fit(with_store, dataset, tmp_path / "with", ALONE, Quiet())
    assert (
        8 + 3 <= sum(seen) <= 9 + 3
    )  # each photo of both splits once, in three epochs and three validations
    runs = [load_checkpoint(tmp_path / name / "last") for name in ("without", "with")]
    for name, value in runs[0].optimizer.items():
        if name.endswith("exp_avg"):
            scale = value.abs().max().clamp(min=1e-6)
            assert (value - runs[1].optimizer[name]).abs().max() / scale < 2e-3, name
    assert runs[0].state["last"] == pytest.approx(runs[1].state["last"], abs=1e-3)


def test_a_stopped_run_goes_on_from_its_embeddings(dataset, sam, tmp_path, monkeypatch):
    whole, parts = settings(sam, "image_embeddings_gb=1"), settings(sam, "image_embeddings_gb=1")
    loop.fit(whole, dataset, tmp_path / "whole", ALONE, Quiet())
    loop.fit(parts, dataset, tmp_path / "parts", ALONE, Quiet(), stop=3)
    loop.fit(parts, dataset, tmp_path / "parts", ALONE, Quiet())
    ends = [load_file(tmp_path / name / "last" / "weights.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_embeddings_of_other_weights_or_sizes_are_refused(dataset, sam, tmp_path):
    loop.fit(settings(sam, "image_embeddings_gb=1"), dataset, tmp_path, ALONE, Quiet(), stop=1)
    torch.manual_seed(1)
    other = tmp_path / "other.pth"
    checkpoints.write(other, build_model(ModelConfig("sam", "tiny", 64)).state_dict(), {})
    for changed, said in (
        (f"sam_checkpoint={other}", "encoder"),
        ("model.image_size=128", "image_size 64 then, 128"),
    ):
        model = assembly.open_model(settings(sam, changed) if "128" not in changed else settings(sam), CPU)
        if "128" in changed:
            model = build_model(ModelConfig("ap_sam", "tiny", 128))
        with pytest.raises(StaleError, match=f"{said}.*Remove that folder"):
            assembly.open_image_embeddings(
                settings(sam, "image_embeddings_gb=1", changed), model, CPU, tmp_path
            )


def store(path, most=10**6):
    def encoder(images):
        return images.float().mean((1, 2, 3))[:, None, None, None].expand(-1, 2, 3, 3).to(torch.bfloat16)

    return ImageEmbeddings(
        encoder, path, {"encoder": "mean"}, shape=(2, 3, 3), dtype=torch.bfloat16, most_bytes=most
    )


def batch(images):
    known = torch.empty(len(images), 2, 3, 3, dtype=torch.bfloat16)
    return Stored(known, (False,) * len(images), tuple(SHA[: len(images)]))


def test_what_is_kept_is_bounded_and_the_rest_computed_again(tmp_path):
    one = 2 * 3 * 3 * 2
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 8, 8, 3)
    found = store(tmp_path, most=3 * one)
    expected = found.resolve(batch(images), images, CPU)
    assert len(list(tmp_path.glob("??/*"))) == 3
    assert torch.equal(expected[:, 0, 0, 0].float(), torch.arange(5.0))
    again = store(tmp_path, most=3 * one)
    out = np.empty(2 * 3 * 3 * 2, np.uint8)
    assert [again.load(sha, out) for sha in SHA[:5]] == [True, True, True, False, False]
    again.resolve(batch(images), images, CPU)
    assert len(list(tmp_path.glob("??/*"))) == 3


def test_a_damaged_embedding_is_none(tmp_path):
    images = torch.full((2, 8, 8, 3), 7, dtype=torch.uint8)
    store(tmp_path).resolve(batch(images), images, CPU)
    file = tmp_path / SHA[0][:2] / SHA[0]
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    out = np.empty(2 * 3 * 3 * 2, np.uint8)
    assert not store(tmp_path).load(SHA[0], out)
    file.write_bytes(content[:9])
    assert not store(tmp_path).load(SHA[0], out)
    assert store(tmp_path).load(SHA[1], out)
    assert json.loads((tmp_path / "about.json").read_text())["encoder"] == "mean"


def test_a_model_whose_embeddings_change_is_refused(sam):
    for changed, said in (
        (["model.name=sama"], "the sound is in them"),
        (["train_encoder=true"], "changes them at every step"),
        (["data.augment=true"], "another part of a photo every epoch"),
    ):
        with pytest.raises(configuration.ConfigError, match=said):
            settings(sam, "image_embeddings_gb=1", *changed)


def test_the_papers_ap_sam_keeps_its_embeddings():
    for name in ("ap_sam_s4", "ap_sam_ms3"):
        found = configuration.load(name)
        embedding = 256 * 64 * 64 * 2
        assert found.data.image_embeddings_gb * 1e9 > (3452 + 740 * 5) * embedding


def test_a_photo_is_read_for_a_picture_as_the_model_sees_it(dataset, sam):
    found = settings(sam)
    split = open_split(dataset, "val")
    loader = assembly.open_loader(found, split, assembly.open_embeddings(found, CPU), CPU)
    batch = next(iter(loader.evaluation(3)))
    assert all(
        (loader.photo(row) == image.numpy()).all() for row, image in zip(batch.rows, batch.image, strict=True)
    )
