"""`avs-data plan`."""

import json
import platform
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from label_maps import LabelMapError
from pipelines.build.match import label_map_of
from pipelines.corpora.source import CorpusError
from pipelines.planning import measure, model, rates, workload
from pipelines.recipes import recipe
from shards import storage


@click.command()
@click.argument("recipe_file", metavar="RECIPE")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Workers of one core each."
)
@click.option(
    "--corpora", metavar="DIR", help="Count these corpora. Without: the published full-size corpora."
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    help="Plan for so many samples: the corpora's mixture, made larger or smaller.",
)
@click.option(
    "--measure",
    "measure_to",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Measure this machine on --corpora, write FILE, and plan with it.",
)
@click.option(
    "--rates",
    "rates_file",
    metavar="FILE",
    default=str(rates.SHIPPED_RATES),
    show_default="shipped",
    help="Rates that --measure wrote.",
)
@click.option(
    "--prices",
    "prices_file",
    metavar="FILE",
    default=str(rates.ASSUMED_PRICES),
    show_default="assumed",
    help="TOML: currency, core_hour, gb_month, gb_egress.",
)
@click.option(
    "--worker-mbit",
    type=click.FloatRange(0, min_open=True),
    default=1_000.0,
    show_default=True,
    help="Network of one worker, Mbit/s.",
)
@click.option(
    "--storage-mbit",
    type=click.FloatRange(0, min_open=True),
    default=100_000.0,
    show_default=True,
    help="Of the storage, all workers together.",
)
@click.option(
    "--latency-ms",
    type=click.FloatRange(0),
    help="Of one request to the storage. [default: 20; 0 for local --corpora]",
)
@click.option(
    "--requests",
    type=click.FloatRange(0, min_open=True),
    default=5_000.0,
    show_default=True,
    help="A second that the storage answers.",
)
@click.option(
    "--straggler",
    type=click.FloatRange(1),
    default=2.0,
    show_default=True,
    help="The slowest task takes so many times the mean.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    recipe_file: str,
    workers: int,
    corpora: str | None,
    samples: int | None,
    measure_to: str | None,
    rates_file: str,
    prices_file: str,
    worker_mbit: float,
    storage_mbit: float,
    latency_ms: float | None,
    requests: float,
    straggler: float,
    as_json: bool,
) -> None:
    """Say what a build of RECIPE will take - hours, bytes, money by step - and which step limits it.

    \b
    avs-data plan avs_synthetic --workers 16                     the published corpora, shipped rates
    avs-data plan avs_synthetic --corpora DIR                    your corpora, counted
    avs-data plan avs_synthetic --corpora DIR --measure my.toml  and this machine, measured (a minute)
    avs-data plan avs_synthetic --rates my.toml --samples 10000000 --workers 200

    The table's last column says why a step takes as long as it does:

    \b
    one process   a serial part: more workers change nothing
    tasks         fewer tasks than workers: row groups, buckets or shards
    side input    every worker first loads the pool of clips
    network       workers wait for bytes and answers: more workers, a nearer storage
    storage       the storage's own limit of bytes or requests: more workers change nothing
    processor     more workers, faster ones

    Rates are processor seconds of the real stage functions, and waiting is added for every byte and request; builds of
    5,000 samples on one machine took 0.8 to 1.2 times their plan. Prices are assumptions until you give yours. What
    downloading takes says `avs-data fetch RECIPE --plan`.
    """
    console = Console(stderr=True)
    if measure_to and not corpora:
        raise click.UsageError("--measure needs --corpora: photos and clips to measure on")
    try:
        loaded = recipe.load(recipe_file)
        label_map = label_map_of(loaded.labels, corpora or "")
        known, prices = rates.load_rates(rates_file), rates.load_prices(prices_file)
        if corpora and measure_to:
            known = replace(
                known,
                machine=f"{platform.machine()}, {platform.processor() or platform.system()}",
                date=date.today().isoformat(),
                command=f"avs-data plan {recipe_file} --corpora {Path(corpora).name} --measure",
            )
            with console.status("Measuring") as status:
                known = measure.measure(
                    corpora, loaded, label_map, known, lambda what: status.update(f"Measuring: {what}")
                )
            Path(measure_to).write_text(rates.dump(known))
        if corpora:
            with console.status("Counting") as status:
                work = workload.counted(
                    corpora,
                    label_map,
                    lambda read: status.update(f"Counting {read.source.path}: {read.rows:,} rows"),
                    loaded.select.per_class_cap,
                )
        else:
            work = workload.published(label_map, loaded.select.per_class_cap)
        if not (found := work.samples(known.kept)):
            raise click.ClickException(
                f"nothing to plan: no label of {recipe_file}'s categories is in {corpora or 'the published corpora'}"
            )
        if samples:
            work = work.scaled(samples / found)
    except (recipe.RecipeError, rates.RatesError, measure.MeasureError, LabelMapError, CorpusError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    local = bool(corpora) and storage.is_local(str(corpora))
    latency_s = (0.0 if local else 0.02) if latency_ms is None else latency_ms / 1_000
    cluster = model.Cluster(workers, worker_mbit, storage_mbit, latency_s, requests, straggler)
    made = model.plan(work, loaded, known, cluster, prices)
    if as_json:
        click.echo(json.dumps(_values(made, work, known, prices, cluster), indent=1))
    else:
        _print(Console(), made, known, prices, cluster, rates_file)


def _values(
    made: model.Plan,
    work: workload.Workload,
    known: rates.Rates,
    prices: rates.Prices,
    cluster: model.Cluster,
) -> dict[str, Any]:
    lines = [
        {**asdict(line.step), "seconds": line.seconds, "money": line.money, "bound": line.bound}
        for line in made.lines
    ]
    totals = {name: value for name, value in asdict(made).items() if name != "lines"}
    return {
        **totals,
        "seconds": made.seconds,
        "money": made.money,
        "limit": made.limit.step.name,
        "steps": lines,
        "workload": asdict(work),
        "cluster": asdict(cluster),
        "prices": asdict(prices),
        "rates": {"machine": known.machine, "date": known.date, "command": known.command},
    }


def _print(
    console: Console,
    made: model.Plan,
    known: rates.Rates,
    prices: rates.Prices,
    cluster: model.Cluster,
    source: str,
) -> None:
    title = f"{made.samples:,.0f} samples, {made.shards:,} shards, {cluster.workers:,} worker(s)"
    table = Table(title=title, box=SIMPLE, padding=0, pad_edge=False)  # 80 columns hold it
    table.add_column("step", no_wrap=True)
    for name in ("items", "tasks", "time", "cpu h", "read", "written", prices.currency):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("bound by", no_wrap=True)
    for line in made.lines:
        step = line.step
        table.add_row(
            step.name,
            f"{_count(step.items)} {step.unit}{'s' if step.items != 1 else ''}",
            f"{step.tasks:,}",
            _time(line.seconds),
            f"{step.cpu_s / 3600:,.2f}",
            _size(step.read),
            _size(step.written),
            f"{line.money:,.2f}",
            line.bound,
            style="bold" if line is made.limit else "",
        )
    table.add_section()
    core_hours = sum(line.step.cpu_s for line in made.lines) / 3600
    table.add_row(
        "all", "", "", _time(made.seconds), f"{core_hours:,.2f}", _size(sum(line.step.read for line in made.lines)),
        _size(sum(line.step.written for line in made.lines)), f"{made.money:,.2f}", "",
    )  # fmt: skip
    console.print(table)
    limit = made.limit
    share = limit.seconds / made.seconds
    console.print(f"{limit.step.name} limits: {share:.0%} of the time, bound by {limit.bound}.")
    console.print(
        f"The dataset is {_size(made.dataset_bytes)}: {made.store_month:,.2f} {prices.currency} a month, "
        f"{made.egress:,.2f} to take out once. Each worker that pairs holds {_size(made.pool_bytes)} of clips."
    )
    console.print(
        f"Rates: {known.machine}, {known.date} ({Path(source).name}). Prices are assumptions unless you gave yours."
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.{int(seconds < 600)}f} min" if seconds < 5_400 else f"{seconds / 3600:,.1f} h"


def _count(items: float) -> str:
    return (
        f"{items / 1e6:,.1f} M"
        if items >= 1e6
        else f"{items / 1e3:,.0f} k"
        if items >= 1e4
        else f"{items:,.0f}"
    )


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.{int(count < 10 * size)}f} {unit}"
    return f"{count / 1e3:,.0f} KB" if count else ""
