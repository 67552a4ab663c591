"""What the numbers of a full audit mean, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llavaction.evaluation.comparison import p_value

ALIKE = 0.02
"""A difference whose whole interval is within so many of zero is none worth speaking of."""
SURE = 0.05
"""P-values below speak for a difference."""

_WORDS = {
    "blind": ("when the clip is taken away", "the clip is not needed", "the clip is looked at"),
    "middle": ("when only the middle frame is shown", "one frame is enough", "more than the middle frame is used"),
    "first": ("when only the first frame is shown", "the first frame is enough", "more than the first frame is used"),
    "last": ("when only the last frame is shown", "the last frame is enough", "more than the last frame is used"),
    "shuffled": ("when the frames are shuffled", "frame order is not needed", "frame order is used"),
    "reversed": (
        "when the frames are reversed",
        "the direction of time is not needed",
        "the direction of time is used",
    ),
}
"""Of each condition: when; what follows where nothing is lost; what follows where something is."""


def of_ordinary(accuracy: Mapping[str, Any], chance: float) -> str:
    """What the ordinary run's accuracy means beside guessing."""
    if accuracy["low"] > chance:
        return "better than guessing"
    return "not shown to be better than guessing, so that little can be lost below"


def of_condition(row: Mapping[str, Any], chance: float) -> str:
    """What a condition's row means: answers that do not change, a loss, a gain, no difference, or that none can tell.

    Args:
        row: see :func:`llavaction.evaluation.full_audit.audit_table`.
        chance: accuracy of guessing.
    """
    when, needless, used = _WORDS[row["name"]]
    difference = row["difference"]
    if difference is None:
        return "no question could be asked with and without it"
    value, low, high = difference["value"], difference["low"], difference["high"]
    points = f"{100 * abs(value):.1f} points"
    if row["same_choice"] == 1.0:
        said = f"answers do not change {when}: {needless}"
    elif row["p_holm"] < SURE and value < 0:
        said = f"{points} fewer are right {when}: {used}"
    elif row["p_holm"] < SURE:
        said = f"{points} more are right {when}: what is taken away misleads"
    elif low is not None and max(-low, high) <= ALIKE:
        said = f"accuracy stays within {100 * ALIKE:.0f} points {when}: {needless}"
    else:
        most = "" if low is None else f"; they may be {100 * max(-low, 0.0):.1f} points fewer"
        said = f"as many are right {when}, as far as these questions tell{most}"
    if row["name"] == "blind" and row["accuracy"]["low"] > chance:
        said += "; the texts alone give more than guessing"
    return said


def of_orders_text(orders: Mapping[str, Any] | None) -> list[str]:
    """What other orders of the options show: sentences on places and on consistency."""
    if orders is None:
        return []
    counts, total = orders["places"], sum(orders["places"].values())
    letter = max(counts, key=lambda name: counts[name])
    share, p = counts[letter] / total, orders["p_place"]
    if share == 1.0:
        places = f"always says {letter}"
    elif p is None:
        places = "not asked in all orders, so that a preference for places cannot be tested"
    elif p < SURE:
        places = f"prefers {letter}: says it in {share:.1%} of all orders, where every letter is as often right"
    else:
        places = "no preference for a place can be told"
    same = orders["consistency"]["value"]
    agreement, chance = orders["agreement"], orders["chance_of_agreement"]
    steady = (
        f"chooses the same option in all orders in {same:.1%} of the questions; in another order the choice is that of "
        f"the stored one in {agreement:.1%}, guessing would give {chance:.1%}"
    )
    return [places, steady]


def audit_text(audit: Mapping[str, Any]) -> str:
    """The table of a full audit for a terminal."""
    ordinary, orders = audit["ordinary"], audit["orders"]
    lines = ["how good the number is:", _line("as asked", ordinary["accuracy"], "", ordinary["meaning"])]
    for row in audit["conditions"]:
        if row["difference"] is None:
            lines.append(f"  {row['title']:24} {row['meaning']}")
            continue
        value, low, high = (row["difference"][name] for name in ("value", "low", "high"))
        ends = "" if low is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
        compared = f"{100 * value:+.1f}{ends}, {p_value(row['p_holm'])}"
        lines.append(_line(row["title"], row["accuracy"], compared, row["meaning"]))
    if orders is not None:
        p = "" if orders["p_place"] is None else f", {p_value(orders['p_place'])}"
        letters = ", ".join(f"{letter} {count}" for letter, count in orders["places"].items())
        lines.append(f"  {'places chosen':24} {letters}{p}: {orders['meaning'][0]}")
        lines.append(f"  {'orders of the options':24} {orders['meaning'][1]}")
    lines += [f"  left out, {name}: {why}" for name, why in audit["left_out"].items()]
    return "\n".join(lines)


def _line(title: str, accuracy: Mapping[str, Any], compared: str, meaning: str) -> str:
    share = f"{accuracy['value']:.1%} [{accuracy['low']:.1%}, {accuracy['high']:.1%}]"
    return f"  {title:24} {share}{'  ' if compared else ''}{compared}: {meaning}"
