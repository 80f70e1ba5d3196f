"""Looking at a dataset, without a browser: what is let through, told, drawn and played, against plain loops."""

import io
import json
import re
import shutil
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import fsspec
import librosa
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from browse_page import HOSTILE, client, keys, write_hostile
from click.testing import CliRunner
from generated_shards import spoil
from PIL import Image
from review_page import browser

from pipelines.browse import sounds
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.export import export
from pipelines.browse.query import Query
from pipelines.browse.rows import Rows
from pipelines.cli import main
from pipelines.pages.errors import Busy, Unreadable
from pipelines.pages.kept import Kept
from shards import format
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.sound import RATE_HZ

Row = dict[str, Any]


@pytest.fixture(scope="module")
def catalogues(dataset: str, scenes: str) -> dict[str, Catalogue]:
    return {name: Catalogue(Dataset(url)) for name, url in (("dataset", dataset), ("scenes", scenes))}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A hostile dataset with a damaged photo, a damaged sound, a damaged record and a missing shard: what -> key."""
    root = write_hostile(tmp_path_factory.mktemp("hostile"))
    rows = Dataset(root).table().to_pylist()
    shards = sorted({row["shard"] for row in rows})
    assert len(shards) == 3
    of = {shard: [row["key"] for row in rows if row["shard"] == shard] for shard in shards}
    found = {"ok": "", "jpg": "", "flac": "", "json": "", "gone": of[shards[2]][0]}
    for what, key in zip(("jpg", "flac", "json"), [*of[shards[0]], *of[shards[1]]], strict=False):
        spoil(root, key, what)
        found[what] = key
    found["ok"] = next(key for key in [*of[shards[0]], *of[shards[1]]] if key not in found.values())
    (Path(root) / shards[2]).unlink()
    return root, found


class Words(HTMLParser):
    """Tags and words, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), attrs

    def handle_data(self, data: str) -> None:
        self.text += data


QUERIES = [
    "",
    "category=dog",
    "category=dog&category=cat&split=train",
    "photos=lvis&sounds=vggsound&photo_licence=cc-by-2.0",
    "area_min=2.5&area_max=10&length_max=3",
    "sound_licence=unknown&order=-area",
    "split=val&order=length",
    "category=no such thing",
    "kind=silence&kind=mixture",
    "area_min=x&length_min=1e999&order=sideways",
]


@pytest.mark.parametrize("name", ["dataset", "scenes"])
@pytest.mark.parametrize("text", QUERIES)
def test_filters_let_through_what_a_plain_loop_does(
    catalogues: dict[str, Catalogue], name: str, text: str
) -> None:
    catalogue = catalogues[name]
    pairs = [(pair.partition("=")[0], pair.partition("=")[2]) for pair in text.split("&") if pair]
    query = Query.read(pairs)
    rows = catalogue.dataset.table().to_pylist()

    def values(row: Row, facet: str) -> list[str]:
        clips = row.get("clip_ids", [row["clip_id"]])
        found: dict[str, list[str]] = {
            "category": row.get("categories", [row["category"]]),
            "split": [row["split"]],
            "photos": [row["image_id"].split(":")[0]],
            "sounds": [clip.split(":")[0] for clip in clips],
            "photo_licence": [row["image_licence"] or "unknown"],
            "sound_licence": [row["audio_licence"] or "unknown"],
        }
        return found[facet] if facet in found else [row[facet]] if facet in row else []

    asked: dict[str, set[str]] = {}
    for facet, value in pairs:
        if facet not in ("order", "area_min", "area_max", "length_max", "length_min"):
            asked.setdefault(facet, set()).add(value)
    bounds = {facet: float(value) for facet, value in pairs if re.fullmatch(r"[\d.]+", value)}
    if name == "dataset":
        asked.pop("kind", None)  # it has none
    wanted = [
        number
        for number, row in enumerate(rows)
        if all(allowed & set(values(row, facet)) for facet, allowed in asked.items())
        and bounds.get("area_min", 0) <= 100 * row["area_fraction"] <= bounds.get("area_max", 100)
        and row["duration_s"] <= bounds.get("length_max", 99)
    ]
    if query.order:
        column = {"area": "area_fraction", "length": "duration_s"}[query.order.strip("-")]
        sign = -1 if query.order.startswith("-") else 1
        wanted.sort(key=lambda number: sign * np.float32(rows[number][column]))
    assert catalogue.select(query).tolist() == wanted
    assert Query.read(parse_qsl(query.text().removeprefix("?"))) == query  # an address says it all
    for facet, held in catalogue.facets.items():
        mask = catalogue.mask(query.without(facet))
        if facet != "label":
            counted = [
                sum(value in values(rows[at], facet) for at in np.flatnonzero(mask)) for value in held.values
            ]
            assert held.counts(mask).tolist() == counted


