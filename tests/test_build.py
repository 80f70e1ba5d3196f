"""The main job end to end: the same bytes however it runs, nothing lost, nothing leaked, read by every reader."""

import hashlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from pipelines.build import finish, graph, index, run, shuffle, stages
from pipelines.cli import main
from pipelines.recipes import recipe
from shards import format, hashing, storage
from shards.claims import ClaimError
from shards.new_dataset import NoSamples
from shards.reader import Dataset
from shards.verify import verify


def hashes(dataset: str | Path) -> dict[str, str]:
    """sha256 of every file that belongs to a dataset."""
    root = Path(dataset)
    files = [path for path in root.rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def avs_data(*arguments: str, **options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_the_dataset_is_whole(dataset: str) -> None:
    assert verify(dataset) == []
    manifest = Dataset(dataset).manifest
    assert all(manifest.counts[split]["samples"] > 0 for split in format.SPLITS)


def test_nothing_is_lost_at_any_stage(dataset: str) -> None:
    """in == kept + rejected, by the funnel and by the table of rejections; a stage takes what the last one kept."""
    rejections = Counter(
        (row["stage"], row["reason"]) for row in Dataset(dataset).table(format.REJECTIONS).to_pylist()
    )
    steps = Dataset(dataset).manifest.funnel
    told: Counter[tuple[str, str]] = Counter()
    kept: dict[str, int] = {}
    for step in steps:
        assert step["in"] == step["kept"] + sum(step["rejected"].values())
        if step["unit"] in kept:
            assert step["in"] == kept[step["unit"]]
        kept[step["unit"]] = step["kept"]
        told.update({(step["stage"], reason): number for reason, number in step["rejected"].items()})
    assert told == rejections
    table = Dataset(dataset).table()
    assert kept["samples"] == table.num_rows
    masks_of_samples = next(
        step["kept"] for step in steps if step["stage"] == "select" and step["unit"] == "masks"
    )
    assert masks_of_samples >= sum(len(ids) for ids in table["mask_ids"].to_pylist())


def test_two_processes_write_the_same_bytes(dataset: str, corpora: str, tmp_path: Path) -> None:
    out = str(tmp_path / "two")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, out, workers=2))
    assert hashes(out) == hashes(dataset)


def test_bounds_on_what_a_worker_takes_decide_nothing(
    dataset: str, corpora: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MASKS_PER_BUCKET", 20)
    monkeypatch.setattr(graph, "CLIPS_PER_BUCKET", 10)
    monkeypatch.setattr(index, "MASKS_PER_GROUP", 30)
    monkeypatch.setattr(index, "CLIPS_PER_GROUP", 10)
    monkeypatch.setattr(shuffle, "FAN_OUT", 3)
    monkeypatch.setattr(shuffle, "_ROWS", 20)
    out = str(tmp_path / "small")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, out))
    assert hashes(out) == hashes(dataset)


