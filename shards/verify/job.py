"""What there is to check of one shard, and what came of it."""

from dataclasses import dataclass, field
from typing import Any

from shards import format
from shards.manifest import ShardEntry
from shards.verify.faults import Fault


@dataclass(frozen=True)
class Job:
    """One shard to check, with what the tables say of it."""

    url: str
    entry: ShardEntry
    rows: list[dict[str, Any]]
    clips: dict[str, dict[str, Any]]  # rows of the pool that its samples hear, by clip id
    seed: int
    targets: tuple[str, ...]
    classes: dict[str, int]
    deep: bool  # decode photos, masks and sounds

    @property
    def extensions(self) -> tuple[str, ...]:
        return format.CLIP_MEMBERS if self.entry.split == format.POOL else format.sample_members(self.targets)


@dataclass
class ShardCheck:
    faults: list[Fault] = field(default_factory=list)
    photo_keys: set[str] = field(default_factory=set)
