"""Versions of a dataset: refused when they must be, compared by record, cut, referenced, described and loaded."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections import Counter
from dataclasses import replace
from itertools import islice, permutations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from pycocotools.coco import COCO
from test_verify_depths import forge

from pipelines.build import run
from pipelines.cli import main
from pipelines.corpora import registry
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.imports import vpo
from pipelines.publish import attribution, exports, facts
from pipelines.publish.availability import snapshot
from pipelines.publish.diff import diff
from pipelines.publish.edition import Profile, PublishError
from pipelines.publish.explain import explain
from pipelines.publish.profiles import with_licences
from pipelines.publish.rehydrate import rehydrate
from pipelines.publish.release import Options, Report, publish
from pipelines.publish.takedown import takedown
from pipelines.publish.version import Version, VersionError
from pipelines.recipes import recipe
from shards import claims, format, hashing, manifest, new_dataset, storage, tables
from shards.manifest import DatasetError
from shards.new_dataset import NoSamples
from shards.reader import Dataset
from shards.verify import verify


def go(dataset: str | Path, version: str, to: Path, **options) -> Report:
    return publish(str(dataset), Options(Version.parse(version), str(to), **options), lambda *_: None)


def hashes(root: str | Path) -> dict[str, str]:
    files = [path for path in Path(root).rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path.relative_to(root)): storage.sha256(str(path)) for path in files}


def test_every_corpus_and_every_import_is_cited():
    works = tomllib.loads(facts.REFERENCES.read_text())["work"]
    imports = "".join(path.read_text() for path in Path(vpo.__file__).parent.glob("*.py"))
    named = set(re.findall(r'Found\(\s*"(\w+)"', imports))
    named |= {subset.lower().replace("-", "_") for subset in vpo.SUBSETS}
    named |= {name for name in registry.corpora() if not name.startswith("folder_")}
    assert named == {name for work in works for name in work["of"]} - {"all"}


def test_versions_order_as_semver_says() -> None:
    """The chain of semver.org, section 11."""
    chain = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
    ]
    chain += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]
    for (low, a), (high, b) in permutations(enumerate(chain), 2):
        assert (Version.parse(a) < Version.parse(b)) == (low < high), (a, b)
    for text in ("1.0", "v1.0.0", "1.0.0+build", "01.0.0", "1.0.0-01", "1.0.0-", "latest", "", "1.0.0\n"):
        with pytest.raises(VersionError, match=re.escape(repr(text))):
            Version.parse(text)


def test_a_damaged_half_built_or_leaking_dataset_is_refused(dataset: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    shard = copy / Dataset(dataset).manifest.shards[0].path
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    with pytest.raises(PublishError, match=f"(?s){shard.name}.*avs-data verify"):
        go(copy, "1.0.0", tmp_path / "to")
    shutil.copy(Path(dataset) / "train" / shard.name, shard)
    (copy / "train" / "train-000042.tar").write_bytes(b"")
    with pytest.raises(PublishError, match="not in the manifest"):
        go(copy, "1.0.0", tmp_path / "to")
    (copy / "train" / "train-000042.tar").unlink()
    forge(copy, "mask.png", lambda content: content[:40] + bytes(20) + content[60:])
    assert verify(str(copy), deep=False) == []  # hashed when it was wrong already
    with pytest.raises(PublishError, match="does not decode"):
        go(copy, "1.0.0", tmp_path / "to")
    (copy / "manifest.json").unlink()
    with pytest.raises(DatasetError, match="build has not finished"):
        go(copy, "1.0.0", tmp_path / "to")
    pool = Dataset(dataset).table(format.POOL_TABLE).to_pylist()
    heard = next(row["video_id"] for row in pool if row["split"] == "train" and len(row["video_id"]) == 11)
    held_out = tmp_path / "avsbench.csv"
    held_out.write_text(f"name,split\n{heard}_000010,test\n")
    with pytest.raises(PublishError, match=f"{heard}.*build again with --held-out"):
        go(dataset, "1.0.0", tmp_path / "to", held_out=(str(held_out),))
    assert not (tmp_path / "to").exists()


def test_a_published_version_never_changes(dataset: str, tmp_path: Path) -> None:
    to = tmp_path / "to"
    go(dataset, "1.0.0", to)
    before = hashes(to)
    image = Dataset(dataset).table(columns=["image_id"])["image_id"][0].as_py()
    takedown(Dataset(dataset), str(tmp_path / "less"), [image], [], "asked for")
    with pytest.raises(PublishError, match=r"has version 1\.0\.0 already, with other content"):
        go(tmp_path / "less", "1.0.0", to)
    with pytest.raises(PublishError, match="go backwards"):
        go(tmp_path / "less", "0.9.0", to)
    assert hashes(to) == before
    assert json.loads((to / "latest.json").read_text()) == {"version": "1.0.0"}


def test_takedown_leaves_all_else_and_stays(corpora: str, dataset: str, tmp_path: Path) -> None:
    """Against plain loops over the rows: what must go, what must be drawn again, and nothing besides."""
    to, less = tmp_path / "to", tmp_path / "less"
    source = Dataset(dataset)
    rows = source.table().to_pylist()
    pool = source.table(format.POOL_TABLE).to_pylist()
    heard = Counter(row["video_id"] for row in rows)
    video = next(video for video, _ in heard.most_common())
    records = {row["key"]: json.loads(source.read_member(row, "json")) for row in rows}
    image = next(record["image"] for record in records.values() if record["image"]["photo_keys"])
    names = {image["id"], *image["photo_keys"]}
    gone = {key for key, one in records.items() if names & {one["image"]["id"], *one["image"]["photo_keys"]}}

    command = ["takedown", dataset, "--image", image["photo_keys"][0], "--video", video]
    result = CliRunner().invoke(main, [*command, "--reason", "the owner asked", "--out", str(less)])
    assert result.exit_code == 0, result.output
    assert verify(str(less)) == []
    after = {row["key"]: row for row in Dataset(str(less)).table().to_pylist()}
    clips = sorted(clip["clip_id"] for clip in pool if clip["video_id"] != video)
    by_id = {clip["clip_id"]: clip for clip in pool}
    for row in rows:
        if row["key"] in gone:
            assert row["key"] not in after
            continue
        mine = [
            clip
            for clip in clips
            if by_id[clip]["split"] == row["split"] and row["category"] in by_id[clip]["categories"]
        ]
        if row["video_id"] != video:
            for name in (
                "clip_id",
                "flac_sha256",
                "jpg_sha256",
                "mask_png_sha256",
                "json_sha256",
                "split",
                "shard",
            ):
                assert after[row["key"]][name] == row[name]
        elif mine:
            drawn = mine[hashing.pair(source.manifest.seed, 0, row["sample_id"], hashing.pool_hashes(mine))]
            assert after[row["key"]]["clip_id"] == drawn
        else:
            assert row["key"] not in after
    touched = {row["shard"] for row in rows if row["key"] in gone or row["video_id"] == video}
    old = {entry.path: entry.sha256 for entry in source.manifest.shards}
    new = {entry.path: entry.sha256 for entry in Dataset(str(less)).manifest.shards}
    assert {path for path in old if new.get(path) != old[path]} == touched

    go(dataset, "1.0.0", to)
    report = go(less, "1.0.1", to)
    causes = {change.cause for change in report.diff.changes}
    assert causes <= {"takedown", "no clip left"}
    assert "the owner asked" in (to / "1.0.1" / "CHANGELOG.md").read_text()
    with pytest.raises(PublishError, match=r"brings back what was taken down.*the owner asked"):
        go(dataset, "1.1.0", to)
    words = [
        "build",
        "demo",
        "--corpora",
        corpora,
        "--out",
        str(tmp_path / "next"),
        "--base",
        str(to / "1.0.1"),
    ]
    built = CliRunner().invoke(main, words)
    assert built.exit_code == 0, built.output
    assert "2 photo(s) and video(s) that were taken down" in built.stderr
    assert verify(str(tmp_path / "next")) == []
    assert set(Dataset(str(tmp_path / "next")).table()["key"].to_pylist()) <= set(after)
    lost = Dataset(str(tmp_path / "next")).table(format.REJECTIONS).to_pylist()
    assert {row["unit"] for row in lost if row["reason"] == "taken_down"} == {"masks", "clips"}
    assert go(tmp_path / "next", "1.1.0", to).state == "published"
    with pytest.raises(DatasetError, match="has no lvis:0"):
        takedown(source, str(tmp_path / "x"), ["lvis:0"], [], "r")


def test_a_takedown_of_a_damaged_or_of_all_samples_is_refused(dataset: str, tmp_path: Path) -> None:
    source = Dataset(dataset)
    images = source.table()["image_id"].to_pylist()
    with pytest.raises(NoSamples, match=r"takedown dropped all \d+ samples, \d+ as taken_down"):
        takedown(source, str(tmp_path / "none"), images, [], "asked for")
    assert not (tmp_path / "none" / "manifest.json").exists()
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    row, other = [row for row in source.table().to_pylist() if row["shard"] == "train/train-000000.tar"][:2]
    shard = copy / row["shard"]
    content = bytearray(shard.read_bytes())
    content[other["jpg_offset"] + other["jpg_size"] // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match=f"{row['shard']} is damaged: {other['key']}.jpg"):
        takedown(Dataset(str(copy)), str(tmp_path / "less"), [row["image_id"]], [], "asked for")
    assert not (tmp_path / "less" / "manifest.json").exists()


def test_no_command_writes_into_a_folder_of_something_else(
    dataset: str, corpora: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    before = hashes(copy)
    image = Dataset(dataset).table()["image_id"][0].as_py()
    go(dataset, "1.0.0", tmp_path / "to", profile=Profile(reference_only=("audio",)))
    told = CliRunner().invoke(main, ["verify", str(tmp_path / "to" / "1.0.0")])
    assert "rehydrate" in told.output + str(told.exception)
    for command in (
        ["takedown", dataset, "--image", image, "--reason", "asked"],
        ["rehydrate", str(tmp_path / "to" / "1.0.0"), "--corpora", corpora],
        ["export", dataset, "--format", "coco"],
        ["stats", dataset],
        ["index", "--corpora", corpora],
    ):
        result = CliRunner().invoke(main, [*command, "--out", str(copy)])
        assert result.exit_code == 1
        assert "holds something else (" in result.output + str(result.exception), command
        assert hashes(copy) == before


def test_empty_datasets_are_told(dataset: str, tmp_path: Path) -> None:
    """A version before this one may have made one."""
    made = manifest.load(dataset)
    none: dict[str, manifest.SplitCounts] = {
        split: {"samples": 0, "categories": {}} for split in format.SPLITS
    }
    entry = new_dataset.write_table(str(tmp_path / "empty"), format.SAMPLES, tables.SAMPLES, [])
    for name in (format.POOL_TABLE, format.REJECTIONS):
        shutil.copy(Path(dataset) / name, tmp_path / "empty" / name)
    empty = replace(made, shards=(), counts=none, tables={**made.tables, format.SAMPLES: entry})
    (tmp_path / "empty" / "manifest.json").write_bytes(manifest.dump(empty))
    (tmp_path / "empty" / "pool").mkdir()
    for entry_ in made.pool_shards:
        shutil.copy(Path(dataset) / entry_.path, tmp_path / "empty" / entry_.path)
    for command in (
        ["verify", str(tmp_path / "empty")],
        ["publish", str(tmp_path / "empty"), "--version", "1.0.0", "--to", str(tmp_path / "to")],
        ["export", str(tmp_path / "empty"), "--format", "coco", "--out", str(tmp_path / "coco")],
        ["stats", str(tmp_path / "empty")],
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1, command
        assert "sample" in result.output + str(result.exception), command
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.fixture(scope="session")
def grown(corpora: str, dataset: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """All categories but two in small shards; the same with the two and without one clip; the clip's id."""
    folder = tmp_path_factory.mktemp("grown")
    names = [name for split in Dataset(dataset).manifest.counts.values() for name in split["categories"]]
    some = sorted(set(names))[:-2]
    text = recipe.load("demo").text.replace("samples_per_shard = 50", "samples_per_shard = 4")
    text = text.replace("clips_per_shard = 50", "clips_per_shard = 4")
    first = text + f"\n[labels]\ncategories = {json.dumps(some)}\n"
    old, new = str(folder / "old"), str(folder / "new")
    run.build(recipe.parse(recipe.tomllib.loads(first), first, "first"), run.BuildOptions(corpora, old))
    less = folder / "corpora"
    shutil.copytree(corpora, less)
    row = Dataset(old).table().to_pylist()[0]
    name = row["clip_id"].split(":", 1)[1]
    for media in (less / "vggsound" / "clips").glob(f"{name}.*"):
        media.unlink()
    run.build(
        recipe.parse(recipe.tomllib.loads(text), text, "second"), run.BuildOptions(str(less), new, base=old)
    )
    return old, new, row["clip_id"]


