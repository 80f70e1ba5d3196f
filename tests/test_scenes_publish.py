"""Everything that shows, cuts or publishes a dataset, on one of scenes."""

import io
import json
from collections import Counter
from pathlib import Path

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools.coco import COCO
from test_publish_datasets import go, hashes

from pipelines.cli import main
from pipelines.publish import attribution, exports
from pipelines.publish.diff import diff
from pipelines.publish.edition import Profile
from pipelines.publish.explain import explain
from pipelines.publish.rehydrate import rehydrate
from pipelines.publish.takedown import takedown
from pipelines.stats import contact
from shards import records, storage
from shards.reader import Dataset
from shards.verify import verify


def of_kind(dataset: str, kind: str, split: str = "train") -> dict:
    rows = Dataset(dataset).table().to_pylist()
    return next(row for row in rows if (row["kind"], row["split"]) == (kind, split))


def record_of(dataset: str, row: dict) -> dict:
    return json.loads(Dataset(dataset).read_member(row, "json"))


def test_a_video_taken_down_leaves_every_scene_that_can_be_drawn_again(scenes: str, tmp_path: Path) -> None:
    mixture = of_kind(scenes, "mixture")
    gone, stays = mixture["clip_ids"][:2]
    out = str(tmp_path / "out")
    made = takedown(Dataset(scenes), out, [], [mixture["video_ids"][0]], "asked for")
    assert verify(out) == []
    before = {row["key"]: row for row in Dataset(scenes).table().to_pylist()}
    after = {row["key"]: row for row in Dataset(out).table().to_pylist()}
    touched = {key for key, row in before.items() if gone in row["clip_ids"]}
    assert {before[key]["sample_id"] for key in touched} == {*made.repaired, *made.dropped}
    assert mixture["key"] in after
    for key, row in after.items():
        assert gone not in row["clip_ids"]
        assert (row["flac_sha256"] == before[key]["flac_sha256"]) == (key not in touched)
        assert row["classes_png_sha256"] == before[key]["classes_png_sha256"]
    assert stays in after[mixture["key"]]["clip_ids"]
    changed = diff(Dataset(scenes), Dataset(out))
    assert {(change.kind, change.key) for change in changed.changes} == {
        *(("re-paired", key) for key in touched & set(after)), *(("removed", key) for key in touched - set(after))
    }  # fmt: skip
    assert {change.cause for change in changed.changes if change.kind == "re-paired"} == {"takedown"}


def test_an_edition_without_sounds_comes_back_byte_for_byte(
    scenes: str, corpora: str, tmp_path: Path
) -> None:
    go(scenes, "1.0.0", tmp_path / "to", profile=Profile(reference_only=("audio",)))
    edition, out = tmp_path / "to" / "1.0.0", tmp_path / "out"
    assert rehydrate(str(edition), corpora, str(out), lambda *_: None) == []
    assert hashes(out) == {path: sha for path, sha in hashes(scenes).items() if path in hashes(out)}
    assert "manifest.json" in hashes(out)


def test_a_published_version_tells_kinds_clips_and_classes(scenes: str, tmp_path: Path) -> None:
    go(scenes, "1.0.0", tmp_path / "to")
    root = tmp_path / "to" / "1.0.0"
    card = (root / "README.md").read_text()
    kinds = Counter(Dataset(scenes).table()["kind"].to_pylist())
    assert all(f"{kind} {number}" in card for kind, number in kinds.items())
    assert "16 kHz stereo" in card
    assert "KEY.classes.png" in card
    loaded = mlcroissant.Dataset(jsonld=str(root / "croissant.json"))
    assert not loaded.metadata.issues.errors
    described = json.loads((root / "croissant.json").read_text())
    assert "train-classes" in {one["@id"] for one in described["recordSet"]}
    told = Counter(row["key"] for row in pq.read_table(root / attribution.ATTRIBUTION).to_pylist())
    clips = {row["key"]: max(1, len(row["clip_ids"])) for row in Dataset(scenes).table().to_pylist()}
    assert told == clips


