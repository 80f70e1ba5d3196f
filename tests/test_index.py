"""The index as a whole: nothing lost, same bytes, all or nothing, the command."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from real_data import MINI

from pipelines.build import index as indexing
from pipelines.build.index import index
from pipelines.cli import main
from pipelines.corpora.records import CLIPS, MASKS, PHOTOS, UNMARKED
from pipelines.corpora.source import CorpusError
from shards.tables import REJECTIONS

MASK_HEADER = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"


def lvis(ids: range, image: int = 1) -> str:
    photo = {
        "id": image,
        "width": 9,
        "height": 9,
        "coco_url": f"http://x/train2017/{image}.jpg",
        "license": 1,
    }
    rows = [{"id": n, "image_id": image, "category_id": 1, "segmentation": [[0, 0, n, 1, 2, 2]]} for n in ids]
    return json.dumps(
        {"licenses": [], "categories": [{"id": 1, "name": "dog"}], "images": [photo], "annotations": rows}
    )


def open_images(names: list[str]) -> str:
    return "\n".join([MASK_HEADER, *(f"{name}.png,{name[:1]},/m/1,b,0,1,0,1,," for name in names)]) + "\n"


def corpora(root: Path) -> Path:
    """All three corpora; 5 duplicates, across files and within one, and 1 bad row."""
    files = {
        "lvis/lvis_v1_train.json": lvis(range(10)),
        "lvis/lvis_v1_val.json": lvis(range(8, 14)),
        "lvis/lvis_v1_other_val.json": lvis(range(3), image=2),
        "open_images/class-descriptions-boxable.csv": "/m/1,Dog\n",
        "open_images/train-annotations-object-segmentation.csv": open_images(["a1", "a2", "a1"]),
        "open_images/validation-annotations-object-segmentation.csv": open_images(["b1", "a2"]).replace(
            "b,0", "b,x", 1
        ),
        "vggsound/vggsound.csv": "v,1,dog barking,train\nv,01,dog barking,test\nw,1,dog barking,test\n",
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def digest(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_row_is_kept_or_rejected_and_counted(tmp_path):
    result = index(str(corpora(tmp_path / "in")), str(tmp_path / "out"))
    assert {corpus: (c.rows, c.kept, c.rejected) for corpus, c in result.counts.items()} == {
        "lvis": (19, 17, {"duplicate_id": 2}),
        "open_images": (5, 2, {"bad_row": 1, "duplicate_id": 2}),
        "vggsound": (3, 2, {"duplicate_id": 1}),
    }
    assert all(c.rows == c.kept + sum(c.rejected.values()) for c in result.counts.values())
    masks, clips, rejections = (
        pq.read_table(path) for path in (result.masks, result.clips, result.rejections)
    )
    assert (masks.schema, clips.schema, rejections.schema) == (MASKS, CLIPS, REJECTIONS)
    assert Counter(masks["corpus"].to_pylist()) == {"lvis": 17, "open_images": 2}
    assert rejections.select(["item", "reason"]).to_pylist() == [
        {"item": "lvis:1_8", "reason": "duplicate_id"},
        {"item": "lvis:1_9", "reason": "duplicate_id"},
        {"item": "open_images:a1", "reason": "duplicate_id"},
        {"item": "b1.png", "reason": "bad_row"},
        {"item": "open_images:a2", "reason": "duplicate_id"},
        {"item": "vggsound:v_000001", "reason": "duplicate_id"},
    ]
    assert set(rejections["stage"].to_pylist()) == {"index"}
    photos, unmarked = (pq.read_table(path) for path in (result.photos, result.unmarked))
    assert (photos.schema, unmarked.schema) == (PHOTOS, UNMARKED)
    assert photos["image_id"].to_pylist() == ["lvis:2", "lvis:1", "lvis:1"]
    assert unmarked.select(["item", "image_id", "label_id"]).to_pylist() == [
        {"item": "b1.png", "image_id": "open_images:b", "label_id": "/m/1"}
    ]


@pytest.mark.parametrize(
    ("place", "change", "label_ids"),
    [
        (0, {}, []),
        (0, {"segmentation": [[0, 0, 5.0, 1, 2, 2]]}, []),  # the same numbers, written otherwise
        (0, {"segmentation": [[0, 0, 5, 1, 3, 2]]}, ["1"]),
        (2, {"segmentation": {"size": [9, 9], "counts": [40, 41]}}, ["1"]),
        (1, {"segmentation": []}, ["1"]),
        (1, {"category_id": 2}, ["2"]),
        (2, {"iscrowd": 1}, ["1"]),
        (0, {"image_id": 2}, []),  # of another photo: another mask
    ],
)
@pytest.mark.parametrize("in_file", ["lvis_v1_train.json", "lvis_v1_val.json"])
def test_a_used_id_with_other_content_is_an_object_that_is_lost(tmp_path, place, change, label_ids, in_file):
    first = json.loads(lvis(range(5, 7)))
    first["categories"].append({"id": 2, "name": "cat"})
    first["images"].append(first["images"][0] | {"id": 2, "coco_url": "http://x/train2017/2.jpg"})
    rows = first["annotations"]
    again = rows[0] | change
    second = first | {"annotations": []}
    (tmp_path / "lvis").mkdir()
    if in_file == "lvis_v1_train.json":
        rows.insert(max(1, place), again)
    else:
        second["annotations"] = [again]
    (tmp_path / "lvis/lvis_v1_train.json").write_text(json.dumps(first, separators=(",", ":")))
    (tmp_path / "lvis/lvis_v1_val.json").write_text(json.dumps(second, indent=1))
    result = index(str(tmp_path), str(tmp_path / "out"))
    unmarked = pq.read_table(result.unmarked).to_pylist()
    assert [row["label_id"] for row in unmarked] == label_ids
    assert result.counts["lvis"].rejected == ({} if "image_id" in change else {"duplicate_id": 1})
    for row in unmarked:
        assert (row["item"], row["image_id"], row["reason"]) == ("lvis:1_5", "lvis:1", "duplicate_id")
    assert pq.read_table(result.masks)["mask_id"].to_pylist()[:1] == ["lvis:1_5"]


def test_of_one_mask_file_with_two_labels_neither_is_certain(tmp_path):
    folder = tmp_path / "open_images"
    folder.mkdir()
    (folder / "class-descriptions-boxable.csv").write_text("/m/1,Dog\n/m/2,Cat\n")
    text = open_images(["a1", "a1", "a2", "a2"])
    lines = text.splitlines()
    lines[2] = lines[2].replace("/m/1", "/m/2")
    (folder / "train-annotations-object-segmentation.csv").write_text("\n".join(lines) + "\n")
    result = index(str(tmp_path), str(tmp_path / "out"))
    assert result.counts["open_images"].rejected == {"duplicate_id": 2}
    (row,) = pq.read_table(result.unmarked).to_pylist()
    assert (row["image_id"], row["label_id"]) == ("open_images:a", None)


def test_of_duplicates_the_first_in_file_order_stays(tmp_path):
    result = index(str(corpora(tmp_path / "in")), str(tmp_path / "out"))
    masks = pq.read_table(result.masks)
    split = dict(zip(masks["mask_id"].to_pylist(), masks["annotation_split"].to_pylist(), strict=True))
    assert split["lvis:1_8"] == "train"
    assert split["lvis:1_13"] == "validation"
    assert split["open_images:a2"] == "train"
    assert pq.read_table(result.clips)["official_split"].to_pylist() == ["train", "test"]


def test_the_same_annotation_id_of_two_photos_is_two_masks(tmp_path):
    result = index(str(corpora(tmp_path / "in")), str(tmp_path / "out"))
    ids = pq.read_table(result.masks)["mask_id"].to_pylist()
    assert {"lvis:1_0", "lvis:2_0"} <= set(ids)
    assert len(set(ids)) == len(ids)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    source = corpora(tmp_path / "in")
    index(str(source), str(tmp_path / "a"))
    code = "import sys; from pipelines.build.index import index; index(*sys.argv[1:])"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, source, tmp_path / "b"], check=True, env=environment)
    index(str(source), str(tmp_path / "b"))
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_folders_may_be_urls(tmp_path):
    source = corpora(tmp_path / "in")
    (source / "vggsound/clips").mkdir()
    (source / "vggsound/clips/w_000001.ogg").touch()
    memory = fsspec.filesystem("memory")
    memory.put(str(source), "/index-test/in", recursive=True)
    index(str(source), str(tmp_path / "out"))
    found = index("memory://index-test/in", "memory://index-test/out")
    for path in (found.masks, found.clips, found.rejections):
        name = path.rsplit("/", 1)[-1]
        assert memory.cat_file(path.removeprefix("memory:/")) == (tmp_path / "out" / name).read_bytes()
    memory.rm("/index-test", recursive=True)


def test_a_file_that_is_wrong_leaves_what_was_there(tmp_path):
    source = corpora(tmp_path / "in")
    index(str(source), str(tmp_path / "out"))
    before = digest(tmp_path / "out")
    whole = (source / "lvis/lvis_v1_val.json").read_text()
    (source / "lvis/lvis_v1_val.json").write_text(whole[:-9])
    with pytest.raises(CorpusError, match=r"lvis/lvis_v1_val\.json, byte \d+"):
        index(str(source), str(tmp_path / "out"))
    assert digest(tmp_path / "out") == before


def test_progress_reaches_the_end_of_every_file(tmp_path):
    source = corpora(tmp_path / "in")
    seen: list[indexing.Progress] = []
    index(str(source), str(tmp_path / "out"), seen.append)
    last = {progress.source: progress for progress in seen}
    assert list(last) == indexing.sources(str(source))
    for entry, progress in last.items():
        assert 0 < progress.bytes_done <= progress.bytes_total == (source / entry.path).stat().st_size
    assert seen[-1].rows == 27


@pytest.mark.parametrize("together", [False, True])
def test_each_corpus_by_itself_gives_the_same_rows(tmp_path, together):
    source = corpora(tmp_path / "in")
    whole = index(str(source), str(tmp_path / "whole"))
    seen: list[indexing.Progress] = []
    with ThreadPoolExecutor() as pool:
        executor = pool if together else None
        made = indexing.index_each(str(source), str(tmp_path / "each"), seen.append, executor=executor)
    assert list(made) == ["lvis", "open_images", "vggsound"]
    assert {corpus: found.counts[corpus] for corpus, found in made.items()} == whole.counts
    for name in ("masks", "clips", "photos", "unmarked", "rejections"):
        tables = [pq.read_table(getattr(found, name)) for found in made.values()]
        assert pa.concat_tables(tables).to_pylist() == pq.read_table(getattr(whole, name)).to_pylist()
    if not together:
        assert {progress.source for progress in seen} == set(indexing.sources(str(source)))
    assert seen[-1].rows == 27
    (source / "vggsound/vggsound.csv").write_text("broken")
    with ThreadPoolExecutor() as pool, pytest.raises(CorpusError, match=r"vggsound\.csv"):
        indexing.index_each(str(source), str(tmp_path / "none"), executor=pool if together else None)


def test_where_one_corpus_fails_none_is_still_being_read(tmp_path, monkeypatch):
    source, reading = corpora(tmp_path / "in"), threading.Event()
    begun, ended = [], []

    def read(corpora, out, progress, names):
        if names == ("lvis",):  # the largest
            assert reading.wait(60)
            raise CorpusError("lvis", "", "broken", "")
        begun.append(names)
        reading.set()
        time.sleep(0.2)
        ended.append(names)

    monkeypatch.setattr(indexing, "index", read)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(CorpusError):
            indexing.index_each(str(source), str(tmp_path / "out"), executor=pool)
        assert ended == begun != []


def test_row_groups_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "MASKS_PER_GROUP", 4)
    result = index(str(corpora(tmp_path / "in")), str(tmp_path / "out"))
    layout = pq.ParquetFile(result.masks).metadata
    assert sum(layout.row_group(n).num_rows for n in range(layout.num_row_groups)) == 19
    assert max(layout.row_group(n).num_rows for n in range(layout.num_row_groups)) <= 4
    assert layout.row_group(0).column(0).compression == "ZSTD"


def test_a_source_travels(tmp_path):
    import pickle

    source = corpora(tmp_path / "in")
    for entry in indexing.sources(str(source)):
        assert pickle.loads(pickle.dumps(entry)) == entry
    error = CorpusError("a", "b", "c", "d")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a, b: c. d."


def test_a_folder_without_a_corpus_is_an_error(tmp_path):
    (tmp_path / "lvis").mkdir()
    with pytest.raises(CorpusError) as caught:
        index(str(tmp_path), str(tmp_path / "out"))
    for name in ("lvis_v1_train.json", "annotations-object-segmentation.csv", "vggsound.csv"):
        assert name in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["lvis", "open_images", "vggsound"])
def test_each_corpus_may_be_absent(tmp_path, missing):
    source = corpora(tmp_path / "in")
    (source / missing).rename(tmp_path / "away")
    result = index(str(source), str(tmp_path / "out"))
    assert set(result.counts) == {"lvis", "open_images", "vggsound"} - {missing}
    assert pq.read_table(result.clips).schema == CLIPS


@pytest.mark.parametrize("kind", ["link to nothing", "folder", "pipe", "link round"])
@pytest.mark.parametrize(
    "path", ["lvis/a.json", "open_images/test-annotations-object-segmentation.csv", "vggsound/vggsound.csv"]
)
def test_a_name_that_leads_to_no_file_is_no_absent_corpus(tmp_path, path, kind):
    source = corpora(tmp_path / "in")
    (source / path).unlink(missing_ok=True)
    {
        "link to nothing": lambda name: name.symlink_to(tmp_path / "gone"),
        "folder": lambda name: name.mkdir(),
        "pipe": os.mkfifo,
        "link round": lambda name: name.symlink_to(name),
    }[kind](source / path)
    with pytest.raises(
        CorpusError, match=rf"^{path}, name: it leads to no regular file .* Put the file there, or"
    ):
        index(str(source), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "masks.parquet").exists()


def test_the_command(tmp_path):
    source = corpora(tmp_path / "in")
    done = CliRunner().invoke(main, ["index", "--corpora", str(source), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "duplicate_id 2" in done.output
    assert str(tmp_path / "out/masks.parquet") in done.output
    failed = CliRunner().invoke(
        main, ["index", "--corpora", str(tmp_path / "no"), "--out", str(tmp_path / "out")]
    )
    assert failed.exit_code == 1
    assert "no corpus here" in failed.output
    (tmp_path / "file").touch()
    unwritable = str(tmp_path / "file" / "out")
    failed = CliRunner().invoke(main, ["index", "--corpora", str(source), "--out", unwritable])
    assert failed.exit_code == 1
    assert "Not a directory" in failed.output


@pytest.mark.skipif(not MINI.exists(), reason="no real data beside the checkout")
def test_real_corpora(tmp_path):
    result = index(str(MINI), str(tmp_path))
    assert {corpus: (c.rows, c.kept) for corpus, c in result.counts.items()} == {
        "lvis": (1270, 1270),
        "open_images": (15, 15),
        "vggsound": (116, 116),
    }
    for path, column in ((result.masks, "image_path"), (result.clips, "clip_path")):
        for name in pq.read_table(path)[column].to_pylist():
            assert (MINI / name).is_file()
    assert pa.types.is_binary(pq.read_table(result.masks)["segmentation"].type)