def test_a_new_category_and_a_lost_clip_change_nothing_else(grown: tuple[str, str, str]) -> None:
    old, new, clip = (*map(Dataset, grown[:2]), grown[2])
    before = {row["key"]: row for row in old.table().to_pylist()}
    after = {row["key"]: row for row in new.table().to_pylist()}
    kept = [key for key, row in before.items() if row["clip_id"] != clip]
    same = (
        "sample_id",
        "split",
        "shard",
        "clip_id",
        "json_sha256",
        "flac_sha256",
        "jpg_sha256",
        "mask_png_sha256",
    )
    assert kept
    assert all(before[key][name] == after[key][name] for key in kept for name in same)
    found = diff(old, new)
    assert found.unchanged == len(kept)
    told = Counter((change.kind, change.cause) for change in found.changes)
    heard = [row for row in before.values() if row["clip_id"] == clip]
    lost = [row for row in heard if row["key"] not in after]
    expected = Counter({("added", "new category"): len(set(after) - set(before))})
    expected["re-paired", "source gone"] = len(heard) - len(lost)
    assert told["added", "new category"] == expected["added", "new category"] > 0
    assert told["re-paired", "source gone"] == expected["re-paired", "source gone"]
    assert told.total() == expected.total() + len(lost)
    assert clip in [removed for removed, *_ in found.clips_removed]
    plain = CliRunner().invoke(main, ["diff", *grown[:2], "--json"])
    assert json.loads(plain.stdout)["counts"] == found.counts()
    page = CliRunner().invoke(main, ["diff", *grown[:2], "--format", "markdown"])
    assert f"| added | new category | {expected['added', 'new category']} |" in page.output


