"""`avs-train fit`."""

from dataclasses import fields

import click

from avs_train import config as configuration
from avs_train.commands import options


def _epilog() -> str:
    lines = ["\b", "Configurations:"]
    lines += [f"  {name:<30} {configuration.load(name).description}" for name in configuration.names()]
    lines += ["", "\b", "Keys and defaults:"]
    for title, kind in configuration.SECTIONS.items():
        lines += [f"  {title}.{each.name}={each.default}" for each in fields(kind)]
    return "\n".join(lines)


@click.command(epilog=_epilog())
@click.argument("config")
@options.OVERRIDES
@options.DATA
@click.option("--out", metavar="RUN", help="Run folder.  [default: runs/CONFIG]")
def command(config: str, overrides: tuple[str, ...], data: str, out: str | None) -> None:
    """Train CONFIG (a name below, or a TOML file) on the shards of DATASET.

    Examples, alone and on several GPUs:

    \b
      avs-train fit sama_avs --data s3://bucket/avs-synthetic
      torchrun --nproc-per-node 4 -m avs_train fit sama_avs_s4 --data data/s4 train.lr=1e-4

    The same command again resumes from the last checkpoint, also with another number of GPUs.
    """
    from avs_train.display import Bar
    from avs_train.distributed import joined
    from avs_train.loop import fit

    settings = configuration.load(config, overrides)
    with joined(settings.train.device) as place, Bar(settings.name, shown=place.first) as bar:
        run = out or f"runs/{settings.name}"
        result = fit(settings, data, run, place, bar)
        for key, reason in result.corrupt.items():
            bar.say(f"corrupt sample {key}: {reason}")
        best = f", best validation mJ {result.best_mj:.4f}" if result.best_mj is not None else ""
        bar.say(f"{run}: {result.step} steps{best}; next: avs-train eval {run} --data {data}")
