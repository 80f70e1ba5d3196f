"""Looking at samples in Chromium, through the real server, by keyboard."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browse_page import PICTURES, keys, served, write_hostile
from generated_shards import spoil

from pipelines.browse.catalogue import Catalogue
from pipelines.browse.export import export
from shards.reader import Dataset

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `apt-get install chromium`"),
    pytest.mark.xdist_group("browser"),
]
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PLAYS = "() => document.querySelector('.hear.playing') !== null"  # a function: the page evaluates no text


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(dataset: str) -> Iterator[str]:
    with served(dataset) as found:
        yield found


class Looker:
    """A person with a browser; nothing goes wrong in it that is not expected."""

    def __init__(self, chromium: Any, address: str, viewport: dict[str, int] = LAPTOP, **more: Any) -> None:
        self.context = chromium.new_context(viewport=viewport, **more)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console", lambda message: self.faults.append(message.text) if message.type == "error" else None
        )
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        self.page.goto(address)

    def press(self, *pressed: str) -> None:
        for key in pressed:
            self.page.keyboard.press(key)

    @property
    def focus(self) -> str:
        """The key of the sample that has the focus."""
        found: str = self.page.evaluate("document.activeElement.closest('.card')?.id.slice(1) || ''")
        return found

    def fits(self) -> None:
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def close(self) -> None:
        self.context.close()
        assert self.faults == []


def test_samples_are_filtered_heard_and_opened_by_keyboard(chromium: Any, address: str, dataset: str) -> None:
    looker = Looker(chromium, address)
    page, order = looker.page, keys(dataset)
    looker.press("ArrowRight")
    assert looker.focus == order[0]
    looker.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert looker.focus == order[1]
    looker.press("ArrowDown")
    columns = order.index(looker.focus) - 1
    assert columns > 1
    looker.press("ArrowUp", " ")
    page.wait_for_function(
        f"{PLAYS} && document.activeElement.closest('.card').querySelector('.hear.playing')"
    )
    looker.press(" ")
    page.wait_for_function("() => !document.querySelector('.hear.playing')")
    looker.press("m")
    page.wait_for_function(
        "[...document.querySelectorAll('.shot img')].every(image => /plain/.test(image.src))"
    )
    looker.press("m", "Enter")
    page.wait_for_selector("html[data-ready] main.sample")
    assert order[1] in page.url
    looker.press(" ")
    page.wait_for_function("() => document.querySelector('.hear.main.playing progress')?.value > 0")
    looker.press("1")
    page.wait_for_selector(".others .hear.playing")
    looker.press("m")
    assert page.evaluate("getComputedStyle(document.querySelector('.mask')).visibility") == "hidden"
    looker.press("Escape")
    page.wait_for_selector("html[data-ready] #grid")
    looker.press("f", "Enter")
    page.wait_for_selector("html[data-ready] .chips")
    (category,) = re.findall(r"category=(\w+)", page.url)
    wanted = [row["key"] for row in Dataset(dataset).table().to_pylist() if row["category"] == category]
    assert page.inner_text("h1").split()[0] == str(len(wanted))
    page.fill("[name=area_min]", "3,5")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("area_min=3.5|area_min=3%2C5"))
    assert 0 < int(page.inner_text("h1").split()[0]) < len(wanted)
    looker.press("/")
    page.keyboard.type(order[5][:10])
    looker.press("Enter")
    page.wait_for_selector(f"#k{order[5]}")
    assert page.locator(".card").count() == 1
    looker.close()


def test_samples_are_stepped_through_by_keyboard(chromium: Any, address: str, dataset: str) -> None:
    order = keys(dataset)
    looker = Looker(chromium, f"{address}/sample/{order[0]}")
    for key, *pressed in [
        *((key, "ArrowRight") for key in order[1:20]),
        *((key, "k") for key in order[18:8:-1]),
    ]:
        looker.press(*pressed)
        looker.page.wait_for_url(re.compile(key))
        assert looker.page.locator("h1").count() == 1
    looker.press("Escape")
    looker.page.wait_for_selector("html[data-ready] #grid")
    looker.close()


def test_the_grid_goes_on_as_one_scrolls_or_moves(chromium: Any, address: str, dataset: str) -> None:
    looker = Looker(chromium, address)
    order = keys(dataset)
    seen = 0
    while looker.page.locator(".more a").count():
        looker.page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        looker.page.wait_for_function("seen => document.querySelectorAll('.card').length > seen", arg=seen)
        seen = looker.page.locator(".card").count()
    shown = looker.page.eval_on_selector_all(".card", "cards => cards.map(card => card.id.slice(1))")
    assert shown == order
    assert looker.page.locator(".broken").count() == 0
    looker.close()


def test_a_phone_shows_all_of_it(chromium: Any, scenes: str) -> None:
    with served(scenes) as address:
        looker = Looker(
            chromium, f"{address}/?kind=mixture", PHONE, color_scheme="dark", has_touch=True, is_mobile=True
        )
        page = looker.page
        assert not page.is_visible(".facet a")
        page.tap("#filters summary")
        assert page.is_visible(".facet a")
        looker.fits()
        page.tap("#filters summary")
        page.tap(".card .hear >> nth=0")
        page.wait_for_function(PLAYS)
        page.tap(".shot >> nth=1")
        page.wait_for_selector("html[data-ready] main.sample")
        looker.fits()
        assert page.locator(".sources .tint").count() >= 2
        page.tap(".hear.main")
        page.wait_for_selector(".hear.main.playing")
        page.tap("a[rel=next]")
        page.wait_for_selector("html[data-ready] main.sample")
        page.tap(".top nav a >> nth=1")
        page.tap(".reasons a >> nth=0")
        page.wait_for_selector(".items li")
        looker.fits()
        looker.close()


def test_everything_that_can_be_pressed_has_a_name_and_pictures_a_text(chromium: Any, address: str) -> None:
    for path in ("/", "/dropped", "/dropped?reason=described_twice"):
        looker = Looker(chromium, address + path)
        nameless = looker.page.evaluate(
            """[...document.querySelectorAll('a, button, input, select, img')].filter(each =>
                 each.tagName === 'IMG' ? !each.hasAttribute('alt')
                 : !(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.[0]?.textContent.trim()
                     || document.querySelector(`label[for="${each.id}"]`))).map(each => each.outerHTML)"""
        )
        assert nameless == []
        assert looker.page.locator("h1").count() == 1
        looker.close()


def test_broken_samples_are_marked_and_names_stay_words(chromium: Any, tmp_path: Path) -> None:
    root = write_hostile(tmp_path / "hostile")
    first, second, *_ = keys(root)
    gone = Path(root) / spoil(root, second, "flac")
    spoil(root, first)
    missing = sorted(path for path in gone.parent.glob("*.tar") if path != gone)[0]
    lost = {row["key"] for row in Dataset(root).table().to_pylist() if row["shard"].endswith(missing.name)}
    missing.unlink()
    with served(root) as address:
        looker = Looker(chromium, address)
        looker.page.wait_for_selector(f"#k{first}.broken")
        for key in lost:
            looker.page.wait_for_selector(f"#k{key}.broken")
            looker.page.wait_for_function(
                "key => /missing/.test(document.querySelector(`#k${key} .fault`).textContent)", arg=key
            )
        looker.page.wait_for_function(
            "key => /sha256/.test(document.querySelector(`#k${key} .fault`).textContent)", arg=first
        )
        assert looker.page.locator(".card").count() == len(keys(root))
        looker.page.click(f"#k{second} .hear")
        looker.page.wait_for_function(
            "key => /flac has sha256/.test(document.querySelector(`#k${key} .fault`).textContent)", arg=second
        )
        looker.page.goto(f"{address}/sample/{first}")
        assert "sha256" in looker.page.inner_text("[role=alert]")
        looker.faults = [fault for fault in looker.faults if "404" not in fault]  # what Chromium says of them
        looker.close()


def test_without_a_network_nothing_is_called_broken(chromium: Any, address: str) -> None:
    looker = Looker(chromium, address)
    page = looker.page
    page.wait_for_function("() => [...document.images].slice(0, 4).every(image => image.naturalWidth)")
    looker.context.set_offline(True)
    looker.press("ArrowRight", " ")
    page.wait_for_function("() => /does not answer/.test(document.getElementById('status').textContent)")
    looker.press("m")
    page.wait_for_function("() => document.images[0].complete && !document.images[0].naturalWidth")
    page.wait_for_timeout(200)
    assert page.locator(".broken").count() == 0
    looker.context.set_offline(False)
    page.wait_for_function("() => document.images[0].naturalWidth")
    looker.press(" ")
    page.wait_for_function(PLAYS)
    looker.faults = [fault for fault in looker.faults if "DISCONNECTED" not in fault]
    looker.close()


def test_an_export_opens_from_disk(chromium: Any, scenes: str, tmp_path: Path) -> None:
    page_path, broken = export(Catalogue(Dataset(scenes)), str(tmp_path / "out"), 12, pictures=PICTURES)
    again, _ = export(Catalogue(Dataset(scenes)), str(tmp_path / "again"), 12, pictures=PICTURES)
    assert broken == 0
    files = {path.relative_to(tmp_path / "out"): path for path in (tmp_path / "out").rglob("*.*")}
    for name, path in files.items():
        if ".work" not in name.parts:
            assert (Path(again).parent / name).read_bytes() == path.read_bytes()
    assert not any(
        "http://" in path.read_text() and "127.0.0.1" in path.read_text() for path in tmp_path.rglob("*.html")
    )
    looker = Looker(chromium, f"file://{page_path}")
    page = looker.page
    assert page.locator(".card").count() == 12
    page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth)")
    looker.press("ArrowRight", " ")
    page.wait_for_function(PLAYS)
    looker.press("m", "Enter")
    page.wait_for_selector("html[data-ready] main.sample")
    assert page.url.startswith("file://")
    page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth)")
    looker.press("ArrowRight")
    page.wait_for_selector("a[rel=prev]")
    looker.press("Escape")
    page.wait_for_selector("html[data-ready] #grid")
    page.fill("#narrow", "silence")
    shown = page.locator(".card:visible").count()
    assert shown == sum("silence" in text for text in page.locator(".card .name").all_inner_texts() if text)
    looker.close()
