"""Members of samples and clips for pages: found by key, read by offset, held against their hash, drawn, kept."""

from typing import Any

from pipelines.browse import sounds
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.draw import Job, What, draw
from pipelines.pages.errors import PageError
from pipelines.pages.kept import Kept
from pipelines.pages.renderers import Renderers
from shards.errors import AvsError
from shards.reader import as_told

PICTURES_KEPT, SOUNDS_KEPT = 96 << 20, 16 << 20  # bytes

Pictures = Renderers[Job, bytes]


class Broken(PageError):
    """A sample or clip of the tables that the shards do not hold as the tables say; the text says how."""

    status = 404


class Gone(PageError):
    """A key that the dataset does not have."""

    status = 404


class Media:
    """Thread-safe.

    Raises (all of its methods):
        Gone: no sample or clip of this key. Broken: its shard is missing, cut or changed. Unreadable: what lies there
        is no picture or sound. Busy: too much is asked for at once.
    """

    def __init__(self, catalogue: Catalogue, renderers: Pictures | None = None) -> None:
        self.catalogue = catalogue
        self._renderers: Pictures = renderers or Renderers(draw)
        self._pictures: Kept[tuple[str, What], bytes] = Kept(PICTURES_KEPT, len)
        self._heard: Kept[str, sounds.Heard] = Kept(SOUNDS_KEPT, lambda heard: len(heard.picture))

    def picture(self, key: str, what: What) -> bytes:
        """JPEG of a sample; PNG where it is the mask to lay over the photo."""
        return self._pictures.get((key, what), lambda: self._renderers.picture(lambda: self._job(key, what)))

    def _job(self, key: str, what: What) -> Job:
        row = self._row(key)
        if what in ("plain", "photo"):
            return Job(key, what, self._members(row, ("jpg",))["jpg"])
        made = self.catalogue.dataset.manifest
        masks = tuple(name for name in made.sample_members if name.endswith(".png"))
        found = self._members(row, ("jpg", "json", *masks))
        self._told(row, found["json"])
        drawn = tuple((name, found[name]) for name in masks)
        return Job(key, what, found["jpg"], found["json"], drawn, made.classes)

    def record(self, key: str) -> dict[str, Any]:
        """KEY.json of a sample, as its row has it."""
        row = self._row(key)
        return self._told(row, self._members(row, ("json",))["json"])

    def sound(self, key: str) -> bytes:
        """FLAC of a sample."""
        return self._members(self._row(key), ("flac",))["flac"]

    def heard(self, key: str) -> sounds.Heard:
        """The picture of a sample's sound, and how loud it is."""
        return self._heard.get(key, lambda: sounds.hear(key, self.sound(key)))

    def clip(self, key: str) -> bytes:
        """FLAC of a clip of the pool."""
        try:
            row = self.catalogue.clip(key)
        except (AvsError, OSError) as error:
            raise Broken(str(error)) from error
        if row is None:
            raise Gone(f"no clip {key!r} is in the pool")
        return self._members(row, ("flac",))["flac"]

    def _row(self, key: str) -> dict[str, Any]:
        number = self.catalogue.find(key)
        if number is None:
            raise Gone(f"no sample {key!r}: it was built anew, or the address is of another dataset")
        try:
            return self.catalogue.row(number)
        except (AvsError, OSError) as error:
            raise Broken(str(error)) from error

    def _members(self, row: dict[str, Any], extensions: tuple[str, ...]) -> dict[str, bytes]:
        try:
            return self.catalogue.dataset.read_members(row, extensions)
        except FileNotFoundError as error:
            raise Broken(f"{row['shard']} is missing: {row['key']} lies in it") from error
        except (AvsError, OSError) as error:
            raise Broken(str(error)) from error

    def _told(self, row: dict[str, Any], content: bytes) -> dict[str, Any]:
        try:
            return as_told(row, content)
        except AvsError as error:
            raise Broken(str(error)) from error
