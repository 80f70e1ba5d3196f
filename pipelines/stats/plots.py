"""Plots as PNG bytes, in a light and a dark dress. Colours: Okabe and Ito (2008), told apart by colour-blind eyes."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.stats.summary import AREA_EDGES, DURATION_EDGES, Summary
from shards import format

SPLIT_COLOURS = dict(zip(format.SPLITS, ("#0072b2", "#e69f00", "#009e73"), strict=True))
KEPT, REJECTED = "#0072b2", "#d55e00"
_WIDTH_IN, _DPI = 6.2, 160
_LONGEST = 32  # letters of a name


@dataclass(frozen=True)
class Theme:
    background: str
    text: str
    grid: str


LIGHT = Theme("#ffffff", "#24292f", "#d8dee4")
DARK = Theme("#161b22", "#e6edf3", "#3a424c")


def short(text: str) -> str:
    """One line of at most _LONGEST letters."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def samples_per_class(summary: Summary, theme: Theme) -> bytes:
    """A bar a category, divided by split, as tall as there are categories."""

    def draw(axes: Axes) -> None:
        names = list(summary.per_category)
        counts = np.array([summary.per_category[name] for name in names]).reshape(-1, len(format.SPLITS))
        left = np.zeros(len(names))
        for k, split in enumerate(format.SPLITS):
            axes.barh(
                np.arange(len(names)),
                counts[:, k],
                left=left,
                color=SPLIT_COLOURS[split],
                label=split,
                height=0.8,
            )
            left += counts[:, k]
        axes.set_yticks(np.arange(len(names)), [short(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel("samples")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", visible=False)
        for place, total in enumerate(left):
            axes.annotate(f" {total:,.0f}", (total, place), va="center", fontsize=8)
        axes.margins(x=0.1)
        _legend(axes)

    return _png(draw, 0.8 + 0.24 * len(summary.per_category), theme)


def mask_area(summary: Summary, theme: Theme) -> bytes:
    """Share of a split's samples by mask area, on a logarithmic axis."""

    def draw(axes: Axes) -> None:
        _steps(axes, summary.area, AREA_EDGES)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.set_xlabel("mask area, of the photo")

    return _png(draw, 3.4, theme)


def duration(summary: Summary, theme: Theme) -> bytes:
    """Share of a split's samples by clip length."""

    def draw(axes: Axes) -> None:
        _steps(axes, summary.duration, DURATION_EDGES)
        axes.set_xlabel("clip length, seconds")

    return _png(draw, 3.4, theme)


def funnel(summary: Summary, theme: Theme) -> bytes:
    """What each stage kept and rejected."""

    def draw(axes: Axes) -> None:
        kept = np.array([step.kept for step in summary.funnel])
        rejected = np.array([step.entered - step.kept for step in summary.funnel])
        places = np.arange(len(kept))
        axes.barh(places, kept, color=KEPT, label="kept")
        axes.barh(
            places,
            rejected,
            left=kept,
            color=REJECTED,
            label="rejected",
            hatch="///",
            edgecolor=theme.background,
        )
        axes.set_yticks(places, [short(f"{step.stage}, {step.unit}") for step in summary.funnel])
        axes.set_ylim(len(kept) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.margins(x=0.12)
        for place, step in enumerate(summary.funnel):
            lost = step.entered - step.kept
            text = f" {step.kept:,}" + (f"  (-{lost:,})" if lost else "")
            axes.annotate(text, (step.entered, place), va="center", fontsize=8)
        _legend(axes)

    return _png(draw, 0.8 + 0.3 * len(summary.funnel), theme)


def _steps(axes: Axes, counts: dict[str, np.ndarray], edges: np.ndarray) -> None:
    for split, style in zip(counts, ("-", "--", ":"), strict=True):
        if total := counts[split].sum():
            label = f"{split} ({total:,})"
            axes.stairs(
                100 * counts[split] / total,
                edges,
                label=label,
                color=SPLIT_COLOURS[split],
                linestyle=style,
                linewidth=2,
            )
    axes.set_ylabel("% of the split's samples")
    axes.set_ylim(bottom=0)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the plot, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles), frameon=False
        )


def _png(draw: Callable[[Axes], None], height_in: float, theme: Theme) -> bytes:
    style: dict[Any, Any] = {
        "text.parse_math": False,  # a `$` in a name is a `$`
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
        "font.size": 10,
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": theme.background,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": theme.grid,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "figure.facecolor": theme.background,
    }
    with matplotlib.rc_context(style):
        figure = Figure((_WIDTH_IN, max(height_in, 1.6)), dpi=_DPI, layout="constrained")
        draw(figure.add_subplot())
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
