"""A picture one draws on in world units."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from kitchen_mini.renderer.brush import Point, Sprite
from kitchen_mini.renderer.looks import Colour


class Surface:
    """An RGB image whose upper left corner is ``origin`` in the world.

    Args:
        image: what is drawn on.
        origin: world coordinates of its upper left corner.
        scale: pixels per world unit.
    """

    def __init__(self, image: Image.Image, origin: Point, scale: float) -> None:
        self.image, self.origin, self.scale = image, origin, scale
        self.draw = ImageDraw.Draw(image)

    def at(self, x: float, y: float) -> Point:
        """Pixel coordinates of a point of the world."""
        return ((x - self.origin[0]) * self.scale, (y - self.origin[1]) * self.scale)

    def crop(self, left: float, top: float, right: float, bottom: float) -> Surface:
        """A copy of a part of it, given in world units."""
        (x0, y0), (x1, y1) = self.at(left, top), self.at(right, bottom)
        corner = (int(x0), int(y0))
        image = self.image.crop((*corner, int(x1) + 1, int(y1) + 1))
        origin = (self.origin[0] + corner[0] / self.scale, self.origin[1] + corner[1] / self.scale)
        return Surface(image, origin, self.scale)

    def paste(self, sprite: Sprite, x: float, y: float) -> None:
        """Paste a sprite with its anchor at ``(x, y)``."""
        sprite.paste(self.image, *self.at(x, y))

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([self.at(x, y) for x, y in points], fill=fill)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A filled rectangle."""
        self.draw.rectangle((*self.at(left, top), *self.at(right, bottom)), fill=fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """A filled ellipse."""
        self.draw.ellipse((*self.at(x - rx, y - ry), *self.at(x + rx, y + ry)), fill=fill)

    def ring(self, x: float, y: float, rx: float, ry: float, *, width: float, colour: Colour) -> None:
        """The outline of an ellipse."""
        corners = (*self.at(x - rx, y - ry), *self.at(x + rx, y + ry))
        self.draw.ellipse(corners, outline=colour, width=max(1, round(width * self.scale)))

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A stroke."""
        at = [self.at(x, y) for x, y in points]
        self.draw.line(at, fill=fill, width=max(1, round(width * self.scale)), joint="curve")
