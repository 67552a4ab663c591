"""The parts of a model, by the names of its parameters: tower, projector, language model, action token and heads."""

from __future__ import annotations

from llavaction.models.action_token import TRAINED_WHOLE

PARTS = ("tower", "projector", "language", "action")
"""What may have a learning rate of its own."""

_PROJECTOR = ("multi_modal_projector", "image_newline", "merger", "deepstack_merger_list")
_TOWER = ("vision_tower", "visual")


def part_of(name: str) -> str:
    """The part a parameter or module belongs to, in any family and with or without adapters."""
    steps = name.split(".")
    for part, marks in (("action", TRAINED_WHOLE), ("projector", _PROJECTOR), ("tower", _TOWER)):
        if any(mark in steps for mark in marks):
            return part
    return "language"
