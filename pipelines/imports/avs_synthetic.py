"""AVS-Synthetic (arXiv 2305.11019) in its release layout.

    annotations.csv          inst_id, img_id, …, cls_name, cls_id, dataset, split, audio_name
    images/IMG_ID.jpg
    masks/INST_ID.png
    audios/AUDIO_NAME.wav

The pairing of annotations.csv is kept; the pool of a category is every clip that one of its samples hears.
"""

from pipelines.imports.planned import Found, PlannedSample
from pipelines.imports.tables import rows
from shards.format import SPLITS

_COLUMNS = ("inst_id", "img_id", "cls_name", "split", "audio_name")


def read(folder: str) -> Found:
    """Plan the samples of a release folder.

    Raises:
        LayoutError: no annotations.csv, or a column is missing.
    """
    found = Found("avs_synthetic")
    for where, row in rows(found, folder, ["annotations.csv"], _COLUMNS):
        instance, image, category, split, audio = (row[name] for name in _COLUMNS)
        audio = audio.removesuffix(".wav")
        if split not in SPLITS or not all((instance, image, category, audio)):
            found.bad_row(where, f"{row}: every field is needed, and the split one of {', '.join(SPLITS)}")
            continue
        found.samples.append(
            PlannedSample(
                image_id=f"avs_synthetic:{image}", category=category.replace(" ", "_").lower(), split=split,
                image_path=f"images/{image.removesuffix('.jpg')}.jpg",
                mask_id=f"avs_synthetic:{instance}", mask_path=f"masks/{instance.removesuffix('.png')}.png",
                clip_id=f"avs_synthetic:{audio}", video_id=audio[:11], audio_path=f"audios/{audio}.wav", window=-1,
                component=f"avs_synthetic:{image}",
            )
        )  # fmt: skip
    return found
