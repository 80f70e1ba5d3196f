"""A build from every corpus together, and from each new one alone, on generated layouts."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipelines.build import run
from pipelines.recipes import recipe
from shards import verify
from shards.reader import Dataset

RECIPE = 'name = "wide"\n{corpora}[select]\nmin_area_fraction = 0.01\n[split]\ntrain = 2\nval = 1\ntest = 1\n'


def built(corpora: str, folder: Path, *names: str, workers: int = 1) -> Dataset:
    listed = f"corpora = {json.dumps(names)}\n" if names else ""
    (folder / "wide.toml").write_text(RECIPE.format(corpora=listed))
    out = str(folder / f"out{workers}")
    run.build(recipe.load(str(folder / "wide.toml")), run.BuildOptions(corpora, out, workers=workers))
    assert list(verify.verify(out)) == []
    return Dataset(out)


def records(dataset: Dataset) -> list[dict]:
    return [sample.record for split in ("train", "val", "test") for sample in dataset.samples(split)]


def test_all_corpora_together(every_corpus: str, tmp_path: Path) -> None:
    dataset = built(every_corpus, tmp_path)
    samples = records(dataset)
    heard = Counter(row["clip_id"].split(":")[0] for row in dataset.table("pool.parquet").to_pylist())
    assert set(heard) == {"vggsound", "audioset", "fsd50k", "esc50"}
    assert {record["image"]["corpus"] for record in samples} == {"lvis", "open_images", "coco"}
    merged = [
        record
        for record in samples
        if {"lvis", "coco"} == {one["source"] for one in record["image"]["labels"]}
    ]
    assert merged
    for record in merged:
        assert record["image"]["corpus"] == "lvis"  # which says that all objects are annotated
        number = record["image"]["id"].removeprefix("lvis:")
        assert {f"coco:{number}", f"lvis:{number}"} <= set(record["image"]["photo_keys"])
    photographs = {}
    for record in samples:
        known = {name for name in record["image"]["photo_keys"] if name.startswith("coco:")}
        for name in known or {record["image"]["id"]}:
            assert photographs.setdefault(name, record["split"]) == record["split"]
            assert (name, record["category"]) not in photographs
            photographs[name, record["category"]] = 1
    reasons = Counter(row["reason"] for row in dataset.table("rejections.parquet").to_pylist())
    for reason in (
        "several_sounds",
        "background_sound",
        "described_twice",
        "label_not_in_map",
        "crowd",
    ):
        assert reasons[reason], reason
    official = {"train": "train", "val": "val", "test": "test"}
    for row in dataset.table("pool.parquet").to_pylist():
        if row["clip_id"].startswith(("esc50:", "fsd50k:")):
            assert row["split"] == official[row["official_split"]]
        if row["clip_id"].startswith("esc50:"):
            assert row["duration_s"] < 4.1  # without the zeros


def test_scenes_of_all_corpora_together(every_corpus: str, tmp_path: Path) -> None:
    """With photographs to name over corpora and absence to be certain of, all stages have names of their own."""
    options = run.BuildOptions(every_corpus, str(tmp_path / "out"), dry_run=True)
    counts = run.build(recipe.load("avs_scenes"), options)
    assert counts
    assert sum(number for key, number in counts.items() if key[:3] == ("compose", "samples", "kept")) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ("coco", "vggsound"),
        ("lvis", "audioset"),
        ("lvis", "fsd50k"),
        ("open_images", "esc50"),
        ("coco", "esc50"),
    ],
)
def test_each_new_corpus_with_one_other(every_corpus: str, tmp_path: Path, names: tuple[str, str]) -> None:
    samples = records(built(every_corpus, tmp_path, *names))
    assert samples
    assert {record["image"]["corpus"] for record in samples} == {names[0]}
    assert {record["audio"]["label"]["source"] for record in samples} == {names[1]}


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(every_corpus: str, tmp_path: Path) -> None:
    one, two = (built(every_corpus, tmp_path, workers=workers) for workers in (1, 2))
    assert one.manifest == two.manifest
