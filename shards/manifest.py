"""The manifest: what a dataset is, what it was built from, and the hash of every file. Written last."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
import pyarrow as pa

from shards import format, storage, tables
from shards.errors import AvsError
from shards.scene_sound import SoundRules


class DatasetError(AvsError):
    """A folder that is no complete dataset of this format; the message says what to do."""


MAX_BYTES = 32 << 20  # of a manifest: 1,000 categories in each of 1,000 shards take 20 MB

Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Target = Literal["binary", "classes", "instances"]
MaskSource = Literal["human", "sam"]
Path = Annotated[str, msgspec.Meta(pattern=r"^(train|val|test|pool)/\1-[0-9]{6,12}\.tar\Z")]


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


class RecipeText(TypedDict):
    """What it was built by, as written, and the hash of that."""

    text: str
    sha256: str


class MapVersion(TypedDict):
    """The label map that joined its labels; empty where none did."""

    name: str
    version: str
    sha256: str
    groups_sha256: NotRequired[str]  # of scenes: of what could be taken for what


class HeldOutList(TypedDict):
    """A list of videos that training must not hear.

    videos: how many; None where the list was not there. own_leaks: by split of the list other than train, its rows of
    videos that the list itself has in train, and all its rows of that split; splits without any are left out.
    """

    list: str
    videos: Number | None
    own_leaks: NotRequired[dict[str, tuple[Number, Number]]]


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`; the fields are those of `shards/README.md`. What follows `funnel` `new_dataset` counts."""

    name: str
    seed: int
    recipe: RecipeText
    label_map: MapVersion
    code: dict[str, str]
    funnel: tuple[Step, ...]
    held_out: tuple[HeldOutList, ...] = ()
    targets: tuple[Target, ...] = ()  # of a dataset of scenes: binary, classes, instances
    classes: tuple[str, ...] = ()  # categories by their number in KEY.classes.png, which begins with 1
    mask_sources: tuple[
        MaskSource, ...
    ] = ()  # who may have drawn a mask; none named: people, and no record tells
    sound: SoundRules | None = None  # of scenes that were mixed: how
    counts: dict[str, SplitCounts] = field(default_factory=dict)
    shards: tuple[ShardEntry, ...] = ()
    pool_shards: tuple[ShardEntry, ...] = ()
    tables: dict[str, TableEntry] = field(default_factory=dict)
    format_version: int = format.FORMAT_VERSION  # of a dataset cut from an earlier one: that one's

    @property
    def sample_members(self) -> tuple[str, ...]:
        """The extensions of a sample, in the order of the tar."""
        return format.sample_members(self.targets)

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Of its tables, by file name."""
        return tables.schemas(self.format_version, self.targets, bool(self.mask_sources))


def dump(manifest: Manifest) -> bytes:
    record = {"format": format.FORMAT, **asdict(manifest)}
    if not manifest.targets:  # what only datasets of scenes have
        del record["targets"], record["classes"]
    if not manifest.mask_sources:  # what only those have that take masks of a model
        del record["mask_sources"]
    if manifest.sound is None:
        del record["sound"]
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def load(dataset: str) -> Manifest:
    """Read DATASET/manifest.json.

    Raises:
        DatasetError: there is none, or it is not of this format and version.
    """
    url = storage.join(dataset, format.MANIFEST)
    if not storage.exists(url):
        if storage.exists(storage.join(dataset, format.REFERENCE, format.MANIFEST)):
            raise DatasetError(
                f"{dataset} is a reference-only edition, without sounds: `avs-data rehydrate` makes the dataset of it"
            )
        if storage.exists(storage.join(dataset, format.LATEST)):
            raise DatasetError(
                f"{dataset} holds published versions, of which each is a dataset: name one, such as {dataset}/1.0.0; "
                f"{format.LATEST} there names the newest"
            )
        raise DatasetError(
            f"{dataset} holds no {format.MANIFEST}: it is no dataset, or its build has not finished; "
            "run `avs-data build` with the same --out to finish it"
        )
    content = storage.read_small(url, MAX_BYTES)
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != format.FORMAT or head.format_version not in format.READABLE_VERSIONS:
            raise DatasetError(
                f"{url} is {head.format} version {head.format_version}; this version reads {format.FORMAT} "
                f"{' and '.join(map(str, format.READABLE_VERSIONS))}"
            )
        made = msgspec.json.decode(content, type=Manifest)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{url} is damaged ({error}); build the dataset again") from error
    if fault := next(_faults(made), ""):
        raise DatasetError(f"{url} is damaged ({fault[:500]}); build the dataset again")
    return made


def _faults(made: Manifest) -> Iterator[str]:
    """What its types do not say."""
    for path, number in Counter(entry.path for entry in (*made.shards, *made.pool_shards)).items():
        if number > 1:
            yield f"{path} is listed {number} times"
    for entries, splits in ((made.shards, format.SPLITS), (made.pool_shards, (format.POOL,))):
        for entry in entries:
            if entry.split not in splits or entry.split != entry.path.partition("/")[0]:
                yield f"{entry.path} is listed as of {entry.split}"
    for what, names, wanted in (
        ("tables", made.tables, (format.SAMPLES, format.POOL_TABLE, format.REJECTIONS)),
        ("counts", made.counts, format.SPLITS),
    ):
        if set(names) != set(wanted):
            yield f"its {what} are of {', '.join(sorted(names)) or 'nothing'}, not of {', '.join(wanted)}"


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
