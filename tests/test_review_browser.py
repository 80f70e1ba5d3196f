"""The page in Chromium, through the real server, by keyboard as a reviewer works."""

import os
import re
import shutil
from collections import Counter

import pytest
from review_page import served
from review_world import BASE_LINKS, HOSTILE, PROPOSALS, make_world, write_map

from label_maps import Link
from pipelines.review import rejected

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `apt-get install chromium`"),
    pytest.mark.xdist_group("browser"),
]
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    world = make_world(tmp_path)
    with served(world) as (address, _):
        yield world, address


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory, dataset):
    """For tests that need no queue of their own; with all views that there are."""
    world = make_world(tmp_path_factory.mktemp("shared"))
    with served(world, samples=dataset) as (address, _):
        yield world, address


class Reviewer:
    """A person with a browser of their own."""

    def __init__(self, chromium, address, name, viewport=LAPTOP, scheme="light", **more):
        self.context = chromium.new_context(viewport=viewport, color_scheme=scheme, **more)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console", lambda message: self.faults.append(message.text) if message.type == "error" else None
        )
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        self.page.goto(address)
        self.page.wait_for_selector("#name[open]")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("article.link")

    @property
    def link(self):
        article = self.page.query_selector("article.link")
        return int(article.get_attribute("data-id")) if article else None

    def press(self, key, answered=r"Accepted|Rejected|Deferred|Took back"):
        """Press a key and wait until the queue has acknowledged it and another link is shown."""
        link = self.link
        self.page.evaluate("document.getElementById('status').textContent = ''")
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "([link, answered]) => new RegExp(answered).test(document.getElementById('status').textContent)"
            " && document.querySelector('article.link')?.dataset.id != link",
            arg=[link, answered],
        )
        return link

    def wait_past(self, link):
        self.page.wait_for_selector(f"article.link:not([data-id='{link}'])")

    def wait_for(self, link):
        self.page.wait_for_selector(f"article.link[data-id='{link}']")

    @property
    def focus(self):
        return self.page.evaluate("document.activeElement.tagName + ' ' + document.activeElement.textContent")

    def close(self):
        self.context.close()
        assert self.faults == []


def test_twenty_links_by_keyboard_undo_and_reload(chromium, server):
    world, address = server
    anna = Reviewer(chromium, address, "anna")
    pressed = [(anna.press(key), key) for key in "arad" * 5]
    with world.open() as queue:
        log = [(d.item_id, d.verdict[0], d.reviewer) for d in queue.decisions() if d.origin == "person"]
    assert log == [(link, key, "anna") for link, key in pressed]
    assert anna.press("u") is not None
    assert anna.link == pressed[-1][0]  # the link taken back is on the screen again
    anna.press("u")
    assert anna.link == pressed[-2][0]
    anna.page.reload()
    anna.page.wait_for_selector("article.link")
    assert anna.link == pressed[-2][0]  # and still is after a reload: it is the most uncertain one open
    assert anna.page.inner_text("#mine") == "14"  # 20 less 5 deferred, less one accept taken back
    anna.press("r")
    with world.open() as queue:
        assert queue.item(pressed[-2][0]).state == "reject"
        assert queue.progress("anna").mine == 15
    anna.close()


def test_two_browsers_on_one_queue_lose_and_double_nothing(chromium, server):
    """Both press as fast as links come; the server is one, the queue is one."""
    world, address = server
    anna, ben = Reviewer(chromium, address, "anna"), Reviewer(chromium, address, "ben")
    for reviewer in (anna, ben):
        reviewer.page.evaluate(
            """() => { window.pressed = 0; window.work = setInterval(() => {
                 if (document.querySelector('.empty')) return;
                 window.pressed++;
                 document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ar'[window.pressed % 2], bubbles:
                 true}));
               }, 30); }"""
        )
    for reviewer in (anna, ben):
        reviewer.page.wait_for_selector(".empty", timeout=60_000)
        reviewer.page.wait_for_function("() => document.getElementById('waiting').textContent === '0'")
    with world.open() as queue:
        people = [d for d in queue.decisions() if d.origin == "person"]
        asked = {item.id for item in queue.items() if item.asked}
    assert Counter(d.item_id for d in people) == dict.fromkeys(asked, 1)
    assert (
        min(Counter(d.reviewer for d in people).values()) >= 5
    )  # both had work: they were given different links
    for reviewer in (anna, ben):
        reviewer.faults = [fault for fault in reviewer.faults if "409" not in fault]
        reviewer.close()


