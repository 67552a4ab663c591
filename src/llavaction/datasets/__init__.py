"""Readers of annotation folders, and kitchen_mini, the rendered dataset that needs no download."""

from llavaction.base.registry import resolve

DATASETS = {
    "epic-kitchens-100": "llavaction.datasets.epic_kitchens:EpicKitchens",
}
"""Readers by dataset name; each takes the annotation folder."""

__all__ = ["DATASETS", "resolve"]
