"""The generated corpora read by others' readers: the lvis package, pandas, Pillow, PyAV, matplotlib's paths."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from lvis import LVIS
from matplotlib.path import Path as Outline
from PIL import Image
from real_data import LABELS

from label_maps import load
from pipelines.cli import main
from pipelines.demo import corpora as generator
from pipelines.demo import few_links, inventory, vggsound, write_demo_corpora
from pipelines.demo.scenes import Scene, _outlines, draw_numbers, drawing
from pipelines.demo.sounds import synthesise
from pipelines.demo.vocabulary import categories, sounding
from shards.reader import Dataset

IMAGES, CLIPS = 40, 6  # as conftest.py writes them


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def covered(scene: Scene) -> np.ndarray:
    """For each pixel the number of the thing that its centre shows, 0 for none: each polygon asked point by point."""
    y, x = np.mgrid[: scene.height, : scene.width] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    numbers = np.zeros(len(centres), int)
    for k, thing in enumerate(scene.things, start=1):
        for one in thing.drawings:
            for _, outline in _outlines(one):
                numbers[Outline(np.reshape(outline, (-1, 2)) / 3).contains_points(centres)] = k
    return numbers.reshape(scene.height, scene.width)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def lvis(corpora: str) -> dict[str, LVIS]:
    return {split: LVIS(f"{corpora}/lvis/lvis_v1_{split}.json") for split in ("train", "val")}


def test_lvis_masks_are_the_visible_parts_of_the_drawn_objects(lvis: dict[str, LVIS]) -> None:
    items = {900_001 + item.number: item for item in inventory.items(IMAGES)[0]}
    checked = 0
    for image_id, image in [pair for data in lvis.values() for pair in data.imgs.items()]:
        item = items[image_id]
        if item.role not in ("", "crowd", inventory.SHARED) or (not item.role and item.number % 3):
            continue
        data = next(data for data in lvis.values() if image_id in data.imgs)
        scene = inventory.scene(0, item)
        truth = covered(scene)
        assert truth.shape == (image["height"], image["width"])
        for annotation in data.img_ann_map[image_id]:
            k = annotation["id"] % 10
            assert annotation["category_id"] == categories()[scene.things[k - 1].category].lvis_id
            assert iou(data.ann_to_mask(annotation).astype(bool), truth == k) > 0.95
            x, y, width, height = annotation["bbox"]
            rows, columns = np.nonzero(truth == k)
            assert x == pytest.approx(columns.min(), abs=1.1)
            assert y == pytest.approx(rows.min(), abs=1.1)
            assert x + width == pytest.approx(columns.max() + 1, abs=1.1)
            assert y + height == pytest.approx(rows.max() + 1, abs=1.1)
            assert annotation["area"] == pytest.approx((truth == k).sum(), rel=0.05)
            checked += 1
    assert checked > 15


def test_lvis_photos_licences_and_faults(lvis: dict[str, LVIS], corpora: str) -> None:
    items = {900_001 + item.number: item for item in inventory.items(IMAGES)[0]}
    seen: Counter[str] = Counter()
    for split, data in lvis.items():
        terms = {licence["id"]: licence["url"] for licence in data.dataset["licenses"]}
        for image_id, image in data.imgs.items():
            role = items[image_id].role
            seen[role] += 1
            path = Path(corpora, "lvis", "images", *image["coco_url"].split("/")[-2:])
            assert path.parent.name == f"{split}2017"
            assert path.exists() == (role != "missing_photo")
            assert ("-nc" in terms[image["license"]]) == (role == "non_commercial")
            if role == "truncated_photo":
                with pytest.raises(OSError, match="truncated"):
                    Image.open(path).load()
            elif role != "missing_photo":
                photo = Image.open(path)
                photo.load()
                assert photo.size == (image["width"], image["height"])
            masks = [data.ann_to_mask(annotation) for annotation in data.img_ann_map[image_id]]
            if role in ("empty_mask", "outside"):
                assert masks[0].sum() == 0
                assert masks[1].sum() > 0
            if role == "tiny":
                assert 0 < masks[-1].mean() < 0.003
        ids = Counter(annotation["id"] for annotation in data.dataset["annotations"])
        twice = [number for number, count in ids.items() if count > 1]
        assert len(twice) == sum(items[image_id].role == "duplicate_id" for image_id in data.imgs)
    assert set(seen) == {"", *inventory.LVIS_FAULTS, inventory.SHARED}
    crowds = [a for data in lvis.values() for a in data.dataset["annotations"] if a.get("iscrowd")]
    assert len(crowds) == 1
    assert isinstance(crowds[0]["segmentation"], dict)


def test_open_images_masks_and_boxes(corpora: str) -> None:
    folder = Path(corpora, "open_images")
    masks = pd.read_csv(folder / "train-annotations-object-segmentation.csv")
    boxes = pd.read_csv(folder / "train-annotations-bbox.csv")
    images = pd.read_csv(folder / "train-images-boxable-with-rotation.csv").set_index("ImageID")
    names = dict(pd.read_csv(folder / "class-descriptions-boxable.csv", header=None).to_numpy())
    assert len(masks) == len(boxes) + 1, "one row stands twice"
    assert (boxes.IsGroupOf.sum(), boxes.IsDepiction.sum()) == (1, 1)
    assert images.License.str.contains("by-nc").sum() == 1
    roles = {image_id: title.partition(", ")[2] for image_id, title in images.Title.items()}
    other_sizes, checked = 0, 0
    for row in masks.drop_duplicates("MaskPath").itertuples():
        role = roles[row.ImageID].partition("/")[2] if "open_images/" in roles[row.ImageID] else ""
        assert row.LabelName in names
        if role in ("missing_mask", "missing_photo", "truncated_photo", "empty_mask", "other_shape"):
            continue
        mask, photo = (
            Image.open(folder / "masks" / row.MaskPath),
            Image.open(folder / "images" / f"{row.ImageID}.jpg"),
        )
        assert mask.mode == "1"
        other_sizes += mask.size != photo.size
        assert mask.width / mask.height == pytest.approx(photo.width / photo.height, rel=0.01)
        rows, columns = np.nonzero(np.asarray(mask))
        edges = (row.BoxXMin, row.BoxXMax, row.BoxYMin, row.BoxYMax)
        found = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        sizes = (mask.width, mask.width, mask.height, mask.height)
        assert np.allclose(edges, np.divide(found, sizes), atol=2.5 / min(mask.size))
        checked += 1
    assert checked > 20
    assert other_sizes > checked / 3
    by_role = {role: image_id for image_id, role in roles.items() if "/" in role}
    first = masks.drop_duplicates("ImageID").set_index("ImageID").MaskPath
    assert not (folder / "images" / f"{by_role['open_images/missing_photo']}.jpg").exists()
    assert not (folder / "masks" / first[by_role["open_images/missing_mask"]]).exists()
    assert not np.asarray(Image.open(folder / "masks" / first[by_role["open_images/empty_mask"]])).any()
    stretched = Image.open(folder / "masks" / first[by_role["open_images/other_shape"]])
    photo = Image.open(folder / "images" / f"{by_role['open_images/other_shape']}.jpg")
    assert stretched.width / stretched.height < 0.6 * photo.width / photo.height


def test_one_photograph_is_in_both_corpora(corpora: str) -> None:
    flickr = set()
    for path in Path(corpora, "lvis").glob("*.json"):
        images = json.loads(path.read_text())["images"]
        flickr |= {image["flickr_url"].split("/")[-1].split("_")[0] for image in images}
    images = pd.read_csv(Path(corpora, "open_images", "train-images-boxable-with-rotation.csv"))
    both = flickr & {url.split("/")[-1].split("_")[0] for url in images.OriginalURL}
    assert len(both) == 1


def test_clips_decode_in_every_format(corpora: str) -> None:
    folder = Path(corpora, "vggsound")
    rows = pd.read_csv(folder / "vggsound.csv", header=None, names=["id", "start", "label", "split"])
    assert "bird chirping, tweeting" in set(rows.label)
    assert set(rows.split) == {"train", "test"}
    assert rows.duplicated().sum() == 1
    labels = {label for category in categories().values() for label in category.vggsound_labels}
    assert set(rows.label) == labels | {"wind noise"}
    clips = {path.stem: path for path in (folder / "clips").iterdir()}
    names = {f"{row.id}_{row.start:06d}" for row in rows.itertuples()}
    assert len(names - set(clips)) == 1, "a missing clip"
    assert set(clips) <= names
    lengths, unreadable, silent = [], 0, 0
    kinds: set[tuple[str, int]] = set()
    for path in clips.values():
        try:
            with av.open(str(path)) as file:
                frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
                stream = file.streams.audio[0]
                sound = np.concatenate(frames, axis=1)
                sound = sound / 32768 if sound.dtype == np.int16 else sound
                samples = (
                    sound.shape[1]
                    if len(frames) and sound.shape[0] == stream.channels
                    else sound.size // stream.channels
                )
                lengths.append(samples / stream.rate)
                kinds.add((path.suffix, stream.channels))
                silent += np.abs(sound).max() < 1e-4
                assert len(file.streams.video) == (path.suffix == ".mp4")
        except av.FFmpegError:
            unreadable += 1
    assert (unreadable, silent) == (1, 1)
    assert {suffix for suffix, _ in kinds} == {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".mp4"}
    assert {channels for _, channels in kinds} == {1, 2}
    assert sum(length < 1 for length in lengths) == 1
    assert max(lengths) < 10.2


def test_every_fault_reaches_its_rejection(dataset: str) -> None:
    reasons = {reason for step in Dataset(dataset).manifest.funnel for reason in step["rejected"]}
    assert reasons >= {
        "duplicate_id", "label_not_in_map", "image_missing", "image_unreadable", "image_size_mismatch", "mask_missing",
        "mask_empty", "mask_outside_image", "mask_too_small", "crowd", "group_of", "depiction", "licence",
        "clip_missing", "audio_unreadable", "audio_too_short", "audio_silent",
    }  # fmt: skip


def test_only_the_sound_tells_which_object_is_meant() -> None:
    """A drawing's looks do not depend on its category, and most photos hold several categories that sound."""
    looks = {
        (one.angle, one.flipped, one.hue, one.accent_hue, one.lightness, one.size)
        for one in (drawing(3, "key", category, 0, 0, 50) for category in categories())
    }
    assert len(looks) == 1
    photos = [inventory.scene(0, item) for item in inventory.items(40)[0] if not item.role]
    several = [len({thing.category for thing in scene.things} & set(sounding())) > 1 for scene in photos]
    assert np.mean(several) > 0.65
    wide = [len({thing.category for thing in scene.things}) > 1 for scene in photos]
    assert np.mean(wide) > 0.75