def test_k_changed_samples_rewrite_at_most_k_shards(grown: tuple[str, str, str]) -> None:
    old, new, _ = (*map(Dataset, grown[:2]), grown[2])
    found = diff(old, new)
    before = {entry.sha256 for entry in old.manifest.shards}
    changed = [entry for entry in new.manifest.shards if entry.sha256 not in before]
    assert 0 < len(changed) <= len(found.changes)
    assert manifest.shard_counts(new.manifest)["train"] <= manifest.shard_counts(old.manifest)["train"]


def test_a_pinned_number_of_shards_holds_every_key_in_its_place() -> None:
    """The claim itself, over random keys: with N kept, every added key touches one shard; with N free it may not."""
    keys = [format.key_of(str(number)) for number in range(3_000)]
    for count in (1, 3, 7, 8, 13):
        place = {key: format.shard_index(key, count) for key in keys}
        for highest in range(
            max(place.values()) + 1, count + 1
        ):  # as inferred where the last shards are empty
            assert all(format.shard_index(key, highest) == place[key] for key in keys if place[key] < highest)
        full = count * 10
        assert format.pinned_shard_count(full + 1, 10, count) == count
        assert format.pinned_shard_count(2 * full, 10, count) == count
        assert format.pinned_shard_count(2 * full + 1, 10, count) == 2 * count + 1
        assert format.pinned_shard_count(full + 1, 10, 0) == count + 1


