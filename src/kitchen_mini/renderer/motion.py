"""What moves during an action: where hands and objects are at each moment.

Every verb is a function of the phase, 0 at the start of the action and 1 at its end. Hands come in from below the
picture and leave the same way. "put", "close" and "turn-off" are "take", "open" and "turn-on" played backwards, pose by
pose: no single moment tells them apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from kitchen_mini.renderer.brush import Point
from kitchen_mini.renderer.objects import CAPS, CONTENTS, THINGS
from kitchen_mini.renderer.room import lever_end
from kitchen_mini.renderer.scene import (
    Cap,
    Door,
    Drops,
    Hand,
    Item,
    Layer,
    Lever,
    Scene,
    between,
    ease,
    plus,
    turned,
)
from kitchen_mini.renderer.state import (
    BOARD,
    BOARD_PLACES,
    CONTAINERS,
    HAND,
    MOVABLE,
    ON_BOARD,
    SPOTS_INSIDE,
    WATER,
)
from kitchen_mini.renderer.world import REVERSES


def _visit(home: Point, place: Point, phase: float, arrive: float, leave: float) -> Point:
    """Come from ``rest`` to ``place`` until ``arrive``, stay, go back from ``leave`` on."""
    if phase < leave:
        return between(home, place, ease(phase, 0, arrive), 5)
    return between(place, home, ease(phase, leave, 1), 5)


def layers(scene: Scene, phase: float) -> list[Layer]:
    """Everything that moves at a phase of the action, in drawing order.

    Args:
        scene: the action.
        phase: 0 at its start, 1 at its end.
    """
    verb = scene.step.verb
    if verb in REVERSES:
        return _MOTIONS[REVERSES[verb]](_backwards(scene), 1 - phase)
    return _MOTIONS[verb](scene, phase)


def _backwards(scene: Scene) -> Scene:
    """The scene whose action, played backwards, is this one's."""
    step = scene.step
    if step.verb == "put":
        return replace(scene, step=replace(step, verb="take", spot=step.to, to=""))
    return replace(scene, step=replace(step, verb=REVERSES[step.verb]))


def _seat(scene: Scene, place: str) -> Point:
    """Where an object's anchor is at a place; things in a container lie on what holds them."""
    if place in CONTAINERS:
        x, y = scene.place(scene.state.place[place])
        return (x, y - (0 if place == "pan" else 12))
    return scene.place(place)


def _take(scene: Scene, phase: float) -> list[Layer]:
    noun, thing = scene.step.noun, THINGS[scene.step.noun]
    seat = _seat(scene, scene.step.spot)
    lying, carried = scene.lying.get(noun, 0.0), thing.carried * scene.main
    lift = ease(phase, 0.56, 1)
    angle = lying + (carried - lying) * lift
    away = plus(scene.rest(scene.main), (0, thing.reach))
    hold = plus(seat, scene.grip(noun, lying))
    if phase < 0.56:
        hand = between(scene.rest(scene.main), hold, ease(phase, 0, 0.4), 6)
    else:
        hand = between(hold, away, lift, 8)
    at = plus(hand, scene.grip(noun, angle), -1) if phase >= 0.5 else seat
    item = Item(noun, at, angle, scale=1 + 0.14 * lift, lift=14 * lift)
    both: list[Layer] = [item, Hand(scene.main, hand, "open" if phase < 0.46 else "grip")]
    if noun == BOARD:
        offset = (-2 * thing.grip[0] * scene.main, 0.0)
        both.append(Hand(-scene.main, plus(hand, offset), "open" if phase < 0.46 else "grip"))
    return both


def _move(scene: Scene, phase: float) -> list[Layer]:
    noun = scene.step.noun
    lying = scene.lying.get(noun, 0.0)
    start, stop = scene.place(scene.step.spot), scene.place(scene.step.to)
    at = between(start, stop, ease(phase, 0.36, 0.7))
    grip = scene.grip(noun, lying)
    hand = plus(at, grip)
    if phase < 0.36:
        hand = between(scene.rest(scene.main), hand, ease(phase, 0, 0.32), 6)
    elif phase > 0.72:
        hand = between(hand, scene.rest(scene.main), ease(phase, 0.74, 1), 6)
    return [Item(noun, at, lying), Hand(scene.main, hand, "grip" if 0.3 < phase < 0.76 else "open")]