def test_a_decision_that_meets_a_dead_server_is_sent_again(chromium, tmp_path):
    """The answer is lost on the way: the page asks again, and the queue counts once."""
    world = make_world(tmp_path)
    with served(world) as (address, _):
        anna = Reviewer(chromium, address, "anna")
        lost = []

        def lose(route):
            response = route.fetch()  # the server decides...
            if lost:
                route.fulfill(response=response)
            else:
                lost.append(response.status)
                route.abort()  # ...and its answer never arrives

        anna.page.route("**/decision", lose)
        link = anna.press("a", "Accepted")
        assert lost == [200]
        with world.open() as queue:
            assert [d.item_id for d in queue.decisions() if d.origin == "person"] == [link]
        anna.faults.clear()
        anna.close()


def test_sounds_masks_search_category_and_help_by_keyboard(chromium, shared_server):
    world, address = shared_server
    anna = Reviewer(chromium, address, "anna")
    page = anna.page
    with world.open() as queue:
        cow = queue.find(PROPOSALS[0].key)
    page.goto(f"{address}/link/{cow.id}")
    page.wait_for_selector("article.link")
    page.keyboard.press("2")
    page.wait_for_selector(".clips li:nth-child(2) .playing")
    page.keyboard.press(" ")
    page.wait_for_selector(".playing", state="detached")
    page.wait_for_function(
        "() => [...document.images].every((image) => image.complete && image.naturalWidth > 0)"
    )
    page.keyboard.press("m")
    assert page.locator(".mask").first.evaluate("mask => getComputedStyle(mask).visibility") == "hidden"
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("a")  # keys decide nothing while a dialog is open
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("thing 07")
    page.keyboard.press("Enter")  # faster than the list of what was typed
    page.wait_for_function("() => document.querySelector('.image h2').textContent === 'thing 07'")
    page.keyboard.press("c")
    page.keyboard.type("Bovine Things")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("says a farmer")
    page.keyboard.press("Enter")
    page.wait_for_selector("#category", state="hidden")
    assert page.inner_text("#into") == "into bovine_things"
    anna.press("a")
    assert anna.link == cow.id  # back where the search began
    with world.open() as queue:
        (decision,) = [d for d in queue.decisions() if d.origin == "person"]
        assert (decision.category, decision.relation) == ("bovine_things", "kind_of")
        assert decision.note == "says a farmer"
        assert queue.item(decision.item_id).key == ("vggsound", "cattle mooing", "lvis", "1007")
    anna.close()


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_hostile_labels_stay_text(chromium, shared_server, viewport, scheme, tmp_path):
    world, address = shared_server
    anna = Reviewer(chromium, address, "anna", viewport, scheme)
    with world.open() as queue:
        hostile = next(item.id for item in queue.items() if HOSTILE in item.proposal.audio_label)
        cow = queue.find(PROPOSALS[0].key).id
    shown = {}
    for name, path in (
        ("link", f"/link/{cow}"),
        ("hostile", f"/link/{hostile}"),
        ("map", "/map"),
        ("progress", "/progress"),
    ):
        anna.page.goto(address + path)
        anna.page.wait_for_load_state("networkidle")
        anna.page.screenshot(path=tmp_path / f"{name}.png")
        shown[name] = anna.page.evaluate("document.documentElement.scrollWidth")
        if name == "hostile":
            assert HOSTILE in anna.page.inner_text(".sound h2")
        if name == "link":
            buttons = [
                box.bounding_box()
                for box in anna.page.query_selector_all(".actions button")
                if box.is_visible()
            ]
            assert all(b["x"] >= 0 and b["x"] + b["width"] <= viewport["width"] for b in buttons)
            assert all(b["y"] + b["height"] <= viewport["height"] for b in buttons)
    assert max(shown.values()) <= viewport["width"], shown  # nothing to scroll sideways
    background = anna.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 384) == (scheme == "light")
    anna.close()


