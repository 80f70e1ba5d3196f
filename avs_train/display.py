"""What a person sees of a run: facts at its beginning, then steps, values, rate and time left."""

import os
import textwrap
from collections.abc import Mapping
from typing import Any, Self

from shards.display import Display

_SHOWN = {
    "train/loss": "loss {:.4f}",
    "val/mJ": "val mJ {:.4f}",
    "val/FPR": "val FPR {:.4f}",
    "speed/images_per_s": "{:.1f} images/s",
    "speed/data_wait": "data wait {:.0%}",
    "speed/memory_gb": "{:.1f} GB",
    "speed/mfu": "MFU {:.0%}",
}


def first_rank() -> bool:
    """Whether this process is the one that tells; torchrun says so before torch is imported."""
    return os.environ.get("RANK", "0") == "0"


class RunDisplay(Display):
    """One piece of counted work after a stage in which it is prepared.

    Args:
        title: what the command does, with what.
        what: the work, as "Train". unit: what it counts.
    """

    def __init__(self, title: str, what: str, unit: str) -> None:
        super().__init__(title, {"Prepare": "", what: unit}, shown=first_rank())
        self._what, self._done, self._values = what, 0.0, ""
        self._total: float | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        self.show("Prepare")
        return self

    def begin(self, facts: dict[str, Any], total: int | None, done: int = 0) -> None:
        """Say what is about to happen, of how many, of which `done` are done already."""
        told = ", ".join(
            f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
            for name, value in (facts | ({"done already": done} if done else {})).items()
        )
        self.say(textwrap.fill(told, self.width))
        self._done, self._total = done, total
        self.note("")

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Move to `step`, with values beside it; a validation is a line that stays."""
        text = " · ".join(form.format(values[name]) for name, form in _SHOWN.items() if name in values)
        self._done, self._values = step, text or self._values
        self.note(self._values)
        if "val/mJ" in values:
            self.say(f"step {step}: {text}")

    def note(self, text: str) -> None:
        """Show what happens right now; not kept."""
        self.show(self._what, self._done, self._total, note=text)
