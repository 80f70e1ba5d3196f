"""`avs-data review list`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import MAP, QUEUE, map_path
from shards.command_line import Command

if TYPE_CHECKING:
    from pipelines.review.records import QueuedLink


@click.command(cls=Command)
@QUEUE
@MAP
@click.option(
    "--state",
    type=click.Choice(["waiting", "third", "changed", "accept", "reject", "not-asked", "all"]),
    default="waiting",
    show_default=True,
    help="Only links that wait, wait for a third vote, changed, were decided so, or are not asked.",
)
@click.option("--label", help="Only sounds or visual labels whose name holds this.")
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="At most so many; 0: all."
)
@click.option("--impact", "with_impact", is_flag=True, help="Also what each link would add.")
@options.JSON_LINES
def command(
    queue_path: str,
    map_name: str | None,
    state: str,
    label: str | None,
    limit: int,
    with_impact: bool,
    as_json: bool,
) -> None:
    """List links, in the order they are asked.

    Example: avs-data review list --state accept --label dog --limit 0
    """
    from pipelines.review import describe
    from pipelines.review.queue import Queue
    from shards import terminal
    from shards.terminal import Table

    def is_left_out(item: "QueuedLink") -> bool:
        return not item.asked and item.adds == 0 and item.state in ("open", "third")

    keep: dict[str, Callable[[QueuedLink], bool]] = {
        "waiting": lambda item: item.asked and item.state in ("open", "third"),
        "third": lambda item: item.state == "third",
        "changed": lambda item: item.changed,
        "accept": lambda item: item.state == "accept",
        "reject": lambda item: item.state == "reject",
        "not-asked": lambda item: not item.asked,
        "all": lambda item: True,
    }
    needle = (label or "").lower()
    with Queue(queue_path) as queue:
        found = [
            item
            for item in queue.items()
            if keep[state](item)
            and needle in f"{item.proposal.audio_label}\n{item.proposal.visual_label}".lower()
        ]
        shown = found[:limit] if limit else found
        impacts = describe.impacts(queue, map_path(queue, map_name), shown) if with_impact else {}
    if as_json:
        for item in shown:
            impact = {"impact": impacts[item.id]} if with_impact else {}
            terminal.out_json(describe.row(item) | impact, indent=None)
        return
    table = Table(box=None, header_style="bold")
    for name in (
        "link",
        "sound",
        "visual label",
        "score",
        "matcher",
        "state",
        *(["impact"] if with_impact else []),
    ):
        table.add_column(name, justify="right" if name in ("link", "score") else "left", overflow="fold")
    for item in shown:
        p = item.proposal
        score = "" if p.score is None else f"{p.score:.2f}"
        mark = "changed" if item.changed else "adds nothing" if is_left_out(item) else item.state
        visual = f"{p.visual_label} [{p.source}]"
        table.add_row(
            str(item.id),
            p.audio_label,
            visual,
            score,
            p.decision,
            mark,
            *([impacts[item.id]] if with_impact else []),
        )
    terminal.console().print(table)
    if len(shown) < len(found):
        terminal.say(f"{len(found) - len(shown):,} more: raise --limit")
