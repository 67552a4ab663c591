"""The camera on the participant's head: it looks where they act, and is never quite still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from kitchen_mini.renderer.brush import Point
from kitchen_mini.renderer.config import KitchenMiniConfig
from kitchen_mini.renderer.scene import ease
from kitchen_mini.renderer.surface import Surface

VIEW_WIDTH = 128.0
"""World units across a picture at zoom 1."""
SUPERSAMPLING = 2
"""Pixels drawn per pixel seen, along each side."""
_MARGIN = 16.0
"""World units drawn beyond the view, for the camera's roll."""


class Camera:
    """Where the camera of one video looks, and what it sees.

    Args:
        spans: begin and end of each action, in seconds.
        focuses: where the camera looks during each, in world units.
        settings: picture size and amount of movement.
        rng: of the movement.
    """

    def __init__(
        self,
        spans: Sequence[tuple[float, float]],
        focuses: Sequence[Point],
        settings: KitchenMiniConfig,
        rng: np.random.Generator,
    ) -> None:
        self._spans, self._focuses, self._settings = spans, focuses, settings
        self._waves = rng.uniform((0.15, 0, 0.4), (0.9, 2 * math.pi, 1.0), (4, 3, 3)).tolist()
        self._zoom = float(rng.uniform(0.94, 1.1)) if settings.camera_motion else 1.0
        self._half = (VIEW_WIDTH / 2, VIEW_WIDTH / 2 * settings.height / settings.width)
        self._vignette = _vignette(settings.width, settings.height)

    def pose(self, index: int, now: float) -> tuple[Point, float]:
        """The point in the middle of the picture and the roll in degrees.

        Args:
            index: of the action that is going on or comes next; their number after the last one.
            now: seconds.
        """
        if index == len(self._focuses):
            x, y = self._focuses[-1]
        elif index == 0 or now >= self._spans[index][0]:
            x, y = self._focuses[index]
        else:
            part = ease(now, self._spans[index - 1][1], self._spans[index][0])
            (ax, ay), (bx, by) = self._focuses[index - 1], self._focuses[index]
            x, y = ax + (bx - ax) * part, ay + (by - ay) * part
        sway = [
            sum(wave[axis][2] * math.sin(2 * math.pi * wave[axis][0] * now + wave[axis][1]) for wave in self._waves)
            for axis in range(3)
        ]
        motion = self._settings.camera_motion
        return (x + 1.1 * motion * sway[0], y + 0.8 * motion * sway[1]), 0.7 * motion * sway[2]

    def field(self, surface: Surface, centre: Point) -> Surface:
        """A copy of the part of ``surface`` that can be in the picture."""
        wide, high = (half / self._zoom + _MARGIN for half in self._half)
        return surface.crop(centre[0] - wide, centre[1] - high, centre[0] + wide, centre[1] + high)

    def box(self, upper: Point, lower: Point, centre: Point, roll: float) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a rectangle of the world as shares of the picture.

        Args:
            upper, lower: its upper left and lower right corner, in world units.
            centre: the point in the middle of the picture.
            roll: in degrees; what it does to the small rectangle itself is left out.
        """
        turn = math.radians(roll)
        dx, dy = ((upper[axis] + lower[axis]) / 2 - centre[axis] for axis in (0, 1))
        x, y = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
        wide, high = (half / self._zoom for half in self._half)
        half = ((lower[0] - upper[0]) / 4 / wide, (lower[1] - upper[1]) / 4 / high)
        u, v = 0.5 + x / wide / 2, 0.5 + y / high / 2
        return u - half[0], v - half[1], u + half[0], v + half[1]

    def look(self, field: Surface, centre: Point, roll: float) -> np.ndarray:
        """What the camera sees: uint8 [height, width, 3]."""
        width, height = self._settings.width * SUPERSAMPLING, self._settings.height * SUPERSAMPLING
        cx, cy = field.at(*centre)
        cosine, sine = math.cos(math.radians(roll)) / self._zoom, math.sin(math.radians(roll)) / self._zoom
        left = cx - (cosine * width - sine * height) / 2
        top = cy - (sine * width + cosine * height) / 2
        matrix = (cosine, -sine, left, sine, cosine, top)
        seen = field.image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)
        pixels = np.asarray(seen.reduce(SUPERSAMPLING)) * self._vignette
        return (pixels >> 8).astype(np.uint8)


@lru_cache(maxsize=4)
def _vignette(width: int, height: int) -> np.ndarray:
    """Darker corners, as lenses make them: uint16 [height, width, 1], 256 for no change."""
    x, y = np.linspace(-1, 1, width)[None, :, None], np.linspace(-1, 1, height)[:, None, None]
    return (256 * (1 - 0.16 * np.clip(x**2 + y**2 - 0.5, 0, None))).astype(np.uint16)
