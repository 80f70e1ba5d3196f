"""Put the parts of a run together from its configuration: model, audio encoder, loaders."""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from avs_train import checkpoints
from avs_train import config as configuration
from avs_train.audio import open_encoder
from avs_train.config import Config
from avs_train.data import decode
from avs_train.data.embeddings import Embeddings, load_embeddings
from avs_train.data.image_embeddings import ImageEmbeddings
from avs_train.data.loader import Loader
from avs_train.data.pairing import Hearing, frozen, repaired
from avs_train.data.samples import Split
from avs_train.data.shard_files import ShardFiles
from avs_train.evaluate import Predict
from avs_train.layouts import layout
from avs_train.models import build_model, normalise, trainable_parameters
from avs_train.models.ap_sam import ApSam
from avs_train.models.build import PATCH, SIZES
from avs_train.models.proposals import oracle
from avs_train.models.sam import Sam
from avs_train.models.sama import Sama
from avs_train.run_folder import RunError, Saved, load_checkpoint, load_trained
from shards.hashing import hash64
from shards.records import RECORDING


def open_settings(model: str, overrides: Sequence[str] = ()) -> tuple[Config, int]:
    """The configuration and step of a run folder or checkpoint; or of a configuration as it is, at step 0.

    Raises:
        ConfigError: an override that does not fit. RunError: a folder without a checkpoint.
    """
    if not Path(model).is_dir():
        return configuration.load(model, overrides), 0
    saved = load_checkpoint(model)
    if not saved.state["config"]:
        raise RunError(
            f"{saved.path} is of a step that failed, and holds no configuration: give another checkpoint"
        )
    settings = configuration.from_values(saved.state["config"], str(saved.path), overrides)
    return replace(settings, train=replace(settings.train, init=str(saved.path))), saved.state["step"]


def completed(config: Config) -> Config:
    """The configuration with `train.init` as `train.sam_checkpoint` too, where that is a file with all weights in it.

    So a run that begins from released SAMA-AVS weights goes on, and is measured, with their frozen part.
    """
    init = config.train.init
    if not Path(init).is_file() or layout(checkpoints.read(init)) == "trained":
        return config
    return replace(config, train=replace(config.train, sam_checkpoint=init))


def open_model(config: Config, device: torch.device, *, begin: bool = True) -> Sam | Sama | ApSam:
    """The model with its frozen weights loaded, and, with `train.init`, the trained ones too unless `begin` is False.

    Raises:
        ConfigError: nothing says where the frozen weights are. RunError: `train.init` does not fit the model, or was
        trained on other frozen weights. CheckpointError: a file that cannot be read or does not fit.
    """
    config = completed(config)
    train = config.train
    if not (train.sam_checkpoint or config.model.train_encoder):
        raise configuration.ConfigError(
            config.name,
            ["train.sam_checkpoint is empty and the encoder is frozen: it would stay random; "
             "convert SAM's weights with `avs-train convert`, or set model.train_encoder=true"],
        )  # fmt: skip
    _refuse_missing(config, begin)
    torch.manual_seed(hash64("weights", train.seed) >> 1)
    model = build_model(config.model, device)
    assert isinstance(model, Sam | Sama | ApSam)
    if train.sam_checkpoint:
        checkpoints.load_sam(model, train.sam_checkpoint)
    if begin and train.init and train.init != train.sam_checkpoint:
        if Path(train.init).is_file():
            begun = checkpoints.read(train.init)
            checkpoints.with_classes(model, begun)
            load_trained(trainable_parameters(model), begun, Path(train.init))
        else:
            load_saved(model, load_checkpoint(train.init))
    return model.to(device)


def _refuse_missing(config: Config, begin: bool) -> None:
    """What is not there is told before a large model is built."""
    train, audio = config.train, config.audio
    if begin and train.init and not Path(train.init).exists():
        load_checkpoint(train.init)  # says why not
    for path in (train.sam_checkpoint, audio.checkpoint if audio.encoder == "vggish" else ""):
        if path and not Path(path).exists():
            checkpoints.read(path)


