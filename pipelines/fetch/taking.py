"""Take what is wanted out of an archive: each member found by its base name, checked, and kept as its item's file."""

import io
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Set
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from pipelines.corpora import names
from pipelines.corpora.clip_files import may_be_media
from pipelines.corpora.clip_lists import MAY_BE_ALL, SLACK_S
from pipelines.corpora.corpus import Readings, own_name
from pipelines.fetch import audio, fingerprints, photos
from pipelines.fetch.archives import Content, Member
from pipelines.fetch.causes import Cause, Failure, guarded
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.store import Store
from pipelines.fetch.workers import Done
from shards import processes, storage
from shards.sound import RATE_HZ, to_flac

MASK_RULES = photos.PhotoRules(min_side_px=1, decode=True)
_MOST_BYTES = {Kind.MASK: 64_000_000, Kind.CLIP: 256_000_000}  # of a member
LONGEST_CLIP_S = 60.0  # a file that goes on after that is no clip, and its clip may be anywhere in it
_AT_ONCE = 2  # members that wait for each worker that checks them
_WAITING_BYTES = 64 << 20  # of all that wait, unless a single one has more


def stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


class Wanted:
    """Which member is which item's.

    Args:
        readings: what a member's name without extension may mean, the likeliest first, as names of the items' files.
        tells_start: whether such a name says where in its recording a clip begins.
    """

    def __init__(
        self,
        items: Iterable[Item],
        options: FetchOptions,
        readings: Readings = own_name,
        tells_start: Callable[[str], bool] = lambda stem: True,
    ) -> None:
        self._items = {(item.kind, stem(item.path)): item for item in items}
        self._kinds = {kind for kind, _ in self._items}
        self._readings, self._tells_start = readings, tells_start
        self._clip_s = options.clip_rules.clip_s + SLACK_S
        self._most = {**_MOST_BYTES, Kind.PHOTO: options.photos.max_bytes}

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def drop(self, item: Item) -> None:
        self._items.pop((item.kind, stem(item.path)), None)

    def find(self, member: str) -> tuple[int, Item] | None:
        """How likely the name is (0: most), and the item."""
        base = member.replace("\\", "/").rpartition("/")[2]
        if not names.is_safe(base):
            return None
        for kind in _kinds(base) & self._kinds:
            for likely, name in self._readings(stem(base)) if kind is Kind.CLIP else own_name(stem(base)):
                if item := self._items.get((kind, name)):
                    return likely, item
        return None

    def most_bytes(self, member: str) -> int:
        """That a member may have; 0: it is not wanted."""
        found = self.find(member)
        return self._most[found[1].kind] if found else 0

    def longest_s(self, item: Item, member: str) -> float:
        """What a clip's file may have: where it may be all of the recording, no more than the clip."""
        is_clip = not item.start_s or self._tells_start(stem(_base(member)))
        return LONGEST_CLIP_S if is_clip else self._clip_s

    def rank(self, member: str) -> int:
        found = self.find(member)
        return found[0] if found else 0


def _kinds(name: str) -> Set[Kind]:
    """What a file may be by the end of its name."""
    end = name.rpartition(".")[2].lower()
    if end in ("jpg", "jpeg"):
        return {Kind.PHOTO}
    if end == "png":
        return {Kind.MASK}
    return {Kind.CLIP} if may_be_media(name) else set()


@dataclass
class Taken:
    """What became of an archive's members."""

    counts: Counter[str] = field(default_factory=Counter)  # taken, not wanted, again, or a cause
    could: list[str] = field(default_factory=list)  # members that reading it again could give

    def told(self) -> str:
        """ "12 taken, 3 not wanted, 1 decode_error"."""
        return ", ".join(f"{count:,} {word}" for word, count in sorted(self.counts.items())) or "empty"


