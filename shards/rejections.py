"""Why an item was dropped: the reasons that rejections.parquet holds, and the exception that carries one."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an item was dropped. The value is what `rejections.parquet` holds."""

    # any stage
    INTERNAL_ERROR = "internal_error"  # a fault of this program, met at one item; the traceback is in the log
    # index
    BAD_ROW = "bad_row"  # a CSV line or JSON object that does not fit its format
    DUPLICATE_ID = "duplicate_id"  # an id seen before in the same corpus; the first row stays
    HOSTILE_NAME = "hostile_name"  # a file name that leaves its folder
    UNKNOWN_IMAGE = "unknown_image"  # an annotation of an image that the file does not list
    UNKNOWN_LABEL = "unknown_label"  # a label id that the corpus's own vocabulary does not list
    # match
    LABEL_NOT_IN_MAP = "label_not_in_map"
    NARROWER_SOUND = (
        "narrower_sound"  # a sound that is narrower than the masks, or masks that only such sounds name
    )
    SEVERAL_SOUNDS = "several_sounds"  # a clip whose labels name two categories: a clean one of neither
    # select
    IMAGE_MISSING = "image_missing"
    IMAGE_UNREADABLE = "image_unreadable"
    IMAGE_UNSUPPORTED = (
        "image_unsupported"  # readers show it differently or not at all: CMYK, 12 bit, arithmetic coding
    )
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_SIZE_MISMATCH = "image_size_mismatch"  # the photo is not the size its annotations were drawn on
    MASK_MISSING = "mask_missing"
    MASK_UNREADABLE = "mask_unreadable"
    MASK_AMBIGUOUS = "mask_ambiguous"  # a mask image that can be read in more than one way
    MASK_EMPTY = "mask_empty"
    MASK_OUTSIDE_IMAGE = "mask_outside_image"
    MASK_TOO_SMALL = "mask_too_small"
    MASK_TOO_LARGE = "mask_too_large"
    INCOMPLETE_UNION = "incomplete_union"  # another mask of the same category and image was rejected
    NOT_EXHAUSTIVE = "not_exhaustive"  # the corpus says that not every object of the category is annotated
    MASK_SOURCE = "mask_source"  # a model drew it, and the recipe takes those of people alone
    MASK_UNSURE = "mask_unsure"  # the model that drew it is less sure of it than the recipe asks
    CROWD = "crowd"
    GROUP_OF = "group_of"
    DEPICTION = "depiction"
    LICENCE = "licence"
    NOT_THE_LARGEST = "not_the_largest"  # another instance was taken, under the policy `single`
    OVER_CLASS_CAP = "over_class_cap"
    OVER_LIMIT = "over_limit"  # --limit
    CLIP_MISSING = "clip_missing"
    BACKGROUND_SOUND = "background_sound"  # the corpus says that something else is heard above it
    AUDIO_UNREADABLE = "audio_unreadable"
    AUDIO_TRUNCATED = "audio_truncated"  # the file ends before the sound that it states
    AUDIO_TOO_SHORT = "audio_too_short"
    AUDIO_TOO_LONG = "audio_too_long"
    AUDIO_SILENT = "audio_silent"
    # split
    NO_SPLIT = "no_split"  # the recipe gives no size to the split that this clip may go to
    OVER_SPLIT_SIZE = "over_split_size"
    SPLIT_LEAK = "split_leak"  # its video is in a split that is measured too, and --leaks drop was asked
    # exclude
    JUDGED_BAD = "judged_bad"  # people looked at it and found it wrong (`select.exclude`)
    # takedown, profile
    TAKEN_DOWN = "taken_down"  # removed on request, after it was published
    # merge
    DESCRIBED_TWICE = "described_twice"  # another corpus's masks of the same photo and category are taken
    # compose
    NOT_DRAWN = "not_drawn"  # the recipe asks for a share of such scenes, and this one is not in it
    SOURCES_OVERLAP = "sources_overlap"  # masks of two sources that may be one object
    SOURCES_TOO_CLOSE = "sources_too_close"  # objects of a category that the ears cannot tell apart
    NOT_SURELY_ABSENT = (
        "not_surely_absent"  # no sound of which is certain that the photo does not show its source
    )
    TOO_FEW_SOURCES = "too_few_sources"  # the photo offers fewer than the recipe asks for
    OVER_PHOTO_CAP = "over_photo_cap"
    # pair
    NO_CLIP = "no_clip"  # the sample's split has no clip of its category


# What helps where a dataset would be empty for a reason; else the details in `rejections.parquet` say the rule.
REMEDIES: dict[str, str] = {
    Reason.LABEL_NOT_IN_MAP: "the label map links none of these labels: choose other categories, or another map",
    Reason.IMAGE_MISSING: "put the photos where their corpus has them, or fetch them",
    Reason.MASK_MISSING: "put the masks where their corpus has them, or fetch them",
    Reason.CLIP_MISSING: "put the clips where their corpus has them, or fetch them",
    Reason.LICENCE: "allow more licences",
    Reason.NO_SPLIT: "give the splits that these clips may be heard in a size",
    Reason.NOT_DRAWN: "ask for larger shares in [scene.shares]",
    Reason.NOT_SURELY_ABSENT: "scene.off_screen = 'not_annotated' takes what nothing says to be there",
    Reason.NO_CLIP: "every split needs clips of its own for each category: bring more, or ask for fewer splits",
}


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
