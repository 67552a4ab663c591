"""Drawing small pictures with soft edges: shapes in world units on a transparent ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from kitchen_mini.renderer.looks import Colour

Point = tuple[float, float]
_OVERSAMPLING = 3


@dataclass(frozen=True)
class Sprite:
    """A picture to paste: its colours, its opacity, and where its anchor is (pixels from the upper left corner)."""

    colours: Image.Image
    opacity: Image.Image
    anchor: Point

    def paste(self, canvas: Image.Image, x: float, y: float) -> None:
        """Put the anchor at pixel ``(x, y)`` of ``canvas``."""
        corner = (round(x - self.anchor[0]), round(y - self.anchor[1]))
        canvas.paste(self.colours, corner, self.opacity)


class Brush:
    """A transparent square to draw on, with its origin in the middle.

    Args:
        reach: half its edge, in world units.
        scale: pixels of the finished picture per world unit.
        flip: mirror left and right.
    """

    def __init__(self, reach: float, scale: float, *, flip: bool = False) -> None:
        self.scale, self.flip = scale, -1 if flip else 1
        self.half = math.ceil(reach * scale)
        self._unit = scale * _OVERSAMPLING
        self._middle = self.half * _OVERSAMPLING
        self.image = Image.new("RGBA", (2 * self._middle, 2 * self._middle), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)

    def _at(self, x: float, y: float) -> Point:
        return (self._middle + self.flip * x * self._unit, self._middle + y * self._unit)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour, *, alpha: int = 255) -> None:
        """A filled ellipse."""
        cx, cy = self._at(x, y)
        rx, ry = rx * self._unit, ry * self._unit
        self._draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=(*fill, alpha))

    def polygon(self, points: Sequence[Point], fill: Colour, *, alpha: int = 255) -> None:
        """A filled polygon."""
        self._draw.polygon([self._at(x, y) for x, y in points], fill=(*fill, alpha))

    def line(self, points: Sequence[Point], width: float, fill: Colour, *, alpha: int = 255) -> None:
        """A stroke with round ends and joints."""
        at = [self._at(x, y) for x, y in points]
        self._draw.line(at, fill=(*fill, alpha), width=max(1, round(width * self._unit)), joint="curve")
        radius = width * self._unit / 2
        for cx, cy in (at[0], at[-1]):
            self._draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=(*fill, alpha))

    def box(
        self, left: float, top: float, right: float, bottom: float, fill: Colour, *, radius: float = 0, alpha: int = 255
    ) -> None:
        """A rectangle with rounded corners."""
        (x0, y0), (x1, y1) = self._at(left, top), self._at(right, bottom)
        corners = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        self._draw.rounded_rectangle(corners, radius * self._unit, fill=(*fill, alpha))

    def shade(self, strength: float, left: float, right: float) -> None:
        """Darken what is drawn towards ``right`` and lighten it towards ``left`` (world units): a round body."""
        size = self.image.width
        at = (np.arange(size) - self._middle) / self._unit * self.flip
        ramp = 1 + strength * (0.35 - np.clip((at - left) / (right - left), 0, 1))
        pixels = np.asarray(self.image).astype(np.float32)
        pixels[..., :3] *= ramp[None, :, None]
        self.image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        self._draw = ImageDraw.Draw(self.image)

    def finish(self) -> Image.Image:
        """The picture at its final size, edges smoothed."""
        return self.image.reduce(_OVERSAMPLING)


def cut_out(image: Image.Image, *, angle: float = 0.0, stretch: Point = (1.0, 1.0), scale: float = 1.0) -> Sprite:
    """A sprite from a square picture whose anchor is its middle.

    Args:
        image: RGBA.
        angle: degrees, counter-clockwise.
        stretch: factors on width and height, before turning.
        scale: factor on both.
    """
    width, height = (max(2, round(side * factor * scale)) for side, factor in zip(image.size, stretch, strict=True))
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if angle:
        image = image.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    left, top, right, bottom = image.getbbox() or (0, 0, 1, 1)
    anchor = (image.width / 2 - left, image.height / 2 - top)
    image = image.crop((left, top, right, bottom))
    return Sprite(image.convert("RGB"), image.getchannel("A"), anchor)
