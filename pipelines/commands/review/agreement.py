"""`avs-data review agreement`."""

import click

from pipelines.commands.review.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
def command(queue_path: str) -> None:
    """Cohen's kappa of every two reviewers, and how each did on gold.

    Example: avs-data review agreement
    """
    from pipelines.review import agreement
    from pipelines.review.queue import Queue

    with Queue(queue_path) as queue:
        pairs, scores = agreement.pairs(queue), agreement.gold_scores(queue)
    if not pairs and not scores:
        click.echo("nothing to compare yet: no two reviewers judged the same link, and nobody judged gold")
    for pair in pairs:
        kappa = "undefined" if pair.kappa is None else f"{pair.kappa:.3f}"
        click.echo(
            f"{pair.first} and {pair.second}: agree on {pair.agreed} of {pair.links} links, kappa {kappa}"
        )
    for score in scores:
        click.echo(
            f"{score.reviewer}: {score.right} of {score.links} gold links right, {score.false_accepts} false accepts"
        )