def test_a_category_with_most_samples_makes_no_large_task(
    corpora: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skewed = tmp_path / "corpora"
    shutil.copytree(corpora, skewed, ignore=shutil.ignore_patterns("open_images"))
    for path in (skewed / "lvis").glob("*.json"):
        record = json.loads(path.read_text())
        first = record["annotations"][0]["category_id"]
        for annotation in record["annotations"]:
            if annotation["id"] % 4:
                annotation["category_id"] = first
        path.write_text(json.dumps(record))
    taken: dict[str, list[int]] = {}
    process = stages._Apply.process

    def recorded(self: stages._Apply, table: pa.Table, *side: Any) -> Iterator[Any]:
        if self.unit == "samples" or self.stage == "select":
            taken.setdefault(f"{self.stage} {self.unit}", []).append(table.num_rows)
        return process(self, table, *side)

    monkeypatch.setattr(stages._Apply, "process", recorded)
    monkeypatch.setattr(graph, "MASKS_PER_BUCKET", 20)
    out = str(tmp_path / "out")
    run.build(recipe.load("demo"), run.BuildOptions(str(skewed), out))
    categories = Counter(Dataset(out).table()["category"].to_pylist())
    assert max(categories.values()) > sum(categories.values()) / 2
    for stage in ("select masks", "split samples", "pair samples"):
        assert len(taken[stage]) >= 4, (stage, taken[stage])
        assert max(taken[stage]) <= 50, (stage, taken[stage])
    assert max(taken["shard samples"]) <= 2 * 25


def test_a_rerun_changes_nothing_and_writes_no_shard_again(
    dataset: str, corpora: str, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    shutil.copytree(dataset, out)
    before = {path: path.stat().st_ino for path in out.rglob("*.tar")}
    run.build(recipe.load("demo"), run.BuildOptions(corpora, str(out)))
    assert hashes(out) == hashes(dataset)
    assert {path: path.stat().st_ino for path in out.rglob("*.tar")} == before


def kill_and_rerun(corpora: str, out: Path, delays: list[float]) -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()"]
    command += ["build", "demo", "--corpora", corpora, "--out", str(out)]
    for delay in delays:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        start = time.monotonic()
        while time.monotonic() - start < 60 and not (out / ".work").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = avs_data(*command[3:])
    assert done.returncode == 0, done.stderr


def test_killed_and_run_again_it_gives_the_same_bytes(dataset: str, corpora: str, tmp_path: Path) -> None:
    kill_and_rerun(corpora, tmp_path / "killed", [1.2])
    assert hashes(tmp_path / "killed") == hashes(dataset)


@pytest.mark.slow
def test_killed_at_twelve_moments(dataset: str, corpora: str, tmp_path: Path) -> None:
    kill_and_rerun(corpora, tmp_path / "killed", [3 * hashing.unit(0, "kill", n) for n in range(12)])
    assert hashes(tmp_path / "killed") == hashes(dataset)


def test_a_changed_photo_rewrites_its_samples_shards_alone(
    dataset: str, corpora: str, tmp_path: Path
) -> None:
    changed, out = tmp_path / "corpora", tmp_path / "out"
    shutil.copytree(corpora, changed, copy_function=os.link)
    shutil.copytree(dataset, out)
    row = Dataset(dataset).table().to_pylist()[0]
    record = json.loads(Dataset(dataset).read_member(row, "json"))
    (path,) = [
        p
        for p in changed.rglob("*.jpg")
        if hashlib.sha256(p.read_bytes()).hexdigest() == record["image"]["sha256"]
    ]
    photo = Image.open(path).rotate(180)
    path.unlink()
    photo.save(path)
    with pytest.raises(
        ClaimError, match=rf"--corpora {corpora} there, {changed} now.*put a link to them at the old"
    ):
        run.build(recipe.load("demo"), run.BuildOptions(str(changed), str(out)))
    assert hashes(out) == hashes(dataset)
    claim = out / ".work" / "claim.json"
    claim.write_text(claim.read_text().replace(f'"{corpora}"', f'"{changed}"'))
    run.build(recipe.load("demo"), run.BuildOptions(str(changed), str(out)))
    before, after = hashes(dataset), hashes(out)
    shards = {r["shard"] for r in Dataset(dataset).table().to_pylist() if r["image_id"] == row["image_id"]}
    assert {name for name in before if name.endswith(".tar") and before[name] != after[name]} == shards
    assert verify(str(out)) == []


def test_a_new_category_moves_no_sample(corpora: str, tmp_path: Path) -> None:
    def rows(categories: str) -> dict[str, tuple[str, str]]:
        text = f'name = "x"\n[labels]\ncategories = [{categories}]\n[split]\ntrain = 6\nval = 2\ntest = 2\n'
        (tmp_path / "recipe.toml").write_text(text)
        out = str(tmp_path / str(len(categories)))
        run.build(recipe.load(str(tmp_path / "recipe.toml")), run.BuildOptions(corpora, out))
        table = Dataset(out).table(columns=["key", "split", "clip_id", "category"]).to_pylist()
        return {
            row["key"]: (row["split"], row["clip_id"]) for row in table if row["category"] in ("cat", "dog")
        }

    before = rows('"cat", "dog"')
    assert len(before) > 5
    assert rows('"cat", "dog", "bird", "horse"') == before


def test_samples_say_where_they_come_from(dataset: str, corpora: str) -> None:
    """Each member against the corpora, found by the ids in its record and read by other means."""
    sources = json.loads(Path(corpora, "lvis", "lvis_v1_train.json").read_text())
    images = {f"lvis:{image['id']}": image for image in sources["images"]}
    seen = 0
    for sample in Dataset(dataset).samples("train"):
        image = images.get(sample.record["image"]["id"])
        if image is None:
            continue
        seen += 1
        path = Path(corpora, "lvis", "images", *image["coco_url"].split("/")[-2:])
        assert sample.jpg == path.read_bytes()
        assert sample.record["image"]["width"] == image["width"]
        mask = np.asarray(Image.open(io.BytesIO(sample.mask_png)))
        assert mask.shape == (image["height"], image["width"])
        assert sample.record["mask"]["area_px"] == (mask == 255).sum()
        wanted = {
            f"lvis:{a['image_id']}_{a['id']}"
            for a in sources["annotations"]
            if f"lvis:{a['image_id']}" == sample.record["image"]["id"]
        }
        assert set(sample.record["mask"]["ids"]) <= wanted
        sound, rate = soundfile.read(io.BytesIO(sample.flac))
        assert rate == 16_000
        assert len(sound) / rate == sample.record["audio"]["duration_s"]
    assert seen > 5


def test_the_pool_lets_a_trainer_pair_again(dataset: str) -> None:
    """Epoch 0 of the published pool gives the frozen pairs; and a clip's bytes are those in the samples."""
    data = Dataset(dataset)
    pool = data.table(format.POOL_TABLE).to_pylist()
    clips = {clip["clip_id"]: clip for clip in pool}
    for row in data.table().to_pylist():
        ids = sorted(
            c["clip_id"] for c in pool if c["split"] == row["split"] and row["category"] in c["categories"]
        )
        assert (
            ids[hashing.pair(data.manifest.seed, 0, row["sample_id"], hashing.pool_hashes(ids))]
            == row["clip_id"]
        )
        assert data.read_member(clips[row["clip_id"]], "flac") == data.read_member(row, "flac")


def test_every_reader_reads_it(dataset: str) -> None:
    expected = {row["key"]: row for row in Dataset(dataset).table().to_pylist() if row["split"] == "train"}
    shards = sorted(str(path) for path in Path(dataset, "train").glob("*.tar"))
    assert len(shards) > 1

    members = Counter()
    for shard in shards:
        with tarfile.open(shard) as tar:
            members.update(name.partition(".")[0] for name in tar.getnames())
    assert members == dict.fromkeys(expected, 4)

    webdataset = pytest.importorskip("webdataset")
    found = {}
    for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
        found[sample["__key__"]] = sample
    assert found.keys() == expected.keys()
    for key, sample in found.items():
        assert (
            sample["jpg"].size == sample["mask.png"].size == (expected[key]["width"], expected[key]["height"])
        )
        assert sample["json"]["category"] == expected[key]["category"]

    datasets = pytest.importorskip("datasets")
    files = {"train": shards}
    stream = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    plain = datasets.Features(
        {**stream.features, "flac": datasets.Value("binary")}
    )  # Audio() needs torchcodec
    stream = datasets.load_dataset(
        "webdataset", data_files=files, split="train", streaming=True, features=plain
    )
    rows = list(stream)
    assert {row["__key__"] for row in rows} == expected.keys()
    for row in rows:
        assert row["jpg"].size == row["mask.png"].size
        assert soundfile.info(io.BytesIO(row["flac"])).samplerate == 16_000
        assert row["json"]["category"] == expected[row["__key__"]]["category"]


def test_held_out_lists_keep_videos_out_of_training(corpora: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, out))
    trained = sorted(
        {row["video_id"] for row in Dataset(out).table().to_pylist() if row["split"] == "train"}
    )[:3]
    (tmp_path / "held.csv").write_text("video_id,split\n" + "".join(f"{video},test\n" for video in trained))
    again = str(tmp_path / "again")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, again, held_out=(str(tmp_path / "held.csv"),)))
    pool = Dataset(again).table(format.POOL_TABLE).to_pylist()
    assert {clip["split"] for clip in pool if clip["video_id"] in trained} <= {"val", "test"}
    assert Dataset(again).manifest.held_out[-1] == {"list": "held.csv", "videos": 3, "own_leaks": {}}
    assert verify(again) == []


