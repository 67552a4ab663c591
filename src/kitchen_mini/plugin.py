"""What this package adds to llavaction, see llavaction/base/plugins.py: strings alone, imported when used."""

from __future__ import annotations

from pathlib import Path

COMMANDS = {"demo": ("kitchen_mini.cli.demo:demo", "The whole way, from new made-up videos to a report.")}
DATA_COMMANDS = {
    "kitchen-mini": (
        "kitchen_mini.cli.data:kitchen_mini",
        "Render short egocentric kitchen videos in the EPIC-KITCHENS-100 layout.",
    )
}
CHECKPOINTS = {"bundled": "kitchen_mini.weights:model_folder"}
SPECIALISTS = {"bundled": "kitchen_mini.weights:specialist_folder"}
NOTES = {"bundled": "the bundled model has learnt the rendered kitchens of kitchen_mini, nothing else"}
MODEL_STARTS = {"mini": "kitchen_mini.model.config:Mini"}
STAGE_KINDS = {"boxes": "kitchen_mini.lessons.config:BoxesLesson", "lesson": "kitchen_mini.lessons.config:Lesson"}
TASKS = {
    "part_choice": "kitchen_mini.lessons.part_choice:PartChoice",
    "stand_in": "kitchen_mini.lessons.stand_in:StandIn",
}
RECIPES = {"kitchen_mini": Path(__file__).parent / "recipes"}
OLD_FORMS = {"recipe": "kitchen_mini.old_forms:recipe", "task": "kitchen_mini.old_forms:task"}
