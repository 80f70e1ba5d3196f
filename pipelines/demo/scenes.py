"""Drawn photos with exact masks: what stands where is a hash of (seed, key), what is visible is measured.

Objects are drawn back to front into a picture and, with the same polygons, into a picture of object numbers;
both are three times as large as the photo and then averaged down. So a mask is the visible part of its object
by construction, and its edge is known to a ninth of a pixel. Colour, size, tilt and place come from hashes
that do not see the category: only the shape tells what an object is.
"""

import colorsys
import math
from dataclasses import dataclass, replace

import numpy as np
from contourpy import LineType, contour_generator
from PIL import Image, ImageDraw, ImageFilter

from pipelines.demo.shapes import shape
from shards.hashing import hash64, unit

SUPERSAMPLING = 3
SIZES = ((512, 384), (480, 360), (448, 448), (384, 512), (560, 384), (400, 400))
MIN_VISIBLE = 0.6  # of an object's own silhouette
MAX_HOLE_PX = 10.0  # a larger hole cannot be told by LVIS polygons
_ATTEMPTS = 400
_SKIES = (0.54, 0.57, 0.6, 0.08, 0.1, 0.95, 0.45)  # hues: blues, dawn, rose, mint
_FLOORS = (0.25, 0.3, 0.09, 0.12, 0.05, 0.5, 0.7)  # grass, sand, wood, water, slate

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Drawing:
    """One copy of a category's shape: centre and size (sqrt of its box's area) in pixels, angle in radians."""

    category: str
    x: float
    y: float
    size: float
    angle: float
    flipped: bool
    hue: float
    accent_hue: float
    lightness: float


@dataclass(frozen=True)
class Thing:
    """What one mask covers: a single drawing, or several (a crowd, a group), or a picture of the object in a frame."""

    drawings: tuple[Drawing, ...]
    framed: bool = False

    @property
    def category(self) -> str:
        return self.drawings[0].category


@dataclass(frozen=True)
class Scene:
    """A photo to be drawn: `things` from back to front, `key` decides the background."""

    key: str
    seed: int
    width: int
    height: int
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Photo:
    """A drawn scene.

    Attributes:
        pixels: (height, width, 3) uint8.
        numbers: (3 height, 3 width) uint8; 0 is background, k + 1 is the visible part of thing k.
        alone: for each thing the supersampled area, in photo pixels, that it would cover with nothing before it.
    """

    scene: Scene
    pixels: np.ndarray
    numbers: Image.Image
    alone: tuple[float, ...]

    def mask(self, thing: int, width: int, height: int) -> np.ndarray:
        """(height, width) bool: where at least half of a pixel shows the thing, at any size."""
        return np.asarray(self._only(thing).resize((width, height), Image.Resampling.BOX)) >= 128

    def outline(self, thing: int) -> tuple[list[np.ndarray], float]:
        """The outer outlines of the visible part, each (n, 2) in pixels, and the area of the largest hole."""
        reduced = np.asarray(self._only(thing).reduce(SUPERSAMPLING), dtype=np.float32) / 255
        lines = contour_generator(z=np.pad(reduced, 1), line_type=LineType.Separate).lines(0.5)
        outer, hole = [], 0.0
        for line in lines:
            points = np.asarray(line)[:-1] - 0.5  # one pixel of padding, and the centre of pixel 0 is at 0.5
            area = _signed_area(points)
            if area <= 0:
                hole = max(hole, -area)
            elif area >= 2:
                outer.append(_simplified(points))
        return outer, hole

    def _only(self, thing: int) -> Image.Image:
        return self.numbers.point([255 if value == thing + 1 else 0 for value in range(256)])


def _signed_area(points: np.ndarray) -> float:
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _simplified(points: np.ndarray, tolerance: float = 0.3) -> np.ndarray:
    """Fewer points; those left out are within `tolerance` pixels of a chord (Douglas and Peucker, 1973)."""
    keep = np.zeros(len(points), dtype=bool)
    far = int(np.argmax(((points - points[0]) ** 2).sum(axis=1)))
    closed = np.concatenate([points, points[:1]])
    keep[[0, far]] = True
    spans = [(0, far), (far, len(points))]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        chord = closed[last] - closed[first]
        offset = closed[first + 1 : last] - closed[first]
        length = math.hypot(*chord) or 1.0
        distance = np.abs(chord[0] * offset[:, 1] - chord[1] * offset[:, 0]) / length
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return points[keep]


