"""Killed where a file gets its name, and run again: the same bytes, no litter, no folder refused.

`tests/benchmarks/bench_kills.py` prints the table of all commands.
"""

import shutil
from pathlib import Path

import local_site
import pytest
import test_fetch_run
import torch
from generated_shards import write_dataset
from judged import answer_all, mostly_right, queue_of
from kills import Call, Kills, killed, litter, run
from review_world import CATTLE, COW, COWBELL, make_world
from test_imports import S4_VIDEOS, SECONDS, mask, picture, table, wav

from avs_train import checkpoints
from avs_train import config as configuration
from avs_train.models import build_model
from avs_train.run_folder import RunFolder
from pipelines.publish.edition import Profile
from pipelines.publish.release import Options, publish
from pipelines.publish.version import Version
from pipelines.review.records import Answer
from shards import storage
from shards.reader import Dataset
from shards.verify import verify

COMMANDS = (
    *(
        "takedown",
        "rehydrate",
        "publish",
        "publish the next",
        "export",
        "stats",
        "build",
        "build --base",
        "build --workers 2",
        "index",
    ),
    *("browse --export", "judge draw", "judge export", "judge flags"),
    *("demo-corpora", "import", "match", "fetch", "review import", "review apply"),
    *("checkpoints", "train fit", "train eval", "train embed", "train convert"),
)
SMALL = ["train.epochs=3", "model.image_size=64", "train.batch_size=4", "data.workers=0", "train.save_every=1",
         "train.tensorboard=false", "evaluate.pictures=0", "train.validate_every=1"]  # fmt: skip


@pytest.fixture
def site(tmp_path: Path):
    root = test_fetch_run.write_site(tmp_path / "site")
    with local_site.start(root) as address:
        yield address


def call_of(name: str, dataset: str, corpora: str, address: str, folder: Path) -> Call:
    """A command that writes to the folder where it runs; `folder` gets what it reads."""
    folder.mkdir(parents=True)
    given = folder / "given"
    match name:
        case "takedown":
            video = Dataset(dataset).table()["video_id"][0].as_py()
            return Call(["takedown", dataset, f"--video={video}", "--reason", "asked", "--out", "out"])
        case "rehydrate":
            profile = Profile(reference_only=("audio",))
            publish(dataset, Options(Version.parse("1.0.0"), str(folder), profile), lambda *_: None)
            return Call(["rehydrate", f"{folder}/1.0.0", "--corpora", corpora, "--out", "out"])
        case "publish":
            return Call(["publish", dataset, "--version", "1.0.0", "--to", "out", "--workers", "1"])
        case "publish the next":
            publish(dataset, Options(Version.parse("1.0.0"), str(given / "out")), lambda *_: None)
            return Call(["publish", dataset, "--version", "1.1.0", "--to", "out", "--workers", "1"], given)
        case "export":
            return Call(["export", dataset, "--format", "fiftyone", "--out", "out"])
        case "stats":
            return Call(["stats", dataset, "--out", "out", "--samples", "4"])
        case "build":
            return Call(["build", "demo", "--corpora", corpora, "--out", "out"])
        case "build --base":
            return Call(["build", "demo", "--corpora", corpora, "--out", "out", "--base", dataset])
        case "build --workers 2":
            return Call(["build", "demo", "--corpora", corpora, "--out", "out", "--workers", "2"])
        case "browse --export":
            return Call(["browse", dataset, "--export", "out", "--samples", "6"])
        case "judge draw":
            return Call(["judge", "draw", dataset, "--queue", "judge.sqlite", "--sample", "6"])
        case "judge export" | "judge flags":
            _, queue = queue_of(folder)
            answer_all(queue, "anna", mostly_right(0))
            return Call(
                [
                    *name.split(),
                    "--queue",
                    queue,
                    "--out",
                    "out" + (".parquet", ".csv")[name == "judge flags"],
                ]
            )
        case "index":
            return Call(["index", "--corpora", corpora, "--out", "out"])
        case "demo-corpora":
            return Call(["demo-corpora", "--out", "out", "--images", "4", "--clips-per-category", "1"])
        case "import":
            _write_s4(folder / "S4")
            return Call(["import", "avsbench", str(folder / "S4"), "--out", "out"])
        case "match":
            _write_labels(folder)
            return Call(["match", "--labels", str(folder), "--out", "out/proposals.csv"])
        case "fetch":
            return Call(["out", address, 12], function=test_fetch_run.run_all)
        case "review import":
            review = make_world(folder, media=False)
            words = ["--queue", "review.sqlite", "--map", str(review.map_path)]
            return Call(["review", "import", review.proposals_path, *words])
        case "review apply":
            _decide(folder / "world", given)
            return Call(["review", "apply", "--queue", "review.sqlite", "--map", "maps/small.csv"], given)
        case "checkpoints":
            return Call(["out"], function=save_four)
        case "train fit" | "train embed" | "train eval":
            generated = write_dataset(folder / "generated", {"train": 4, "val": 2, "test": 2}, size=64)
            fit = ["train", "fit", "tiny", "--data", generated, "--out", "out", *SMALL]
            if name == "train embed":
                return Call(["train", "embed", "tiny", "--data", generated, "--out", "embeddings.parquet"])
            if name == "train eval":
                run(Call(fit), given)
                return Call(["train", "eval", "out", "--data", generated, "--split", "test"], given)
            return Call(fit)
        case "train convert":
            model = build_model(configuration.load("tiny", SMALL[1:2]).model)
            checkpoints.write(folder / "weights.pth", model.state_dict(), {})
            return Call(["train", "convert", f"{folder}/weights.pth", "out.safetensors"])
    raise ValueError(name)


