"""kitchen_mini: a rendered dataset of egocentric kitchen actions in the EPIC-KITCHENS-100 folder and file format.

It needs no download: people with different hands, sleeves and habits act in different kitchens, in sequences that make
sense; verbs such as open and close, take and put, pour and shake look alike in any single frame.
"""

from kitchen_mini.renderer.config import KitchenMiniConfig
from kitchen_mini.renderer.generation import KitchenMiniSummary, generate
from kitchen_mini.renderer.sheet import contact_sheet

__all__ = ["KitchenMiniConfig", "KitchenMiniSummary", "contact_sheet", "generate"]
