"""Arguments and options that several commands have: one spelling, one default, one meaning."""

from collections.abc import Callable
from typing import Any

import click

RECIPE = click.argument("recipe_name", metavar="RECIPE")
DATASET = click.argument("dataset", metavar="DATASET")
CORPORA = click.option(
    "--corpora",
    required=True,
    metavar="DIR",
    help="Folder or URL (s3://, gs://) that holds lvis/, open_images/ and vggsound/; each may be absent.",
)
OUT = click.option("--out", required=True, metavar="DIR", help="Folder or URL to write to; made if missing.")
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 4096),
    default=1,
    show_default=True,
    help="How many processes work at the same time on this machine.",
)
SCHEDULER = click.option(
    "--scheduler",
    default="",
    metavar="ADDRESS",
    help="Work on the Dask cluster of this scheduler, tcp://HOST:8786, with all of its workers.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
HELD_OUT = click.option(
    "--held-out",
    multiple=True,
    metavar="CSV",
    help="CSV of videos that training must not hear: a column video_id, name or id (a column split: all but train), or "
    "YouTube ids alone, one a line; may be repeated.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
JSON_LINES = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
COOKIES = click.option(
    "--cookies",
    multiple=True,
    metavar="FILE",
    help="Cookie file in Netscape's format; may be repeated: each is a session of its own.",
)
MEDIA = click.option(
    "--media",
    multiple=True,
    metavar="CORPUS=PLACE",
    help="Take the corpus's photos, masks or clips from this place: a folder, an archive (.tar, .tar.gz, .zip; * and "
    "{00..19} for several), a path or an address (https://, s3://, gs://, hf://datasets/...), or `web`: YouTube for "
    "clips. May be repeated: places are asked in order. Replaces the recipe's [fetch.media] for that corpus.",
)
ONLY = click.option(
    "--only",
    type=click.Choice(["annotations", "photos", "masks", "clips"]),
    multiple=True,
    help="These kinds alone; may be repeated.",
)


def served(may: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What a command that serves a page takes: host, port, allow_host, no_token.

    Args:
        may: what whoever reaches the page can do.
    """
    options = (
        click.option(
            "--host",
            default="127.0.0.1",
            show_default=True,
            help="Address to listen on; 0.0.0.0 is every network of this machine.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=8710,
            show_default=True,
            help="0 takes a free one.",
        ),
        click.option(
            "--allow-host",
            multiple=True,
            help="A further name under which browsers reach this machine; may be repeated.",
        ),
        click.option(
            "--no-token",
            is_flag=True,
            help="Let everybody in who reaches the address: all users and programs of this machine, and with another "
            f"--host the whole network. They can {may}.",
        ),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add
