"""The tables that travel between stages: Arrow schemas, one row a mask, clip, sample or rejection.

Ids are text with their corpus in front (`lvis:73`, `open_images:000bd0b4fa27644c`, `vggsound:3Bn-Nt_8aG4_000030`).
Paths are relative to the corpora folder and use `/`. Areas are pixels of the image; boxes are x, y, width,
height in pixels, the origin at the top left. A null says "the corpus does not tell".
"""

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from shards import tables

MASKS = pa.schema(
    {
        "mask_id": pa.string(),  # lvis:<image id>_<annotation id> | open_images:<MaskPath without .png>
        "corpus": pa.string(),  # lvis | open_images
        "image_id": pa.string(),  # lvis:<image id> | open_images:<ImageID>
        "image_path": pa.string(),  # null: the photo is not below the corpora folder
        "image_url": pa.string(),  # where the photo comes from
        "photo_keys": pa.list_(pa.string()),  # all names of the photograph itself: coco:<id>, flickr:<id>
        "width": pa.int32(),  # of the image, pixels; null for Open Images
        "height": pa.int32(),
        "label_id": pa.string(),  # LVIS category id | Open Images MID
        "label": pa.string(),  # LVIS name | Open Images display name
        "segmentation": pa.binary(),  # LVIS: the JSON text of COCO polygons or RLE; null for Open Images
        "mask_path": pa.string(),  # Open Images: the PNG; null when missing, and for LVIS
        "is_crowd": pa.bool_(),
        "is_group_of": pa.bool_(),
        "is_depiction": pa.bool_(),
        "licence": pa.string(),  # normalised: cc-by-2.0, cc-by-sa-2.0, no-known-restrictions, ...; null: unknown
        "licence_url": pa.string(),
        "author": pa.string(),
        "annotation_split": pa.string(),  # train | validation | test, as the corpus has it
    }
)

CLIPS = pa.schema(
    {
        "clip_id": pa.string(),  # vggsound:<video id>_<start %06d>
        "corpus": pa.string(),  # vggsound
        "video_id": pa.string(),  # YouTube id
        "start_s": pa.float64(),  # seconds into the video
        "label": pa.string(),
        "official_split": pa.string(),  # train | test
        "clip_path": pa.string(),  # null: no media below the corpora folder
        "licence": pa.string(),
        "author": pa.string(),
        "url": pa.string(),
    }
)

# stage: index | match | measure | select | cap | limit | split | trim | convert | pair | shard | takedown | profile
# item: the id of what was dropped, or file:line where it has none; reason: a Reason
# detail: the value and the rule it broke; category: where it is known
REJECTIONS = tables.REJECTIONS


class Reason(str, Enum):
    """Why an item was dropped. The value is what `rejections.parquet` holds."""

    # index
    BAD_ROW = "bad_row"  # a CSV line or JSON object that does not fit its format
    DUPLICATE_ID = "duplicate_id"  # an id seen before in the same corpus; the first one stays
    HOSTILE_NAME = "hostile_name"  # a file name that leaves its folder
    UNKNOWN_IMAGE = "unknown_image"  # an annotation of an image that the file does not list
    UNKNOWN_LABEL = "unknown_label"  # a label id that the corpus's own vocabulary does not list
    # match
    LABEL_NOT_IN_MAP = "label_not_in_map"
    # select
    IMAGE_MISSING = "image_missing"
    IMAGE_UNREADABLE = "image_unreadable"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_SIZE_MISMATCH = "image_size_mismatch"  # the photo is not the size its annotations were drawn on
    MASK_MISSING = "mask_missing"
    MASK_UNREADABLE = "mask_unreadable"
    MASK_EMPTY = "mask_empty"
    MASK_OUTSIDE_IMAGE = "mask_outside_image"
    MASK_TOO_SMALL = "mask_too_small"
    MASK_TOO_LARGE = "mask_too_large"
    INCOMPLETE_UNION = "incomplete_union"  # another mask of the same category and image was rejected
    CROWD = "crowd"
    GROUP_OF = "group_of"
    DEPICTION = "depiction"
    LICENCE = "licence"
    NOT_THE_LARGEST = "not_the_largest"  # another instance was taken, under the policy `single`
    OVER_CLASS_CAP = "over_class_cap"
    OVER_LIMIT = "over_limit"  # --limit
    CLIP_MISSING = "clip_missing"
    AUDIO_UNREADABLE = "audio_unreadable"
    AUDIO_TOO_SHORT = "audio_too_short"
    AUDIO_TOO_LONG = "audio_too_long"
    AUDIO_SILENT = "audio_silent"
    # split
    NO_SPLIT = "no_split"  # the recipe gives no size to the split that this clip may go to
    OVER_SPLIT_SIZE = "over_split_size"
    # takedown, profile
    TAKEN_DOWN = "taken_down"  # removed on request, after it was published
    # pair
    NO_CLIP = "no_clip"  # the sample's split has no clip of its category


class Rejected(Exception):
    """An item that cannot be used, for a reason that is recorded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def rejection(
    stage: str, item: str, reason: Reason, detail: str, category: str | None = None
) -> dict[str, str | None]:
    """One row of REJECTIONS."""
    return {"stage": stage, "item": item, "reason": reason.value, "detail": detail, "category": category}


@dataclass(frozen=True)
class Outcome:
    """What a stage made of one table: the rows it kept and one rejection for each it dropped."""

    kept: pa.Table
    rejected: pa.Table

    @classmethod
    def of(cls, kept: pa.Table, rejections: list[dict[str, str | None]]) -> "Outcome":
        return cls(kept, pa.Table.from_pylist(rejections, schema=REJECTIONS))