def test_licence_profiles_keep_only_what_fits(mini: str, tmp_path: Path) -> None:
    """On real clips, which have licences of many kinds."""
    text = recipe.load("demo").text
    dataset = str(tmp_path / "mini")
    run.build(recipe.parse(recipe.tomllib.loads(text), text, "demo"), run.BuildOptions(mini, dataset))
    assert attribution.allowed("cc-by-2.0", ["cc-by"])
    assert not attribution.allowed("cc-by-sa-2.0", ["cc-by"])
    assert not attribution.allowed(None, ["cc-by"])
    licences = Counter(row["image_licence"] for row in Dataset(dataset).table().to_pylist())
    sounds = {row["licence"] for row in Dataset(dataset).table(format.POOL_TABLE).to_pylist()} - {None}
    name = next(licence for licence in licences if licence)
    profile = Profile(tuple(sorted({name, *sounds})))
    report = go(dataset, "1.0.0", tmp_path / "to", profile=profile)
    made = Dataset(str(tmp_path / "to" / "1.0.0"))
    assert verify(made.url) == []
    rows = made.table().to_pylist()
    assert 0 < len(rows) <= licences[name]
    assert {row["image_licence"] for row in rows} | {row["audio_licence"] for row in rows} <= set(
        profile.licences
    )
    assert report.publication.profile == profile
    if len(licences) > 1:
        with pytest.raises(PublishError, match="Give --licences"):
            go(dataset, "1.1.0", tmp_path / "to")
    with pytest.raises(DatasetError, match="no photo or sound is under 'cc-bye'"):
        with_licences(Dataset(dataset), ["cc-bye"], str(tmp_path / "no"))


