"""Hands and forearms of the participants.

A hand's anchor is the point between thumb and fingers where it holds things; drawn pointing up, thumb towards the
other hand.
"""

from __future__ import annotations

import math

from PIL import ImageDraw

from kitchen_mini.renderer.brush import Brush, Point
from kitchen_mini.renderer.looks import Colour, Participant, tone

POSES = ("open", "grip", "pinch")
WRIST: Point = (1.5, 19.0)
"""Where the forearm meets the hand, from the anchor of a right hand."""
REACH = 30.0
_FINGERS: dict[str, tuple[tuple[Point, Point], ...]] = {
    "open": (((-3.6, 6), (-5.2, -7)), ((0.6, 5), (0, -9.4)), ((4.6, 5.6), (5.2, -8)), ((8, 8), (10, -3.4))),
    "grip": (((-3.6, 5), (-4, -1.4)), ((0.6, 4.4), (0.6, -2.8)), ((4.6, 5), (5, -2)), ((8.2, 7), (8.8, 0.6))),
    "pinch": (((-3.6, 6), (-2.2, -3.6)), ((0.6, 5), (2.6, 0.4)), ((4.6, 5.6), (6, 1.8)), ((8, 8), (9, 4.6))),
}
_THUMBS: dict[str, tuple[Point, ...]] = {
    "open": ((-4.6, 13), (-10, 7), (-12, 0.6)),
    "grip": ((-4.6, 13), (-8.6, 8.4), (-6.6, 2.8)),
    "pinch": ((-4.6, 13), (-8.2, 6.6), (-4.6, -1.6)),
}


def draw_hand(brush: Brush, skin: Colour, pose: str, size: float) -> None:
    """A hand in one of :data:`POSES`, ``size`` times as large as usual."""

    def at(point: Point) -> Point:
        return (point[0] * size, point[1] * size)

    dark, light = tone(skin, 0.72), tone(skin, 1.22)
    brush.line([at((1.6, 13)), at(WRIST)], 11.6 * size, dark)
    brush.line([at((1.4, 13)), at(WRIST)], 10.6 * size, skin)
    brush.ellipse(*at((2.2, 11)), 9.4 * size, 9 * size, dark)
    thumb = [at(point) for point in _THUMBS[pose]]
    brush.line(thumb, 5.8 * size, dark)
    brush.line(thumb, 4.8 * size, skin)
    brush.ellipse(*at((2, 10.6)), 8.6 * size, 8.2 * size, skin)
    brush.ellipse(*at((0.6, 11.4)), 5 * size, 4.6 * size, tone(skin, 1.08))
    for root, tip in _FINGERS[pose]:
        brush.line([at(root), at(tip)], 5 * size, dark)
    for root, tip in _FINGERS[pose]:
        brush.line([at(root), at(tip)], 4 * size, skin)
        brush.line([at((root[0] - 0.7, root[1])), at((tip[0] - 0.7, tip[1]))], 1.2 * size, light)
        brush.ellipse(*at((tip[0], tip[1] - 0.6)), 1.3 * size, 1.5 * size, tone(skin, 1.7))
    for root, _ in _FINGERS[pose]:
        brush.line([at((root[0] - 1, root[1] + 2)), at((root[0] + 1, root[1] + 2))], 0.7 * size, tone(skin, 0.8))


def draw_arm(
    canvas: ImageDraw.ImageDraw, person: Participant, wrist: Point, elbow: Point, scale: float, *, watch: bool
) -> None:
    """A forearm from the wrist to the elbow (pixels), in the participant's sleeve.

    Args:
        canvas: where to draw.
        person: whose arm.
        wrist, elbow: its ends, in pixels.
        scale: pixels per world unit.
        watch: whether this arm wears the participant's watch.
    """
    across, along = elbow[0] - wrist[0], elbow[1] - wrist[1]
    length = math.hypot(across, along) or 1.0
    normal = (-along / length, across / length)

    def band(start: float, stop: float, left: float, right: float, colour: Colour) -> None:
        """A strip of the arm between two fractions of its length and two of its half widths."""
        corners = []
        for part, edge in ((start, left), (start, right), (stop, right), (stop, left)):
            reach = edge * scale * person.hand_size * (5.6 + 4.2 * part)
            corners.append((wrist[0] + across * part + normal[0] * reach, wrist[1] + along * part + normal[1] * reach))
        canvas.polygon(corners, fill=colour)

    light = 0.55 if normal[0] < 0 else -0.55
    band(0, 1, -1.08, 1.08, tone(person.skin, 0.72))
    band(0, 1, -1, 1, person.skin)
    band(0, 1, min(light, light * 0.2), max(light, light * 0.2), tone(person.skin, 1.12))
    if person.sleeve_from < 1:
        band(person.sleeve_from, 1, -1.3, 1.3, tone(person.sleeve, 0.7))
        band(person.sleeve_from, 1, -1.2, 1.2, person.sleeve)
        band(person.sleeve_from, 1, min(light, light * 0.3), max(light, light * 0.3), tone(person.sleeve, 1.2))
        band(person.sleeve_from, person.sleeve_from + 0.05, -1.36, 1.36, tone(person.sleeve, 0.82))
    if watch and person.watch and person.sleeve_from > 0.25:
        band(0.08, 0.14, -1.14, 1.14, person.watch)
        band(0.07, 0.15, -0.4, 0.4, tone(person.watch, 1.5))
