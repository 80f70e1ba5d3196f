"""Configurations: all of them load, they compose, and every fault is told at once."""

import pytest

from avs_train import config as configuration
from avs_train.flops import flops_per_image
from avs_train.report import published


def test_every_packaged_configuration_loads_and_says_what_it_is():
    for name in configuration.names():
        found = configuration.load(name)
        assert found.name == name
        assert len(found.description) > 20


def test_every_experiment_of_the_paper_has_one():
    needed = {row.config for row in published() if row.config}
    assert needed <= set(configuration.names())
    assert {f"few_shot_{p}{after}" for p in (10, 20, 30) for after in ("", "_from_synthetic")} <= needed
    assert {f"adapters_{n}" for n in (2, 4, 8, 16)} | {
        "ap_sam_s4",
        "ap_sam_ms3",
        "sam_oracle",
        "loss_bce",
    } <= needed


def test_the_papers_settings():
    found = configuration.load("sama_avs")
    assert (found.model.name, found.model.size, found.model.image_size) == ("sama", "vit_h", 1024)
    assert (found.train.lr, found.train.lr_end, found.train.weight_decay) == (2e-4, 1e-7, 0.01)
    assert (found.train.epochs, found.train.batch_size, found.data.audio) == (80, 8, "repaired")
    assert configuration.load("adapters_4").model.adapters == 4
    assert configuration.load("few_shot_20_from_synthetic").train.init == "runs/sama_avs"
    assert configuration.load("few_shot_20_from_synthetic").data.fraction == 0.2
    assert configuration.load("loss_bce").train.iou_weight == 0


def test_a_base_beside_the_file_is_taken_first_and_overrides_come_last(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "below"\ndescription = "mine"\n[train]\nlr = 0.5\n')
    (tmp_path / "below.toml").write_text('base = "tiny"\n[train]\nlr = 0.1\nepochs = 3\n')
    found = configuration.load(str(tmp_path / "mine.toml"), ["lr_end=0.01", "train.precision=fp32"])
    assert (found.train.lr, found.train.epochs, found.train.lr_end) == (0.5, 3, 0.01)
    assert (found.model.size, found.train.precision, found.name) == ("tiny", "fp32", "mine")


def test_all_faults_at_once(tmp_path):
    (tmp_path / "bad.toml").write_text(
        '[train]\nlearning_rat = 1\nepochs = "many"\nbatch_size = 0\nprecision = "fp8"\n[modle]\nx = 1\n'
        '[model]\nsize = "vit_x"\n'
    )
    with pytest.raises(configuration.ConfigError) as caught:
        configuration.load(
            str(tmp_path / "bad.toml"), ["data.fraction=2", "nonsense", "batch_size=3", "lrr=1"]
        )
    text = "\n".join(caught.value.faults)
    for said in (
        "train.learning_rat: no such key", "train.epochs = 'many': expected int", "train.batch_size = 0: at least 1",
        "train.precision = 'fp8': choose auto, bf16, fp32", "modle: no such section", "model.size='vit_x'",
        "data.fraction = 2.0: at most 1", "'nonsense': an override is section.key=value",
        "batch_size: say which: train.batch_size or evaluate.batch_size", "lrr: no such key; did you mean train.lr?",
    ):  # fmt: skip
        assert said in text, said
    assert len(caught.value.faults) == 10


def test_a_name_that_is_no_configuration(tmp_path):
    with pytest.raises(configuration.ConfigError, match="did you mean sama_avs"):
        configuration.load("sama-avs")
    (tmp_path / "a.toml").write_text('base = "b"\n')
    (tmp_path / "b.toml").write_text('base = "a"\n')
    with pytest.raises(configuration.ConfigError, match="leads back to itself"):
        configuration.load(str(tmp_path / "a.toml"))


@pytest.mark.parametrize("name", ["sama_avs", "adapters_8", "tiny"])
def test_what_is_written_beside_a_run_reads_back(name, tmp_path):
    found = configuration.load(name, ["train.wandb='a \"quoted\" name'"])
    path = tmp_path / f"{name}.toml"
    path.write_text(configuration.to_toml(found))
    assert configuration.load(str(path)) == found
    assert configuration.from_values(configuration.to_values(found), "saved") == found
    assert found.train.wandb == 'a "quoted" name'


def test_only_settings_that_move_numbers_stop_a_resume():
    saved = configuration.to_values(configuration.load("tiny"))
    assert (
        configuration.changes(saved, configuration.load("tiny", ["workers=7", "cache_gb=1", "micro_batch=1"]))
        == []
    )
    lines = configuration.changes(saved, configuration.load("tiny", ["epochs=99", "model.image_size=64"]))
    assert lines == ["model.image_size: 128 then, 64 now", "train.epochs: 70 then, 99 now"]
    for key in configuration.FREE_ON_RESUME:
        section, name = key.split(".")
        assert name in configuration.SECTIONS[section].__dataclass_fields__, key


def test_validation_takes_a_third_of_the_arithmetic_at_most():
    """By the sizes of S4 and MS3: frames trained on in an epoch, and frames of the validation split."""
    cost = flops_per_image(configuration.load("sama_avs_s4").model)
    frames = {
        "avsbench_s4": (3452, 740 * 5),
        "avsbench_ms3": (296 * 5, 64 * 5),
        "avs_synthetic": (52_609, 5000),
    }
    for name in {row.config for row in published() if row.config and row.config != "sam_oracle"}:
        found = configuration.load(name)
        train, val = frames[found.data.dataset]
        validation = val * cost.inference / found.train.validate_every
        assert validation / (validation + train * found.data.fraction * cost.training) < 0.35, name
