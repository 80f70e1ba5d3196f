"""Look for what is wanted in the places that `[fetch.media]` names, one after another; what none has is left over."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from pipelines.corpora import registry
from pipelines.corpora.corpus import WEB
from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.http import Client
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import FOLDER, Attempt
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.places import Catalogue, Place, Reading, named
from pipelines.fetch.politeness import Access, Job, Lane, Session, TokenBucket
from pipelines.fetch.store import Store
from pipelines.fetch.taking import Keeper, Taken, Wanted, stem, take
from pipelines.fetch.tars import Doubtful
from pipelines.fetch.tasks import forget, part_path
from pipelines.fetch.workers import Done, Tally, Workers

# What is the media's own fault: no other copy is better.
_OWN_FAULTS = frozenset({Cause.SILENT, Cause.CLIPPED, Cause.TOO_SHORT, Cause.TOO_SMALL})
Note = Callable[[Item, Done | Failure], None]


class Search:
    """What one corpus's places are searched for.

    Args:
        note: takes what became of an item.
        parts: a local folder for archives that have to be there whole.
        pool, workers: what decodes and checks while this process reads.
    """

    def __init__(
        self,
        corpus: str,
        items: Sequence[Item],
        store: Store,
        options: FetchOptions,
        client: Client,
        parts: str,
        note: Note,
        pool: Executor,
        workers: int,
    ) -> None:
        fetching = registry.get(corpus).fetching
        self.then_web = WEB in options.places(corpus)
        self._store, self._options, self._client, self._parts = store, options, client, parts
        self._note, self._pool, self._workers = note, pool, workers
        self._places = {_name(corpus, place): place for place in named(options, corpus, store.corpora)}
        stems = frozenset(stem(item.path) for item in items if item.kind is Kind.CLIP)
        self._wanted = Wanted(items, options)
        if fetching and stems:
            readings = fetching.readings(store.corpora, stems)
            self._wanted = Wanted(items, options, readings, fetching.tells_start)
        self._catalogue = Catalogue(store.corpora)
        self._failed: dict[str, str] = {}  # item -> what was wrong with its last member
        self._due: set[str] = set()  # places that are to be read, and were not

    def archives(self, tally: Tally) -> list[Item]:
        """The places that may have something, in order; those that were read and have nothing are left out."""
        found = []
        for name, place in self._places.items():
            item = Item(name, Kind.ARCHIVE, place.url, f"{FOLDER}/parts")
            try:
                reading = Reading(place, self._client, "", at_once=True)
            except Failure:
                found.append(item)  # what reading it meets is written down
                continue
            if place.folder or not self._catalogue.lacks(name, reading.stamp, self._wanted):
                tally.download(item)(0, reading.size)
                found.append(item)
        self._due = {item.name for item in found}
        return found

    def run(self, job: Job, workers: Workers) -> Done:
        """Read one place from start to end. Raises Failure."""
        if not len(self._wanted):
            self._due.discard(job.item.name)
            return Done(0, "", "not read: all is there")
        taken, kept = Taken(), list[Item]()
        reading = Reading(self._places[job.item.name], self._client, part_path(self._parts, job.item))
        download = workers.tally.download(job.item)

        def told(done: int, total: int) -> None:
            workers.go_on()
            download(done, total)

        def check() -> None:
            workers.go_on()
            reading.check()

        def note(item: Item, member: str, outcome: Done | Failure) -> None:
            where = f"{_short(job.item.url)}: {member}"
            if isinstance(outcome, Done):
                kept.append(item)
                detail = f"{outcome.detail}, from {where}" if outcome.detail else f"from {where}"
                self._note(item, Done(outcome.size, outcome.sha256, detail, outcome.fingerprint))
                return
            final = outcome.cause in _OWN_FAULTS
            self._failed[item.name] = f"{outcome.cause.value} in {where}: {outcome.detail}"
            self._note(
                item, Failure(outcome.cause, f"{where}: {outcome.detail}", final=final, passed_on=not final)
            )
            if final:
                self._wanted.drop(item)

        corrupt: Failure | None = None
        try:
            members = reading.members(self._wanted, told)
            keep = Keeper(self._store, self._options)
            take(members, self._wanted, keep, note, check, self._pool, self._workers, taken)
            reading.check()
        except Failure as failure:
            if failure.cause is Cause.ARCHIVE_CHANGED or isinstance(failure, Doubtful):
                self._take_back(kept, failure)
                taken.could.clear()
            if failure.cause is not Cause.ARCHIVE_CORRUPT:
                raise
            corrupt = failure
        finally:
            for item in kept:
                self._wanted.drop(item)
        if not self._places[job.item.name].folder:
            self._catalogue.write(job.item.name, reading.stamp, taken.could)
        self._due.discard(job.item.name)
        forget(part_path(self._parts, job.item))
        if corrupt:
            raise Failure(corrupt.cause, f"{corrupt.detail}; before: {taken.told()}", final=True)
        return Done(reading.bytes_read(), "", taken.told())

    def _take_back(self, kept: list[Item], failure: Failure) -> None:
        """Nobody knows which of its two contents a member came from, or which has the wrong byte."""
        for item in kept:
            self._store.remove(item.path)
            self._note(item, Failure(failure.cause, failure.detail, passed_on=True))
        kept.clear()

    def left(self, latest: dict[str, Attempt]) -> list[Item]:
        """What no place had, where all were read; nothing while one may still be read later."""
        if any(name not in latest or not latest[name].permanent for name in self._due):
            return []
        return list(self._wanted)

    def no_source(self, item: Item) -> Failure:
        said = self._failed.get(item.name)
        detail = f"none of the {len(self._places)} place(s) of [fetch.media] has it" + (
            f"; {said}" if said else ""
        )
        return Failure(Cause.NO_SOURCE, detail, final=True)


class Searches:
    """The searches of all corpora whose media do not come from the web alone; the arguments are those of Search."""

    def __init__(
        self,
        items: Sequence[Item],
        store: Store,
        options: FetchOptions,
        client: Client,
        parts: str,
        note: Note,
        pool: Executor,
        workers: int,
    ) -> None:
        self._note = note
        self._searches: list[Search] = []
        self._owners: dict[str, Search] = {}
        self._items: list[Item] = []
        for corpus in sorted({item.name.partition(":")[0] for item in items}):
            if options.places(corpus) != (WEB,):
                own = [item for item in items if item.name.startswith(f"{corpus}:")]
                self._searches.append(Search(corpus, own, store, options, client, parts, note, pool, workers))
                self._items += own

    @property
    def totals(self) -> dict[str, int]:
        """What is looked for, by kind."""
        return dict(Counter(item.kind.value for item in self._items))

    def lane(self, latest: dict[str, Attempt], tally: Tally, patience_s: float) -> Lane | None:
        """The places to read, one at a time and in order; None: there are none."""
        session = Session(0, Access(), TokenBucket(float("inf"), 1, 0.0))
        lane = Lane("archives", [session], 1, patience_s)
        for one in self._searches:
            for item in one.archives(tally):
                self._owners[item.name] = one
                last = latest.get(item.name)
                waits = last is not None and not last.ok and not last.permanent
                lane.add(item, last.attempt + 1 if last else 1, last.next_at if last and waits else 0.0)
        return lane if len(lane) else None

    def run(self, job: Job, workers: Workers) -> Done:
        """Read one place. Raises Failure."""
        return self._owners[job.item.name].run(job, workers)

    def left(self, latest: dict[str, Attempt]) -> dict[str, bool]:
        """Of all that was looked for: name -> whether the web is to be asked for it. What is lost gets its row."""
        asked = dict.fromkeys((item.name for item in self._items), False)
        for one in self._searches:
            for item in one.left(latest):
                last, failure = latest.get(item.name), one.no_source(item)
                if one.then_web:
                    asked[item.name] = True
                elif last is None or (last.cause, last.detail) != (failure.cause.value, failure.detail):
                    self._note(item, failure)
        return asked


def _name(corpus: str, place: Place) -> str:
    return f"archive:{corpus} {place.url}"


def _short(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
