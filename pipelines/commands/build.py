"""`avs-data build`."""

import click
from rich.console import Console
from rich.table import Table

from label_maps import LabelMapError
from pipelines.build import finish, run
from pipelines.commands.progress import BuildProgress
from pipelines.corpora.source import CorpusError
from pipelines.recipes import recipe
from shards import format, guard, manifest, new_dataset

CONTEXT = {"ignore_unknown_options": True}


@click.command(context_settings=CONTEXT)
@click.argument("recipe_file", metavar="RECIPE")
@click.option(
    "--corpora",
    required=True,
    help="Folder or URL with lvis/, open_images/ and vggsound/; each may be absent.",
)
@click.option(
    "--out", required=True, help="Folder or URL of the dataset. A stopped build goes on where it was."
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes of the local runner."
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=0,
    help="Keep that many samples, the same ones each time. 0: all.",
)
@click.option("--dry-run", is_flag=True, help="Print the counts per stage and category; write nothing.")
@click.option(
    "--held-out", multiple=True, help="CSV of videos that training must not hear, besides the recipe's lists."
)
@click.option(
    "--base",
    default="",
    help="Dataset that this one follows: keeps its number of shards, so few of them change.",
)
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[BEAM OPTIONS]...")
def command(
    recipe_file: str,
    corpora: str,
    out: str,
    workers: int,
    limit: int,
    dry_run: bool,
    held_out: tuple[str, ...],
    base: str,
    beam_options: tuple[str, ...],
) -> None:
    """Build a dataset as RECIPE says (a TOML file, or the name of one that ships, such as avs_synthetic).

    \b
    CORPORA/lvis/         lvis_v1_train.json, lvis_v1_val.json, images/
    CORPORA/open_images/  official CSV files, masks/, images/
    CORPORA/vggsound/     vggsound.csv, clips/<id>_<start>.<any audio or video>, or <id>_<start>_<end>

    The same input gives the same bytes, with any number of workers and after any interruption. Every dropped item is in
    OUT/rejections.parquet with its reason.

    Other options go to Apache Beam. On an engine, CORPORA and OUT must mean the same on every worker (s3://, or a
    folder that all of them mount), and each worker needs avs-data installed:

    \b
    python -m apache_beam.runners.worker.worker_pool_main --service_port 50000     (where the workers are)
    avs-data build RECIPE --corpora s3://... --out s3://... \\
        --runner PortableRunner --job_endpoint HOST:PORT \\
        --environment_type EXTERNAL --environment_config localhost:50000
    """
    options = run.BuildOptions(corpora, out, workers, limit, dry_run, held_out, base, beam_options)
    console = Console(stderr=True)
    try:
        loaded = recipe.load(recipe_file)
        with BuildProgress(console, out) as progress:
            counts = run.build(loaded, options, progress.indexing)
        if counts is not None:
            funnel, per_category = finish.funnel(counts), {"planned": finish.samples_per_category(counts)}
        else:
            found = manifest.load(out)
            funnel = found.funnel
            per_category = {split: found.counts[split]["categories"] for split in format.SPLITS}
            for entry in found.held_out:
                if entry["videos"] is None:
                    console.print(
                        f"No {entry['list']} below {corpora}: its videos are not held out of training."
                    )
    except (recipe.RecipeError, LabelMapError, CorpusError, run.BuildError, manifest.DatasetError) as error:
        raise click.ClickException(str(error)) from error
    except run.BuildStopped as error:
        if "OSError" not in str(error) and "StorageError" not in str(error) and not error.outside:
            console.print_exception()
        remedy = "What is written stays good: remove the cause and run the same command."
        raise click.ClickException(f"the build stopped: {error}\n{remedy}") from error
    _print(funnel, per_category)
    if not any(per_category.values()):
        raise new_dataset.NoSamples(new_dataset.emptied(funnel))
    if counts is None and (said := guard.report(out)):
        raise click.ClickException(said)


def _print(funnel: tuple[manifest.Step, ...], per_category: dict[str, dict[str, int]]) -> None:
    console = Console()
    samples = Table(title="Samples")
    samples.add_column("category")
    for split in per_category:
        samples.add_column(split, justify="right")
    for category in sorted({category for counts in per_category.values() for category in counts}):
        samples.add_row(category, *(str(counts.get(category, 0)) for counts in per_category.values()))
    samples.add_section()
    samples.add_row("all", *(str(sum(counts.values())) for counts in per_category.values()))
    console.print(samples)
    steps = Table(title="Funnel")
    for name, justify in (
        ("stage", "left"),
        ("of", "left"),
        ("in", "right"),
        ("kept", "right"),
        ("rejected", "left"),
    ):
        steps.add_column(name, justify=justify)  # type: ignore[arg-type]
    for step in funnel:
        reasons = ", ".join(f"{reason} {number}" for reason, number in step["rejected"].items())
        steps.add_row(step["stage"], step["unit"], str(step["in"]), str(step["kept"]), reasons)
    console.print(steps)
