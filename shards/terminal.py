"""What people see on a terminal. Names of files and labels are shown as they are: rich interprets none of them."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


def console(*, stderr: bool = False) -> Console:
    """Tables on stdout, or bars on stderr; `[x]` and `:x:` in a text are that text."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def column(text: str = "{task.description}", style: str = "none") -> TextColumn:
    """A column of text in a bar."""
    return TextColumn(text, style=style, markup=False)


def spoken(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 90:
        return f"{seconds:,.{int(seconds < 10)}f} s"
    return (
        f"{seconds / 60:,.0f} min" if seconds < 5_400 else f"{seconds / 3600:,.{int(seconds < 360_000)}f} h"
    )


def size(count: float) -> str:
    """A number of bytes as people say it."""
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= least:
            return f"{count / least:,.{int(count < 10 * least)}f} {unit}"
    return f"{count / 1e3:,.0f} KB"


class Bars:
    """One bar for each kind of work, on stderr while the block runs.

    Args:
        unit: what is counted: "items" or "bytes".
    """

    def __init__(self, unit: str = "items") -> None:
        counted: ProgressColumn = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
        self._progress = Progress(
            column(),
            BarColumn(),
            counted,
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, what: str, done: float, total: float | None = None) -> None:
        """Set the bar called `what`; the first call adds it."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)
