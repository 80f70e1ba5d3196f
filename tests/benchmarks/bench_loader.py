"""Loader against loader, on the same samples: samples a second, and time to the first batch after a resume.

Task `decoded`: photo, mask and 0.975 s of sound as arrays, at the photo's own size. Task `model-ready`: 1024 x 1024
images and masks in batches; the released SAMA-AVS code's way is one file a member, Pillow, and float
normalisation on the CPU.
Peers decode with Pillow and soundfile, as they ship; `--same-decoder` gives them ours, to compare the rest alone.

    python tests/benchmarks/bench_loader.py --photos FOLDER --samples 256 --runs 3

`--scenes DATASET` compares scenes of a dataset as the build mixed them with the same mixed anew in the loader
(`data.audio` frozen and repaired), and nothing else; it needs none of the peers:

    python tests/benchmarks/bench_loader.py --scenes out/train-scenes

Peers that are not installed are left out. MDS needs an older huggingface-hub than this package, so all of them live in
an environment of their own:

    pip install mosaicml-streaming litdata webdataset torch==2.14.1 torchvision==0.29.1 opencv-python-headless \\
        safetensors tensorboard soundfile click rich fsspec pyarrow msgspec pillow pycocotools
    pip install --no-deps --editable .
"""

import argparse
import gc
import io
import multiprocessing
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from PIL import Image
from pycocotools import mask as coco_mask

sys.path.insert(0, str(Path(__file__).parents[1]))
from generated_shards import write_dataset_of

from avs_train.data import decode
from avs_train.data.embeddings import Embeddings
from avs_train.data.loader import Loader
from avs_train.data.samples import of_kinds, open_split
from avs_train.data.shard_files import ShardFiles
from pipelines.media import masks
from shards.reader import Dataset

SIDE, MODEL_SIDE, BATCH = 640, 1024, 8
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
same_decoder = False


def samples(photos: Path | None, count: int) -> list[tuple[bytes, bytes, bytes]]:
    """JPEG of 640 x 640, PNG mask, 10 s FLAC; from real photos where a folder is given."""
    rng = np.random.default_rng(0)
    files = sorted(photos.rglob("*.jpg")) if photos else []
    found = []
    for index in range(count):
        if files:
            picture = (
                Image.open(files[index % len(files)]).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)
            )
        else:
            coarse = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            grain = rng.normal(0, 12, (SIDE, SIDE, 3))
            smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.BICUBIC))
            picture = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
        jpg = io.BytesIO()
        picture.save(jpg, "JPEG", quality=90)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.circle(mask, tuple(int(x) for x in rng.integers(150, 490, 2)), 120, 255, -1)
        flac = io.BytesIO()
        soundfile.write(flac, (0.2 * rng.standard_normal(160000)).astype(np.float32), 16000, format="FLAC")
        png = masks.to_png(coco_mask.encode(np.asfortranarray(mask)))  # as the shards' masks are written
        found.append((jpg.getvalue(), png, flac.getvalue()))
    return found


