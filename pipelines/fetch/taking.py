"""Take what is wanted out of an archive: each member found by its base name, checked, and kept as its item's file."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Set
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import IO

from pipelines.corpora import names
from pipelines.corpora.clip_files import may_be_media
from pipelines.corpora.clip_lists import MAY_BE_ALL, SLACK_S
from pipelines.corpora.corpus import Readings, own_name
from pipelines.fetch import audio, fingerprints, photos
from pipelines.fetch.archives import Member
from pipelines.fetch.causes import Cause, Failure, guarded
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.store import Store
from pipelines.fetch.workers import Done
from shards.sound import RATE_HZ, to_flac

MASK_RULES = photos.PhotoRules(min_side_px=1, decode=True)
_MOST_BYTES = {Kind.MASK: 64_000_000, Kind.CLIP: 256_000_000}  # of a member
LONGEST_CLIP_S = 60.0  # a file that goes on after that is no clip, and its clip may be anywhere in it
_AT_ONCE = 2  # members that wait for each thread that checks them


Keep = Callable[[Item, IO[bytes], float], Done]


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


def take(
    members: Iterator[Member],
    wanted: Wanted,
    keep: Keep,
    note: Callable[[Item, str, Done | Failure], None],
    check: Callable[[], None],
    pool: Executor,
    threads: int,
    taken: Taken,
) -> None:
    """Go through an archive once. Of several members for one item the first counts.

    Args:
        keep: checks and stores a member's content, in a thread of `pool`; told how many seconds it may have.
        note: told of each item that was met, with the member's name and what became of it.
        check: raises Failure where the archive has changed since it was opened.
        taken: filled as it goes, so that it holds what was met also where the archive ends with a Failure.
    """
    waiting: deque[tuple[Item, str, Future[Done | Failure]]] = deque()
    met: set[str] = set()

    def settle(item: Item, member: str, outcome: Done | Failure) -> None:
        note(item, member, outcome)
        taken.counts["taken" if isinstance(outcome, Done) else outcome.cause.value] += 1
        if isinstance(outcome, Done):
            taken.could.append(_base(member))

    def settle_first() -> None:
        item, member, future = waiting.popleft()
        settle(item, member, future.result())

    try:
        for member in members:
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
            longest_s = wanted.longest_s(item, member.name)
            waiting.append((item, member.name, pool.submit(_kept, keep, item, content, longest_s)))
            if len(waiting) >= _AT_ONCE * threads:
                settle_first()
    finally:
        while waiting:
            settle_first()


def _base(member: str) -> str:
    return member.replace("\\", "/").rpartition("/")[2]


def _kept(keep: Keep, item: Item, content: IO[bytes], longest_s: float) -> Done | Failure:
    with content:
        return guarded(item.name, lambda: keep(item, content, longest_s))


def keeper(store: Store, options: FetchOptions) -> Keep:
    """What `take` does with the content of a member: of clips the sound alone is kept."""

    def keep(item: Item, file: IO[bytes], longest_s: float) -> Done:
        if item.kind is Kind.CLIP:
            rules = options.clip_rules
            try:
                samples = audio.cut(file, 0.0, rules.clip_s, rules.listening.min_s, longest_s)
            except Failure as failure:
                if failure.cause is Cause.TOO_LONG and longest_s < LONGEST_CLIP_S:
                    raise Failure(failure.cause, f"{failure.detail}: {MAY_BE_ALL}") from failure
                raise
            audio.check(samples, rules.listening)
            content, words = to_flac(samples), fingerprints.sound_words(samples).tobytes()
            return Done(len(content), store.put(item.path, content), f"{len(samples) / RATE_HZ:.3f} s", words)
        content = file.read(options.photos.max_bytes + 1 if item.kind is Kind.PHOTO else -1)
        if item.kind is Kind.PHOTO:
            if len(content) > options.photos.max_bytes:
                raise Failure(Cause.TOO_LARGE, f"more than {options.photos.max_bytes} bytes")
            fingerprint = photos.check(content, "", options.photo_rules)
            return Done(len(content), store.put(item.path, content), fingerprint=fingerprint)
        photos.check(content, "", MASK_RULES, form="PNG")
        return Done(len(content), store.put(item.path, content))

    return keep