def _open(scene: Scene, phase: float) -> list[Layer]:
    if scene.step.spot in SPOTS_INSIDE:
        amount = ease(phase, 0.36, 0.68)
        handle = scene.layout.handle(scene.step.spot, amount)
        hand = _visit(scene.rest(scene.main), plus(handle, (0, 2)), phase, 0.34, 0.7)
        return [Door(scene.step.spot, amount), Hand(scene.main, hand, "grip" if 0.32 < phase < 0.72 else "open")]
    return _unscrew(scene, phase)


def _unscrew(scene: Scene, phase: float) -> list[Layer]:
    noun = scene.step.noun
    body, side = THINGS[noun], -scene.main
    in_hand = scene.step.spot == HAND
    stand = plus(scene.focus, (0, 20)) if in_hand else scene.place(scene.step.spot)
    steady: Point = (side * body.width * 0.8, -7.0)
    hand = _visit(plus(scene.rest(side), (0, body.reach if in_hand else 0)), plus(stand, steady), phase, 0.26, 0.76)
    at = plus(hand, steady, -1) if in_hand else stand
    knob = plus(stand, (CAPS[noun][1][0], CAPS[noun][1][1]))
    twist = ease(phase, 0.3, 0.36) * (1 - ease(phase, 0.56, 0.62))
    turn = twist * 22 * math.sin(2 * math.pi * 3 * phase)
    fingers = plus(knob, (turn / 9, 0))
    lift = ease(phase, 0.6, 1)
    cap_hand = between(scene.rest(scene.main), fingers, ease(phase, 0, 0.3), 6)
    if phase >= 0.6:
        cap_hand = between(fingers, plus(scene.rest(scene.main), (0, 10)), lift, 12)
    on = phase < 0.6
    cap_at = at if on and not 0.3 < phase < 0.6 else plus(cap_hand, CAPS[noun][1], -1)
    return [
        Hand(side, hand, "grip"),
        Item(noun, at, opened=True),
        Cap(noun, cap_at, turn + 40 * lift * scene.main),
        Hand(scene.main, cap_hand, "pinch"),
    ]


def _turn_on(scene: Scene, phase: float) -> list[Layer]:
    thing = scene.step.noun
    amount = ease(phase, 0.42, 0.58)
    if thing == "kettle":
        x, y = scene.place(scene.step.spot)
        end = (x + 15 * scene.main, y - 5 + 3 * amount)
    else:
        end = lever_end(scene.layout, thing, amount)
    hand = _visit(scene.rest(scene.main), plus(end, (0, 3)), phase, 0.38, 0.62)
    return [Lever(thing, amount), Hand(scene.main, hand, "pinch")]


def _cycle(scene: Scene, phase: float, hertz: float) -> float:
    """Angle in radians of a repeated movement."""
    beats = hertz * scene.chance.beat * scene.person.tempo
    return 2 * math.pi * (beats * scene.seconds * phase + scene.chance.phase)


def _wash(scene: Scene, phase: float) -> list[Layer]:
    noun, sponge = scene.step.noun, scene.step.partner == "sponge"
    angle = _cycle(scene, phase, 1.8)
    reach = 6.5 * scene.chance.swing
    circle = (reach * math.cos(angle), 0.7 * reach * math.sin(angle))
    if noun in ("tap", "hob"):
        centre = plus(scene.layout.hob, (18, 4)) if noun == "hob" else plus(scene.layout.tap, (0, -6))
        hand = plus(_visit(scene.rest(scene.main), centre, phase, 0.24, 0.8), circle)
        return [*_sponge(scene, hand, sponge), Hand(scene.main, hand, "open" if not sponge else "grip")]
    side, body = -scene.main, THINGS[noun]
    middle = plus(scene.layout.sink, (0, 0 if body.mouth[1] > -12 else 12))
    steady: Point = (side * min(body.width, 15.0), 3.0)
    hand = _visit(plus(scene.rest(side), (0, body.reach)), plus(middle, steady), phase, 0.26, 0.78)
    at = plus(hand, steady, -1)
    centre = plus(at, (0, -3 if body.mouth[1] > -12 else -12))
    rubbing = plus(_visit(scene.rest(scene.main), plus(centre, (4 * scene.main, 5)), phase, 0.3, 0.76), circle)
    return [
        Hand(side, hand, "grip"),
        Item(noun, at, scene.lying.get(noun, 0.0) / 2, lift=4),
        *_sponge(scene, rubbing, sponge),
        Hand(scene.main, rubbing, "open" if not sponge else "grip"),
    ]


