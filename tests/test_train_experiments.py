"""The graph of runs behind the tables, and that a run is not begun where it cannot mean what its name says."""

import re
import subprocess

import pytest
from alone import ALONE, Quiet
from click.testing import CliRunner
from generated_shards import write_dataset

from avs_train import cli, loop
from avs_train import config as configuration
from avs_train.experiments import experiments, predecessor
from avs_train.report import published
from avs_train.run_folder import RunError


def plan(*arguments, ok=True):
    result = CliRunner().invoke(cli.main, ["plan-experiments", *map(str, arguments)])
    assert (result.exit_code == 0) == ok, result.output
    return result.output


def test_every_run_comes_after_the_one_it_begins_from():
    order = [each.config.name for each in experiments()]
    assert len(order) == len(set(order))
    assert {row.config for row in published() if row.config} <= set(order)
    for name in order:
        before = predecessor(configuration.load(name))
        assert not before or order.index(before) < order.index(name), name
    chain = [each.config.name for each in experiments(["5"])]
    assert chain.index("sama_avs") < chain.index("sama_avs_s4_from_synthetic")
    assert chain.index("sama_avs_s4_from_synthetic") < chain.index("sama_avs_ms3_from_s4_from_synthetic")


def test_every_experiment_names_its_dataset():
    for each in experiments():
        assert each.config.data.dataset, each.config.name


def test_the_plan_is_a_shell_script_that_measures_every_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = plan("--place", "avsbench_s4=data/s 4")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    commands = [line for line in text.splitlines() if line.startswith("avs-train")]
    assert len(commands) == len(set(commands))
    assert "avs-train eval sama_avs_s4 --data 'data/s 4'" in commands  # before training
    assert 'avs-train eval sam_oracle --data "$AVSBENCH_MS3"' in commands
    assert 'avs-train fit sama_avs --data "$AVS_SYNTHETIC"' in commands
    assert "avs-train eval runs/sama_avs --data 'data/s 4'" in commands  # zero-shot
    assert not re.search(r"fit sam_oracle", text)
    fitted = [line.split()[2] for line in commands if line.startswith("avs-train fit")]
    measured = {row.config for row in published() if row.config and row.config != "sam_oracle"}
    assert measured <= set(fitted)
    assert fitted.index("sama_avs_s4") < fitted.index("sama_avs_ms3_from_s4")


def test_what_is_measured_is_left_out_and_a_table_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "loss_bce").mkdir(parents=True)
    (tmp_path / "runs" / "loss_bce" / "eval-avsbench_s4-test.json").write_text("{}")
    text = plan("--table", "6")
    assert "\n# measured: runs/loss_bce/eval-avsbench_s4-test.json" in text
    assert "avs-train eval runs/loss_iou" in text
    assert "adapters_2" not in text
    assert "NAME one of" in plan("--place", "s4=x", ok=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 4, "val": 2}, size=64)


def test_a_missing_beginning_says_which_command_makes_it(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "sama_avs").mkdir(parents=True)  # measured before it was trained: no checkpoint yet
    settings = configuration.load(
        "few_shot_10_from_synthetic", ["data.dataset=generated", "train.batch_size=1"]
    )
    with pytest.raises(
        RunError, match=r"runs/sama_avs .*make it first with `avs-train fit sama_avs --data AVS_SYN"
    ):
        loop.fit(settings, dataset, tmp_path / "run", ALONE, Quiet())
    settings = configuration.load("tiny", ["train.init=elsewhere", "train.batch_size=1"])
    with pytest.raises(
        RunError, match=r"tiny begins from elsewhere .*give a run folder, or a checkpoint file"
    ):
        loop.fit(settings, dataset, tmp_path / "run", ALONE, Quiet())


def test_another_dataset_than_the_configurations_own_is_refused(dataset, tmp_path):
    with pytest.raises(
        RunError,
        match=r"for the dataset avsbench_s4, .* holds generated: .*data.dataset=generated",
    ):
        loop.fit(configuration.load("sama_avs_s4"), dataset, tmp_path, ALONE, Quiet())
    small = ["train.batch_size=2", "epochs=1", "model.image_size=64", "workers=0", "tensorboard=false"]
    for named in ("generated", ""):
        settings = configuration.load("tiny", [f"data.dataset={named}", *small])
        loop.fit(settings, dataset, tmp_path / f"run{named}", ALONE, Quiet(), stop=1)
