"""state.json of a checkpoint, read without torch."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from shards import storage
from shards.errors import AvsError

FORMAT = 1
_MAX_BYTES = 64 << 20  # it lists every shard of the dataset


class RunError(AvsError):
    """A run folder that cannot be used as asked; the message says why and what to do."""


def read(folder: Path) -> dict[str, Any]:
    """The state of a checkpoint's folder, as it was saved; `config` is empty where a step that failed was saved.

    Raises:
        RunError: there is none, a damaged one, or one of another version.
    """
    try:
        content = storage.read_small(str(folder / "state.json"), _MAX_BYTES)
        head = msgspec.json.decode(content, type=_Head)
        state: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"{folder} is damaged ({error}): remove it to resume from an older checkpoint"
        ) from error
    if head.format != FORMAT:
        raise RunError(f"{folder} has checkpoint format {head.format}, this version reads {FORMAT}")
    return {"config": {}, "data": {}, "step": 0, **state}


class _Head(msgspec.Struct):
    """What state.json must say, where it says it; the rest is compared with the run's own."""

    format: int
    step: Annotated[int, msgspec.Meta(ge=0)] = 0
    epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    best: "_Best | None" = None
    last: float | None = None
    frozen: str = ""
    config: dict[str, dict[str, Any] | str] = {}
    data: "_Data | None" = None


class _Data(msgspec.Struct):
    shards: dict[str, str] = {}


class _Best(msgspec.Struct):
    mJ: float
    step: int