def test_the_keyboard_reaches_every_button_with_a_visible_ring(chromium, shared_server):
    _, address = shared_server
    anna = Reviewer(chromium, address, "anna")
    decide = {"accept", "reject", "defer", "undo", "next"}
    buttons = decide | {"category", "search", "help", "Map", "Progress"}
    reached = set()
    for _ in range(25):
        anna.page.keyboard.press("Tab")
        focus = anna.page.evaluate(
            "(() => { const at = document.activeElement; return [at.dataset.do || at.textContent.trim(),"
            " getComputedStyle(at).outlineStyle, getComputedStyle(at).outlineWidth]; })()"
        )
        if focus[0] in buttons:
            reached.add(focus[0])
            assert focus[1:] == ["solid", "2px"], focus
    assert reached == buttons
    anna.close()


def decided_by(world, reviewer):
    with world.open() as queue:
        return [(d.item_id, d.verdict) for d in queue.decisions() if d.reviewer == reviewer]


@pytest.mark.parametrize("button", ["reject", "defer"])
def test_after_a_click_no_key_decides_what_was_not_meant(chromium, server, button):
    world, address = server
    anna = Reviewer(chromium, address, "anna")
    first = anna.link
    anna.page.click(f"[data-do={button}]")
    anna.wait_past(first)
    second = anna.link
    with world.open() as queue:
        name = queue.item(second).proposal
    assert anna.focus.startswith("H1")
    assert f"Link {second} {name.audio_label} = " in anna.focus
    for key in (" ", " ", "Enter", "Delete", "A", "R", "D", "x", "ArrowRight", "1"):
        anna.page.keyboard.press(key)
    anna.page.focus("[data-do=accept]")
    anna.page.keyboard.press("p")  # a documented key does what it says, wherever the focus is
    anna.wait_for(first)
    assert anna.focus.startswith("H1")
    anna.page.keyboard.press(" ")
    assert decided_by(world, "anna") == [(first, button)]
    anna.close()


def test_a_double_click_decides_one_link(chromium, server):
    world, address = server
    anna = Reviewer(chromium, address, "anna")
    first, sent = anna.link, []
    anna.page.on("request", lambda request: sent.append(request.url) if "decision" in request.url else None)
    box = anna.page.locator("[data-do=reject]").bounding_box()
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    anna.page.mouse.click(*at)
    anna.wait_past(first)
    second = anna.link
    anna.page.mouse.down(click_count=2)  # the second half of the same double click
    anna.page.mouse.up(click_count=2)
    anna.page.keyboard.press("n")
    anna.wait_past(second)
    anna.page.wait_for_load_state("networkidle")
    assert sent == [f"{address}/api/link/{first}/decision"]
    assert decided_by(world, "anna") == [(first, "reject")]
    anna.close()


def test_a_second_press_while_the_first_is_on_its_way_decides_nothing(chromium, server):
    world, address = server
    anna = Reviewer(chromium, address, "anna")
    first = anna.link
    held = []
    anna.page.route("**/decision", lambda route: held.append(route))
    for key in "rad":
        anna.page.keyboard.press(key)
    anna.page.click("[data-do=reject]")
    anna.page.keyboard.press("n")
    assert anna.link == first  # what is answered stays on the screen until it is
    assert len(held) == 1
    held[0].continue_()
    anna.wait_past(first)
    assert decided_by(world, "anna") == [(first, "reject")]
    anna.close()


