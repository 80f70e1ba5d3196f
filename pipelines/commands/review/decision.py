"""What `accept`, `reject` and `defer` have in common: only accepts name a category."""

from dataclasses import asdict
from typing import Any

import click

from label_maps.links import RELATIONS
from pipelines.commands import options
from pipelines.commands.review.queue_options import LINK, QUEUE, REVIEWER
from shards.command_line import Command


def command_of(verdict: str, about: str, example: str) -> click.Command:
    def decide(
        links: tuple[int, ...], queue_path: str, reviewer: str, note: str, as_json: bool, **accept: str | None
    ) -> None:
        from pipelines.review.queue import Queue
        from pipelines.review.records import Answer
        from shards import terminal

        answer = Answer(verdict, accept.get("category") or "", accept.get("relation") or "same", note)
        with Queue(queue_path) as queue:
            for link in links:
                decision = queue.decide(link, reviewer, answer)
                if as_json:
                    terminal.out_json(asdict(decision), indent=None)
                else:
                    terminal.out(f"link {link}: {verdict} by {reviewer}, decision {decision.id}")

    made: Any = click.argument("links", type=LINK, nargs=-1, required=True)(decide)
    made = click.option("--note", default="", help="Why; goes into the map as evidence.")(
        REVIEWER(QUEUE(options.JSON_LINES(made)))
    )
    if verdict == "accept":
        made = click.option(
            "--category", help="Where it goes; by default the map or the label's name tells."
        )(made)
        made = click.option(
            "--relation", type=click.Choice(RELATIONS), help="Of the sound to the category (same by default)."
        )(made)
    return click.command(
        verdict, cls=Command, help=f"{about}\n\nExample: avs-data review {verdict} {example}"
    )(made)
