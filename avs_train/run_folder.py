"""A run on disk: what was trained, how far, and everything needed to resume.

    RUN/
      config.toml                the full configuration
      last -> step-00001200      the newest checkpoint
      best -> step-00000900      the one with the highest validation mJ
      step-00001200/
        weights.safetensors      trained parameters only
        optimizer.safetensors    AdamW's moments
        state.json               step, epoch, best, data, configuration
      metrics.jsonl, curves.png, pictures/, tensorboard/

A checkpoint appears under its name when it is complete, and the links change in one step, so a run killed at any point
resumes from a complete checkpoint. Nothing is pickled. Random numbers need no state: each step seeds its own.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from avs_train import checkpoints, run_state
from avs_train.run_state import RunError
from shards import unfinished


@dataclass(frozen=True)
class Saved:
    """A checkpoint read back: names to tensors on the CPU, and state.json."""

    path: Path
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    state: dict[str, Any]


class RunFolder:
    """The checkpoints of one run below `path`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def save(
        self,
        step: int,
        weights: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, torch.Tensor],
        state: Mapping[str, Any],
        best: bool = False,
    ) -> Path:
        """Write a checkpoint and point `last` (and `best`) at it; older ones that no link names are removed.

        `last` comes last: what goes on from it knows its best checkpoint, so the link to that must be there.
        """
        target = self.write(f"step-{step:08d}", weights, optimizer, {**state, "step": step})
        for link in ("best", "last") if best else ("last",):
            self._point(link, target.name)
        self._prune()
        return target

    def _prune(self) -> None:
        links = (self.path / name for name in ("best", "last"))
        linked = {os.readlink(link) for link in links if link.is_symlink()}
        for folder in self.path.glob("step-*"):
            if linked and folder.name not in linked:
                shutil.rmtree(folder)

    def write(
        self,
        name: str,
        weights: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, torch.Tensor],
        state: Mapping[str, Any],
    ) -> Path:
        """Write one checkpoint folder, complete or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        target, temporary = self.path / name, Path(unfinished.temporary(str(self.path / f".{name}")))
        temporary.mkdir()
        try:
            checkpoints.save(weights, temporary / "weights.safetensors")
            checkpoints.save(optimizer, temporary / "optimizer.safetensors")
            text = json.dumps({"format": run_state.FORMAT, **state}, indent=1, sort_keys=True) + "\n"
            (temporary / "state.json").write_text(text)
            for file in temporary.iterdir():
                _sync(file)
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
        finally:  # a full disk keeps nothing of it
            shutil.rmtree(temporary, ignore_errors=True)
        _sync(self.path)
        return target

    def load(self, link: str = "last") -> Saved | None:
        """The checkpoint a link names; None when the run has none yet.

        Raises:
            RunError: the checkpoint is damaged or of another version.
        """
        path = self.path / link
        return load_checkpoint(path) if path.exists() else None

    def clean(self) -> None:
        """Remove what a killed process left half written, or half removed."""
        unfinished.sweep(str(self.path))
        self._prune()

    def _point(self, link: str, name: str) -> None:
        temporary = unfinished.temporary(str(self.path / f".{link}"))
        os.symlink(name, temporary)
        os.replace(temporary, self.path / link)


def load_checkpoint(path: str | Path) -> Saved:
    """Read a checkpoint folder, or a run folder's best (else last) checkpoint.

    Raises:
        RunError: nothing there, damaged, or of another version.
    """
    path = Path(path)
    folder = next((path / link for link in ("best", "last") if (path / link).exists()), path)
    if not (folder / "state.json").is_file():
        raise RunError(f"{path} holds no checkpoint: give a folder that `avs-train fit` wrote")
    try:
        state = run_state.read(folder)
        weights, optimizer = (_tensors(folder / f"{name}.safetensors") for name in ("weights", "optimizer"))
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(
            f"{folder} is damaged ({error}): remove it to resume from an older checkpoint"
        ) from error
    return Saved(folder.resolve(), weights, optimizer, state)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
    return load_file(path)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: Mapping[str, nn.Parameter]
) -> dict[str, torch.Tensor]:
    """The optimizer's state as named tensors: PARAMETER.exp_avg, PARAMETER.exp_avg_sq, PARAMETER.step."""
    return {
        f"{name}.{key}": value
        for name, parameter in names.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[str, nn.Parameter], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave, on the parameter's device."""
    for name, parameter in names.items():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if f"{name}.{key}" in tensors:
                optimizer.state[parameter][key] = tensors[f"{name}.{key}"].to(parameter.device)


def load_trained(
    parameters: Mapping[str, nn.Parameter], weights: Mapping[str, torch.Tensor], source: Path
) -> None:
    """Copy saved weights into the parameters of the same names.

    Raises:
        RunError: names or shapes differ; all differences are listed.
    """
    faults = [f"{name} is missing" for name in parameters.keys() - weights.keys()]
    faults += [f"{name} is not trained by this model" for name in weights.keys() - parameters.keys()]
    faults += [
        f"{name} is {tuple(weights[name].shape)}, the model has {tuple(parameters[name].shape)}"
        for name in parameters.keys() & weights.keys()
        if weights[name].shape != parameters[name].shape
    ]
    if faults:
        shown = "\n  ".join(sorted(faults)[:10])
        raise RunError(f"{source} does not fit this model, {len(faults)} differences:\n  {shown}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
