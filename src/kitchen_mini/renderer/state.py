"""What is where in a kitchen, and how one action changes it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kitchen_mini.renderer.world import NOUNS

SLOTS = tuple(f"slot{index}" for index in range(10))
"""Places on the worktop: 0-4 along the wall, 5-8 along the front edge, 9 beside the sink."""
_COLUMNS = (0, 1, 2, 3, 4, 0.2, 1.4, 2.6, 3.8)
NEIGHBOURS = {
    slot: tuple(
        other
        for other, column in zip(SLOTS, _COLUMNS, strict=False)
        if other != slot and abs(own_column - column) < 2.5
    )
    for slot, own_column in zip(SLOTS, _COLUMNS, strict=False)
}
"""Places an object can be pushed to within one picture."""
BOARD_PLACES = ("prep0", "prep1")
CUPBOARDS = ("cupboard0", "cupboard1")
DRAWERS = ("drawer0", "drawer1")
SPOTS_INSIDE = {"cupboard0": 3, "cupboard1": 3, "drawer0": 3, "drawer1": 1}
BOARD = "board:chopping"
ON_BOARD, BURNER, HAND, AWAY = "board", "burner", "hand", "away"
CONTAINERS = ("pan", "bowl", "cup")
WATER = "kettle"
"""What an empty container holds when it is poured."""
FOODS = ("onion", "tomato", "potato", "carrot", "lemon")
MOVABLE = tuple(noun.key for noun in NOUNS if "take" in noun.verbs)


@dataclass(frozen=True)
class Step:
    """One action: what is done, to what, where.

    Attributes:
        verb: verb key.
        noun: noun key.
        spot: where it happens: a place of the worktop, "hand" for a held object, or a fixture such as "drawer1".
        to: where the object ends (put, move), else "".
        partner: a second noun that takes part ("knife" in "cut onion with knife"), else "".
        relation: how the partner takes part: "with", "in", "into", "on", "over", "from", else "".
    """

    verb: str
    noun: str
    spot: str
    to: str = ""
    partner: str = ""
    relation: str = ""


@dataclass
class State:
    """A kitchen at one moment.

    Attributes:
        place: noun to its place; a food that was tipped into a container has the container's key as its place.
        opened: fixtures and lidded objects that stand open.
        running: appliances that are on.
        content: container to what is in it.
        scraps: the food whose bits lie on the board, or "".
    """

    place: dict[str, str] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    content: dict[str, str] = field(default_factory=dict)
    scraps: str = ""

    def copy(self) -> State:
        """An independent copy."""
        return State(dict(self.place), set(self.opened), set(self.running), dict(self.content), self.scraps)

    def held(self) -> list[str]:
        """Objects in the hands, the first taken first."""
        return [noun for noun, place in self.place.items() if place == HAND]

    def occupied(self) -> set[str]:
        """Places that hold something."""
        return set(self.place.values())

    def apply(self, step: Step) -> None:
        """Change the state as ``step`` does."""
        verb, noun = step.verb, step.noun
        if verb in ("take", "put", "move"):
            self._carry(noun, HAND if verb == "take" else step.to)
        elif verb in ("open", "close"):
            thing = step.spot if step.spot in SPOTS_INSIDE else noun
            (self.opened.add if verb == "open" else self.opened.discard)(thing)
        elif verb in ("turn-on", "turn-off"):
            (self.running.add if verb == "turn-on" else self.running.discard)(noun)
        elif verb in ("cut", "peel"):
            self.scraps = noun
        elif verb == "wash":
            self._empty(noun)
            if noun == BOARD:
                self.scraps = ""
        elif verb == "pour":
            poured = self.content.get(noun, WATER if noun in CONTAINERS else noun)
            self._empty(noun)
            if step.partner in CONTAINERS:
                self.content.setdefault(step.partner, poured)

    def _carry(self, noun: str, place: str) -> None:
        if self.place.get(noun) == ON_BOARD and place in CONTAINERS:
            self.scraps = ""
        self.running.discard(noun)
        self.place.pop(noun, None)
        self.place[noun] = place
        if place in CONTAINERS:
            self.content[place] = noun
        if noun == BOARD:
            self.scraps = ""

    def _empty(self, container: str) -> None:
        self.content.pop(container, None)
        for noun, place in self.place.items():
            if place == container:
                self.place[noun] = AWAY


def first_state(rng: np.random.Generator) -> State:
    """A kitchen as a video may find it: things lie about, some doors stand open."""
    state = State(place=dict.fromkeys(MOVABLE, AWAY))
    free = {fixture: [f"{fixture}.{spot}" for spot in range(count)] for fixture, count in SPOTS_INSIDE.items()}
    shelves = [place for cupboard in CUPBOARDS for place in free[cupboard]]
    trays, slots = list(free["drawer0"]), list(SLOTS[:9])
    for places in (shelves, trays, slots):
        rng.shuffle(places)

    def stow(noun: str, places: list[str]) -> None:
        if places:
            state.place[noun] = places.pop()

    for noun in ("knife", "spoon"):
        stow(noun, trays if rng.random() < 0.6 else slots)
    for noun in ("plate", "bowl", "cup"):
        stow(noun, shelves if rng.random() < 0.5 else slots)
    state.place[BOARD] = str(rng.choice((*BOARD_PLACES, *BOARD_PLACES, "drawer1.0")))
    state.place["sponge"] = SLOTS[9]
    state.place["pan"] = BURNER if rng.random() < 0.75 else AWAY
    nouns = ["kettle", "bottle", "jar", "salt", "milk", *FOODS]
    rng.shuffle(nouns)
    for noun in nouns:
        if noun in ("bottle", "jar", "salt") and rng.random() < 0.35:
            stow(noun, shelves)
        elif len(slots) > 2 and rng.random() < 0.75:
            stow(noun, slots)
    state.opened = {thing for thing in (*CUPBOARDS, *DRAWERS) if rng.random() < 0.15}
    state.opened |= {thing for thing in ("bottle", "jar", "milk", "kettle") if rng.random() < 0.25}
    state.running = {thing for thing in ("tap", "hob") if rng.random() < 0.2}
    if state.place["pan"] == BURNER and rng.random() < 0.3:
        food = str(rng.choice(FOODS[:4]))
        state._carry(food, "pan")
    return state
