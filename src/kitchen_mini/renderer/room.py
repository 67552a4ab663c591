"""The room of a kitchen: where everything stands, its walls and worktop, its doors, drawers, tap and hob.

World units: 128 of them fill the width of a picture. x points right, y down; the worktop lies between
:data:`WORKTOP_TOP` and :data:`WORKTOP_EDGE`, wall cupboards above it, drawers below.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from kitchen_mini.renderer.brush import Point
from kitchen_mini.renderer.looks import Colour, Kitchen, tone
from kitchen_mini.renderer.state import BOARD_PLACES, BURNER, ON_BOARD, SLOTS
from kitchen_mini.renderer.surface import Surface
from llavaction.base.seeding import hashed_rng

LEFT, TOP, RIGHT, BOTTOM = -60.0, -46.0, 380.0, 244.0
WORKTOP_TOP, WORKTOP_EDGE = 84.0, 153.0
CUPBOARD_BOTTOM = 57.0
DRAWER_TOP, DRAWER_BOTTOM, DRAWER_DEPTH = 159.0, 184.0, 26.0
_WIDTHS = {"sink": 84.0, "prep": 152.0, "hob": 84.0}
_DOOR_X = {"cupboard0": 96.0, "cupboard1": 224.0, "drawer0": 120.0, "drawer1": 200.0}
_DOOR_HALF = {"cupboard": 30.0, "drawer": 38.0}


class Layout:
    """Where the places of a kitchen are, in world units."""

    def __init__(self, kitchen: Kitchen) -> None:
        left, start = {}, 0.0
        for station in kitchen.stations:
            left[station] = start
            start += _WIDTHS[station]
        self.sink: Point = (left["sink"] + 38, 118.0)
        self.tap: Point = (left["sink"] + 48, 90.0)
        self.spout: Point = (left["sink"] + 38, 84.0)
        self.hob: Point = (left["hob"] + 42, 118.0)
        self.knob: Point = (left["hob"] + 28, 143.0)
        self._places: dict[str, Point] = {BURNER: (left["hob"] + 28, 112.0), SLOTS[9]: (left["sink"] + 74, 140.0)}
        for index in range(5):
            self._places[SLOTS[index]] = (left["prep"] + 15 + 30.5 * index, 99.0)
        for index in range(4):
            self._places[SLOTS[5 + index]] = (left["prep"] + 22 + 36 * index, 142.0)
        self._places[BOARD_PLACES[0]] = (left["prep"] + 50, 119.0)
        self._places[BOARD_PLACES[1]] = (left["prep"] + 102, 119.0)
        for cupboard in ("cupboard0", "cupboard1"):
            for index, offset in enumerate((-17, 0, 17)):
                self._places[f"{cupboard}.{index}"] = (_DOOR_X[cupboard] + offset, CUPBOARD_BOTTOM - 6)
        for index, offset in enumerate((-7, 0, 7)):
            self._places[f"drawer0.{index}"] = (_DOOR_X["drawer0"] + offset, DRAWER_TOP + 6 + index * 7)
        self._places["drawer1.0"] = (_DOOR_X["drawer1"], DRAWER_TOP + 12)

    def of(self, place: str, board: str = "") -> Point:
        """World coordinates of a place.

        Args:
            place: a worktop place, a spot inside a fixture, or "board" for what lies on the chopping board.
            board: where the board is; needed for "board".
        """
        if place == ON_BOARD:
            x, y = self._places[board]
            return (x, y - 1)
        return self._places[place]

    def handle(self, fixture: str, amount: float) -> Point:
        """Where the handle of a door or drawer is when it is open by ``amount`` (0 to 1)."""
        x = _DOOR_X[fixture]
        if fixture.startswith("drawer"):
            return (x, (DRAWER_TOP + DRAWER_BOTTOM) / 2 - 4 + DRAWER_DEPTH * amount)
        hinge, free, _, bottom = _door(fixture, amount)
        return (free + (hinge - free) * 0.14, bottom - 9)


def _door(cupboard: str, amount: float) -> tuple[float, float, float, float]:
    """Hinge x, free edge x, top and bottom y of the free edge of a cupboard door."""
    side = -1 if cupboard == "cupboard0" else 1
    half = _DOOR_HALF["cupboard"]
    hinge = _DOOR_X[cupboard] + side * half
    turn = math.radians(108 * amount)
    free = hinge - side * 2 * half * math.cos(turn)
    return hinge, free, TOP + 30 - 4 * math.sin(turn), CUPBOARD_BOTTOM + 9 * math.sin(turn)


def paint_room(kitchen: Kitchen, layout: Layout, scale: float) -> Surface:
    """Everything that never moves: walls, worktop, sink, hob, the other doors."""
    width, height = round((RIGHT - LEFT) * scale), round((BOTTOM - TOP) * scale)
    room = Surface(Image.new("RGB", (width, height), tone(kitchen.cupboard, 0.55)), (LEFT, TOP), scale)
    _paint_wall(room, kitchen)
    _paint_worktop(room, kitchen)
    _paint_fronts(room, kitchen)
    _paint_sink(room, kitchen, layout)
    _paint_hob(room, layout)
    return _lit(room, kitchen)


def _paint_wall(room: Surface, kitchen: Kitchen) -> None:
    room.rectangle(LEFT, CUPBOARD_BOTTOM, RIGHT, WORKTOP_TOP, tone(kitchen.tiles, 0.8))
    rng = hashed_rng("kitchen_mini", "tiles", kitchen.name, *kitchen.tiles)
    size = kitchen.tile_size
    for row in range(math.ceil((WORKTOP_TOP - CUPBOARD_BOTTOM) / size)):
        for column in range(math.ceil((RIGHT - LEFT) / size) + 1):
            x = LEFT + (column - 0.5 * (row % 2)) * size
            y = WORKTOP_TOP - (row + 1) * size
            shade = tone(kitchen.tiles, float(rng.uniform(0.93, 1.06)))
            room.rectangle(x + 0.5, max(CUPBOARD_BOTTOM, y + 0.5), x + size - 0.5, y + size - 0.5, shade)
    room.rectangle(LEFT, CUPBOARD_BOTTOM, RIGHT, CUPBOARD_BOTTOM + 3, tone(kitchen.tiles, 0.55))


def _paint_worktop(room: Surface, kitchen: Kitchen) -> None:
    material, colour = kitchen.worktop
    (_, top), (_, bottom) = room.at(0, WORKTOP_TOP), room.at(0, WORKTOP_EDGE)
    height, width = round(bottom - top), room.image.width
    rng = hashed_rng("kitchen_mini", "worktop", kitchen.name, *colour)
    if material == "wood":
        rows = _smooth(rng.normal(0, 1, (height, width // 16 + 2)).repeat(16, axis=1)[:, :width], 24, axis=1)
        planks = np.repeat(rng.normal(0, 1, height // 22 + 1), 22)[:height, None]
        grain = rows * 22 + planks * 7
    elif material == "granite":
        grain = _smooth(rng.normal(0, 1, (height, width)), 2, axis=1) * 26
    else:
        grain = rng.normal(0, 2.0, (height, width))
    depth = np.linspace(-10, 8, height)[:, None]
    pixels = np.array(colour, np.float64) + (grain + depth)[..., None]
    room.image.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), (0, round(top)))
    room.rectangle(LEFT, WORKTOP_TOP, RIGHT, WORKTOP_TOP + 1.6, tone(colour, 0.62))
    room.rectangle(LEFT, WORKTOP_EDGE - 1.4, RIGHT, WORKTOP_EDGE, tone(colour, 1.35))
    room.rectangle(LEFT, WORKTOP_EDGE, RIGHT, WORKTOP_EDGE + 3.6, tone(colour, 0.6))


def _smooth(values: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Moving average along one axis, wrapping round."""
    return sum((np.roll(values, shift, axis) for shift in range(width)), np.zeros_like(values)) / width


