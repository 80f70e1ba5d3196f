"""What a person sees of long work: a live bar on a terminal, plain lines in a log file."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from shards import terminal

_SHOWN = {
    "train/loss": "loss {:.4f}",
    "val/mJ": "val mJ {:.4f}",
    "speed/images_per_s": "{:.1f} images/s",
    "speed/data_wait": "data wait {:.0%}",
    "speed/memory_gb": "{:.1f} GB",
    "speed/mfu": "MFU {:.0%}",
}


class Bar:
    """Progress of one piece of work; silent when `shown` is False, as on all ranks but the first."""

    def __init__(self, title: str, *, shown: bool = True, console: Console | None = None) -> None:
        self.console = console or terminal.console(stderr=True)
        self._shown = shown
        self._progress = Progress(
            terminal.column(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            terminal.column("{task.fields[text]}"), console=self.console,
            disable=not shown or not self.console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task(title, total=None, text="")
        self._text = ""

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Say what is about to happen; `steps` and `begin` set the bar."""
        self.say(
            ", ".join(
                f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
                for name, value in facts.items()
            )
        )
        self._progress.update(self._task, total=facts.get("steps"), completed=facts.get("begin", 0))

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Move to `step`; on a terminal values go beside the bar, else each call is a line."""
        text = " · ".join(form.format(values[name]) for name, form in _SHOWN.items() if name in values)
        self._progress.update(self._task, completed=step, text=text or self._text)
        self._text = text or self._text
        if "val/mJ" in values or not self.console.is_terminal:
            self.say(f"step {step}: {text}")

    def note(self, text: str) -> None:
        """Show what happens right now; not kept in a log."""
        self._progress.update(self._task, text=text)

    def say(self, text: str) -> None:
        if self._shown:
            self._progress.console.print(text, soft_wrap=True)
