"""What of a sample is seen and heard, source by source, as far as its targets tell them apart."""

import io

import numpy as np
from PIL import Image

from shards import run_lengths
from shards.manifest import DatasetError
from shards.reader import Dataset, Sample


def mask(sample: Sample) -> np.ndarray:
    """(height, width) bool."""
    with Image.open(io.BytesIO(sample.mask_png)) as image:
        return np.asarray(image) > 0


def seen(dataset: Dataset, sample: Sample) -> list[tuple[str, np.ndarray]]:
    """Category and (height, width) bool of each source of a scene that is seen, as the targets tell them apart.

    Raises:
        DatasetError: several categories in a dataset without the targets `classes` and `instances`.
    """
    record = sample.record
    found = [source for source in record["sources"] if source["mask_ids"]]
    size = record["image"]["height"], record["image"]["width"]
    if all("instances" in source for source in found):
        return [
            (
                source["category"],
                np.logical_or.reduce(
                    [run_lengths.pixels(one["counts"], *size) for one in source["instances"]]
                ),
            )
            for source in found
        ]
    names = sorted({name for source in found for name in source["category"].split("+") if name})
    if sample.classes_png:
        with Image.open(io.BytesIO(sample.classes_png)) as image:
            numbers = np.asarray(image)
        return [(name, numbers == dataset.manifest.classes.index(name) + 1) for name in names]
    if len(names) > 1:
        raise DatasetError(
            f"{dataset.url}: sample {sample.key} shows {', '.join(names)} in one binary mask, and nothing tells which "
            "pixel is whose: export a dataset whose recipe has classes or instances in scene.targets"
        )
    return [(name, mask(sample)) for name in names]