def _paint_fronts(room: Surface, kitchen: Kitchen) -> None:
    room.rectangle(LEFT, WORKTOP_EDGE + 3.6, RIGHT, DRAWER_TOP, tone(kitchen.drawer, 0.45))
    for index in range(-2, 6):
        x = 32.0 + 64 * index
        _panel(room, kitchen.cupboard, (x - 30, TOP - 4, x + 30, CUPBOARD_BOTTOM))
        _knob(room, kitchen, x + (22 if index % 2 else -22), CUPBOARD_BOTTOM - 9)
    for index in range(-2, 6):
        x = 40.0 + 80 * index
        _panel(room, kitchen.drawer, (x - 38, DRAWER_TOP, x + 38, DRAWER_BOTTOM))
        _knob(room, kitchen, x, (DRAWER_TOP + DRAWER_BOTTOM) / 2 - 4)
        _panel(room, kitchen.drawer, (x - 38, DRAWER_BOTTOM + 3, x + 38, BOTTOM - 12))
    room.rectangle(LEFT, BOTTOM - 12, RIGHT, BOTTOM, (58, 50, 46))


def _panel(surface: Surface, colour: Colour, corners: tuple[float, float, float, float]) -> None:
    """A cupboard or drawer front with a bevel; ``corners`` are left, top, right, bottom."""
    left, top, right, bottom = corners
    surface.rectangle(left, top, right, bottom, tone(colour, 0.7))
    surface.rectangle(left + 0.5, top + 0.5, right - 1, bottom - 1, tone(colour, 1.15))
    surface.rectangle(left + 1.2, top + 1.2, right - 1, bottom - 1, colour)
    surface.rectangle(left + 5, top + 5, right - 5, bottom - 5, tone(colour, 0.82))
    surface.rectangle(left + 6, top + 6, right - 5, bottom - 5, tone(colour, 0.95))


