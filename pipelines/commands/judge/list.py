"""`avs-data judge list`."""

from dataclasses import asdict

import click

from pipelines.commands import options
from pipelines.commands.judge.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@click.option(
    "--state",
    type=click.Choice(["waiting", "third", "bad", "right", "cannot_tell", "all"]),
    default="all",
    show_default=True,
    help="Only samples that wait, wait for a third judge, or were judged so.",
)
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="At most so many; 0: all."
)
@options.JSON_LINES
def command(queue_path: str, state: str, limit: int, as_json: bool) -> None:
    """List samples of the queue in the order they are asked, with every answer. Gold is not listed.

    Example: avs-data judge list --state bad --limit 0
    """
    from pipelines.judge.queue import Queue
    from pipelines.judge.verdicts import grade, words
    from shards import terminal
    from shards.terminal import Table

    with Queue(queue_path) as queue, queue.reading():
        items = [item for item in queue.items() if not item.gold]
        answers = {
            item.id: [one for one in queue.judgements(item.id) if not one.undone and one.verdict != "undo"]
            for item in items
        }
    found = [
        item
        for item in items
        if state == "all"
        or state == {"open": "waiting", "third": "third"}.get(item.state)
        or (item.verdict and state == grade(item.verdict))
    ]
    shown = found[:limit] if limit else found
    if as_json:
        for item in shown:
            told = {name: value for name, value in asdict(item).items() if name != "gold"}
            given = [
                {name: getattr(one, name) for name in ("judge", "verdict", "note", "judged_at")}
                for one in answers[item.id]
            ]
            terminal.out_json({**told, "order": item.order, "judgements": given}, indent=None)
        return
    table = Table(box=None, header_style="bold")
    for name in ("key", "sample", "stratum", "order", "answers"):
        table.add_column(name, overflow="fold")
    for item in shown:
        said = "; ".join(f"{one.judge}: {words(one.verdict)}" for one in answers[item.id])
        waits = {"open": "waits", "third": "waits for a third judge"}.get(item.state, "")
        answered = ", ".join(filter(None, (said, waits)))
        table.add_row(item.key, item.sample_id, item.stratum, item.doubts or item.order, answered)
    terminal.console().print(table)
    if len(shown) < len(found):
        terminal.say(f"{len(found) - len(shown):,} more: raise --limit")
