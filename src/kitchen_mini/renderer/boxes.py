"""Where the renderer draws each thing: object boxes that cost nothing and have no errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kitchen_mini.boxes import HAND, FrameBoxes, ObjectBox
from kitchen_mini.renderer import room
from kitchen_mini.renderer.brush import Point, Sprite
from kitchen_mini.renderer.motion import layers
from kitchen_mini.renderer.render import Renderer, moving_things
from kitchen_mini.renderer.scene import Cap, Door, Hand, Item, Layer, Lever
from kitchen_mini.renderer.state import CONTAINERS, SPOTS_INSIDE, State
from kitchen_mini.renderer.world import NOUN_IDS

_USED = (0.12, 0.88)
"""Part of an action in which its object is called used: before and after, the hands are on their way."""
_HAND_SIZE = 9.0
"""Half the edge of a hand's box, in world units."""


class _Placed(NamedTuple):
    noun: str
    corners: tuple[Point, Point]
    on: bool


class BoxTracer(Renderer):
    """Tells where things are in the frames of a video instead of drawing them."""

    def boxes(self, stride: int) -> Iterator[FrameBoxes]:
        """The boxes of every ``stride``-th frame."""
        settings, events = self.settings, self.script.events
        index = 0
        for number in range(0, round(self.script.duration * settings.fps), stride):
            now = number / settings.fps
            while index < len(self.scenes) and now >= events[index].end:
                index += 1
            acting = index < len(self.scenes) and now >= events[index].begin
            yield FrameBoxes(
                video_id=self.script.video_id, time=round(now, 4), boxes=tuple(self._visible(index, now, acting))
            )

    def _visible(self, index: int, now: float, acting: bool) -> Iterator[ObjectBox]:
        state = self._states[index]
        used, parts, moving = "", list[Layer](), set[str]()
        if acting:
            event, scene = self.script.events[index], self.scenes[index]
            phase = (now - event.begin) / (event.end - event.begin)
            parts, moving = layers(scene, phase), moving_things(scene)
            if _USED[0] < phase < _USED[1]:
                used = event.step.noun
        centre, roll = self._camera.pose(index, now)
        placed = [*self._fixtures(state, parts), *self._resting(state, moving), *self._moved(state, parts)]
        inside = state.place.get(used, "")
        if inside in CONTAINERS:  # what is stirred in a pan is seen where the pan is
            placed += [item._replace(noun=used, on=False) for item in placed if item.noun == inside]
        for noun, corners, on in placed:
            left, top, right, bottom = self._camera.box(*corners, centre, roll)
            if right > 0 and bottom > 0 and left < 1 and top < 1:
                box = (round(left, 3), round(top, 3), round(right, 3), round(bottom, 3))
                yield ObjectBox(noun=NOUN_IDS.get(noun, HAND), box=box, used=noun == used != "", on=on)

    def _fixtures(self, state: State, parts: list[Layer]) -> Iterator[_Placed]:
        """Doors, drawers, tap and hob."""
        amounts = {fixture: float(fixture in state.opened) for fixture in SPOTS_INSIDE}
        running = {thing: float(thing in state.running) for thing in ("tap", "hob")}
        for part in parts:
            if isinstance(part, Door):
                amounts[part.fixture] = part.amount
            elif isinstance(part, Lever):
                running[part.thing] = part.amount
        for fixture, amount in amounts.items():
            yield _Placed(fixture[:-1], room.front(fixture, amount), amount > 0.5)
        for thing in ("hob", "tap"):
            yield _Placed(thing, room.extent(self.layout, thing), running[thing] > 0.5)

    def _resting(self, state: State, moving: set[str]) -> Iterator[_Placed]:
        for noun in self._standing(state, moving):
            x, y = self._point(state, state.place[noun])
            opened, on = noun in state.opened, noun in state.opened | state.running
            angle = self.scenes[0].lying.get(noun, 0.0)
            sprite = self._bank.item(noun, opened=opened, content=state.content.get(noun, ""), angle=angle)
            yield _Placed(noun, self._around(sprite, (x, y)), on)

    def _moved(self, state: State, parts: list[Layer]) -> Iterator[_Placed]:
        for part in parts:
            if isinstance(part, Item):
                opened = part.noun in state.opened if part.opened is None else part.opened
                on = opened or part.noun in state.running
                yield _Placed(part.noun, self._around(self._item(state, part), part.at), on)
            elif isinstance(part, Cap):
                yield _Placed(part.noun, self._around(self._bank.cap(part.noun, part.angle), part.at), True)
            elif isinstance(part, Hand):
                x, y = part.at
                yield _Placed("", ((x - _HAND_SIZE, y - _HAND_SIZE), (x + _HAND_SIZE, y + _HAND_SIZE)), False)

    def _around(self, sprite: Sprite, at: Point) -> tuple[Point, Point]:
        """World corners of what of a sprite is not transparent."""
        left, top, right, bottom = sprite.opacity.getbbox() or (0, 0, *sprite.opacity.size)
        x, y = (at[axis] - sprite.anchor[axis] / self.scale for axis in (0, 1))
        return (x + left / self.scale, y + top / self.scale), (x + right / self.scale, y + bottom / self.scale)