def _knob(surface: Surface, kitchen: Kitchen, x: float, y: float) -> None:
    if kitchen.handle == "bar":
        surface.line([(x - 7, y + 1), (x + 7, y + 1)], 3, (70, 70, 74))
        surface.line([(x - 7, y), (x + 7, y)], 2, (206, 208, 212))
    else:
        surface.ellipse(x, y + 0.8, 3.2, 3, (60, 50, 44))
        surface.ellipse(x, y, 2.8, 2.6, (196, 168, 110))


def _paint_sink(room: Surface, kitchen: Kitchen, layout: Layout) -> None:
    x, y = layout.sink
    steel = (176, 180, 186)
    room.draw.rounded_rectangle((*room.at(x - 33, y - 20), *room.at(x + 33, y + 21)), 12, fill=tone(steel, 1.3))
    room.draw.rounded_rectangle((*room.at(x - 30, y - 17), *room.at(x + 30, y + 18)), 10, fill=tone(steel, 0.55))
    room.draw.rounded_rectangle((*room.at(x - 28, y - 9), *room.at(x + 28, y + 17)), 10, fill=tone(steel, 0.8))
    room.ellipse(x, y + 5, 5, 3, tone(steel, 0.45))
    room.ellipse(x, y + 5, 2.6, 1.5, (40, 42, 46))
    tap = kitchen.things["tap"]
    tx, ty = layout.tap
    sx, sy = layout.spout
    arch = [(tx, ty + 4), (tx, sy - 12), (tx - 2, sy - 16), ((tx + sx) / 2, sy - 18), (sx + 1, sy - 15), (sx, sy - 1)]
    room.ellipse(tx, ty + 5, 6.4, 3, tone(tap, 0.5))
    for width, factor in ((5.2, 0.55), (4.2, 0.95), (1.4, 1.9)):
        room.line(arch, width, tone(tap, factor))


def _paint_hob(room: Surface, layout: Layout) -> None:
    x, y = layout.hob
    room.draw.rounded_rectangle((*room.at(x - 39, y - 27), *room.at(x + 39, y + 31)), 6, fill=(22, 22, 26))
    room.draw.rounded_rectangle((*room.at(x - 38, y - 26), *room.at(x + 38, y + 29)), 6, fill=(44, 44, 50))
    room.line([(x - 36, y - 24), (x + 36, y - 24)], 0.8, (96, 96, 104))
    bx, by = layout.of(BURNER)
    for cx, cy, size in ((bx, by, 1.0), (x + 22, by - 6, 0.7), (x + 22, by + 13, 0.7)):
        room.ring(cx, cy, 21 * size, 12 * size, width=1, colour=(104, 104, 112))
        room.ring(cx, cy, 12 * size, 6.8 * size, width=0.8, colour=(82, 82, 90))
    kx, ky = layout.knob
    for offset in (14, 28):
        room.ellipse(kx + offset, ky, 3.6, 3.2, (88, 88, 94))
        room.line([(kx + offset, ky - 2.6), (kx + offset, ky)], 1, (220, 220, 224))


