"""Measured results, and the paper's tables to put them beside."""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from avs_train.metrics import VARIANTS
from avs_train.scene_scores import FORMULAS
from avs_train.semantic_metrics import VARIANTS as SEMANTIC
from shards import storage
from shards.errors import AvsError
from shards.records import NEGATIVES
from shards.text import read_json

PUBLISHED = Path(__file__).parent / "published.toml"
UNTRAINED = "untrained"


class ReportError(AvsError):
    """A result file that cannot be read."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluation as `avs-train eval` writes it.

    config: name of the configuration. data: dataset, split and counts. resolution: side of the compared masks.
    summary: `Evaluation.summary`, or `SemanticEvaluation.summary`. robustness: `Robustness.summary`, or None. weights:
    what was measured when it is no run: UNTRAINED, or the name of a checkpoint file.
    """

    config: str
    step: int
    data: dict[str, Any]
    resolution: int
    summary: dict[str, Any]
    robustness: dict[str, Any] | None = None
    weights: str = ""

    @property
    def is_semantic(self) -> bool:
        return "semantic" in self.summary


@dataclass(frozen=True)
class Published:
    """A row of a table of the paper; mJ in percent, mF in [0, 1].

    config: the configuration whose result stands beside it. untrained: its result before training. categories: mJ by
    column of Table 2, instead of one figure.
    """

    table: str
    method: str
    data: str
    config: str = ""
    untrained: bool = False
    mJ: float | None = None
    mF: float | None = None
    categories: dict[str, float] = field(default_factory=dict)

    def is_of(self, result: Evaluated) -> bool:
        """Whether our result belongs beside this row."""
        return (
            bool(self.config)
            and not result.is_semantic
            and (result.config, result.data["dataset"], result.data["split"])
            == (self.config, self.data, "test")
            and (result.weights == UNTRAINED) == self.untrained
        )


@dataclass(frozen=True)
class Newer:
    """A newer method by its own statement; (mJ in percent, mF in [0, 1]) or mJ alone, nothing where it states none."""

    method: str
    protocol: str
    avsbench_s4: tuple[float, ...] = ()
    avsbench_ms3: tuple[float, ...] = ()
    avss: tuple[float, ...] = ()


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
                result = Evaluated(**read_json(str(file)))
                told = result.summary["semantic" if result.is_semantic else "mF"]
                missing = [
                    each for each in (SEMANTIC if result.is_semantic else VARIANTS) if each not in told
                ]
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise ReportError(f"{file} is no result of `avs-train eval`: {error}") from error
            if missing:
                raise ReportError(
                    f"{file} lacks mF {', '.join(missing)}: it is old, run `avs-train eval` again"
                )
            found.append(result)
    if not found:
        raise ReportError("no eval-*.json found: run `avs-train eval` first, or name its --out files")
    return found


@cache
def _literature() -> dict[str, Any]:
    return tomllib.loads(PUBLISHED.read_text())


def published() -> list[Published]:
    """Every row of the paper's tables, in order."""
    return [Published(table["title"], **row) for table in _literature()["table"] for row in table["rows"]]


def newer() -> list[Newer]:
    return [Newer(**row) for row in _literature()["newer"]]


def s4_columns() -> dict[str, str]:
    """S4's category names to Table 2's columns; "" for a category that the table leaves out."""
    return dict(_literature()["s4_columns"])


def markdown(results: Sequence[Evaluated], variant: str = "sama") -> str:
    """The paper's tables with our figures beside them, then everything else that was measured.

    Every mF of ours is of one variant. A published mF says its own paper's way of computing it.
    """
    if variant not in VARIANTS:
        raise ReportError(f"variant {variant!r}: choose {', '.join(VARIANTS)}")
    lines = ["# Results beside the paper", "", f"mJ in percent; our mF is the variant `{variant}`.", ""]
    lines += ["A dash: not measured here, or not stated there. Per-frame protocol throughout."]
    used: set[int] = set()
    for title, group in groupby(published(), key=lambda row: row.table):
        beside = []
        for row in group:
            matched = [index for index, result in enumerate(results) if row.is_of(result)]
            used.update(matched)
            beside.append((row, [results[index] for index in matched]))
        lines += ["", f"## {title}", ""]
        lines += _categories(beside) if beside[0][0].categories else _scores(beside, variant)
    lines += _newer()
    if semantic := [result for result in results if result.is_semantic]:
        lines += ["", "## By class", ""]
        lines += ["mJ in percent / F, three ways to compute both: never compare one column with another.", ""]
        lines += _header("configuration", "data", "split", *SEMANTIC, "samples", "at")
        lines += [_by_class(result) for result in semantic]
    others = [each for index, each in enumerate(results) if index not in used and not each.is_semantic]
    if others:
        lines += ["", "## Other measurements", ""]
        lines += _header("configuration", "data", "split", "our mJ", "our mF", "samples", "at")
        lines += [
            f"| {each.config} | {each.data['dataset']} | {each.data['split']} |{_ours(each, variant)}"
            for each in others
        ]
    if scenes := [result for result in results if "scenes" in result.summary]:
        lines += ["", "## The same photos under several sounds", "", *FORMULAS, ""]
        lines += _header("configuration", "data", *_SCENE_COLUMNS, "at")
        lines += [_scenes(result) for result in scenes]
    robust = [result for result in results if result.robustness]
    if robust:
        lines += ["", "## Does the mask follow the sound?", ""]
        lines += ["IoU: with the mask under true audio; lower means it follows.", ""]
        lines += _header(
            "configuration", "data", "mJ true", "mJ swapped", "mJ silent", "IoU swapped", "IoU silent"
        )
        lines += [_robust(result) for result in robust]
    return "\n".join(lines) + "\n"


