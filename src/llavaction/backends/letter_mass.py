"""The probability mass on the option letters: whether answers begin where they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

LITTLE = 0.5
"""Below this mass a letter is not what the model is about to write."""


def letter_mass_summary(masses: Iterable[float | None]) -> dict[str, Any] | None:
    """Of all questions whose mass is known; None where it is of none.

    Args:
        masses: probability that the answer begins with one of the option letters, by question.

    Returns:
        "mean", "median", "below_half" (share of questions below :data:`LITTLE`) and "n".
    """
    values = np.array([mass for mass in masses if mass is not None], np.float64)
    if not len(values):
        return None
    summary = {"mean": values.mean(), "median": np.median(values), "below_half": (values < LITTLE).mean()}
    return {name: round(float(value), 6) for name, value in summary.items()} | {"n": len(values)}


def letter_mass_warning(summary: Mapping[str, Any] | None) -> str | None:
    """What to tell where the mean is below :data:`LITTLE`; None where all is well or nothing is known."""
    if summary is None or summary["mean"] >= LITTLE:
        return None
    return (
        f"warning: the option letters hold only {summary['mean']:.1%} of the model's probability (mean of "
        f"{summary['n']} questions; below {LITTLE:.0%} in {summary['below_half']:.1%} of them): its answers may not "
        "begin with a letter, and scores of letters then say little\n"
        "  hint: check the chat format; or ask with --decision generation or --set rule=texts --prompt open"
    )
