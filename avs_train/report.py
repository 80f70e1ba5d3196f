"""Measured results, and the paper's tables to put them beside."""

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avs_train.metrics import VARIANTS
from shards import storage
from shards.errors import AvsError
from shards.text import read_json

PUBLISHED = Path(__file__).parent / "published.toml"


class ReportError(AvsError):
    """A result file that cannot be read."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluation as `avs-train eval` writes it.

    config: name of the configuration. data: dataset, split and counts. resolution: side of the compared masks.
    summary: `Evaluation.summary`. robustness: `Robustness.summary`, or None.
    """

    config: str
    step: int
    data: dict[str, Any]
    resolution: int
    summary: dict[str, Any]
    robustness: dict[str, Any] | None = None


@dataclass(frozen=True)
class Published:
    """A row of a table in the literature; mJ in percent, mF in [0, 1], None where no source we could read states it."""

    table: str
    method: str
    data: str
    config: str = ""
    mJ: float | None = None
    mF: float | None = None


def write_evaluated(result: Evaluated, path: Path) -> None:
    storage.write_atomic(str(path), (json.dumps(asdict(result), indent=1, sort_keys=True) + "\n").encode())


def read_evaluated(paths: Iterable[Path]) -> list[Evaluated]:
    """Result files, and those in folders and the folders below them.

    Raises:
        ReportError: a file that is no result, or nothing found.
    """
    found = []
    for path in paths:
        for file in sorted(path.rglob("eval-*.json")) if path.is_dir() else [path]:
            try:
                found.append(Evaluated(**read_json(str(file))))
            except (OSError, ValueError, TypeError) as error:
                raise ReportError(f"{file} is no result of `avs-train eval`: {error}") from error
    if not found:
        raise ReportError("no eval-*.json found: run `avs-train eval` first, or name its --out files")
    return found


def published() -> list[Published]:
    return [Published(**row) for row in tomllib.loads(PUBLISHED.read_text())["row"]]


def markdown(results: Sequence[Evaluated], variant: str = "sama") -> str:
    """The paper's tables with our figures beside them, then everything else that was measured.

    Every mF of ours is of one variant. A published mF says its own paper's way of computing it.
    """
    if variant not in VARIANTS:
        raise ReportError(f"variant {variant!r}: choose {', '.join(VARIANTS)}")
    rows = published()
    lines = ["# Results beside the paper", "", f"mJ in percent; our mF is the variant `{variant}`.", ""]
    lines += [
        "A dash: not measured here. `not stated`: a figure that no source we could read gives.",
        "Per-frame protocol throughout.",
    ]
    used: set[int] = set()
    for table in dict.fromkeys(row.table for row in rows):
        lines += [
            "",
            f"## {table}",
            "",
            "| method | data | paper mJ | paper mF | our mJ | our mF | samples | at |",
        ]
        lines.append("|---|---|---|---|---|---|---|---|")
        for row in (row for row in rows if row.table == table):
            matches = [
                index
                for index, result in enumerate(results)
                if row.config and result.config == row.config and result.data["dataset"] == row.data
                and result.data["split"] == "test"
            ]  # fmt: skip
            used.update(matches)
            paper = f"| {row.method} | {row.data} | {_stated(row.mJ, 2)} | {_stated(row.mF, 3)} |"
            ours = [_ours(results[index], variant) for index in matches] or [" – | – | – | – |"]
            lines += [paper + cells for cells in ours]
    others = [result for index, result in enumerate(results) if index not in used]
    if others:
        lines += [
            "",
            "## Other measurements",
            "",
            "| configuration | data | split | our mJ | our mF | samples | at |",
        ]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [
            f"| {each.config} | {each.data['dataset']} | {each.data['split']} |{_ours(each, variant)}"
            for each in others
        ]
    robust = [result for result in results if result.robustness]
    if robust:
        lines += [
            "",
            "## Does the mask follow the sound?",
            "",
            "IoU: with the mask under true audio; lower means it follows.",
        ]
        lines += [
            "",
            "| configuration | data | mJ true | mJ swapped | mJ silent | IoU swapped | IoU silent |",
        ]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [_robust(result) for result in robust]
    return "\n".join(lines) + "\n"


def _ours(result: Evaluated, variant: str) -> str:
    summary = result.summary
    scores = f" {100 * summary['mJ']:.2f} | {_number(summary['mF'][variant], 3)}"
    return f"{scores} | {summary['samples']} | {result.resolution} px |"


def _robust(result: Evaluated) -> str:
    assert result.robustness is not None
    scores, same = result.robustness["mJ"], result.robustness["agreement"]
    cells = [f"{100 * scores[name]:.2f}" for name in ("true", "swapped", "silent")]
    cells += [f"{100 * same[name]:.2f}" for name in ("swapped", "silent")]
    return (
        f"| {result.config} | {result.data['dataset']} {result.data['split']} | " + " | ".join(cells) + " |"
    )


def _stated(value: float | None, digits: int) -> str:
    return "not stated" if value is None else f"{value:.{digits}f}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
