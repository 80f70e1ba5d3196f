"""Where numbers and pictures of a run go: metrics.jsonl always, TensorBoard by default, Weights & Biases on request."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Tracker:
    """Records of one run, written by its first rank.

    Args:
        path: the run folder.
        step: the step the run begins or resumes at; records of later steps, left by a killed run, are removed.
        wandb: project name; empty for none.
    """

    def __init__(
        self, path: Path, step: int, config: Mapping[str, Any], *, tensorboard: bool, wandb: str
    ) -> None:
        self.metrics = path / "metrics.jsonl"
        self.metrics.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in self._lines() if json.loads(line)["step"] <= step]
        self.metrics.write_text("".join(f"{line}\n" for line in kept))
        self._board: Any = None
        self._wandb: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(path / "tensorboard"), purge_step=step + 1)
        if wandb:
            try:
                import wandb as package
            except ImportError as error:
                raise ModuleNotFoundError(
                    "train.wandb needs Weights & Biases: install the extra with `pip install 'avs-data[wandb]'`"
                ) from error
            self._wandb = package.init(
                project=wandb, name=path.name, id=path.name, resume="allow", config=dict(config)
            )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with open(self.metrics, "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if self._board:
                self._board.add_scalar(name, value, step)
        if self._wandb:
            self._wandb.log(dict(values), step=step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB."""
        if self._board:
            self._board.add_image(name, image, step, dataformats="HWC")
        if self._wandb:
            import wandb as package

            self._wandb.log({name: package.Image(image)}, step=step)

    def close(self) -> None:
        if self._board:
            self._board.close()
        if self._wandb:
            self._wandb.finish()

    def _lines(self) -> list[str]:
        """Whole lines; a last one cut by a kill is dropped."""
        if not self.metrics.exists():
            return []
        return [line for line in self.metrics.read_text().split("\n")[:-1] if line]
