"""What an action's movements are made of: layers to draw, the scene they depend on, and a little geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kitchen_mini.renderer.brush import Point
from kitchen_mini.renderer.looks import Participant
from kitchen_mini.renderer.objects import THINGS
from kitchen_mini.renderer.room import Layout
from kitchen_mini.renderer.state import BOARD, State, Step


@dataclass(frozen=True)
class Hand:
    """A hand: ``side`` 1 is the right one, ``at`` where it holds things."""

    side: int
    at: Point
    pose: str


@dataclass(frozen=True)
class Item:
    """An object that is not at rest: ``angle`` in degrees counter-clockwise, ``lift`` its height over the worktop."""

    noun: str
    at: Point
    angle: float = 0.0
    stretch: Point = (1.0, 1.0)
    scale: float = 1.0
    lift: float = 0.0
    opened: bool | None = None


@dataclass(frozen=True)
class Cap:
    """The lid of an object, off it or being turned; ``at`` is where the object's anchor would be."""

    noun: str
    at: Point
    angle: float = 0.0


@dataclass(frozen=True)
class Door:
    """A cupboard door or drawer, open by ``amount``."""

    fixture: str
    amount: float


@dataclass(frozen=True)
class Lever:
    """The tap's lever, the hob's knob or the kettle's switch, turned by ``amount``."""

    thing: str
    amount: float


@dataclass(frozen=True)
class Drops:
    """What falls from ``start`` to ``stop``, in the colour of ``content``."""

    start: Point
    stop: Point
    content: str


Layer = Hand | Item | Cap | Door | Lever | Drops


@dataclass(frozen=True)
class Chance:
    """What differs between two performances of the same action.

    Attributes:
        rest: how far below the picture's edge the hands rest, right and left, in world units.
        reach: sideways offset of the resting hands.
        swing: factor on the amplitude of repeated movements.
        beat: factor on their frequency.
        phase: where in the cycle they start, in turns.
        tilt: factor on the angle a poured, shaken or squeezed thing is held at.
        offset: where over its target it is held, in world units.
    """

    rest: Point = (10.0, 10.0)
    reach: Point = (26.0, 26.0)
    swing: float = 1.0
    beat: float = 1.0
    phase: float = 0.0
    tilt: float = 1.0
    offset: Point = (0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """What an action's movements depend on.

    Attributes:
        person: who acts.
        layout: where the places are.
        state: the kitchen before the action.
        step: the action.
        focus: the middle of the picture, in world units.
        half_height: half the height of the picture, in world units.
        seconds: length of the action.
        lying: degrees by which things at rest are turned, by noun.
        chance: this performance.
    """

    person: Participant
    layout: Layout
    state: State
    step: Step
    focus: Point
    half_height: float
    seconds: float
    lying: dict[str, float]
    chance: Chance

    @property
    def main(self) -> int:
        """Side of the hand that acts: 1 right, -1 left."""
        return self.person.side

    def rest(self, side: int) -> Point:
        """Where a hand rests, below the picture."""
        index = 0 if side > 0 else 1
        return (
            self.focus[0] + side * self.chance.reach[index],
            self.focus[1] + self.half_height + self.chance.rest[index],
        )

    def place(self, place: str) -> Point:
        """World coordinates of a place, the chopping board's own included."""
        return self.layout.of(place, self.state.place.get(BOARD, ""))

    def grip(self, noun: str, angle: float) -> Point:
        """From an object's anchor to where the acting hand holds it, the object turned by ``angle``."""
        x, y = THINGS[noun].grip
        return turned((x * self.main, y), angle)


def ease(phase: float, start: float, stop: float) -> float:
    """0 before ``start``, 1 after ``stop``, smooth between."""
    part = min(1.0, max(0.0, (phase - start) / (stop - start)))
    return part * part * (3 - 2 * part)


def between(a: Point, b: Point, part: float, arc: float = 0.0) -> Point:
    """A point on the way from ``a`` to ``b``, raised by up to ``arc`` half-way."""
    return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part - 4 * arc * part * (1 - part))


def plus(a: Point, b: Point, factor: float = 1.0) -> Point:
    """``a`` moved by ``factor`` times ``b``."""
    return (a[0] + b[0] * factor, a[1] + b[1] * factor)


def turned(point: Point, angle: float) -> Point:
    """Rotate by degrees counter-clockwise as seen (y points down)."""
    turn = math.radians(angle)
    return (
        point[0] * math.cos(turn) + point[1] * math.sin(turn),
        -point[0] * math.sin(turn) + point[1] * math.cos(turn),
    )
