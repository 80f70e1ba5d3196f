"""The index against `json.load` + plain Python and against pandas: the same Parquet from the same files, one core each.

    python tests/benchmarks/bench_index.py --scale 0.1,1

Scale 1 is LVIS v1 train (1,270,141 annotations, about 1.1 GB of JSON, the annotations before the images) and Open
Images V7 train (2.7 million masks of 944,037 images), generated into a temporary folder. Each side runs in a process
of its own, held to one core; the table has its processor seconds (the median) and peak resident memory.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.build.index import index
from pipelines.corpora import licences
from pipelines.corpora.records import MASKS

LVIS_IMAGES, LVIS_ANNOTATIONS, LVIS_CATEGORIES = 100_170, 1_270_141, 1203
OPEN_IMAGES_IMAGES, OPEN_IMAGES_MASKS, OPEN_IMAGES_CLASSES = 944_037, 2_700_000, 350
POLYGONS = 8192  # different ones; the annotations take turns
ROW_GROUP = 64 << 10


def generate_lvis(folder: Path, scale: float) -> None:
    """An LVIS file of realistic length: polygons with two decimals and a long-tailed number of corners."""
    (folder / "lvis").mkdir(parents=True)
    draw = np.random.default_rng(0)
    corners = np.clip(draw.lognormal(3.45, 0.85, POLYGONS), 4, 1200).astype(int)
    polygons = [json.dumps([np.round(draw.uniform(0, 640, 2 * n), 2).tolist()]) for n in corners]
    images, annotations = int(LVIS_IMAGES * scale), int(LVIS_ANNOTATIONS * scale)
    columns = (
        np.sort(draw.integers(1, images + 1, annotations)),
        draw.integers(1, LVIS_CATEGORIES + 1, annotations),
        draw.integers(0, POLYGONS, annotations),
        np.round(draw.uniform(10, 1e5, annotations), 4),
        *np.round(draw.uniform(0, 320, (4, annotations)), 2),
    )
    rows = zip(range(1, annotations + 1), *(column.tolist() for column in columns), strict=True)
    with open(folder / "lvis" / "lvis_v1_train.json", "w") as file:
        file.write('{"info": {"description": "generated"}, "annotations": [')
        separator = ""
        for number, image, category, polygon, area, x, y, width, height in rows:
            file.write(
                f'{separator}{{"area": {area}, "id": {number}, "segmentation": {polygons[polygon]}, '
                f'"image_id": {image}, "bbox": [{x}, {y}, {width}, {height}], "category_id": {category}}}'
            )
            separator = ", "
        file.write('], "images": ' + json.dumps([_image(number) for number in range(1, images + 1)]))
        file.write(', "licenses": ' + json.dumps(_LICENCES))
        categories = [
            {"id": number, "name": f"thing_{number}", "synset": f"thing.n.{number}", "frequency": "f"}
            for number in range(1, LVIS_CATEGORIES + 1)
        ]
        file.write(', "categories": ' + json.dumps(categories) + "}")


_LICENCES = [
    {
        "id": 1,
        "name": "Attribution-NonCommercial License",
        "url": "http://creativecommons.org/licenses/by-nc/2.0/",
    },
    {"id": 2, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"},
    {"id": 3, "name": "No known copyright restrictions", "url": "http://flickr.com/commons/usage/"},
]


def _image(number: int) -> dict[str, object]:
    return {
        "id": number,
        "width": 640,
        "height": 400 + number % 80,
        "license": 1 + number % 3,
        "coco_url": f"http://images.cocodataset.org/train2017/{number:012d}.jpg",
        "flickr_url": f"http://farm4.staticflickr.com/3377/{number * 7919}_a1f6cf2cbd_z.jpg",
        "date_captured": "2013-11-24 03:32:32",
        "not_exhaustive_category_ids": [number % 1203],
        "neg_category_ids": [number % 1203, number % 601, number % 307],
    }


def generate_open_images(folder: Path, scale: float) -> None:
    """Segmentation rows, boxes with their flags, and the photos' licences and authors."""
    root = folder / "open_images"
    root.mkdir(parents=True)
    draw = np.random.default_rng(1)
    images, masks = int(OPEN_IMAGES_IMAGES * scale), int(OPEN_IMAGES_MASKS * scale)
    names = np.char.mod("%016x", np.unique(draw.integers(0, 2**62, images)))
    mids = [f"/m/0{number:05x}" for number in range(OPEN_IMAGES_CLASSES)]
    (root / "class-descriptions-boxable.csv").write_text("".join(f"{mid},Thing {mid[4:]}\n" for mid in mids))
    image = np.sort(draw.integers(0, len(names), masks)).tolist()
    mid = draw.integers(0, OPEN_IMAGES_CLASSES, masks).tolist()
    boxes = draw.integers(0, 1_000_000, (masks, 4)).tolist()
    with (
        open(root / "train-annotations-object-segmentation.csv", "w") as segmentations,
        open(root / "train-annotations-bbox.csv", "w") as flags,
    ):
        segmentations.write(
            "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
        )
        flags.write(
            "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
        )
        for number in range(masks):
            name, label = names[image[number]], mids[mid[number]]
            box = ",".join(f"0.{value:06d}" for value in boxes[number])
            code = f"{number:08x}"
            segmentations.write(
                f"{name}_{label[1:].replace('/', '')}_{code}.png,{name},{label},{code},{box},0.88,\n"
            )
            flags.write(f"{name},xclick,{label},1,{box},0,0,{number % 5 // 4},{number % 7 // 6},0\n")
    with open(root / "train-images-boxable-with-rotation.csv", "w") as photos:
        photos.write(
            "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,"
            "OriginalMD5,Thumbnail300KURL,Rotation\n"
        )
        for number, name in enumerate(names):
            photos.write(
                f"{name},train,https://farm3.staticflickr.com/2853/{number * 7919}_a1f6cf2cbd_o.jpg,"
                f"https://www.flickr.com/photos/someone/{number * 7919},https://creativecommons.org/licenses/by/2.0/,"
                f'https://www.flickr.com/people/someone/,Author {number % 999},"A title, with ""quotes""",1234567,'
                "abcdefghijklmnopqrstuv==,https://c1.staticflickr.com/5/4129/5215831864_46f356962f_z.jpg,0\n"
            )