def _lit(room: Surface, kitchen: Kitchen) -> Surface:
    """The same room in the kitchen's own light."""
    pixels = np.asarray(room.image).astype(np.float32)
    x = np.linspace(LEFT, RIGHT, pixels.shape[1], dtype=np.float32)
    pixels *= _brightness(kitchen, x)[None, :, None] * np.array(kitchen.light, np.float32)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return Surface(image, room.origin, room.scale)


def _brightness(kitchen: Kitchen, x: np.ndarray) -> np.ndarray:
    """Factor by which the light falls off along the room."""
    return np.asarray(1 + 0.1 * kitchen.light_from * (2 * (x - LEFT) / (RIGHT - LEFT) - 1))


def _in_light(kitchen: Kitchen, colour: Colour, x: float) -> Colour:
    factor = float(_brightness(kitchen, np.array(x)))
    red, green, blue = (
        min(255, int(value * light * factor)) for value, light in zip(colour, kitchen.light, strict=True)
    )
    return (red, green, blue)


def draw_inside(surface: Surface, fixture: str, amount: float) -> None:
    """The inside of an open cupboard or drawer; what it holds is pasted over it before :func:`draw_door`."""
    x = _DOOR_X[fixture]
    if fixture.startswith("drawer"):
        bottom = DRAWER_TOP + DRAWER_DEPTH * amount
        surface.rectangle(x - 36, DRAWER_TOP, x + 36, bottom, (70, 56, 44))
        surface.rectangle(x - 33, DRAWER_TOP, x + 33, bottom, (112, 90, 68))
        surface.rectangle(x - 36, DRAWER_TOP, x + 36, DRAWER_TOP + 3, (46, 36, 30))
        return
    half = _DOOR_HALF["cupboard"]
    surface.rectangle(x - half, TOP, x + half, CUPBOARD_BOTTOM, (52, 44, 38))
    surface.rectangle(x - half + 3, TOP, x + half - 3, CUPBOARD_BOTTOM - 8, (84, 70, 58))
    for shelf in (CUPBOARD_BOTTOM - 4, 8.0):
        surface.rectangle(x - half, shelf - 3, x + half, shelf, (150, 124, 96))
        surface.rectangle(x - half, shelf, x + half, shelf + 1.4, (70, 56, 44))


def draw_door(surface: Surface, kitchen: Kitchen, layout: Layout, fixture: str, amount: float) -> None:
    """The door or drawer front itself, open by ``amount`` (0 closed, 1 open)."""
    if fixture.startswith("drawer"):
        x, shift = _DOOR_X[fixture], DRAWER_DEPTH * amount
        colour = tone(_in_light(kitchen, kitchen.drawer, x), 1 + 0.12 * amount)
        _panel(surface, colour, (x - 38, DRAWER_TOP + shift, x + 38, DRAWER_BOTTOM + shift))
        if amount:
            surface.rectangle(x - 38, DRAWER_TOP + shift - 2.4, x + 38, DRAWER_TOP + shift, tone(colour, 0.6))
    else:
        hinge, free, top, bottom = _door(fixture, amount)
        front = _in_light(kitchen, kitchen.cupboard, hinge)
        colour = tone(front, 1 - 0.28 * math.sin(math.radians(108 * amount)))
        corners = ((hinge, TOP), (free, top - 30), (free, bottom), (hinge, CUPBOARD_BOTTOM))
        surface.polygon(corners, tone(colour, 0.7))
        surface.polygon(_shrunk(corners, 0.95), colour)
        surface.polygon(_shrunk(corners, 0.78), tone(colour, 0.82))
        surface.polygon(_shrunk(corners, 0.75), tone(colour, 0.95))
    _knob(surface, kitchen, *layout.handle(fixture, amount))


