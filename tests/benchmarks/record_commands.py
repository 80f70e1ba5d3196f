"""Record in docs/what_you_see.md what every long command shows, on generated data.

    python tests/benchmarks/record_commands.py                  # all; some minutes
    python tests/benchmarks/record_commands.py --only build     # those whose call holds the word; others stay

Each command runs twice: into a pipe, as a log has it, and on a terminal of 80 columns, of which one moment is shown.
Needs the extra `test`, and the tests' own web site.
"""

import argparse
import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import soundfile
import torch
from PIL import Image
from segment_anything import sam_model_registry

sys.path.insert(0, str(Path(__file__).parents[1]))
import local_site
import media

from shards.reader import Dataset

PAGE = Path(__file__).parents[2] / "docs" / "what_you_see.md"
PROGRAMS = {"avs-data": "pipelines.cli", "avs-train": "avs_train.cli"}
COLUMNS, LINES = 80, 24
INTRODUCTION = """# What you see while a command works

A command says at once what it does; then the stage of its stages, how far it is, the rate and the time left. In a log
these are lines, at the beginning of a stage and every few seconds, of long work every minute at most; on a terminal it
is one place, redrawn. `--quiet` leaves it out. Results go to stdout, all else to stderr.

Recorded by `python tests/benchmarks/record_commands.py`, from generated data, on two cores that others used, too. First
each command's log, before each line the second in which it came; then one moment on a terminal of 80 columns. A test
holds commands and stages against the code.
"""
FETCHED = """name = "fetched"
[labels]
categories = ["dog", "cat"]
[fetch]
splits = ["train"]
[fetch.sources]
lvis = "{site}/lvis"
coco = "{site}/coco"
open_images = "{site}/openimages"
open_images_photos = "{site}/photos"
vggsound = "{site}/vggsound"
video = "{site}/videos/{{video_id}}.wav"
[fetch.youtube]
videos_per_hour = 36000
burst = 20
"""


@dataclass(frozen=True)
class Call:
    """A command to record.

    Attributes:
        prepare: makes what has to be there first, and is not recorded.
        about: what has to be known.
    """

    words: str
    prepare: Callable[[Path], None] = lambda folder: None
    about: str = ""


def command(words: str) -> list[str]:
    program, *rest = words.split()
    return [sys.executable, "-c", f"from {PROGRAMS[program]} import main; main()", *rest]


def run(words: str, folder: Path) -> None:
    subprocess.run(command(f"{words} --quiet"), cwd=folder, check=True, stdout=subprocess.DEVNULL)


def mirror(folder: Path) -> None:
    """Generated corpora as their official sites would serve them; each clip is a video of its own."""
    seen, heard, root = folder / "corpora/open_images", folder / "corpora/vggsound", folder / "site"
    if (root / "lvis").exists():
        return
    for name in ("lvis", "openimages/v5/train-masks", "openimages/2018_04/train", "vggsound", "videos"):
        (root / name).mkdir(parents=True)
    with zipfile.ZipFile(root / "lvis/lvis_v1_train.json.zip", "w") as archive:
        archive.write(folder / "corpora/lvis/lvis_v1_train.json", "lvis_v1_train.json")
    shutil.copytree(folder / "corpora/lvis/images", root / "coco")
    shutil.copytree(seen / "images", root / "photos/train")
    shutil.copy(seen / "class-descriptions-boxable.csv", root / "openimages/v5")
    shutil.copy(seen / "train-annotations-object-segmentation.csv", root / "openimages/v5")
    shutil.copy(seen / "train-images-boxable-with-rotation.csv", root / "openimages/2018_04/train")
    for path in sorted((seen / "masks").iterdir()):
        name = root / "openimages/v5/train-masks" / f"train-masks-{path.name[0]}.zip"
        with zipfile.ZipFile(name, "a") as archive:
            archive.write(path, path.name)
    rows = [line.split(",", 2) for line in (heard / "vggsound.csv").read_text().splitlines()]
    (root / "vggsound/vggsound.csv").write_text("".join(f"{video},0,{rest}\n" for video, _, rest in rows))
    for path in (heard / "clips").iterdir():
        shutil.copy(path, root / "videos" / f"{path.stem.rpartition('_')[0]}.wav")


