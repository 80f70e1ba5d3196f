"""`avs-train report`."""

from pathlib import Path

import click


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--variant",
    type=click.Choice(["sama", "avsbench", "sama_nonempty", "avsbench_nonempty", "dataset"]),
    default="sama",
    show_default=True,
    help="Which mF of ours.",
)
@click.option("--out", metavar="FILE", help="Write Markdown there instead of printing it.")
def command(results: tuple[Path, ...], variant: str, out: str | None) -> None:
    """Put RESULTS of `avs-train eval` (files or run folders; default: runs) beside the paper's tables.

    Example: avs-train report out/runs/tiny --out results.md
    """
    from avs_train.report import markdown, read_evaluated
    from shards import storage

    text = markdown(read_evaluated(results or (Path("runs"),)), variant)
    if out:
        storage.write_atomic(out, text.encode())
    else:
        click.echo(text, nl=False)
