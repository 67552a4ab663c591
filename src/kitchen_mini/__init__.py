"""kitchen_mini: a toy world for LLaVAction, and the plug-in that brings it along.

Rendered videos of kitchens in the EPIC-KITCHENS-100 format, the mini model that is trained on them from nothing, its
lessons, its weights, its recipes and the demo. ``llavaction`` never imports this package: what it adds stands in
:mod:`kitchen_mini.plugin`.
"""
