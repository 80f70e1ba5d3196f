"""Annotation files: pinned by size and sha256, shipped or recorded at the first download; drift is refused."""

import json
import threading
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import FOLDER
from pipelines.fetch.options import FetchOptions
from shards import storage
from shards.errors import AvsError
from shards.text import read_json

MAX_BYTES = 8_000_000_000


class DriftError(AvsError):
    """An annotation file is not the one that was pinned."""


@dataclass(frozen=True)
class AnnotationFile:
    corpus: str
    source: str
    address: str
    path: str
    member: str = ""
    split: str = ""  # train | validation | test; empty: of all
    role: str = ""  # boxes | image_labels: of that option of [fetch]
    bytes: int = 0  # 0: no pin
    sha256: str = ""

    @property
    def name(self) -> str:
        return f"annotation:{self.path}"


@dataclass(frozen=True)
class Pin:
    """What was downloaded, and the file that lies below the corpora folder (they differ where a zip was unpacked)."""

    url: str
    bytes: int
    sha256: str
    stored_bytes: int
    stored_sha256: str


def files(options: FetchOptions) -> list[AnnotationFile]:
    """The annotation files that the options ask for."""
    with open(Path(__file__).with_name("annotation_files.toml"), "rb") as file:
        table = tomllib.load(file)
    listed = [AnnotationFile(**row) for row in table["file"]]
    return [
        one
        for one in listed
        if one.corpus in options.corpora
        and one.split in ("", *options.splits)
        and (not one.role or getattr(options, one.role))
    ]


def item(file: AnnotationFile, options: FetchOptions) -> Item:
    return Item(file.name, Kind.ANNOTATION, f"{options.addresses[file.source]}/{file.address}", file.path)


class Pins:
    """`_fetch/pins.json` of a corpora folder, read once and written after each change. Thread-safe."""

    def __init__(self, corpora: str) -> None:
        self._url = storage.join(corpora, FOLDER, "pins.json")
        self._lock = threading.Lock()
        rows = read_json(self._url) if storage.exists(self._url) else {}
        self._pins = {path: Pin(**row) for path, row in rows.items()}

    def get(self, path: str) -> Pin | None:
        return self._pins.get(path)

    def record(self, path: str, pin: Pin) -> None:
        with self._lock:
            self._pins[path] = pin
            rows = {name: asdict(one) for name, one in sorted(self._pins.items())}
            storage.write_atomic(self._url, json.dumps(rows, indent=1).encode())

    def check(self, file: AnnotationFile, url: str, size: int, sha256: str, accept_drift: bool) -> None:
        """Raise DriftError where a download is not what the list or an earlier download pinned."""
        shipped = (file.bytes, file.sha256) if file.sha256 else None
        earlier = self.get(file.path)
        for pinned, where in (
            (shipped, "the list that ships with the project"),
            ((earlier.bytes, earlier.sha256) if earlier else None, "the first download, in _fetch/pins.json"),
        ):
            if pinned and pinned != (size, sha256) and not accept_drift:
                raise DriftError(
                    f"{url} changed: it has {size} bytes, sha256 {sha256}; pinned by {where}: {pinned[0]} "
                    f"bytes, sha256 {pinned[1]}. A dataset built from it would differ from earlier ones. Point "
                    "[fetch.sources] at a mirror with the pinned file, or take the new one with --accept-drift, "
                    "which makes it the pin"
                )


def file_digest(url: str) -> tuple[int, str]:
    """(bytes, sha256 in hexadecimal) of a file."""
    return storage.size(url), storage.sha256(url)
