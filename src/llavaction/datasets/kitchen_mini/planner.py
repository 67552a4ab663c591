"""Sequences of actions that make sense: goals, and the steps a goal needs in the kitchen as it is.

A goal ("cut an onion") asks for its actions; what has to happen first (open the drawer, take the knife, put the board
down) is added by the planner, so the same goal gives different sequences in different kitchens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from llavaction.datasets.kitchen_mini.state import (
    AWAY,
    BOARD_PLACES,
    BURNER,
    CONTAINERS,
    CUPBOARDS,
    DRAWERS,
    FOODS,
    HAND,
    MOVABLE,
    NEIGHBOURS,
    ON_BOARD,
    SLOTS,
    SPOTS_INSIDE,
    State,
    Step,
    first_state,
)
from llavaction.datasets.kitchen_mini.world import ACTIONS, allows

LIDDED = ("bottle", "jar", "milk", "kettle")
_HOMES = {"plate": CUPBOARDS, "bowl": CUPBOARDS, "cup": CUPBOARDS, "jar": CUPBOARDS, "salt": CUPBOARDS}
_HOMES |= {"bottle": CUPBOARDS, "knife": ("drawer0",), "spoon": ("drawer0",), BOARD: ("drawer1",)}


class _Impossible(Exception):
    """The kitchen does not allow the goal now (the thing is not there, no place is free)."""


class Planner:
    """Expands goals into steps and keeps the state they lead to."""

    def __init__(self, state: State, rng: np.random.Generator) -> None:
        self.state, self.rng, self.steps = state, rng, list[Step]()

    # actions, each with what it needs first

    def hold(self, noun: str) -> None:
        """Get ``noun`` into a hand."""
        place = self.state.place[noun]
        if place == HAND:
            return
        if place not in self._reachable_places():
            raise _Impossible
        if noun == BOARD:
            self._clear_board()
        for other in self.state.held()[: max(0, len(self.state.held()) - 1)]:
            self.put_down(other)
        fixture = place.partition(".")[0] if "." in place else ""
        self.access(fixture)
        partner = {"burner": "hob", ON_BOARD: BOARD}.get(place, fixture[:-1])
        self._do(Step("take", noun, place, partner=partner, relation="from" if partner else ""))
        if fixture and self._maybe(0.6):
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
            target = self._pick([slot for slot in NEIGHBOURS[place] if slot not in self.state.occupied()])
        else:
            raise _Impossible
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
        named = self._maybe(0.3)
        self._do(Step(verb, food, ON_BOARD, partner="knife" if named else "", relation="with" if named else ""))

    def empty_over(self, noun: str, target: str, verb: str) -> None:
        """Pour, shake or squeeze ``noun`` over ``target`` ("" for the sink), opening it first where needed."""
        self.hold(noun)
        pours = verb == "pour" and noun in ("bottle", "milk", "jar")
        if pours:
            self.access(noun)
        self.tip(noun, target, verb)
        if pours and self._maybe(0.6):
            self.shut(noun)
        if self._maybe(0.5):
            self.put_down(noun)

    def tip(self, noun: str, target: str, verb: str) -> None:
        """Pour, shake or squeeze a held object over a standing container ("" for the sink)."""
        self.hold(noun)
        if target and self.state.place[target] not in (*SLOTS, BURNER):
            raise _Impossible
        self._do(Step(verb, noun, HAND, partner=target, relation=("into" if verb == "pour" else "over") if target else ""))

    def mix(self, container: str) -> None:
        """Stir what is in a container with the spoon."""
        if container not in self.state.content:
            raise _Impossible
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
            raise _Impossible
        self.state.apply(step)
        self.steps.append(step)

    def _maybe(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def _pick(self, things: Sequence[str]) -> str:
        if not things:
            raise _Impossible
        weights = 1.0 / np.arange(1, len(things) + 1) ** 0.5
        return things[int(self.rng.choice(len(things), p=weights / weights.sum()))]

    def _present(self, nouns: Sequence[str]) -> list[str]:
        return [noun for noun in nouns if self.state.place[noun] in self._reachable_places()]

    def _lying(self) -> list[str]:
        return [noun for noun in MOVABLE if self.state.place[noun] in (*SLOTS, *BOARD_PLACES)]

    def _standing(self, containers: Sequence[str]) -> list[str]:
        return [noun for noun in containers if self.state.place[noun] in (*SLOTS, BURNER)]

    def _reachable_places(self) -> set[str]:
        return self.state.occupied() - {AWAY, *CONTAINERS}

    def _free_inside(self, fixture: str) -> list[str]:
        spots = [f"{fixture}.{index}" for index in range(SPOTS_INSIDE[fixture])]
        return [spot for spot in spots if spot not in self.state.occupied()]

    def _somewhere(self, noun: str) -> str:
        if noun == BOARD:
            return self._pick(BOARD_PLACES)
        if noun == "pan" and BURNER not in self.state.occupied() and self._maybe(0.6):
            return BURNER
        if noun == "sponge" and SLOTS[9] not in self.state.occupied() and self._maybe(0.7):
            return SLOTS[9]
        open_homes = [fixture for fixture in _HOMES.get(noun, ()) if fixture in self.state.opened]
        if open_homes and self._maybe(0.5):
            spots = self._free_inside(self._pick(open_homes))
            if spots:
                return self._pick(spots)
        return self._pick(self._free_slots())

    def _free_slots(self) -> list[str]:
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