def load_saved(model: nn.Module, saved: Saved) -> None:
    """Copy a checkpoint's trained weights into a model that has the frozen ones they were trained with.

    Raises:
        RunError: other frozen weights, or other parameters.
    """
    wanted = saved.state.get("frozen", "")
    if wanted and wanted != frozen_fingerprint(model):
        source = saved.state["config"]["train"]["sam_checkpoint"] or "a model of another train.seed"
        raise RunError(
            f"{saved.path} was trained with other frozen weights than the model has now, those of {source}: "
            "give the same file as train.sam_checkpoint, or the same train.seed where there was none"
        )
    checkpoints.with_classes(model, saved.weights)
    load_trained(trainable_parameters(model), saved.weights, saved.path)


def frozen_fingerprint(model: nn.Module) -> str:
    """A hash that tells one set of frozen weights from another, whatever the image size and `frozen_dtype`.

    Taken from the norms of the encoder and the frozen prompts: small, in float32 always, and never resized.
    """
    trained = trainable_parameters(model)
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if name not in trained and re.match(
            r"prompt_encoder\.|image_encoder\.(.*\.norm\d|neck\.[13])\.", name
        ):
            digest.update(name.encode())
            digest.update(tensor.float().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


def refuse_other_classes(config: Config, split: Split) -> None:
    """That the model tells as many classes as the dataset's masks, and, where it begins from a run, the same ones.

    Raises:
        RunError: it does not; says what to set.
    """
    told, init = config.model.classes, config.train.init
    if not told:
        return
    if not split.classes:
        raise RunError(
            f"{config.name} tells {told} classes, and the masks of {split.url} say only what sounds: give a dataset "
            "with class masks, or leave model.classes 0"
        )
    if told != 1 + len(split.classes):
        raise RunError(
            f"{config.name} tells {told} classes, and {split.url} has {len(split.classes)} and background: say "
            f"model.classes={1 + len(split.classes)}"
        )
    if init and Path(init).is_dir():
        before = load_checkpoint(init).state.get("data", {}).get("classes", list(split.classes))
        if before != list(split.classes):
            raise RunError(
                f"{init} was trained to tell other classes than those of {split.url}, or in another order: give the "
                "dataset's own, or begin from a run without classes"
            )


def refuse_unfit_sound(config: Config, split: Split) -> None:
    """That a split can be heard as the configuration asks.

    Raises:
        RunError: it cannot; says what to set.
    """
    if split.sound and split.sound.channels == 2 and config.audio.downmix == "refuse":
        raise RunError(
            f"the sound of {split.url} is stereo, and {config.name} hears mono: say audio.downmix=mean to hear the "
            "mean of both channels, where nothing tells from which side a thing is heard; or build the dataset with "
            "scene.sound.stereo = false"
        )
    if config.data.audio == "repaired" and split.name == "train" and split.scenes:
        if RECORDING in split.counts:
            raise RunError(
                f"data.audio = repaired gives the sources of scenes other clips, and {split.url} has recordings, whose "
                "sounds nobody can take apart: say data.audio=frozen"
            )
        if split.sound is None:
            raise RunError(
                f"data.audio = repaired mixes scenes anew, and the manifest of {split.url} does not say how they were "
                "mixed: build the dataset again, or say data.audio=frozen"
            )


def class_names(config: Config) -> list[str]:
    """What a model tells apart, as the dataset that it was trained on calls it; empty for one that tells no classes."""
    init, number = config.train.init, max(0, config.model.classes - 1)
    known = (
        load_checkpoint(init).state.get("data", {}).get("classes") if init and Path(init).is_dir() else None
    )
    return known if number and known else [f"class {place}" for place in range(1, number + 1)]


def open_embeddings(config: Config, device: torch.device) -> Embeddings:
    """What clips sound like: the table the configuration names, or an empty memory."""
    encoder = open_encoder(config.audio, device)
    return (
        load_embeddings(config.audio.embeddings, encoder) if config.audio.embeddings else Embeddings(encoder)
    )


def open_image_embeddings(
    config: Config, model: nn.Module, device: torch.device, run: Path, ranks: int = 1
) -> ImageEmbeddings | None:
    """Where a run keeps its image embeddings; None where the configuration keeps none.

    Raises:
        StaleError: the run's embeddings were made otherwise.
    """
    if not config.data.image_embeddings_gb:
        return None
    assert isinstance(model, ApSam)
    autocast, fill, largest = precision(config, device), config.model.compiled(device), 0

    def encoder(images: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, len(images)) if fill else len(images)
        with autocast():
            return model.embed(normalise(_filled(images, largest)))[: len(images)]

    digest = hashlib.sha256()
    for name, tensor in sorted(model.image_encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
    with autocast():
        half = torch.is_autocast_enabled(device.type)
    about = {"encoder": digest.hexdigest()[:16], "image_size": config.model.image_size, "resizing": decode.RESIZING,
             "computed_in": "bf16" if half else "fp32"}  # fmt: skip
    grid = config.model.image_size // PATCH
    return ImageEmbeddings(
        encoder, run / "image_embeddings", about, shape=(SIZES[config.model.size].out_dim, grid, grid),
        dtype=model.embedding_dtype, most_bytes=int(config.data.image_embeddings_gb * 1e9 / ranks),
    )  # fmt: skip


def open_loader(
    config: Config,
    split: Split,
    embeddings: Embeddings,
    device: torch.device,
    hearing: Hearing | None = None,
    images: ImageEmbeddings | None = None,
) -> Loader:
    """A loader of one split; without `hearing`, training hears as `data.audio` says and other splits as frozen."""
    again = hearing is None and config.data.audio == "repaired" and split.name == "train"
    if hearing is None:
        hearing = repaired(split.clips, split.pairing_seed) if again else frozen
    files = ShardFiles(split.url, split.shards, cache_folder(config, split), int(config.data.cache_gb * 1e9))
    return Loader(
        split,
        files,
        embeddings,
        size=config.model.image_size,
        mask_size=config.model.image_size if split.name == "train" else config.mask_size,
        hearing=hearing,
        workers=config.data.workers,
        prefetch=config.data.prefetch,
        augment_seed=config.train.seed if config.data.augment and split.name == "train" else None,
        tolerance=config.data.corrupt_tolerance,
        pin=device.type == "cuda",
        images=images,
        classes=bool(config.model.classes),
        remix=again and split.scenes,
    )


def cache_folder(config: Config, split: Split) -> Path:
    """Where shards of a remote dataset are kept."""
    if config.data.cache_dir:
        return Path(config.data.cache_dir)
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "avs-train" / hashlib.sha256(split.url.encode()).hexdigest()[:12]


def precision(config: Config, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """What to run the forward pass in: bf16 autocast or nothing."""
    wanted = config.train.precision
    half = wanted == "bf16" or (wanted == "auto" and device.type == "cuda")
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=half)


def open_predict(config: Config, model: nn.Module, device: torch.device) -> Predict:
    """How `evaluate` gets logits from a model; for vanilla SAM the proposal nearest to the true mask.

    Compiled blocks see one size of batch: a smaller one, as at the end of a split, is filled up with its last sample.
    """
    autocast = precision(config, device)
    fill = config.model.compiled(device)
    largest = 0

    def predict(image: torch.Tensor, audio: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        size = len(image)
        largest = max(largest, size) if fill else size
        with autocast():
            if isinstance(model, Sam):
                return oracle(model, normalise(image), truth.unsqueeze(1))
            return model(ready(_filled(image, largest)), _filled(audio, largest))[:size]

    return predict


def ready(image: torch.Tensor) -> torch.Tensor:
    """What a model takes: images (n, 3, S, S) uint8 normalised, image embeddings as they are."""
    return normalise(image) if image.dtype == torch.uint8 else image


def _filled(tensor: torch.Tensor, size: int) -> torch.Tensor:
    """(n, ...) to (size, ...): the last row again and again."""
    missing = size - len(tensor)
    return torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])]) if missing else tensor