def test_a_dry_run_counts_and_writes_nothing(dataset: str, corpora: str, tmp_path: Path) -> None:
    before = sorted(path for path in Path(corpora).rglob("*"))
    counts = run.build(recipe.load("demo"), run.BuildOptions(corpora, str(tmp_path / "out"), dry_run=True))
    assert counts is not None
    assert not (tmp_path / "out").exists()
    assert sorted(path for path in Path(corpora).rglob("*")) == before
    planned = {(step["stage"], step["unit"]): step for step in finish.funnel(counts)}
    for step in Dataset(dataset).manifest.funnel:
        if step["stage"] in ("index", "categorize", "measure", "select"):
            assert planned[step["stage"], step["unit"]] == step


def test_a_limit_keeps_the_same_samples_each_time(dataset: str, corpora: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, out, limit=20))
    kept = {row["key"] for row in Dataset(out).table().to_pylist()}
    assert 10 <= len(kept) <= 20
    assert kept <= {row["key"] for row in Dataset(dataset).table().to_pylist()}
    assert verify(out) == []


def test_exact_sizes_and_caps(corpora: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'name = "x"\n[select]\nper_class_cap = 9\n[split]\ntrain = 20\nval = 5\ntest = 5\nexact = true\n'
    )
    out = str(tmp_path / "out")
    run.build(recipe.load(str(tmp_path / "r.toml")), run.BuildOptions(corpora, out))
    manifest = Dataset(out).manifest
    trimmed = {step["stage"]: step for step in manifest.funnel}
    assert trimmed["trim"]["kept"] <= 30
    per_class = Counter(row["category"] for row in Dataset(out).table().to_pylist())
    assert max(per_class.values()) <= 9
    assert trimmed["cap"]["rejected"].keys() == {"over_class_cap"}
    assert verify(out) == []


