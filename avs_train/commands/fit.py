"""`avs-train fit`."""

from dataclasses import asdict, fields

import click

from avs_train import config as configuration
from avs_train.commands import options
from shards.command_line import Command


def _epilog() -> str:
    lines = ["\b", "Configurations:"]
    lines += [f"  {name:<30} {configuration.load(name).description}" for name in configuration.names()]
    lines += ["", "\b", "Keys and defaults:"]
    for title, kind in configuration.SECTIONS.items():
        lines += [f"  {title}.{each.name}={each.default}" for each in fields(kind)]
    return "\n".join(lines)


@click.command(
    cls=Command, kept="the last checkpoint is kept; the same command goes on from it", epilog=_epilog()
)
@click.argument("config")
@options.OVERRIDES
@options.DATA
@options.JSON
@click.option("--out", metavar="RUN", help="Run folder.  [default: runs/CONFIG]")
def command(config: str, overrides: tuple[str, ...], data: str, as_json: bool, out: str | None) -> None:
    """Train CONFIG (a name below, or a TOML file) on the shards of DATASET.

    Examples, alone and on several GPUs:

    \b
      avs-train fit sama_avs --data s3://bucket/avs-synthetic
      torchrun --nproc-per-node 4 -m avs_train fit sama_avs_s4 --data data/s4 train.lr=1e-4

    The same command again resumes from the last checkpoint, also with another number of GPUs.
    """
    from avs_train.display import RunDisplay, first_rank
    from shards import terminal

    settings = configuration.load(config, overrides)
    configuration.check_weights(settings)
    run = out or f"runs/{settings.name}"
    with RunDisplay(f"Train {settings.name} on {data} into {run}", "Train", "steps") as display:
        from avs_train.distributed import joined
        from avs_train.loop import fit

        with joined(settings.train.device) as place:
            result = fit(settings, data, run, place, display)
        for key, reason in result.corrupt.items():
            display.warn(f"corrupt sample {key}: {reason}")
        best = f", best validation mJ {result.best_mj:.4f}" if result.best_mj is not None else ""
        display.say(f"{run}: {result.step} steps{best}; next: avs-train eval {run} --data {data}")
    if as_json and first_rank():
        terminal.out_json({"run": run, **asdict(result)})
