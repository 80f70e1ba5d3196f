"""A small world for the tests of review: drawn photos with masks, sounds, index tables, a map, proposals."""

import csv
import json
import wave
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from label_maps import Link, load
from label_maps.label_map import write
from pipelines.corpora.records import CLIPS, MASKS
from pipelines.matching import proposals
from pipelines.matching.proposals import Proposal
from pipelines.matching.vocabularies import VisualLabel
from pipelines.review import corpus_index, intake
from pipelines.review.labels import load_labels
from pipelines.review.queue import Queue

THINGS = 30
HOSTILE = '<script>alert("x")</script>'
COW, COWBELL, DOG, CATTLE = ("lvis", "80"), ("lvis", "82"), ("lvis", "378"), ("open_images", "/m/01xq0k1")

PROPOSALS = [
    Proposal(
        "vggsound", "cattle mooing", "lvis", "cow", "80", 0.62, "head", "review", 'a "cow" is one of cattle'
    ),
    Proposal("vggsound", "cattle mooing", "lvis", "cowbell", "82", 0.41, "words", "review", "shares cow"),
    Proposal(
        "vggsound",
        "cattle mooing",
        "open_images",
        "Cattle",
        "/m/01xq0k1",
        0.97,
        "name",
        "accept",
        "the same word",
    ),
    Proposal("vggsound", "dog barking", "lvis", "dog", "378", 0.95, "head", "accept", "dog"),
    Proposal("vggsound", "dog barking", "lvis", "cow", "80", 0.12, "words", "reject", "nothing shared"),
    Proposal(
        "vggsound",
        f"{HOSTILE} hooting",
        "lvis",
        f"owl_{HOSTILE}",
        "901",
        0.55,
        "head",
        "review",
        f"{HOSTILE} & more",
    ),
    *(
        Proposal(
            "vggsound",
            f"thing {n:02} ringing",
            "lvis",
            f"thing_{n:02}",
            str(1000 + n),
            0.4 + n / 100,
            "head",
            "review",
            "",
        )
        for n in range(THINGS)
    ),
]
BASE_LINKS = [
    Link("dog", "lvis", "378", "dog", "dog.n.01", "same", "maintainers", "2026-01-02", ""),
    Link("dog", "vggsound", "dog barking", "dog barking", "", "same", "maintainers", "2026-01-02", ""),
]


@dataclass(frozen=True)
class World:
    root: Path

    @property
    def corpora(self) -> str:
        return str(self.root / "corpora")

    @property
    def index(self) -> str:
        return str(self.root / "index")

    @property
    def queue_path(self) -> str:
        return str(self.root / "review.sqlite")

    @property
    def map_path(self) -> Path:
        return self.root / "maps" / "small.csv"

    @property
    def proposals_path(self) -> str:
        return str(self.root / "proposals.csv")

    def open(self) -> Queue:
        return Queue(self.queue_path)


def write_proposals(path: str, rows: list[Proposal]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(proposals.COLUMNS)
        for p in rows:
            writer.writerow(astuple(p))


def write_map(path: Path, links: list[Link]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".toml").write_text(
        f'name = "{path.stem}"\nversion = "1.0.0"\nlicence = "CC0-1.0"\ndescription = "generated for a test"\n'
    )
    write(path, links)


def make_world(root: Path, rows: list[Proposal] = PROPOSALS, media: bool = True, **options: object) -> World:
    """The world below `root`, its proposals imported."""
    world = World(root)
    write_map(world.map_path, BASE_LINKS)
    write_proposals(world.proposals_path, rows)
    if media:
        write_corpora(world)
    with Queue(world.queue_path, create=True) as queue:
        load_labels(queue, vocabulary(rows))
        if media:
            corpus_index.load_index(queue, world.index)
        intake.import_proposals(
            queue,
            proposals.read(world.proposals_path),
            intake.IntakeOptions(**{"ask_all": True} | options),
            load(world.map_path),
        )
    return world


def vocabulary(rows: list[Proposal]) -> list[VisualLabel]:
    labels = {}
    for p in rows:
        synset = f"{p.visual_label}.n.01" if p.source == "lvis" else ""
        definition = f"what {p.visual_label} means"
        labels[(p.source, p.visual_id)] = VisualLabel(
            p.source,
            p.visual_label,
            p.visual_id,
            (p.visual_label, "moo cow"),
            ("", ""),
            definition,
            synset,
            ("Animal",),
        )
    return list(labels.values())


def write_corpora(world: World) -> None:
    """Photos: 3 of cow (one with two masks), 1 of Cattle shared with none, 2 of every fifth thing; 2 clips a sound."""
    corpora, index = Path(world.corpora), Path(world.index)
    for folder in (corpora / "lvis/images", corpora / "open_images/masks", corpora / "vggsound/clips", index):
        folder.mkdir(parents=True)
    masks = []
    for n, label in enumerate(
        ["80", "80", "80", "80", *(str(1000 + n) for n in range(0, THINGS, 5) for _ in "ab")]
    ):
        image = 0 if n == 1 else n  # the first two masks are on one photo
        path = f"lvis/images/{image:03}.jpg"
        box = (20 + 40 * (n % 3), 30, 80 + 40 * (n % 3), 110)
        _draw(corpora / path, box)
        x0, y0, x1, y1 = box
        masks.append(
            {
                "mask_id": f"lvis:{n}",
                "corpus": "lvis",
                "image_id": f"lvis:{image}",
                "image_path": path,
                "width": 240,
                "height": 160,
                "label_id": label,
                "label": "cow" if label == "80" else f"thing_{int(label) - 1000:02}",
                "segmentation": json.dumps([[x0, y0, x1, y0, x1, y1, x0, y1]]).encode(),
                "author": "a painter",
                "licence": "cc0-1.0",
            }
        )
    _draw(corpora / "open_images/photo.jpg", (60, 40, 180, 120))
    mask = Image.new("1", (120, 80))
    ImageDraw.Draw(mask).rectangle((30, 20, 90, 60), fill=1)
    mask.save(corpora / "open_images/masks/m.png")
    masks.append(
        {
            "mask_id": "open_images:m",
            "corpus": "open_images",
            "image_id": "open_images:photo",
            "image_path": "open_images/photo.jpg",
            "label_id": CATTLE[1],
            "label": "Cattle",
            "mask_path": "open_images/masks/m.png",
        }
    )
    clips = []
    for n, label in enumerate(
        ["cattle mooing", "dog barking", *(f"thing {n:02} ringing" for n in range(THINGS))]
    ):
        for take in "ab":
            path = f"vggsound/clips/{n}{take}_000010.wav"
            _sing(corpora / path, 220 + 20 * n)
            clips.append(
                {
                    "clip_id": f"vggsound:{n}{take}_000010",
                    "corpus": "vggsound",
                    "label_ids": [label],
                    "labels": [label],
                    "clip_path": path,
                }
            )
    pq.write_table(pa.Table.from_pylist(masks, MASKS), index / "masks.parquet")
    pq.write_table(pa.Table.from_pylist(clips, CLIPS), index / "clips.parquet")


def _draw(path: Path, box: tuple[int, int, int, int]) -> None:
    image = Image.new("RGB", (240, 160), (120, 160, 110))
    ImageDraw.Draw(image).rectangle(box, fill=(90, 50, 30))
    image.save(path)


def _sing(path: Path, hertz: float) -> None:
    samples = (8000 * np.sin(2 * np.pi * hertz * np.arange(24000) / 8000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
