"""What a person sees while a build runs: the stages of build/graph.py, each with what it has done."""

import os
import tempfile
import threading
from types import TracebackType

from pipelines.build.index import Progress
from shards import format, progress_file, storage
from shards.claims import WORK
from shards.display import Display

_READ = "Read the annotation files"
_START = "Start the workers"
_TABLES = "Write the tables"
# Stage of the display -> what counts, and what of the stages before it says how much there is.
_COUNTED = {
    "Categorize clips": ("categorize clips", ""),
    "Categorize and measure masks": ("categorize masks", ""),
    "Convert clips": ("convert clips", "split clips"),
    "Select samples": ("select masks", "measure masks"),
    "Write shards": ("shard samples", "pair samples"),
}
_EACH_S = 0.5


class BuildProgress:
    """Shown while the block runs. Workers tell what they have done; of those of Beam's own runners on other machines
    the shards that appear in the work folder tell.

    Args:
        title: what is built, and where.
        dry_run: nothing is converted or written.
    """

    def __init__(self, title: str, out: str, *, dry_run: bool = False) -> None:
        self._out = out
        counted = [name for name in _COUNTED if not dry_run or name not in ("Convert clips", "Write shards")]
        units = {name: _COUNTED[name][0].split()[1] for name in counted}
        last = {} if dry_run else {_TABLES: ""}
        self.display = Display(title, {_READ: "bytes", _START: "", **units, **last})
        self._counted = counted
        self._listed: dict[str, int] = {}
        self._said = ""
        self.spent: dict[str, tuple[float, float]] = {}  # processor and wall seconds by stage, at the end
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def indexing(self, read: Progress) -> None:
        path = read.source.path
        self.display.show(_READ, read.bytes_done, read.bytes_total, part=path, note=f"{read.rows:,} rows")
        for note in read.notes:
            self.display.warn(note)

    def building(self, masks: int, clips: int) -> None:
        """The annotations are read: so many rows there are."""
        self._listed = {"categorize masks": masks, "categorize clips": clips}
        self.display.show(_START)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def say(self, text: str) -> None:
        """How the cluster is doing: shown beside the count."""
        self._said = text

    def __enter__(self) -> "BuildProgress":
        handle, self._file = tempfile.mkstemp(prefix="avs-build-")
        os.close(handle)
        os.environ[progress_file.VARIABLE] = self._file
        self.display.__enter__()
        self.display.show(_READ)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._watcher:
            self._watcher.join()
        self.display.__exit__(kind, error, trace)
        self.spent = progress_file.read_spent(self._file)
        del os.environ[progress_file.VARIABLE]
        os.unlink(self._file)

    def _watch(self) -> None:
        while not self._stop.wait(_EACH_S):
            taken, kept = progress_file.read(self._file)
            if not taken:
                self._elsewhere()
                continue
            begun = [name for name in self._counted if taken[_COUNTED[name][0]]]
            if not begun:
                continue
            what, before = _COUNTED[begun[-1]]
            total = max(taken[what], kept[before] if before else self._listed[what])
            if begun[-1] == "Write shards" and taken[what] == total:
                self.display.show(_TABLES, note=self._said)
            else:
                self.display.show(begun[-1], taken[what], total, note=self._said)

    def _elsewhere(self) -> None:
        folders = [storage.join(self._out, WORK, "parts", split) for split in (*format.SPLITS, format.POOL)]
        if written := sum(len(storage.names(folder)) for folder in folders):
            self.display.show("Write shards", note=f"{written:,} shards written")
