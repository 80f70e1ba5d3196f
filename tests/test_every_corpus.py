"""A build from every corpus together, and from each new one alone, on generated layouts."""

import json
from collections import Counter
from pathlib import Path

import pytest

import label_maps
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


def test_scenes_of_photographs_that_two_corpora_describe(
    every_corpus: str, scenes_recipe: str, tmp_path: Path
) -> None:
    """Each photograph by one corpus's masks, labels of what sounds alone, and nothing off screen that either shows."""
    path, out = tmp_path / "both.toml", str(tmp_path / "out")
    path.write_text('corpora = ["lvis", "coco", "vggsound"]\n' + Path(scenes_recipe).read_text())
    run.build(recipe.load(str(path)), run.BuildOptions(every_corpus, out))
    assert list(verify.verify(out)) == []
    label_map = label_maps.load("avs")
    shown: dict[str, set[str]] = {}  # by COCO's number
    for file in (
        *Path(every_corpus).glob("lvis/*.json"),
        *Path(every_corpus).glob("coco/annotations/*.json"),
    ):
        corpus = file.relative_to(every_corpus).parts[0]
        for one in json.loads(file.read_text())["annotations"]:
            if link := label_map.link(corpus, str(one["category_id"])):
                shown.setdefault(str(one["image_id"]), set()).add(link.category)
    corpora: dict[str, set[str]] = {}
    seen = Counter()
    for record in records(Dataset(out)):
        number = record["image"]["id"].partition(":")[2]
        seen[record["kind"]] += 1
        both = {f"lvis:{number}", f"coco:{number}"} & {record["image"]["id"], *record["image"]["photo_keys"]}
        seen["of both"] += len(both) == 2 and bool(record["sources"])
        for source in record["sources"]:
            if record["kind"] == "off_screen":
                assert source["category"] not in shown[number]
            corpora.setdefault(number, set()).update(mask.partition(":")[0] for mask in source["mask_ids"])
        for label in record["image"]["labels"]:
            link = label_map.link(label["source"], label["source_id"])
            assert {link.category, *label_map.kinds.above(link.category)} & set(record["category"].split("+"))
    assert all(len(found) <= 1 for found in corpora.values())
    assert {"lvis", "coco"} <= set().union(*corpora.values())
    assert all(seen[kind] for kind in ("single", "mixture", "off_screen", "silence", "of both")), seen


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
