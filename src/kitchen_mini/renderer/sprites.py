"""Pictures of objects and hands, turned and stretched as needed and kept for the next frame."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image

from kitchen_mini.renderer.brush import Brush, Point, Sprite, cut_out
from kitchen_mini.renderer.hands import REACH, draw_hand
from kitchen_mini.renderer.looks import Kitchen, Participant
from kitchen_mini.renderer.objects import CAPS, THINGS

_ANGLE_STEP = 3
_STRETCH_STEP = 0.06


class SpriteBank:
    """The sprites of one participant in one kitchen.

    Args:
        kitchen: gives the colours of the objects.
        person: gives the colour and size of the hands; objects are mirrored for a left-handed person.
        scale: pixels per world unit.
    """

    def __init__(self, kitchen: Kitchen, person: Participant, scale: float) -> None:
        self._kitchen, self._person, self._scale = kitchen, person, scale
        self._pictures: dict[tuple[str, ...], Image.Image] = {}
        self._sprites: dict[tuple[object, ...], Sprite] = {}

    def item(
        self,
        noun: str,
        *,
        opened: bool = False,
        content: str = "",
        angle: float = 0.0,
        stretch: Point = (1.0, 1.0),
        scale: float = 1.0,
    ) -> Sprite:
        """An object; ``angle`` in degrees counter-clockwise, ``stretch`` before turning."""
        name = ("item", noun, "opened" if opened else "", content)
        if name not in self._pictures:
            brush = Brush(THINGS[noun].reach, self._scale, flip=self._person.side < 0)
            THINGS[noun].draw(brush, self._kitchen.things[noun], opened, content)
            self._pictures[name] = brush.finish()
        return self._cut(name, angle, stretch, scale)

    def cap(self, noun: str, angle: float = 0.0) -> Sprite:
        """The lid of an object, turned about the fingers' hold on it; its anchor is the object's."""
        draw, (x, y) = CAPS[noun]
        name = ("cap", noun)
        if name not in self._pictures:
            brush = Brush(THINGS[noun].reach, self._scale, flip=self._person.side < 0)
            draw(brush, self._kitchen.things[noun])
            self._pictures[name] = _shifted(brush.finish(), -x * self._person.side * self._scale, -y * self._scale)
        sprite = self._cut(name, angle)
        anchor = (sprite.anchor[0] - x * self._person.side * self._scale, sprite.anchor[1] - y * self._scale)
        return Sprite(sprite.colours, sprite.opacity, anchor)

    def hand(self, side: int, pose: str, angle: float) -> Sprite:
        """The participant's right (``side`` 1) or left (-1) hand."""
        name = ("hand", str(side), pose)
        if name not in self._pictures:
            brush = Brush(REACH, self._scale, flip=side < 0)
            draw_hand(brush, self._person.skin, pose, self._person.hand_size)
            self._pictures[name] = brush.finish()
        return self._cut(name, angle)

    def shadow(self, width: float, height: float) -> Sprite:
        """A soft dark ellipse of the given half axes, in world units."""
        return _shadow(round(width * self._scale), round(height * self._scale))

    def _cut(self, name: tuple[str, ...], angle: float, stretch: Point = (1.0, 1.0), scale: float = 1.0) -> Sprite:
        turn = round(angle / _ANGLE_STEP) * _ANGLE_STEP % 360
        wide, high, size = (
            round(value / _STRETCH_STEP) * _STRETCH_STEP for value in (stretch[0] - 1, stretch[1] - 1, scale - 1)
        )
        key = (*name, turn, round(wide, 3), round(high, 3), round(size, 3))
        if key not in self._sprites:
            picture = self._pictures[name]
            self._sprites[key] = cut_out(picture, angle=turn, stretch=(1 + wide, 1 + high), scale=1 + size)
        return self._sprites[key]


def _shifted(image: Image.Image, x: float, y: float) -> Image.Image:
    moved = Image.new("RGBA", image.size, (0, 0, 0, 0))
    moved.paste(image, (round(x), round(y)))
    return moved


@lru_cache(maxsize=256)
def _shadow(width: int, height: int) -> Sprite:
    size = (2 * width + 4, 2 * height + 4)
    glow = Image.radial_gradient("L").resize(size, Image.Resampling.BILINEAR)
    opacity = glow.point([max(0, min(105, round((200 - value) * 0.85))) for value in range(256)])
    return Sprite(Image.new("RGB", size, (14, 10, 12)), opacity, (size[0] / 2, size[1] / 2))