def test_occluded_objects_have_smaller_masks_and_no_object_is_hidden() -> None:
    shares = []
    for item in inventory.items(60)[0]:
        photo = draw_numbers(inventory.scene(0, item))
        if not item.role:
            for k, alone in enumerate(photo.alone):
                visible = photo.mask(k, photo.scene.width, photo.scene.height).sum() / alone
                shares.append(visible)
    assert min(shares) > 0.55
    assert 0.1 < np.mean(np.array(shares) < 0.98) < 0.7


def test_sounds_are_told_apart_in_the_second_a_model_hears() -> None:
    """Nearest class mean on 48 log bands of [0.96, 1.935] s, each clip left out of its own class mean."""
    edges = np.unique(np.geomspace(4, 513, 50).astype(int))
    features, classes = [], []
    for category in sounding():
        for number in range(8):
            window = synthesise(0, category, number, 16_000, 2.5)[15_360:30_960]
            assert np.sqrt((window**2).mean()) > 0.005, (category, number)
            frames = np.lib.stride_tricks.sliding_window_view(window, 1024)[::160] * np.hanning(1024)
            power = np.abs(np.fft.rfft(frames)) ** 2
            bands = np.add.reduceat(power, edges[:-1], axis=1).T
            level = 10 * np.log10(bands / bands.max() + 1e-8)
            features.append(np.concatenate([level.mean(axis=1), level.std(axis=1)]))
            classes.append(category)
    table, names = np.array(features), np.array(classes)
    right = 0
    for k in range(len(table)):
        others = np.arange(len(table)) != k
        means = {name: table[others & (names == name)].mean(axis=0) for name in set(classes)}
        right += min(means, key=lambda name: np.linalg.norm(table[k] - means[name])) == names[k]
    assert right / len(table) > 0.95


