"""The table of the EPIC-KITCHENS-100 action recognition challenge, as commands print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llavaction.cli.options import table


def challenge_table(accuracy: Mapping[str, Any], title: str) -> str:
    """Accuracies by group of segments and part of the action.

    Args:
        accuracy: from :func:`llavaction.specialists.accuracy.official_table`, not empty.
        title: heads the first column.
    """
    rows = []
    for name, found in accuracy.items():
        for k in ("top-1", "top-5"):
            if any(k in part for part in found.values()):
                rows.append([f"{name}, {k}", *(f"{part[k]:.1%}" if k in part else "-" for part in found.values())])
    return table(rows, [title, *accuracy["overall"]])