def _sponge(scene: Scene, hand: Point, in_hand: bool) -> list[Layer]:
    return [Item("sponge", plus(hand, scene.grip("sponge", 0), -1), lift=2)] if in_hand else []


def _knife_work(scene: Scene, phase: float, blade: Point, roll: float) -> list[Layer]:
    """The knife over the food on the board: ``blade`` is its offset, ``roll`` turns the food."""
    noun = scene.step.noun
    seat, side = scene.place(ON_BOARD), -scene.main
    reach = THINGS[noun].width
    steady = _visit(scene.rest(side), plus(seat, (side * reach * 0.85, 3)), phase, 0.2, 0.82)
    angle = THINGS["knife"].carried * scene.main
    middle = turned((-9 * scene.main, 0), angle)
    contact = plus(plus(seat, middle, -1), blade)
    home = plus(scene.rest(scene.main), (0, 24))
    hand = _visit(home, plus(contact, scene.grip("knife", angle)), phase, 0.24, 0.8)
    return [
        Item(noun, seat, scene.lying.get(noun, 0.0) + roll),
        Hand(side, steady, "grip"),
        Item("knife", plus(hand, scene.grip("knife", angle), -1), angle, lift=4),
        Hand(scene.main, hand, "grip"),
    ]


def _cut(scene: Scene, phase: float) -> list[Layer]:
    down = 0.5 - 0.5 * math.cos(_cycle(scene, phase, 1.9))
    along = (ease(phase, 0.2, 0.85) - 0.5) * 6 * -scene.main
    return _knife_work(scene, phase, (along, -9 * scene.chance.swing * down), 0)


def _peel(scene: Scene, phase: float) -> list[Layer]:
    angle = _cycle(scene, phase, 1.3)
    blade = (8.5 * scene.chance.swing * math.cos(angle), -4 + 1.6 * math.sin(angle))
    return _knife_work(scene, phase, blade, 9 * math.sin(angle / 2))


_FULL_TILT = {"bottle": 118, "milk": 112, "jar": 112, "salt": 128, "kettle": 48, "pan": 52, "bowl": 72, "cup": 84}


def _over(scene: Scene, phase: float, tilt: float, shift: Point, stretch: Point = (1.0, 1.0)) -> list[Layer]:
    """A held thing over its target (or the sink): tilted, shifted, stretched; drops fall while it works."""
    step, thing = scene.step, THINGS[scene.step.noun]
    target = _mouth(scene)
    angle = tilt * scene.chance.tilt * _FULL_TILT.get(step.noun, 0) * scene.main
    mouth = turned((thing.mouth[0] * scene.main, thing.mouth[1]), _FULL_TILT.get(step.noun, 0) * scene.main)
    seat = plus(plus(plus(target, (0, -12)), mouth, -1), scene.chance.offset)
    hold = plus(seat, scene.grip(step.noun, _FULL_TILT.get(step.noun, 0) * scene.main))
    hand = plus(_visit(plus(scene.rest(scene.main), (0, thing.reach)), hold, phase, 0.26, 0.78), shift)
    at = plus(hand, scene.grip(step.noun, angle), -1)
    drawn_layers: list[Layer] = [Item(step.noun, at, angle, stretch, lift=12)]
    if 0.34 < phase < 0.76:
        lip = plus(at, turned((thing.mouth[0] * scene.main, thing.mouth[1]), angle))
        content = scene.state.content.get(step.noun, step.noun)
        drawn_layers.insert(0, Drops(lip, target, content if content in CONTENTS else WATER))
    return [Hand(scene.main, hand, "grip"), *drawn_layers]


