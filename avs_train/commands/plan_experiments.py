"""`avs-train plan-experiments`."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from avs_train.experiments import Experiment

TABLES = tuple("234567")


@click.command(cls=Command, kept=NOTHING)
@click.option(
    "--table", "tables", multiple=True, type=click.Choice(TABLES), help="Only this table; may be repeated."
)
@click.option(
    "--place",
    "places",
    multiple=True,
    metavar="NAME=DATASET",
    help="Where avs_synthetic, avsbench_s4 or avsbench_ms3 is; may be repeated.",
)
@click.option(
    "--tflops",
    type=click.FloatRange(0, min_open=True),
    default=300.0,
    show_default=True,
    help="What all GPUs together reach, in bf16 TFLOP/s; docs/train_on_gpus.md says what to expect.",
)
def command(tables: tuple[str, ...], places: tuple[str, ...], tflops: float) -> None:
    """Print every run behind Tables 2 to 7 of the paper, each after the one it begins from, as a shell script.

    Each run says how many hours it takes at --tflops. What is trained or measured already is a comment. A dataset
    without a place is a shell variable.

    \b
    Examples:
      avs-train plan-experiments --table 7
      avs-train plan-experiments --place avsbench_s4=data/s4 --place avsbench_ms3=data/ms3 \\
          --place avs_synthetic=s3://bucket/avs-synthetic > experiments.sh
    """
    from avs_train import experiments
    from shards import terminal

    found = experiments.experiments(tables)
    names = {data for each in found for data in (each.config.data.dataset, *(row.data for row in each.rows))}
    where: dict[str, str] = {}
    for place in places:
        name, equals, url = place.partition("=")
        if not equals or name not in names:
            raise click.BadParameter(f"{place!r}: NAME=DATASET with NAME one of {', '.join(sorted(names))}")
        where[name] = shlex.quote(url)
    lines = ["set -e", *(line for each in found for line in _lines(each, where, tflops))]
    terminal.out_file("".join(f"{line}\n" for line in lines))


def _lines(each: "Experiment", where: Mapping[str, str], tflops: float) -> Iterator[str]:
    from avs_train import experiments

    name = each.config.name
    run = f"{experiments.RUNS}/{name}"
    tables = f"Table {', '.join(each.tables)}" if each.tables else "others begin from it"
    yield f"\n# {each.config.description} [{tables}]"
    if before := experiments.predecessor(each.config):
        yield f"# begins from {experiments.RUNS}/{before}"
    for data in each.measured(untrained=True):
        yield _unless(
            Path(run, f"eval-{data}-test-untrained.json"),
            f"avs-train eval {name} --data {_place(data, where)}",
        )
    trained = each.config.model.name != "sam"
    if trained:
        hours = experiments.work(each.config) / (tflops * 1e12) / 3600
        yield f"# {hours:,.1f} h at {tflops:,.0f} TFLOP/s"
        # again it resumes where it stopped, and after its end does nothing
        yield f"avs-train fit {name} --data {_place(each.config.data.dataset, where)}"
    for data in each.measured(untrained=False):
        model = run if trained else name
        yield _unless(
            Path(run, f"eval-{data}-test.json"), f"avs-train eval {model} --data {_place(data, where)}"
        )


def _place(data: str, where: Mapping[str, str]) -> str:
    return where.get(data, f'"${data.upper()}"')


def _unless(result: Path, line: str) -> str:
    return f"# measured: {result}: {line}" if result.is_file() else line