def drawing(seed: int, key: str, category: str, x: float, y: float, size: float) -> Drawing:
    """A drawing whose colours, tilt and direction come from (seed, key) alone, never from the category."""

    def draw(what: str) -> float:
        return unit(seed, "drawing", key, what)

    return Drawing(
        category, x, y, size,
        angle=math.radians(28 * (draw("angle") - 0.5)),
        flipped=draw("flip") < 0.5,
        hue=draw("hue"),
        accent_hue=(draw("hue") + 0.25 + 0.5 * draw("accent")) % 1,
        lightness=0.38 + 0.34 * draw("lightness"),
    )  # fmt: skip


def compose(seed: int, key: str, categories: list[str], twice: bool = False) -> Scene:
    """Place one object of each category (and a second of the first one, if `twice`) side by side, some overlapping.

    Tries placements in a fixed order until every object is visible enough and its outline has no hole.

    Raises:
        RuntimeError: no placement fits (a fault of the shapes or the sizes).
    """
    width, height = SIZES[hash64(seed, "size", key) % len(SIZES)]
    wanted = [*categories, categories[0]] if twice else list(categories)
    for attempt in range(_ATTEMPTS):
        shrink = max(0.5, 1 - 0.03 * attempt)
        scene = _placed(seed, f"{key}/{attempt}", width, height, wanted, shrink)
        if _good(draw_numbers(scene)):
            return replace(scene, key=key)
    raise RuntimeError(
        f"no placement of {wanted} in {width} x {height} pixels after {_ATTEMPTS} tries (seed {seed}, {key!r})"
    )


def _placed(seed: int, key: str, width: int, height: int, categories: list[str], shrink: float) -> Scene:
    n = len(categories)
    order = sorted(range(n), key=lambda k: hash64(seed, "order", key, k))
    things = []
    for slot, k in enumerate(order):
        name = f"{key}/{k}"
        size = min(width / n * 1.05, height * 0.62) * (0.72 + 0.4 * unit(seed, "scale", name)) * shrink
        x = (slot + 0.5 + 0.34 * (unit(seed, "x", name) - 0.5)) * width / n
        y = height * (0.56 + 0.22 * (unit(seed, "y", name) - 0.5))
        things.append(Thing((_inside(drawing(seed, name, categories[k], x, y, size), width, height),)))
    things.sort(key=lambda thing: thing.drawings[0].y)  # what stands lower is nearer
    return Scene(key, seed, width, height, tuple(things))


def _inside(one: Drawing, width: int, height: int) -> Drawing:
    """The drawing moved so that it reaches at most a little over the photo's edge."""
    reach = np.concatenate([np.reshape(outline, (-1, 2)) for _, outline in _outlines(one)]) / SUPERSAMPLING
    low, high = reach.min(axis=0), reach.max(axis=0)
    size = np.array([width, height])
    over = 0.02 * size
    move = np.maximum(-over - low, 0) - np.maximum(high - size - over, 0)
    return replace(one, x=one.x + float(move[0]), y=one.y + float(move[1]))


def _good(photo: Photo) -> bool:
    border = np.asarray(photo.numbers)
    edge = np.concatenate([border[0], border[-1], border[:, 0], border[:, -1]])
    if np.count_nonzero(edge) > 0.02 * len(edge):
        return False
    for k, alone in enumerate(photo.alone):
        visible = np.count_nonzero(border == k + 1) / SUPERSAMPLING**2
        if visible < MIN_VISIBLE * alone or photo.outline(k)[1] > MAX_HOLE_PX:
            return False
    return True


def _tones(drawing: Drawing) -> dict[str, Colour]:
    def colour(hue: float, lightness: float, saturation: float) -> Colour:
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        return round(red * 255), round(green * 255), round(blue * 255)

    lightness = drawing.lightness
    return {
        "body": colour(drawing.hue, lightness, 0.62),
        "dark": colour(drawing.hue, lightness * 0.62, 0.55),
        "light": colour(drawing.hue, lightness + (1 - lightness) * 0.62, 0.6),
        "accent": colour(drawing.accent_hue, 0.5, 0.68),
        "ink": (34, 32, 40),
        "white": (250, 248, 242),
        "glass": (190, 220, 236),
    }


def _outlines(drawing: Drawing) -> list[tuple[str, list[float]]]:
    """Each part's tone and its polygon [x, y, x, y, ...] in supersampled pixels, to a thousandth."""
    cos, sin = math.cos(drawing.angle), math.sin(drawing.angle)
    turn = np.array([[cos, sin], [-sin, cos]]) * drawing.size * SUPERSAMPLING
    if drawing.flipped:
        turn = np.array([[-1, 0], [0, 1]]) @ turn
    centre = np.array([drawing.x, drawing.y]) * SUPERSAMPLING
    return [
        (part.tone, np.round(part.outline @ turn + centre, 3).ravel().tolist())
        for part in shape(drawing.category)
    ]


def draw_numbers(scene: Scene) -> Photo:
    """The scene without colours: enough for masks and outlines."""
    return _draw(scene, canvas=None)


