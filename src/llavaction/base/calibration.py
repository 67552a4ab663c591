"""Whether confidences can be believed: is a choice right as often as it is sure?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def calibration(confidences: ArrayLike, correct: ArrayLike, bins: int = 10) -> dict[str, Any] | None:
    """The expected calibration error and the numbers of a reliability diagram; None without any choice.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), with bins of equal width.

    Args:
        confidences: [choices], probability of each.
        correct: [choices], whether it is right.
        bins: how many; a confidence on a border counts to the upper one.

    Returns:
        "error": mean over the choices of |confidence - accuracy| of their bin; "n"; "brier": mean squared difference
        between confidence and right (1) or wrong (0); "bins": each that holds a choice, with "from" (its lower border),
        "n", "confidence" and "accuracy" (means).
    """
    sure, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if not len(sure):
        return None
    codes = np.minimum((sure * bins).astype(int), bins - 1)
    rows, error = [], 0.0
    for code in np.unique(codes):
        inside = codes == code
        confidence, accuracy = float(sure[inside].mean()), float(right[inside].mean())
        error += abs(confidence - accuracy) * int(inside.sum()) / len(sure)
        rows.append(
            {"from": round(int(code) / bins, 6), "n": int(inside.sum())}
            | {"confidence": round(confidence, 6), "accuracy": round(accuracy, 6)}
        )
    brier = float(((sure - right) ** 2).mean())
    return {"error": round(error, 6), "n": len(sure), "brier": round(brier, 6), "bins": rows}
