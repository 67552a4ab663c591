"""From a script to pictures: the kitchen at rest, what moves in it, and the camera on the participant's head."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from kitchen_mini.renderer import room
from kitchen_mini.renderer.brush import Point, Sprite
from kitchen_mini.renderer.camera import SUPERSAMPLING, VIEW_WIDTH, Camera
from kitchen_mini.renderer.config import KitchenMiniConfig
from kitchen_mini.renderer.hands import WRIST, draw_arm
from kitchen_mini.renderer.looks import kitchen as kitchen_of
from kitchen_mini.renderer.looks import participant as participant_of
from kitchen_mini.renderer.motion import centre_of, layers
from kitchen_mini.renderer.objects import CONTENTS, THINGS
from kitchen_mini.renderer.scene import Cap, Chance, Door, Drops, Hand, Item, Layer, Lever, Scene, ease
from kitchen_mini.renderer.script import Event, Script
from kitchen_mini.renderer.sprites import SpriteBank
from kitchen_mini.renderer.state import (
    AWAY,
    BOARD,
    BOARD_PLACES,
    CONTAINERS,
    HAND,
    MOVABLE,
    ON_BOARD,
    SPOTS_INSIDE,
    State,
)
from kitchen_mini.renderer.surface import Surface
from llavaction.base.seeding import hashed_rng


@lru_cache(maxsize=4)
def _stage(name: str, seed: int, scale: float) -> tuple[room.Layout, Surface, SpriteBank]:
    """What all videos of a participant share."""
    kitchen, person = kitchen_of(name, seed), participant_of(name, seed)
    layout = room.Layout(kitchen)
    return layout, room.paint_room(kitchen, layout, scale), SpriteBank(kitchen, person, scale)


class Renderer:
    """Draws the frames of one video.

    Args:
        script: what happens.
        settings: picture size, frame rate, camera.
        seed: the dataset's seed.
    """

    def __init__(self, script: Script, settings: KitchenMiniConfig, seed: int) -> None:
        self.script, self.settings = script, settings
        self.kitchen = kitchen_of(script.participant_id, seed)
        self.person = participant_of(script.participant_id, seed)
        self.scale = SUPERSAMPLING * settings.width / VIEW_WIDTH
        self.layout, self._room, self._bank = _stage(script.participant_id, seed, self.scale)
        self.half_height = VIEW_WIDTH / 2 * settings.height / settings.width
        self._name = (seed, script.split, script.video_id)
        self._states = [script.start]
        for event in script.events:
            self._states.append(self._states[-1].copy())
            self._states[-1].apply(event.step)
        self.scenes = [self._scene(index, event) for index, event in enumerate(script.events)]
        self._camera = Camera(
            [(event.begin, event.end) for event in script.events],
            [scene.focus for scene in self.scenes],
            settings,
            hashed_rng("kitchen_mini", "camera", *self._name),
        )
        self._at_rest_nouns: list[str] = []

    def frames(self) -> Iterator[np.ndarray]:
        """The pictures in order, (height, width, 3) uint8 RGB, ``settings.fps`` a second."""
        count = round(self.script.duration * self.settings.fps)
        index, shown, still = 0, (-1, False), self._room
        for number in range(count):
            now = number / self.settings.fps
            while index < len(self.scenes) and now >= self.script.events[index].end:
                index += 1
            acting = index < len(self.scenes) and now >= self.script.events[index].begin
            if (index, acting) != shown:
                moving = moving_things(self.scenes[index]) if acting else set()
                still, shown = self._at_rest(self._states[index], moving), (index, acting)
            yield self._frame(still, index, now, acting)

    def _scene(self, index: int, event: Event) -> Scene:
        """The action with its chances drawn."""
        rng = hashed_rng("kitchen_mini", "scene", *self._name, index)
        chance = Chance(
            rest=(float(rng.uniform(4, 18)), float(rng.uniform(4, 18))),
            reach=(float(rng.uniform(16, 38)), float(rng.uniform(16, 38))),
            swing=float(rng.uniform(0.85, 1.25)),
            beat=float(rng.uniform(0.85, 1.2)),
            phase=float(rng.uniform(0, 1)),
            tilt=float(rng.uniform(0.75, 1.05)),
            offset=(float(rng.normal(0, 3)), float(rng.normal(0, 2))),
        )
        lying = {
            noun: float(hashed_rng("lying", *self._name, noun).uniform(-1, 1)) * THINGS[noun].lying for noun in MOVABLE
        }
        state = self._states[index]
        scene = Scene(
            person=self.person,
            layout=self.layout,
            state=state,
            step=event.step,
            focus=(0.0, 0.0),
            half_height=self.half_height,
            seconds=event.end - event.begin,
            lying=lying,
            chance=chance,
        )
        x, y = centre_of(scene)
        return replace(scene, focus=(x + float(rng.normal(0, 7)), y + 6 + float(rng.normal(0, 4))))

    # the kitchen at rest

    def _at_rest(self, state: State, moving: set[str]) -> Surface:
        """The kitchen without what moves."""
        surface = Surface(self._room.image.copy(), self._room.origin, self.scale)
        for fixture in SPOTS_INSIDE:
            if fixture in state.opened and fixture not in moving:
                self._draw_fixture(surface, state, fixture, 1.0, moving)
        for thing in ("tap", "hob"):
            if thing not in moving:
                room.draw_lever(surface, self.kitchen, self.layout, thing, float(thing in state.running))
        if state.running & {"hob"} and "hob" not in moving:
            room.draw_running(surface, self.kitchen, self.layout, "hob", 0.0)
        self._at_rest_nouns = self._standing(state, moving)
        for noun in self._at_rest_nouns:
            self._draw_standing(surface, state, noun)
            if noun == BOARD and state.scraps:
                self._draw_scraps(surface, state, 1.0)
        return surface

    def _standing(self, state: State, moving: set[str]) -> list[str]:
        """Objects at rest on the worktop, the farthest first; the board before what lies on it."""
        nouns = [
            noun
            for noun, place in state.place.items()
            if place not in (HAND, AWAY, *CONTAINERS) and "." not in place and noun not in moving
        ]

        def depth(noun: str) -> tuple[int, float, str]:
            place = state.place[noun]
            return (place not in BOARD_PLACES, self._point(state, place)[1], noun)

        return sorted(nouns, key=depth)

    def _point(self, state: State, place: str) -> Point:
        return self.layout.of(place, state.place[BOARD] if place == ON_BOARD else "")

    def _draw_standing(self, surface: Surface, state: State, noun: str, shift: Point = (0.0, 0.0)) -> None:
        x, y = self._point(state, state.place[noun])
        angle = self.scenes[0].lying.get(noun, 0.0)
        thing = THINGS[noun]
        if "." not in state.place[noun]:
            surface.paste(self._bank.shadow(thing.width * 1.25, thing.height * 1.3), x + 1, y + 1.5)
        sprite = self._bank.item(noun, opened=noun in state.opened, content=state.content.get(noun, ""), angle=angle)
        surface.paste(sprite, x + shift[0], y + shift[1])
        if noun == "kettle" and noun in state.running:
            self._draw_switch(surface, (x, y), 1.0)

    def _draw_switch(self, surface: Surface, at: Point, amount: float) -> None:
        """The kettle's switch and its light."""
        x, y = at[0] + 15 * self.person.side, at[1] - 5 + 3 * amount
        surface.rectangle(x - 2.2, y - 1.4, x + 2.2, y + 1.4, (120, 120, 126))
        if amount > 0.5:
            surface.ellipse(at[0], at[1] - 3, 3, 1.7, (255, 150, 40))

    def _draw_scraps(self, surface: Surface, state: State, amount: float) -> None:
        """Bits of food on the board, more of them as ``amount`` grows to 1."""
        if state.place[BOARD] not in BOARD_PLACES:
            return
        x, y = self._point(state, ON_BOARD)
        rng = hashed_rng("scraps", *self._name)
        for dx, dy, size in rng.uniform((-20, 3, 0.8), (18, 10, 1.7), (9, 3))[: round(9 * amount)]:
            surface.ellipse(x + dx, y + dy, size, size * 0.7, CONTENTS[state.scraps])

    def _draw_fixture(self, surface: Surface, state: State, fixture: str, amount: float, moving: set[str]) -> None:
        """A cupboard or drawer, open by ``amount``, with what it holds."""
        if amount > 0:
            room.draw_inside(surface, fixture, amount)
            inside = [n for n, place in state.place.items() if place.startswith(f"{fixture}.") and n not in moving]
            if fixture.startswith("drawer"):
                self._fill_drawer(surface, state, fixture, amount, inside)
            else:
                for noun in inside:
                    self._draw_standing(surface, state, noun)
        room.draw_door(surface, self.kitchen, self.layout, fixture, amount)

    def _fill_drawer(self, surface: Surface, state: State, fixture: str, amount: float, nouns: list[str]) -> None:
        """What lies in a drawer slides out with it and shows only inside its walls."""
        x = self.layout.handle(fixture, 0)[0]
        bottom = room.DRAWER_TOP + room.DRAWER_DEPTH * amount
        opening = surface.crop(x - 36, room.DRAWER_TOP, x + 36, bottom)
        for noun in nouns:
            self._draw_standing(opening, state, noun, (0.0, room.DRAWER_DEPTH * (amount - 1)))
        left, top = surface.at(*opening.origin)
        surface.image.paste(opening.image, (round(left), round(top)))

    # one frame

    def _frame(self, still: Surface, index: int, now: float, acting: bool) -> np.ndarray:
        centre, roll = self._camera.pose(index, now)
        view = self._camera.field(still, centre)
        state = self._states[index]
        moving: list[Layer] = []
        if acting:
            event = self.script.events[index]
            phase = (now - event.begin) / (event.end - event.begin)
            moving = layers(self.scenes[index], phase)
            if event.step.verb in ("cut", "peel"):
                scraps = state.copy()
                scraps.scraps = event.step.noun
                self._draw_scraps(view, scraps, ease(phase, 0.25, 0.8))
        levers = {layer.thing: layer.amount for layer in moving if isinstance(layer, Lever)}
        running = (state.running - set(levers)) | {thing for thing, amount in levers.items() if amount > 0.5}
        if "tap" in running:
            room.draw_running(view, self.kitchen, self.layout, "tap", now)
        if "hob" in running and "hob" in levers:
            room.draw_running(view, self.kitchen, self.layout, "hob", now)
        for layer in moving:
            self._draw(view, state, layer, self.scenes[index], now)
        return self._camera.look(view, centre, roll)

    def _draw(self, view: Surface, state: State, layer: Layer, scene: Scene, now: float) -> None:
        if isinstance(layer, Hand):
            self._draw_hand(view, layer, scene, now)
        elif isinstance(layer, Item):
            thing, (x, y) = THINGS[layer.noun], layer.at
            shadow = self._bank.shadow(thing.width * 1.2, thing.height * 1.2)
            view.paste(shadow, x + 1 + 0.3 * layer.lift, y + 1.5 + layer.lift)
            sprite = self._item(state, layer)
            view.paste(sprite, x, y)
            if layer.lift < 1:
                self._draw_before(view, state, y - (12 if layer.noun == BOARD else 0), x)
        elif isinstance(layer, Cap):
            view.paste(self._bank.cap(layer.noun, layer.angle), *layer.at)
        elif isinstance(layer, Door):
            self._draw_fixture(view, state, layer.fixture, layer.amount, set())
        elif isinstance(layer, Lever):
            if layer.thing == "kettle":
                self._draw_switch(view, self._point(state, state.place["kettle"]), layer.amount)
            else:
                room.draw_lever(view, self.kitchen, self.layout, layer.thing, layer.amount)
        else:
            self._draw_drops(view, layer, now)

    def _item(self, state: State, layer: Item) -> Sprite:
        """The sprite of an object that is not at rest."""
        return self._bank.item(
            layer.noun,
            opened=layer.noun in state.opened if layer.opened is None else layer.opened,
            content=state.content.get(layer.noun, ""),
            angle=layer.angle,
            stretch=layer.stretch,
            scale=layer.scale,
        )

    def _draw_before(self, view: Surface, state: State, y: float, x: float) -> None:
        """Draw again what stands between the participant and a thing at ``(x, y)`` on the worktop."""
        for noun in self._at_rest_nouns:
            px, py = self._point(state, state.place[noun])
            if py > y and abs(px - x) < 60 and noun != BOARD:
                self._draw_standing(view, state, noun)

    def _draw_hand(self, view: Surface, hand: Hand, scene: Scene, now: float) -> None:
        shake = self.person.tremor
        x = hand.at[0] + shake * math.sin(now * 9.1 + hand.side)
        y = hand.at[1] + shake * math.sin(now * 7.3 + 2 * hand.side)
        elbow = (
            scene.focus[0] + 44 * hand.side + 0.35 * (x - scene.focus[0]),
            scene.focus[1] + self.half_height + 78,
        )
        turn = math.atan2(x - elbow[0], elbow[1] - y)
        cosine, sine = math.cos(turn), math.sin(turn)
        wx, wy = WRIST[0] * hand.side * self.person.hand_size, WRIST[1] * self.person.hand_size
        wrist = (x + wx * cosine - wy * sine, y + wx * sine + wy * cosine)
        view.paste(self._bank.shadow(12, 9), x + 4, y + 14)
        watch = hand.side != self.person.side
        draw_arm(view.draw, self.person, view.at(*wrist), view.at(*elbow), self.scale, watch=watch)
        view.paste(self._bank.hand(hand.side, hand.pose, -math.degrees(turn)), x, y)

    def _draw_drops(self, view: Surface, drops: Drops, now: float) -> None:
        (x0, y0), (x1, y1) = drops.start, drops.stop
        for index in range(7):
            part = (index / 7 + now * 2.3) % 1
            wobble = 1.6 * math.sin(index * 2.4 + now * 3)
            size = 0.9 + 0.5 * ((index * 5) % 3) / 2
            x = x0 + (x1 - x0) * part**0.5 + wobble
            view.ellipse(x, y0 + (y1 - y0) * part, size, size * 1.2, CONTENTS[drops.content])


def moving_things(scene: Scene) -> set[str]:
    """Nouns and fixtures that the layers of an action draw."""
    names = set[str]()
    for phase in (0.0, 0.25, 0.5, 0.75, 1.0):
        for layer in layers(scene, phase):
            if isinstance(layer, Item | Cap):
                names.add(layer.noun)
            elif isinstance(layer, Door):
                names.add(layer.fixture)
            elif isinstance(layer, Lever) and layer.thing != "kettle":
                names.add(layer.thing)
    return names
