"""The same photos under several sounds, and what a model marks under each, drawn as a table of pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avs_train.data.loader import Loader
from avs_train.data.samples import Split
from avs_train.evaluate import Predict, to_device
from avs_train.losses import likeliest, upsample
from avs_train.pictures import Cell, grid
from shards.hashing import hash64

PHOTOS = 6
_COLUMNS = ("single", "single", "mixture", "off_screen", "noise", "silence")


def chosen(split: Split, photos: int = PHOTOS) -> list[list[int | None]]:
    """Rows of samples, one list a photo: two single sounds, a mixture, off-screen sound, noise, silence; None where the
    photo has none. Those photos come first that are heard in most ways, in the order of a hash."""
    kinds, images, categories = (
        split.table.column(name).to_pylist() for name in ("kind", "image_id", "category")
    )
    of_photo: dict[str, list[int]] = {}
    for row in sorted(range(len(split)), key=lambda row: categories[row]):
        of_photo.setdefault(images[row], []).append(row)
    found: dict[str, list[int | None]] = {}
    for image_id, rows in of_photo.items():
        left = {kind: [row for row in rows if kinds[row] == kind] for kind in set(_COLUMNS)}
        found[image_id] = [left[kind].pop(0) if left[kind] else None for kind in _COLUMNS]
    ranked = sorted(found, key=lambda image_id: (found[image_id].count(None), hash64("pictures", image_id)))
    return [found[image_id] for image_id in ranked[:photos]]


@torch.inference_mode()
def draw(
    predict: Predict,
    open_loader: Callable[[Split], Loader],
    split: Split,
    device: torch.device,
    *,
    batch_size: int,
    title: str,
    path: Path,
) -> None:
    """Draw `chosen` samples of a split to a PNG, one photo a row."""
    table = chosen(split)
    rows = sorted(row for line in table for row in line if row is not None)
    loader = open_loader(replace(split, table=split.table.take(rows).combine_chunks()))
    cells: dict[int, Cell] = {}
    for batch in loader.evaluation(batch_size):
        image, audio, truth = to_device(batch, loader, device)
        small = predict(image, audio, truth)
        shown = likeliest(small, loader.size) if loader.classes else upsample(small, loader.size)
        for place, index in enumerate(batch.rows):
            row = loader.split.row(index)
            sounds = row.category.replace("+", " + ") or row.kind.replace("_", "-")
            cells[rows[index]] = Cell(sounds, loader.photo(index), (shown[place] > 0).cpu().numpy(),
                                      _fitted(truth[place] > 0, loader.size))  # fmt: skip
    grid([[cells.get(row) if row is not None else None for row in line] for line in table], title, path)


def _fitted(mask: torch.Tensor, size: int) -> np.ndarray:
    """(M, M) bool to (size, size), nearest."""
    resized = torch.nn.functional.interpolate(mask[None, None].float(), (size, size), mode="nearest-exact")
    return (resized[0, 0] > 0).cpu().numpy()