def _mouth(scene: Scene) -> Point:
    """Where what is poured, shaken or squeezed out falls to."""
    partner = scene.step.partner
    if partner not in CONTAINERS:
        return plus(scene.layout.sink, (0, 4))
    x, y = scene.place(scene.state.place[partner])
    return (x, y + {"pan": 1, "bowl": -11, "cup": -15}[partner])


def _pour(scene: Scene, phase: float) -> list[Layer]:
    return _over(scene, phase, ease(phase, 0.22, 0.44) * (1 - ease(phase, 0.68, 0.86)), (0, 0))


def _shake(scene: Scene, phase: float) -> list[Layer]:
    swing = math.sin(_cycle(scene, phase, 2.5)) * ease(phase, 0.2, 0.3) * (1 - ease(phase, 0.72, 0.82))
    tilt = ease(phase, 0.1, 0.32) * (1 - ease(phase, 0.72, 0.9))
    shift = (2.2 * swing * scene.chance.swing, 5.2 * swing * scene.chance.swing)
    return _over(scene, phase, tilt + 0.1 * swing, shift)


def _squeeze(scene: Scene, phase: float) -> list[Layer]:
    pressed = (0.5 - 0.5 * math.cos(_cycle(scene, phase, 1.4))) * ease(phase, 0.2, 0.3) * (1 - ease(phase, 0.7, 0.8))
    pressed *= min(1.2, scene.chance.swing)
    tilt = ease(phase, 0.1, 0.32) * (1 - ease(phase, 0.72, 0.9))
    return _over(scene, phase, tilt, (0, 0), (1 - 0.42 * pressed, 1 + 0.2 * pressed))


def _mix(scene: Scene, phase: float) -> list[Layer]:
    container = scene.step.partner or scene.step.noun
    stand = scene.place(scene.state.place[container])
    centre = plus(stand, (0, {"pan": 1, "bowl": -11, "cup": -15}[container]))
    radius = {"pan": 9.5, "bowl": 7.5, "cup": 4.5}[container] * scene.chance.swing
    turn = _cycle(scene, phase, 1.4)
    angle = THINGS["spoon"].carried * scene.main
    tip = plus(
        plus(centre, (radius * math.cos(turn), 0.5 * radius * math.sin(turn))), turned((-13 * scene.main, 0), angle), -1
    )
    hold = plus(tip, scene.grip("spoon", angle))
    hand = _visit(plus(scene.rest(scene.main), (0, 22)), hold, phase, 0.24, 0.8)
    side = -scene.main
    edge = {"pan": 18.0, "bowl": 14.0, "cup": 9.0}[container]
    steady = _visit(scene.rest(side), plus(centre, (side * edge, 5)), phase, 0.22, 0.8)
    return [
        Hand(side, steady, "grip"),
        Item("spoon", plus(hand, scene.grip("spoon", angle), -1), angle, lift=3),
        Hand(scene.main, hand, "grip"),
    ]


_MOTIONS: dict[str, Callable[[Scene, float], list[Layer]]] = {
    "take": _take,
    "move": _move,
    "open": _open,
    "turn-on": _turn_on,
    "wash": _wash,
    "cut": _cut,
    "peel": _peel,
    "pour": _pour,
    "shake": _shake,
    "squeeze": _squeeze,
    "mix": _mix,
}


def centre_of(scene: Scene) -> Point:
    """The point of the world an action is about; the camera looks there."""
    step, layout = scene.step, scene.layout
    if step.verb in ("pour", "shake", "squeeze"):
        return plus(_mouth(scene), (0, -2))
    if step.verb == "mix":
        return scene.place(scene.state.place[step.partner or step.noun])
    if step.verb == "move":
        return between(scene.place(step.spot), scene.place(step.to), 0.5)
    if step.verb == "wash" and step.noun in MOVABLE:
        return layout.sink
    spot = step.to if step.verb == "put" else step.spot
    if spot == HAND:
        return plus(scene.place(BOARD_PLACES[0]), (25, 0))
    fixed = {"tap": plus(layout.tap, (-4, 12)), "hob": layout.hob}
    fixed |= {name: between(layout.handle(name, 0), layout.handle(name, 1), 0.5) for name in SPOTS_INSIDE}
    return fixed[spot] if spot in fixed else plus(_seat(scene, spot), (0, min(0, THINGS[step.noun].mouth[1]) / 2))
