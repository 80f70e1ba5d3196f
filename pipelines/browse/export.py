"""Some samples of a dataset as plain HTML with their media, which opens from disk: for a project page, or a mail."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.browse import BROWSE
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.draw import draw
from pipelines.browse.media import Media, Pictures
from pipelines.browse.query import Query
from pipelines.browse.views import Card, Grid, Views, label_names
from pipelines.pages import templates
from pipelines.pages.errors import Busy, PageError
from pipelines.pages.renderers import Renderers
from shards import claims, format, storage
from shards.hashing import spread

MOST = 1000  # samples
AT_ONCE = 4
_RENDER_S = 600.0  # nobody waits before a page: a picture that a busy machine draws slowly is not broken
_STATIC = ("style.css", "browse.css", "look.js", "icon.svg")


@dataclass(frozen=True)
class FileAddresses:
    """Where the files of an export are, from one of its pages. up: '' in the folder itself, '../' below it."""

    up: str = ""

    def static(self, name: str) -> str:
        return f"{self.up}static/{name}"

    def grid(self, query: Query) -> str:
        return f"{self.up}index.html"

    def sample(self, key: str, query: Query) -> str:
        return f"{self.up}samples/{key}.html"

    def picture(self, key: str, what: str) -> str:
        return f"{self.up}media/{key}.{_picture(what)}"

    def sound(self, key: str) -> str:
        return f"{self.up}media/{key}.flac"

    def heard(self, key: str) -> str:
        return f"{self.up}media/{key}.sound.png"


def _picture(what: str) -> str:
    return {"drawn": "drawn.jpg", "mask": "mask.png"}.get(what, "jpg")


def export(
    catalogue: Catalogue,
    out: str,
    samples: int,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    pictures: Pictures | None = None,
) -> tuple[str, int]:
    """Write OUT/index.html, a page for each sample in OUT/samples, and their photos, masks and sounds in OUT/media.

    The samples are picked by hash and spread over the categories (of negatives: the kinds), as on the contact sheet.
    What is broken is written as such. The same dataset gives the same bytes.

    Args:
        out: folder or URL, apart from the dataset. samples: at most, MOST or fewer.

    Returns:
        where the page is, and how many of its samples are broken.

    Raises:
        ClaimError: `out` is the dataset or inside it, or holds something else. Busy: no picture can be drawn now.
    """
    claims.apart(catalogue.dataset.url, out, "--export")
    manifest = storage.sha256(storage.join(catalogue.dataset.url, format.MANIFEST))
    claims.claim(out, {"command": "browse", "dataset": manifest, "number": samples}, "--export")
    media = Media(catalogue, pictures or Renderers(draw, seconds=_RENDER_S))
    views = Views(catalogue, media, label_names(catalogue))
    rows = sorted(spread(catalogue.ids["key"].to_pylist(), catalogue.shown_as(), samples))
    keys = [catalogue.key(row) for row in rows]
    environment = templates.environment(BROWSE)
    environment.globals.update(made=catalogue.dataset.manifest, exported=True, home=None)

    def write(place: int) -> Card:
        """A sample's page and media; its card, which says what is broken."""
        key, view = keys[place], views.sample(rows[place], Query(), alone=True)
        faults = [*view.faults.values(), *_write_media(media, out, key)]
        view = replace(
            view,
            card=replace(view.card, fault=view.card.fault or next(iter(faults), "")),
            place=place + 1,
            total=len(keys),
            before=keys[place - 1] if place else None,
            after=keys[place + 1] if place + 1 < len(keys) else None,
        )
        page = environment.get_template("sample.html")
        html = page.render(at=FileAddresses("../"), view="sample", sample=view, query=Query())
        storage.write_atomic(storage.join(out, "samples", f"{key}.html"), html.encode("utf-8", "replace"))
        return view.card

    cards = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for card in threads.map(write, range(len(rows))):
            cards.append(card)
            progress("Writing samples", len(cards), len(rows))
    for name in _STATIC:
        content = next(
            path.read_bytes()
            for path in (BROWSE.parent / "static" / name, Path(templates.__file__).parent / "static" / name)
            if path.exists()
        )
        storage.write_atomic(storage.join(out, "static", name), content)
    grid = Grid(Query(), len(cards), 0, cards, None)
    html = environment.get_template("exported.html").render(
        at=FileAddresses(), view="grid", grid=grid, query=Query(), samples=catalogue.size
    )
    storage.write_atomic(storage.join(out, "index.html"), html.encode("utf-8", "replace"))
    return storage.join(out, "index.html"), sum(bool(card.fault) for card in cards)


def _write_media(media: Media, out: str, key: str) -> list[str]:
    """Write what can be read of a sample; returns what is wrong with the rest."""
    made: dict[str, Callable[[], bytes]] = {
        "drawn.jpg": lambda: media.picture(key, "drawn"),
        "jpg": lambda: media.picture(key, "photo"),
        "mask.png": lambda: media.picture(key, "mask"),
        "flac": lambda: media.sound(key),
        "sound.png": lambda: media.heard(key).picture,
    }
    faults = []
    for name, make in made.items():
        try:
            storage.write_atomic(storage.join(out, "media", f"{key}.{name}"), make(), durable=False)
        except Busy:  # of this machine, not of the sample
            raise
        except PageError as error:
            faults.append(str(error))
    return faults
