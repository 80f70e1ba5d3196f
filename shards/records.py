"""KEY.json of samples and clips, and their rows of samples.parquet and pool.parquet: all made here, from one record.

The fields are those of `shards/README.md`. A field that a later version of the format adds has `msgspec.UNSET` as its
default, so that records of earlier versions read, and are written again, without it. So have those that only datasets
of scenes have: `SampleRecord.kind` and `.sources` answer for every sample.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec

from shards import format, tables
from shards.errors import AvsError
from shards.writer import Member

Kind = Literal["single", "mixture", "silence", "noise", "off_screen", "recording"]
NEGATIVES: tuple[Kind, ...] = (
    "silence",
    "noise",
    "off_screen",
)  # nothing that is seen sounds: the mask is empty
RECORDING: Kind = "recording"  # the sound of the video that the photo is of: nobody has taken it apart


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
    source: str | msgspec.UnsetType = msgspec.UNSET  # human | sam | human+sam; not told where all is human


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


class Instance(_Part, frozen=True):
    """One mask of a corpus before it was joined. counts: COCO's compressed run lengths, at the photo's size."""

    mask_id: str
    counts: str


class Source(_Part, frozen=True):
    """One thing that is heard: what it is, where it is seen, which part of which clip it is, how loud and from where.

    Noise has no category and no clip, off-screen sound no mask: then `area_px` is 0 and `bbox` zeros. A recording is
    one source: `category` is all classes that its mask shows, joined by `+`, empty where it shows none.
    """

    category: str
    mask_ids: tuple[str, ...]
    area_px: int
    bbox: tuple[int, int, int, int]  # x, y, width, height in pixels
    audio: Audio | None
    crop_start_s: float = 0.0  # seconds into the clip
    gain_db: float = 0.0  # to a tenth
    pan: float = 0.5  # 0: left, 1: right; to a thousandth
    delay: int = 0  # samples by which the left ear hears later than the right one; negative: the right ear
    instances: tuple[Instance, ...] | msgspec.UnsetType = msgspec.UNSET  # where the dataset has this target


class Sound(_Part, frozen=True):
    """How the sources of a scene became KEY.flac."""

    rule: str  # of the gains: vpo | equal_rms | snr
    channels: int  # 1 | 2
    pan_law: str  # linear | constant_power; empty in mono
    duration_s: float
    scale: float  # what the sum was multiplied by so that it fits 16 bits, in 1/65536; 1: it did
    clipped: int  # values that would not have fitted
    sha256: str  # of the member


class SampleRecord(_Part, frozen=True):
    """KEY.json of a sample. One of a scene has `kind`, `sources` and `sound`, any other has `audio`."""

    key: str
    sample_id: str
    split: str
    category: str  # of several that are seen and heard, their names joined by `+`; empty where there is none
    component: str
    pairing: Pairing
    image: Image
    mask: Mask
    audio: Audio | msgspec.UnsetType = msgspec.UNSET
    scene_kind: Kind | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="kind")
    scene_sources: tuple[Source, ...] | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="sources"
    )
    sound: Sound | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        told = [self.scene_kind, self.scene_sources, self.sound]
        missing = [part is msgspec.UNSET for part in told]
        if any(missing) != all(missing) or (self.audio is msgspec.UNSET) == all(missing):
            raise ValueError("a sample has either `audio`, or `kind`, `sources` and `sound`")

    @property
    def kind(self) -> Kind:
        """What is heard: one thing that is seen, several of them, or none."""
        return "single" if self.scene_kind is msgspec.UNSET else self.scene_kind

    @property
    def sources(self) -> tuple[Source, ...]:
        """Everything that is heard: none in silence, one in noise and in what is not a mixture."""
        if self.scene_sources is not msgspec.UNSET:
            return self.scene_sources
        assert self.audio is not msgspec.UNSET  # or it was not made
        return (Source(self.category, self.mask.ids, self.mask.area_px, self.mask.bbox, self.audio),)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that are seen and heard, sorted."""
        if self.kind in NEGATIVES:
            return ()
        if self.kind == RECORDING:
            return tuple(sorted(filter(None, self.category.split("+"))))
        return tuple(sorted({source.category for source in self.sources}))

    @property
    def clips(self) -> tuple[Audio, ...]:
        """The clips that are heard, in the order of the sources."""
        return tuple(source.audio for source in self.sources if source.audio)


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


def sample_id_of(record: SampleRecord) -> str:
    """The sample id that a record's image, categories, masks and kind give."""
    if record.kind in (*NEGATIVES, RECORDING):
        return format.sample_id(record.image.id, "", record.kind)
    masks = "+".join(record.mask.ids) if record.mask.policy == "instance" else ""
    return format.sample_id(record.image.id, record.category, masks)


def paired_as(record: SampleRecord, source: Source) -> str:
    """The sample id under which a source draws its clip: that of the sample it would be alone."""
    if record.kind in NEGATIVES:
        return record.sample_id
    alone = source.mask_ids[0] if record.mask.policy == "instance" and source.mask_ids else None
    return format.sample_id(record.image.id, source.category, alone)


def row(record: SampleRecord | ClipRecord, shard: str, members: Mapping[str, Member]) -> dict[str, Any]:
    """The row of samples.parquet or pool.parquet of a record that lies in `shard` with these members."""
    columns = {"key": record.key, "split": record.split, "shard": shard, **member_columns(members)}
    if isinstance(record, ClipRecord):
        return {
            **columns,
            "clip_id": record.id,
            "video_id": record.video_id,
            "categories": list(record.categories),
            "label": record.label.source_id or next(iter(record.categories), ""),
            "start_s": record.start_s,
            "duration_s": record.duration_s,
            "official_split": record.official_split,
            "licence": record.licence or None,
        }
    image, mask, clips = record.image, record.mask, record.clips
    one = clips[0] if len(clips) == 1 else None
    told = {
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
        "clip_id": one.id if one else None,
        "video_id": one.video_id if one else None,
        "duration_s": record.audio.duration_s if record.audio else _sound(record).duration_s,
        "audio_licence": _licence(clips),
    }
    if mask.source is not msgspec.UNSET:
        told["mask_source"] = mask.source
    if record.scene_kind is msgspec.UNSET:
        return told
    return {
        **told,
        "kind": record.kind,
        "categories": list(record.categories),
        "clip_ids": [clip.id for clip in clips],
        "video_ids": [clip.video_id for clip in clips],
    }


def _sound(record: SampleRecord) -> Sound:
    assert record.sound is not msgspec.UNSET  # or it has `audio`
    return record.sound


def _licence(clips: tuple[Audio, ...]) -> str | None:
    """Of all clips together, as SPDX writes it; None where one is not known. Silence and noise are nobody's."""
    licences = sorted({clip.licence for clip in clips})
    return None if "" in licences else " AND ".join(licences) or "cc0"


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
