"""What a corpus gives: Arrow schemas of masks, clips, photos, and of what rejected rows leave unmarked.

Ids are text with their corpus in front (`lvis:73`, `open_images:000bd0b4fa27644c`, `vggsound:3Bn-Nt_8aG4_000030`).
Paths are relative to the corpora folder and use `/`. Areas are pixels of the image; boxes are x, y, width,
height in pixels, the origin at the top left. A null says "the corpus does not tell".
"""

import pyarrow as pa

MASKS = pa.schema(
    {
        "mask_id": pa.string(),  # as coco_json, open_images and folder make it
        "corpus": pa.string(),  # its name in the registry
        "image_id": pa.string(),  # <corpus>:<what the corpus calls it>
        "image_path": pa.string(),  # null: the photo is not below the corpora folder
        "image_url": pa.string(),  # where the photo comes from
        "photo_keys": pa.list_(pa.string()),  # all names of the photograph itself: coco:<id>, flickr:<id>
        "width": pa.int32(),  # of the image, pixels; null: the corpus does not tell
        "height": pa.int32(),
        "label_id": pa.string(),  # as a label map has it
        "label": pa.string(),  # what the corpus calls it
        "segmentation": pa.binary(),  # the JSON text of COCO polygons or RLE; null: an image holds the mask
        "mask_path": pa.string(),  # the image; null when missing, and beside a segmentation
        # left, top, right, bottom of the object as shares of the image's sides; null: the corpus does not tell
        "box": pa.list_(pa.float64()),
        "mask_source": pa.string(),  # sam; null: people drew it
        "predicted_iou": pa.float64(),  # of sam's, by sam
        "stability": pa.float64(),
        "is_crowd": pa.bool_(),
        "is_group_of": pa.bool_(),
        "is_depiction": pa.bool_(),
        # labels of which the photo may show more than is annotated; null: the corpus does not tell
        "not_exhaustive_label_ids": pa.list_(pa.string()),
        "licence": pa.string(),  # normalised: cc-by-2.0, cc-by-sa-2.0, no-known-restrictions, ...; null: unknown
        "licence_url": pa.string(),
        "author": pa.string(),
        "annotation_split": pa.string(),  # train | validation | test, as the corpus has it
    }
)

CLIPS = pa.schema(
    {
        "clip_id": pa.string(),  # vggsound:<video id>_<start %06d> | fsd50k:<number> | esc50:<file without .wav>
        "corpus": pa.string(),
        # the recording that clips are cut from, whatever the corpus: YouTube id | freesound:<number>
        "video_id": pa.string(),
        "start_s": pa.float64(),  # seconds into the recording
        "label_ids": pa.list_(pa.string()),  # every label, as a label map has it; at least one
        "labels": pa.list_(pa.string()),  # what the corpus calls each
        # labels that are heard, but not above all else; null: the corpus does not tell
        "background_label_ids": pa.list_(pa.string()),
        "official_split": pa.string(),  # train | val | test; null: the corpus has no splits
        "split_is_final": pa.bool_(),  # the official split is kept as it is; else val and test are parted anew
        "clip_path": pa.string(),  # null: no media below the corpora folder
        # where the clip lies in its file, seconds; null: at its beginning, or to its end
        "part_start_s": pa.float64(),
        "part_end_s": pa.float64(),
        # what its file may have, seconds: a longer one may be all of the recording; null: as the recipe says
        "longest_s": pa.float64(),
        "is_padded": pa.bool_(),  # zeros at the end are no sound
        "licence": pa.string(),
        "author": pa.string(),
        "url": pa.string(),
    }
)

# A photo that a corpus lists, annotated or not.
PHOTOS = pa.schema(
    [
        *(
            MASKS.field(name)
            for name in (
                *("corpus", "image_id", "image_path", "image_url", "photo_keys", "width", "height"),
                *("licence", "licence_url", "annotation_split", "not_exhaustive_label_ids"),
            )
        ),
        # labels that the photo surely does not show; null: the corpus does not tell
        pa.field("absent_label_ids", pa.list_(pa.string())),
    ]
)

# An object of a photo that no mask of the index marks: a rejected row stood for it, or it has a box and no mask.
UNMARKED = pa.schema(
    {
        "item": pa.string(),  # as in rejections.parquet; of a box its file and photo
        "reason": pa.string(),  # mask_missing: it has a box alone
        "corpus": pa.string(),
        "image_id": pa.string(),
        "label_id": pa.string(),  # null: which label it has is not certain
        "label": pa.string(),
        "mask_source": pa.string(),  # sam: its mask in the index marks it, where the recipe takes such
    }
)
