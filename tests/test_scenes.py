"""Datasets of scenes: what a record says of its sound and its targets, made again by other means."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import generated_shards
import numpy as np
import pytest
import soundfile
from PIL import Image
from pycocotools import mask as coco
from test_verify import edit_members, found

from shards import format, records
from shards.reader import Dataset, Sample
from shards.records import SampleRecord
from shards.verify import verify


@pytest.fixture(scope="module", params=[1, 2], ids=["mono", "stereo"])
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return generated_shards.write_scenes(tmp_path_factory.mktemp("scenes"), channels=request.param)


def of_kind(dataset: Dataset, kind: str) -> Sample:
    return next(sample for sample in dataset.samples() if sample.record["kind"] == kind)


def test_a_dataset_of_scenes_is_as_the_format_asks(generated: str) -> None:
    assert verify(generated, workers=1) == []
    dataset = Dataset(generated)
    kinds = {row["kind"]: row for row in dataset.table().to_pylist()}
    assert set(kinds) == {"single", "mixture", *records.NEGATIVES}
    for kind, row in kinds.items():
        assert (
            len(row["clip_ids"])
            == len(row["video_ids"])
            == {"mixture": 2, "silence": 0, "noise": 0}.get(kind, 1)
        )
        assert row["clip_id"] == (row["clip_ids"][0] if len(row["clip_ids"]) == 1 else None)
        assert (row["categories"] == []) == (row["area_px"] == 0) == (kind in records.NEGATIVES)
        assert row["category"] == "+".join(row["categories"])
    told = json.loads((Path(generated) / "manifest.json").read_bytes())
    assert told["classes"] == list(generated_shards.CATEGORIES)
    assert told["counts"]["train"]["samples"] == 10 != sum(told["counts"]["train"]["categories"].values())


def test_sound_and_targets_as_plain_numpy_makes_them(generated: str) -> None:
    dataset = Dataset(generated)
    clips = {row["clip_id"]: row for row in dataset.table(format.POOL_TABLE).to_pylist()}
    for sample in dataset.samples():
        record = sample.record
        heard, rate = soundfile.read(io.BytesIO(sample.flac), always_2d=True)
        assert (rate, len(heard)) == (16_000, 24_000)
        total = np.zeros_like(heard)
        for source in record["sources"]:
            if source["audio"] is None:
                continue
            clip, _ = soundfile.read(io.BytesIO(dataset.read_member(clips[source["audio"]["id"]], "flac")))
            clip = np.resize(clip[8_000:], 24_000) * 10 ** (source["gain_db"] / 20)
            if heard.shape[1] == 1:
                total[:, 0] += clip
            else:  # from the left: the right ear hears less, later
                late = round(11 * (0.5 - 0.25) * 2)
                assert source["delay"] == -late
                total[:, 0] += clip * 0.75
                total[late:, 1] += clip[:-late] * 0.25
        if record["kind"] == "noise":
            assert abs(20 * np.log10(heard[:, 0].std()) + (25 if heard.shape[1] == 1 else 31)) < 0.2
        else:
            assert np.abs(heard - total * record["sound"]["scale"]).max() < 2e-4
        mask, classes = (
            np.asarray(Image.open(io.BytesIO(png))) for png in (sample.mask_png, sample.classes_png)
        )
        drawn = np.zeros((*mask.shape, 1 + len(dataset.manifest.classes)), bool)
        for source in record["sources"]:
            for one in source["instances"]:
                rle = {"size": list(mask.shape), "counts": one["counts"].encode()}
                drawn[..., 1 + dataset.manifest.classes.index(source["category"])] |= coco.decode(rle) > 0
        number = np.where(drawn.sum(axis=2) > 1, 255, drawn.argmax(axis=2))
        assert (classes == number).all()
        assert ((mask == 255) == (number > 0)).all()
        assert (255 in number) == (record["kind"] == "mixture")


Change = Callable[[dict[str, bytes], SampleRecord], None]


def record_of(members: dict[str, bytes], change: Callable[[dict], None]) -> None:
    told = json.loads(members["json"])
    change(told)
    members["json"] = format.json_bytes(told)


def black(members: dict[str, bytes], name: str) -> None:
    buffer = io.BytesIO()
    Image.new("L", Image.open(io.BytesIO(members[name])).size).save(buffer, "PNG")
    members[name] = buffer.getvalue()


def flat(members: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    pcm, _ = soundfile.read(io.BytesIO(members["flac"]), dtype="int16")
    pcm[100] ^= 1
    soundfile.write(buffer, pcm, 16_000, format="FLAC", subtype="PCM_16")
    members["flac"] = buffer.getvalue()


DAMAGE: list[tuple[str, Callable[[dict[str, bytes]], None], str]] = [
    ("mixture", flat, "not what its sources give, rendered again from the pool"),
    ("noise", flat, "not what its sources give, rendered again from the pool"),
    (
        "single",
        lambda m: record_of(m, lambda r: r["sources"][0].update(gain_db=1.5)),
        "not what its sources give",
    ),
    ("mixture", lambda m: record_of(m, lambda r: r["sound"].update(clipped=7)), "clipped 7; rendered"),
    ("mixture", lambda m: black(m, "classes.png"), "classes.png: covers other pixels than mask.png"),
    (
        "single",
        lambda m: record_of(m, lambda r: r["sources"][0].update(instances=[])),
        "are not what mask.png covers",
    ),
    (
        "single",
        lambda m: record_of(m, lambda r: r.update(kind="noise")),
        "a source 'bell' with a clip in noise",
    ),
    ("mixture", lambda m: record_of(m, lambda r: r["sources"].pop()), "mixture of 1 sources"),
    (
        "off_screen",
        lambda m: record_of(m, lambda r: r["sources"][0].update(category="drum")),
        "drum hears gen:",
    ),
    (
        "off_screen",
        lambda m: record_of(m, lambda r: r["sources"].append(r["sources"][0])),
        "two sources hear one clip",
    ),
]


@pytest.mark.parametrize(("kind", "damage", "text"), DAMAGE, ids=[text for _, _, text in DAMAGE])
def test_what_contradicts_itself_is_found(
    kind: str, damage: Callable[[dict[str, bytes]], None], text: str, tmp_path: Path
) -> None:
    generated_shards.write_scenes(tmp_path / "a", samples=5)
    key = of_kind(Dataset(str(tmp_path / "a")), kind).key
    edit_members(tmp_path / "a", format.SAMPLES, lambda members: damage(members[key]))
    assert text in found(tmp_path / "a")


def test_a_sound_that_no_scene_has_is_not_rendered(tmp_path: Path) -> None:
    """Whatever a record asks for, no room is made for it."""
    generated_shards.write_scenes(tmp_path / "a", samples=5)
    key = of_kind(Dataset(str(tmp_path / "a")), "single").key
    for sound in ({"duration_s": 1e12}, {"channels": 10**9}, {"channels": 2, "pan_law": "round"}):

        def ask(members: dict[str, dict[str, bytes]], sound: dict = sound) -> None:
            record_of(members[key], lambda told: told["sound"].update(sound))

        edit_members(tmp_path / "a", format.SAMPLES, ask)
        assert "a sound of" in found(tmp_path / "a")


def test_a_record_is_of_a_scene_or_of_a_clip(generated: str) -> None:
    record = of_kind(Dataset(generated), "single").record
    mixed = {**record, "audio": record["sources"][0]["audio"]}
    for wrong in (mixed, {name: record[name] for name in record if name != "sound"}):
        with pytest.raises(records.RecordError, match="either `audio`, or `kind`, `sources` and `sound`"):
            records.decode(format.json_bytes(wrong), SampleRecord)
    plain = {name: mixed[name] for name in mixed if name not in ("kind", "sources", "sound")}
    read = records.decode(format.json_bytes(plain), SampleRecord)
    assert (read.kind, read.categories) == ("single", (record["category"],))
    (source,) = read.sources
    assert source.audio == read.audio
    assert (source.mask_ids, source.area_px, source.gain_db, source.pan) == (
        read.mask.ids,
        read.mask.area_px,
        0.0,
        0.5,
    )