def test_without_a_network_the_page_says_what_is_saved_and_then_goes_on(chromium, server):
    world, address = server
    anna = Reviewer(chromium, address, "anna")
    first, status = anna.link, anna.page.locator("#status")
    anna.context.set_offline(True)
    anna.page.keyboard.press("r")
    sync_api.expect(anna.page.locator("#status")).to_contain_text("Not saved yet: reject")
    anna.page.keyboard.press("r")
    anna.page.keyboard.press("a")
    assert anna.link == first
    assert decided_by(world, "anna") == []
    anna.context.set_offline(False)
    anna.wait_past(first)
    assert status.inner_text().startswith("Rejected: ")
    assert decided_by(world, "anna") == [(first, "reject")]
    anna.page.wait_for_function(
        "() => [...document.images].every((image) => image.complete && image.naturalWidth)"
    )
    second = anna.link
    anna.context.set_offline(True)
    anna.page.keyboard.press("n")
    sync_api.expect(anna.page.locator("#status")).to_contain_text("waiting for the next link")
    assert anna.link == second
    anna.context.set_offline(False)
    anna.wait_past(second)
    assert len(decided_by(world, "anna")) == 1
    anna.faults = [fault for fault in anna.faults if "ERR_INTERNET_DISCONNECTED" not in fault]
    anna.close()


def test_the_address_names_the_link_and_the_way_back_leads_to_it(chromium, server):
    world, address = server
    anna = Reviewer(chromium, address, "anna")
    seen = [anna.link]
    for key in ("n", "r", "n", "d"):
        link = anna.link
        anna.page.keyboard.press(key)
        anna.wait_past(link)
        seen.append(anna.link)
        assert anna.page.url == f"{address}/link/{seen[-1]}"
    assert len(set(seen)) == 5
    for back, press in ((3, "p"), (2, "p"), (1, None)):
        anna.page.keyboard.press(press) if press else anna.page.go_back()
        anna.wait_for(seen[back])
        assert anna.page.url == f"{address}/link/{seen[back]}"
    anna.page.keyboard.press("a")  # it was rejected before
    sync_api.expect(anna.page.locator("#status")).to_contain_text("is decided: u takes")
    assert decided_by(world, "anna") == [(seen[1], "reject"), (seen[3], "defer")]
    anna.page.reload()
    anna.wait_for(seen[1])
    with world.open() as queue:
        assert anna.page.title().startswith(queue.item(seen[1]).proposal.audio_label)
    anna.page.keyboard.press("u")  # the answer to this link, and not the newer one
    sync_api.expect(anna.page.locator("#status")).to_contain_text("Took back: reject")
    with world.open() as queue:
        assert [d.item_id for d in queue.decisions() if d.undone] == [seen[1]]
    anna.close()


def test_on_a_phone_every_dialog_closes_by_touch(chromium, shared_server):
    _, address = shared_server
    anna = Reviewer(chromium, address, "anna", PHONE, has_touch=True, is_mobile=True)
    anna.page.wait_for_function("document.getElementById('reviewer').textContent.includes('anna')")
    anna.page.reload()
    anna.page.wait_for_selector("article.link")
    for opens, dialog in (
        ("#reviewer", "#name"),
        ("[data-do=category]", "#category"),
        ("[data-do=search]", "#search"),
    ):
        anna.page.tap(opens)
        anna.page.tap(f"{dialog} [data-close]")
        anna.page.wait_for_selector(dialog, state="hidden")
        anna.page.tap(opens)
        anna.page.wait_for_selector(dialog)
        anna.page.touchscreen.tap(5, 5)
        anna.page.wait_for_selector(dialog, state="hidden")
    anna.page.tap("[data-do=masks]")
    assert anna.page.locator("body.bare").count() == 1
    anna.close()


def test_a_screen_reader_hears_one_heading_and_what_each_button_and_photo_is(chromium, shared_server):
    world, address = shared_server
    anna = Reviewer(chromium, address, "anna")
    with world.open() as queue:
        cow = queue.find(PROPOSALS[0].key).id
    anna.page.goto(f"{address}/link/{cow}")
    anna.page.wait_for_selector("article.link")
    assert anna.page.get_by_role("heading", level=1).count() == 1
    photos = [image.get_attribute("alt") for image in anna.page.query_selector_all("figure img:not(.mask)")]
    assert len(photos) == len(set(photos)) == 3
    assert all("cow" in text for text in photos)
    for name in (
        "Reject ?: it does not",
        "Accept ?: .* into \\w+",
        "Play or stop clip 2, 0b_000010",
        "anna ?, change the",
    ):
        assert anna.page.get_by_role("button", name=re.compile(f"^{name}")).count() == 1, name
    assert anna.page.locator("#status").get_attribute("role") == "status"
    anna.close()


