"""`avs-data import`."""

import click

from pipelines.commands import options
from shards.command_line import Command
from shards.errors import AvsError


@click.command(
    cls=Command, kept="the shards that are complete stay in {out}; the same command goes on from them"
)
@click.argument("kind", type=click.Choice(["avs-synthetic", "avsbench"]))
@click.argument("folder")
@options.OUT
@options.WORKERS
@click.option(
    "--may-drop",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of a split's samples that may be unusable; more is an error.",
)
@options.JSON
def command(kind: str, folder: str, out: str, workers: int, may_drop: float, as_json: bool) -> None:
    """Turn the published dataset in FOLDER into shards, so that training and evaluation read one format.

    \b
    avsbench       the folder of S4 (s4_meta_data.csv, s4_data/) or of MS3 (ms3_meta_data.csv, ms3_data/)
    avs-synthetic  the release folder (annotations.csv, category_for_vggsound_audios.pkl, images/, masks/, audios/)

    AVSBench's PNG frames become JPEGs of quality 98; masks and sound lose nothing. Each frame hears its own second. The
    same command again resumes where it was stopped.

    Example: avs-data import avsbench AVSBench/S4 --out out/avsbench-s4
    """
    from shards import guard, terminal
    from shards.display import Display

    with Display(
        f"Turn {folder} into shards in {out}", {"Read the lists": "", "Write shards": "shards"}
    ) as display:
        display.show("Read the lists")
        from pipelines.imports import avs_synthetic, avsbench, dataset

        found = (avsbench if kind == "avsbench" else avs_synthetic).read(folder)
        counts = dataset.write(
            found, folder, out, workers=workers, may_drop=may_drop,
            progress=lambda done, of: display.show("Write shards", done, of),
        )  # fmt: skip
    if as_json:
        terminal.out_json({"out": out, "name": found.name, **counts})
    dropped = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()) if reason != "kept")
    terminal.say(f"{out}: {found.name}, {counts['kept']} samples; dropped: {dropped or 'none'}")
    if said := guard.report(out):
        raise AvsError(said)
