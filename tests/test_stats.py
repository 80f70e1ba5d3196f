"""The statistics of a dataset against plain counts, its page against an HTML parser, its pictures against Pillow."""

import base64
import hashlib
import io
import json
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from pipelines.cli import main
from pipelines.media.overlays import overlay
from pipelines.stats import write_stats
from pipelines.stats.contact import THUMBNAIL
from pipelines.stats.summary import AREA_EDGES, DURATION_EDGES, summarise
from shards import format
from shards.claims import ClaimError
from shards.hashing import spread
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.sound import RATE_HZ

HOSTILE = '</h1><script>alert("$x^2$")</script>&amp;\'"><img src=http://example.org/x onerror=y>'


class Page(HTMLParser):
    """What a browser would see: tags, addresses, words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, tag: str, attribute: str) -> list[str]:
        return [value for found, name, value in self.attributes if (found, name) == (tag, attribute)]


@pytest.fixture(scope="module")
def stats(dataset: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stats")
    assert write_stats(dataset, str(out), samples=14) == f"{out}/index.html"
    return out


def changed(dataset: str, folder: Path, table: pa.Table, **manifest: object) -> str:
    """A copy of a dataset with other rows and another manifest (hashes are not looked at here)."""
    shutil.copytree(dataset, folder, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(".work"))
    pq.write_table(table, folder / format.SAMPLES)
    record = json.loads((folder / format.MANIFEST).read_text())
    (folder / format.MANIFEST).write_text(json.dumps({**record, **manifest}))
    return str(folder)


def test_counts_are_those_of_a_plain_loop(dataset: str) -> None:
    summary = summarise(Dataset(dataset))
    frame = pd.read_parquet(Path(dataset, format.SAMPLES))
    for category, counts in summary.per_category.items():
        rows = frame[frame.category == category]
        assert counts == tuple((rows.split == split).sum() for split in format.SPLITS)
    assert set(summary.per_category) == set(frame.category)
    assert [sum(counts) for counts in summary.per_category.values()] == sorted(
        frame.category.value_counts(), reverse=True
    )
    manifest = json.loads(Path(dataset, format.MANIFEST).read_text())
    assert {split: summary.of_split(split) for split in format.SPLITS} == {
        split: manifest["counts"][split]["samples"] for split in format.SPLITS
    }
    assert (summary.images, summary.clips) == (frame.image_id.nunique(), frame.clip_id.nunique())
    assert summary.area_quantiles[1] == pytest.approx(frame.area_fraction.median())


@pytest.mark.parametrize(("column", "edges"), [("area_fraction", AREA_EDGES), ("duration_s", DURATION_EDGES)])
def test_every_sample_falls_into_one_bin(dataset: str, column: str, edges: np.ndarray) -> None:
    summary = summarise(Dataset(dataset))
    found = {"area_fraction": summary.area, "duration_s": summary.duration}[column]
    frame = pd.read_parquet(Path(dataset, format.SAMPLES))
    for split in format.SPLITS:
        expected = [0] * (len(edges) - 1)
        for value in frame[frame.split == split][column]:
            place = sum(value >= edge for edge in edges) - 1
            expected[min(max(place, 0), len(expected) - 1)] += 1
        assert found[split].tolist() == expected


def test_the_page_needs_nothing_else_and_plays_the_samples(dataset: str, stats: Path) -> None:
    page = Page((stats / "index.html").read_text())
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    addresses = [value for _, name, value in page.attributes if name in ("src", "srcset", "href", "poster")]
    assert len(addresses) > 30
    assert all(address.startswith("data:") for address in addresses)
    (policy,) = [value for value in page.of("meta", "content") if "default-src" in value]
    assert policy.startswith("default-src 'none'")

    stored = {sample.key: sample for sample in Dataset(dataset).samples()}
    sounds = [base64.b64decode(address.partition("base64,")[2]) for address in page.of("audio", "src")]
    assert len(sounds) == 14
    text = " ".join(page.words)
    shown = [key for key in stored if key in text]
    assert len(shown) == 14
    assert Counter(hashlib.sha256(sound).digest() for sound in sounds) == Counter(
        hashlib.sha256(stored[key].flac).digest() for key in shown
    )
    assert all(soundfile.info(io.BytesIO(sound)).samplerate == RATE_HZ for sound in sounds)
    for key in shown:
        assert f"hears: {stored[key].record['audio']['label']['name']}" in text
    for address in page.of("img", "src") + page.of("source", "srcset"):
        Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2]))).load()


def test_the_page_tells_the_funnel_and_the_origin(dataset: str, stats: Path) -> None:
    words = " ".join(Page((stats / "index.html").read_text()).words)
    manifest = json.loads(Path(dataset, format.MANIFEST).read_text())
    for step in manifest["funnel"]:
        for reason, number in step["rejected"].items():
            assert f"{reason} {number:,}" in words
    assert manifest["label_map"]["sha256"] in words
    assert manifest["recipe"]["sha256"] in words
    assert hashlib.sha256(Path(dataset, format.MANIFEST).read_bytes()).hexdigest() in words


def test_hostile_names_stay_words(dataset: str, stats: Path, tmp_path: Path) -> None:
    table = Dataset(dataset).table()
    victim = table["category"][0].as_py()
    names = [HOSTILE if name == victim else name for name in table["category"].to_pylist()]
    place = table.schema.get_field_index("category")
    hostile = table.set_column(place, "category", pa.array(names))
    funnel = [{"stage": HOSTILE, "unit": HOSTILE, "in": 2, "kept": 1, "rejected": {HOSTILE: 1}}]
    url = changed(dataset, tmp_path / "hostile", hostile, name=HOSTILE, funnel=funnel)
    page = Page(Path(write_stats(url, str(tmp_path / "out"), samples=14)).read_text())
    plain = Page((stats / "index.html").read_text())
    assert set(page.tags) == set(plain.tags)
    assert all(page.tags[tag] == plain.tags[tag] for tag in ("h1", "img", "figure", "audio", "script"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in page.of("img", "alt")
    assert HOSTILE in page.words


def test_the_same_dataset_gives_the_same_bytes(dataset: str, stats: Path, tmp_path: Path) -> None:
    write_stats(dataset, str(tmp_path), samples=14)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert files == {path.name: path.read_bytes() for path in stats.iterdir() if path.is_file()}
    plots = {"samples_per_class.png", "mask_area.png", "duration.png", "funnel.png"}
    assert set(files) == {"index.html", "contact_sheet.png", *plots}
    for name in plots | {"contact_sheet.png"}:
        assert min(Image.open(tmp_path / name).size) > 200


def test_the_sheet_takes_every_class_before_any_twice() -> None:
    categories = ["cat"] * 50 + ["dog"] * 3 + ["owl"] * 1
    keys = [f"{number:020x}" for number in range(54)]
    picked = spread(keys, categories, 8)
    assert len(set(picked)) == 8
    assert {categories[place] for place in picked[:3]} == {"cat", "dog", "owl"}
    assert Counter(categories[place] for place in picked) == {"cat": 4, "dog": 3, "owl": 1}
    turned = spread(keys[::-1], categories[::-1], 8)
    assert [keys[::-1][place] for place in turned] == [keys[place] for place in picked]
    assert len(spread(keys, categories, 100)) == 54
    assert spread([], [], 5) == []


def test_the_overlay_lights_the_mask_and_draws_round_it() -> None:
    photo = io.BytesIO()
    Image.new("RGB", (640, 480), (120, 120, 120)).save(photo, "JPEG")
    drawn = np.zeros((480, 640), np.uint8)
    drawn[120:360, 160:480] = 255
    picture = np.asarray(
        overlay(photo.getvalue(), [((255, 214, 0), Image.fromarray(drawn))], THUMBNAIL)
    ).astype(int)
    assert picture.shape == (240, 320, 3)
    inside, outside = picture[120, 160], picture[30, 30]
    assert inside[0] - inside[2] > 20, "tinted"
    assert outside.max() - outside.min() <= 2, "grey as before"
    yellow = (picture[..., 0] > 240) & (picture[..., 2] < 20)
    rows, columns = np.flatnonzero(yellow.any(axis=1)), np.flatnonzero(yellow.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (58, 181, 78, 241)
    assert not yellow[60:180, 80:240].any()


def test_many_classes_and_many_samples(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Dataset(dataset).table()
    large = pa.concat_tables([table] * (62_609 // table.num_rows + 1)).slice(0, 62_609)
    names = pa.array([f"a_sounding_thing_with_number_{number % 150}" for number in range(62_609)])
    keys = pa.array([f"{number:020x}" for number in range(62_609)])
    for name, values in (("category", names), ("key", keys)):
        large = large.set_column(large.schema.get_field_index(name), name, values)
    monkeypatch.setattr(Dataset, "table", lambda self, columns: large.select(columns))
    assert summarise(Dataset(dataset)).samples == 62_609
    write_stats(dataset, str(tmp_path / "out"))
    width, height = Image.open(tmp_path / "out" / "samples_per_class.png").size
    assert height > 4 * width


def test_no_sample_at_all(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = Dataset(dataset).table().slice(0, 0)
    monkeypatch.setattr(Dataset, "table", lambda self, columns: none.select(columns))
    assert "No sample." in Path(write_stats(dataset, str(tmp_path / "out"))).read_text()


def test_a_damaged_sample_is_named(dataset: str, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(dataset, copied, ignore=shutil.ignore_patterns(".work"))
    for row in Dataset(dataset).table().to_pylist():
        with (copied / row["shard"]).open("r+b") as shard:
            shard.seek(row["jpg_offset"] + 100)
            shard.write(b"damage")
    with pytest.raises(
        DatasetError, match=r"tar is damaged: [0-9a-f]{20}\.jpg has sha256 .* `avs-data verify`"
    ):
        write_stats(str(copied), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "index.html").exists()


def test_the_dataset_itself_is_never_written_to(dataset: str, tmp_path: Path) -> None:
    for inside in (dataset, f"{dataset}/stats", f"{dataset}/../{Path(dataset).name}/x"):
        with pytest.raises(ClaimError, match=r"is inside the dataset .*: name a folder beside it"):
            write_stats(dataset, inside)
    assert not Path(dataset, "stats").exists()


def test_the_command(dataset: str, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(dataset, copied)
    done = CliRunner().invoke(main, ["stats", f"{copied}/", "--samples", "2"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == f"{copied}.stats/index.html"
    assert (tmp_path / "copied.stats" / "contact_sheet.png").is_file()
    failed = CliRunner().invoke(main, ["stats", str(tmp_path)])
    assert failed.exit_code == 1
    assert "holds no manifest.json" in failed.output
