"""Batches from shards, ahead of time: threads read and decode, the order comes from `order`, the state is the step.

Threads, not processes: JPEG, PNG, FLAC and sha256 all work outside Python's lock, and a thread writes straight into
the batch. Measured with `tests/benchmarks/bench_loader.py`.
"""

import hashlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch

from avs_train.data import decode
from avs_train.data.embeddings import Embeddings
from avs_train.data.image_embeddings import ImageEmbeddings, Stored
from avs_train.data.order import epoch_order, rank_part, shard_order, steps_per_epoch
from avs_train.data.pairing import SILENCE, Hearing, frozen
from avs_train.data.remix import Remix
from avs_train.data.samples import Member, Row, Split
from avs_train.data.shard_files import ShardError, ShardFiles
from shards import format, records, storage
from shards.errors import AvsError
from shards.sound import WINDOW_SAMPLES

_STAND_INS = 16


class CorruptDataError(AvsError):
    """More samples than the tolerance allows do not match their hash or do not decode."""


@dataclass(frozen=True)
class Batch:
    """One rank's part of a global batch, ready for the device.

    image: (n, S, S, 3) uint8 RGB. mask: (n, M, M) uint8, 0 or 1, or the number of a class, where the loader reads them.
    rows: row numbers in the split.
    clips: the clip each sample hears; waveforms: (15600,) float32 of those without a known embedding.
    stored: the image embeddings on disk, where the loader has any; `image` is then filled where none is known.
    """

    step: int
    epoch: int
    rows: tuple[int, ...]
    keys: tuple[str, ...]
    clips: tuple[str, ...]
    image: torch.Tensor
    mask: torch.Tensor
    waveforms: dict[str, np.ndarray]
    stored: Stored | None = None


@dataclass(frozen=True)
class _Request:
    step: int
    epoch: int
    candidates: list[list[int]]  # per slot: the row, then those that stand in for it if it is corrupt
    complete: bool  # every slot must be filled


class Corruption:
    """Samples found corrupt so far: counted, named, bounded.

    Args:
        allowed: how many before `add` raises.
    """

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.found: dict[str, str] = {}
        self._lock = Lock()

    def add(self, key: str, reason: str) -> None:
        with self._lock:
            self.found[key] = reason
            if len(self.found) > self.allowed:
                named = "; ".join(f"{name}: {why}" for name, why in list(self.found.items())[:5])
                raise CorruptDataError(
                    f"{len(self.found)} corrupt samples, {self.allowed} allowed (data.corrupt_tolerance): {named}. "
                    "Run `avs-data verify --deep` on the dataset"
                )


