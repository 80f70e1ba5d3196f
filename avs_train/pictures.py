"""Pictures of what a model does: predictions beside the truth, and the curves of a run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TRUTH, PREDICTION = (60, 230, 100), (255, 190, 30)


def overlay(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = PREDICTION) -> np.ndarray:
    """Darken everything but the mask and draw its outline.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is. mask: (H, W) bool.
    """
    shown = np.where(mask[..., None], image, (0.3 * image).astype(np.uint8))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.drawContours(shown, outlines, -1, colour, max(1, round(max(image.shape) / 200)))


def by_class(image: np.ndarray, numbers: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The same for (H, W) uint8 numbers of classes, each outlined in a colour of its own, with its name."""
    shown = np.where(numbers[..., None] > 0, image, (0.3 * image).astype(np.uint8))
    scale = max(image.shape) / 1000
    for number in np.unique(numbers[numbers > 0]).tolist():
        pixels = (numbers == number).astype(np.uint8)
        hue = np.array([[[number * 67 % 180, 200, 255]]], np.uint8)  # neighbours in the list look different
        colour = [int(part) for part in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0]]
        outlines, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        shown = cv2.drawContours(shown, outlines, -1, colour, max(1, round(5 * scale)))
        x, y, _, _ = cv2.boundingRect(max(outlines, key=cv2.contourArea))
        name, size, width = names[number - 1], max(0.4, scale), 1 + round(scale)
        (_, tall), below = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, size, width)
        foot = (
            y - below if y > tall + below else y + tall + below
        )  # above the object, or inside it at the top
        shown = cv2.putText(shown, name, (x, foot), cv2.FONT_HERSHEY_SIMPLEX, size, colour, width)
    return shown


def predictions(samples: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]], path: Path) -> np.ndarray:
    """Draw samples, one a row: photo, truth, prediction.

    Args:
        samples: (image (H, W, 3) uint8, truth (H, W) bool, prediction (H, W) bool, title) each.
        path: a PNG to write.
    Returns:
        The picture, (H, W, 3) uint8 RGB.
    """
    figure = Figure(figsize=(7, 2.5 * len(samples)))
    axes = figure.subplots(len(samples), 3, squeeze=False)
    for row, (image, truth, predicted, title) in zip(axes, samples, strict=True):
        views = (image, overlay(image, truth, TRUTH), overlay(image, predicted))
        for axis, view, name in zip(row, views, (title, "truth", "prediction"), strict=True):
            axis.imshow(view)
            axis.set_title(name, fontsize=9)
            axis.axis("off")
    return _written(figure, path)


@dataclass(frozen=True)
class Cell:
    """A photo under one sound: (H, W, 3) uint8, and what is marked and what should be, (H, W) bool."""

    title: str
    image: np.ndarray
    marked: np.ndarray
    truth: np.ndarray


def grid(rows: Sequence[Sequence[Cell | None]], title: str, path: Path) -> np.ndarray:
    """Draw cells as a table: what is marked stays bright, what should be has an outline.

    Args:
        path: a PNG to write.
    Returns:
        The picture, (H, W, 3) uint8 RGB.
    """
    figure = Figure(figsize=(1.75 * len(rows[0]), 0.5 + 1.95 * len(rows)))
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for line, cells in zip(axes, rows, strict=True):
        for axis, cell in zip(line, cells, strict=True):
            axis.axis("off")
            if cell is None:
                continue
            shown = overlay(cell.image, cell.marked)
            outlines, _ = cv2.findContours(
                cell.truth.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            axis.imshow(cv2.drawContours(shown, outlines, -1, TRUTH, max(1, max(shown.shape) // 150)))
            axis.set_title(cell.title, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return _written(figure, path)


def curves(metrics: Path, path: Path) -> None:
    """Draw loss and validation mJ over the steps of a run, from its metrics.jsonl."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    figure = Figure(figsize=(10, 3.8))
    left, right = figure.subplots(1, 2)
    for axis, key, colour in ((left, "train/loss", "tab:blue"), (right, "val/mJ", "tab:red")):
        points = [(line["step"], line[key]) for line in lines if key in line]
        if points:
            axis.plot(*zip(*points, strict=True), marker="o" if len(points) < 40 else None, color=colour)
        axis.set_xlabel("step")
        axis.set_title(key)
        axis.grid(alpha=0.3)
    right.set_ylim(0, 1)
    _written(figure, path)


def _written(figure: Figure, path: Path) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    figure.tight_layout()
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return picture
