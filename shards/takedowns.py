"""What was taken out of a dataset on request, and stays out: `takedowns.json` travels with every later version."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from shards import storage

TAKEDOWNS = "takedowns.json"


@dataclass(frozen=True, order=True)
class Takedown:
    """One request. `kind`: image | video; `names`: every name of the photograph, or the video's id."""

    kind: str
    names: tuple[str, ...]
    reason: str


def load(dataset: str) -> tuple[Takedown, ...]:
    """The takedowns that a dataset carries; none where it has no such file."""
    url = storage.join(dataset, TAKEDOWNS)
    if not storage.exists(url):
        return ()
    return tuple(
        Takedown(row["kind"], tuple(row["names"]), row["reason"])
        for row in json.loads(storage.read_bytes(url))
    )


def dump(takedowns: Iterable[Takedown]) -> bytes:
    rows = [asdict(takedown) for takedown in sorted(set(takedowns))]
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def reasons(takedowns: Iterable[Takedown]) -> dict[str, str]:
    """Name of a photograph or id of a video -> why it was taken down."""
    return {name: one.reason for one in takedowns for name in one.names}
