"""`avs-data import`."""

import click

from pipelines.commands import options
from shards.command_line import Command
from shards.errors import AvsError

_LEAKS = {
    "keep": "kept as released; --leaks drop or move ends it",
    "drop": "dropped there",
    "move": "moved to the later split",
}


@click.command(
    cls=Command, kept="the shards that are complete stay in {out}; the same command goes on from them"
)
@click.argument("kind", type=click.Choice(["avs-synthetic", "avsbench", "is3", "vpo"]))
@click.argument("folder")
@options.OUT
@options.WORKERS
@click.option(
    "--may-drop",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of a split's samples that may be dropped, 0 to 1; where more is, the import is refused.",
)
@click.option(
    "--leaks",
    type=click.Choice(["keep", "drop", "move"]),
    default="keep",
    show_default=True,
    help="Of avsbench, what is done with clips whose video is in several splits: kept as released, which `verify` "
    "tells; dropped, but for those of the split that is measured last; or moved there.",
)
@click.option(
    "--negatives",
    default="",
    metavar="CSV",
    help="Of AVSBench-semantic: the list of clips under silence, noise and off-screen sound that EASE's script wrote.",
)
@click.option(
    "--subset",
    default="",
    metavar="NAME",
    help="Of vpo: VPO-SS, VPO-MS or VPO-MSMI, where FOLDER has several.",
)
@options.JSON
def command(
    kind: str,
    folder: str,
    out: str,
    workers: int,
    may_drop: float,
    leaks: str,
    negatives: str,
    subset: str,
    as_json: bool,
) -> None:
    """Turn the published dataset in FOLDER into shards, so that training and evaluation read one format.

    \b
    avsbench       the folder of S4 (s4_meta_data.csv, s4_data/), of MS3 (ms3_meta_data.csv, ms3_data/), or of
                   AVSBench-semantic (metadata.csv, v1s/, v1m/, v2/), whose samples say the class of each pixel
    vpo            the folder that holds VPO/ and vggsound_bench/, whose scenes are put together as its list says;
                   or its regrouped copy, one CSV file and TYPE/UID/, whose sounds stay as they are
    is3            the release folder (IS3_annotation.json, images/, gt_segmentation/, audio_waw/): the same photo
                   under two sounds, for `avs-train eval` to tell apart
    avs-synthetic  the release folder (annotations.csv, category_for_vggsound_audios.pkl, images/, masks/, audios/)

    --negatives adds the samples of EASE's list. AVSBench-Robust publishes a script and no list, so nothing tells which
    sounds its samples had; the recipe avs_robust makes photos under silence, noise and off-screen sound by its rules.

    AVSBench's PNG frames become JPEGs of quality 98; masks and sound lose nothing. Each frame hears its own second. The
    same command again resumes where it was stopped.

    Of the 64 test clips of MS3, 38 are of videos that train too: --leaks drop leaves them out of training.

    \b
    Examples:
      avs-data import avsbench AVSBench/S4 --out out/avsbench-s4
      avs-data import avsbench AVSBench/MS3 --out out/avsbench-ms3 --leaks drop
    """
    from shards import guard, terminal
    from shards.display import Display

    if kind != "avsbench" and leaks != "keep":
        raise click.UsageError(f"--leaks {leaks} is for avsbench: the photos of {kind} are of no video")
    if negatives and (kind != "avsbench" or leaks != "keep"):
        raise click.UsageError(
            "--negatives is for avsbench, with --leaks keep: its list is of the release's splits"
        )
    if kind != "vpo" and subset:
        raise click.UsageError(f"--subset {subset} is for vpo: {kind} has no subsets")
    with Display(
        f"Turn {folder} into shards in {out}", {"Read the lists": "", "Write shards": "shards"}
    ) as display:
        display.show("Read the lists")
        from pipelines.imports import avs_synthetic, avsbench, dataset, is3, vpo
        from pipelines.imports.leaks import settle

        if kind == "vpo":
            found = vpo.read(folder, subset)
        else:
            found = {"avsbench": avsbench, "is3": is3, "avs-synthetic": avs_synthetic}[kind].read(folder)
        if negatives:
            from pipelines.imports.negatives import plan

            plan(found, negatives)
        leaking = settle(found, leaks) if kind == "avsbench" else []
        counts = dataset.write(
            found, folder, out, workers=workers, may_drop=may_drop,
            progress=lambda done, of: display.show("Write shards", done, of),
        )  # fmt: skip
    if as_json:
        terminal.out_json({"out": out, "name": found.name, **counts, "leaks": leaking})
    dropped = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()) if reason != "kept")
    terminal.say(f"{out}: {found.name}, {counts['kept']} samples; dropped: {dropped or 'none'}")
    for line in leaking:
        (terminal.warn if leaks == "keep" else terminal.say)(f"leak: {line} ({_LEAKS[leaks]})")
    if said := guard.report(out):
        raise AvsError(said)
