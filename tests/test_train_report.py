"""The report: every published cell in its place, and ours beside the row it belongs to."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from real_data import DATA

from avs_train import cli
from avs_train.report import newer, published, s4_columns, table_2

SUMMARY = {
    "samples": 3700,
    "mJ": 0.8012,
    "mF": {"sama": 0.88, "avsbench": 0.9, "sama_nonempty": 0.89, "avsbench_nonempty": 0.91, "dataset": 0.85},
    "categories": {
        "cat_meowing": {"samples": 30, "mJ": 0.5, "mF_dataset": 0.5},
        "playing_ukulele": {"samples": 10, "mJ": 0.9, "mF_dataset": 0.5},
    },
}


def result(folder: Path, name: str, **changed: object) -> None:
    found = {"config": "sama_avs_s4", "step": 9, "resolution": 1024, "summary": SUMMARY, "robustness": None,
             "data": {"dataset": "avsbench_s4", "split": "test"}, "weights": "", **changed}  # fmt: skip
    (folder / f"eval-{name}.json").write_text(json.dumps(found))


def report(*arguments: object) -> str:
    said = CliRunner().invoke(cli.main, ["report", *map(str, arguments)])
    return said.output


def test_no_cell_of_the_papers_tables_is_empty():
    rows = published()
    assert {row.table[:7] for row in rows} == {f"Table {n}" for n in range(2, 8)} | {"Section"}
    for row in rows:
        assert bool(row.categories) != (row.mJ is not None and row.mF is not None), row
    counts = [sum(row.table.startswith(f"Table {n}") for row in rows) for n in range(2, 8)]
    assert counts == [2, 10, 7, 20, 3, 5]
    cells = {(row.table[:7], row.method, row.data): (row.mJ, row.mF) for row in rows}
    assert cells["Table 3", "0 %, without pre-training", "avsbench_s4"] == (17.65, 0.227)
    assert cells["Table 3", "20 %, pre-trained", "avsbench_s4"] == (79.05, 0.870)
    assert cells["Table 5", "TPAVI, after S4", "avsbench_ms3"] == (51.45, 0.671)
    assert cells["Table 6", "soft IoU alone", "avsbench_s4"] == (18.96, 0.226)
    assert cells["Table 7", "8 adapters", "avsbench_s4"] == (80.31, 0.871)
    assert all(each.protocol and len(each.avsbench_s4) in (1, 2) for each in newer())


def test_the_best_ms3_row_is_the_released_scripts_chain():
    row = next(row for row in published() if row.mJ == 66.95)
    assert row.config == "sama_avs_ms3_from_s4_from_synthetic"
    assert not [row for row in published() if row.config == "sama_avs_ms3_from_synthetic"]


def test_each_column_of_table_2_is_one_category_of_s4():
    columns = s4_columns()
    named = sorted(column for column in columns.values() if column)
    for row in (row for row in published() if row.categories):
        assert sorted(row.categories) == named
    assert len(columns) == 23
    path = DATA / "avsbench" / "s4_meta_data.csv"
    if not path.is_file():
        pytest.skip(f"no real category names at {path}")
    with open(path, newline="") as file:
        assert {row["category"] for row in csv.DictReader(file)} == columns.keys()


def test_table_2_takes_our_categories():
    assert table_2(SUMMARY["categories"]) == {"cat": 50.0}  # a ukulele is no guitar


def test_ours_stands_beside_the_papers(tmp_path):
    result(tmp_path, "a")
    text = report(tmp_path)
    assert "| SAMA-AVS | avsbench_s4 | 81.53 | 0.886 | 80.12 | 0.880 | 3700 | 1024 px, step 9 |" in text
    assert "| Real (S4 train) | paper | 73.63 | 83.87 | 84.88 |" in text
    assert "| Real (S4 train) | ours, 1024 px, step 9 | – | 50.00 | – |" in text
    assert "| Synthetic (zero-shot) | ours | – | – |" in text
    assert "| COMBO, PVT | 84.70 / 0.919 | 59.20 / 0.712 | 42.10 / 0.461 | README |" in text
    assert "| SAVE, 256 pixels | 84.59 | 70.28 | – |" in text
    assert "| SAMA-AVS | avsbench_s4 | 81.53 | 0.886 | 80.12 | 0.900 |" in report(
        tmp_path, "--variant", "avsbench"
    )


def test_a_model_before_training_stands_in_the_row_of_nothing_learnt(tmp_path):
    result(tmp_path, "a", weights="untrained", step=0)
    text = report(tmp_path)
    assert "| 0 %, without pre-training | avsbench_s4 | 17.65 | 0.227 | 80.12 |" in text
    assert "| SAMA-AVS | avsbench_s4 | 81.53 | 0.886 | – |" in text


def test_released_weights_are_named(tmp_path):
    result(tmp_path, "a", weights="sama_s4.pth", step=0)
    text = report(tmp_path)
    assert "| SAMA-AVS | avsbench_s4 | 81.53 | 0.886 | 80.12 | 0.880 | 3700 | 1024 px, sama_s4.pth |" in text


def test_what_is_no_result_is_said(tmp_path):
    (tmp_path / "eval-b.json").write_text("{}")
    assert "is no result of `avs-train eval`" in report(tmp_path)


def test_a_result_measured_before_empty_videos_counted_is_refused(tmp_path):
    result(tmp_path, "a", summary={**SUMMARY, "mF": {"sama": 0.88, "avsbench": 0.9, "dataset": 0.85}})
    assert "lacks mF sama_nonempty, avsbench_nonempty: it is old" in report(tmp_path)