def draw_photo(scene: Scene) -> Photo:
    """The whole photo: background, shadows, objects, grain."""
    canvas = _background(scene)
    photo = _draw(scene, canvas)
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    grain = _rng(scene, "grain").standard_normal(pixels.shape[:2], dtype=np.float32)[..., None]
    return replace(photo, pixels=np.clip(np.round(pixels + 2.2 * grain), 0, 255).astype(np.uint8))


def _draw(scene: Scene, canvas: Image.Image | None) -> Photo:
    size = (scene.width * SUPERSAMPLING, scene.height * SUPERSAMPLING)
    numbers = Image.new("L", size)
    number_pen = ImageDraw.Draw(numbers)
    colour_pen = ImageDraw.Draw(canvas) if canvas else None
    alone = []
    for k, thing in enumerate(scene.things):
        single = Image.new("L", size)
        single_pen = ImageDraw.Draw(single)
        if thing.framed and colour_pen:
            _draw_frame(colour_pen, thing.drawings[0])
        for one in thing.drawings:
            tones = _tones(one)
            for tone, outline in _outlines(one):
                number_pen.polygon(outline, fill=k + 1)
                single_pen.polygon(outline, fill=1)
                if colour_pen:
                    colour_pen.polygon(outline, fill=tones[tone])
        alone.append(single.histogram()[1] / SUPERSAMPLING**2)
    return Photo(scene, np.empty((0, 0, 3), np.uint8), numbers, tuple(alone))


def _draw_frame(pen: ImageDraw.ImageDraw, drawing: Drawing) -> None:
    x, y, half = (SUPERSAMPLING * value for value in (drawing.x, drawing.y, drawing.size * 0.78))
    for border, colour in ((1.14, (92, 64, 40)), (1.06, (214, 182, 120)), (1.0, (246, 241, 230))):
        pen.rectangle(
            (x - half * border, y - half * border, x + half * border, y + half * border), fill=colour
        )


def _rng(scene: Scene, what: str) -> np.random.Generator:
    return np.random.default_rng(hash64(scene.seed, what, scene.key))


def _background(scene: Scene) -> Image.Image:
    """A wall or sky over a floor or meadow in quiet colours, unevenly lit, with soft shadows; supersampled RGB."""

    def draw(what: str) -> float:
        return unit(scene.seed, "background", scene.key, what)

    def tone(hue: float, lightness: float) -> np.ndarray:
        return np.array(colorsys.hls_to_rgb(hue % 1, lightness, 0.16 + 0.22 * draw("saturation")), "f4") * 255

    width, height = scene.width, scene.height
    x, y = np.meshgrid(np.linspace(0, 1, width, dtype="f4"), np.linspace(0, 1, height, dtype="f4"))
    horizon = 0.52 + 0.2 * draw("horizon")
    swell = (0.01 + 0.035 * draw("swell")) * np.sin(
        2 * np.pi * (x * (0.5 + 1.2 * draw("waves")) + draw("phase"))
    )
    ground = np.clip((y - horizon - swell) * height / 1.5 + 0.5, 0, 1)[..., None]  # soft over 1.5 pixels
    sky = _SKIES[hash64(scene.seed, "sky", scene.key) % len(_SKIES)] + 0.04 * draw("sky")
    floor = _FLOORS[hash64(scene.seed, "floor", scene.key) % len(_FLOORS)] + 0.04 * draw("floor")
    above = tone(sky, 0.7 + 0.1 * draw("above")) * (1 - y[..., None]) + tone(sky + 0.04, 0.92) * y[..., None]
    depth = np.clip((y - horizon) / (1 - horizon), 0, 1)[..., None]
    below = tone(floor, 0.7) * (1 - depth) + tone(floor + 0.03, 0.5) * depth
    cells = _rng(scene, "light").normal(0, 4, (5, 6)).astype(np.float32)
    light = np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))[..., None]
    shadow = Image.new("L", (width, height))
    pen = ImageDraw.Draw(shadow)
    for thing in scene.things:
        for one in () if thing.framed else thing.drawings:
            bottom = max(max(outline[1::2]) for _, outline in _outlines(one)) / SUPERSAMPLING
            pen.ellipse(
                (
                    one.x - 0.5 * one.size,
                    bottom - 0.07 * one.size,
                    one.x + 0.5 * one.size,
                    bottom + 0.06 * one.size,
                ),
                fill=120,
            )
    shade = 1 - np.asarray(shadow.filter(ImageFilter.GaussianBlur(5)), dtype=np.float32)[..., None] / 255
    pixels = np.clip((above * (1 - ground) + below * ground + light) * shade, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(
        (width * SUPERSAMPLING, height * SUPERSAMPLING), Image.Resampling.NEAREST
    )
