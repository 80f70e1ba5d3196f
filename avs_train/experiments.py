"""The runs behind the paper's tables: which configuration, on which dataset, after which other run."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from avs_train import config as configuration
from avs_train.config import Config
from avs_train.flops import flops_per_image
from avs_train.report import Published, published
from avs_train.run_folder import RunError

RUNS = "runs"  # where `avs-train fit NAME` puts its run, and where a configuration's `init` looks for one


# Samples as published: S4 trains on the one annotated frame of a video and is measured on five, MS3 has five of each.
SAMPLES = {
    "avs_synthetic": {"train": 52_609, "val": 5_000, "test": 5_000},
    "avsbench_s4": {"train": 3_452, "val": 740 * 5, "test": 740 * 5},
    "avsbench_ms3": {"train": 296 * 5, "val": 64 * 5, "test": 64 * 5},
}


def work(config: Config) -> float:
    """Floating-point operations of a whole training with its validations; a multiply-add counts as two."""
    samples, each = SAMPLES[config.data.dataset], flops_per_image(config.model)
    train, epochs = round(samples["train"] * config.data.fraction), config.train.epochs
    validations = -(-epochs // config.train.validate_every)
    if config.data.image_embeddings_gb:  # the encoder sees each photo once
        decoder = (each.training - each.inference) / 2
        once = (train + samples["val"]) * each.inference
        return once + (3 * train * epochs + validations * samples["val"]) * decoder
    return train * epochs * each.training + validations * samples["val"] * each.inference


@dataclass(frozen=True)
class Experiment:
    """One configuration. rows: where its results stand in the paper; none for a run that others only begin from."""

    config: Config
    rows: tuple[Published, ...]

    @property
    def tables(self) -> list[str]:
        """ "2", "3", ...: the numbers of the tables, sorted."""
        return sorted({number(row) for row in self.rows} - {""})

    def measured(self, *, untrained: bool) -> list[str]:
        """The datasets whose test split is measured, in the order of the tables."""
        return list(dict.fromkeys(row.data for row in self.rows if row.untrained == untrained))


def number(row: Published) -> str:
    """The number of a row's table; "" for a section."""
    return row.table.partition(":")[0].removeprefix("Table ") if row.table.startswith("Table") else ""


def experiments(tables: Collection[str] = ()) -> list[Experiment]:
    """Every experiment of these tables (empty: of all), each after the one it begins from."""
    rows = [row for row in published() if row.config and (not tables or number(row) in tables)]
    ordered: dict[str, Experiment] = {}

    def add(name: str) -> None:
        if name not in ordered:
            config = configuration.load(name)
            if before := predecessor(config):
                add(before)
            ordered[name] = Experiment(config, tuple(row for row in rows if row.config == name))

    for row in rows:
        add(row.config)
    return list(ordered.values())


def predecessor(config: Config) -> str:
    """The configuration whose run this one begins from; "" for none, or for a run that no configuration makes."""
    folder, _, name = config.train.init.partition("/")
    return name if folder == RUNS and name in configuration.names() else ""


def check_begins(config: Config) -> None:
    """That what the configuration begins from is there.

    Raises:
        RunError: it is not; says which command makes it.
    """
    init = config.train.init
    there = (Path(init), *(Path(init, name) for name in ("best", "last", "state.json")))
    if not init or there[0].is_file() or any(path.exists() for path in there[1:]):
        return
    before = predecessor(config)
    made = (
        f"make it first with `avs-train fit {before} --data {placeholder(configuration.load(before))}`; "
        f"`avs-train plan-experiments` prints all runs in order"
        if before
        else "give a run folder, or a checkpoint file"
    )
    raise RunError(f"{config.name} begins from {init} (train.init), which is not there: {made}")


def placeholder(config: Config) -> str:
    """How a command names the dataset of a configuration before a person has said where it is."""
    return config.data.dataset.upper() or "DATASET"