def test_rehydrating_a_reference_edition_gives_the_same_bytes(
    dataset: str, corpora: str, tmp_path: Path
) -> None:
    go(dataset, "1.0.0", tmp_path / "to", profile=Profile(reference_only=("audio",)))
    edition = tmp_path / "to" / "1.0.0"
    for path in edition.rglob("*.tar"):
        with tarfile.open(path) as tar:
            assert not [name for name in tar.getnames() if name.endswith(".flac")]
    with pytest.raises(DatasetError):
        Dataset(str(edition))
    mine = tmp_path / "corpora"
    shutil.copytree(corpora, mine)
    clip = Dataset(dataset).table(format.POOL_TABLE)["clip_id"][0].as_py()
    media = next((mine / "vggsound" / "clips").glob(clip.split(":", 1)[1] + ".*"))
    kept = media.read_bytes()
    media.unlink()
    out = tmp_path / "out"
    assert [one.clip_id for one in rehydrate(str(edition), str(mine), str(out), lambda *_: None)] == [clip]
    assert not (out / "manifest.json").exists()
    media.write_bytes(kept)
    assert rehydrate(str(edition), str(mine), str(out), lambda *_: None) == []
    assert hashes(out) == {path: sha for path, sha in hashes(dataset).items() if path in hashes(out)}
    assert set(hashes(out)) == set(hashes(dataset)) - {
        path for path in hashes(dataset) if path.endswith((".html", ".svg", ".png"))
    }
    with pytest.raises(PublishError, match="leaves out audio"):
        go(dataset, "1.1.0", tmp_path / "to")


def test_explain_tells_where_every_byte_is_and_draws_again(dataset: str) -> None:
    source = Dataset(dataset)
    row = source.table().to_pylist()[0]
    (story,) = explain(source, row["key"])
    assert "the same" in story.sections["pairing"]["drawn again"]
    assert story.sections["split"]["hash"].endswith(f": {row['split']}")
    place = story.sections["shard"][f"{row['key']}.jpg"]
    offset, size = map(int, re.findall(r"offset (\d+), (\d+) bytes", place)[0])
    with open(Path(dataset) / row["shard"], "rb") as file:
        file.seek(offset)
        assert file.read(size) == source.read_member(row, "jpg")
    rejected = source.table(format.REJECTIONS).to_pylist()[0]
    assert any(
        rejected["reason"] in story.sections.get("dropped", {}).values()
        for story in explain(source, rejected["item"])
    )
    result = CliRunner().invoke(main, ["explain", dataset, "nothing"])
    assert result.exit_code == 1
    assert "kept and dropped nothing" in result.output