class Loader:
    """Batches of one split for one rank.

    Args:
        size: S, the side of the images in pixels; `mask_size` is M.
        hearing: which clip a sample hears in an epoch.
        workers: decoding threads; 0 decodes in the caller's thread.
        prefetch: batches decoded ahead.
        augment_seed: show another part of each photo every epoch, drawn with this seed; None shows the whole.
        tolerance: fraction of the split's samples that may be corrupt.
        pin: put batches in page-locked memory, for a GPU.
        images: where the embeddings of photos are kept, so that they need not be decoded.
        classes: read which class each pixel is of, instead of which sound.
        remix: give scenes other clips each epoch, mixed anew (`Remix`); `hearing` then says nothing.
    """

    def __init__(
        self,
        split: Split,
        files: ShardFiles,
        embeddings: Embeddings,
        *,
        size: int,
        mask_size: int,
        hearing: Hearing = frozen,
        workers: int = 2,
        prefetch: int = 2,
        augment_seed: int | None = None,
        tolerance: float = 0.0,
        pin: bool = False,
        images: ImageEmbeddings | None = None,
        classes: bool = False,
        remix: bool = False,
    ) -> None:
        self.remix = Remix(split, self._clip) if remix else None
        self.images, self.classes = images, classes
        self.split, self.files, self.embeddings, self.hearing = split, files, embeddings, hearing
        self.size, self.mask_size, self.augment_seed = size, mask_size, augment_seed
        self.workers, self.prefetch, self.pin = workers, prefetch, pin
        self.corruption = Corruption(int(tolerance * len(split)))

    def training(
        self, start: int, stop: int, *, seed: int, batch_size: int, window: int, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """This rank's part of the global batches `start` to `stop` (exclusive).

        Step `s` is batch `s % steps_per_epoch` of epoch `s // steps_per_epoch`: nothing else decides it, so any
        number of ranks and workers sees the same global batches, and resuming is starting at another step. A corrupt
        sample is replaced by the one that follows it in the epoch.
        """
        sizes = self.split.shard_sizes
        per_epoch = steps_per_epoch(len(self.split), batch_size)
        part = rank_part(batch_size, rank, world)

        def requests() -> Iterator[_Request]:
            epoch, order = -1, np.empty(0, dtype=np.int64)
            for step in range(start, stop):
                if step // per_epoch != epoch:
                    epoch = step // per_epoch
                    order = epoch_order(seed, epoch, sizes, window)
                    windows = self._windows(seed, epoch, sizes, window)
                first = step % per_epoch * batch_size
                self._fetch_ahead(windows, first)
                places = range(first, first + batch_size)[part]
                followers = [order.take(range(place, place + _STAND_INS), mode="wrap") for place in places]
                yield _Request(step, epoch, [rows.tolist() for rows in followers], complete=True)

        return self._batches(requests())

    def evaluation(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Every `world`-th row from `rank` on, once, in order; corrupt samples are left out and counted."""
        rows = range(rank, len(self.split), world)
        pieces = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
        requests = (_Request(step, 0, [[row] for row in piece], False) for step, piece in enumerate(pieces))
        return self._batches(requests)

    def objects(self, rows: Sequence[int]) -> np.ndarray:
        """What could sound in the photo of each row, (n, M, M) uint8, 0 or 1: the masks of the photo's single samples,
        joined; zeros where the split has none."""
        found = np.zeros((len(rows), self.mask_size, self.mask_size), np.uint8)
        one = np.empty(found.shape[1:], np.uint8)
        for place, index in enumerate(rows):
            for member in self.split.objects.get(self.split.row(index).image_id, ()):
                decode.mask(self.member("a mask", member), one)
                found[place] |= one
        return found

    def _clip(self, clip_id: str) -> np.ndarray:
        """(n,) int16 of a clip of the pool."""
        return decode.clip(self.member(f"{clip_id}.flac", self.split.clips.members[clip_id]))

    def member(self, name: str, member: Member) -> bytes:
        """One member of any shard, fetched alone, since it is no neighbour of what else is read."""
        url = storage.join(self.split.url, member.shard)
        return _checked(name, storage.read_range(url, member.offset, member.size), member)

    def photo(self, index: int) -> np.ndarray:
        """The photo of a row as the model sees it, (S, S, 3) uint8 RGB."""
        row, pixels = self.split.row(index), np.empty((self.size, self.size, 3), np.uint8)
        decode.image(self.files.read(row.jpg.shard, row.jpg.offset, row.jpg.size), pixels)
        return pixels

    def _windows(self, seed: int, epoch: int, sizes: list[int], window: int) -> deque[tuple[int, list[str]]]:
        """The windows of an epoch: where each begins in the order, and its shards."""
        paths, begin, found = self.split.shard_paths, 0, deque[tuple[int, list[str]]]()
        shards = shard_order(seed, epoch, len(sizes)).tolist()
        for first in range(0, len(shards), window):
            members = shards[first : first + window]
            found.append((begin, [paths[shard] for shard in members]))
            begin += sum(sizes[shard] for shard in members)
        return found

    def _fetch_ahead(self, windows: deque[tuple[int, list[str]]], place: int) -> None:
        """Fetch the window that holds `place` and the one after it, in the background."""
        entered = False
        while windows and (windows[0][0] <= place or entered):
            entered = windows[0][0] <= place
            for path in windows.popleft()[1]:
                self.files.fetch_ahead(path)

    def _batches(self, requests: Iterator[_Request]) -> Iterator[Batch]:
        if self.workers == 0:
            for request in requests:
                filling = _Filling(self, request)
                for slot in range(len(request.candidates)):
                    filling.fill(slot)
                yield from filling.batches()
            return
        ahead: deque[tuple[_Filling, list[Future[None]]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        try:
            while True:
                for request in itertools.islice(requests, self.prefetch + 1 - len(ahead)):
                    filling = _Filling(self, request)
                    ahead.append(
                        (filling, [pool.submit(filling.fill, i) for i in range(len(request.candidates))])
                    )
                if not ahead:
                    return
                filling, futures = ahead.popleft()
                for future in futures:
                    future.result()
                yield from filling.batches()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Filling:
    """A batch while threads fill its slots."""

    def __init__(self, loader: Loader, request: _Request) -> None:
        self.loader, self.request = loader, request
        n = len(request.candidates)
        self.image = torch.empty((n, loader.size, loader.size, 3), dtype=torch.uint8, pin_memory=loader.pin)
        self.mask = torch.empty(
            (n, loader.mask_size, loader.mask_size), dtype=torch.uint8, pin_memory=loader.pin
        )
        self._images, self._masks = self.image.numpy(), self.mask.numpy()
        self.features = (
            torch.empty((n, *loader.images.shape), dtype=loader.images.dtype, pin_memory=loader.pin)
            if loader.images
            else None
        )
        if self.features is not None:
            self._features = self.features.view(n, -1).view(torch.uint8).numpy()
        self.known = [False] * n
        self.slots: list[tuple[int, Row, str] | None] = [None] * n
        self.waveforms: dict[str, np.ndarray] = {}

    def fill(self, slot: int) -> None:
        for index in self.request.candidates[slot]:
            row = self.loader.split.row(index)
            clip_id = self._heard(row)
            try:
                self._load(slot, row, clip_id)
            except (decode.DecodeError, records.RecordError) as error:
                self.loader.corruption.add(row.key, str(error))
                continue
            except ShardError:
                raise
            except Exception as error:
                raise RuntimeError(f"loading sample {row.key} of {row.jpg.shard} failed: {error}") from error
            self.slots[slot] = (index, row, clip_id)
            return

    def _heard(self, row: Row) -> str:
        """The name of what a sample hears: its clip, or a mixture of this epoch alone."""
        if not self.loader.remix:
            return self.loader.hearing(row, self.request.epoch)
        return SILENCE if row.kind == "silence" else f"{row.key}@{self.request.epoch}"

    def _load(self, slot: int, row: Row, clip_id: str) -> None:
        images, target = self.loader.images, row.classes if self.loader.classes else row.mask
        assert target is not None  # or `classes` was not asked for
        wanted = [row.jpg, target]
        if images and self.features is not None and images.load(row.jpg.sha256, self._features[slot]):
            self.known[slot], wanted = True, [target]
        remixed = self.loader.remix is not None and clip_id != SILENCE
        if remixed and row.json:
            wanted = [*wanted, row.json]
        # Members of a sample are neighbours: one read for all.
        begin = min(member.offset for member in wanted)
        end = max(member.offset + member.size for member in wanted)
        span = self.loader.files.read(target.shard, begin, end - begin)

        def content(extension: str, member: Member) -> bytes:
            return _checked(f"{row.key}.{extension}", span[member.offset - begin :][: member.size], member)

        view, seed = decode.WHOLE, self.loader.augment_seed
        if seed is not None:
            view = decode.drawn_view(seed, self.request.epoch, row.sample_id)
        if not self.known[slot]:
            decode.image(content("jpg", row.jpg), self._images[slot], view)
        if self.loader.classes:
            decode.classes(content(format.CLASSES, target), self._masks[slot], view)
        else:
            decode.mask(content("mask.png", target), self._masks[slot], view)
        if clip_id == SILENCE:
            self.waveforms[clip_id] = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
        elif remixed and row.json:
            self.waveforms[clip_id] = self._remixed(row, content("json", row.json))
        elif clip_id not in self.loader.embeddings:
            self.waveforms[clip_id] = decode.waveform(self._flac(row, clip_id))

    def _remixed(self, row: Row, json: bytes) -> np.ndarray:
        assert self.loader.remix
        pcm = self.loader.remix.sound(records.decode(json, records.SampleRecord), self.request.epoch)
        return decode.waveform(self._flac(row, row.clip_id)) if pcm is None else decode.window_of(pcm)

    def _flac(self, row: Row, clip_id: str) -> bytes:
        if clip_id == row.clip_id:
            content = self.loader.files.read(row.flac.shard, row.flac.offset, row.flac.size)
            return _checked(f"{row.key}.flac", content, row.flac)
        return self.loader.member(f"{clip_id}.flac", self.loader.split.clips.members[clip_id])

    def batches(self) -> Iterator[Batch]:
        """The batch; none when an evaluation's samples are all corrupt."""
        kept = [slot for slot, value in enumerate(self.slots) if value is not None]
        complete = len(kept) == len(self.slots)
        if not complete and self.request.complete:
            raise CorruptDataError(
                f"{_STAND_INS} corrupt samples in a row at step {self.request.step}: {self.loader.corruption.found}"
            )
        if kept:

            def rows_of(tensor: torch.Tensor) -> torch.Tensor:
                return tensor if complete else tensor[kept]

            rows, samples, clips = zip(*(value for value in self.slots if value is not None), strict=True)
            stored = None
            if self.features is not None:
                photos = tuple(row.jpg.sha256 for row in samples)
                stored = Stored(rows_of(self.features), tuple(self.known[slot] for slot in kept), photos)
            yield Batch(
                self.request.step, self.request.epoch, rows, tuple(row.key for row in samples), clips,
                rows_of(self.image), rows_of(self.mask), self.waveforms, stored,
            )  # fmt: skip


def _checked(name: str, content: bytes, member: Member) -> bytes:
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise decode.DecodeError(f"{name} in {member.shard} does not match the sha256 in the dataset's table")
    return content