def audio_free(folder: Path) -> None:
    run("avs-data publish dataset --version 1.0.0 --to audio-free --reference-only audio", folder)


def avsbench(folder: Path) -> None:
    """Samples of the dataset in the layout of AVSBench's S4: a photo is a video of five frames."""
    root, rows = folder / "s4", []
    if root.exists():
        return
    for split in ("train", "val", "test"):
        for sample in islice(Dataset(str(folder / "dataset")).samples(split), 60):
            name, category = f"{sample.record['key'][:11]}_0", sample.record["category"]
            below = f"s4_data/{{}}/{split}/{category}/{name}"
            for kind in ("audio_wav", "visual_frames", "gt_masks"):
                (root / below.format(kind)).parent.mkdir(parents=True, exist_ok=True)
            sound, rate_hz = soundfile.read(io.BytesIO(sample.flac))
            soundfile.write(root / f"{below.format('audio_wav')}.wav", np.resize(sound, 5 * rate_hz), rate_hz)
            photo, mask = (
                Image.open(io.BytesIO(content)).resize((224, 224), Image.Resampling.NEAREST)
                for content in (sample.jpg, sample.mask_png)
            )
            for kind, shown, frames in (
                ("visual_frames", photo, 5),
                ("gt_masks", mask, 1 if split == "train" else 5),
            ):
                (root / below.format(kind)).mkdir()
                for frame in range(1, frames + 1):
                    shown.save(root / below.format(kind) / f"{name}_{frame}.png")
            rows.append(f"{name},0,{category},{split}")
    (root / "s4_meta_data.csv").write_text("\n".join(["name,start,category,split", *rows, ""]))


def film(folder: Path) -> None:
    """20 s of a grey picture that clicks."""
    signal = np.zeros(20 * 16_000, np.float32)
    signal[::400] = 0.5
    media.record(folder / "film.mp4", signal, 16_000, "aac", video=True)


def sam(folder: Path) -> None:
    torch.save(sam_model_registry["vit_b"]().state_dict(), folder / "sam.pth")


CALLS = (
    Call("avs-data demo-corpora --out corpora --images 240"),
    Call(
        "avs-data fetch run fetched.toml --corpora fetched",
        mirror,
        "From a slow web site that fails now and then.",
    ),
    Call("avs-data index --corpora corpora --out index"),
    Call("avs-data match --corpora corpora --out proposals.csv"),
    Call(
        "avs-data review import proposals.csv --corpora corpora --index index --map corpora/label_map/few.csv"
    ),
    Call("avs-data plan demo --corpora corpora"),
    Call("avs-data build demo --corpora corpora --out dataset --workers 2"),
    Call("avs-data verify dataset --deep"),
    Call("avs-data stats dataset"),
    Call("avs-data judge draw dataset --sample 100"),
    Call("avs-data publish dataset --version 1.0.0 --to published"),
    Call("avs-data takedown published/1.0.0 --video VIDEO --reason asked --out cut"),
    Call("avs-data diff published/1.0.0 cut"),
    Call("avs-data export dataset --format coco --out coco"),
    Call("avs-data rehydrate audio-free/1.0.0 --corpora corpora --out again", audio_free),
    Call("avs-data import avsbench s4 --out imported", avsbench),
    Call("avs-train fit tiny --data dataset --out run train.epochs=1 model.image_size=64"),
    Call("avs-train eval run --data dataset --robustness"),
    Call("avs-train embed tiny --data dataset --out embeddings.parquet"),
    Call("avs-train predict film.mp4 --model run", film),
    Call("avs-train convert sam.pth sam.safetensors", sam),
)


