"""The things of the kitchen, drawn: one recognisable shape per noun, coloured by the kitchen it belongs to.

World units; y points down; flat things have their anchor in the middle, upright ones in the middle of their base.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kitchen_mini.renderer.brush import Brush, Point
from kitchen_mini.renderer.looks import Colour, tone

_WHITE: Colour = (246, 246, 244)
_STEEL: Colour = (196, 200, 206)
CONTENTS: dict[str, Colour] = {
    "onion": (238, 224, 196),
    "tomato": (214, 70, 50),
    "potato": (236, 214, 142),
    "carrot": (240, 140, 50),
    "lemon": (248, 236, 130),
    "milk": (246, 244, 236),
    "bottle": (206, 170, 60),
    "jar": (96, 58, 34),
    "kettle": (176, 206, 222),
    "salt": (240, 240, 240),
}
"""Colour of what comes out of a thing, and of a food's flesh."""


@dataclass(frozen=True)
class Thing:
    """How an object is drawn and handled.

    Attributes:
        draw: draws it with (brush, colour, open or not, content or "").
        reach: half the edge of the square it fits in, anchor in the middle.
        grip: where a right hand holds it.
        width, height: the extent of its shadow on the worktop.
        carried: degrees it is turned by while carried.
        lying: how far it may be turned as it lies about, in degrees.
        mouth: where things come out of it.
    """

    draw: Callable[[Brush, Colour, bool, str], None]
    reach: float
    grip: Point
    width: float
    height: float
    carried: float = 0.0
    lying: float = 0.0
    mouth: Point = (0.0, -14.0)


