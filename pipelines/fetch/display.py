"""What a person sees while a fetch runs: a bar a kind, with rate, time left and failures by cause."""

from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeRemainingColumn,
)
from rich.text import Text

from pipelines.fetch.workers import Tally
from shards import terminal


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        if rate is None:
            return Text("-")
        return Text(f"{rate:,.1f}/s" if rate >= 0.1 else f"{rate * 3600:,.0f}/h", style="cyan")


class FetchDisplay:
    """Bars on stderr while the block runs; `watch` is what `Fetch` calls."""

    def __init__(self) -> None:
        self._bars = Progress(
            terminal.column("{task.description:<13}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            terminal.column("{task.fields[failures]}", style="yellow"),
            console=terminal.console(stderr=True),
            speed_estimate_period=120.0,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> "FetchDisplay":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def watch(self, stage: str, totals: dict[str, int], tally: Tally) -> None:
        for kind, total in sorted(totals.items()):
            key = stage, kind
            if key not in self._tasks:
                self._tasks[key] = self._bars.add_task(f"{kind}s", total=total, failures="")
            counts = {
                cause: n for (of, cause), n in sorted(tally.attempts.items()) if of == kind and cause != "ok"
            }
            failures = ", ".join(f"{cause} {n}" for cause, n in counts.items())
            if kind == "clip" and tally.resting:
                failures += "  (resting after a bot check)"
            self._bars.update(self._tasks[key], completed=tally.finished[kind], failures=failures)
