"""`avs-train report`."""

from dataclasses import asdict
from pathlib import Path

import click

from avs_train.commands import options
from shards.command_line import NOTHING, Command


@click.command(cls=Command, kept=NOTHING)
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--variant",
    type=click.Choice(["sama", "avsbench", "sama_nonempty", "avsbench_nonempty", "dataset"]),
    default="sama",
    show_default=True,
    help="Which mF of ours.",
)
@click.option("--out", metavar="FILE", help="Write Markdown there instead of printing it.")
@options.JSON
def command(results: tuple[Path, ...], variant: str, out: str | None, as_json: bool) -> None:
    """Put RESULTS of `avs-train eval` (files or run folders; default: runs) beside the paper's tables.

    Example: avs-train report out/runs/tiny --out results.md
    """
    from avs_train.report import markdown, read_evaluated
    from shards import storage, terminal

    found = read_evaluated(results or (Path("runs"),))
    if as_json:
        terminal.out_json([asdict(each) for each in found])
        return
    text = markdown(found, variant)
    if out:
        storage.write_atomic(out, text.encode())
    else:
        terminal.out_file(text)
