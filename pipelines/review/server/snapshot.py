"""What the page shows besides the link itself, computed once for each state of the queue and the map."""

import threading
from dataclasses import dataclass
from pathlib import Path

from label_maps import LabelMap
from pipelines.review import application, rejected
from pipelines.review.categories import AcceptedLink, Resolution, resolve
from pipelines.review.impact import ImpactTable
from pipelines.review.queue import Queue
from pipelines.review.rejected import Refusals, RejectedLink


@dataclass(frozen=True)
class Snapshot:
    """
    Attributes:
        label_map: as its file holds it.
        base: the same without the rows that the queue wrote.
        accepted: links that stand accepted in the queue.
        resolution: their categories and clashes.
        refused: the map's list of rejected links.
        refusals: those of them that this queue did not write.
    """

    label_map: LabelMap
    base: LabelMap
    accepted: tuple[AcceptedLink, ...]
    resolution: Resolution
    refused: tuple[RejectedLink, ...]
    refusals: Refusals
    table: ImpactTable


class Snapshots:
    """The newest snapshot; thread-safe."""

    def __init__(self, map_path: Path) -> None:
        self.map_path = map_path
        self._lock = threading.Lock()
        self._key: object = None
        self._snapshot: Snapshot | None = None
        self._table_key = ""
        self._table: ImpactTable | None = None

    def take(self, queue: Queue) -> Snapshot:
        rejected_path = rejected.path_for(self.map_path)
        last, links = queue.connection.execute(
            "SELECT (SELECT max(id) FROM decisions), (SELECT max(id) FROM proposals)"
        ).fetchone()
        loads = queue.meta("index_loads")
        refused_at = rejected_path.stat().st_mtime_ns if rejected_path.exists() else 0
        key = (last, links, loads, self.map_path.stat().st_mtime_ns, refused_at)
        with self._lock:
            if self._snapshot is None or key != self._key:
                if self._table is None or loads != self._table_key:
                    self._table, self._table_key = ImpactTable(queue), loads
                label_map = application.load_map(queue, self.map_path)
                own = application.own_links(queue)
                base = application.without_own(label_map, own)
                refused = tuple(rejected.read(rejected_path))
                accepted = tuple(application.accepted_links(queue))
                self._snapshot = Snapshot(
                    label_map,
                    base,
                    accepted,
                    resolve(base, accepted),
                    refused,
                    Refusals(link for link in refused if link.key not in own),
                    self._table,
                )
                self._key = key
            return self._snapshot
