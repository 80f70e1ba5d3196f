"""The judging page in Chromium, through the real server, by keyboard as a judge works."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from judged import queue_of
from test_review_browser import CHROMIUM, FLAGS, LAPTOP, PHONE

from pipelines.judge.queue import Queue

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `apt-get install chromium`"),
    pytest.mark.xdist_group("browser"),
]


@contextmanager
def served(path):
    """The address of `avs-data judge serve` on a free port; it has nothing to complain about."""
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "judge", "serve"]
    process = subprocess.Popen(
        [*command, "--queue", path, "--port", "0", "--no-token"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("Judging page: http://"), line + process.stdout.read()
        assert "Without a token" in process.stdout.readline()
        yield line.split()[-1].rstrip("/")
    finally:
        process.kill()
        printed = process.communicate()[0]
    assert printed == "", printed


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    _, path = queue_of(tmp_path_factory.mktemp("page"), samples=60, sample=24, gold=3, active=6, judges=2)
    with served(path) as address:
        yield path, address


class Judge:
    """A person with a browser of their own."""

    def __init__(self, chromium, address, name, viewport=LAPTOP):
        self.context = chromium.new_context(viewport=viewport)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console", lambda message: self.faults.append(message.text) if message.type == "error" else None
        )
        self.page.goto(address)
        self.page.wait_for_selector("#name[open]")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("article.judged")

    @property
    def sample(self):
        return int(self.page.get_attribute("article.judged", "data-id"))

    def seen(self):
        """Wait until the photo is there."""
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.large img')].every((one) => one.complete && one.naturalWidth)"
        )

    def ready(self):
        """And until the sound was started, as a person does."""
        self.seen()
        self.page.wait_for_selector(".play.heard")

    def press(self, key):
        """Answer what is on the screen, once it can be; which sample it was."""
        self.ready()
        sample = self.sample
        self.page.keyboard.press(key)
        self.page.wait_for_selector(f"article.judged:not([data-id='{sample}']), .empty")
        return sample

    def said(self):
        return self.page.inner_text("#status")

    def close(self):
        self.context.close()
        assert self.faults == []


def test_twenty_by_keyboard_undo_and_a_second_judge(chromium, server):
    path, address = server
    ana = Judge(chromium, address, "ana")
    assert "Drawn by chance" in ana.page.inner_text(".which")
    keys = {
        "1": "right",
        "2": "wrong_sound",
        "3": "wrong_object",
        "4": "bad_mask",
        "5": "not_sounding",
        "6": "cannot_tell",
    }
    pressed = [(ana.press(key), keys[key]) for key in "12345611112111141161"]
    with Queue(path) as queue:
        assert [(one.item_id, one.verdict) for one in queue.judgements()] == pressed
        gold = [item for item in queue.items() if item.gold]
    assert len({sample for sample, _ in pressed}) == 20
    assert ana.page.evaluate("document.activeElement.tagName") == "H1"
    for html in (ana.page.inner_html("main"),):  # nothing tells gold, or what others said
        assert not any(item.key in html for item in gold)

    shown = ana.sample
    ana.ready()
    ana.page.keyboard.press("u")
    ana.page.wait_for_selector(f"article.judged[data-id='{pressed[-1][0]}']")
    assert ana.said() == f"Took back: right of {ana.page.inner_text('h1')}"
    assert ana.press("4") == pressed[-1][0]
    assert ana.sample == shown  # the one that was on the screen comes back
    ana.page.goto(f"{address}/sample/{pressed[0][0]}")
    ana.page.wait_for_selector(".own")
    assert "You said: right" in ana.page.inner_text(".own")
    ana.page.keyboard.press("2")
    ana.page.wait_for_function("() => document.getElementById('status').textContent.includes('is decided')")

    ben = Judge(chromium, address, "ben", PHONE)
    assert not ben.page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    first = ben.press("1")
    ana.page.goto(address)
    ana.page.wait_for_selector("article.judged")
    assert ben.sample != ana.sample  # two judges at once see two samples, while there are others
    with Queue(path) as queue:
        assert {(one.item_id, one.judge) for one in queue.judgements()} >= {(first, "ben")}
        assert queue.item(first).state in ("done", "third") or queue.item(first).gold
    ben.page.goto(f"{address}/active")
    ben.page.wait_for_selector("article.judged")
    assert "Most doubtful first" in ben.page.text_content(".which")
    with Queue(path) as queue:
        assert queue.item(ben.sample).order in ("active", "gold")
    ben.page.goto(f"{address}/quality")
    assert "of the samples are right" in ben.page.inner_text("h1")
    ben.page.goto(f"{address}/samples/")
    ben.page.wait_for_selector(".card")
    ana.close()
    ben.close()


def test_no_key_answers_for_what_was_not_seen_or_heard(chromium, server):
    path, address = server
    cleo = Judge(chromium, address, "cleo")
    with Queue(path) as queue:
        before = len(queue.judgements())
    held = []
    cleo.page.route("**/media/*/photo*", lambda route: held.append(route))
    cleo.page.reload()
    cleo.page.wait_for_selector("article.judged")
    cleo.page.keyboard.press("1")
    cleo.page.wait_for_function(
        "() => document.getElementById('status').textContent === 'The photo is not here yet'"
    )
    for route in held:
        route.continue_()
    cleo.page.unroute("**/media/*/photo*")
    cleo.ready()
    cleo.page.route("**/media/*/sound*", lambda route: route.abort())
    cleo.page.reload()
    cleo.page.wait_for_selector(".play.broken")
    cleo.seen()
    cleo.page.keyboard.press("1")
    cleo.page.wait_for_function(
        "() => document.getElementById('status').textContent.startsWith('Listen first')"
    )
    cleo.page.unroute("**/media/*/sound*")
    with Queue(path) as queue:
        assert len(queue.judgements()) == before

    cleo.page.reload()
    cleo.page.wait_for_selector("article.judged")
    cleo.ready()
    sample = cleo.sample
    cleo.context.set_offline(True)
    cleo.page.keyboard.press("1")
    cleo.page.wait_for_function(
        "() => document.getElementById('status').textContent.startsWith('Not saved yet')"
    )
    cleo.page.keyboard.press("4")  # means the sample on the screen, which is being answered: it does nothing
    assert cleo.sample == sample
    cleo.context.set_offline(False)
    cleo.page.wait_for_selector(f"article.judged:not([data-id='{sample}'])")
    with Queue(path) as queue:
        assert [(one.item_id, one.verdict) for one in queue.judgements()[before:]] == [(sample, "right")]
    cleo.context.close()


def test_at_200_percent_every_answer_is_on_the_screen(chromium, server):
    judge = Judge(chromium, server[1], "zoe", {"width": 640, "height": 400})
    boxes = [button.bounding_box() for button in judge.page.locator("[data-verdict]").all()]
    assert len(boxes) == 6
    assert all(box["y"] + box["height"] <= 400 and box["x"] + box["width"] <= 640 for box in boxes)
    assert boxes[0]["y"] >= 300  # most of the height is the sample's
    judge.close()
