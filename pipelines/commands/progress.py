"""What a person sees while a build runs: what is being read, then the shards as they appear."""

import threading
from types import TracebackType

from rich.progress import BarColumn, TaskProgressColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipelines.build.index import Progress
from shards import format, storage, terminal
from shards.claims import WORK


class BuildProgress:
    """Bars on stderr while the block runs; shards are counted in the work folder, whoever writes them."""

    def __init__(self, out: str) -> None:
        self._out = out
        columns = (terminal.column(), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bars = Bars(*columns, console=terminal.console(stderr=True), transient=True)
        self._indexing = self._bars.add_task("Indexing", total=None)
        self._writing = self._bars.add_task("Shards written", total=None, visible=False)
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def indexing(self, read: Progress) -> None:
        text = f"Indexing {read.source.path} ({read.rows:,} rows)"
        self._bars.update(self._indexing, description=text, completed=read.bytes_done, total=read.bytes_total)
        for note in read.notes:
            self._bars.console.print(note, soft_wrap=True)

    def __enter__(self) -> "BuildProgress":
        self._bars.start()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._watcher.join()
        self._bars.stop()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            folders = [
                storage.join(self._out, WORK, "parts", split) for split in (*format.SPLITS, format.POOL)
            ]
            written = sum(len(storage.names(folder)) for folder in folders)
            text = f"Shards written: {written}"
            self._bars.update(self._writing, description=text, visible=written > 0)
