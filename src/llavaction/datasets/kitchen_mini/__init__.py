"""kitchen_mini: a rendered dataset of egocentric kitchen actions in the EPIC-KITCHENS-100 folder and file format.

It needs no download: people with different hands, sleeves and habits act in different kitchens, in sequences that make
sense; verbs such as open and close, take and put, pour and shake look alike in any single frame.
"""

from llavaction.datasets.kitchen_mini.config import KitchenMiniConfig
from llavaction.datasets.kitchen_mini.generation import KitchenMiniSummary, generate
from llavaction.datasets.kitchen_mini.sheet import contact_sheet

__all__ = ["KitchenMiniConfig", "KitchenMiniSummary", "contact_sheet", "generate"]
