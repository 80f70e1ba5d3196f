"""Training, in one function to read from top to bottom."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from avs_train import assembly
from avs_train.config import Config, changes, to_toml, to_values
from avs_train.data.loader import Batch, Loader
from avs_train.data.order import rank_part, steps_per_epoch
from avs_train.data.samples import Split, differences, few_shot, of_kinds, open_split
from avs_train.distributed import Place
from avs_train.evaluate import evaluate, to_device
from avs_train.experiments import check_begins
from avs_train.finite import FiniteWatch, Step
from avs_train.flops import flops_per_image
from avs_train.losses import loss_of
from avs_train.models import trainable_parameters
from avs_train.run_folder import RunError, RunFolder, optimizer_tensors, restore_optimizer
from avs_train.schedule import learning_rate
from avs_train.speed import Speedometer
from avs_train.tracking import Tracker
from shards.errors import AvsError
from shards.hashing import hash64


class NonFiniteError(AvsError):
    """The loss or a gradient became NaN or infinite; names the batch and where the state was saved."""


class Display(Protocol):
    """What a person sees of a run."""

    def begin(self, facts: dict[str, Any], total: int | None, done: int = 0) -> None: ...
    def step(self, step: int, values: Mapping[str, float]) -> None: ...
    def note(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Result:
    """Where a run ended: steps taken in all, validation mJ of the last and of the best checkpoint (None: no val)."""

    step: int
    last_mj: float | None
    best_mj: float | None
    corrupt: dict[str, str]


def fit(
    config: Config, data: str, out: str | Path, place: Place, display: Display, stop: int | None = None
) -> Result:
    """Train, or resume from the run's last checkpoint; the same call after a kill gives the same end.

    Args:
        data: dataset, a path or URL.
        out: the run folder.
        stop: end after this many steps in all, as if killed but for a checkpoint; None trains all epochs.
    Raises:
        RunError: the folder holds a run of other data or another configuration, says what differs; or the nodes do
            not share it; or the dataset is not the one the configuration is for; or the run to begin from is missing.
        NonFiniteError: the loss is NaN.
        SettingError: less than one global batch, or a batch the ranks cannot share.
    """
    train, device = config.train, place.device
    whole = few_shot(open_split(data, "train"), config.data.fraction)
    split = of_kinds(whole, [kind.strip() for kind in config.data.kinds.split(",") if kind.strip()])
    _refuse_unfit(config, split)
    validation = open_split(data, "val")
    per_epoch = steps_per_epoch(len(split), train.batch_size)
    share = rank_part(train.batch_size, place.rank, place.world)
    micro = min(train.micro_batch or train.batch_size, share.stop - share.start)

    folder = RunFolder(out)
    saved = folder.load()
    found = place.gather(saved.state["step"] if saved else 0)
    if len(set(found)) > 1:
        raise RunError(
            f"the ranks find checkpoints of different steps in {folder.path}: {found}. "
            "--out must be on storage that all nodes share"
        )
    if saved:
        _refuse_other(saved.state, config, split.identity(), folder)
    else:
        check_begins(config)
    config = assembly.completed(config)
    model = assembly.open_model(config, device, begin=not saved)
    frozen = assembly.frozen_fingerprint(model)
    parameters = trainable_parameters(model)
    if not parameters:
        raise RunError(f"{config.model.name} has nothing to train: measure it with `avs-train eval`")
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=train.lr, weight_decay=train.weight_decay, fused=True
    )
    finite = FiniteWatch(optimizer, device)
    state: dict[str, Any] = {"step": 0, "best": None, "last": None}
    if saved:
        assembly.load_saved(model, saved)
        restore_optimizer(optimizer, parameters, saved.optimizer)
        state = {name: saved.state.get(name, value) for name, value in state.items()}
    parallel = place.parallel(model)
    autocast = assembly.precision(config, device)
    embeddings = assembly.open_embeddings(config, device)
    images = assembly.open_image_embeddings(config, model, device, folder.path, place.world)
    loader = assembly.open_loader(config, split, embeddings, device, images=images)
    val_loader = assembly.open_loader(config, validation, embeddings, device, images=images)
    predict = assembly.open_predict(config, model, device)
    total = min(stop or train.epochs * per_epoch, train.epochs * per_epoch)
    speed = Speedometer(device, flops_per_image(config.model).training, place.world)
    tracker = _open_tracker(config, folder, state["step"]) if place.first else None
    place.wait()

    def save(best: bool = False) -> None:
        if place.first:
            kept = {**state, "frozen": frozen, "data": split.identity(), "config": to_values(config)}
            folder.save(state["step"], parameters, optimizer_tensors(optimizer, parameters), kept, best)
        place.wait()

    def validate() -> bool:
        """Measure on the validation split, tell, and say whether this is the best so far."""
        model.eval()
        gallery = _Gallery(config.evaluate.pictures if place.first else 0, val_loader, display)
        size = config.evaluate.batch_size
        found = evaluate(predict, val_loader, place, batch_size=size, curves=False, on_batch=gallery.add)
        model.train()
        mj = found.mj
        values = {"val/mJ": mj} | ({"val/FPR": found.fpr} if found.fpr is not None else {})
        display.step(state["step"], values)
        if tracker:
            from avs_train import pictures  # matplotlib, on the first rank alone

            tracker.scalars(state["step"], values)
            gallery.draw(tracker, state["step"], folder.path / "pictures")
            pictures.curves(tracker.metrics, folder.path / "curves.png")
        state["last"] = mj
        trained = state["step"] > 0  # what chance gives is no checkpoint
        better = trained and (state["best"] is None or mj > state["best"]["mJ"])
        if better:
            state["best"] = {"mJ": mj, "step": state["step"]}
        return better

    display.begin(
        {"samples": len(split), "validation": len(validation), "steps": total, "steps per epoch": per_epoch,
         "trained parameters": sum(p.numel() for p in parameters.values()),
         "device": str(device), "ranks": place.world, "micro-batches": -(-(share.stop - share.start) // micro)},
        total, state["step"],
    )  # fmt: skip
    batches = loader.training(
        state["step"], total, seed=train.seed, batch_size=train.batch_size, window=config.data.window_shards,
        rank=place.rank, world=place.world,
    )  # fmt: skip
    model.train()
    if train.validate_first and not saved:
        validate()
        speed.restart()
    for batch in speed.waiting(batches):
        step = batch.step
        torch.manual_seed(hash64("step", train.seed, step, place.rank) >> 1)
        rate = learning_rate(batch.epoch, train.epochs, train.lr, train.lr_end)
        for group in optimizer.param_groups:
            group["lr"] = rate

        image, audio, mask = to_device(batch, loader, device)
        loss = torch.zeros((), device=device)
        pieces = [slice(first, first + micro) for first in range(0, len(image), micro)]
        for piece in pieces:
            weight = len(image[piece]) / len(image)
            with _no_sync(parallel, piece is not pieces[-1]):
                with autocast():
                    logits = parallel(assembly.ready(image[piece]), audio[piece])
                part = weight * loss_of(
                    logits, mask[piece], train.bce_weight, train.iou_weight, train.negatives
                )
                part.backward()
            loss += part.detach()
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None])
        finite.see(norm, loss, batch)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state["step"] = step + 1
        speed.count(len(image))

        ends_epoch = state["step"] % per_epoch == 0
        ends = ends_epoch or state["step"] == total
        tells = ends or state["step"] % train.log_every == 0
        saves = ends or (train.save_every > 0 and state["step"] % train.save_every == 0)
        # Nothing above waits for the device. The averaged gradients are the same on all ranks, so all see a NaN here.
        if (tells or saves) and (bad := finite.first_bad()):
            raise _non_finite(bad, folder, parameters, optimizer, state, place)
        values = {}
        if tells:
            mean_loss = sum(place.gather(float(loss))) / place.world
            values = {"train/loss": mean_loss, "train/lr": rate, "train/gradient_norm": float(norm)}
            values |= {f"speed/{name}": value for name, value in speed.read().items()}
            if tracker:
                tracker.scalars(state["step"], values)
        display.step(state["step"], values)
        best = False
        if ends_epoch and ((batch.epoch + 1) % train.validate_every == 0 or state["step"] == total):
            best = validate()
        if saves:
            save(best)
            speed.restart()
    if tracker:
        tracker.close()
    corrupt = {key: why for found in place.gather(loader.corruption.found) for key, why in found.items()}
    return Result(state["step"], state["last"], state["best"] and state["best"]["mJ"], corrupt)


class _Gallery:
    """The first samples of a validation, kept to be drawn."""

    def __init__(self, wanted: int, loader: Loader, display: Display) -> None:
        self._wanted, self._loader, self._display, self._seen = wanted, loader, display, 0
        self._samples: list[Any] = []

    def add(self, batch: Batch, shown: torch.Tensor) -> None:
        self._seen += len(batch.keys)
        self._display.note(f"validating: {self._seen} samples")
        for index in range(min(len(batch.keys), self._wanted - len(self._samples))):
            image, truth = self._loader.photo(batch.rows[index]), batch.mask[index].bool()
            predicted = shown[index] > 0
            size = image.shape[0]
            row = self._loader.split.row(batch.rows[index])
            self._samples.append((image, _fitted(truth, size), _fitted(predicted.cpu(), size), row.category))

    def draw(self, tracker: Tracker, step: int, path: Path) -> None:
        if self._samples:
            from avs_train import pictures

            tracker.picture(
                step, "val/predictions", pictures.predictions(self._samples, path / f"{step:08d}.png")
            )


def _fitted(mask: torch.Tensor, size: int) -> Any:
    """(M, M) bool to (size, size) bool numpy, nearest."""
    if mask.shape[0] != size:
        mask = (
            nn.functional.interpolate(mask[None, None].float(), (size, size), mode="nearest-exact")[0, 0] > 0
        )
    return mask.numpy()


def _refuse_unfit(config: Config, split: Split) -> None:
    wanted, found, data = config.data.dataset, split.dataset, split.url
    assembly.refuse_other_classes(config, split)
    assembly.refuse_unfit_sound(config, split)
    name, prefix = (each.replace("-", "_") for each in (found, wanted))
    if (
        wanted and name != prefix and not name.startswith(f"{prefix}_")
    ):  # avs_synthetic_paper is an avs_synthetic
        raise RunError(
            f"{config.name} is for the dataset {wanted}, and {data} holds {found}: give that dataset, choose the "
            f"configuration for this one, or say data.dataset={found} to train on it all the same"
        )


def _refuse_other(
    state: Mapping[str, Any], config: Config, identity: dict[str, Any], folder: RunFolder
) -> None:
    lines = [f"data: {line}" for line in differences(state["data"], identity)] + changes(
        state.get("config", {}), config
    )
    if lines:
        shown = "\n  ".join(lines)
        raise RunError(
            f"{folder.path} holds a run that this call cannot resume; what differs:\n  {shown}\n"
            "Give the same data and settings, or another --out"
        )


def _open_tracker(config: Config, folder: RunFolder, step: int) -> Tracker:
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.clean()
    (folder.path / "config.toml").write_text(to_toml(config))
    train = config.train
    return Tracker(folder.path, step, to_values(config), tensorboard=train.tensorboard, wandb=train.wandb)


def _no_sync(model: nn.Module, wanted: bool) -> contextlib.AbstractContextManager[None]:
    """Gather gradients of all but the last micro-batch without talking to the other ranks."""
    if wanted and isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()


def _non_finite(
    bad: Step,
    folder: RunFolder,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    place: Place,
) -> NonFiniteError:
    """Save the state before the bad step, with the batch; the parameters have not been touched by it."""
    told = place.gather({"loss": repr(float(bad.loss)), "samples": bad.keys, "clips": bad.clips})
    batches = [{"rank": rank, **batch} for rank, batch in enumerate(told)]
    name = f"non-finite-{bad.step:08d}"
    if place.first:
        kept = {**state, "step": bad.step, "epoch": bad.epoch, "batch": batches}
        folder.write(name, parameters, optimizer_tensors(optimizer, parameters), kept)
    return NonFiniteError(
        f"loss or gradient is not finite at step {bad.step} (epoch {bad.epoch}): {json.dumps(batches)}. "
        f"The state before this step is in {folder.path / name}. Look at these samples; a lower train.lr or "
        "train.precision=fp32 may help"
    )
