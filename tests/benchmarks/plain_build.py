"""What a good engineer writes in an afternoon for the same samples: the peer of `bench_real.py`.

    python tests/benchmarks/plain_build.py CORPORA PLAN OUT --workers 2

PLAN (CSV) says which masks and which clip make each sample, so that both sides make the same; what costs time is here:
annotations read, masks drawn and joined, clips decoded to 16 kHz FLAC, shards written. Nothing is checked, resumed, or
told; a file that cannot be read ends it.
"""

import argparse
import csv
import io
import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr
from PIL import Image
from pycocotools import mask as coco
from webdataset import ShardWriter

_SHARD = 500
_RATE_HZ = 16_000


def flac(source: Path, target: Path) -> None:
    """The first 10 s of a clip as 16 kHz mono FLAC."""
    with av.open(str(source)) as opened:
        stream = opened.streams.audio[0]
        rate, blocks, count = stream.rate, [], 0
        for frame in opened.decode(stream):
            block = frame.to_ndarray()
            if not frame.format.is_planar:
                block = block.reshape(-1, frame.layout.nb_channels).T
            if block.dtype.kind == "i":
                block = block / np.float32(np.iinfo(block.dtype).max + 1)
            blocks.append(block.mean(axis=0, dtype=np.float32))
            count += len(blocks[-1])
            if count >= 10 * rate:
                break
    sound = np.concatenate(blocks)[: 10 * rate]
    soundfile.write(target, soxr.resample(sound, rate, _RATE_HZ), _RATE_HZ, format="FLAC", subtype="PCM_16")


def png(masks: list[dict[str, Any]], width: int, height: int) -> bytes:
    """The union of a sample's masks: a polygon or run lengths of LVIS, or the image of Open Images."""
    joined = np.zeros((height, width), bool)
    for one in masks:
        if "file" in one:
            with Image.open(one["file"]) as image:
                pixels = (
                    np.asarray(image.convert("L").resize((width, height), Image.Resampling.NEAREST)) > 127
                )
        else:
            runs = coco.frPyObjects(one["segmentation"], height, width)
            pixels = coco.decode(coco.merge(runs) if isinstance(runs, list) else runs).astype(bool)
        joined |= pixels
    buffer = io.BytesIO()
    Image.fromarray(joined.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()


def write(samples: list[dict[str, Any]], sounds: Path, pattern: str) -> None:
    """A share of the samples as shards."""
    with ShardWriter(pattern, maxcount=_SHARD, verbose=0) as writer:
        for sample in samples:
            photo = Path(sample["photo"]).read_bytes()
            with Image.open(io.BytesIO(photo)) as image:
                image.load()  # it decodes
                width, height = image.size
            writer.write(
                {
                    "__key__": f"{sample['number']:08d}",
                    "jpg": photo,
                    "mask.png": png(sample["masks"], width, height),
                    "flac": (sounds / f"{sample['clip']}.flac").read_bytes(),
                    "json": {name: sample[name] for name in ("sample_id", "category", "clip")},
                }
            )


def planned(corpora: Path, plan: Path) -> dict[str, list[dict[str, Any]]]:
    """Samples by split, with their photo's path and their masks."""
    (lvis,) = (corpora / "lvis").glob("*.json")
    read = json.loads(lvis.read_text())
    urls = {image["id"]: image["coco_url"] for image in read["images"]}
    masks = {one["id"]: one for one in read["annotations"]}
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with plan.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            corpus, image = row["image_id"].split(":")
            names = [name.split(":")[1] for name in row["mask_ids"].split()]
            if corpus == "lvis":
                photo = corpora / "lvis" / "images" / Path(*urls[int(image)].split("/")[-2:])
                members = [{"segmentation": masks[int(name.split("_")[1])]["segmentation"]} for name in names]
            else:
                photo = corpora / corpus / "images" / f"{image}.jpg"
                members = [{"file": str(corpora / corpus / "masks" / f"{name}.png")} for name in names]
            clip = row["clip_id"].split(":")[1]
            sample = {"sample_id": row["sample_id"], "category": row["category"], "clip": clip}
            found[row["split"]].append({**sample, "number": number, "photo": str(photo), "masks": members})
    return found


def build(corpora: Path, plan: Path, clips: list[str], out: Path, workers: int) -> None:
    """All of it. clips: the pool, by file stem."""
    sounds = out / "sounds"
    sounds.mkdir(parents=True)
    media = {path.stem: path for path in (corpora / "vggsound" / "clips").iterdir()}
    splits = planned(corpora, plan)
    with ProcessPoolExecutor(workers) as pool:
        sources = [media[clip] for clip in clips]
        list(pool.map(flac, sources, [sounds / f"{clip}.flac" for clip in clips], chunksize=16))
        parts = [
            (samples[first : first + _SHARD], str(out / f"{split}-{first // _SHARD:04d}-%06d.tar"))
            for split, samples in splits.items()
            for first in range(0, len(samples), _SHARD)
        ]
        list(pool.map(partial(_write, sounds), parts))


def _write(sounds: Path, part: tuple[list[dict[str, Any]], str]) -> None:
    write(part[0], sounds, part[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", type=Path)
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    clips = Path(f"{asked.plan}.pool").read_text().split()
    build(asked.corpora, asked.plan, clips, asked.out, asked.workers)


if __name__ == "__main__":
    main()