def table_2(categories: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """mJ in percent by column of Table 2, from the per-category part of an `Evaluation.summary` on S4.

    A column of several categories is the mean over their samples.
    """
    sums: dict[str, list[float]] = {}
    for name, column in s4_columns().items():
        if column and name in categories:
            samples = categories[name]["samples"]
            total = sums.setdefault(column, [0.0, 0])
            total[0] += 100 * categories[name]["mJ"] * samples
            total[1] += samples
    return {column: total / samples for column, (total, samples) in sums.items()}


def _scores(beside: Iterable[tuple[Published, list[Evaluated]]], variant: str) -> list[str]:
    lines = _header("method", "data", "paper mJ", "paper mF", "our mJ", "our mF", "samples", "at")
    for row, found in beside:
        paper = f"| {row.method} | {row.data} | {_number(row.mJ, 2)} | {_number(row.mF, 3)} |"
        lines += [paper + _ours(result, variant) for result in found] or [paper + " – | – | – | – |"]
    return lines


def _categories(beside: Iterable[tuple[Published, list[Evaluated]]]) -> list[str]:
    columns = list(dict.fromkeys(column for column in s4_columns().values() if column))
    lines = _header("trained with", "by", *columns)
    for row, found in beside:
        figures = [("paper", row.categories)]
        figures += [(f"ours, {_at(result)}", table_2(result.summary["categories"])) for result in found] or [
            ("ours", {})
        ]
        lines += [
            f"| {row.method} | {by} | "
            + " | ".join(_number(values.get(column), 2) for column in columns)
            + " |"
            for by, values in figures
        ]
    return lines


def _newer() -> list[str]:
    lines = ["", "## Newer methods, each by its own protocol", ""]
    lines += [
        "mJ / mF as their authors state them: not to be set against the figures above digit by digit.",
        "",
    ]
    lines += _header("method", "S4", "MS3", "AVSS", "stated in")
    for row in newer():
        cells = [_pair(values) for values in (row.avsbench_s4, row.avsbench_ms3, row.avss)]
        lines.append(f"| {row.method} | {' | '.join(cells)} | {row.protocol} |")
    return lines


def _header(*titles: str) -> list[str]:
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def _ours(result: Evaluated, variant: str) -> str:
    summary = result.summary
    scores = f" {100 * summary['mJ']:.2f} | {_number(summary['mF'][variant], 3)}"
    return f"{scores} | {summary['samples']} | {_at(result)} |"


def _by_class(result: Evaluated) -> str:
    cells = [result.config, result.data["dataset"], result.data["split"]]
    for variant in SEMANTIC:
        found = result.summary["semantic"][variant]
        cells.append(_pair((100 * found["mJ"], found["F"])))
    return f"| {' | '.join(cells)} | {result.summary['samples']} | {_at(result)} |"


def _at(result: Evaluated) -> str:
    return f"{result.resolution} px, {result.weights or f'step {result.step}'}"


def _robust(result: Evaluated) -> str:
    assert result.robustness is not None
    scores, same = result.robustness["mJ"], result.robustness["agreement"]
    cells = [f"{100 * scores[name]:.2f}" for name in ("true", "swapped", "silent")]
    cells += [f"{100 * same[name]:.2f}" for name in ("swapped", "silent")]
    return (
        f"| {result.config} | {result.data['dataset']} {result.data['split']} | " + " | ".join(cells) + " |"
    )


_SCENE_COLUMNS = (
    *("mJ single", "mJ mixture", "IIoU", "success", "FPR silence", "FPR noise", "FPR off-screen"),
    *("G-mIoU", "G-F", "G-FPR"),
)


def _scenes(result: Evaluated) -> str:
    """A row of percentages; the name of the run's kinds of samples beside the configuration where it chose some."""
    scenes = result.summary["scenes"]
    positives, negatives, joint = scenes["positives"], scenes["negatives"], scenes.get("G", {})
    lowest = scenes["IIoU"].get("positives", {})
    values = [
        *(positives.get(kind, {}).get("mJ") for kind in ("single", "mixture")),
        *(lowest.get(name) for name in ("IIoU", "success")),
        *(negatives.get(kind, {}).get("FPR") for kind in NEGATIVES),
        *(joint.get(name, {}).get("all") for name in ("G-mIoU", "G-F", "G-FPR")),
    ]
    cells = [_number(None if value is None else 100 * value, 2) for value in values]
    data = f"{result.data['dataset']} {result.data['split']}"
    return f"| {result.config} | {data} | {' | '.join(cells)} | {_at(result)} |"


def _pair(values: Sequence[float]) -> str:
    return " / ".join(_number(value, digits) for value, digits in zip(values, (2, 3), strict=False)) or "–"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
