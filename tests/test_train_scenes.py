"""Scenes in training and measured: sounds mixed anew as a build mixes, negatives, a photo under several sounds."""

import itertools
import json
from collections import defaultdict
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from generated_shards import write_dataset
from test_train_commands import call
from test_verify import edit_manifest

from avs_train import assembly, scene_scores
from avs_train import config as configuration
from avs_train.data import decode
from avs_train.data.loader import Loader
from avs_train.data.order import SettingError
from avs_train.data.samples import few_shot, of_kinds, open_split
from avs_train.distributed import Place
from avs_train.evaluate import Evaluation, evaluate
from avs_train.losses import IGNORED, mask_loss, semantic_loss
from avs_train.metrics import score_frames
from pipelines.build.scene_sound import rules, sounded
from pipelines.recipes.recipe import recorded
from shards import format, records, storage
from shards.hashing import pair, pool_hashes
from shards.reader import Dataset
from shards.records import NEGATIVES, SampleRecord
from shards.scene_sound import part
from shards.sound import pcm_of

CPU = torch.device("cpu")
ALONE = Place(0, 0, 1, CPU)
SMALL = ("image_size=64", "audio.downmix=mean", "augment=false", "train.batch_size=4")
pytestmark = pytest.mark.usefixtures("one_thread")


def open_loader(url: str, *settings: str, workers: int = 0) -> Loader:
    config = configuration.load("tiny", [*SMALL, f"workers={workers}", *settings])
    return assembly.open_loader(config, open_split(url, "train"), assembly.open_embeddings(config, CPU), CPU)


def heard(
    loader: Loader, start: int, stop: int, rank: int = 0, world: int = 1
) -> list[dict[str, np.ndarray]]:
    """Of each batch, what each sample hears."""
    found = loader.training(start, stop, seed=0, batch_size=4, window=2, rank=rank, world=world)
    return [
        {key: one.waveforms[name] for key, name in zip(one.keys, one.clips, strict=True)} for one in found
    ]


def as_built(url: str, epoch: int) -> dict[str, np.ndarray]:
    """The sounds of an epoch by a plain loop: clips by the hash over sorted ids, mixed by the build's own function."""
    dataset = Dataset(url)
    recipe, clips = recorded(dataset.manifest), {}
    ids: dict[str, list[str]] = defaultdict(list)
    for row in dataset.table(format.POOL_TABLE).sort_by("clip_id").to_pylist():
        clips[row["clip_id"]] = row
        for name in row["categories"] if row["split"] == "train" else []:
            ids[name].append(row["clip_id"])
    found = {}
    for sample in dataset.samples("train"):
        record = msgspec.convert(sample.record, SampleRecord)
        taken: list[str] = []
        for source in record.sources if record.kind != "noise" else ():
            free = [one for one in ids[source.category] if one not in taken]
            drawn = records.paired_as(record, source)
            taken.append(free[pair(recipe.seed, epoch, drawn, pool_hashes(free))])
        how = rules(recipe)
        pcms = [part(pcm_of(dataset.read_member(clips[name], "flac")), how, name) for name in taken]
        if record.kind != "noise":  # whose noise is another one
            _, _, content = sounded(record.key, record.image.width, record.sources, pcms, recipe)
            found[record.key] = decode.waveform(content.data)
    return found


def test_each_epoch_hears_other_clips_mixed_as_a_build_mixes(scenes: str) -> None:
    frozen = {sample.key: decode.waveform(sample.flac) for sample in Dataset(scenes).samples("train")}
    loader = open_loader(scenes)
    epoch = len(loader.split) // 4
    first = {key: sound for batch in heard(loader, 0, epoch) for key, sound in batch.items()}
    assert all(np.array_equal(sound, frozen[key]) for key, sound in first.items())
    third, expected = heard(loader, 3 * epoch, 4 * epoch), as_built(scenes, 3)
    changed: dict[str, list[bool]] = defaultdict(list)
    kinds = dict(zip(*(loader.split.table.column(name).to_pylist() for name in ("key", "kind")), strict=True))
    for key, sound in itertools.chain.from_iterable(batch.items() for batch in third):
        changed[kinds[key]].append(not np.array_equal(sound, frozen[key]))
        if key in expected:
            assert np.array_equal(sound, expected[key])
    assert set(changed) == {"single", "mixture", *NEGATIVES}
    assert not any(changed["silence"])
    assert all(changed["noise"])
    assert all(sum(changed[kind]) > len(changed[kind]) / 2 for kind in ("single", "mixture", "off_screen"))
    assert not len(loader.embeddings)


