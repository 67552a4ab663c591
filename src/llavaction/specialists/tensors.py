"""Stored tensors as numpy arrays, within bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from llavaction.base.archives import MOST_ARRAY_ITEMS


def listed(parts: list[Any]) -> list[Any]:
    """Arrays of a list, unless together they have more items than are read (ValueError)."""
    items = sum(np.size(part) for part in parts)
    if items > MOST_ARRAY_ITEMS:
        raise ValueError(f"its entries have {items:,} items together, more than {MOST_ARRAY_ITEMS:,}")
    return parts


def as_array(value: Any) -> Any:
    """A tensor as an array of numpy; bfloat16, which numpy lacks, as float32.

    Raises:
        ValueError: it stands for more items than are read; a few stored ones may be repeated without end.
    """
    if not hasattr(value, "numpy"):
        return value
    if value.numel() > MOST_ARRAY_ITEMS:
        raise ValueError(f"a tensor {list(value.shape)} has more than {MOST_ARRAY_ITEMS:,} items")
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
