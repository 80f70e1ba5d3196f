"""Is every gradient finite? Asked on the device at every step, answered to the host when it looks anyway."""

from dataclasses import dataclass

import torch

from avs_train.data.loader import Batch


@dataclass(frozen=True)
class Step:
    """What is remembered of a step until the host has looked: which samples it saw, and its loss on the device."""

    step: int
    epoch: int
    keys: tuple[str, ...]
    clips: tuple[str, ...]
    loss: torch.Tensor


class FiniteWatch:
    """Keeps an optimizer from taking a step whose gradient is not finite, or any step after it.

    Works as a gradient scaler does: a fused optimizer reads `found_inf` on the device and then changes nothing. So no
    step waits for the device, and when the host learns of a bad one, the parameters are still those before it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        if not optimizer.defaults["fused"]:
            raise ValueError("the optimizer is not fused: it would not read found_inf")
        self._found = torch.zeros((), device=device)
        optimizer.found_inf = self._found  # type: ignore[attr-defined]
        self._steps: list[tuple[Step, torch.Tensor]] = []

    def see(self, norm: torch.Tensor, loss: torch.Tensor, batch: Batch) -> None:
        """Before the optimizer steps: the norm of all gradients, a scalar on the device."""
        self._found.copy_(torch.maximum(self._found, (~torch.isfinite(norm)).float()))
        seen = Step(batch.step, batch.epoch, batch.keys, batch.clips, loss)
        self._steps.append((seen, self._found.clone()))

    def first_bad(self) -> Step | None:
        """The first step since the last call that was not finite; waits for the device."""
        steps, self._steps = self._steps, []
        if not steps:
            return None
        bad = torch.stack([flag for _, flag in steps]).tolist()
        return next((step for (step, _), flag in zip(steps, bad, strict=True) if flag), None)
