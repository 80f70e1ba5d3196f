"""Take docs/browse.png: the samples of a dataset of scenes, generated, as `avs-data browse` shows them.

    python docs/browse_screenshot.py --out docs/browse.png

Needs Chromium and the `test` extra (Playwright). `--dataset` takes one that is there, `--path` another page of it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from review_screenshot import FLAGS, avs_data, shrink

RECIPE = """
name = "scenes"
seed = 0
[select]
min_area_fraction = 0.02
[split]
train = 70
val = 15
test = 15
[scene]
targets = ["binary", "classes", "instances"]
[scene.shares]
mixture_of_2 = 1.0
mixture_of_3 = 1.0
[scene.sound]
rule = "snr"
duration_s = 4.0
"""


def shoot(dataset: str, path: str, out: Path, width: int, height: int, scheme: str) -> None:
    program = "from pipelines.cli import main; main()"
    command = [sys.executable, "-c", program, "browse", dataset, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found, "the server did not start"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(found[0])
            page.wait_for_selector("#grid")
            page.goto(found[0].partition("/?")[0] + path)
            page.wait_for_load_state("networkidle")
            page.keyboard.press("ArrowRight")
            page.wait_for_timeout(300)
            page.screenshot(path=out)
            browser.close()
    finally:
        server.kill()
        server.wait()
    shrink(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/browse.png"))
    parser.add_argument("--dataset", help="Instead of a generated one.")
    parser.add_argument("--path", default="/?kind=mixture&order=-area")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = args.dataset
        if dataset is None:
            (Path(folder) / "scenes.toml").write_text(RECIPE)
            dataset, corpora = f"{folder}/scenes", f"{folder}/corpora"
            avs_data("demo-corpora", "--out", corpora)
            avs_data("build", f"{folder}/scenes.toml", "--corpora", corpora, "--out", dataset)
        shoot(dataset, args.path, args.out, args.width, args.height, args.scheme)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
