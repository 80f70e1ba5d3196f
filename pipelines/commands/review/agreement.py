"""`avs-data review agreement`."""

from dataclasses import asdict

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@options.JSON
def command(queue_path: str, as_json: bool) -> None:
    """Cohen's kappa of every two reviewers, and how each did on gold.

    Example: avs-data review agreement
    """
    from pipelines.review import agreement
    from pipelines.review.queue import Queue
    from shards import terminal

    with Queue(queue_path) as queue:
        pairs, scores = agreement.pairs(queue), agreement.gold_scores(queue)
    if as_json:
        terminal.out_json(
            {"pairs": [asdict(each) for each in pairs], "gold": [asdict(each) for each in scores]}
        )
        return
    if not pairs and not scores:
        terminal.out("nothing to compare yet: no two reviewers judged the same link, and nobody judged gold")
    for pair in pairs:
        kappa = "undefined" if pair.kappa is None else f"{pair.kappa:.3f}"
        terminal.out(
            f"{pair.first} and {pair.second}: agree on {pair.agreed} of {pair.links} links, kappa {kappa}"
        )
    for score in scores:
        terminal.out(
            f"{score.reviewer}: {score.right} of {score.links} gold links right, {score.false_accepts} false accepts"
        )
