"""Actions with what they need first: to cut an onion the board must lie there and the knife be in hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kitchen_mini.renderer.state import (
    AWAY,
    BOARD,
    BOARD_PLACES,
    BURNER,
    CONTAINERS,
    CUPBOARDS,
    HAND,
    MOVABLE,
    NEIGHBOURS,
    ON_BOARD,
    SLOTS,
    SPOTS_INSIDE,
    State,
    Step,
)
from kitchen_mini.renderer.world import allows

LIDDED = ("bottle", "jar", "milk", "kettle")
HOMES: dict[str, tuple[str, ...]] = {
    "plate": CUPBOARDS,
    "bowl": CUPBOARDS,
    "cup": CUPBOARDS,
    "jar": CUPBOARDS,
    "salt": CUPBOARDS,
}
HOMES |= {"bottle": CUPBOARDS, "knife": ("drawer0",), "spoon": ("drawer0",), BOARD: ("drawer1",)}


class ImpossibleError(Exception):
    """The kitchen does not allow the goal now (the thing is not there, no place is free)."""


class Planner:
    """Collects steps and keeps the state they lead to; every action first does what it needs.

    Args:
        state: where to begin; changed in place.
        rng: source of every choice.

    Its methods raise ImpossibleError where the kitchen does not allow the action.
    """

    def __init__(self, state: State, rng: np.random.Generator) -> None:
        self.state, self.rng, self.steps = state, rng, list[Step]()

    # actions, each with what it needs first

    def hold(self, noun: str) -> None:
        """Get ``noun`` into a hand."""
        place = self.state.place[noun]
        if place == HAND:
            return
        if place not in self.reachable_places():
            raise ImpossibleError
        if noun == BOARD:
            self._clear_board()
        for item in self.state.held()[: max(0, len(self.state.held()) - 1)]:
            self.put_down(item)
        fixture = place.partition(".")[0] if "." in place else ""
        self.access(fixture)
        partner = {"burner": "hob", ON_BOARD: BOARD}.get(place, fixture[:-1])
        self._do(Step("take", noun, place, partner=partner, relation="from" if partner else ""))
        if fixture and self.maybe(0.6):
            self.shut(fixture)

    def put_down(self, noun: str, where: str = "") -> None:
        """Put a held object on ``where``, or on some free place that suits it."""
        place = where or self._somewhere(noun)
        fixture = place.partition(".")[0] if "." in place else ""
        partner, relation = {
            BURNER: ("hob", "on"),
            ON_BOARD: (BOARD, "on"),
            **{container: (container, "in") for container in CONTAINERS},
        }.get(place, (fixture[:-1], "in" if fixture else ""))
        self._do(Step("put", noun, HAND, to=place, partner=partner, relation=relation))

    def move(self, noun: str) -> None:
        """Push an object from one place of the worktop to another."""
        place = self.state.place[noun]
        if noun == BOARD and place in BOARD_PLACES:
            self._clear_board()
            target = BOARD_PLACES[1 - BOARD_PLACES.index(place)]
        elif place in SLOTS[:9]:
            target = self.pick([slot for slot in NEIGHBOURS[place] if slot not in self.state.occupied()])
        else:
            raise ImpossibleError
        self._do(Step("move", noun, place, to=target))

    def wash(self, noun: str) -> None:
        """Wash an object under the running tap, or rub an appliance."""
        sponge = "sponge" if self.state.place["sponge"] == HAND and noun != "sponge" else ""
        if noun not in MOVABLE:
            self.switch(noun, "turn-off")
            self._do(Step("wash", noun, noun, partner=sponge, relation="with" if sponge else ""))
            return
        self.hold(noun)
        self._only_hold(noun, "sponge")
        self.switch("tap", "turn-on")
        self._do(Step("wash", noun, HAND, partner=sponge, relation="with" if sponge else ""))

    def switch(self, noun: str, verb: str) -> None:
        """Turn an appliance on or off unless it already is."""
        if (noun in self.state.running) == (verb == "turn-on"):
            return
        if noun == "kettle" and self.state.place[noun] not in SLOTS:
            self.hold(noun)
            self.put_down(noun)
        self._do(Step(verb, noun, self.state.place.get(noun, noun)))

    def toggle(self, thing: str) -> None:
        """Open what is closed, close what is open."""
        verb = "close" if thing in self.state.opened else "open"
        if thing in SPOTS_INSIDE:
            self._do(Step(verb, thing[:-1], thing))
            return
        if self.state.place[thing] not in (HAND, *SLOTS):
            self.hold(thing)
        self._do(Step(verb, thing, self.state.place[thing]))

    def access(self, thing: str) -> None:
        """Open ``thing`` unless it stands open; nothing for ""."""
        if thing and thing not in self.state.opened:
            self.toggle(thing)

    def shut(self, thing: str) -> None:
        """Close ``thing`` unless it is closed."""
        if thing in self.state.opened:
            self.toggle(thing)

    def onto_board(self, food: str) -> None:
        """Get ``food`` on the chopping board, and the board on the worktop."""
        if self.state.place[BOARD] not in BOARD_PLACES:
            self.hold(BOARD)
            self.put_down(BOARD)
        if self.state.place[food] != ON_BOARD:
            self._clear_board()
            self.hold(food)
            self.put_down(food, ON_BOARD)

    def work(self, food: str, verb: str) -> None:
        """Cut or peel the food on the board with the knife in hand."""
        self._only_hold("knife")
        knife = self.maybe(0.3)
        self._do(Step(verb, food, ON_BOARD, partner="knife" if knife else "", relation="with" if knife else ""))

    def empty_over(self, noun: str, target: str, verb: str) -> None:
        """Pour, shake or squeeze ``noun`` over ``target`` ("" for the sink), opening it first where needed."""
        self.hold(noun)
        pours = verb == "pour" and noun in ("bottle", "milk", "jar")
        if pours:
            self.access(noun)
        self.tip(noun, target, verb)
        if pours and self.maybe(0.6):
            self.shut(noun)
        if self.maybe(0.5):
            self.put_down(noun)

    def tip(self, noun: str, target: str, verb: str) -> None:
        """Pour, shake or squeeze a held object over a standing container ("" for the sink)."""
        self.hold(noun)
        if target and self.state.place[target] not in (*SLOTS, BURNER):
            raise ImpossibleError
        self._do(
            Step(verb, noun, HAND, partner=target, relation=("into" if verb == "pour" else "over") if target else "")
        )

    def mix(self, container: str) -> None:
        """Stir what is in a container with the spoon."""
        if container not in self.state.content:
            raise ImpossibleError
        self.hold("spoon")
        if self.state.place[container] == HAND:
            self.put_down(container)
        self._only_hold("spoon")
        content = self.state.content[container]
        if allows(content, "mix"):
            self._do(Step("mix", content, self.state.place[container], partner=container, relation="in"))
        else:
            self._do(Step("mix", container, self.state.place[container]))

    # helpers

    def _do(self, step: Step) -> None:
        if not allows(step.noun, step.verb):
            raise ImpossibleError
        self.state.apply(step)
        self.steps.append(step)

    def maybe(self, probability: float) -> bool:
        """True with that probability."""
        return bool(self.rng.random() < probability)

    def pick(self, things: Sequence[str]) -> str:
        """One of the things, the first a little more likely; raises ImpossibleError where there is none."""
        if not things:
            raise ImpossibleError
        weights = 1.0 / np.arange(1, len(things) + 1) ** 0.5
        return things[int(self.rng.choice(len(things), p=weights / weights.sum()))]

    def present(self, nouns: Sequence[str]) -> list[str]:
        """Those that are within reach."""
        return [noun for noun in nouns if self.state.place[noun] in self.reachable_places()]

    def lying(self) -> list[str]:
        """Objects on the worktop."""
        return [noun for noun in MOVABLE if self.state.place[noun] in (*SLOTS, *BOARD_PLACES)]

    def standing(self, containers: Sequence[str]) -> list[str]:
        """Containers that stand on the worktop or the hob."""
        return [noun for noun in containers if self.state.place[noun] in (*SLOTS, BURNER)]

    def reachable_places(self) -> set[str]:
        """Places that hold something one can take."""
        return self.state.occupied() - {AWAY, *CONTAINERS}

    def free_inside(self, fixture: str) -> list[str]:
        """Free spots of a cupboard or drawer."""
        spots = [f"{fixture}.{index}" for index in range(SPOTS_INSIDE[fixture])]
        return [spot for spot in spots if spot not in self.state.occupied()]

    def _somewhere(self, noun: str) -> str:
        if noun == BOARD:
            return self.pick(BOARD_PLACES)
        if noun == "pan" and BURNER not in self.state.occupied() and self.maybe(0.6):
            return BURNER
        if noun == "sponge" and SLOTS[9] not in self.state.occupied() and self.maybe(0.7):
            return SLOTS[9]
        open_homes = [fixture for fixture in HOMES.get(noun, ()) if fixture in self.state.opened]
        if open_homes and self.maybe(0.5):
            spots = self.free_inside(self.pick(open_homes))
            if spots:
                return self.pick(spots)
        return self.pick(self.free_slots())

    def free_slots(self) -> list[str]:
        """Free places of the worktop, in random order."""
        free = [slot for slot in SLOTS[:9] if slot not in self.state.occupied()]
        return [free[index] for index in self.rng.permutation(len(free))]

    def _clear_board(self) -> None:
        for noun, place in list(self.state.place.items()):
            if place == ON_BOARD:
                self.hold(noun)
                self.put_down(noun)

    def _only_hold(self, *nouns: str) -> None:
        for noun in self.state.held():
            if noun not in nouns:
                self.put_down(noun)
