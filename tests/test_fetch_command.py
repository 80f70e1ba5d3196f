"""`avs-data fetch` from a local site over the real mini corpora, on into `build` and `verify`; and its errors."""

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import local_site
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from real_data import MINI

from pipelines.cli import main
from pipelines.fetch.ledger import Ledger
from shards import manifest

needs_mini = pytest.mark.skipif(not MINI.exists(), reason=f"no real mini corpora at {MINI}")


def run(*words: object, expect: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == expect, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def mirror(tmp_path_factory) -> Path:
    """The mini corpora as their official sites would serve them."""
    root = tmp_path_factory.mktemp("mirror")
    (root / "lvis").mkdir()
    for split in ("train", "val"):
        document = json.loads((MINI / "lvis" / "lvis_v1_mini.json").read_text())
        folder = f"/{split}2017/"
        document["images"] = [image for image in document["images"] if folder in image["coco_url"]]
        known = {image["id"] for image in document["images"]}
        document["annotations"] = [one for one in document["annotations"] if one["image_id"] in known]
        with zipfile.ZipFile(
            root / "lvis" / f"lvis_v1_{split}.json.zip", "w", zipfile.ZIP_DEFLATED
        ) as archive:
            archive.writestr(f"lvis_v1_{split}.json", json.dumps(document))
    shutil.copytree(MINI / "lvis" / "images", root / "coco")
    tables = root / "openimages" / "v5"
    tables.mkdir(parents=True)
    for name in ("class-descriptions-boxable.csv", "train-annotations-object-segmentation.csv"):
        shutil.copy(MINI / "open_images" / name, tables / name)
    images = root / "openimages" / "2018_04" / "train" / "train-images-boxable-with-rotation.csv"
    images.parent.mkdir(parents=True)
    images.write_text("ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title\n")
    (tables / "train-masks").mkdir()
    with zipfile.ZipFile(tables / "train-masks" / "train-masks-0.zip", "w") as archive:
        for path in sorted((MINI / "open_images" / "masks").iterdir()):
            archive.write(path, path.name)
    shutil.copytree(MINI / "open_images" / "images", root / "photos" / "train")
    (root / "vggsound").mkdir()
    shutil.copy(MINI / "vggsound" / "vggsound.csv", root / "vggsound")
    (root / "videos").mkdir()
    for path in sorted((MINI / "vggsound" / "clips").iterdir()):
        shutil.copy(path, root / "videos" / f"{path.stem.rpartition('_')[0]}.wav")
    return root


def recipe(path: Path, address: str, categories: list[str], extra: str = "") -> Path:
    path.write_text(
        f"""
name = "fetched"
[labels]
categories = {json.dumps(categories)}
[split]
train = 8
val = 1
test = 1
[fetch]
splits = ["train"]
stall_s = 5
{extra}
[fetch.sources]
lvis = "{address}/lvis"
coco = "{address}/coco"
open_images = "{address}/openimages"
open_images_photos = "{address}/photos"
vggsound = "{address}/vggsound"
video = "{address}/videos/{{video_id}}.wav"
[fetch.youtube]
videos_per_hour = 360000
burst = 100
"""
    )
    return path


@pytest.fixture(scope="module")
def site(mirror) -> Iterator[str]:
    rates = {"once_503": 0.1, "once_truncated": 0.1}
    with local_site.start(mirror, rates=rates) as address:
        yield address


@needs_mini
def test_fetch_then_build_then_verify_then_one_more_category(site, mirror, tmp_path) -> None:
    corpora = tmp_path / "corpora"
    small = recipe(tmp_path / "small.toml", site, ["dog"])
    before = run("fetch", "plan", small, "--corpora", corpora)
    assert "--only annotations" in before.output
    assert not corpora.exists()
    run("fetch", "run", small, "--corpora", corpora, "--only", "annotations")
    planned = run("fetch", "plan", small, "--corpora", corpora).output
    assert "lvis photos" in planned
    assert "vggsound clips" in planned
    assert not (corpora / "lvis" / "images").exists()
    assert not (corpora / "_fetch" / "items.parquet").exists()
    assert "not asked for" not in run("fetch", "run", small, "--corpora", corpora).output
    for folder, source in (
        ("lvis/images/train2017", "coco/train2017"),
        ("open_images/images", "photos/train"),
    ):
        names = [path.name for path in (corpora / folder).iterdir()]
        assert names
        for name in names:
            assert (corpora / folder / name).read_bytes() == (mirror / source / name).read_bytes()
    for path in (corpora / "open_images" / "masks").iterdir():
        assert path.read_bytes() == (MINI / "open_images" / "masks" / path.name).read_bytes()
    clips = list((corpora / "vggsound" / "clips").iterdir())
    assert len(clips) >= 3
    assert {path.suffix for path in clips} == {".flac"}

    run("build", small, "--corpora", corpora, "--out", tmp_path / "dataset")
    run("verify", tmp_path / "dataset", "--deep")
    counts = manifest.load(str(tmp_path / "dataset")).counts
    assert sum(split["samples"] for split in counts.values()) > 5

    before = local_site.stats(site)["requests"]
    run("fetch", "run", small, "--corpora", corpora)
    assert local_site.stats(site)["requests"] == before
    larger = recipe(tmp_path / "larger.toml", site, ["dog", "cat"])
    run("fetch", "run", larger, "--corpora", corpora)
    after = local_site.stats(site)["requests"]
    asked = {path for path in after if after[path] > before.get(path, 0)}
    assert asked
    assert not {path for path in asked if path in before}
    shown = run("fetch", "ledger", "--corpora", corpora).output
    assert "cat" in shown
    assert "100.0%" in shown
    items = pq.read_table(corpora / "_fetch" / "items.parquet")
    with Ledger(str(corpora)) as ledger:
        latest = ledger.latest()
    failed = {name: latest[name].cause for name in items["name"].to_pylist() if not latest[name].ok}
    assert failed == {"vggsound:gcompris-dog_000000": "too_short"}  # 0.9 s of barking


@needs_mini
def test_what_was_not_asked_for_is_told(site, tmp_path) -> None:
    path = recipe(tmp_path / "slow.toml", site, ["dog"], "patience_s = 0")
    path.write_text(
        re.sub(r"videos_per_hour = \d+\nburst = \d+", "videos_per_hour = 1\nburst = 1", path.read_text())
    )
    told = run("fetch", "run", path, "--corpora", tmp_path / "corpora").output
    items = pq.read_table(tmp_path / "corpora" / "_fetch" / "items.parquet")["name"].to_pylist()
    with Ledger(str(tmp_path / "corpora")) as ledger:
        unasked = len(set(items) - set(ledger.latest()))
    assert unasked
    assert f"{unasked} item(s) were not asked for" in told


@needs_mini
def test_drift_is_refused_and_may_be_accepted(mirror, tmp_path) -> None:
    moving = tmp_path / "moving"
    shutil.copytree(mirror, moving)
    corpora = tmp_path / "corpora"
    with local_site.start(moving) as address:
        settings = recipe(tmp_path / "recipe.toml", address, ["dog"], 'corpora = ["vggsound"]')
        run("fetch", "run", settings, "--corpora", corpora, "--only", "annotations")
        (corpora / "vggsound" / "vggsound.csv").unlink()
        table = moving / "vggsound" / "vggsound.csv"
        table.write_text(table.read_text() + "new_video_id,0,dog barking,train\n")
    with local_site.start(moving) as address:
        settings = recipe(tmp_path / "recipe.toml", address, ["dog"], 'corpora = ["vggsound"]')
        refused = run("fetch", "run", settings, "--corpora", corpora, "--only", "annotations", expect=1)
        assert "changed" in refused.output
        assert "--accept-drift" in refused.output
        assert not (corpora / "vggsound" / "vggsound.csv").exists()
        run("fetch", "run", settings, "--corpora", corpora, "--only", "annotations", "--accept-drift")
        assert (corpora / "vggsound" / "vggsound.csv").read_text() == table.read_text()
        (corpora / "vggsound" / "vggsound.csv").write_text("edited,0,dog barking,train\n")
        edited = run("fetch", "run", settings, "--corpora", corpora, "--only", "annotations", expect=1)
        assert "it was changed here" in edited.output


@needs_mini
def test_retry_touches_the_named_causes_only(mirror, tmp_path) -> None:
    corpora, root = tmp_path / "corpora", tmp_path / "mirror"
    shutil.copytree(mirror, root)
    (root / "coco" / "train2017").rename(root / "coco" / "away")
    with local_site.start(root) as address:
        settings = recipe(tmp_path / "recipe.toml", address, ["dog"], 'corpora = ["lvis"]')
        run("fetch", "run", settings, "--corpora", corpora)  # photos are gone: 404, permanent
        lost = run("fetch", "ledger", "--corpora", corpora, "--cause", "not-found").output
        assert "never again" in lost
        before = local_site.stats(address)["requests"]
        told = run("fetch", "retry", settings, "--corpora", corpora, "--cause", "not-found,timeout").output
        assert "failed for good and were left alone" in told
        assert local_site.stats(address)["requests"] == before
    unknown = run("fetch", "retry", settings, "--corpora", corpora, "--cause", "tired", expect=1)
    assert "tired is no cause" in unknown.output


def test_what_is_wrong_with_a_recipe_is_told_at_once(tmp_path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        """
name = "faulty"
[fetch]
corpora = ["lvis", "imagenet"]
cookies = ["secret.txt"]
stall_s = -1
[fetch.sources]
coco = "ftp://images.test"
lvis = "https://me:password@mirror.test/LVIS"
video = "https://videos.test/"
[fetch.youtube.yt_dlp]
exec = "rm -rf /"
[fetch.hosts."images.test"]
concurrency = 0
"""
    )
    output = run("fetch", "run", path, "--corpora", tmp_path / "corpora", expect=1).output
    for fault in (
        "imagenet",
        "holds no credentials",
        "stall_s",
        "'ftp' is not a web address",
        "no user or password",
        "{video_id}",
        "exec is not allowed",
        "fetch.hosts.images.test.concurrency",
    ):
        assert fault in output, fault
    assert "8 fault(s)" in output


def test_doctor_says_what_to_do(tmp_path, monkeypatch) -> None:
    jar = tmp_path / "cookies.txt"
    jar.write_text("127.0.0.1 FALSE / verysecret\n")
    recipe(tmp_path / "recipe.toml", "http://127.0.0.1:1", ["dog"])
    words = ("fetch", "doctor", tmp_path / "recipe.toml", "--corpora", tmp_path, "--cookies", jar)
    monkeypatch.setenv("COLUMNS", "200")
    output = run(*words, expect=1).output
    assert "Netscape" in output
    assert "verysecret" not in output
    jar.write_text("127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tSID\tverysecret\n")
    assert "chmod 600" in run(*words, expect=1).output
    jar.chmod(0o600)
    output = CliRunner().invoke(main, [str(word) for word in words]).output
    assert "chmod" not in output
    for check in ("write access", "disk", "DNS", "decoder", "yt-dlp", "JavaScript"):
        assert check in output


def test_missing_folder_and_ledger(tmp_path) -> None:
    output = run("fetch", "ledger", "--corpora", tmp_path / "nowhere", expect=1).output
    assert "run `avs-data fetch" in output
    assert not (tmp_path / "nowhere").exists()