def front(fixture: str, amount: float) -> tuple[Point, Point]:
    """World corners of a cupboard or drawer that is open by ``amount``, as far as it is looked at."""
    x = _DOOR_X[fixture]
    if fixture.startswith("drawer"):
        return (x - 38, DRAWER_TOP), (x + 38, DRAWER_BOTTOM + DRAWER_DEPTH * amount)
    half = _DOOR_HALF["cupboard"]
    return (x - half, TOP), (x + half, CUPBOARD_BOTTOM)


def extent(layout: Layout, thing: str) -> tuple[Point, Point]:
    """World corners of the tap with its lever, or of the hob."""
    if thing == "tap":
        (x, y), spout = layout.tap, layout.spout
        return (min(x, spout[0]) - 3, spout[1] - 19), (x + 14, y + 8)
    x, y = layout.hob
    return (x - 39, y - 27), (x + 39, y + 31)


def _shrunk(corners: tuple[Point, ...], factor: float) -> list[Point]:
    x = sum(corner[0] for corner in corners) / len(corners)
    y = sum(corner[1] for corner in corners) / len(corners)
    return [(x + (cx - x) * factor, y + (cy - y) * factor) for cx, cy in corners]


def draw_lever(surface: Surface, kitchen: Kitchen, layout: Layout, thing: str, amount: float) -> None:
    """The lever of the tap or the knob of the hob, turned by ``amount`` (0 off, 1 on)."""
    if thing == "tap":
        x, y = layout.tap
        turn = math.radians(20 + 75 * amount)
        end = (x + 12 * math.cos(turn), y - 10 - 12 * math.sin(turn))
        surface.line([(x, y - 10), end], 4.4, tone(kitchen.things["tap"], 0.6))
        surface.line([(x, y - 10), end], 2.8, tone(kitchen.things["tap"], 1.3))
        surface.ellipse(*end, 2.4, 2.2, (200, 70, 60))
    elif thing == "hob":
        x, y = layout.knob
        turn = math.radians(90 - 110 * amount)
        surface.ellipse(x, y, 4.6, 4.2, (20, 20, 22))
        surface.ellipse(x, y - 0.4, 4.2, 3.8, (110, 110, 116))
        surface.line([(x, y - 0.4), (x + 4 * math.cos(turn), y - 0.4 - 3.6 * math.sin(turn))], 1.4, (240, 240, 244))


def lever_end(layout: Layout, thing: str, amount: float) -> Point:
    """Where fingers touch the tap's lever or the hob's knob."""
    if thing == "tap":
        turn = math.radians(20 + 75 * amount)
        return (layout.tap[0] + 12 * math.cos(turn), layout.tap[1] - 10 - 12 * math.sin(turn))
    return (layout.knob[0], layout.knob[1])


def draw_running(surface: Surface, kitchen: Kitchen, layout: Layout, thing: str, seconds: float) -> None:
    """Water from the tap, or fire under the pan, at a moment of the video."""
    if thing == "tap":
        x, y = layout.spout
        bottom = layout.sink[1] + 4
        surface.rectangle(x - 1.9, y - 1, x + 1.9, bottom, (186, 214, 232))
        for index in range(6):
            start = (index * 7.3 + seconds * 70) % (bottom - y - 6)
            offset = ((index * 37) % 7 - 3) * 0.45
            surface.line([(x + offset, y + start), (x + offset, y + start + 5)], 0.9, (244, 250, 255))
        spread = 5 + 1.2 * math.sin(seconds * 17)
        surface.ring(x, bottom, spread, spread * 0.5, width=1, colour=(214, 232, 244))
        surface.ellipse(x, bottom, 3.4, 1.7, (226, 240, 248))
    elif thing == "hob":
        x, y = layout.of(BURNER)
        for index in range(14):
            turn = 2 * math.pi * index / 14
            flicker = 1.4 + 0.9 * math.sin(seconds * 19 + index * 2.1)
            fx, fy = x + 20.6 * math.cos(turn), y + 1.5 + 12 * math.sin(turn)
            surface.polygon([(fx - 2.2, fy + 1), (fx, fy - 2.4 * flicker), (fx + 2.2, fy + 1)], kitchen.flame)
            surface.ellipse(fx, fy, 1, 1, tone(kitchen.flame, 2.5))
