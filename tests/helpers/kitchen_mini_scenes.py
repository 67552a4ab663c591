"""Single actions of kitchen_mini, staged by hand for the tests."""

from __future__ import annotations

import numpy as np

from kitchen_mini.renderer.config import KitchenMiniConfig
from kitchen_mini.renderer.render import Renderer
from kitchen_mini.renderer.script import Event, Script
from kitchen_mini.renderer.state import AWAY, MOVABLE, SLOTS, State, Step

SMALL = {"width": 64, "height": 48, "train_videos": 3, "validation_videos": 2, "test_videos": 2, "max_segments": 5}
SECONDS = 2.0


def small(**changes: object) -> KitchenMiniConfig:
    """Settings of a dataset that takes a second to draw."""
    return KitchenMiniConfig.from_mapping(SMALL | changes)


def kitchen_state(**places: str) -> State:
    """A kitchen with only the named things in it ("board" for the chopping board)."""
    named = {"board:chopping" if noun == "board" else noun: place for noun, place in places.items()}
    return State(place=dict.fromkeys(MOVABLE, AWAY) | named)


def staged(state: State, step: Step, *, participant: str = "P01", name: str = "P01_01") -> Script:
    """A video of just this action, from its first moment to its last."""
    event = Event(step, 0.0, SECONDS, 0.0, SECONDS, 0.0, "", "", ("",), (0,))
    return Script(name, "train", participant, state, (event,), SECONDS)


def film(
    state: State, step: Step, *, seed: int = 0, still: bool = True, participant: str = "P01", name: str = "v"
) -> np.ndarray:
    """The action's frames, float [frames, height, width, 3]; ``still`` holds the camera still."""
    settings = small(camera_motion=0.0 if still else 1.0)
    script = staged(state, step, participant=participant, name=name)
    return np.stack(list(Renderer(script, settings, seed).frames())).astype(np.float32)


def over_pan(verb: str, noun: str) -> tuple[State, Step]:
    """Pouring or shaking something over the pan."""
    state = kitchen_state(pan="burner", **{noun: "hand"})
    return state, Step(verb, noun, "hand", partner="pan", relation="into" if verb == "pour" else "over")


def on_board(verb: str, noun: str) -> tuple[State, Step]:
    """Cutting or peeling something on the board."""
    return kitchen_state(board="prep0", knife="hand", **{noun: "board"}), Step(verb, noun, "board")


def there_and_back(verb: str) -> tuple[tuple[State, Step], tuple[State, Step]]:
    """An action and its reverse, between the same two states of the same kitchen."""
    if verb == "take":
        return (
            (kitchen_state(cup=SLOTS[1], salt=SLOTS[3]), Step("take", "cup", SLOTS[1])),
            (kitchen_state(cup="hand", salt=SLOTS[3]), Step("put", "cup", "hand", to=SLOTS[1])),
        )
    if verb == "open":
        before, after = kitchen_state(knife="drawer0.1"), kitchen_state(knife="drawer0.1")
        after.opened.add("drawer0")
        return (before, Step("open", "drawer", "drawer0")), (after, Step("close", "drawer", "drawer0"))
    before, after = kitchen_state(sponge=SLOTS[9]), kitchen_state(sponge=SLOTS[9])
    after.running.add("tap")
    return (before, Step("turn-on", "tap", "tap")), (after, Step("turn-off", "tap", "tap"))