def named(row: Row) -> dict[str, Callable[[Row], bool]]:
    """What may be asked for to find a row -> which rows that names."""
    return {
        row["key"]: lambda each: each["key"] == row["key"],
        row["key"][:9]: lambda each: each["key"].startswith(row["key"][:9]),
        row["sample_id"]: lambda each: each["sample_id"] == row["sample_id"],
        row["image_id"]: lambda each: each["image_id"] == row["image_id"],
        row["image_id"].partition(":")[2]: lambda each: each["image_id"] == row["image_id"],
        row["clip_id"]: lambda each: row["clip_id"] in (each["clip_id"], *each.get("clip_ids", ())),
        row["mask_ids"][0]: lambda each: row["mask_ids"][0] in each["mask_ids"],
        row["component"]: lambda each: each["component"] == row["component"],
        "nothing of this name": lambda each: False,
    }


def test_any_id_finds_its_samples(catalogues: dict[str, Catalogue]) -> None:
    for catalogue in catalogues.values():
        rows = catalogue.dataset.table().to_pylist()
        row = next(row for row in rows if row["clip_id"] and row["mask_ids"])
        for asked, has in named(row).items():
            found = catalogue.select(Query(asked=asked)).tolist()
            assert found == [number for number, each in enumerate(rows) if has(each)], asked


def test_the_grid_leads_on_to_every_sample_once(dataset: str) -> None:
    page, seen, start = client(dataset), [], "/?order=area"
    while start:
        html = page.get(start).text
        assert html.count("<html") == (0 if start.startswith("/cards") else 1)
        seen += re.findall(r'id="k([0-9a-f]{20})"', html)
        more = re.search(r'data-cards="([^"]+)"', html)
        start = more[1].replace("&amp;", "&") if more else ""
    rows = sorted(Dataset(dataset).table().to_pylist(), key=lambda row: np.float32(row["area_fraction"]))
    assert seen == [row["key"] for row in rows]


def test_a_sample_is_told_with_its_neighbours_and_other_clips(dataset: str, scenes: str) -> None:
    for url in (dataset, scenes):
        page, data = client(url), Dataset(url)
        rows = data.table().to_pylist()
        of_photo: dict[str, list[Row]] = {}
        for row in rows:
            of_photo.setdefault(row["image_id"], []).append(row)
        row = next(row for row in rows if len(of_photo[row["image_id"]]) > 1 and row["clip_id"])
        html = page.get(f"/sample/{row['key']}").text
        record = json.loads(data.read_member(row, "json"))
        words = " ".join(Words(html).text.split())
        for told in (
            row["key"],
            row["image_id"],
            record["image"]["sha256"],
            row["shard"],
            "drawn again",
            "kHz",
        ):
            assert told in words
        for other in of_photo[row["image_id"]]:
            assert f'id="k{other["key"]}"' in html or other is row
        pool = data.table(format.POOL_TABLE).to_pylist()
        category = record.get("sources", [record])[0]["category"]
        others = [
            clip["key"]
            for clip in pool
            if clip["split"] == row["split"]
            and category in clip["categories"]
            and clip["clip_id"] != row["clip_id"]
        ]
        offered = re.findall(r'data-src="/clip/([0-9a-f]{20})', html)
        assert set(others) <= set(offered)
        one = next(clip for clip in pool if clip["key"] == offered[-1])
        assert page.get(f"/clip/{one['key']}").content == data.read_member(one, "flac")
        place = rows.index(row)
        assert f'rel="next" href="/sample/{rows[place + 1]["key"]}"' in html


