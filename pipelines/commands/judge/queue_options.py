"""Options that several commands of `judge` have."""

from collections.abc import Callable
from typing import Any

import click

QUEUE = click.option(
    "--queue", "queue_path", default="judge.sqlite", show_default=True, help="The queue's SQLite file."
)
_DRAW = (
    click.option(
        "--sample",
        type=click.IntRange(1),
        default=400,
        show_default=True,
        help="Samples drawn by hash, spread over the categories (of scenes: kinds and categories).",
    ),
    click.option(
        "--per-category",
        is_flag=True,
        help="As many of each category; otherwise in proportion to what each has, at least one.",
    ),
    click.option(
        "--judges", type=click.IntRange(1, 2), default=1, show_default=True,
        help="Answers that a sample needs; of two that differ, a third judge decides.",
    ),
    click.option(
        "--gold", type=click.IntRange(0), default=20, show_default=True,
        help="Samples under a sound that is surely wrong, mixed in unseen to check the judges.",
    ),
    click.option(
        "--active", type=click.IntRange(0), default=400, show_default=True,
        help="Doubtful samples offered besides, most doubtful first; no estimate counts them.",
    ),
    click.option("--seed", default=0, show_default=True, help="Of the draw."),
    click.option(
        "--corpora", metavar="DIR", default="",
        help="Folder or URL of the corpora: near-duplicate clips that `fetch` found there raise doubts.",
    ),
)  # fmt: skip


def draw_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is drawn, as `asked` takes it."""
    for option in reversed(_DRAW):
        command = option(command)
    return command


def asked(given: dict[str, Any]) -> Any:
    """`pipelines.judge.intake.Asked` of those options."""
    from pipelines.judge.intake import Asked

    return Asked(equally=given.pop("per_category"), **given)
