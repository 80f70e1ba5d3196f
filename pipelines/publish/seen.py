"""What of a sample is seen and heard, source by source, as far as its targets tell them apart."""

import io

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from shards import format, pictures, run_lengths
from shards.manifest import DatasetError
from shards.reader import Dataset, Sample


def mask(sample: Sample) -> np.ndarray:
    """(height, width) bool.

    Raises:
        DatasetError: no mask, or not of the photo's size.
    """
    return _values(sample, sample.mask_png, "mask.png") > 0


def _values(sample: Sample, content: bytes, name: str) -> np.ndarray:
    """uint8 (height, width)."""
    width, height = pictures.check_mask(content, name)
    if (width, height) != (sample.record["image"]["width"], sample.record["image"]["height"]):
        raise DatasetError(f"{sample.key}: a {name} of {width} x {height} is not of its photo's size")
    try:
        with PngImageFile(io.BytesIO(content)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{sample.key}: a {name} that does not decode ({error})") from error


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
        numbers = _values(sample, sample.classes_png, format.CLASSES)
        return [(name, numbers == dataset.manifest.classes.index(name) + 1) for name in names]
    if len(names) > 1:
        raise DatasetError(
            f"{dataset.url}: sample {sample.key} shows {', '.join(names)} in one binary mask, and nothing tells which "
            "pixel is whose: export a dataset whose recipe has classes or instances in scene.targets"
        )
    return [(name, mask(sample)) for name in names]