def test_licences_of_several_clips_must_all_be_allowed(scenes: str) -> None:
    assert attribution.allowed("cc-by-4.0 AND cc-by-sa-3.0", ["cc-by", "cc-by-sa"])
    assert not attribution.allowed("cc-by-4.0 AND cc-by-nc-3.0", ["cc-by", "cc-by-sa"])
    row = of_kind(scenes, "silence")
    assert row["audio_licence"] == "cc0"


@pytest.mark.parametrize("kind", ["mixture", "off_screen", "noise", "silence"])
def test_explain_tells_each_source(kind: str, scenes: str) -> None:
    row = of_kind(scenes, kind)
    (story,) = [story for story in explain(Dataset(scenes), row["key"]) if row["sample_id"] in story.title]
    told = record_of(scenes, row)["sources"]
    assert story.sections["sound"]["kind"] == kind
    assert len([name for name in story.sections if name.startswith("source ")]) == len(told)
    for place, source in enumerate(told, start=1):
        section = story.sections[f"source {place}"]
        assert section["category"] == (source["category"] or "noise")
        assert f"{source['gain_db']:+.1f} dB, pan {source['pan']:g}" in section["heard"]
    drawn = [text for name, text in story.sections["pairing"].items() if name.startswith("drawn again")]
    assert len(drawn) == len(row["clip_ids"])
    assert kind == "off_screen" or all("the same" in text for text in drawn)
    if row["clip_ids"]:
        assert row["key"] in " ".join(one.title for one in explain(Dataset(scenes), row["video_ids"][0]))


def test_the_page_and_the_sheet_show_what_is_heard(scenes: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["stats", scenes, "--out", str(tmp_path / "stats"), "--samples", "30"])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "stats" / "index.html").read_text()
    for kind, number in Counter(Dataset(scenes).table()["kind"].to_pylist()).items():
        assert f"<td>{kind}</td>" in page
        assert f'<td class="n">{number:,}</td>' in page
    assert "seen and heard together" in page
    assert page.count("<audio controls") == 30
    shown = list(contact.cards(Dataset(scenes), 36))
    for card in shown:
        if card.record["kind"] != "mixture":
            continue
        colours = {colour for _, colour in card.caption}
        assert len(colours) == len(card.record["sources"])
        pixels = {tuple(pixel) for pixel in np.asarray(card.picture).reshape(-1, 3).tolist()}
        assert colours <= pixels, card.key  # the outline of each source has its colour
    assert {card.record["kind"] for card in shown} == {"single", "mixture", *records.NEGATIVES}
    assert (
        Image.open(io.BytesIO(storage.read_bytes(str(tmp_path / "stats" / "contact_sheet.png")))).width > 500
    )


def test_coco_and_fiftyone_have_each_source(scenes: str, tmp_path: Path) -> None:
    exports.export(Dataset(scenes), "coco", str(tmp_path / "coco"), lambda *_: None)
    coco = COCO(str(tmp_path / "coco" / "annotations" / "instances_train.json"))
    by_key = {one["key"]: one for one in coco.loadImgs(coco.getImgIds())}
    exports.export(Dataset(scenes), "fiftyone", str(tmp_path / "fiftyone"), lambda *_: None)
    rows = {
        one["key"]: one for one in json.loads((tmp_path / "fiftyone" / "samples.json").read_text())["samples"]
    }
    for sample in Dataset(scenes).samples("train"):
        image = by_key.pop(sample.key)
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        seen = [source for source in sample.record["sources"] if source["mask_ids"]]
        names = [coco.loadCats(one["category_id"])[0]["name"] for one in found]
        assert names == [source["category"] for source in seen]
        assert [one["label"] for one in rows[sample.key]["ground_truth"]["detections"]] == names
        with Image.open(io.BytesIO(sample.mask_png)) as mask:
            whole = np.asarray(mask) > 0
        joined = np.logical_or.reduce(
            [np.zeros(whole.shape, bool), *(coco.annToMask(one) > 0 for one in found)]
        )
        assert (joined == whole).all()
        assert (image["kind"], sample.record["kind"]) == (rows[sample.key]["tags"][1], image["kind"])
        for root, path in (("coco", image["audio"]), ("fiftyone", rows[sample.key]["audio_path"])):
            assert (tmp_path / root / path).read_bytes() == sample.flac
    assert not by_key
