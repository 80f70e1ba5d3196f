"""What a fetch will take: items, bytes and hours, before anything is downloaded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.corpora import registry
from pipelines.fetch.causes import HOUR_S
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.run import Due

_MASK_BYTES = 2_000  # a mask PNG, to plan by


@dataclass(frozen=True)
class Estimate:
    """One line of a plan. `seconds` are of this kind alone; kinds of different hosts run at the same time."""

    what: str
    needed: int
    there: int
    lost: int
    to_fetch: int
    bytes: int
    seconds: float
    limited_by: str  # bandwidth | YouTube's budget; "" where nothing is to fetch


def estimate(
    items: Sequence[Item], due: Due, options: FetchOptions, sessions: int, mbit_per_s: float
) -> list[Estimate]:
    """Lines by corpus and kind.

    Bytes are means times counts; seconds follow from the bandwidth and the budget.
    """
    needed = Counter(_what(item) for item in items)
    there = Counter(_what(item) for item in (*due.vouched, *due.unknown))
    lost = Counter(_what(item) for item in due.dead)
    lines = []
    for what, count in sorted(needed.items()):
        wanted = [item for item, _, _ in due.wanted if _what(item) == what]
        size = sum(_MASK_BYTES if item.kind is Kind.MASK else _item_bytes(item) for item in wanted)
        seconds, bound = size * 8 / (mbit_per_s * 1e6), "bandwidth" if wanted else ""
        if wanted and wanted[0].kind is Kind.CLIP:
            budget_s = HOUR_S * len(wanted) / (options.youtube.videos_per_hour * sessions)
            if budget_s > seconds:
                seconds, bound = budget_s, "YouTube's budget"
        lines.append(Estimate(what, count, there[what], lost[what], len(wanted), size, seconds, bound))
    return lines


def archives(due: Due) -> list[str]:
    """Addresses of the mask archives that hold what is still needed."""
    return sorted({item.url for item, _, _ in due.wanted if item.kind is Kind.MASK})


def _item_bytes(item: Item) -> int:
    fetching = registry.get(_corpus(item)).fetching
    return fetching.item_bytes if fetching else 0


def _corpus(item: Item) -> str:
    return item.name.partition(":")[0]


def _what(item: Item) -> str:
    return f"{_corpus(item)} {item.kind.value}s"
