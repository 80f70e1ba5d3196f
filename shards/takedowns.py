"""What was taken out of a dataset on request, and stays out: `takedowns.json` travels with every later version."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import msgspec

from shards import storage
from shards.manifest import DatasetError

TAKEDOWNS = "takedowns.json"
_MAX_BYTES = 32 << 20


@dataclass(frozen=True, order=True)
class Takedown:
    """One request. `names`: every name of the photograph, or the video's id."""

    kind: Literal["image", "video"]
    names: tuple[str, ...]
    reason: str


def load(dataset: str) -> tuple[Takedown, ...]:
    """The takedowns that a dataset carries; none where it has no such file.

    Raises:
        DatasetError: a damaged list, so that nobody knows what was taken down.
    """
    url = storage.join(dataset, TAKEDOWNS)
    if not storage.exists(url):
        return ()
    try:
        return msgspec.json.decode(storage.read_small(url, _MAX_BYTES), type=tuple[Takedown, ...])
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{url} is damaged ({error}), so nobody knows what was taken down: put it back from the version before"
        ) from error


def dump(takedowns: Iterable[Takedown]) -> bytes:
    rows = [asdict(takedown) for takedown in sorted(set(takedowns))]
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def reasons(takedowns: Iterable[Takedown]) -> dict[str, str]:
    """Name of a photograph or id of a video -> why it was taken down."""
    return {name: one.reason for one in takedowns for name in one.names}
