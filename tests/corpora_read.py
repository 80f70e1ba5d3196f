"""A corpus read to its end, every part held against the schemas."""

from types import ModuleType

import pyarrow as pa

from pipelines.corpora.records import MASKS
from shards.tables import REJECTIONS


def read_masks(corpus: ModuleType, corpora: str) -> tuple[pa.Table, list[dict]]:
    """All masks and all rejections of `pipelines.corpora.lvis` or `open_images`."""
    kept, rejected = [], []
    for source in corpus.sources(corpora):
        for part in corpus.read(source, corpora):
            assert part.rows == len(part.kept) + len(part.rejected)
            assert part.kept.schema == MASKS
            assert part.rejected.schema == REJECTIONS
            part.kept.validate(full=True)
            kept.append(part.kept)
            rejected += part.rejected.to_pylist()
    return pa.Table.from_batches(kept, MASKS), rejected
