"""The page: HTML with everything inside it. Whatever comes from the dataset is escaped; nothing is fetched or run."""

import base64
import io
from collections.abc import Iterable
from html import escape
from importlib import resources
from itertools import groupby
from typing import Any

from pipelines.judge.quality import Quality, interval, sentences
from pipelines.stats.contact import Card
from pipelines.stats.summary import Scenes, Step, Summary
from shards import format

# Nothing from elsewhere, no scripts: the browser holds the page to it even if a label should get through.
_PAIRS = 20  # of categories, in the table of what is heard together
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def render(
    summary: Summary,
    manifest_sha256: str,
    plots: dict[str, tuple[bytes, bytes]],
    shown: list[Card],
    quality: Quality | None = None,
) -> str:
    """The whole page. `plots`: name -> (light PNG, dark PNG) for `samples_per_class`, `mask_area`, `duration`."""
    name = escape(summary.manifest.name)
    style = resources.files("pipelines.stats").joinpath("page.css").read_text(encoding="utf-8")
    sections = [
        _totals(summary),
        _section(
            "Samples per class", _split_line(summary), _plot(plots, "samples_per_class") + _counts(summary)
        ),
        _section("Masks and clips", _quantile_line(summary), _pair(plots)),
        *(
            [_section("Scenes", _scenes_line(summary.scenes), _scenes(summary.scenes))]
            if summary.scenes
            else []
        ),
        _section("How good it is", escape(" ".join(sentences(quality))), _judged(quality)),
        _section("Funnel", "What each stage took in, kept and rejected, and why.", _funnel(summary.funnel)),
        _section(
            "Contact sheet",
            "Picked by hash, spread over the classes. The lit part is the mask. "
            f"<code>avs-data browse DATASET</code> shows all {summary.samples:,} samples, and what was dropped.",
            _cards(shown),
        ),
        _section("Built from", "", _facts(summary, manifest_sha256)),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: statistics</title>
<style>
{style}</style>
</head>
<body>
<h1>{name}</h1>
<p>{_origin(summary, manifest_sha256)}</p>
{"".join(sections)}</body>
</html>
"""


def _section(title: str, line: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<p>{line}</p>\n{content}</section>\n"


def _origin(summary: Summary, manifest_sha256: str) -> str:
    manifest = summary.manifest
    parts = [
        f"label map {manifest.label_map.get('name')} {manifest.label_map.get('version')}",
        f"recipe {str(manifest.recipe.get('sha256'))[:12]}",
        f"manifest {manifest_sha256[:12]}",
        f"seed {manifest.seed}",
    ]
    return escape(", ".join(parts))


def _judged(quality: Quality | None) -> str:
    """Shares of right samples per stratum."""
    if quality is None or quality.overall is None:
        return ""
    head = [("stratum", False), ("samples", True), ("judged", True), ("right (95 % interval)", True)]
    rows = [
        [
            (escape(name), False),
            *((text, True) for text in (f"{counts.population:,}", f"{counts.told:,}", interval(told))),
        ]
        for name, (counts, told) in quality.strata.items()
        if told
    ]
    return f'<div class="panel">{_table(head, rows)}</div>\n'


def _totals(summary: Summary) -> str:
    totals = [
        (summary.samples, "samples"),
        (len(summary.per_category), "classes"),
        (summary.images, "photos"),
        (summary.clips, "clips"),
        (summary.videos, "videos"),
        (len(summary.manifest.shards), "shards"),
    ]
    size = sum(shard.bytes for shard in summary.manifest.shards + summary.manifest.pool_shards)
    boxes = [(f"{number:,}", what) for number, what in totals] + [(_bytes(size), "in shards and pool")]
    return (
        '<div class="totals">'
        + "".join(f"<div><b>{number}</b>{what}</div>" for number, what in boxes)
        + "</div>\n"
    )


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _split_line(summary: Summary) -> str:
    return ", ".join(f"{split} {summary.of_split(split):,}" for split in format.SPLITS)


def _quantile_line(summary: Summary) -> str:
    if not summary.area_quantiles:
        return "No sample."
    area, length = ([f"{value:.3g}" for value in values] for values in
                    ([100 * value for value in summary.area_quantiles], summary.duration_quantiles))  # fmt: skip
    return (
        f"Half of the masks cover more than {area[1]} % of their photo (9 in 10: {area[0]} to {area[2]} %); "
        f"half of the clips last more than {length[1]} s (9 in 10: {length[0]} to {length[2]} s)."
    )


def _scenes_line(scenes: Scenes) -> str:
    heard = ", ".join(
        f"{number:,} hear {clips} clip{'s' * (clips != 1)}" for clips, number in scenes.clips.items()
    )
    told = f"Of {scenes.looked_at:,} records: {scenes.scaled:,} sums were brought down to fit 16 bits"
    for name, values, unit in (("gains", scenes.gain_db, " dB"), ("pans", scenes.pan, "")):
        if values:
            low, middle, high = (f"{value:.3g}" for value in values)
            told += f"; half of the {name} are above {middle}{unit} (9 in 10: {low} to {high}{unit})"
    return f"{heard}. {told}."


def _scenes(scenes: Scenes) -> str:
    head = [("kind", False), *((split, True) for split in format.SPLITS), ("all", True)]
    kinds = [
        [(escape(kind), False), *((f"{count:,}", True) for count in (*counts, sum(counts)))]
        for kind, counts in scenes.kinds.items()
    ]
    pairs = [
        [(escape(f"{one}, {other}"), False), (f"{number:,}", True)]
        for (one, other), number in list(scenes.together.items())[:_PAIRS]
    ]
    together = (
        _table([("seen and heard together, most often", False), ("samples", True)], pairs) if pairs else ""
    )
    return f'<div class="panel">{_table(head, kinds)}{together}</div>\n'


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _plot(plots: dict[str, tuple[bytes, bytes]], name: str) -> str:
    light, dark = (_data_uri("image/png", content) for content in plots[name])
    title = name.replace("_", " ")
    return (
        f'<div class="panel"><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="Plot: {title}"></picture></div>\n'
    )


def _pair(plots: dict[str, tuple[bytes, bytes]]) -> str:
    return f'<div class="pair">{_plot(plots, "mask_area")}{_plot(plots, "duration")}</div>\n'


def _table(head: Iterable[tuple[str, bool]], rows: Iterable[Iterable[tuple[str, bool]]]) -> str:
    """Cells are (HTML, is a number)."""

    def cells(tag: str, row: Iterable[tuple[str, bool]]) -> str:
        return "".join(
            f'<{tag} class="n">{text}</{tag}>' if number else f"<{tag}>{text}</{tag}>" for text, number in row
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    return f"<table>\n<tr>{cells('th', head)}</tr>\n{body}</table>\n"


def _counts(summary: Summary) -> str:
    head = [("class", False), *((split, True) for split in format.SPLITS), ("all", True)]
    rows = [
        [(escape(category), False), *((f"{count:,}", True) for count in (*counts, sum(counts)))]
        for category, counts in summary.per_category.items()
    ]
    return f'<details><summary>The same as a table</summary>\n<div class="panel">{_table(head, rows)}</div></details>\n'


def _funnel(steps: tuple[Step, ...]) -> str:
    tables = []
    for unit, group in groupby(steps, key=lambda step: step.unit):
        chosen = list(group)
        widest = max(step.entered for step in chosen) or 1
        head = [(escape(unit), False), ("in", True), ("kept", True), ("", False), ("rejected", False)]
        tables.append(_table(head, [_funnel_row(step, widest) for step in chosen]))
    return "".join(f'<div class="panel funnel">{table}</div>\n' for table in tables)


def _funnel_row(step: Step, widest: int) -> list[tuple[str, bool]]:
    lost = step.entered - step.kept
    bar = (
        f'<span class="bar"><i style="width:{100 * step.kept / widest:.2f}%"></i>'
        f'<b style="width:{100 * lost / widest:.2f}%"></b></span>'
    )
    reasons = "".join(
        f'<span class="reason">{escape(reason)} {number:,}</span>'
        for reason, number in sorted(step.rejected.items(), key=lambda item: (-item[1], item[0]))
    )
    return [
        (escape(step.stage), False),
        (f"{step.entered:,}", True),
        (f"{step.kept:,}", True),
        (bar, False),
        (reasons, False),
    ]


def _cards(shown: list[Card]) -> str:
    return (
        f'<div class="cards">{"".join(_card(card) for card in shown)}</div>\n'
        if shown
        else "<p>No sample.</p>\n"
    )


def _card(card: Card) -> str:
    file = io.BytesIO()
    card.picture.save(file, "JPEG", quality=85)
    image = card.record.get("image", {})
    clips = [source["audio"] for source in card.record.get("sources", [card.record]) if source.get("audio")]
    label = ", ".join(clip.get("label", {}).get("name", "") for clip in clips) or card.record.get("kind", "")
    credit = ", ".join(str(value) for value in (image.get("author"), image.get("licence")) if value)
    lines = [f"hears: {label}", f"{card.split}, {card.key}", f"photo: {credit or 'no licence told'}"]
    text = "".join(f"<small>{escape(line)}</small>" for line in lines)
    category = escape(card.category)
    return (
        f'<figure><img src="{_data_uri("image/jpeg", file.getvalue())}" alt="{category}" loading="lazy">'
        f"<figcaption><b>{category}</b>{text}</figcaption>"
        f'<audio controls preload="none" src="{_data_uri("audio/flac", card.flac)}"></audio></figure>\n'
    )


def _facts(summary: Summary, manifest_sha256: str) -> str:
    manifest = summary.manifest
    facts: list[tuple[str, Any]] = [
        ("manifest sha256", manifest_sha256),
        ("seed", manifest.seed),
        ("label map", f"{manifest.label_map.get('name')} {manifest.label_map.get('version')}"),
        ("label map sha256", manifest.label_map.get("sha256")),
        ("recipe sha256", manifest.recipe.get("sha256")),
        ("code", ", ".join(f"{name} {version}" for name, version in sorted(manifest.code.items()))),
    ]
    rows = "".join(f"<dt>{what}</dt><dd>{escape(str(value))}</dd>\n" for what, value in facts)
    recipe = escape(str(manifest.recipe.get("text", "")))
    text = f"<details><summary>The recipe</summary><pre>{recipe}</pre></details>"
    return f'<div class="panel"><dl>\n{rows}</dl>\n{text}</div>\n'