def plain_lvis(corpora: str, out: str) -> None:
    """json.load, one loop, one Parquet file."""
    with open(f"{corpora}/lvis/lvis_v1_train.json") as file:
        data = json.load(file)
    images = {image["id"]: image for image in data["images"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    terms = {term["id"]: term["url"] for term in data["licenses"]}
    rows = []
    writer = pq.ParquetWriter(f"{out}/masks.parquet", MASKS, compression="zstd")
    for annotation in data["annotations"]:
        image = images[annotation["image_id"]]
        licence_url = terms[image["license"]]
        rows.append(
            {
                "mask_id": f"lvis:{image['id']}_{annotation['id']}",
                "corpus": "lvis",
                "image_id": f"lvis:{image['id']}",
                "image_url": image["coco_url"],
                "photo_keys": [
                    f"coco:{image['id']}",
                    "flickr:" + image["flickr_url"].rsplit("/", 1)[-1].split("_")[0],
                ],
                "width": image["width"],
                "height": image["height"],
                "label_id": str(annotation["category_id"]),
                "label": names[annotation["category_id"]],
                "segmentation": json.dumps(annotation["segmentation"]).encode(),
                "licence": licences.normalise(licence_url),
                "licence_url": licence_url,
                "annotation_split": "train",
            }
        )
        if len(rows) == ROW_GROUP:
            writer.write_table(pa.Table.from_pylist(rows, MASKS))
            rows = []
    writer.write_table(pa.Table.from_pylist(rows, MASKS))
    writer.close()


def json_load(corpora: str, out: str) -> None:
    """json.load and nothing else."""
    with open(f"{corpora}/lvis/lvis_v1_train.json") as file:
        json.load(file)


def pandas_open_images(corpora: str, out: str) -> None:
    """read_csv, three merges, one Parquet file."""
    import pandas as pd

    root = f"{corpora}/open_images"
    masks = pd.read_csv(f"{root}/train-annotations-object-segmentation.csv")
    labels = pd.read_csv(f"{root}/class-descriptions-boxable.csv", names=["LabelName", "label"])
    masks = masks.merge(labels, on="LabelName", how="left")
    box = ["XMin", "XMax", "YMin", "YMax"]
    boxes = pd.read_csv(
        f"{root}/train-annotations-bbox.csv",
        usecols=["ImageID", "LabelName", *box, "IsGroupOf", "IsDepiction"],
    )
    keys = ["ImageID", "LabelName", *box]
    masks = masks.rename(columns={f"Box{name}": name for name in box})
    masks[box], boxes[box] = masks[box].round(6), boxes[box].round(6)
    masks = masks.merge(boxes.drop_duplicates(keys), on=keys, how="left")
    photos = pd.read_csv(
        f"{root}/train-images-boxable-with-rotation.csv",
        usecols=["ImageID", "OriginalURL", "License", "Author"],
    )
    masks = masks.merge(photos, on="ImageID", how="left")
    flickr = "flickr:" + masks["OriginalURL"].str.extract(r"/(\d+)_[^/]*$")[0]
    table = pd.DataFrame(
        {
            "mask_id": "open_images:" + masks["MaskPath"].str[:-4],
            "corpus": "open_images",
            "image_id": "open_images:" + masks["ImageID"],
            "image_url": masks["OriginalURL"],
            "photo_keys": [[key] for key in flickr],
            "label_id": masks["LabelName"],
            "label": masks["label"],
            "is_group_of": masks["IsGroupOf"].astype(bool),
            "is_depiction": masks["IsDepiction"].astype(bool),
            "licence": masks["License"].map(licences.normalise),
            "licence_url": masks["License"],
            "author": masks["Author"],
            "annotation_split": "train",
        }
    )
    columns = [
        pa.array(table[field.name], field.type) if field.name in table else pa.nulls(len(table), field.type)
        for field in MASKS
    ]
    pq.write_table(
        pa.table(columns, MASKS), f"{out}/masks.parquet", compression="zstd", row_group_size=ROW_GROUP
    )


def ours(corpora: str, out: str) -> None:
    index(corpora, out)


SIDES: dict[str, Callable[[str, str], None]] = {
    "avs-data index": ours,
    "json.load + plain Python": plain_lvis,
    "json.load alone": json_load,
    "pandas": pandas_open_images,
}
GENERATORS = {"lvis": generate_lvis, "open_images": generate_open_images}
PEERS = {
    "lvis": ["avs-data index", "json.load + plain Python", "json.load alone"],
    "open_images": ["avs-data index", "pandas"],
}


def measure(side: str, corpora: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak resident GB of one run in a process of its own."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--child", side, str(corpora), str(out)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def run_child(side: str, corpora: str, out: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    importlib.import_module("pandas")  # pyarrow imports it where it is there: imports are nobody's time
    start = time.process_time()
    SIDES[side](corpora, out)
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(seconds, peak * 1024 / 1e9)


def same(first: Path, second: Path) -> bool:
    """Whether two mask tables hold the same values; a column at a time."""
    return all(
        pq.read_table(first / "masks.parquet", columns=[name]).equals(
            pq.read_table(second / "masks.parquet", columns=[name])
        )
        for name in MASKS.names
    )


def compare(corpus: str, scale: float, runs: int, folder: Path) -> Iterator[str]:
    """Table rows of one corpus at one scale."""
    corpora = folder / f"{corpus}-{scale}"
    click.echo(f"generating {corpus} at scale {scale} ...", err=True)
    GENERATORS[corpus](corpora, scale)
    size = sum(file.stat().st_size for file in corpora.rglob("*") if file.is_file())
    base = 0.0
    for side in PEERS[corpus]:
        measured = []
        for turn in range(runs):
            measured.append(measure(side, corpora, folder / side.replace(" ", "-")))
            click.echo(f"{corpus} x{scale}, {side}, run {turn + 1}: {measured[-1][0]:.1f} s", err=True)
        seconds, peak = statistics.median(time for time, _ in measured), max(peak for _, peak in measured)
        base = base or seconds
        table = folder / side.replace(" ", "-")
        if side != PEERS[corpus][0] and (table / "masks.parquet").exists() and scale <= 0.1:
            assert same(folder / PEERS[corpus][0].replace(" ", "-"), table), f"{side} wrote another table"
        figures = f"{seconds:.1f} | {seconds / base:.1f} | {peak:.2f}"
        yield f"| {corpus} | {scale:g} | {size / 1e9:.2f} | {side} | {figures} |"


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--scale", default="0.1,1", show_default=True, help="Comma-separated parts of the full size.")
@click.option(
    "--corpus", type=click.Choice(sorted(GENERATORS)), multiple=True, help="Only these; default: all."
)
@click.option(
    "--runs", default=3, show_default=True, help="Runs of each side below scale 1, where it is one run."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the temporary folder is made.")
@click.option("--child", nargs=3, hidden=True, help="SIDE CORPORA OUT: measure one run and print it.")
def main(
    scale: str, corpus: tuple[str, ...], runs: int, folder: Path | None, child: tuple[str, str, str] | None
) -> None:
    if child:
        run_child(*child)
        return
    print("| corpus | scale | GB | side | seconds | times ours | peak GB |\n|---|---|---|---|---|---|---|")
    for part in map(float, scale.split(",")):
        for name in corpus or sorted(GENERATORS):
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                for row in compare(name, part, runs if part < 1 else 1, Path(temporary)):
                    print(row, flush=True)


if __name__ == "__main__":
    main()