@dataclass(frozen=True)
class Keeper:
    """Checks a member's content and stores it as its item's file; of clips the sound alone. Workers get a copy."""

    store: Store
    options: FetchOptions

    def __call__(self, item: Item, content: Content, longest_s: float) -> Done | Failure:
        """longest_s: what the recording of a clip may have."""
        return guarded(item.name, lambda: self._keep(item, content, longest_s))

    def _keep(self, item: Item, content: Content, longest_s: float) -> Done:
        if item.kind is Kind.CLIP:
            return self._clip(item, content, longest_s)
        is_photo = item.kind is Kind.PHOTO
        limit = self.options.photos.max_bytes if is_photo else _MOST_BYTES[item.kind]
        if isinstance(content, str):
            with _open(content) as file:
                content = file.read(limit + 1)
        if len(content) > limit:
            raise Failure(Cause.TOO_LARGE, f"more than {limit} bytes")
        if is_photo:
            fingerprint = photos.check(content, "", self.options.photo_rules)
            return Done(len(content), self.store.put(item.path, content), fingerprint=fingerprint)
        photos.check(content, "", MASK_RULES, form="PNG")
        return Done(len(content), self.store.put(item.path, content))

    def _clip(self, item: Item, content: Content, longest_s: float) -> Done:
        rules = self.options.clip_rules
        try:
            with _open(content) as file:
                samples = audio.cut(file, 0.0, rules.clip_s, rules.listening.min_s, longest_s)
        except Failure as failure:
            if failure.cause is Cause.TOO_LONG and longest_s < LONGEST_CLIP_S:
                raise Failure(failure.cause, f"{failure.detail}: {MAY_BE_ALL}") from failure
            raise
        audio.check(samples, rules.listening)
        flac, words = to_flac(samples), fingerprints.sound_words(samples).tobytes()
        return Done(len(flac), self.store.put(item.path, flac), f"{len(samples) / RATE_HZ:.3f} s", words)


def _open(content: Content) -> IO[bytes]:
    if isinstance(content, bytes):
        return io.BytesIO(content)
    try:
        return storage.open_read(content)
    except FileNotFoundError as error:
        raise Failure(Cause.NOT_FOUND, f"no file {content.rpartition('/')[2]}") from error


@contextmanager
def keeping(workers: int) -> Iterator[Executor]:
    """Where members are checked: in a thread beside the one that reads, or in so many processes."""
    if workers > 1:
        with processes.executor(workers, (__name__,)) as pool:
            yield pool
    else:
        with ThreadPoolExecutor(1) as pool:
            yield pool


def take(
    members: Iterator[Member],
    wanted: Wanted,
    keep: Keeper,
    note: Callable[[Item, str, Done | Failure], None],
    check: Callable[[], None],
    pool: Executor,
    workers: int,
    taken: Taken,
) -> None:
    """Go through an archive once. Of several members for one item the first counts.

    Args:
        keep: what one of the `workers` of `pool` does with a member.
        note: told of each item that was met, in the archive's order, with the member's name and what became of it.
        check: raises Failure where the archive has changed since it was opened.
        taken: filled as it goes, so that it holds what was met also where the archive ends with a Failure.

    Raises:
        WorkerLost: a process was ended from outside.
    """
    waiting: deque[tuple[Item, str, int, Future[Done | Failure]]] = deque()
    met: set[str] = set()

    def settle(item: Item, member: str, outcome: Done | Failure) -> None:
        note(item, member, outcome)
        taken.counts["taken" if isinstance(outcome, Done) else outcome.cause.value] += 1
        if isinstance(outcome, Done):
            taken.could.append(_base(member))

    def settle_first() -> None:
        item, member, _, future = waiting.popleft()
        settle(item, member, future.result())

    def run() -> None:
        for member in members:
            check()
            found = wanted.find(member.name)
            if found is None:
                taken.counts["not wanted"] += 1
                if _kinds(_base(member.name)):
                    taken.could.append(_base(member.name))
                continue
            item = found[1]
            if item.name in met:
                taken.counts["again"] += 1
                continue
            met.add(item.name)
            content = guarded(item.name, member.read)
            check()
            if isinstance(content, Failure):
                settle(item, member.name, content)
                continue
            held = len(content) if isinstance(content, bytes) else 0
            while waiting and (
                len(waiting) >= _AT_ONCE * workers
                or held + sum(size for _, _, size, _ in waiting) > _WAITING_BYTES
            ):
                settle_first()
            longest_s = wanted.longest_s(item, member.name)
            waiting.append((item, member.name, held, pool.submit(keep, item, content, longest_s)))

    try:
        try:
            run()
        finally:
            while waiting:
                settle_first()
    except BrokenProcessPool as error:
        raise processes.WorkerLost(processes.LOST) from error


def _base(member: str) -> str:
    return member.replace("\\", "/").rpartition("/")[2]
