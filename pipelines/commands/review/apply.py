"""`avs-data review apply`."""

from pathlib import Path

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import MAP, QUEUE, map_path, remember_map
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@MAP
@options.DRY_RUN
@options.JSON
@click.option(
    "--skip-clashes", is_flag=True, help="Write the links that fit and leave those that clash in the queue."
)
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write a copy of the map, with the decisions, to this folder; the queue uses the copy from then on.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Change the map's files inside the installed package, or in the checkout that is installed.",
)
def command(
    queue_path: str,
    map_name: str | None,
    dry_run: bool,
    as_json: bool,
    skip_clashes: bool,
    folder: Path | None,
    in_place: bool,
) -> None:
    """Write decided links into the label map, and rejected ones into rejected/<map>.csv beside it.

    Prints the diff. Rows carry reviewer, date and evidence; decisions taken back take their rows along;
    applying twice changes nothing. Links that would put one label into two categories stop it, and are named.
    What no map can hold stops it, too: it writes all or nothing. A map that ships is changed with --to or
    --in-place only.

    Example: avs-data review apply --to maps
    """
    import label_maps
    from pipelines.review import application, labels
    from pipelines.review.errors import ReviewError
    from pipelines.review.queue import Queue
    from shards import terminal

    with Queue(queue_path) as queue:
        path = map_path(queue, map_name)
        planned = application.plan(queue, path, labels.synsets(queue))
    for clash in planned.clashes:
        terminal.warn(f"clash: {clash}")
    if not as_json:
        terminal.out_file(planned.diff())
    if planned.clashes and not skip_clashes and not dry_run:
        raise ReviewError(
            f"{len(planned.clashes)} clashes: nothing was written. --skip-clashes writes the rest"
        )
    added = len(set(planned.map_after) - set(planned.map_before))
    removed = len(set(planned.map_before) - set(planned.map_after))
    report = {"added": added, "removed": removed, "clashes": planned.clashes, "diff": planned.diff()}
    if dry_run:
        if as_json:
            terminal.out_json({"written": None, **report})
        return
    if folder is not None and (folder / path.name).exists():
        raise ReviewError(f"{folder / path.name} is there already: --map {folder / path.name} applies to it")
    package = Path(label_maps.__file__).resolve().parent
    if folder is None and not in_place and path.resolve().is_relative_to(package):
        raise ReviewError(
            f"{path} is inside the installed package: nothing was written. --to DIR writes a copy of the map to a "
            "folder of yours, which this queue then uses; --in-place changes the package itself"
        )
    written = application.apply(planned, folder)
    if folder is not None:
        with Queue(queue_path) as queue:
            remember_map(queue, written)
    if as_json:
        terminal.out_json({"written": str(written), **report})
    changed = added or removed
    note = f"; raise the version in {written.with_suffix('.toml').name} before you build" if changed else ""
    terminal.say(f"{written}: {added} rows added, {removed} taken out{note}")
