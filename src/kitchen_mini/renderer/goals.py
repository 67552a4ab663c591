"""Sequences of actions that make sense: what people in kitchens are after.

A goal asks for its actions; the planner adds what has to happen first (open the drawer, take the knife, put the board
down), so the same goal gives different sequences in different kitchens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kitchen_mini.renderer.planner import HOMES, LIDDED, ImpossibleError, Planner
from kitchen_mini.renderer.state import (
    BOARD,
    BOARD_PLACES,
    BURNER,
    CONTAINERS,
    CUPBOARDS,
    DRAWERS,
    FOODS,
    MOVABLE,
    SLOTS,
    State,
    Step,
    first_state,
)
from kitchen_mini.renderer.world import ACTIONS, allows


def plan(count: int, rng: np.random.Generator) -> tuple[State, list[Step]]:
    """``count`` consecutive actions cut from a longer stay in a kitchen, and the state they start from.

    Args:
        count: number of actions.
        rng: source of every choice.
    """
    start = first_state(rng)
    planner = Planner(start.copy(), rng)
    skipped = int(rng.integers(0, 9))
    while len(planner.steps) < skipped + count:
        _pursue(planner)
    for step in planner.steps[:skipped]:
        start.apply(step)
    return start, planner.steps[skipped : skipped + count]


def _pursue(planner: Planner) -> None:
    """Pursue one random goal; adds any number of steps, none where the kitchen does not allow it."""
    weights = np.array([weight for _, weight in _GOALS])
    goal = _GOALS[int(planner.rng.choice(len(_GOALS), p=weights / weights.sum()))][0]
    try:
        goal(planner)
    except ImpossibleError:
        return


def _prepare_food(planner: Planner) -> None:
    food = planner.pick(planner.present(FOODS))
    if planner.maybe(0.45):
        planner.wash(food)
    planner.onto_board(food)
    planner.hold("knife")
    if planner.maybe(0.5):
        planner.work(food, "peel")
    planner.work(food, "cut")
    if planner.maybe(0.5):
        planner.put_down("knife")
    vessel = planner.pick(planner.standing(("pan", "bowl")))
    if planner.maybe(0.6):
        planner.hold(food)
        planner.put_down(food, vessel)
        if planner.maybe(0.6):
            planner.mix(vessel)


def _cook(planner: Planner) -> None:
    if planner.state.place["pan"] != BURNER:
        planner.hold("pan")
        planner.put_down("pan", BURNER)
    planner.switch("hob", "turn-on")
    if "pan" not in planner.state.content:
        food = planner.pick(planner.present(FOODS[:4]))
        planner.hold(food)
        planner.put_down(food, "pan")
    if planner.maybe(0.4):
        planner.empty_over(
            planner.pick(planner.present(("bottle", "milk", "salt"))), "pan", planner.pick(("pour", "shake"))
        )
    planner.mix("pan")
    if planner.maybe(0.3):
        planner.hold("pan")
        planner.tip("pan", "", "shake")
        planner.put_down("pan", BURNER)
    if planner.maybe(0.7):
        planner.switch("hob", "turn-off")


def _season(planner: Planner) -> None:
    target = planner.pick(planner.standing(("pan", "bowl")))
    noun = planner.pick(planner.present(("salt", "salt", "bottle", "lemon", "jar")))
    verbs = [verb for verb in ("shake", "pour", "squeeze") if allows(noun, verb)]
    planner.empty_over(noun, target, planner.pick(verbs))


def _drink(planner: Planner) -> None:
    noun = planner.pick(planner.present(("kettle", "milk", "milk", "bottle", "jar")))
    if planner.state.place.get("cup") not in SLOTS:
        planner.hold("cup")
        planner.put_down("cup")
    if noun == "kettle" and planner.maybe(0.7):
        planner.switch("kettle", "turn-on")
        if planner.maybe(0.7):
            planner.switch("kettle", "turn-off")
    if noun == "milk" and planner.maybe(0.4):
        planner.hold(noun)
        planner.tip(noun, "", "shake")
    planner.empty_over(noun, "cup", "pour")
    if planner.maybe(0.6):
        planner.mix("cup")


def _wash_up(planner: Planner) -> None:
    dirty = ("plate", "bowl", "cup", "pan", "spoon", "knife", BOARD, *FOODS[:4])
    for _ in range(int(planner.rng.integers(1, 3))):
        planner.wash(planner.pick(planner.present(dirty)))
    if planner.maybe(0.75):
        planner.switch("tap", "turn-off")


def _wipe(planner: Planner) -> None:
    planner.hold("sponge")
    planner.wash(planner.pick(("hob", "tap", "hob")))
    if planner.maybe(0.6):
        planner.tip("sponge", "", planner.pick(("squeeze", "squeeze", "shake")))
    if planner.maybe(0.8):
        planner.put_down("sponge")


def _tidy(planner: Planner) -> None:
    noun = planner.pick([noun for noun in HOMES if noun in planner.lying()])
    planner.hold(noun)
    fixture = planner.pick(HOMES[noun])
    spot = planner.pick(planner.free_inside(fixture))
    planner.access(fixture)
    planner.put_down(noun, spot)
    planner.shut(fixture)


def _make_room(planner: Planner) -> None:
    lying = planner.lying()
    planner.move(planner.pick([lying[index] for index in planner.rng.permutation(len(lying))]))


def _look_inside(planner: Planner) -> None:
    things = [*DRAWERS, *CUPBOARDS, *planner.present(LIDDED)]
    planner.toggle(planner.pick(things))


def _whim(planner: Planner) -> None:
    """Some action of the world, each as likely as any other: this fills the long tail."""
    verb, noun = ACTIONS[int(planner.rng.integers(len(ACTIONS)))]
    if noun in MOVABLE and planner.state.place[noun] not in planner.reachable_places():
        raise ImpossibleError
    if verb == "take":
        planner.hold(noun)
    elif verb == "put":
        planner.hold(noun)
        planner.put_down(noun)
    elif verb == "move":
        if planner.state.place[noun] not in (*SLOTS[:9], *BOARD_PLACES):
            planner.hold(noun)
            planner.put_down(noun, "" if noun == BOARD else planner.pick(planner.free_slots()))
        planner.move(noun)
    elif verb == "wash":
        planner.wash(noun)
    elif verb in ("open", "close"):
        planner.toggle(noun if noun in LIDDED else planner.pick(CUPBOARDS if noun == "cupboard" else DRAWERS))
    elif verb in ("turn-on", "turn-off"):
        planner.switch(noun, "turn-off" if noun in planner.state.running else "turn-on")
    elif verb in ("cut", "peel"):
        planner.onto_board(noun)
        planner.hold("knife")
        planner.work(noun, verb)
    elif verb == "mix":
        if noun in planner.standing(CONTAINERS) and noun not in planner.state.content:
            planner.empty_over(planner.pick(planner.present(("bottle", "kettle", "jar"))), noun, "pour")
        planner.mix(planner.pick([c for c in CONTAINERS if c == noun or planner.state.content.get(c) == noun]))
    else:
        target = planner.pick(["", *(c for c in planner.standing(CONTAINERS) if c != noun)])
        planner.empty_over(noun, target, verb)


_GOALS: tuple[tuple[Callable[[Planner], None], float], ...] = (
    (_prepare_food, 5.0),
    (_cook, 3.0),
    (_season, 2.5),
    (_drink, 3.0),
    (_wash_up, 3.5),
    (_wipe, 1.2),
    (_tidy, 3.0),
    (_look_inside, 1.6),
    (_make_room, 1.5),
    (_whim, 8.0),
)
"""Each goal with its weight."""
