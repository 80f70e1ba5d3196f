"""Photos with their masks, and clips, from the corpora folder for the page: found by row, never by a path given."""

import json
import mimetypes
import os
import stat
from dataclasses import dataclass

from pipelines.pages.kept import Kept
from pipelines.pages.renderers import Renderers
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.render import Job, Tile
from shards import storage

MAX_FILE_BYTES = 64 << 20  # of a photo, a mask, or a clip that a store holds
TILES_KEPT = 512


@dataclass(frozen=True)
class Example:
    """A photo with a label's masks, or a clip."""

    id: int
    kind: str
    item: str
    path: str
    masks: str
    width: int | None
    height: int | None
    licence: str | None
    author: str | None


class MediaMissing(ReviewError):
    """A row that is not there, or a file that is missing or unreadable."""

    status = 404  # HTTP's


def examples(queue: Queue, kind: str, source: str, source_id: str) -> list[Example]:
    """A label's photos (`kind` photo) or a sound's clips (`kind` clip), in their fixed order."""
    rows = queue.connection.execute(
        "SELECT id, kind, item, path, masks, width, height, licence, author FROM examples "
        "WHERE kind = ? AND source = ? AND source_id = ? ORDER BY place",
        (kind, source, source_id),
    )
    return [Example(*row) for row in rows]


def example(queue: Queue, example_id: int, kind: str) -> Example:
    row = queue.connection.execute(
        "SELECT id, kind, item, path, masks, width, height, licence, author FROM examples WHERE id = ? AND kind = ?",
        (example_id, kind),
    ).fetchone()
    if row is None:
        raise MediaMissing(f"no {kind} {example_id}")
    return Example(*row)


class Media:
    """Reads below one corpora folder, local or remote, and keeps what was rendered. Thread-safe."""

    def __init__(self, corpora: str, renderers: Renderers[Job, Tile]) -> None:
        self.corpora = corpora
        self._renderers = renderers
        self._tiles: Kept[Example, Tile] = Kept(TILES_KEPT)

    def locate(self, path: str) -> str:
        """The address of a file of the index: a regular one, below the corpora folder when links are followed.

        Raises:
            MediaMissing: it lies elsewhere, is not there, or is no regular file.
        """
        try:
            url = storage.join(self.corpora, path)
            if storage.is_local(url):
                root = os.path.realpath(storage.local_path(self.corpora))
                url = os.path.realpath(storage.local_path(url))
                if os.path.commonpath([root, url]) != root:
                    raise MediaMissing(f"{path!r} leads out of the corpora folder")
                there = bool(self.corpora) and stat.S_ISREG(os.stat(url).st_mode)
            else:
                there = storage.exists(url)
        except (ValueError, OSError) as error:
            raise MediaMissing(f"{path!r} is not below the corpora folder: {error}") from error
        if not there:
            raise MediaMissing(f"{path!r} is no file below the corpora folder {self.corpora!r}")
        return url

    def read(self, path: str) -> bytes:
        """A whole file of at most MAX_FILE_BYTES."""
        url = self.locate(path)
        try:
            content = storage.read_range(url, 0, MAX_FILE_BYTES + 1)
        except OSError as error:
            raise MediaMissing(f"{path!r} cannot be read: {error}") from error
        if len(content) > MAX_FILE_BYTES:
            raise MediaMissing(f"{path!r} has more than {MAX_FILE_BYTES >> 20} MiB: it is not shown")
        return content

    def tile(self, photo: Example) -> Tile:
        """A photo and its overlay; rendered once, also where several ask for it at the same time.

        Raises:
            MediaMissing, Unreadable: there is nothing to show. Busy: too much is asked for.
        """
        return self._tiles.get(photo, lambda: self._renderers.picture(lambda: self._job(photo)))

    def _job(self, photo: Example) -> Job:
        segmentations: list[bytes] = []
        files: list[bytes] = []
        for mask in json.loads(photo.masks):
            if not isinstance(mask, str):
                segmentations.append(json.dumps(mask).encode())
                continue
            try:
                files.append(self.read(mask))
            except MediaMissing:
                continue  # the build rejects it too, with its reason
            if sum(map(len, files)) > MAX_FILE_BYTES:
                raise MediaMissing(f"the masks of {photo.path!r} have more than {MAX_FILE_BYTES >> 20} MiB")
        return Job(
            photo.path, self.read(photo.path), tuple(segmentations), tuple(files), photo.width, photo.height
        )


def content_type(path: str) -> str:
    """Of a clip: an audio or video type, or none in particular, so that no browser runs it."""
    guessed = mimetypes.guess_type(path)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"
