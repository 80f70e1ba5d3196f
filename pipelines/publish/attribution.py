"""Who made what, under which licence: one row a sample and clip, and how licences are counted and named."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.publish import records

ATTRIBUTION = "attribution.parquet"
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "sample_id": pa.string(),
        "image_id": pa.string(),
        "image_author": pa.string(),
        "image_licence": pa.string(),
        "image_licence_url": pa.string(),
        "image_url": pa.string(),
        "mask_source": pa.string(),  # the corpus that drew the mask
        "mask_licence": pa.string(),  # of its annotations
        "clip_id": pa.string(),
        "audio_author": pa.string(),
        "audio_licence": pa.string(),
        "audio_url": pa.string(),  # of the video, where it has one
        "audio_start_s": pa.float64(),
    }
)
# What LVIS and Open Images ask for their annotations.
MASK_LICENCES = {"lvis": "cc-by-4.0", "open_images": "cc-by-4.0"}
_NAMES = {
    "cc0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "public-domain-mark": "https://creativecommons.org/publicdomain/mark/1.0/",
}


def rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one KEY.json: one a clip that it hears, one for silence and noise."""
    heard: list[dict[str, Any] | None] = [*records.clips(record)]
    return [_row(record, audio) for audio in heard or [None]]


def _row(record: dict[str, Any], audio: dict[str, Any] | None) -> dict[str, Any]:
    image = record["image"]
    made_here = {"id": None, "author": None, "licence": "cc0", "url": None, "start_s": None}
    audio = audio or made_here
    return {
        "key": record["key"],
        "sample_id": record["sample_id"],
        "image_id": image["id"],
        "image_author": image["author"],
        "image_licence": image["licence"],
        "image_licence_url": image["licence_url"],
        "image_url": image["url"],
        "mask_source": image["corpus"],
        "mask_licence": MASK_LICENCES.get(image["corpus"]),
        "clip_id": audio["id"],
        "audio_author": audio["author"],
        "audio_licence": audio["licence"],
        "audio_url": audio["url"],
        "audio_start_s": audio["start_s"],
    }


def table(rows: Iterable[dict[str, Any]]) -> bytes:
    """`attribution.parquet`."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def licence_url(licence: str) -> str | None:
    """Where a licence's text is; None where its name does not say (no version, or unknown)."""
    if licence in _NAMES:
        return _NAMES[licence]
    kind, _, version = licence.removeprefix("cc-").rpartition("-")
    if licence.startswith("cc-") and version.replace(".", "").isdigit():
        return f"https://creativecommons.org/licenses/{kind}/{version}/"
    return None


def allowed(licence: str | None, licences: Iterable[str]) -> bool:
    """Whether a licence is one of these: by its exact name, or by its family (`cc-by` allows `cc-by-2.0`).

    An unknown licence (None) is never allowed; of several that hold together (`cc-by-4.0 AND cc-by-3.0`) each must be.
    """
    if licence is None:
        return False
    if " AND " in licence:
        return all(allowed(one, licences) for one in licence.split(" AND "))
    family, _, version = licence.rpartition("-")
    names = {licence, family} if version.replace(".", "").isdigit() else {licence}
    return not names.isdisjoint(licences)