def test_sources_have_the_colours_of_the_contact_sheet(scenes: str) -> None:
    page, data = client(scenes), Dataset(scenes)
    row = next(row for row in data.table().to_pylist() if row["kind"] == "mixture")
    record = json.loads(data.read_member(row, "json"))
    html = page.get(f"/sample/{row['key']}").text
    for number, source in enumerate(record["sources"]):
        assert (
            f'<i class="tint tint{number}" aria-hidden="true"></i>{source["category"].replace("_", " ")}'
            in html
        )
    mask = np.asarray(Image.open(io.BytesIO(page.get(f"/media/{row['key']}/mask").content)).convert("RGBA"))
    x, y, width, height = row["bbox_x"], row["bbox_y"], row["bbox_w"], row["bbox_h"]
    truth = np.asarray(Image.open(io.BytesIO(data.read_member(row, "mask.png")))) > 0
    assert mask.shape[:2] == truth.shape
    assert (mask[..., 3][truth] < 20).mean() > 0.8  # but for outlines of the other source
    assert (mask[..., 3][~truth] > 60).all()
    assert 0 <= x < x + width <= mask.shape[1]
    assert 0 <= y < y + height <= mask.shape[0]


def test_media_are_those_of_the_shards(dataset: str) -> None:
    page, data = client(dataset), Dataset(dataset)
    row = data.table().to_pylist()[3]
    address = f"/media/{row['key']}"
    flac = data.read_member(row, "flac")
    assert page.get(f"{address}/sound").content == flac
    part = page.get(f"{address}/sound", headers={"range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, flac[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(flac)}"
    assert page.get(f"{address}/sound", headers={"range": f"bytes={len(flac)}-"}).status_code == 416
    assert page.get(f"{address}/sound", headers={"range": "bytes=0-"}).content == flac
    photo = Image.open(io.BytesIO(data.read_member(row, "jpg"))).convert("RGB")
    shown = Image.open(io.BytesIO(page.get(f"{address}/photo").content))
    assert shown.size == photo.size
    assert np.abs(np.asarray(shown, int) - np.asarray(photo, int)).mean() < 4
    drawn, plain = (
        Image.open(io.BytesIO(page.get(f"{address}/{what}").content)) for what in ("drawn", "plain")
    )
    assert drawn.size == plain.size
    assert (
        max(drawn.width / 480, drawn.height / 360) == pytest.approx(1, abs=0.01) or drawn.size == photo.size
    )
    heard = Image.open(io.BytesIO(page.get(f"{address}/heard").content))
    assert heard.size == (sounds.WIDTH, sounds.WAVE + sounds.BAND)


def test_what_is_broken_is_shown_as_such_and_says_how(broken: tuple[str, dict[str, str]]) -> None:
    root, key = broken
    page = client(root)
    assert all(f'id="k{each}"' in page.get("/").text for each in keys(root))  # none is hidden
    told = {
        "jpg": ("drawn", "jpg has sha256"),
        "flac": ("sound", "flac has sha256"),
        "json": ("drawn", "json has sha256"),
        "gone": ("drawn", "is missing"),
    }
    for what, (member, words) in told.items():
        answer = page.get(f"/media/{key[what]}/{member}")
        assert answer.status_code == 404
        assert words in answer.json()["error"]
        whole = page.get(f"/sample/{key[what]}")
        assert whole.status_code == 200
        assert words in whole.text
        assert "cannot be" in whole.text
    assert page.get(f"/media/{key['ok']}/drawn").status_code == 200
    assert page.get(f"/media/{key['flac']}/drawn").status_code == 200  # the rest of it is there


def test_a_dataset_in_a_store_is_read_by_ranges(scenes: str) -> None:
    store = fsspec.filesystem("memory")
    store.put(scenes, "/browsed", recursive=True)
    page, row = client("memory://browsed"), Dataset(scenes).table().to_pylist()[0]
    before = sorted(store.find("/browsed"))
    assert f'id="k{row["key"]}"' in page.get("/").text
    for path in (
        f"/sample/{row['key']}",
        f"/media/{row['key']}/drawn",
        f"/media/{row['key']}/sound",
        "/dropped?q=x",
    ):
        assert page.get(path).status_code == 200
    assert sorted(store.find("/browsed")) == before
    store.rm("/browsed", recursive=True)


def test_names_cannot_inject_markup(broken: tuple[str, dict[str, str]]) -> None:
    root, key = broken
    page = client(root)
    for path in (
        "/",
        f"/sample/{key['ok']}",
        f"/sample/{key['gone']}",
        "/dropped",
        f"/?q={HOSTILE}",
        f"/dropped?q={HOSTILE}",
    ):
        seen = Words(page.get(path).text)
        assert seen.tags.count("script") == 1, path  # our own
        assert "img" not in seen.tags or "onerror" not in seen.tags
        if not path.startswith("/dropped"):
            assert "<script>alert(1)</script>" in seen.text  # as words


def test_samples_are_a_view_of_the_review_page_too(world: Any, dataset: str) -> None:
    page = browser(world, samples=Catalogue(Dataset(dataset)))
    assert '<a href="/samples/">Samples</a>' in page.get("/map").text
    assert "Samples" not in browser(world).get("/map").text
    html = page.get("/samples/").text
    for address in re.findall(r'(?:href|src|data-cards|data-src)="(/[^"]*)"', html):
        assert address == "/" or address.startswith("/samples/"), address
        if any(part in address for part in ("static", "cards", "category=dog", keys(dataset)[0])):
            assert page.get(address.replace("&amp;", "&")).status_code == 200, address


def test_it_is_guarded_and_paths_lead_nowhere(dataset: str) -> None:
    locked = client(dataset, token="secret")
    for path in ("/", "/cards", "/dropped", "/static/look.js", f"/media/{keys(dataset)[0]}/drawn"):
        assert locked.get(path).status_code == 401
    assert locked.get("/?token=secret").status_code == 200
    assert locked.get("/").status_code == 200
    page = client(dataset)
    assert page.get("/", headers={"host": "evil.example"}).status_code == 421
    assert page.post("/", headers={"origin": "http://evil.example"}).status_code == 403
    for path in (
        *(
            "/media/../../etc/passwd",
            "/media/..%2f..%2fetc%2fpasswd",
            "/static/..%2fapp.py",
            "/clip/%2e%2e/x",
        ),
        *(f"/media/{'0' * 20}/drawn", f"/clip/{'0' * 20}", f"/sample/{'0' * 20}", "/sample/" + "9" * 40),
        *(f"/media/{keys(dataset)[0]}/nothing", f"/media/{keys(dataset)[0].upper()}x/drawn"),
    ):
        answer = page.get(path)
        assert answer.status_code == 404, path
        assert b"root:" not in answer.content
    told = page.get(f"/sample/{'0' * 20}", headers={"accept": "text/html,*/*"})
    assert (told.status_code, "This cannot be shown" in Words(told.text).text) == (404, True)
    for path in (
        "/?start=" + "9" * 50,
        "/?area_min=nan&q=%00",
        "/?category=" + "x" * 5000,
        "/?q=" + "(" * 300,
    ):
        assert page.get(path).status_code == 200, path
    policy = page.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy


def test_what_was_dropped_is_listed_with_what_can_be_shown(dataset: str) -> None:
    page, data = client(dataset), Dataset(dataset)
    rows = data.table(format.REJECTIONS).to_pylist()
    html = page.get("/dropped").text
    counted: dict[tuple[str, str, str], int] = {}
    for row in rows:
        group = (row["stage"], row["unit"], row["reason"])
        counted[group] = counted.get(group, 0) + 1
    assert sum(counted.values()) == len(rows)
    for (stage, unit, reason), number in counted.items():
        address = f"/dropped?stage={stage}&amp;unit={unit}&amp;reason={reason}"
        assert address in html
        assert re.search(re.escape(address) + r'".*?<small>' + str(number) + "</small></a>", html, re.DOTALL)
        found, after = [], f"/dropped?stage={stage}&unit={unit}&reason={reason}"
        while after:
            listed = page.get(after).text
            found += re.findall(r'<p class="name"><b>([^<]+)</b>', listed)
            more = re.search(r'<p class="more"><a href="([^"]+)"', listed)
            after = more[1].replace("&amp;", "&") if more else ""
        wanted = [
            row["item"] for row in rows if (row["stage"], row["unit"], row["reason"]) == (stage, unit, reason)
        ]
        assert found == wanted
    photos = set(data.table()["image_id"].to_pylist())
    row = next(row for row in rows if row["unit"] == "samples" and row["item"].split("|")[0] in photos)
    listed = page.get(f"/dropped?q={row['item']}").text
    assert row["detail"] in listed
    assert "/plain?" in listed


def test_the_spectrogram_is_librosas() -> None:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    rng = np.random.default_rng(0)
    sound = 0.3 * np.sin(2 * np.pi * (200 + 1500 * time_s) * time_s) + 0.01 * rng.standard_normal(len(time_s))
    power = np.abs(librosa.stft(sound, n_fft=sounds.WINDOW, hop_length=sounds.HOP, pad_mode="constant")) ** 2
    mel = librosa.filters.mel(sr=RATE_HZ, n_fft=sounds.WINDOW, n_mels=sounds.MELS) @ power
    wanted = librosa.power_to_db(mel, ref=np.max, top_db=sounds.RANGE_DB)
    assert np.abs(sounds.log_mel(sound) - wanted).max() < 0.01


def test_loudness_is_told_and_no_sound_is_refused() -> None:
    def flac(sound: np.ndarray, rate: int = RATE_HZ) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, sound, rate, format="FLAC")
        return out.getvalue()

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    heard = sounds.hear("tone", flac(np.stack([tone, tone], axis=1)))
    assert (heard.channels, heard.seconds) == (2, 1.0)
    assert heard.loudness_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert heard.peak_db == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert sounds.hear("silence", flac(np.zeros(RATE_HZ))).loudness_db is None
    assert sounds.hear("one sample", flac(np.array([0.5]))).peak_db is not None
    for wrong in (
        b"",
        b"fLaC" + bytes(99),
        flac(tone, 44_100),
        flac(np.zeros((9, 3))),
        flac(np.zeros(21 * RATE_HZ)),
    ):
        with pytest.raises(Unreadable, match="x"):
            sounds.hear("x", wrong)


def test_values_are_made_once_kept_within_a_bound_and_errors_are_not_kept() -> None:
    kept: Kept[int, bytes] = Kept(10, len)
    made: list[int] = []
    ready = threading.Barrier(8)

    def make(key: int) -> bytes:
        made.append(key)
        return bytes(4)

    def ask() -> None:
        ready.wait()
        kept.get(0, lambda: make(0))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    assert made == [0]
    for key in (1, 0, 2, 1, 0):  # 2 pushes 1 out, which was asked for longest ago; then 1 pushes 0 out
        kept.get(key, lambda key=key: make(key))
    assert made == [0, 1, 2, 1, 0]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            kept.get(9, lambda: bytes(1 // 0))


def test_a_dataset_that_changed_meanwhile_is_told(dataset: str, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    rows = Rows(Dataset(str(copy)), format.SAMPLES)
    table = pq.read_table(copy / format.SAMPLES)
    wanted = table.slice(7, 1).to_pylist()[0]
    assert rows.row(7, wanted["key"]) == wanted
    with pytest.raises(DatasetError, match="start `avs-data browse` again"):
        rows.row(8, wanted["key"])
    with pytest.raises(DatasetError, match="start `avs-data browse` again"):
        rows.row(len(table), wanted["key"])


def test_an_export_of_broken_samples_says_how_many(dataset: str, tmp_path: Path) -> None:
    copy = str(shutil.copytree(dataset, tmp_path / "copy"))
    for out, code in (("ok", 0), ("broken", 1)):
        called = ["browse", copy, "--export", str(tmp_path / out), "--samples", "3"]
        answer = CliRunner().invoke(main, called)
        assert answer.exit_code == code, answer.output
        assert ("1 of its samples are broken" in answer.output) == (code == 1)
        spoil(copy, min((tmp_path / out / "samples").iterdir()).stem)


def test_a_busy_machine_makes_no_sample_broken(dataset: str, tmp_path: Path) -> None:
    class Full:
        def picture(self, load: object) -> bytes:
            raise Busy("too many pictures are asked for at once")

    with pytest.raises(Busy):
        export(Catalogue(Dataset(dataset)), str(tmp_path / "out"), 2, pictures=Full())
    assert not (tmp_path / "out" / "index.html").exists()


def test_a_folder_that_is_no_dataset_is_refused_in_one_line(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["browse", str(tmp_path)])
    assert "holds no manifest.json" in str(answer.output) + str(answer.exception)