def test_ranks_workers_and_resuming_hear_the_same(scenes: str) -> None:
    epoch = len(open_split(scenes, "train")) // 4
    whole = heard(open_loader(scenes), epoch - 2, epoch + 3)
    for world, workers, cut in ((2, 3, 0), (4, 1, 3)):
        parts = [
            heard(open_loader(scenes, workers=workers), epoch - 2 + cut, epoch + 3, rank, world)
            for rank in range(world)
        ]
        for step, expected in enumerate(whole[cut:]):
            found = {key: sound for part in parts for key, sound in part[step].items()}
            assert list(found) == list(expected)
            assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_frozen_reads_what_the_shards_hold(scenes: str) -> None:
    frozen = {sample.key: decode.waveform(sample.flac) for sample in Dataset(scenes).samples("train")}
    for batch in heard(open_loader(scenes, "data.audio=frozen"), 0, 5):
        assert all(np.array_equal(sound, frozen[key]) for key, sound in batch.items())


def test_a_clip_that_would_be_silent_is_passed_over(scenes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = open_loader(scenes)
    assert loader.remix
    rows = [loader.split.row(index) for index in range(len(loader.split))]
    row = next(row for row in rows if row.kind == "mixture")
    record = records.decode(loader.member("json", row.json), SampleRecord)
    real, asked = loader._clip, []

    def mute(clip_id: str) -> np.ndarray:
        asked.append(clip_id)
        return real(clip_id) * (len(asked) > 1)

    monkeypatch.setattr(loader.remix, "_clip", mute)
    assert loader.remix.sound(record, 2) is not None
    assert len(set(asked)) == len(record.sources) + 1
    monkeypatch.setattr(loader.remix, "_clip", lambda clip_id: 0 * real(clip_id))
    assert loader.remix.sound(record, 2) is None  # what the shard holds is heard


def test_kinds_and_fractions_take_samples_by_what_they_are(scenes: str) -> None:
    split = open_split(scenes, "train")
    chosen = of_kinds(split, ["single", "mixture"])
    assert set(chosen.counts) == {"single", "mixture"}
    assert sum(chosen.shard_sizes) == len(chosen) == split.counts["single"] + split.counts["mixture"]
    assert chosen.identity() != split.identity()
    with pytest.raises(SettingError, match=r"has no duet; it has \d+ mixture"):
        of_kinds(split, ["duet"])
    some = few_shot(split, 0.5)
    photos = [set(each.table.column("image_id").to_pylist()) for each in (some, split)]
    assert 0 < len(photos[0]) < len(photos[1])
    assert len(some) == sum(one in photos[0] for one in split.table.column("image_id").to_pylist())


def test_stereo_is_refused_unless_its_mean_is_asked_for(scenes: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")]
    said = call("fit", "tiny", "--data", scenes, *out, ok=False)
    assert "is stereo, and tiny hears mono: say audio.downmix=mean" in said
    said = call("fit", "tiny", "--data", scenes, *out, "kinds=duet", "audio.downmix=mean", ok=False)
    assert "data.kinds: train of" in said
    said = call("embed", "tiny", "--data", scenes, "--out", tmp_path / "table.parquet", ok=False)
    assert "scenes, which hear mixtures and no clip as it is" in said
    both = np.array([[1000, 3000], [-32768, 32767]] * 10_000, np.int16)
    assert np.allclose(decode.window_of(both)[:2], [2000 / 32768, -0.5 / 32768], atol=1e-7)


@pytest.mark.parametrize("setting", ["bce", "bce_iou"])
def test_the_loss_of_samples_without_target_is_its_definition(setting: str) -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(0, 2, (4, 8, 8)), np.zeros((4, 8, 8))
    truth[1, :4], truth[3, 2:5] = 1, 1
    expected = 0.0
    for z, g in zip(logits, truth, strict=True):
        p = 1 / (1 + np.exp(-z))
        expected -= np.mean(g * np.log(p) + (1 - g) * np.log(1 - p)) / 4
        if g.any():
            expected += (1 - np.sum(p * g) / np.sum(p + g - p * g)) / 4
        elif setting == "bce_iou":
            expected += (1 - np.sum((1 - p) * (1 - g)) / np.sum((1 - p) + (1 - g) - (1 - p) * (1 - g))) / 4
    found = mask_loss(torch.from_numpy(logits), torch.from_numpy(truth).byte(), negatives=setting)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("at", [-60.0, 0.0, 60.0])
def test_a_batch_without_any_target_trains_on(at: float) -> None:
    """Whatever is marked: the loss is finite, and its gradient marks less."""
    for setting in ("bce", "bce_iou"):
        logits = torch.full((2, 8, 8), at, requires_grad=True)
        loss = mask_loss(logits, torch.zeros(2, 8, 8, dtype=torch.uint8), negatives=setting)
        loss.backward()
        assert torch.isfinite(loss)
        assert (logits.grad >= 0).all()
        assert (logits.grad > 0).all() or at < 0
    for value in (0, IGNORED):
        classes = torch.full((2, 3, 4, 4), at, requires_grad=True)
        loss = semantic_loss(classes, torch.full((2, 8, 8), value, dtype=torch.uint8))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(classes.grad).all()


def plain_scores(kinds: list[str], photos: list[str], marked: np.ndarray, truth: np.ndarray) -> dict:
    """What `scene_scores.summary` says but for F, by loops. truth: of negatives what could sound."""
    iou = [np.sum(p & g) / max(1, np.sum(p | g)) for p, g in zip(marked, truth, strict=True)]
    of: dict[str, list[float]] = defaultdict(list)
    false, silent, lowest = defaultdict(list), defaultdict(list), defaultdict(list)
    for kind, photo, value, p, g in zip(kinds, photos, iou, marked, truth, strict=True):
        if kind in NEGATIVES:
            false[kind].append(p.sum() / p.size)
            silent[kind] += [value] if g.any() else []
        else:
            of[kind].append(value)
            lowest[photo].append(value)
    several = [min(values) for values in lowest.values() if len(values) > 1]
    p = np.mean([value for values in of.values() for value in values])
    q = {kind: 1 - np.mean(values) for kind, values in silent.items()}
    q["all"] = np.mean(list(q.values()))
    return {
        "mJ": {kind: np.mean(values) for kind, values in of.items()},
        "FPR": {kind: np.mean(values) for kind, values in false.items()},
        "IIoU": {
            "photos": len(several),
            "IIoU": np.mean(several),
            "success": np.mean([value >= 0.5 for value in several]),
        },
        "G-mIoU": {kind: 2 * p * value / (p + value) for kind, value in q.items()},
        "G-FPR": np.mean([np.mean(values) for values in false.values()]),
    }


def compare(found: dict, expected: dict) -> None:
    assert {kind: one["mJ"] for kind, one in found["positives"].items()} == pytest.approx(expected["mJ"])
    assert {kind: one["FPR"] for kind, one in found["negatives"].items()} == pytest.approx(expected["FPR"])
    assert found["IIoU"]["positives"] == pytest.approx(expected["IIoU"])
    assert found["G"]["G-mIoU"] == pytest.approx(expected["G-mIoU"])
    assert found["G"]["G-FPR"]["all"] == pytest.approx(expected["G-FPR"])


def test_scores_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    kinds = [*("single", "single", "mixture", *NEGATIVES) * 5, "single"]
    photos = [f"photo {index // 6}" for index in range(len(kinds))]
    truth = np.zeros((len(kinds), 16, 16), bool)
    for one in truth:
        y, x = rng.integers(0, 8, 2)
        one[y : y + 8, x : x + 8] = True
    truth[3] = False  # of a photo of which no single sample is there
    logits = np.where(truth, 1.0, -1.0) + rng.normal(0, 1.2, truth.shape)
    scores = score_frames(torch.from_numpy(logits).float(), torch.from_numpy(truth))
    found = scene_scores.summary(kinds, photos, [str(each) for each in range(len(kinds))], scores)
    compare(found, plain_scores(kinds, photos, logits > 0, truth))
    assert found["IIoU"]["positives"]["photos"] == 5
    assert 0 < found["negatives"]["silence"]["marked"] <= 1
    # Whoever marks the same whatever sounds, even rightly, gets nothing; nor who marks nothing.
    for always in (np.where(truth, 9.0, -9.0), np.full(truth.shape, -9.0)):
        scores = score_frames(torch.from_numpy(always).float(), torch.from_numpy(truth))
        told = scene_scores.summary(kinds, photos, [str(each) for each in range(len(kinds))], scores)
        assert told["G"]["G-mIoU"]["all"] == pytest.approx(0, abs=1e-9)


def test_photos_of_several_samples_have_iiou_without_scenes_too() -> None:
    """As IS3, imported: two samples of a photo, each with a clip of its own."""
    truth = np.zeros((3, 8, 8), bool)
    truth[:, :4] = True
    logits = np.where(truth, 2.0, -2.0)
    logits[1, :2] = -2.0
    scores = score_frames(torch.from_numpy(logits).float(), torch.from_numpy(truth))
    names = ("a", "b", "c")
    found = Evaluation(names, names, names, scores, np.empty((0, 0)), {}, ("single",) * 3, ("x", "x", "y"))
    assert found.summary()["IIoU"] == {"photos": 1, "IIoU": 0.5, "success": 1.0}
    assert "scenes" not in found.summary()


@pytest.fixture(scope="module")
def run(scenes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of training on every kind, with other clips each epoch."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "tiny"
    few = ["epochs=1", "fraction=0.1", "validate_first=false", "log_every=1", "workers=1"]
    said = call("fit", "tiny", "--data", scenes, "--out", out, *SMALL, *few)
    assert "val mJ" in said
    assert "val FPR" in said
    return out


def test_eval_tells_positives_and_negatives_apart(scenes: str, run: Path, tmp_path: Path) -> None:
    picture = tmp_path / "sounds.png"
    said = call("eval", run, "--data", scenes, "--split", "train", "--picture", picture)
    for text in (
        "nothing seen sounds",
        "off_screen",
        "IIoU (positives)",
        "G-mIoU: silence",
        "of",
        "positives of",
    ):
        assert text in said
    height, width, _ = cv2.imread(str(picture)).shape
    assert height > width > 500
    summary = json.loads((run / "eval-scenes-train.json").read_text())["summary"]
    settings, _ = assembly.open_settings(str(run))
    split = open_split(scenes, "train")
    model = assembly.open_model(settings, CPU).eval()
    predict = assembly.open_predict(settings, model, CPU)
    loader = assembly.open_loader(
        configuration.from_values(configuration.to_values(settings), "run", ["data.audio=frozen"]),
        split, assembly.open_embeddings(settings, CPU), CPU,
    )  # fmt: skip
    marked = np.zeros((len(split), 64, 64), bool)

    def keep(batch, shown):
        marked[list(batch.rows)] = shown.numpy() > 0

    again = evaluate(predict, loader, ALONE, batch_size=8, on_batch=keep)
    truth = np.zeros_like(marked)
    could: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((64, 64), bool))
    rows = split.table.to_pylist()
    samples = {sample.key: sample for sample in Dataset(scenes).samples("train")}
    one = np.empty((64, 64), np.uint8)
    for index, row in enumerate(rows):
        decode.mask(samples[row["key"]].mask_png, one)
        truth[index] = one > 0
        assert truth[index].any() or row["kind"] in NEGATIVES
        if row["kind"] == "single":
            could[row["image_id"]] |= one > 0
    for index, row in enumerate(rows):
        if row["kind"] in NEGATIVES:
            assert not truth[index].any()
            truth[index] = could[row["image_id"]]
    kinds, photos = [row["kind"] for row in rows], [row["image_id"] for row in rows]
    compare(summary["scenes"], plain_scores(kinds, photos, marked, truth))
    compare(again.summary()["scenes"], plain_scores(kinds, photos, marked, truth))
    assert summary["mJ"] == pytest.approx(again.mj)
    report = call("report", run.parent)
    assert "The same photos under several sounds" in report
    assert "G-mIoU = 2 p q / (p + q)" in report


def test_classes_of_scenes_train_and_are_measured(scenes: str, tmp_path: Path) -> None:
    number = 1 + len(Dataset(scenes).manifest.classes)
    few = ["epochs=1", "fraction=0.1", "validate_first=false", "workers=1", f"model.classes={number}"]
    call("fit", "tiny", "--data", scenes, "--out", tmp_path / "run", *SMALL, *few)
    said = call("eval", tmp_path / "run", "--data", scenes)
    assert "silence: FPR" in said


def test_a_dataset_of_version_1_still_streams(tmp_path: Path) -> None:
    url = write_dataset(tmp_path, {"train": 8})
    before = open_loader(url)
    rejections = tmp_path / "rejections.parquet"
    pq.write_table(pq.read_table(rejections).drop_columns("unit"), rejections)
    entry = {"rows": 0, "bytes": storage.size(str(rejections)), "sha256": storage.sha256(str(rejections))}
    edit_manifest(tmp_path, lambda told: told["tables"].update({rejections.name: entry}))
    edit_manifest(tmp_path, lambda told: told.update(format_version=1))
    assert before.split.counts == {"single": 8}
    for one, other in zip(heard(before, 0, 4), heard(open_loader(url), 0, 4), strict=True):
        assert list(one) == list(other)
        assert all(np.array_equal(one[key], other[key]) for key in one)
