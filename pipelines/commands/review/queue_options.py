"""Options that several commands on a queue have, and the label map that they mean."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.review.queue import Queue

LINK = click.IntRange(1, 2**63 - 1)  # a number that SQLite can hold
QUEUE = click.option(
    "--queue", "queue_path", default="review.sqlite", show_default=True, help="The queue's SQLite file."
)
MAP = click.option(
    "--map",
    "map_name",
    metavar="NAME|CSV",
    help="A label map that ships, or the path of its CSV.  [default: the one given at import, else avs]",
)


def _login_name() -> str:
    try:
        return os.environ.get("AVS_REVIEWER") or getpass.getuser()
    except (KeyError, OSError) as error:  # a user without a name, as in a container
        raise click.UsageError("who reviews? Give --reviewer NAME, or set AVS_REVIEWER") from error


REVIEWER = click.option(
    "--reviewer",
    default=_login_name,
    show_default="$AVS_REVIEWER or the login name",
    help="In whose name.",
)


def map_path(queue: "Queue", map_name: str | None) -> Path:
    """The CSV of the label map that a call names, else of the one that the queue was filled for.

    Raises:
        ReviewError: the queue's map is not there any more.
    """
    from label_maps.label_map import path_of
    from pipelines.review.errors import ReviewError

    remembered = queue.meta("map", "avs")
    if map_name is None and remembered.endswith(".csv") and not Path(remembered).is_file():
        raise ReviewError(
            f"the label map of this queue, {remembered}, is not there: name it with --map, at import once"
        )
    return path_of(map_name or remembered)


def remember_map(queue: "Queue", path: Path, name: str | None = None) -> None:
    """From now on, the queue's label map is one that ships (`name`) or a file."""
    shipped = name is not None and not name.endswith(".csv")
    queue.set_meta(map=name if shipped else path.absolute())