def save_four(out: str) -> None:
    """A run of four steps, each of which ends with a checkpoint; the first and the third are the best so far."""
    folder = RunFolder(out)
    folder.clean()
    saved = folder.load()
    state = saved.state if saved else {"step": 0, "best": None}
    for step in range(state["step"] + 1, 5):
        measured = {"mJ": (0.2, 0.1, 0.3, 0.2)[step - 1], "step": step}
        better = state["best"] is None or measured["mJ"] > state["best"]["mJ"]
        state = {"step": step, "best": measured if better else state["best"]}
        folder.save(step, {"a": torch.full((2,), float(step))}, {"b": torch.zeros(2)}, state, better)


def _write_labels(folder: Path) -> None:
    (folder / "vggsound_stat.csv").write_text("dog barking,1,animals\ncattle mooing,1,animals\n")
    (folder / "lvis_v1_categories.json").write_text(
        '[{"id": 378, "name": "dog", "synset": "dog.n.01", "synonyms": ["dog"], "def": "a dog"}]'
    )


def _write_s4(folder: Path) -> None:
    for split, name in S4_VIDEOS.items():
        below = f"s4_data/{{}}/{split}/dog/{name}"
        wav(folder / f"{below.format('audio_wav')}.wav", SECONDS)
        for frame in range(1, 6):
            picture(folder / below.format("visual_frames") / f"{name}_{frame}.png")
            mask(folder / below.format("gt_masks") / f"{name}_{frame}.png")
    rows = [[name, 0, "dog", split] for split, name in S4_VIDEOS.items()]
    table(folder / "s4_meta_data.csv", ["name", "start", "category", "split"], rows)


def _decide(folder: Path, given: Path) -> None:
    """A queue and its map in `given`, with links that were accepted and rejected."""
    made = make_world(folder, media=False)
    with made.open() as queue:
        for key, answer in (
            (COW, Answer("accept", "cow")),
            (CATTLE, Answer("accept", "cow")),
            (COWBELL, Answer("reject")),
        ):
            queue.decide(queue.find(("vggsound", "cattle mooing", *key)).id, "anna", answer)
    shutil.copytree(folder, given)


def all_same(found: Kills) -> None:
    assert not found.wrong, found
    assert found.kills == found.same


@pytest.mark.parametrize(
    ("name", "seams"),
    [
        ("takedown", ("replace", "link")),
        ("review apply", ("replace",)),
        pytest.param("train convert", (), marks=pytest.mark.slow),  # 27 s
        ("checkpoints", ("symlink", "replace")),
    ],
)
def test_killed_at_four_places(name: str, seams: tuple[str, ...], dataset: str, tmp_path: Path) -> None:
    call = call_of(name, dataset, "", "", tmp_path / "read")
    found = killed(call, tmp_path / "runs", 4, seams)
    all_same(found)
    assert found.kills >= 2
    for manifest in tmp_path.glob("runs/*/out/manifest.json"):
        assert verify(str(manifest.parent)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_twenty_places(name: str, dataset: str, corpora: str, site: str, tmp_path: Path) -> None:
    call = call_of(name, dataset, corpora, site, tmp_path / "read")
    found = killed(call, tmp_path / "runs", 20)
    all_same(found)
    assert found.kills >= min(20, found.places) - 2  # threads may come by a few calls less


@pytest.mark.slow
def test_another_publisher_may_follow_one_that_was_killed(dataset: str, tmp_path: Path) -> None:
    """Killed while it owns the target, by a version that is not wanted any more."""

    def of(version: str) -> Call:
        return Call(["publish", dataset, "--workers", "1", "--to", "out", "--version", version])

    assert run(of("1.0.0"), tmp_path) is not None
    shutil.copytree(tmp_path / "out", tmp_path / "other" / "out")
    seen = run(of("1.1.0"), tmp_path / "other")
    assert seen is not None
    links = [number for number, name in enumerate(seen, start=1) if name == "link"]
    assert run(of("1.1.0"), tmp_path, links[-1]) is None  # the last one seals
    assert run(of("1.2.0"), tmp_path) is not None
    out = tmp_path / "out"
    assert verify(str(out / "1.2.0")) == []
    assert storage.listing(str(out))[1] == [".publish", "1.0.0", "1.1.0", "1.2.0"]
    assert litter(out / "1.2.0") == []