def test_its_label_map_leaves_links_to_decide(tmp_path: Path) -> None:
    few_links.write(str(tmp_path))
    shipped = load("avs")
    few = load(tmp_path / few_links.FOLDER / f"{few_links.NAME}.csv")
    missing = set(shipped.links) - set(few.links)
    assert {link.category for link in missing} == set(few_links.LEFT_OUT)
    assert set(few.links) < set(shipped.links)


def test_the_same_bytes_from_one_process_or_two(tmp_path: Path) -> None:
    """All files; what is left unfinished, or was written with other options, leaves no trace."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert write_demo_corpora(str(one), seed=5, images=5, clips=1, workers=1)
    stale = two / "lvis" / "images" / "train2017" / "000000900099.jpg"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half a photo")
    options = {"clips": 2, "generator": 0, "images": 70, "seed": 6, "complete": False}
    (two / "demo_corpora.json").write_text(json.dumps(options))
    assert write_demo_corpora(str(two), seed=5, images=5, clips=1, workers=2)
    assert files(one) == files(two)
    assert not write_demo_corpora(str(two), seed=5, images=5, clips=1), "whole: left alone"
    assert files(one) == files(two)


def test_faults_come_on_top_of_what_is_asked_for() -> None:
    lvis_items, open_images_items = inventory.items(10)
    assert sum(not item.role for item in lvis_items + open_images_items) == 10
    assert sum(not clip.role for clip in vggsound.clips(2)) == 2 * len(sounding())


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lvis").mkdir()
    (tmp_path / "lvis" / "lvis_v1_train.json").write_text("real")
    with pytest.raises(
        generator.DemoCorporaError, match=r"holds files that are not generated corpora .* new or empty"
    ):
        write_demo_corpora(str(tmp_path), images=1, clips=1)
    failed = CliRunner().invoke(main, ["demo-corpora", "--out", str(tmp_path)])
    assert failed.exit_code == 1
    assert "name a new or empty folder" in failed.output
    assert files(tmp_path).keys() == {"lvis/lvis_v1_train.json"}
    with pytest.raises(generator.DemoCorporaError, match="at least 1 of each"):
        write_demo_corpora(str(tmp_path / "new"), images=0)


def test_the_real_lists_hold_the_categories_under_these_names() -> None:
    if not LABELS.is_dir():
        pytest.skip(f"no label lists at {LABELS}")
    known = {row["id"]: row for row in json.loads((LABELS / "lvis_v1_categories.json").read_text())}
    mids = set(pd.read_csv(LABELS / "openimages_class-descriptions-boxable.csv", header=None)[0])
    sounds = set(pd.read_csv(LABELS / "vggsound_stat.csv", header=None)[0])
    for category in categories().values():
        row = known[category.lvis_id]
        assert (row["name"], row["synset"]) == (category.lvis_name, category.lvis_synset)
        assert tuple(row["synonyms"]) == category.lvis_synonyms
        assert category.mid in mids
        assert set(category.vggsound_labels) <= sounds
