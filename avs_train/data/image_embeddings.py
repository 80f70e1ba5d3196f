"""Image embeddings of a frozen encoder that hears nothing: computed once a photo, read from disk ever after.

    FOLDER/about.json          what decides an embedding: encoder, image size, how photos are resized, precision
    FOLDER/ab/abcd...          one photo, by the sha256 of its JPEG: the embedding's bytes, and their CRC-32

For AP-SAM, whose encoder would otherwise do the same work in each of 80 epochs.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from shards import storage, text
from shards.errors import AvsError

_CRC = 4  # bytes


class StaleError(AvsError):
    """Image embeddings that another encoder, image size or precision made."""


@dataclass(frozen=True)
class Stored:
    """What was on disk of a batch: embeddings (n, C, h, w), filled where `known`; photos, the sha256 of each JPEG."""

    embeddings: torch.Tensor
    known: tuple[bool, ...]
    photos: tuple[str, ...]


class ImageEmbeddings:
    """What each photo looks like to `encoder`.

    Args:
        encoder: images (n, 3, S, S) uint8 on its device to embeddings (n, *shape) of `dtype` there.
        path: the folder, made when the first embedding is kept.
        about: what decides an embedding, plain values for JSON.
        shape: of one embedding, (C, h, w).
        most_bytes: this process adds nothing once the folder holds as much; what is left out is computed each time.

    Raises:
        StaleError: the folder was made with another `about`.
    """

    def __init__(
        self,
        encoder: Callable[[torch.Tensor], torch.Tensor],
        path: Path,
        about: Mapping[str, Any],
        *,
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        most_bytes: int,
    ) -> None:
        self.encoder, self.path, self.shape, self.dtype = encoder, path, shape, dtype
        self._bytes = int(np.prod(shape)) * dtype.itemsize
        self._about = {**about, "shape": list(shape), "dtype": str(dtype).removeprefix("torch.")}
        self._refuse_stale()
        held = sum(file.stat().st_size for file in path.glob("??/*")) if path.is_dir() else 0
        self._room, self._lock = most_bytes - held, Lock()

    def load(self, sha256: str, out: np.ndarray) -> bool:
        """Read the bytes of a photo's embedding into `out`, (bytes,) uint8; False where none, or a damaged one, is."""
        try:
            content = self._file(sha256).read_bytes()
        except FileNotFoundError:
            return False
        if len(content) != self._bytes + _CRC or zlib.crc32(content[:-_CRC]) != _number(content[-_CRC:]):
            return False
        out[:] = np.frombuffer(content, np.uint8, self._bytes)
        return True

    def resolve(self, stored: Stored, images: torch.Tensor, device: torch.device) -> torch.Tensor:
        """(n, *shape) on the device for a batch's photos; those not on disk are computed, and kept while there is room.

        Args:
            images: (n, S, S, 3) uint8, filled where the embedding is not known.
        """
        content = stored.embeddings.view(len(images), -1).view(torch.uint8).numpy()
        # Asked again: the batch was read ahead, and an earlier one may have had the same photo.
        missing = [
            index
            for index, known in enumerate(stored.known)
            if not known and not self.load(stored.photos[index], content[index])
        ]
        embeddings = stored.embeddings.to(device, non_blocking=True)
        if missing:
            computed = self.encoder(images[missing].to(device, non_blocking=True).permute(0, 3, 1, 2))
            embeddings[missing] = computed
            for index, embedding in zip(missing, computed.cpu(), strict=True):
                self._keep(stored.photos[index], embedding)
        return embeddings

    def _keep(self, sha256: str, embedding: torch.Tensor) -> None:
        with self._lock:
            if self._room < self._bytes:
                return
            self._room -= self._bytes
        if not (self.path / "about.json").exists():
            storage.write_atomic(str(self.path / "about.json"), json.dumps(self._about, indent=1).encode())
        content = embedding.contiguous().view(torch.uint8).numpy().tobytes()
        crc = zlib.crc32(content).to_bytes(_CRC, "little")
        storage.write_atomic(str(self._file(sha256)), content + crc, durable=False)

    def _file(self, sha256: str) -> Path:
        return self.path / sha256[:2] / sha256

    def _refuse_stale(self) -> None:
        if not os.path.exists(self.path / "about.json"):
            return
        made = text.read_json(str(self.path / "about.json"))
        made = made if isinstance(made, dict) else {}
        differ = [
            f"{key} {made.get(key)!r} then, {value!r} now"
            for key, value in self._about.items()
            if made.get(key) != value
        ]
        if differ:
            raise StaleError(
                f"the image embeddings in {self.path} were made otherwise: {'; '.join(differ)}. Remove that folder to "
                "compute them again, or give another --out"
            )


def _number(crc: bytes) -> int:
    return int.from_bytes(crc, "little")
