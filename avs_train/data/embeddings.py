"""Audio embeddings, one per clip: computed once by `avs-train embed`, or when a clip is first heard.

Both ways call the same encoder on one window at a time, so they give the same numbers.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from shards import storage, tables
from shards.errors import AvsError

EMBEDDING_SIZE = 128


class EmbeddingError(AvsError):
    """A table that was made by another encoder or is no embedding table."""


class AudioEncoder(Protocol):
    """What turns a window into an embedding. `fingerprint` names the method and the weights."""

    fingerprint: str

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """(15600,) float32 in [-1, 1] at 16 kHz to (128,) float32 on the encoder's device."""

    def of_bands(self, bands: torch.Tensor) -> torch.Tensor:
        """The same from its log-mel bands, (1, 96, 64) float32."""


class Embeddings:
    """What each clip sounds like to `encoder`; a memory of clip id to (128,) float32 on the CPU."""

    def __init__(self, encoder: AudioEncoder, known: Mapping[str, torch.Tensor] | None = None) -> None:
        self.encoder = encoder
        self._known = dict(known or {})

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def resolve(
        self, clip_ids: Iterable[str], waveforms: Mapping[str, np.ndarray], keep: bool = True
    ) -> torch.Tensor:
        """(n, 128) float32 for n clips; those not known yet are encoded from their waveforms.

        Args:
            keep: remember them; not worth it for sounds that are never heard again.
        """
        known = self._known if keep else ChainMap({}, self._known)
        clip_ids = tuple(clip_ids)
        for clip_id in clip_ids:
            if clip_id not in known:
                known[clip_id] = self.encoder(torch.from_numpy(waveforms[clip_id])).detach().cpu()
        return torch.stack([known[clip_id] for clip_id in clip_ids])

    def save(self, path: str) -> None:
        """Write a Parquet table `clip_id`, `embedding` (128 float32), with the encoder's fingerprint."""
        clip_ids = sorted(self._known)
        values = np.stack([self._known[clip_id].numpy() for clip_id in clip_ids]).astype(np.float32)
        table = pa.table(
            {
                "clip_id": pa.array(clip_ids),
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), EMBEDDING_SIZE),
            }
        ).replace_schema_metadata({"encoder": self.encoder.fingerprint})
        with storage.open_atomic(path) as file:
            pq.write_table(table, file)


def load_embeddings(path: str, encoder: AudioEncoder) -> Embeddings:
    """Read what `Embeddings.save` wrote.

    Raises:
        EmbeddingError: the table comes from another encoder, or is none.
    """
    table = tables.read(path)
    made_by = (table.schema.metadata or {}).get(b"encoder", b"").decode()
    if set(table.column_names) != {"clip_id", "embedding"} or made_by != encoder.fingerprint:
        raise EmbeddingError(
            f"{path} was made by {made_by or 'something else'!r}, this run hears with {encoder.fingerprint!r}: "
            f"make it again with `avs-train embed`, or remove {Path(path).name} to embed while training"
        )
    values = (
        table.column("embedding").combine_chunks().flatten().to_numpy().reshape(-1, EMBEDDING_SIZE).copy()
    )
    return Embeddings(
        encoder, dict(zip(table.column("clip_id").to_pylist(), torch.from_numpy(values), strict=True))
    )
