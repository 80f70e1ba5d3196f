"""KEY.json of samples and clips, and their rows of samples.parquet and pool.parquet: all made here, from one record.

The fields are those of `shards/README.md`. A field that a later version of the format adds has `msgspec.UNSET` as its
default, so that records of earlier versions read, and are written again, without it.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from shards import format, tables
from shards.errors import AvsError
from shards.writer import Member


class RecordError(AvsError):
    """A KEY.json that is none of this format; the message says where."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Label(_Part, frozen=True):
    """What a source's label is called, and how a label map links it to its category."""

    source: str
    source_id: str
    name: str
    synset: str
    relation: str
    decided_by: str
    decided_on: str
    label: str | msgspec.UnsetType = msgspec.UNSET  # since version 2: as the corpus's own file says
    category: str | msgspec.UnsetType = msgspec.UNSET  # since version 2


NO_LABEL = Label(*[""] * 9)  # no label map was asked


class Image(_Part, frozen=True):
    """The photo of a sample. Texts that are not known are empty."""

    id: str
    corpus: str
    width: int  # pixels
    height: int
    sha256: str  # of the member
    photo_keys: tuple[str, ...]  # every known name of the photograph, sorted
    labels: tuple[Label, ...]
    source_sha256: str = ""  # of the source's file; empty in version 1
    licence: str = ""
    licence_url: str = ""
    author: str = ""
    url: str = ""


class Mask(_Part, frozen=True):
    """The mask of a sample. bbox: x, y, width, height in pixels; zeros for a mask without a pixel."""

    ids: tuple[str, ...]
    policy: str  # union | single | instance
    area_px: int
    area_fraction: float
    bbox: tuple[int, int, int, int]
    sha256: str
    exhaustive: str = ""  # yes | no: whether all objects of the category are annotated; empty: not known


class Audio(_Part, frozen=True):
    """The clip that a sample hears."""

    id: str
    key: str
    video_id: str
    start_s: float  # seconds into the video
    duration_s: float
    label: Label
    official_split: str
    sha256: str
    licence: str = ""
    author: str = ""
    url: str = ""


class Pairing(_Part, frozen=True):
    """What drew the clip: the dataset's seed and, as it is frozen in the shards, epoch 0."""

    seed: int
    epoch: int = 0


class SampleRecord(_Part, frozen=True):
    """KEY.json of a sample."""

    key: str
    sample_id: str
    split: str
    category: str
    component: str
    pairing: Pairing
    image: Image
    mask: Mask
    audio: Audio


class ClipRecord(Audio, frozen=True, kw_only=True):
    """KEY.json of a clip in the pool: what its samples say of it, and who may hear it."""

    categories: tuple[str, ...]
    split: str

    @property
    def audio(self) -> Audio:
        """As the samples that hear the clip have it."""
        return Audio(**{name: getattr(self, name) for name in Audio.__struct_fields__})


Record = TypeVar("Record", SampleRecord, ClipRecord)


def encode(record: SampleRecord | ClipRecord) -> bytes:
    """KEY.json, in its one form."""
    return format.json_bytes(msgspec.to_builtins(record))


def decode(content: bytes, kind: type[Record]) -> Record:
    """Read KEY.json.

    Raises:
        RecordError: a field is missing, unknown or of another type, or the form is not the one of `encode`.
    """
    try:
        record = msgspec.json.decode(content, type=kind)
        canonical = encode(record) == content
    except (ValueError, RecursionError) as error:
        raise RecordError(f"json: {error}") from error
    if not canonical:
        raise RecordError(
            "json: not in canonical form: keys sorted, no spaces, every field there, numbers as written here"
        )
    return record


def row(record: SampleRecord | ClipRecord, shard: str, members: Mapping[str, Member]) -> dict[str, Any]:
    """The row of samples.parquet or pool.parquet of a record that lies in `shard` with these members."""
    columns = {"key": record.key, "split": record.split, "shard": shard, **member_columns(members)}
    if isinstance(record, ClipRecord):
        return {
            **columns,
            "clip_id": record.id,
            "video_id": record.video_id,
            "categories": list(record.categories),
            "label": record.label.source_id or record.categories[0],
            "start_s": record.start_s,
            "duration_s": record.duration_s,
            "official_split": record.official_split,
            "licence": record.licence or None,
        }
    image, mask, audio = record.image, record.mask, record.audio
    return {
        **columns,
        "sample_id": record.sample_id,
        "category": record.category,
        "component": record.component,
        "image_id": image.id,
        "width": image.width,
        "height": image.height,
        "image_licence": image.licence or None,
        "mask_ids": list(mask.ids),
        "area_px": mask.area_px,
        "area_fraction": mask.area_fraction,
        **dict(zip(("bbox_x", "bbox_y", "bbox_w", "bbox_h"), mask.bbox, strict=True)),
        "clip_id": audio.id,
        "video_id": audio.video_id,
        "duration_s": audio.duration_s,
        "audio_licence": audio.licence or None,
    }


def member_columns(members: Mapping[str, Member]) -> dict[str, Any]:
    """Offset, size and sha256 of a row's members, by the columns of its table."""
    return {
        f"{tables.column(extension)}_{part}": getattr(member, part)
        for extension, member in members.items()
        for part in ("offset", "size", "sha256")
    }


def members_of(row: Mapping[str, Any], extensions: tuple[str, ...]) -> dict[str, Member]:
    """What `member_columns` was given."""
    return {
        extension: Member(
            *(row[f"{tables.column(extension)}_{part}"] for part in ("offset", "size", "sha256"))
        )
        for extension in extensions
    }
