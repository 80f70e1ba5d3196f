"""The manifest: what a dataset is, what it was built from, and the hash of every file. Written last."""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, TypedDict

import msgspec

from shards import format, storage
from shards.errors import AvsError


class DatasetError(AvsError):
    """A folder that is no complete dataset of this format; the message says what to do."""


Number = Annotated[int, msgspec.Meta(ge=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Path = Annotated[str, msgspec.Meta(pattern=r"^(train|val|test|pool)/[\w.-]*-[0-9]{6,12}\.tar$")]


@dataclass(frozen=True)
class ShardEntry:
    """One shard as the manifest lists it. `categories` counts samples (clips, in the pool) per category."""

    path: Path
    split: str
    samples: Number
    bytes: Number
    sha256: Sha256
    categories: dict[str, Number]


@dataclass(frozen=True)
class TableEntry:
    """A table beside the shards."""

    rows: Number
    bytes: Number
    sha256: Sha256


class SplitCounts(TypedDict):
    """Samples of one split, in all and per category."""

    samples: Number
    categories: dict[str, Number]


# One step of the funnel: `in` is `kept` and the sum of `rejected`, which counts per reason.
Step = TypedDict(
    "Step", {"stage": str, "unit": str, "in": Number, "kept": Number, "rejected": dict[str, Number]}
)


class HeldOutList(TypedDict):
    """A list of videos that training must not hear; `videos`: how many, None where the list was not there."""

    list: str
    videos: int | None


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`; the fields are those of `shards/README.md`. What follows `funnel` `new_dataset` counts."""

    name: str
    seed: int
    recipe: dict[str, str]
    label_map: dict[str, str]
    code: dict[str, str]
    funnel: tuple[Step, ...]
    held_out: tuple[HeldOutList, ...] = ()
    targets: tuple[str, ...] = ()  # of a dataset of scenes: binary, classes, instances
    classes: tuple[str, ...] = ()  # categories by their number in KEY.classes.png, which begins with 1
    counts: dict[str, SplitCounts] = field(default_factory=dict)
    shards: tuple[ShardEntry, ...] = ()
    pool_shards: tuple[ShardEntry, ...] = ()
    tables: dict[str, TableEntry] = field(default_factory=dict)
    format_version: int = format.FORMAT_VERSION  # of a dataset cut from an earlier one: that one's

    @property
    def sample_members(self) -> tuple[str, ...]:
        """The extensions of a sample, in the order of the tar."""
        return format.sample_members(self.targets)


def dump(manifest: Manifest) -> bytes:
    record = {"format": format.FORMAT, **asdict(manifest)}
    if not manifest.targets:  # what only datasets of scenes have
        del record["targets"], record["classes"]
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def load(dataset: str) -> Manifest:
    """Read DATASET/manifest.json.

    Raises:
        DatasetError: there is none, or it is not of this format and version.
    """
    url = storage.join(dataset, format.MANIFEST)
    if not storage.exists(url):
        raise DatasetError(
            f"{dataset} holds no {format.MANIFEST}: it is no dataset, or its build has not finished; "
            "run `avs-data build` with the same --out to finish it"
        )
    content = storage.read_bytes(url)
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != format.FORMAT or head.format_version not in format.READABLE_VERSIONS:
            raise DatasetError(
                f"{url} is {head.format} version {head.format_version}; this version reads {format.FORMAT} "
                f"{' and '.join(map(str, format.READABLE_VERSIONS))}"
            )
        return msgspec.json.decode(content, type=Manifest)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{url} is damaged ({error}); build the dataset again") from error


@dataclass(frozen=True)
class _Head:
    format: str
    format_version: int


def shard_counts(manifest: Manifest) -> dict[str, int]:
    """Shards that keys are spread over, per split and for the pool: the highest number in use, and one.

    Shards above it, if there were any, hold nothing; leaving them out moves no key.
    """
    counts: dict[str, int] = {}
    for entry in (*manifest.shards, *manifest.pool_shards):
        number = int(entry.path.removesuffix(".tar").rsplit("-", 1)[1]) + 1
        counts[entry.split] = max(number, counts.get(entry.split, 0))
    return counts