def test_at_200_percent_most_of_the_height_is_the_links(chromium, shared_server):
    _, address = shared_server
    anna = Reviewer(chromium, address, "anna", {"width": 640, "height": 400})
    anna.page.keyboard.press("m")
    anna.page.evaluate("window.scrollTo(0, 200)")
    covered = anna.page.evaluate(
        """() => ['.top', '#status', '.actions'].map(name => document.querySelector(name).getBoundingClientRect())
            .reduce((sum, box) => sum + Math.max(0, Math.min(box.bottom, innerHeight) - Math.max(box.top, 0)), 0)"""
    )
    assert covered <= 0.25 * 400
    assert anna.page.evaluate("document.documentElement.scrollWidth") <= 640
    anna.page.click("[data-do=help]")  # reached, though the row of buttons is longer than the screen
    assert anna.page.is_visible("#help")
    anna.close()


def test_the_printed_link_lets_in_and_nothing_else_does(chromium, tmp_path):
    world = make_world(tmp_path, media=False)
    with served(world, token=True) as (link, _):
        stranger = chromium.new_context()
        stranger.add_cookies([{"name": "not a token", "value": '{"x": [1,2]}', "url": link}])
        page = stranger.new_page()
        assert page.goto(link.partition("?")[0]).status == 401
        assert "that this server printed" in page.inner_text("body")
        stranger.close()
        anna = Reviewer(chromium, link, "anna")
        anna.context.add_cookies([{"name": "x[y]", "value": "(a,b)", "url": link.partition("?")[0]}])
        assert "token" not in anna.page.url
        anna.press("r")
        anna.close()
    assert len(decided_by(world, "anna")) == 1


def test_the_page_says_why_a_link_was_refused_what_the_map_notes_and_what_is_left_out(chromium, tmp_path):
    """The queue remembers where the map and the corpora are; a category of the map without photos is no new one."""
    world = make_world(tmp_path, ask_all=False)
    note = Link("cow", "open_images", "/m/0zzzz", "Calf", "", "same", "m", "2026-01-02", "a calf bleats")
    moo = Link("cow", "vggsound", "calf bleating", "calf bleating", "", "same", "m", "2026-01-02", "")
    write_map(world.map_path, [*BASE_LINKS, note, moo])
    (world.map_path.parent / "rejected").mkdir()
    refused = rejected.RejectedLink(
        *PROPOSALS[1].key, "cowbell", "maintainers", "2026-01-02", "the bell, not the animal"
    )
    rejected.path_for(world.map_path).write_bytes(rejected.to_csv([refused]))
    with world.open() as queue:
        queue.set_meta(map=world.map_path)
        queue.set_meta(corpora=world.corpora)
        bell, cow = (queue.find(PROPOSALS[n].key).id for n in (1, 0))
        thing = next(item.id for item in queue.items() if item.adds == 2)
        left_out = queue.progress("anna").left_out
    with served(world, named=False) as (address, _):
        anna = Reviewer(chromium, address, "anna")
        page = anna.page
        page.goto(f"{address}/link/{bell}")
        page.wait_for_selector("article.link")
        assert page.inner_text(".refusal").startswith("Refused before: the bell, not the animal")
        page.goto(f"{address}/link/{cow}")
        page.wait_for_selector("article.link")
        page.wait_for_function(
            "() => [...document.images].every((image) => image.complete && image.naturalWidth)"
        )
        assert page.locator("figure").count() == 3  # photos of the corpora that the queue remembers
        assert "a calf bleats" in page.inner_text(".notes")
        assert "A new category" not in page.inner_text(".impact")
        page.goto(f"{address}/link/{thing}")
        page.wait_for_selector("article.link")
        assert "A new category" in page.inner_text(".impact")
        page.goto(f"{address}/progress")
        assert f"{left_out} more add nothing" in page.inner_text("main")
        anna.close()