def test_a_clip_that_no_sample_hears_is_explained_and_taken_down(dataset: str, tmp_path: Path) -> None:
    source, out = Dataset(dataset), str(tmp_path / "out")
    pool, rows = source.table(format.POOL_TABLE).to_pylist(), source.table().to_pylist()
    heard = {row["video_id"] for row in rows}
    clip = next(row for row in pool if row["video_id"] not in heard)
    may = [
        row
        for row in rows
        if (row["split"], row["category"]) in {(clip["split"], c) for c in clip["categories"]}
    ]
    for asked in (clip["clip_id"], clip["clip_id"].split(":")[1], clip["video_id"]):
        titles = {story.title: story for story in explain(source, asked)}
        told = titles[f"{clip['clip_id']} is in the pool"].sections["pool"]
        assert told["may be heard by"].startswith(f"{len(may)} sample(s) of {clip['split']}")
    call = ["takedown", dataset, "--video", clip["video_id"], "--reason", "the owner asked", "--out", out]
    result = CliRunner().invoke(main, call)
    assert f"removed    {clip['clip_id']}, from the pool" in result.output
    of_video = sum(row["video_id"] == clip["video_id"] for row in pool)
    assert f"0 sample(s) and {of_video} clip(s) removed, 0 re-paired" in result.output
    told = CliRunner().invoke(main, ["diff", dataset, out]).output
    assert f"clip removed: {clip['clip_id']} (takedown: the owner asked)" in told
    told = CliRunner().invoke(main, ["diff", dataset, out, "--format", "markdown"]).output
    assert f"{of_video} clip(s) gone: takedown." in told
    assert clip["clip_id"] in told


def test_explain_takes_ids_with_and_without_their_corpus(dataset: str) -> None:
    source = Dataset(dataset)
    row = source.table().to_pylist()[0]
    for asked in (row["clip_id"], row["image_id"], row["sample_id"], row["mask_ids"][0]):
        titles = [story.title for story in explain(source, asked)]
        assert f"{row['key']}  {row['sample_id']}" in titles
        assert [story.title for story in explain(source, asked.split(":", 1)[1])] == titles
    dropped = source.table(format.REJECTIONS).to_pylist()
    clip = next(item["item"] for item in dropped if item["reason"] == "audio_silent")
    video = clip.removeprefix("vggsound:")[:-7]
    assert [story.title for story in explain(source, video)] == [f"{clip} was dropped"]


