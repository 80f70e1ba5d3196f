"""Who made what, under which licence: one row for each clip that a sample hears, one where it hears none."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.corpora import registry

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
        "image_page": pa.string(),  # of the photo at Flickr, which names its author
        "mask_corpus": pa.string(),  # whose annotations the mask is of
        "mask_licence": pa.string(),  # of its annotations
        "clip_id": pa.string(),
        "audio_author": pa.string(),
        "audio_licence": pa.string(),
        "audio_url": pa.string(),  # of the video, where it has one
        "audio_start_s": pa.float64(),
    }
)
_NAMES = {
    "cc0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "public-domain-mark": "https://creativecommons.org/publicdomain/mark/1.0/",
}


def annotation_licence(corpus: str) -> str | None:
    """The licence of a corpus's masks; None where nobody knows."""
    known = registry.corpora().get(corpus)
    return known.annotation_licence or None if known else None


def rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one KEY.json; what is not known is null."""
    heard = [record["audio"]] if "audio" in record else [source["audio"] for source in record["sources"]]
    return [_row(record, audio) for audio in [clip for clip in heard if clip] or [{}]]


def _row(record: dict[str, Any], audio: dict[str, Any]) -> dict[str, Any]:
    image = record["image"]
    found = {
        "key": record["key"],
        "sample_id": record["sample_id"],
        "image_id": image["id"],
        "image_author": image["author"],
        "image_licence": image["licence"],
        "image_licence_url": image["licence_url"],
        "image_url": image["url"],
        "image_page": _page(image["photo_keys"]),
        "mask_corpus": image["corpus"],
        "mask_licence": annotation_licence(image["corpus"]),
        "clip_id": audio.get("id"),
        "audio_author": audio.get("author"),
        "audio_licence": audio.get("licence"),
        "audio_url": audio.get("url"),
        "audio_start_s": audio.get("start_s"),
    }
    return {name: None if value == "" else value for name, value in found.items()}


def _page(photo_keys: Iterable[str]) -> str | None:
    ids = [key.removeprefix("flickr:") for key in photo_keys if key.startswith("flickr:")]
    return f"https://www.flickr.com/photo.gne?id={ids[0]}" if ids else None


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
