"""Parameter groups: which part of a model a parameter belongs to, in any family, with or without adapters."""

from __future__ import annotations

from llavaction.models.action_config import TRAINED_WHOLE

PARAM_GROUPS = ("vision_tower", "projector", "language_model", "action")
"""What may have a learning rate of its own: vision tower, projector, language model, action token and heads."""

_PROJECTOR = ("multi_modal_projector", "image_newline", "merger", "deepstack_merger_list")
_VISION_TOWER = ("vision_tower", "visual")


def param_group_of(name: str) -> str:
    """The group of :data:`PARAM_GROUPS` that a parameter or module belongs to."""
    steps = name.split(".")
    for group, marks in (("action", TRAINED_WHOLE), ("projector", _PROJECTOR), ("vision_tower", _VISION_TOWER)):
        if any(mark in steps for mark in marks):
            return group
    return "language_model"