def test_no_sample_is_no_dataset_and_says_why(corpora: str, dataset: str, tmp_path: Path) -> None:
    silent, out = tmp_path / "corpora", tmp_path / "out"
    shutil.copytree(corpora, silent, ignore=shutil.ignore_patterns("clips"))
    told = r"select dropped all (\d+) clips, \1 as clip_missing \(put the clips where .*; pair dropped all \d+ samples"
    with pytest.raises(NoSamples, match=told):
        run.build(recipe.load("demo"), run.BuildOptions(str(silent), str(out)))
    assert not (out / "manifest.json").exists()
    rejections = pq.read_table(out / "rejections.parquet").to_pylist()
    assert {(row["stage"], row["unit"]) for row in rejections} >= {("select", "clips"), ("pair", "samples")}
    dry = CliRunner().invoke(
        main, ["build", "demo", "--corpora", str(silent), "--out", str(out), "--dry-run"]
    )
    assert dry.exit_code == 1
    assert "no sample is left: select dropped all" in dry.output
    shutil.copytree(Path(corpora, "vggsound", "clips"), silent / "vggsound" / "clips")
    run.build(recipe.load("demo"), run.BuildOptions(str(silent), str(out)))
    assert hashes(out) == hashes(dataset)


def test_every_rejection_says_what_it_is_of(dataset: str) -> None:
    """The unit by the id's own corpus, which the tables know by other means."""
    for row in Dataset(dataset).table(format.REJECTIONS).to_pylist():
        if row["stage"] in ("cap", "limit", "trim", "pair", "shard"):
            assert row["unit"] == "samples", row
        elif row["stage"] != "index":
            assert row["unit"] == ("clips" if row["item"].startswith("vggsound:") else "masks"), row
        else:
            assert row["unit"] == ("clips" if row["item"].startswith("vggsound") else "masks"), row


def test_another_dataset_is_never_touched(dataset: str, corpora: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    with pytest.raises(ClaimError, match="holds something else"):
        run.build(recipe.load("avs_synthetic"), run.BuildOptions(corpora, str(out)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ClaimError, match=r"is not empty \(thesis.tex\)"):
        run.build(recipe.load("demo"), run.BuildOptions(corpora, str(tmp_path / "mine")))
    assert hashes(out) == hashes(dataset)


def test_a_full_disk_stops_the_build_and_harms_nothing(dataset: str, corpora: str, tmp_path: Path) -> None:
    """No file may pass 100 kB: as a full disk, an OSError in the middle of a write."""
    out = str(tmp_path / "out")
    arguments = ["build", "demo", "--corpora", corpora, "--out", out]
    done = avs_data(
        *arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "What is written stays good: remove the cause and run the same command" in done.stderr
    assert not Path(out, "manifest.json").exists()
    assert not [path for path in Path(out).rglob("*.tmp")]
    assert avs_data(*arguments).returncode == 0
    assert hashes(out) == hashes(dataset)


def test_the_command_teaches(corpora: str, tmp_path: Path) -> None:
    def output(*arguments: str) -> str:
        result = CliRunner().invoke(main, [*arguments])
        assert result.exit_code != 0
        return result.output

    out = str(tmp_path / "out")
    assert "give the path of a TOML file or one of: " in output(
        "build", "nothing", "--corpora", corpora, "--out", out
    )
    assert "no corpus here; looked for lvis" in output(
        "build", "demo", "--corpora", str(tmp_path), "--out", out
    )
    assert not Path(out).exists()
    assert "cannot write to --out /proc/out" in output(
        "build", "demo", "--corpora", corpora, "--out", "/proc/out"
    )
    assert "holds no manifest.json" in output("verify", str(tmp_path))


def test_each_step_of_the_graph_has_a_name_of_its_own() -> None:
    """Two that share one make a graph that cannot be made, where a recipe and corpora need both."""
    labels = re.findall(r'"([A-Z][^"{}]+)"\s*>>', Path(graph.__file__).read_text())
    assert len(labels) > 40
    assert [label for label, number in Counter(labels).items() if number > 1] == []


def test_real_photos_masks_and_clips(mini: str, tmp_path: Path) -> None:
    out = str(tmp_path / "mini")
    run.build(recipe.load("avs_synthetic"), run.BuildOptions(mini, out))
    assert verify(out) == []
    manifest = Dataset(out).manifest
    assert manifest.counts["train"]["samples"] > 80
    assert {"dog", "cat", "horse", "bird", "car"} <= manifest.counts["train"]["categories"].keys()
    assert all(entry["videos"] is None for entry in manifest.held_out)
    assert pq.read_table(storage.join(out, format.SAMPLES)).num_rows > 90
