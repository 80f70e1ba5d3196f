"""`avs-data build`."""

from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from shards.command_line import Command
from shards.errors import AvsError

if TYPE_CHECKING:
    from shards import manifest

_SMALL = (
    1_000  # samples; below it, starting processes takes longer than they save (docs/cluster.md measured it)
)


@click.command(
    cls=Command,
    kept="the shards that are complete stay in {out}; the same command goes on from them",
    context_settings={"ignore_unknown_options": True},
)
@options.RECIPE
@options.CORPORA
@options.OUT
@options.WORKERS
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=0,
    help="Keep that many samples, the same ones each time. 0: all.",
)
@options.DRY_RUN
@options.HELD_OUT
@click.option(
    "--base",
    default="",
    metavar="DATASET",
    help="Dataset that this one follows: keeps its number of shards, so few of them change, and its takedowns.",
)
@options.SCHEDULER
@click.option(
    "--profile", is_flag=True, help="Tell at the end what each stage took, of all workers together."
)
@options.JSON
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[BEAM OPTIONS]...")
def command(
    recipe_name: str,
    corpora: str,
    out: str,
    workers: int,
    limit: int,
    dry_run: bool,
    held_out: tuple[str, ...],
    base: str,
    scheduler: str,
    profile: bool,
    as_json: bool,
    beam_options: tuple[str, ...],
) -> None:
    """Build a dataset as RECIPE says (a TOML file, or the name of one that ships, such as avs_synthetic).

    \b
    CORPORA/lvis/         lvis_v1_train.json, lvis_v1_val.json, images/
    CORPORA/open_images/  official CSV files, masks/, images/
    CORPORA/vggsound/     vggsound.csv, clips/<id>_<start>.<any audio or video>, or <id>_<start>_<end>

    The same input gives the same bytes, with any number of workers and after any interruption: a stopped build resumes
    with the same command. Every dropped item is in OUT/rejections.parquet with its reason. --held-out comes on top of
    the recipe's own lists.

    Example: avs-data build avs_synthetic --corpora corpora --out out/avs --workers 8

    On a cluster, CORPORA and OUT must mean the same on every machine (s3://, or a folder that all of them mount), and
    each worker needs avs-data[build,dask] in the same versions; docs/cluster.md has Slurm, Kubernetes and ssh:

    \b
    avs-data build RECIPE --corpora s3://... --out s3://... --scheduler tcp://HOST:8786

    Other options go to Apache Beam, for a runner of its own (--runner PortableRunner --job_endpoint HOST:PORT ...).
    """
    from pipelines.build import local_processes
    from pipelines.commands.progress import BuildProgress
    from pipelines.recipes import recipe

    loaded = recipe.load(recipe_name)
    title = f"Build {loaded.name} from {corpora} " + ("and write nothing" if dry_run else f"into {out}")
    with BuildProgress(title, out, dry_run=dry_run) as progress:
        if workers > 1 and not (scheduler or beam_options):
            local_processes.prepare()
        from pipelines.build import finish, run, runner  # Apache Beam takes seconds
        from shards import format, guard, manifest, new_dataset, takedowns, terminal
        from shards.rejections import Reason

        asked = run.BuildOptions(
            corpora, out, workers, limit, dry_run, held_out, base, scheduler, beam_options
        )
        try:
            counts = run.build(
                loaded, asked, progress.indexing, progress.building, progress.say, progress.display.say
            )
        except runner.UnknownOption as error:
            raise click.UsageError(str(error)) from error
    if counts is not None:
        funnel, per_category = finish.funnel(counts), {"planned": finish.samples_per_category(counts)}
        totals = {"planned": finish.samples(counts)}
    else:
        found = manifest.load(out)
        funnel = found.funnel
        per_category = {split: found.counts[split]["categories"] for split in format.SPLITS}
        totals = {split: found.counts[split]["samples"] for split in format.SPLITS}
        for entry in found.held_out:
            if entry["videos"] is None:
                terminal.warn(f"No {entry['list']} below {corpora}: its videos are not held out of training.")
    if loaded.select.exclude and counts is None:
        from pipelines.build import exclude
        from shards import storage, tables

        excluded = exclude.read(loaded)
        if left := exclude.unmet(excluded, tables.read(storage.join(out, format.REJECTIONS))):
            terminal.warn(
                f"{len(left)} of {len(excluded.samples) + len(excluded.clips)} ids in select.exclude met nothing, as "
                f"{left[0]}: they are of another dataset, or something else dropped them before"
            )
    if base and (taken := takedowns.load(base)):
        rows = sum(step["rejected"].get(Reason.TAKEN_DOWN, 0) for step in funnel)
        terminal.say(
            f"{len(taken)} photo(s) and video(s) that were taken down of {base} stay out: {rows} mask(s) and clip(s) "
            "of them were left out"
        )
    if as_json:
        terminal.out_json(
            {"funnel": funnel, "samples": per_category}
            | ({"processor_and_wall_s": progress.spent} if profile else {})
        )
    else:
        _print(funnel, per_category, totals)
        if profile:
            _print_spent(progress.spent)
    samples = sum(totals.values())
    if not samples:
        raise new_dataset.NoSamples(new_dataset.emptied(funnel))
    if counts is None and (said := guard.report(out)):
        raise AvsError(said)
    if workers > 1 and samples < _SMALL:
        terminal.say(
            f"{samples} samples: below about {_SMALL:,} one worker is faster than {workers}, whose processes take "
            "longer to start than they save."
        )


def _print(
    funnel: "tuple[manifest.Step, ...]", per_category: dict[str, dict[str, int]], totals: dict[str, int]
) -> None:
    from shards import terminal
    from shards.terminal import Table

    samples = Table(title="Samples")
    samples.add_column("category")
    for split in per_category:
        samples.add_column(split, justify="right")
    for category in sorted({category for counts in per_category.values() for category in counts}):
        samples.add_row(category, *(str(counts.get(category, 0)) for counts in per_category.values()))
    samples.add_section()
    samples.add_row("all", *(str(number) for number in totals.values()))
    steps = Table(title="Funnel")
    for name in ("stage", "of", "in", "kept", "rejected"):
        steps.add_column(name, justify="right" if name in ("in", "kept") else "left")
    for step in funnel:
        reasons = ", ".join(f"{reason} {number}" for reason, number in step["rejected"].items())
        steps.add_row(step["stage"], step["unit"], str(step["in"]), str(step["kept"]), reasons)
    console = terminal.console()
    console.print(samples)
    console.print(steps)


def _print_spent(spent: dict[str, tuple[float, float]]) -> None:
    """The stages, and what no stage took: the start, the annotation files, waiting of the processes."""
    import resource

    from shards import terminal
    from shards.terminal import Table

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    beside = sum(each.ru_utime + each.ru_stime for each in used) - sum(taken for taken, _ in spent.values())
    table = Table(title="Seconds")
    for name in ("stage", "processor", "wall of its tasks"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, (processor, wall) in spent.items():
        if wall >= 0.05:
            table.add_row(stage, f"{processor:.1f}", f"{wall:.1f}")
    table.add_section()
    table.add_row("start, annotations, and beside", f"{max(0.0, beside):.1f}", "")
    terminal.console().print(table)
