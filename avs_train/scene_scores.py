"""Does the mask follow the sound? The same photos under several sounds, positives and negatives apart.

Of samples in which something sounds that is seen (`single`, `mixture`):

- mJ, the mean IoU as `metrics` has it, and mF, its variant `dataset`.
- IIoU: of each photo that is heard in two ways or more the lowest IoU, and the mean of these over photos. success: the
  share of photos whose lowest IoU is 0.5 or more. Of single sounds, as IS3 (arXiv 2407.13676) has them, and of all
  positives.

Of negatives (`silence`, `noise`, `off_screen`), kind by kind, where the right mask is empty and lower is better:

- FPR: the mean share of a photo's pixels that are marked, as AVSBench-Robust (arXiv 2502.00358) counts it.
- marked: the share of samples in which any pixel is.
- mJ_silent and mF_silent: mean IoU, and mF, with what could sound in the photo and does not: the masks of its single
  samples, joined. AVSBench-Robust's mIoU and F of negatives. Of the photos that have such samples.

Of both, and never an average of the two:

    G-mIoU = 2 p q / (p + q), p = mJ of all positives, q = 1 - mJ_silent
    G-F    = 2 p q / (p + q), p = mF of all positives, q = 1 - mF_silent
    G-FPR  = mean of FPR over the kinds of negatives

G-mIoU is 0 for a model that marks all that could sound, perfectly, whatever it hears, and for one that marks nothing;
G-F is not quite, since mF takes the best threshold, and where every pixel is marked F is not 0. Each is told for every
kind of negatives, and as `all` with the mean of mJ_silent (mF_silent) over the kinds. AVSBench-Robust names the three
and publishes no formula; these fit the size of its figures and are ours.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from avs_train.metrics import FrameScores, mean_f, mean_iou
from shards.records import NEGATIVES

FORMULAS = (
    "Positives: mJ per kind; IIoU is the mean over photos of the lowest IoU of their sounds, success the share of "
    "photos where it is 0.5 or more.",
    "Negatives: FPR is the mean share of pixels marked, lower is better; mJ_silent the IoU with what could sound and "
    "does not.",
    "G-mIoU = 2 p q / (p + q) with p = mJ of all positives, q = 1 - mJ_silent; G-F the same of mF; G-FPR = mean FPR of "
    "the kinds.",
)
SUCCESS = 0.5


def summary(
    kinds: Sequence[str], photos: Sequence[str], videos: Sequence[str], scores: FrameScores
) -> dict[str, Any]:
    """All figures of the table above that a split has samples for; plain numbers for JSON.

    Args:
        kinds: of each frame. photos: its image id. videos: as of `mean_f`.
        scores: of positives against their masks, of negatives against what could sound in the photo.
    """
    of_kind = {kind: [row for row, one in enumerate(kinds) if one == kind] for kind in dict.fromkeys(kinds)}
    positive = [row for row, kind in enumerate(kinds) if kind not in NEGATIVES]
    singles = [row for row, kind in enumerate(kinds) if kind == "single"]

    def measured(rows: list[int]) -> dict[str, float]:
        found = scores.take(rows)
        return {"mJ": mean_iou(found), "mF": mean_f(found, [videos[row] for row in rows])}

    positives = {
        kind: {"samples": len(rows), **measured(rows)}
        for kind, rows in sorted(of_kind.items(), reverse=True)
        if kind not in NEGATIVES
    }
    negatives: dict[str, dict[str, float]] = {}
    for kind in (kind for kind in NEGATIVES if kind in of_kind):
        rows = of_kind[kind]
        marked, could = scores.marked[rows], [row for row in rows if scores.has_object[row]]
        negatives[kind] = {
            "samples": len(rows),
            "FPR": float(marked.mean()),
            "marked": float((marked > 0).mean()),
            **({f"{name}_silent": value for name, value in measured(could).items()} if could else {}),
        }
    told: dict[str, Any] = {"positives": positives, "negatives": negatives}
    told["IIoU"] = {
        name: found
        for name, rows in (("single", singles), ("positives", positive))
        if (found := lowest([photos[row] for row in rows], scores.iou[rows]))
    }
    if positive and negatives:
        told["G"] = _joint(measured(positive), negatives)
    return told


def lowest(photos: Sequence[str], iou: np.ndarray) -> dict[str, float] | None:
    """IIoU of the photos that are heard in two ways or more; None where there is none.

    Args:
        photos: image id of each sample. iou: (n,) float64.
    """
    of_photo: dict[str, list[float]] = defaultdict(list)
    for photo, value in zip(photos, iou.tolist(), strict=True):
        of_photo[photo].append(value)
    lowest = np.array([min(values) for values in of_photo.values() if len(values) > 1])
    if not len(lowest):
        return None
    return {
        "photos": len(lowest),
        "IIoU": float(lowest.mean()),
        "success": float((lowest >= SUCCESS).mean()),
    }


def _joint(
    positives: dict[str, float], negatives: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """G-mIoU and G-F for each kind of negatives and for all, and G-FPR."""
    told: dict[str, dict[str, float]] = {}
    for name, of in (("G-mIoU", "mJ"), ("G-F", "mF")):
        silent = {kind: found[f"{of}_silent"] for kind, found in negatives.items() if f"{of}_silent" in found}
        if silent:
            silent["all"] = float(np.mean(list(silent.values())))
            told[name] = {kind: harmonic(positives[of], 1 - value) for kind, value in silent.items()}
    told["G-FPR"] = {"all": float(np.mean([found["FPR"] for found in negatives.values()]))}
    return told


def harmonic(p: float, q: float) -> float:
    """2 p q / (p + q) of two figures in [0, 1]; 0 where both are."""
    return 2 * p * q / (p + q) if p + q else 0.0
