"""`avs-data review`: the queue of proposed links, on the command line and in a browser."""

import click

from shards.command_line import CommandGroup


@click.group(
    cls=CommandGroup,
    package="pipelines.commands.review",
    about={
        "accept": "Accept links: what is seen is what makes the sound.",
        "agreement": "Cohen's kappa of every two reviewers, and how each did on gold.",
        "apply": "Write decided links into the label map.",
        "defer": "Defer links: they go to the end of your queue.",
        "export": "Write the whole log of decisions as CSV.",
        "import": "Put proposals into the queue, or bring it up to date with them.",
        "list": "List links, in the order they are asked.",
        "reject": "Reject links: they are not the same thing.",
        "serve": "Serve the review page.",
        "show": "Show a link: what it means, what it would add, every decision about it.",
        "undo": "Take a decision back.",
    },
)
def command() -> None:
    """Review proposed links between sounds and visual labels, and write those accepted into the label map.

    \b
    avs-data match --corpora DIR --out proposals.csv
    avs-data review import proposals.csv --corpora DIR --index INDEX
    avs-data review serve
    avs-data review apply --dry-run
    avs-data review apply --to maps
    """
