"""Take docs/review.png: the review page on generated corpora, with a map that lacks one of their categories.

    python docs/review_screenshot.py --out docs/review.png

Needs Chromium and the `test` extra (Playwright).
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import label_maps
from label_maps.label_map import write
from pipelines.review.queue import Queue

MISSING = "lion"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def avs_data(*arguments: object) -> None:
    program = "from pipelines.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True)


def prepare(folder: Path) -> tuple[Path, Path]:
    """A queue and a map below `folder`."""
    corpora, queue, map_path = folder / "corpora", folder / "review.sqlite", folder / "avs.csv"
    shipped = label_maps.load("avs")
    about = Path(label_maps.__file__).with_name("avs.toml").read_text()
    (folder / "avs.toml").write_text(about.replace(f'"{MISSING}", ', ""))  # it is in a group there
    write(map_path, [link for link in shipped.links if link.category != MISSING])
    avs_data("demo-corpora", "--out", corpora)
    avs_data("index", "--corpora", corpora, "--out", folder / "index")
    avs_data("match", "--corpora", corpora, "--out", folder / "proposals.csv")
    options = ("--queue", queue, "--map", map_path, "--corpora", corpora, "--index", folder / "index")
    avs_data("review", "import", folder / "proposals.csv", *options)
    return queue, map_path


def shoot(queue: Path, map_path: Path, out: Path, width: int, height: int, scheme: str) -> None:
    with Queue(str(queue)) as opened:
        link = next(item.id for item in opened.items() if MISSING in item.proposal.visual_label.lower())
    program = "from pipelines.cli import main; main()"
    options = ["review", "serve", "--port", "0", "--queue", str(queue), "--map", str(map_path)]
    server = subprocess.Popen([sys.executable, "-c", program, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found, "the server did not start"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(found[0])
            page.wait_for_selector("#name[open]")
            page.keyboard.type("Reviewer")
            page.keyboard.press("Enter")
            page.wait_for_selector("#name", state="hidden")
            page.goto(f"{found[0].partition('?')[0]}link/{link}")
            page.wait_for_selector("article.link")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=out)
            browser.close()
    finally:
        server.kill()
        server.wait()
    shrink(out)


def shrink(out: Path) -> None:
    smaller = Image.open(out).convert("RGB").quantize(256, kmeans=4, dither=Image.Dither.NONE)
    smaller.save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/review.png"))
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shoot(*prepare(Path(folder)), args.out, args.width, args.height, args.scheme)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
