"""A fetch from start to end, a page of steps: annotation files, index, plan, what is there already, download, near
duplicates.
"""

import fcntl
import io
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.corpora import registry
from pipelines.fetch import annotations, clips, downloads, near_duplicates, search, taking, tasks
from pipelines.fetch import plan as planning
from pipelines.fetch.causes import HOUR_S, Cause, Failure, guarded
from pipelines.fetch.http import Client, web_address
from pipelines.fetch.items import SCHEMA, Item, Kind, from_table, to_table
from pipelines.fetch.ledger import FOLDER, Attempt, Ledger
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.politeness import Access, Lane, Session, TokenBucket
from pipelines.fetch.store import Store
from pipelines.fetch.workers import Done, Tally, Task, Workers, steady_clock
from pipelines.recipes.recipe import Recipe
from shards import storage, tables
from shards.errors import AvsError

ITEMS = "items.parquet"
_REVIVED = (
    Cause.LISTED_OUT.value,
    Cause.NO_SOURCE.value,
)  # for good only as long as the recipe says the same
Watch = Callable[[str, dict[str, int], Tally], None]  # stage, items to fetch by kind, what happened so far


class FetchError(AvsError):
    """A fetch that cannot continue; the message says why and what to do."""


@dataclass(frozen=True)
class Due:
    """What there is to do. `attempts`: of each item, its next attempt's number and when it may be made."""

    vouched: tuple[Item, ...]  # there, and the ledger knows its size
    unknown: tuple[Item, ...]  # there, without a row
    dead: tuple[Item, ...]  # failed for good
    wanted: tuple[tuple[Item, int, float], ...]