@dataclass
class Screen:
    """A terminal as far as rich uses one: text, carriage returns, lines up, cleared lines."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0

    def write(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part == "\r":
                self.column = 0
            elif up := re.fullmatch(r"\x1b\[(\d+)A", part):
                self.row = max(0, self.row - int(up[1]))
            elif part.endswith("K"):
                self.lines[self.row] = ""
            elif not part.startswith("\x1b"):
                line = self.lines[self.row]
                self.lines[self.row] = line[: self.column] + part + line[self.column + len(part) :]
                self.column += len(part)

    def picture(self) -> list[str]:
        return [line.rstrip() for line in self.lines if line.strip()]


def in_a_pipe(words: str, folder: Path) -> list[tuple[float, str]]:
    """(seconds, line) of stderr and stdout together."""
    began = time.monotonic()
    process = subprocess.Popen(
        command(words), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    seen = [(time.monotonic() - began, line.rstrip("\n")) for line in process.stdout]
    if process.wait() != 0:
        raise SystemExit(f"{words} ended with {process.returncode}:\n" + "\n".join(line for _, line in seen))
    return seen


def on_a_terminal(words: str, folder: Path) -> list[list[str]]:
    """The picture after every change of a terminal."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command(words), cwd=folder, stdout=child, stderr=child, close_fds=True, env=environment
    )
    os.close(child)
    screen, seen = Screen(), []
    with os.fdopen(parent, "rb", buffering=0) as master:
        while True:
            try:
                part = master.read(65_536)
            except OSError:  # Linux's way to say that the other side has closed
                break
            if not part:
                break
            screen.write(part.decode(errors="replace"))
            seen.append(screen.picture())
    process.wait()
    return seen


def moment(pictures: list[list[str]]) -> list[str]:
    """The picture that tells most: one with a time left, in the middle of those."""
    for telling in (r"\[\d/\d\].* left", r"\[\d/\d\].*\d of", r"^[━╌]* .*: .*\d of", r"\[\d/\d\]"):
        if found := [picture for picture in pictures if any(re.search(telling, line) for line in picture)]:
            return found[len(found) // 2]
    return pictures[0][:1]


def shortened(lines: list[str]) -> list[str]:
    return lines if len(lines) <= 24 else [*lines[:18], "        ...", *lines[-3:]]


def section(call: Call, folder: Path) -> str:
    """What the page says of one command."""
    call.prepare(folder)
    words = call.words
    if "VIDEO" in words:
        videos = pq.read_table(folder / "dataset/pool.parquet", columns=["video_id"])["video_id"].to_pylist()
        words = words.replace("VIDEO", next(video for video in videos if not video.startswith("-")))
    there = set(folder.iterdir())
    lines = in_a_pipe(words, folder)
    for made in set(folder.iterdir()) - there:
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    pictures = on_a_terminal(words, folder)
    log = "\n".join(shortened([f"{seconds:6.1f}  {line}".rstrip() for seconds, line in lines]))
    picture = "\n".join(moment(pictures))
    about = f"\n{call.about}\n" if call.about else ""
    return f"{call.words}\n{about}\n```\n{log}\n```\n```\n{picture}\n```\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="record calls that hold this alone; the others stay")
    parser.add_argument("--folder", type=Path, help="work here; what is there already is used")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        (folder / "site").mkdir(exist_ok=True)
        rates = {"once_503": 0.05, "gone": 0.02}
        with local_site.start(folder / "site", seed=2, bytes_per_s=25_000, rates=rates) as site:
            (folder / "fetched.toml").write_text(FETCHED.format(site=site))
            for call in CALLS:
                if asked.only in call.words:
                    text = section(call, folder)
                    print(text, flush=True)
                    PAGE.write_text(with_section(PAGE.read_text() if PAGE.exists() else "", call, text))


def with_section(page: str, call: Call, text: str) -> str:
    """The page with what one command shows now; the sections of commands that are gone go."""
    there = {one.partition("\n")[0]: one for one in page.split("\n## ")[1:]} | {call.words: text}
    return "\n## ".join([INTRODUCTION, *(there[one.words] for one in CALLS if one.words in there)])


if __name__ == "__main__":
    main()