def decoded(jpg: bytes, png: bytes, flac: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if same_decoder:
        image, mask = np.empty((SIDE, SIDE, 3), np.uint8), np.empty((SIDE, SIDE), np.uint8)
        decode.image(jpg, image)
        decode.mask(png, mask)
        return image, mask, decode.waveform(flac)
    image = np.asarray(Image.open(io.BytesIO(jpg)).convert("RGB"))
    mask = np.asarray(Image.open(io.BytesIO(png)))
    with soundfile.SoundFile(io.BytesIO(flac)) as file:
        file.seek(15360)
        return image, mask, file.read(15600, dtype="float32")


def model_ready(jpg: bytes, png: bytes, flac: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    side = (MODEL_SIDE, MODEL_SIDE)
    image = Image.open(io.BytesIO(jpg)).convert("RGB").resize(side, Image.BILINEAR)
    mask = Image.open(io.BytesIO(png)).resize(side, Image.NEAREST)
    normalised = (np.asarray(image, np.float32) / 255 - MEAN) / STD
    with soundfile.SoundFile(io.BytesIO(flac)) as file:
        file.seek(15360)
        sound = file.read(15600, dtype="float32")
    return normalised.transpose(2, 0, 1).copy(), np.asarray(mask, np.float32) / 255, sound


class Loose(torch.utils.data.Dataset):
    """One file a member, shuffled by index: the released code's layout."""

    def __init__(self, root: Path, count: int, convert: Callable) -> None:
        self.root, self.count, self.convert = root, count, convert

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple:
        stem = self.root / f"{index:06d}"
        return self.convert(*(stem.with_suffix(kind).read_bytes() for kind in (".jpg", ".png", ".flac")))


def loose(root: Path, count: int, workers: int, convert: Callable) -> Iterator[int]:
    data = Loose(root, count, convert)
    for batch in torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=workers):
        yield len(batch[0])


def webdataset(root: Path, workers: int, convert: Callable) -> Iterator[int]:
    import webdataset as wds

    shards = sorted(str(path) for path in (root / "train").glob("*.tar"))
    data = (
        wds.WebDataset(shards, shardshuffle=100)
        .shuffle(100)
        .map(lambda sample: convert(sample["jpg"], sample["mask.png"], sample["flac"]))
    )
    for batch in wds.WebLoader(data, batch_size=BATCH, num_workers=workers):
        yield len(batch[0])


def litdata(root: Path, workers: int, convert: Callable) -> Iterator[int]:
    import litdata as lit

    class Decoding(lit.StreamingDataset):
        def __getitem__(self, index: object) -> tuple:
            item = super().__getitem__(index)
            return convert(item["jpg"], item["png"], item["flac"])

    data = Decoding(str(root), shuffle=True)
    for batch in lit.StreamingDataLoader(data, batch_size=BATCH, num_workers=workers):
        yield len(batch[0])


def mds(root: Path, workers: int, convert: Callable) -> Iterator[int]:
    import streaming

    streaming.base.util.clean_stale_shared_memory()

    class Decoding(streaming.StreamingDataset):
        def __getitem__(self, index: object) -> tuple:
            item = super().__getitem__(index)
            return convert(item["jpg"], item["png"], item["flac"])

    data = Decoding(local=str(root), shuffle=True, batch_size=BATCH)
    for batch in torch.utils.data.DataLoader(data, BATCH, num_workers=workers):
        yield len(batch[0])


def open_loader(
    root: Path, workers: int, side: int, remix: bool = False, kinds: Sequence[str] = ()
) -> Loader:
    split = of_kinds(open_split(str(root), "train"), kinds)
    files = ShardFiles(str(root), split.shards, root, 10**10)
    return Loader(
        *(split, files, Embeddings(None)),  # type: ignore[arg-type]
        size=side, mask_size=side, workers=workers, prefetch=2, remix=remix,
    )  # fmt: skip


def scenes(root: Path, workers: int, runs: int) -> None:
    """Scenes as they were mixed, and mixed anew, in turn: all kinds, then single sounds and mixtures alone."""
    print(
        "| samples | pixels | sound | samples/s | runs | beside frozen | CPU ms/sample |\n" + "|---" * 7 + "|"
    )
    for kinds, side in (((), 128), ((), MODEL_SIDE), (("single",), 128), (("mixture",), 128)):
        found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for _ in range(runs):
            for remix, rates in found.items():
                rates.append(rate(partial(epoch_of, root, workers, side, remix, kinds)))
        frozen = statistics.median(run[0] for run in found[False])
        for remix, rates in found.items():
            middle, cpu = (statistics.median(run[i] for run in rates) for i in (0, 1))
            each = " ".join(f"{run[0]:.0f}" for run in rates)
            what = f"{' '.join(kinds) or 'all'} | {side} | {'repaired' if remix else 'frozen'}"
            print(f"| {what} | {middle:.0f} | {each} | {middle / frozen:.2f} x | {cpu:.1f} |", flush=True)


def epoch_of(root: Path, workers: int, side: int, remix: bool, kinds: Sequence[str]) -> Iterator[int]:
    """The second epoch of a training split, or 256 samples of it."""
    loader = open_loader(root, workers, side, remix, kinds)
    steps = len(loader.split) // BATCH
    for batch in loader.training(steps, steps + min(steps, 32), seed=0, batch_size=BATCH, window=8):
        yield len(batch.keys)


def ours(root: Path, workers: int, side: int, start: int = 0) -> Iterator[int]:
    loader = open_loader(root, workers, side)
    stop = start + len(loader.split) // BATCH
    for batch in loader.training(start, stop, seed=0, batch_size=BATCH, window=8):
        yield len(batch.keys)


def _item(data: tuple[bytes, bytes, bytes]) -> dict[str, bytes]:
    return dict(zip(("jpg", "png", "flac"), data, strict=True))


def write_peers(root: Path, found: list[tuple[bytes, bytes, bytes]]) -> list[str]:
    """The samples as each peer wants them; the names of those that are not installed."""
    (root / "loose").mkdir()
    for index, members in enumerate(found):
        for kind, content in zip((".jpg", ".png", ".flac"), members, strict=True):
            (root / "loose" / f"{index:06d}{kind}").write_bytes(content)
    missing = []
    try:
        import litdata as lit

        lit.optimize(_item, found, str(root / "litdata"), chunk_bytes="32MB", num_workers=1)
    except ImportError:
        missing.append("litdata")
    try:
        import streaming

        columns = {"jpg": "bytes", "png": "bytes", "flac": "bytes"}
        with streaming.MDSWriter(out=str(root / "mds"), columns=columns, size_limit=1 << 25) as writer:
            for members in found:
                writer.write(_item(members))
    except ImportError:
        missing.append("MDS")
    return missing


def rate(make: Callable[[], Iterator[int]]) -> tuple[float, float]:
    """Samples a second, and milliseconds of CPU a sample over all processes (other work disturbs it less)."""
    gc.collect()
    gc.freeze()  # what is there already is nobody's: to go through it takes as long as a quarter of the samples
    start, cpu = time.perf_counter(), cpu_s()
    count = sum(make())
    gc.collect()  # ends the peers' processes
    return count / (time.perf_counter() - start), 1000 * (cpu_s() - cpu) / count


def cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    global same_decoder
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder with JPEG photos; generated ones without it")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--same-decoder", action="store_true")
    parser.add_argument(
        "--scenes", type=Path, metavar="DATASET", help="a dataset of scenes, as `make train-scenes` builds"
    )
    options = parser.parse_args()
    if options.scenes:
        scenes(options.scenes, options.workers, options.runs)
        return
    same_decoder = options.same_decoder
    random.seed(0)
    torch.set_num_threads(1)
    workers = options.workers
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ.setdefault("HF_HOME", folder)
        found = samples(options.photos, options.samples)
        write_dataset_of(root / "shards", found, samples_per_shard=64)
        assert Dataset(str(root / "shards")).table().num_rows == options.samples
        missing = write_peers(root, found)
        multiprocessing.set_start_method(
            "fork", force=True
        )  # litdata's writer sets spawn, slower for all peers
        tasks: dict[str, dict[str, Callable[[], Iterator[int]]]] = {
            f"decoded {SIDE} x {SIDE}": {
                "this loader": lambda: ours(root / "shards", workers, SIDE),
                "webdataset": lambda: webdataset(root / "shards", workers, decoded),
                "litdata": lambda: litdata(root / "litdata", workers, decoded),
                "MDS": lambda: mds(root / "mds", workers, decoded),
                "loose files": lambda: loose(root / "loose", options.samples, workers, decoded),
            },
            f"model-ready {MODEL_SIDE} x {MODEL_SIDE}": {
                "this loader": lambda: ours(root / "shards", workers, MODEL_SIDE),
                "released code's way": lambda: loose(root / "loose", options.samples, workers, model_ready),
            },
        }
        print(f"\n{options.samples} samples, {workers} workers, batches of {BATCH}, median of {options.runs} runs, "
              f"PyTorch {torch.__version__}, {os.cpu_count()} cores\n")  # fmt: skip
        print("| task | loader | samples/s | runs | this loader is | CPU ms/sample | this loader needs |")
        print("|---|---|---|---|---|---|---|")
        for task, makers in tasks.items():
            rates: dict[str, list[tuple[float, float]]] = {name: [] for name in makers if name not in missing}
            for _ in range(options.runs):  # interleaved, so that a busy machine slows all alike
                for name, found_rates in rates.items():
                    found_rates.append(rate(makers[name]))
            own, own_cpu = (statistics.median(run[i] for run in rates["this loader"]) for i in (0, 1))
            for name, runs in rates.items():
                middle, cpu = (statistics.median(run[i] for run in runs) for i in (0, 1))
                each = " ".join(f"{run[0]:.0f}" for run in runs)
                print(f"| {task} | {name} | {middle:.0f} | {each} | {own / middle:.2f} x | {cpu:.1f} | "
                      f"{own_cpu / cpu:.2f} x |", flush=True)  # fmt: skip
        times = []
        for _ in range(options.runs):
            start = time.perf_counter()
            next(ours(root / "shards", workers, MODEL_SIDE, start=1001))
            times.append(time.perf_counter() - start)
        print(
            f"\nFirst batch of {BATCH} at {MODEL_SIDE} after resuming at step 1001: {statistics.median(times):.2f} s"
        )


if __name__ == "__main__":
    main()