@contextmanager
def locked(ledger: Ledger) -> Iterator[None]:
    """Hold the corpora folder: two fetches would race for the same files. A killed process lets go by itself."""
    with open(os.path.join(ledger.folder, "lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FetchError(f"another fetch works on {ledger.corpora}: wait for it or stop it") from error
        yield


def missing_annotations(corpora: str, options: FetchOptions) -> list[str]:
    """Paths of the annotation files that are not there."""
    paths = [file.path for file in annotations.files(options)]
    sizes = Store(corpora).sizes(paths)
    return [path for path in paths if path not in sizes]


def due(items: Sequence[Item], store: Store, latest: dict[str, Attempt]) -> Due:
    """Sort items by what the folder and the ledger say about them."""
    sizes = store.sizes(item.path for item in items)
    vouched, unknown, dead, wanted = [], [], [], []
    for item in items:
        size, last = sizes.get(item.path), latest.get(item.name)
        if last is not None and last.ok and size == last.bytes:
            vouched.append(item)
        elif last is not None and last.permanent and last.cause not in _REVIVED:
            dead.append(item)
        elif size is not None and (last is None or not last.ok):
            unknown.append(item)
        else:
            wanted.append((item, last.attempt + 1 if last else 1, last.next_at if last else 0.0))
    return Due(tuple(vouched), tuple(unknown), tuple(dead), tuple(wanted))


class Fetch:
    """One fetch of one corpora folder. Use `fetch` or `retry`; the parts are public for tests and benchmarks.

    Args:
        access: how YouTube is reached, one a session.
        recorder: what downloads clips; None: yt-dlp as the options say.
        workers: processes that download photos, and decode what archives and folders hold; 1: this one.
    """

    def __init__(
        self,
        corpora: str,
        options: FetchOptions,
        ledger: Ledger,
        *,
        access: Sequence[Access] = (Access(),),
        recorder: clips.Recorder | None = None,
        accept_drift: bool = False,
        workers: int = 1,
        watch: Watch = lambda stage, totals, tally: None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._options, self._ledger, self._watch = options, ledger, watch
        self._clock = clock or steady_clock()
        self.store = Store(corpora)
        self._access, self._accept_drift, self._workers = access, accept_drift, workers
        self._client = Client(stall_s=options.stall_s)
        self._recorder = recorder or clips.Recorder(options.clip_rules, extra=options.youtube.yt_dlp)
        self._parts = os.path.join(ledger.folder, "parts")
        os.makedirs(self._parts, exist_ok=True)

    def annotations(self) -> None:
        """Fetch the annotation files; each is pinned. FetchError names those that could not be had."""
        listed = {file.name: file for file in annotations.files(self._options)}
        pins = annotations.Pins(self.store.corpora)
        items = [annotations.item(file, self._options) for file in listed.values()]
        sizes = self.store.sizes(item.path for item in items)
        latest, wanted = self._ledger.latest(), []
        for item in items:
            size, pin, last = sizes.get(item.path), pins.get(item.path), latest.get(item.name)
            if size is not None and pin is None:  # the user's own: trusted from now on
                digest = annotations.file_digest(self.store.url(item.path))
                pins.record(item.path, annotations.Pin("", *digest, *digest))
            elif size is not None and pin is not None and size != pin.stored_bytes and not self._accept_drift:
                raise annotations.DriftError(
                    f"{item.path} has {size} bytes, {pin.stored_bytes} were recorded in {FOLDER}/pins.json: it was "
                    "changed here. Remove it to fetch it again, or take it as it is with --accept-drift"
                )
            elif size is not None and pin is not None and size != pin.stored_bytes:
                digest = annotations.file_digest(self.store.url(item.path))
                pins.record(item.path, annotations.Pin("", *digest, *digest))
            elif size is None:
                wanted.append(
                    (item, last.attempt + 1 if last else 1, last.next_at if last and not last.ok else 0.0)
                )
        workers = Workers(self._ledger, {}, self._clock)
        from_where = {item.name: (listed[item.name], item.url) for item, _, _ in wanted}
        workers.tasks[Kind.ANNOTATION] = tasks.annotation(
            self.store, self._client, self._parts, from_where, pins, self._accept_drift, workers.tally
        )
        self._run("Annotation files", workers, wanted)
        latest = self._ledger.latest()
        failed = [
            latest[item.name] for item, _, _ in wanted if item.name in latest and not latest[item.name].ok
        ]
        if failed:
            lines = "\n".join(
                f"  - {row.item.partition(':')[2]}: {row.cause}, {row.detail}" for row in failed
            )
            raise FetchError(
                f"{len(failed)} annotation file(s) could not be fetched:\n{lines}\n"
                "Point [fetch.sources] at a mirror, put the file there yourself, or leave its corpus or split out of "
                "[fetch]"
            )

    def plan(self, label_map: LabelMap, recipe: Recipe) -> planning.FetchPlan:
        """Index the corpora folder, derive the items, and write them to `_fetch/items.parquet`."""
        from pipelines.build.index import index

        with tempfile.TemporaryDirectory(prefix="avs-index-") as folder:
            tables = index(self.store.corpora, folder, names=recipe.corpora)
            found = planning.plan(
                tables.masks, tables.clips, label_map, self._options, recipe.select, self.store.corpora
            )
        buffer = io.BytesIO()
        pq.write_table(to_table([*found.items, *found.listed_out]), buffer)
        storage.write_atomic(storage.join(self.store.corpora, FOLDER, ITEMS), buffer.getvalue())
        latest = self._ledger.latest()
        for item in found.listed_out:
            if item.name not in latest:
                failure = Failure(Cause.LISTED_OUT, "a list in [fetch.clips] names it")
                Workers(self._ledger, {}, self._clock).note(item, 1, failure, tasks.TOOL)
        return found

    def items(self, items: Sequence[Item]) -> Tally:
        """Fetch what of `items` is not there; every attempt becomes a row."""
        self.store.sweep(item.path.rpartition("/")[0] for item in items)
        latest = self._ledger.latest()
        todo = due(items, self.store, latest)
        workers = Workers(self._ledger, {}, self._clock)
        wanted = [*todo.wanted, *self._adopt(todo.unknown, latest, workers)]
        numbers = {item.name: attempt for item, attempt, _ in wanted}

        def note(item: Item, outcome: Done | Failure) -> None:
            workers.note(item, numbers[item.name], outcome, tasks.TOOL)
            numbers[item.name] += 1

        looked_for = [item for item, _, _ in wanted]
        with taking.keeping(self._workers) as pool:
            searches = search.Searches(
                looked_for, self.store, self._options, self._client, self._parts, note, pool, self._workers
            )
            if lane := searches.lane(latest, workers.tally, self._options.patience_s):
                workers.tasks[Kind.ARCHIVE] = Task(lambda job: searches.run(job, workers), tasks.TOOL)
                totals = {**searches.totals, Kind.ARCHIVE.value: len(lane)}
                workers.run([lane], lambda tally: self._watch("Archives", totals, tally))
        left = searches.left(self._ledger.latest())
        entries = [
            (item, numbers[item.name], 0.0 if item.name in left else due_at)
            for item, _, due_at in wanted
            if left.get(item.name, True)
        ]
        self._download(entries, latest, workers, note)
        self._ledger.flush()
        return workers.tally

    def _download(
        self,
        wanted: Sequence[tuple[Item, int, float]],
        latest: dict[str, Attempt],
        workers: Workers,
        note: search.Note,
    ) -> None:
        """Fetch items from their own addresses, masks out of the archives that their addresses name."""
        masks: dict[str, list[Item]] = defaultdict(list)
        entries = []
        for item, attempt, due_at in wanted:
            if item.kind is Kind.MASK:
                masks[f"archive:{item.url.rpartition('/')[2]}"].append(item)
            else:
                entries.append((item, attempt, due_at))
        for name, members in masks.items():
            last = latest.get(name)
            box = Item(name, Kind.ARCHIVE, members[0].url, f"{FOLDER}/parts")
            if last is None or not last.permanent:
                due_at = last.next_at if last and not last.ok else 0.0
                entries.append((box, last.attempt + 1 if last else 1, due_at))
        count = sum(map(len, masks.values()))
        workers.tasks[Kind.CLIP] = tasks.clip(self.store, self._recorder)
        workers.tasks[Kind.ARCHIVE] = tasks.archive(
            self.store, self._client, self._parts, self._options, masks, note, workers.tally
        )
        with self._photos(entries) as workers.tasks[Kind.PHOTO]:
            self._run("Corpora", workers, entries, masks=count)
        latest = self._ledger.latest()
        for name, members in masks.items():
            archive = latest.get(name)
            if archive is None or not archive.permanent:
                continue
            for item in members:
                if item.name not in latest or not (latest[item.name].ok or latest[item.name].permanent):
                    note(item, Failure(Cause(archive.cause), f"its archive: {archive.detail}", final=True))

    def _photos(self, entries: Sequence[tuple[Item, int, float]]) -> AbstractContextManager[Task]:
        """The task of photos: in this process, or in others where that is asked for and pays."""
        hosts = Counter(_host(item.url) for item, _, _ in entries if item.kind is Kind.PHOTO)
        if self._workers == 1 or hosts.total() < downloads.WORTH:
            return nullcontext(tasks.photo(self.store, self._client, self._options))
        at_once = sum(min(count, self._options.host(host).concurrency) for host, count in hosts.items())
        return downloads.photos(self.store.corpora, self._options, self._workers, at_once)

    def near_duplicates(self, items: Sequence[Item]) -> tuple[int, int]:
        """Write the pairs of near-duplicate photos and clips; how many there are of each."""
        workers = Workers(self._ledger, {}, self._clock)
        return near_duplicates.write(items, self.store, self._ledger, self._options, workers)

    def _adopt(
        self, items: Sequence[Item], latest: dict[str, Attempt], workers: Workers
    ) -> list[tuple[Item, int, float]]:
        """Check files without a row; those that do not hold are fetched."""

        def check(item: Item) -> Done | Failure:
            return guarded(item.name, lambda: tasks.adopt(self.store, item, self._options))

        wanted = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for item, outcome in zip(items, pool.map(check, items), strict=True):
                last = latest.get(item.name)
                attempt = last.attempt + 1 if last else 1
                if isinstance(outcome, Done):
                    workers.note(item, attempt, outcome, tasks.TOOL)
                else:
                    wanted.append((item, attempt, last.next_at if last else 0.0))
        return wanted

    def _run(
        self, stage: str, workers: Workers, entries: Sequence[tuple[Item, int, float]], masks: int = 0
    ) -> None:
        totals = Counter(item.kind.value for item, _, _ in entries)
        if masks:
            totals[Kind.MASK.value] = masks
        lanes: dict[str, Lane] = {}
        for item, attempt, due_at in sorted(entries, key=lambda entry: (entry[2], entry[0].name)):
            name = "youtube" if item.kind is Kind.CLIP else _host(item.url)
            if name not in lanes:
                lanes[name] = self.clip_lane() if item.kind is Kind.CLIP else self._host_lane(name)
            lanes[name].add(item, attempt, due_at)
        workers.run(list(lanes.values()), lambda tally: self._watch(stage, dict(totals), tally))

    def clip_lane(self) -> Lane:
        """The lane of all clips: one session for each cookie file or proxy.

        What the last hour's runs have used up counts, so that starting again and again buys nothing.
        """
        rules, now = self._options.youtube, self._clock()
        sounds = [f"{name}:" for name in registry.names("sounds")]
        used, later = (
            sum(self._ledger.count_since(one, at) for one in sounds) / len(self._access)
            for at in (now - HOUR_S, now)
        )
        # What a clock wrote that has been set back since may be of this hour, and is no more than an hour allows.
        tokens = rules.videos_per_hour - (used - later) - min(later, rules.videos_per_hour)
        sessions = [
            Session(
                number,
                access,
                TokenBucket(rules.videos_per_hour / HOUR_S, rules.burst, now, tokens),
                rest_s=rules.rest_s,
                rest_cap_s=rules.rest_cap_s,
            )
            for number, access in enumerate(self._access)
        ]
        return Lane("youtube", sessions, rules.concurrency, self._options.patience_s)

    def _host_lane(self, name: str) -> Lane:
        rules = self._options.host(name)
        bucket = TokenBucket(rules.per_s or float("inf"), rules.burst, self._clock())
        return Lane(name, [Session(0, Access(), bucket)], rules.concurrency, self._options.patience_s)


def _host(url: str) -> str:
    """The host of an address; one that no rule lets in has the lane of the refused."""
    try:
        return urlsplit(web_address(url)).hostname or "refused"
    except (Failure, ValueError):
        return "refused"


def read_items(corpora: str) -> list[Item]:
    """The items of the last plan. FetchError where there was none."""
    url = storage.join(corpora, FOLDER, ITEMS)
    if not storage.exists(url):
        raise FetchError(
            f"{corpora} has no {FOLDER}/{ITEMS}: run `avs-data fetch run RECIPE --corpora {corpora}` first"
        )
    return from_table(tables.read(url, SCHEMA.names))
