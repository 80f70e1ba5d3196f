"""Vector silhouettes of the generated objects, as filled parts from back to front.

A shape's coordinates are free units, x to the right and y down; `shape` scales them so that the box around the
shape has area 1 and its centre at the origin: no category is larger than another. A tone names a colour that
the scene chooses: the tone says what a part is (body, ink, glass), never which category it belongs to.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Polygon:
    """A filled polygon: `outline` is (n, 2) float64, `tone` one of TONES."""

    tone: str
    outline: np.ndarray


TONES = ("body", "dark", "light", "accent", "ink", "white", "glass")


def polygon(tone: str, *points: tuple[float, float]) -> Polygon:
    return Polygon(tone, np.array(points, dtype=float))


def ellipse(tone: str, x: float, y: float, rx: float, ry: float) -> Polygon:
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return Polygon(tone, np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1))


def box(tone: str, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Polygon:
    """A rectangle with round corners."""
    if radius == 0:
        return polygon(tone, (x0, y0), (x1, y0), (x1, y1), (x0, y1))
    turn = np.linspace(0, np.pi / 2, 8)
    corners = [
        (x1 - radius, y1 - radius),
        (x0 + radius, y1 - radius),
        (x0 + radius, y0 + radius),
        (x1 - radius, y0 + radius),
    ]
    arcs = [
        np.stack(
            [x + radius * np.cos(turn + k * np.pi / 2), y + radius * np.sin(turn + k * np.pi / 2)], axis=1
        )
        for k, (x, y) in enumerate(corners)
    ]
    return Polygon(tone, np.concatenate(arcs))


def _spline(points: np.ndarray, closed: bool, steps: int = 10) -> np.ndarray:
    """Catmull-Rom curve through the points, (n, 2) -> (m, 2)."""
    ends = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    p = np.concatenate([ends[0], points, ends[1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    spans = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate([*spans, *([] if closed else [points[-1:]])])


def blob(tone: str, *points: tuple[float, float]) -> Polygon:
    """A smooth closed curve through the points."""
    return Polygon(tone, _spline(np.array(points, dtype=float), closed=True))


def limb(tone: str, points: Points, start_width: float, end_width: float) -> Polygon:
    """A smooth stroke through the points with round ends and a width that changes along the way."""
    spine = _spline(np.array(points, dtype=float), closed=False)
    direction = np.gradient(spine, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    half = np.linspace(start_width / 2, end_width / 2, len(spine))[:, None]

    def cap(centre: np.ndarray, towards: np.ndarray, side: np.ndarray, radius: float) -> np.ndarray:
        turn = np.linspace(0, np.pi, 10)[1:-1, None]
        return centre + radius * (np.cos(turn) * side + np.sin(turn) * towards)

    end = cap(spine[-1], direction[-1], normal[-1], float(half[-1, 0]))
    start = cap(spine[0], -direction[0], -normal[0], float(half[0, 0]))
    return Polygon(tone, np.concatenate([spine + normal * half, end, (spine - normal * half)[::-1], start]))


def _eye(x: float, y: float, size: float = 2.6) -> list[Polygon]:
    return [
        ellipse("ink", x, y, size, size * 1.15),
        ellipse("white", x + size * 0.3, y - size * 0.4, size * 0.35, size * 0.35),
    ]


def _wheel(x: float, y: float, radius: float) -> list[Polygon]:
    return [ellipse("ink", x, y, radius, radius), ellipse("light", x, y, radius * 0.5, radius * 0.5)]


def _dog() -> list[Polygon]:
    return [
        limb("body", [(22, 50), (12, 42), (8, 26)], 9, 5),
        *(limb("dark", [(x, 62), (x, 94)], 10, 8) for x in (35, 61)),
        *(limb("body", [(x, 62), (x, 96)], 11, 9) for x in (26, 70)),
        blob("body", (18, 52), (30, 42), (55, 44), (72, 36), (80, 50), (74, 68), (50, 66), (28, 70)),
        limb("body", [(70, 50), (80, 30)], 22, 18),
        ellipse("body", 83, 26, 15, 13),
        box("body", 86, 24, 108, 39, 7),
        ellipse("ink", 106, 27, 4, 3.4),
        polygon("ink", (92, 36.5), (105, 35), (105, 36.2), (92, 37.7)),
        limb("dark", [(76, 16), (69, 28), (71, 42)], 9, 12),
        limb("accent", [(68, 47), (86, 44)], 5, 5),
        *_eye(89, 22),
    ]


def _cat() -> list[Polygon]:
    ears = [polygon("body", (30, 30), (29, -2), (50, 16)), polygon("body", (70, 30), (71, -2), (50, 16))]
    inner = [polygon("accent", (33, 20), (33, 6), (42, 15)), polygon("accent", (67, 20), (67, 6), (58, 15))]
    stripes = [limb("dark", [(x, 11 + abs(x - 50) * 0.2), (x, 19)], 3, 2) for x in (44, 50, 56)]
    return [
        limb("dark", [(66, 92), (92, 92), (102, 76), (96, 56)], 10, 7),
        blob("body", (50, 42), (66, 56), (76, 84), (68, 100), (50, 101), (32, 100), (24, 84), (34, 56)),
        ellipse("light", 50, 74, 12, 17),
        ellipse("body", 40, 97, 9, 6),
        ellipse("body", 60, 97, 9, 6),
        *ears,
        *inner,
        ellipse("body", 50, 30, 24, 20),
        *stripes,
        *_eye(41, 29, 3.4),
        *_eye(59, 29, 3.4),
        ellipse("light", 50, 39, 9, 6),
        polygon("ink", (47, 35), (53, 35), (50, 39)),
    ]


def _horse() -> list[Polygon]:
    return [
        limb("dark", [(14, 44), (4, 54), (5, 80)], 7, 9),
        *(limb("dark", [(x, 58), (x + bend, 78), (x + 3, 104)], 9, 6) for x, bend in ((31, 3), (61, 3))),
        *(limb("body", [(x, 56), (x + bend, 80), (x + 1, 106)], 11, 6) for x, bend in ((20, -2), (75, 3))),
        *(box("ink", x - 4, 104, x + 5, 110, 2) for x in (20, 75)),
        blob(
            "body", (10, 46), (22, 36), (45, 39), (68, 35), (82, 44), (80, 60), (60, 66), (35, 66), (16, 62)
        ),
        limb("body", [(72, 48), (82, 30), (88, 10)], 26, 15),
        limb("body", [(88, 10), (98, 18), (110, 32)], 17, 11),
        polygon("body", (82, 6), (83, -9), (90, 4)),
        limb("dark", [(84, 0), (74, 14), (66, 36)], 5, 9),
        ellipse("ink", 111, 32, 2, 2),
        *_eye(95, 13),
        blob("accent", (36, 36), (58, 36), (60, 50), (47, 54), (35, 50)),
    ]


def _lion() -> list[Polygon]:
    turn = np.linspace(0, 2 * math.pi, 26, endpoint=False)
    mane = [
        (50 + (38 if k % 2 else 31) * math.cos(t), 34 + (38 if k % 2 else 31) * math.sin(t))
        for k, t in enumerate(turn)
    ]
    return [
        limb("body", [(70, 106), (96, 104), (104, 84)], 7, 6),
        ellipse("dark", 104, 78, 9, 11),
        blob("body", (50, 52), (72, 70), (80, 98), (72, 112), (50, 113), (28, 112), (20, 98), (28, 70)),
        ellipse("light", 36, 108, 12, 7),
        ellipse("light", 64, 108, 12, 7),
        blob("dark", *mane),
        ellipse("body", 28, 14, 9, 9),
        ellipse("body", 72, 14, 9, 9),
        ellipse("body", 50, 35, 25, 24),
        ellipse("light", 50, 46, 13, 10),
        *_eye(40, 30, 3.2),
        *_eye(60, 30, 3.2),
        polygon("ink", (43, 39), (57, 39), (50, 47)),
        limb("ink", [(42, 51), (50, 54), (58, 51)], 1.8, 1.8),
    ]


def _bird() -> list[Polygon]:
    return [
        limb("accent", [(46, 70), (44, 92)], 4, 4),
        limb("accent", [(58, 70), (58, 92)], 4, 4),
        limb("accent", [(40, 93), (50, 93)], 4, 4),
        limb("accent", [(55, 93), (66, 93)], 4, 4),
        polygon("dark", (28, 52), (-10, 38), (-14, 52), (-6, 62), (30, 66)),
        blob("body", (18, 54), (40, 36), (64, 28), (82, 34), (88, 54), (72, 74), (44, 76)),
        ellipse("body", 80, 28, 20, 18),
        polygon("accent", (96, 22), (122, 31), (96, 37)),
        blob("dark", (22, 52), (44, 44), (66, 50), (60, 64), (38, 68)),
        blob("light", (62, 62), (78, 50), (84, 56), (72, 70)),
        *_eye(86, 24, 3.4),
    ]


def _bus() -> list[Polygon]:
    panes = [box("glass", x, 20, x + 20, 42, 3) for x in (8, 32, 56, 80)]
    return [
        box("body", 0, 8, 140, 76, 9),
        box("dark", 6, 8, 134, 13, 2),
        *panes,
        box("glass", 122, 20, 140, 48, 3),
        box("glass", 104, 22, 117, 70, 2),
        box("body", 110, 22, 111.5, 70),
        box("accent", 0, 50, 102, 58),
        box("white", 133, 62, 140, 68, 2),
        *_wheel(28, 76, 12),
        *_wheel(90, 76, 12),
    ]


def _ambulance() -> list[Polygon]:
    return [
        box("accent", 56, -3, 76, 8, 4),
        box("body", 0, 5, 88, 74, 4),
        blob("body", (84, 22), (104, 24), (116, 44), (128, 50), (130, 72), (106, 75), (84, 74)),
        polygon("glass", (91, 28), (103, 29), (113, 46), (91, 46)),
        box("dark", 0, 54, 128, 60),
        box("white", 22, 12, 60, 50, 3),
        box("accent", 36, 16, 46, 46),
        box("accent", 26, 26, 56, 36),
        box("white", 122, 56, 130, 63, 2),
        *_wheel(26, 75, 13),
        *_wheel(104, 75, 13),
    ]


def _guitar() -> list[Polygon]:
    pegs = [ellipse("light", x, y, 4, 2.6) for x in (37, 63) for y in (-14, -7, 0)]
    return [
        *pegs,
        box("dark", 41, -20, 59, 6, 3),
        box("dark", 45, 0, 55, 64),
        blob("body", (50, 46), (68, 50), (74, 62), (68, 76), (78, 90), (84, 108), (74, 126), (50, 132),
             (26, 126), (16, 108), (22, 90), (32, 76), (26, 62), (32, 50)),
        blob("light", (50, 52), (64, 55), (68, 63), (62, 76), (71, 92), (76, 108), (68, 121), (50, 126),
             (32, 121), (24, 108), (29, 92), (38, 76), (32, 63), (36, 55)),
        box("dark", 45, 40, 55, 72),
        ellipse("ink", 50, 82, 11, 11),
        box("dark", 36, 106, 64, 112, 2),
        *(box("white", x - 0.5, 0, x + 0.5, 108) for x in (47.5, 50, 52.5)),
    ]  # fmt: skip


def _piano() -> list[Polygon]:
    return [
        *(polygon("dark", (x - 5, 60), (x + 5, 60), (x + 2.5, 104), (x - 2.5, 104)) for x in (16, 58, 112)),
        polygon("dark", (22, 52), (112, -4), (120, 4), (124, 52)),
        polygon("accent", (36, 52), (109, 5), (115, 10), (118, 52)),
        *(limb("light", [(x, 52), (x + 5, 50 - (x - 30) * 0.45)], 0.8, 0.8) for x in range(50, 110, 9)),
        box("body", -2, 50, 126, 68, 4),
        box("body", -14, 58, 30, 70, 3),
        box("white", -11, 54, 26, 61),
        *(box("ink", x, 54, x + 3, 58) for x in range(-8, 24, 6)),
        box("light", 36, 57, 118, 59),
    ]


def _computer_keyboard() -> list[Polygon]:
    keys = []
    for row in range(4):
        x = 6.0 + row * 3
        while x < 140:
            keys.append(
                box(
                    "light" if (row + int(x)) % 5 else "accent",
                    x,
                    7 + row * 11,
                    min(x + 9, 144),
                    16 + row * 11,
                    2,
                )
            )
            x += 11
    space = [
        box("light", 38, 51, 106, 60, 2),
        box("dark", 6, 51, 34, 60, 2),
        box("dark", 110, 51, 144, 60, 2),
    ]
    return [box("dark", 0, 4, 150, 69, 7), box("body", 0, 0, 150, 65, 7), *keys, *space]


def _helicopter() -> list[Polygon]:
    return [
        limb("body", [(52, 42), (20, 36), (-14, 30)], 16, 6),
        polygon("accent", (-20, 10), (-8, 12), (-4, 34), (-16, 34)),
        ellipse("light", -14, 24, 10, 10),
        box("dark", 66, 8, 74, 30),
        limb("ink", [(4, 12), (70, 8), (136, 12)], 4, 4),
        polygon("dark", (58, 64), (90, 64), (98, 84), (52, 84)),
        limb("ink", [(40, 84), (104, 84), (112, 78)], 6, 5),
        blob("body", (36, 40), (60, 24), (88, 26), (108, 46), (104, 62), (80, 70), (54, 66), (38, 52)),
        blob("glass", (82, 31), (94, 34), (105, 48), (94, 53), (81, 50)),
        box("glass", 62, 34, 76, 50, 4),
        limb("accent", [(44, 58), (72, 60), (103, 58)], 4, 4),
    ]


def _alarm_clock() -> list[Polygon]:
    turn = [k * math.pi / 6 for k in range(12)]
    ticks = [
        limb(
            "ink",
            [(50 + 25 * math.sin(t), 54 - 25 * math.cos(t)), (50 + 29 * math.sin(t), 54 - 29 * math.cos(t))],
            2,
            2,
        )
        for t in turn
    ]
    return [
        limb("dark", [(28, 82), (20, 96)], 9, 6),
        limb("dark", [(72, 82), (80, 96)], 9, 6),
        box("dark", 45, 4, 55, 24, 3),
        blob("accent", (6, 34), (10, 14), (26, 5), (42, 12), (30, 26), (20, 36)),
        blob("accent", (94, 34), (90, 14), (74, 5), (58, 12), (70, 26), (80, 36)),
        ellipse("body", 50, 54, 40, 40),
        ellipse("white", 50, 54, 32, 32),
        *ticks,
        limb("ink", [(50, 54), (50, 34)], 3.5, 2.5),
        limb("ink", [(50, 54), (64, 62)], 3.5, 2.5),
        ellipse("accent", 50, 54, 3.5, 3.5),
    ]


def _vase() -> list[Polygon]:
    leaves = blob("dark", (42, 18), (32, -4), (44, -10), (50, -20), (56, -10), (68, -6), (58, 18))
    heads = [ellipse("accent", x, y, 9, 9) for x, y in ((37, -10), (63, -12), (50, -22))]
    return [
        leaves,
        *heads,
        *(ellipse("light", x, y, 3.5, 3.5) for x, y in ((37, -10), (63, -12), (50, -22))),
        blob("body", (38, 14), (62, 14), (58, 30), (76, 52), (70, 84),
             (60, 92), (40, 92), (30, 84), (24, 52), (42, 30)),
        limb("light", [(33, 50), (50, 55), (67, 50)], 5, 5),
        limb("dark", [(37, 13), (63, 13)], 5, 5),
    ]  # fmt: skip


_DRAWINGS: dict[str, Callable[[], list[Polygon]]] = {
    "alarm_clock": _alarm_clock,
    "ambulance": _ambulance,
    "bird": _bird,
    "bus": _bus,
    "cat": _cat,
    "computer_keyboard": _computer_keyboard,
    "dog": _dog,
    "guitar": _guitar,
    "helicopter": _helicopter,
    "horse": _horse,
    "lion": _lion,
    "piano": _piano,
    "vase": _vase,
}


@cache
def shape(category: str) -> tuple[Polygon, ...]:
    """The parts of a category's drawing, scaled to a bounding box of area 1 around the origin."""
    parts = _DRAWINGS[category]()
    every = np.concatenate([part.outline for part in parts])
    low, high = every.min(axis=0), every.max(axis=0)
    scale = 1 / math.sqrt(float(np.prod(high - low)))
    return tuple(Polygon(part.tone, (part.outline - (low + high) / 2) * scale) for part in parts)