@pytest.mark.parametrize(
    "asked", ["-3Bn-Nt_8aG", "-h-3Bn-Nt_8", "--3Bn-Nt_8a_000030", "vggsound:-3Bn-Nt_8aG_000030"]
)
@pytest.mark.parametrize("separator", [(), ("--",)])
def test_ids_may_begin_with_a_dash(
    dataset: str, tmp_path: Path, asked: str, separator: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(main, ["explain", dataset, *separator, asked])
    assert f"kept and dropped nothing called {asked!r}" in result.output
    result = CliRunner().invoke(main, ["explain", "--json", dataset, *separator, asked])
    assert f"kept and dropped nothing called {asked!r}" in result.output
    out = str(tmp_path / "out")
    result = CliRunner().invoke(main, ["takedown", dataset, "--video", asked, "--reason", "x", "--out", out])
    assert f"has no {asked}: nothing was written" in result.output


def test_the_card_s_three_loaders_work_as_written(dataset: str, tmp_path: Path) -> None:
    """The code blocks of README.md are run as they stand; all three give the same first sample."""
    go(dataset, "1.0.0", tmp_path / "to")
    text = (tmp_path / "to" / "1.0.0" / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    first = next(iter(Dataset(dataset).samples("train")))
    shows = (
        "print(sample['__key__'], len(sample['flac']), len(sample['jpg']))",
        "print(sample['__key__'], len(sample['flac']), sample['jpg'].size)",
        "print(sample.key, len(sample.flac), len(sample.jpg))",
    )
    for number, (block, show) in enumerate(zip(blocks, shows, strict=True)):
        environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-c", f"{block}\n{show}"], capture_output=True, text=True, env=environment,
            cwd=tmp_path / "to" / "1.0.0",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        width, height = first.record["image"]["width"], first.record["image"]["height"]
        told = f"{len(first.flac)} {len(first.jpg)}"
        if number == 1:
            told = f"{len(first.flac)} ({width}, {height})"
        assert done.stdout.strip().splitlines()[-1] == f"{first.key} {told}"


def test_croissant_is_valid_and_loads(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlcroissant
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", extract.EXTRACT_PATH.__class__(tmp_path / "cache"))
    go(dataset, "1.0.0", tmp_path / "to")
    root = tmp_path / "to" / "1.0.0"
    loaded = mlcroissant.Dataset(jsonld=str(root / "croissant.json"))
    assert not loaded.metadata.issues.errors
    rows = {row["key"]: row for row in Dataset(dataset).table().to_pylist()}
    ten = list(islice(loaded.records("samples"), 10))
    assert len(ten) == 10
    for record in ten:
        row = rows[record["samples/key"].decode()]
        assert record["samples/category"].decode() == row["category"]
        assert record["samples/width"] == row["width"]
    photos = list(loaded.records("val-photos"))
    assert {photo["val-photos/key"].decode() for photo in photos} == {
        key for key, row in rows.items() if row["split"] == "val"
    }
    described = json.loads((root / "croissant.json").read_text())
    files = {
        one["@id"]: one["sha256"] for one in described["distribution"] if one["@type"] == "cr:FileObject"
    }
    there = hashes(root)
    assert files == {path: there[path] for path in files}
    assert set(there) - set(files) == {"croissant.json", "publication.json"}


def test_the_card_claims_what_the_tables_hold(dataset: str, tmp_path: Path) -> None:
    """Every figure against a plain loop over the records; no address of this machine; nothing empty."""
    lists = tmp_path / "list.csv"
    lists.write_text(
        "name,split\n"
        + "".join(
            f"{video}_{n},{split}\n"
            for n, (video, split) in enumerate(
                [("a" * 11, "train"), ("a" * 11, "test"), ("b" * 11, "test"), ("a" * 11, "val")]
            )
        )
    )
    go(dataset, "1.0.0", tmp_path / "to", held_out=(str(lists),))
    root = tmp_path / "to" / "1.0.0"
    text = (root / "README.md").read_text()
    assert "| list.csv | 2 | 0, when it was published |" in text
    assert "- list.csv: 1 of its 2 rows of test are of a video that its own train has" in text
    assert "- list.csv: 1 of its 1 rows of val are" in text
    source = Dataset(dataset)
    for entry in source.manifest.held_out:
        assert f"| {entry['list']} | not there | not checked |" in text
    records = [json.loads(source.read_member(row, "json")) for row in source.table().to_pylist()]
    flickr = sum(any(key.startswith("flickr:") for key in one["image"]["photo_keys"]) for one in records)
    authors = sum(bool(one["image"]["author"]) for one in records)
    assert flickr > 0
    assert f"| its page at Flickr, which names the author | {flickr:,} of {len(records):,} |" in text
    assert f"| a photo's author | {authors:,} of {len(records):,} |" in text
    licences = Counter(one["audio"]["licence"] or "unknown" for one in records)
    for name, number in licences.items():
        assert re.search(rf"^\| (\[{name}\]\(https://\S+\)|{name}) \| {number:,} \|$", text, re.MULTILINE)
    assert not re.search(r"^\|\s*\|", text, re.MULTILINE)
    assert (
        str(tmp_path)
        not in text + (root / "CITATION.cff").read_text() + (root / "croissant.json").read_text()
    )
    (picture,) = re.findall(r"^!\[[^]]+\]\((\S+)\)$", text, re.MULTILINE)
    assert (root / picture).read_bytes().startswith(b"\x89PNG")
    titles = {"LVIS", "Microsoft COCO", "Open Images", "VGGSound", "Annotation-free"}
    cited = yaml.safe_load((root / "CITATION.cff").read_text())
    told = [work["title"] for work in cited["references"]]
    assert all(work["authors"][0]["given-names"] for work in cited["references"])
    for title in titles:
        assert any(title in one for one in told), title
        assert title in text
    front = yaml.safe_load(text.split("---")[1])
    assert [config["data_files"][0]["split"] for config in front["configs"]] == ["train", "clips"]
    rows = pq.read_table(root / "attribution.parquet").to_pylist()
    assert not any(value == "" for row in rows for value in row.values())
    told = {row["key"]: (row["image_licence"], row["image_author"], row["clip_id"]) for row in rows}
    assert told == {
        one["key"]: (one["image"]["licence"] or None, one["image"]["author"] or None, one["audio"]["id"])
        for one in records
    }
    page = re.compile(r"https://www\.flickr\.com/photo\.gne\?id=\d+")
    assert sum(bool(row["image_page"] and page.fullmatch(row["image_page"])) for row in rows) == flickr


def test_coco_reads_the_export_as_the_shards_have_it(dataset: str, tmp_path: Path) -> None:
    out = tmp_path / "coco"
    exports.export(Dataset(dataset), "coco", str(out), lambda *_: None)
    for split in ("train", "val"):
        coco = COCO(str(out / "annotations" / f"instances_{split}.json"))
        by_key = {one["key"]: one for one in coco.loadAnns(coco.getAnnIds())}
        samples = list(Dataset(dataset).samples(split))
        assert set(by_key) == {sample.key for sample in samples}
        for sample in samples:
            one = by_key[sample.key]
            with Image.open(io.BytesIO(sample.mask_png)) as mask:
                np.testing.assert_array_equal(coco.annToMask(one), np.asarray(mask) // 255)
            assert coco.loadCats(one["category_id"])[0]["name"] == sample.record["category"]
            photo = coco.loadImgs(one["image_id"])[0]
            assert (out / split / "images" / photo["file_name"]).read_bytes() == sample.jpg
            assert (out / one["audio"]).read_bytes() == sample.flac


def test_fiftyone_export_holds_every_mask(dataset: str, tmp_path: Path) -> None:
    import base64
    import zlib

    out = tmp_path / "fiftyone"
    result = CliRunner().invoke(main, ["export", dataset, "--format", "fiftyone", "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = {row["key"]: row for row in json.loads((out / "samples.json").read_text())["samples"]}
    for sample in Dataset(dataset).samples():
        row = rows.pop(sample.key)
        (one,) = row["ground_truth"]["detections"]
        packed = base64.b64decode(one["mask"]["$binary"]["base64"])
        instance = np.load(io.BytesIO(zlib.decompress(packed)))
        with Image.open(io.BytesIO(sample.mask_png)) as mask:
            whole = np.asarray(mask) > 0
        ys, xs = np.nonzero(whole)
        np.testing.assert_array_equal(instance, whole[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
        box = [xs.min() / whole.shape[1], ys.min() / whole.shape[0]]
        assert one["bounding_box"][:2] == pytest.approx(box)
        assert (out / row["audio_path"]).read_bytes() == sample.flac
    assert not rows


def test_the_availability_snapshot_is_the_last_attempt(tmp_path: Path) -> None:
    corpora = tmp_path / "a folder?"
    assert snapshot(str(corpora)) is None
    assert not corpora.exists()
    with Ledger(str(corpora)) as ledger:
        for item, attempt, at, cause in (
            ("clip:a", 1, 10.0, "throttled"),
            ("clip:a", 2, 20.0, "ok"),
            ("clip:b", 1, 15.0, "removed"),
        ):
            ledger.append(Attempt(item, attempt, "", at, cause, "", 0.0, 0, "", ""))
    content = snapshot(str(corpora))
    assert content is not None
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    assert [(row["item"], row["alive"], row["cause"], row["attempts"]) for row in rows] == [
        ("clip:a", True, None, 2),
        ("clip:b", False, "removed", 1),
    ]
    assert [int(row["checked_at"].timestamp()) for row in rows] == [20, 15]


def test_work_folders_are_never_published(dataset: str, tmp_path: Path) -> None:
    report = go(dataset, "1.0.0", tmp_path / "to")
    assert (Path(dataset) / claims.WORK).exists()
    assert not [file.path for file in report.publication.files if file.path.startswith(claims.WORK)]


def test_a_version_rebuilds_to_the_same_bytes(
    grown: tuple[str, str, str], dataset: str, corpora: str, tmp_path: Path
) -> None:
    """The second of `grown` has its number of shards from the first; rebuilt, it is its own base."""
    less = str(Path(grown[0]).parent / "corpora")
    to = tmp_path / "to"
    go(grown[1], "1.0.0", to)
    result = CliRunner().invoke(main, ["verify", str(to / "1.0.0"), "--rebuild", "--corpora", less])
    assert result.exit_code == 0, result.output
    assert "rebuilt, every byte the same" in result.output
    result = CliRunner().invoke(main, ["verify", grown[1], "--rebuild", "--corpora", corpora])
    assert result.exit_code == 1
    assert "difference(s)" in result.output
    takedown(
        Dataset(dataset), str(tmp_path / "less"), [], [Dataset(dataset).table()["video_id"][0].as_py()], "r"
    )
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "less"), "--rebuild", "--corpora", corpora])
    assert "cut after its build (takedown)" in result.output