def _spoon(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.line([(-8, 0), (18, 0)], 2.6, tone(colour, 0.62))
    b.line([(-8, -0.5), (18, -0.5)], 1.5, tone(colour, 1.1))
    b.ellipse(-13, 0, 6.4, 4.4, tone(colour, 0.6))
    b.ellipse(-13, -0.4, 5.6, 3.6, colour)
    b.ellipse(-12.4, 0.4, 3.8, 2.2, tone(colour, 0.78))
    b.ellipse(-14.6, -1.2, 1.8, 0.8, tone(colour, 1.8))


def _knife(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.polygon([(-21, 1.2), (-15, -3.2), (4, -3.2), (4, 2.6), (-16, 2.8)], tone(_STEEL, 0.7))
    b.polygon([(-21, 1.0), (-15, -3.2), (4, -3.2), (4, 1.2), (-16, 1.4)], tone(_STEEL, 1.3))
    b.line([(-15, -2.6), (3, -2.6)], 0.7, tone(_STEEL, 0.85))
    b.box(3, -3, 20, 2.6, tone(colour, 0.6), radius=2)
    b.box(3.6, -2.8, 19.4, 1.4, tone(colour, 1.15), radius=1.6)
    for x in (7, 11.5, 16):
        b.ellipse(x, -0.6, 0.8, 0.8, _STEEL)


def _plate(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.ellipse(0, 1.4, 18, 10.4, tone(colour, 0.55))
    b.ellipse(0, 0, 18, 10.2, tone(colour, 1.25))
    b.ellipse(0, 0.1, 17, 9.4, colour)
    b.ellipse(0, 0.5, 12, 6.4, tone(colour, 0.82))
    b.ellipse(0, 0.9, 11.2, 5.6, tone(colour, 1.35))
    b.ellipse(-5, -0.6, 4.5, 1.6, tone(colour, 2.2))


def _pan(b: Brush, colour: Colour, _opened: bool, content: str) -> None:
    b.line([(15, 2), (36, 6)], 4.6, (30, 30, 32))
    b.line([(16, 1.4), (35, 5)], 1.6, (86, 86, 90))
    b.ellipse(0, 3.4, 19, 11.4, tone(colour, 0.5))
    b.ellipse(0, 0, 19, 11.2, tone(colour, 1.3))
    b.ellipse(0, 0.4, 17.6, 10, tone(colour, 0.42))
    b.ellipse(0, 1.4, 16, 8.6, tone(colour, 0.62))
    if content:
        _bits(b, content, 1.4, 13, 6.6)


def _bits(b: Brush, content: str, y: float, rx: float, ry: float) -> None:
    """What a container holds: a surface, or a heap of bits."""
    colour, liquid, x = CONTENTS[content], content in ("milk", "bottle", "kettle"), 0.0
    b.ellipse(x, y, rx, ry, colour if liquid else tone(colour, 0.72))
    if liquid:
        b.ellipse(x - rx * 0.3, y - ry * 0.35, rx * 0.35, ry * 0.22, tone(colour, 1.8))
        return
    for turn in range(14):
        across, down = ((turn * 0.618) % 1 * 2 - 1) * 0.8, ((turn * 0.3819 + 0.2) % 1 * 2 - 1) * 0.75
        if across**2 + down**2 < 0.85:
            b.ellipse(x + across * rx, y + down * ry, 2.3, 1.7, tone(colour, (0.9, 1.2, 1.5)[turn % 3]))


def _bowl(b: Brush, colour: Colour, _opened: bool, content: str) -> None:
    b.ellipse(0, -1, 9, 3.6, tone(colour, 0.5))
    b.polygon([(-15, -12), (-13, -6), (-8, -0.6), (8, -0.6), (13, -6), (15, -12)], tone(colour, 0.86))
    b.shade(0.5, -15, 15)
    b.ellipse(0, -12, 15, 6.6, tone(colour, 1.35))
    b.ellipse(0, -11.7, 13.6, 5.6, tone(colour, 0.66))
    b.ellipse(0, -10.6, 11.6, 4.2, tone(colour, 0.84))
    if content:
        _bits(b, content, -11, 11.6, 4.5)


def _cup(b: Brush, colour: Colour, _opened: bool, content: str) -> None:
    b.ellipse(10.4, -8.4, 5, 5.4, tone(colour, 0.75))
    b.ellipse(10.2, -8.4, 2.8, 3.2, (60, 56, 52))
    b.polygon([(-9, -15), (-7.6, -1.4), (7.6, -1.4), (9, -15)], colour)
    b.ellipse(0, -1.6, 7.6, 2.4, colour)
    b.box(-8.6, -8.5, 8.6, -6.3, tone(colour, 1.9))
    b.shade(0.7, -9, 9)
    b.ellipse(0, -15, 9, 3.7, tone(colour, 1.5))
    b.ellipse(0, -14.8, 7.8, 2.9, tone(colour, 0.5))
    if content:
        _bits(b, content, -14.5, 7.2, 2.5)


def _board(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.box(-26, -11.5, 26, 15, tone(colour, 0.55), radius=3)
    b.box(-26, -13.5, 26, 12.8, colour, radius=3)
    for y, factor in ((-9, 0.93), (-3.5, 1.06), (2, 0.92), (7.5, 1.05)):
        b.line([(-22, y), (19, y + 0.5)], 0.9, tone(colour, factor))
    b.ellipse(22.2, -0.4, 1.5, 2.8, tone(colour, 0.45))


def _bottle(b: Brush, colour: Colour, opened: bool, _content: str) -> None:
    b.ellipse(0, -1.6, 6.6, 2.2, tone(colour, 0.7))
    b.box(-6.6, -23, 6.6, -1.2, colour, radius=2.4)
    b.polygon([(-6.4, -21.5), (-2.6, -28.5), (2.6, -28.5), (6.4, -21.5)], colour)
    b.box(-2.6, -33, 2.6, -27, colour)
    b.box(-6.6, -16.5, 6.6, -6, (238, 228, 200))
    b.box(-4.6, -13.5, 4.6, -11.6, tone(colour, 0.7))
    b.shade(0.9, -7, 7)
    b.line([(-4.4, -21), (-4.4, -5)], 1.1, tone(colour, 2.4))
    if opened:
        b.ellipse(0, -33, 2.5, 1.1, (36, 30, 26))
    else:
        _bottle_cap(b)


def _bottle_cap(b: Brush) -> None:
    b.box(-3.2, -36.5, 3.2, -32, (60, 60, 64), radius=1)
    b.line([(-1.6, -35.4), (-1.6, -33.2)], 0.8, (150, 150, 154))


def _sponge(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.box(-10, -3.2, 10, 7.4, tone((70, 128, 74), 0.8), radius=2.4)
    b.box(-10, -6, 10, 4.2, colour, radius=2.6)
    for index in range(12):
        x, y = -7.6 + (index * 5.3) % 15.6, -4 + (index * 3.1) % 6.6
        b.ellipse(x, y, 0.8, 0.6, tone(colour, 0.72))
    b.box(-8.6, -5.5, 6, -4.4, tone(colour, 1.6), radius=0.5)


def _onion(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.line([(0, -6), (1.2, -12)], 1.8, tone(colour, 0.8))
    b.ellipse(0, 0, 8.4, 7.2, tone(colour, 0.7))
    b.ellipse(-0.5, -0.5, 7.6, 6.5, colour)
    for x in (-4.4, -1.6, 1.6, 4.4):
        b.line([(0.2, -6.6), (x * 1.35, -1.5), (x * 0.9, 5)], 0.7, tone(colour, 0.72))
    b.ellipse(-2.9, -2.6, 2, 1.5, tone(colour, 2.2))
    b.line([(-1, 6.7), (1.4, 6.9)], 1, (120, 92, 60))


def _tomato(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.ellipse(0, 0, 8.2, 7.2, tone(colour, 0.66))
    b.ellipse(-0.5, -0.5, 7.5, 6.5, colour)
    b.ellipse(-3.4, -2.6, 2, 1.4, tone(colour, 2.4))
    for x, y in ((-4, -4.2), (4, -4.4), (-1.6, -1.6), (2, -1.8), (0, -8.6)):
        b.line([(0, -4.4), (x, y)], 1.5, (64, 130, 52))


def _potato(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.ellipse(0.6, 0.4, 10.6, 7, tone(colour, 0.68))
    b.ellipse(0, 0, 10, 6.3, colour)
    b.ellipse(-3, -2.2, 4, 1.8, tone(colour, 1.4))
    for x, y in ((4, -1), (-5, 2.4), (1, 3), (6.4, 2.4), (-1, -0.6)):
        b.ellipse(x, y, 0.9, 0.6, tone(colour, 0.55))


def _carrot(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    for end in ((19, -4), (21, 0), (19, 4)):
        b.line([(12, 0), end], 2, (70, 140, 56))
    b.polygon([(-18, 0.6), (8, -4.6), (13, -3), (13, 3.4), (8, 4.8)], tone(colour, 0.75))
    b.polygon([(-18, 0.2), (8, -4.6), (13, -3), (13, 2), (8, 3)], colour)
    b.line([(-9, -1.2), (8, -3)], 1, tone(colour, 1.7))
    for x in (-7, -1, 5, 9):
        b.line([(x, -1.6), (x + 0.6, 2.4)], 0.6, tone(colour, 0.72))


def _lemon(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.ellipse(0, 0, 9.6, 3, tone(colour, 0.8))
    b.ellipse(0, 0.2, 7.8, 6.4, tone(colour, 0.74))
    b.ellipse(-0.4, -0.3, 7.3, 5.8, colour)
    b.ellipse(-2.6, -2.4, 2.6, 1.5, tone(colour, 2.6))
    for x, y in ((2, 1), (4, -1.6), (-3, 2.4), (0.4, 3.6)):
        b.ellipse(x, y, 0.5, 0.4, tone(colour, 0.8))


def _kettle(b: Brush, colour: Colour, opened: bool, _content: str) -> None:
    b.ellipse(0, -0.8, 13.6, 4, (44, 44, 48))
    b.line([(10, -20), (17, -19), (17.6, -8), (12, -5)], 3, (40, 40, 44))
    b.polygon([(-11, -15), (-18.6, -21), (-16.4, -23), (-9, -20)], tone(colour, 0.8))
    b.polygon([(-9.4, -22), (-13, -4), (13, -4), (9.4, -22)], colour)
    b.ellipse(0, -4, 13, 3.4, colour)
    b.shade(0.8, -14, 14)
    b.line([(-6.6, -19), (-9, -6)], 1.5, tone(colour, 2.2))
    b.ellipse(0, -22, 9.4, 3.4, tone(colour, 0.7))
    if opened:
        b.ellipse(0, -21.8, 7.6, 2.4, (34, 34, 38))
    else:
        _kettle_cap(b)


def _kettle_cap(b: Brush) -> None:
    b.ellipse(0, -22.6, 8, 2.8, (66, 66, 72))
    b.ellipse(0, -23.2, 7, 2.2, (92, 92, 98))
    b.ellipse(0, -25.4, 2.1, 1.9, (36, 36, 40))


def _milk(b: Brush, colour: Colour, opened: bool, _content: str) -> None:
    b.polygon([(-7, -20), (-7, 0), (5, 1.4), (5, -19)], _WHITE)
    b.polygon([(5, -19), (5, 1.4), (9, -1), (9, -20.6)], tone(_WHITE, 0.74))
    b.polygon([(-7, -13), (-7, -5), (5, -3.6), (5, -12)], colour)
    b.polygon([(5, -12), (5, -3.6), (9, -6), (9, -14)], tone(colour, 0.7))
    b.polygon([(-7, -20), (5, -19), (6.2, -26.5), (-4.6, -27)], tone(_WHITE, 0.9))
    b.polygon([(5, -19), (9, -20.6), (6.2, -26.5)], tone(_WHITE, 0.68))
    b.polygon([(-4.6, -30), (-4.6, -26.6), (6.2, -26.2), (6.2, -29.4)], _WHITE)
    if opened:
        b.ellipse(-1, -22.6, 2.5, 2, (70, 66, 60))
    else:
        _milk_cap(b, colour)


def _milk_cap(b: Brush, colour: Colour) -> None:
    b.ellipse(-1, -22.6, 3.1, 2.5, tone(colour, 0.75))
    b.ellipse(-1.3, -23, 2.4, 1.9, colour)


def _jar(b: Brush, colour: Colour, opened: bool, _content: str) -> None:
    b.ellipse(0, -1.6, 8.2, 2.6, CONTENTS["jar"])
    b.box(-8.2, -17.5, 8.2, -1.4, (208, 220, 222), radius=2.4)
    b.box(-7.6, -13, 7.6, -1.4, CONTENTS["jar"], radius=1.6)
    b.box(-8.2, -11.5, 8.2, -5, _WHITE)
    b.box(-5, -9.4, 5, -7.2, colour)
    b.shade(0.7, -8, 8)
    b.line([(-5.8, -16), (-5.8, -4)], 1, _WHITE)
    if opened:
        b.ellipse(0, -17.6, 7.4, 2.5, tone(_STEEL, 0.8))
        b.ellipse(0, -17.4, 6.4, 1.9, (66, 44, 32))
    else:
        _jar_cap(b, colour)


def _jar_cap(b: Brush, colour: Colour) -> None:
    b.box(-8.4, -21, 8.4, -16.6, tone(colour, 0.8), radius=1.4)
    b.ellipse(0, -21, 8.4, 2.6, tone(colour, 1.25))
    for x in (-5, -1.8, 1.8, 5):
        b.line([(x, -19.4), (x, -17.4)], 0.6, tone(colour, 0.6))


def _salt(b: Brush, colour: Colour, _opened: bool, _content: str) -> None:
    b.ellipse(0, -1.4, 6, 2, tone(colour, 0.8))
    b.polygon([(-4.6, -15), (-6, -1.4), (6, -1.4), (4.6, -15)], colour)
    b.box(-5.2, -9.6, 5.2, -5, (60, 104, 172))
    b.shade(0.7, -6, 6)
    b.ellipse(0, -15.6, 5.4, 4, tone(_STEEL, 0.7))
    b.ellipse(0, -16.6, 4.8, 3, _STEEL)
    for x, y in ((-2, -17), (0, -17.8), (2, -17), (0, -16)):
        b.ellipse(x, y, 0.5, 0.5, (40, 40, 44))


THINGS: dict[str, Thing] = {
    "spoon": Thing(_spoon, 22, (13, 0), 17, 3, carried=-55, lying=28),
    "knife": Thing(_knife, 24, (13, 0), 20, 3, carried=-50, lying=28),
    "plate": Thing(_plate, 21, (14, 5), 18, 9),
    "pan": Thing(_pan, 40, (31, 5), 19, 10, mouth=(-17, 0)),
    "bowl": Thing(_bowl, 22, (13, -8), 12, 5, mouth=(-14, -12)),
    "cup": Thing(_cup, 20, (12, -7), 9, 4, mouth=(-8, -15)),
    "board:chopping": Thing(_board, 31, (21, 9), 26, 12),
    "bottle": Thing(_bottle, 39, (3, -11), 7, 3, mouth=(0, -34)),
    "sponge": Thing(_sponge, 14, (3, 3), 10, 5, lying=20),
    "onion": Thing(_onion, 14, (4, 6), 8, 4, lying=24, mouth=(0, 4)),
    "tomato": Thing(_tomato, 12, (4, 6), 8, 4, lying=30, mouth=(0, 4)),
    "potato": Thing(_potato, 13, (4, 6), 10, 5, lying=40, mouth=(0, 4)),
    "carrot": Thing(_carrot, 24, (8, 3), 17, 4, lying=26, mouth=(0, 4)),
    "lemon": Thing(_lemon, 12, (4, 6), 8, 4, lying=35, mouth=(0, 4)),
    "kettle": Thing(_kettle, 30, (17, -13), 14, 4, mouth=(-18, -22)),
    "milk": Thing(_milk, 33, (5, -9), 9, 4, mouth=(-2, -28)),
    "jar": Thing(_jar, 25, (6, -8), 9, 4, mouth=(0, -19)),
    "salt": Thing(_salt, 22, (3, -7), 6, 3, mouth=(0, -19)),
}

CAPS: dict[str, tuple[Callable[[Brush, Colour], None], Point]] = {
    "bottle": (lambda b, _colour: _bottle_cap(b), (0, -35)),
    "jar": (_jar_cap, (3, -20)),
    "milk": (_milk_cap, (-1, -23)),
    "kettle": (lambda b, _colour: _kettle_cap(b), (0, -25)),
}
"""Lids: how each is drawn (in place, on the object's own coordinates) and where fingers hold it."""
