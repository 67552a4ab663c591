"""Whether confidences can be believed: expected calibration error and the reliability diagram's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BINS = 15
"""Of equal width, as in Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017)."""


def calibration(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> dict[str, Any] | None:
    """How far confidences are from how often they are right; None without any.

    Args:
        confidences: [predictions], probabilities of the chosen classes.
        correct: [predictions], whether each choice is right.
        bins: of equal width from 0 to 1; a confidence on a border counts to the lower bin.

    Returns:
        "ece", the expected calibration error: the mean over predictions of |confidence - accuracy| of their bin;
        "ece_adaptive", the same with bins of equally many predictions; "brier", the mean squared difference to right
        (1) or wrong (0); "bins", each with "low", "high", "n", "confidence" and "accuracy" (empty ones left out).
    """
    sure, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if not len(sure):
        return None
    of_bin = np.clip(np.ceil(sure * bins) - 1, 0, bins - 1).astype(np.int64)
    rows = []
    for number in range(bins):
        inside = of_bin == number
        if inside.any():
            rows.append({
                "low": round(number / bins, 6),
                "high": round((number + 1) / bins, 6),
                "n": int(inside.sum()),
                "confidence": round(float(sure[inside].mean()), 6),
                "accuracy": round(float(right[inside].mean()), 6),
            })  # fmt: skip
    order = np.argsort(sure, kind="stable")
    return {
        "ece": round(_error(sure, right, [np.flatnonzero(of_bin == number) for number in range(bins)]), 6),
        "ece_adaptive": round(_error(sure, right, np.array_split(order, min(bins, len(sure)))), 6),
        "brier": round(float(((sure - right) ** 2).mean()), 6),
        "bins": rows,
    }


def _error(sure: np.ndarray[Any, Any], right: np.ndarray[Any, Any], groups: Any) -> float:
    gaps = [abs(float((sure[group] - right[group]).sum())) for group in groups if len(group)]
    return float(sum(gaps)) / len(sure)
