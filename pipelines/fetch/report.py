"""What a ledger says: attempts and items per cause, survival per category, what waits and until when."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.fetch.causes import Cause
from pipelines.fetch.items import Item
from pipelines.fetch.ledger import Attempt
from shards.errors import AvsError

_READ = re.compile(r"(?P<read>\d+) of (?P<size>\d+) bytes read")


class UnknownCause(AvsError, ValueError):
    """A name that is none of the causes; the message lists them."""


@dataclass(frozen=True)
class CauseCount:
    """`attempts`: rows with this cause. `items`: those whose last row has it; of them `permanent` will not be
    tried again.
    """

    kind: str
    cause: str
    attempts: int
    items: int
    permanent: int


@dataclass(frozen=True)
class Survival:
    """Items of one kind and category: needed, there, failed for good; the rest waits for another try."""

    category: str
    kind: str
    needed: int
    there: int
    lost: int


def kind_of(item: str, kinds: dict[str, str]) -> str:
    if item in kinds:
        return kinds[item]
    prefix = item.partition(":")[0]
    return prefix if prefix in ("annotation", "archive") else "no longer needed"


def causes(rows: Iterable[Attempt], latest: dict[str, Attempt], items: Iterable[Item]) -> list[CauseCount]:
    """Counts per kind and cause, sorted."""
    kinds = {item.name: item.kind.value for item in items}
    attempts = Counter((kind_of(row.item, kinds), row.cause) for row in rows)
    last = Counter((kind_of(row.item, kinds), row.cause) for row in latest.values())
    ended = Counter((kind_of(row.item, kinds), row.cause) for row in latest.values() if row.permanent)
    return [
        CauseCount(kind, cause, count, last[kind, cause], ended[kind, cause])
        for (kind, cause), count in sorted(attempts.items())
    ]


def survival(latest: dict[str, Attempt], items: Iterable[Item]) -> list[Survival]:
    """Per category and kind, sorted: how much of what a category needs is there."""
    needed: Counter[tuple[str, str]] = Counter()
    there: Counter[tuple[str, str]] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    for item in items:
        row = latest.get(item.name)
        for category in item.categories:
            key = category, item.kind.value
            needed[key] += 1
            there[key] += bool(row and row.ok)
            lost[key] += bool(row and row.permanent)
    return [
        Survival(category, kind, count, there[category, kind], lost[category, kind])
        for (category, kind), count in sorted(needed.items())
    ]


def ranges(latest: dict[str, Attempt]) -> tuple[int, int]:
    """Bytes that were read of archives of masks, and bytes of those archives."""
    found = [
        _READ.search(row.detail) for name, row in latest.items() if row.ok and name.startswith("archive:")
    ]
    parts = [(int(one["read"]), int(one["size"])) for one in found if one]
    return sum(read for read, _ in parts), sum(size for _, size in parts)


def read_of(read: int, size: int) -> str:
    """What an archive's row says of its bytes; `ranges` sums it up."""
    return f"{read} of {size} bytes read"


def waiting(latest: dict[str, Attempt]) -> dict[str, list[Attempt]]:
    """Temporary failures by cause, each sorted by when it may be tried again."""
    found: dict[str, list[Attempt]] = defaultdict(list)
    for row in latest.values():
        if not row.ok and not row.permanent:
            found[row.cause].append(row)
    return {
        cause: sorted(rows, key=lambda row: (row.next_at, row.item)) for cause, rows in sorted(found.items())
    }


def parse_causes(text: str) -> frozenset[Cause]:
    """Causes of a comma-separated list.

    UnknownCause names each unknown one. `bot-check` and `bot_check` are the same.
    """
    words = [word.strip().replace("-", "_") for word in text.split(",") if word.strip()]
    known = {cause.value for cause in Cause if cause is not Cause.OK}
    unknown = sorted(set(words) - known)
    if unknown or not words:
        raise UnknownCause(
            f"{', '.join(unknown) or 'an empty list'} is no cause; causes: {', '.join(sorted(known))}"
        )
    return frozenset(Cause(word) for word in words)
