"""Which photos a generated corpus holds: many sound ones, and one of each fault that a build must catch."""

from dataclasses import dataclass, replace

from pipelines.demo.scenes import SIZES, Scene, Thing, compose, drawing
from pipelines.demo.vocabulary import categories, shuffled, sounding
from shards.hashing import hash64, unit

LVIS_FAULTS = (
    "missing_photo",
    "truncated_photo",
    "empty_mask",
    "outside",
    "tiny",
    "crowd",
    "non_commercial",
    "duplicate_id",
)
OPEN_IMAGES_FAULTS = (
    "missing_photo",
    "truncated_photo",
    "missing_mask",
    "other_shape",
    "empty_mask",
    "tiny",
    "group_of",
    "depiction",
    "non_commercial",
    "duplicate_id",
)
SHARED = "shared"  # the role of the photo that both corpora hold


@dataclass(frozen=True)
class DemoPhoto:
    """One photo of a corpus, counted from 0 in its corpus; `role` is a fault, SHARED, or empty for a sound one."""

    number: int
    key: str
    role: str


def items(images: int) -> tuple[list[DemoPhoto], list[DemoPhoto]]:
    """The photos of LVIS and of Open Images: `images` sound ones, three in five of them in LVIS, then the faults."""
    sound = [f"photo/{number}" for number in range(images)]
    lvis = [(key, "") for number, key in enumerate(sound) if number % 5 < 3]
    open_images = [(key, "") for number, key in enumerate(sound) if number % 5 >= 3]
    lvis += [(f"lvis/{role}", role) for role in LVIS_FAULTS] + [("shared", SHARED)]
    open_images += [(f"open_images/{role}", role) for role in OPEN_IMAGES_FAULTS] + [("shared", SHARED)]
    return tuple(
        [DemoPhoto(number, key, role) for number, (key, role) in enumerate(rows)]
        for rows in (lvis, open_images)
    )  # type: ignore[return-value]


def scene(seed: int, item: DemoPhoto) -> Scene:
    """What the photo shows. Most photos hold two or three categories, so only the sound says which one is meant."""
    names = shuffled(list(categories()), seed, "categories", item.key)
    if item.role in ("crowd", "group_of"):
        return _many(seed, item)
    if item.role == "depiction":
        return _picture(seed, item)
    count = 1 + sum(unit(seed, "count", item.key) < limit for limit in (0.9, 0.4))
    if item.role:
        names = shuffled(sounding(), seed, "categories", item.key)
    made = compose(seed, item.key, names[:count], twice=unit(seed, "twice", item.key) < 0.15)
    if item.role == "tiny":
        speck = drawing(seed, f"{item.key}/tiny", names[count], 16, 16, 13)
        made = replace(made, things=(*made.things, Thing((speck,))))
    return made


def _many(seed: int, item: DemoPhoto) -> Scene:
    """Eight of one kind in two rows, under one mask."""
    width, height = SIZES[0]
    category = shuffled(sounding(), seed, item.key)[0]
    places = [(column, row) for row in range(2) for column in range(4)]
    drawings = tuple(
        drawing(
            seed,
            f"{item.key}/{column}{row}",
            category,
            width * (0.14 + 0.24 * column),
            height * (0.42 + 0.32 * row),
            84,
        )
        for column, row in places
    )
    return Scene(item.key, seed, width, height, (Thing(drawings),))


def _picture(seed: int, item: DemoPhoto) -> Scene:
    """A framed picture of the object on the wall."""
    width, height = SIZES[hash64(seed, "size", item.key) % 2]
    category = shuffled(sounding(), seed, item.key)[0]
    pictured = drawing(seed, item.key, category, width / 2, height * 0.45, height * 0.42)
    return Scene(item.key, seed, width, height, (Thing((pictured,), framed=True),))
