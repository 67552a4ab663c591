"""Which difference between two models a benchmark can find: power before a run is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from llavaction.base.errors import InputError
from llavaction.base.statistics import Clusters
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.power_config import PowerConfig

MOST_QUESTIONS = 100_000_000
"""More are not looked for."""


@dataclass(frozen=True)
class Design:
    """A planned comparison of two models on the same questions.

    Attributes:
        questions: how many.
        videos: how many they come from.
        discordance: share that just one model has right.
        icc: correlation of the differences of two questions of a video.
        size_variation: squared coefficient of variation of the questions per video; 0 where all have as many.
    """

    questions: int
    videos: int
    discordance: float
    icc: float
    size_variation: float = 0.0

    @property
    def design_effect(self) -> float:
        """By how much clustering inflates the variance; source: Kish, Survey Sampling (1965), for unequal sizes with
        the mean size times one plus its squared coefficient of variation.
        """
        size = self.questions / self.videos * (1 + self.size_variation)
        return max(1 + (size - 1) * self.icc, 1e-9)

    def standard_error(self, difference: float) -> float:
        """Of the mean difference, of 1."""
        discordance = max(self.discordance, abs(difference))
        variance = max(discordance - difference**2, 1e-12)
        return math.sqrt(variance * self.design_effect / self.questions)

    def resized(self, questions: int) -> Design:
        """With other questions, and as many of each video as before."""
        videos = max(2, round(questions * self.videos / self.questions))
        return Design(questions, videos, self.discordance, self.icc, self.size_variation)


def power_of(difference: float, design: Design, level: float = 0.05) -> float:
    """Probability that a two-sided test by video finds a true difference, of either sign.

    The test is taken for Student's t over videos, which the sign-flip test follows closely from a dozen videos on.

    Args:
        difference: in accuracy, 0 to 1.
        design: the planned comparison.
        level: of the test.
    """
    from scipy import stats

    freedom = design.videos - 1
    critical = float(stats.t.ppf(1 - level / 2, freedom))
    shift = abs(difference) / design.standard_error(difference)
    found = float(stats.nct.sf(critical, freedom, shift))
    return min(1.0, found) if math.isfinite(found) else 1.0


def smallest_difference(design: Design, power: float = 0.8, level: float = 0.05) -> float | None:
    """The smallest difference that is found with that power; None where none below the discordance is."""
    low, high = 0.0, design.discordance
    if power_of(high, design, level) < power:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(middle, design, level) >= power else (middle, high)
    return high


def questions_needed(difference: float, design: Design, power: float = 0.8, level: float = 0.05) -> int | None:
    """Questions with which a difference is found with that power, as many of each video as planned; None: never."""
    low, high = 2, 4
    while power_of(difference, design.resized(high), level) < power:
        low, high = high, high * 2
        if high > MOST_QUESTIONS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(difference, design.resized(middle), level) >= power else (middle, high)
    return high


def intraclass_correlation(values: ArrayLike, clusters: Clusters) -> float:
    """Correlation of two values of one cluster, estimated by analysis of variance; 0 where the estimate is negative.

    Source: Donner, "A review of inference procedures for the intraclass correlation coefficient", Int. Statistical
    Review 54 (1986), for clusters of different sizes.

    Args:
        values: [values].
        clusters: [values], the cluster (video) of each.
    """
    array = np.asarray(values, dtype=np.float64)
    _, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sizes = np.bincount(codes)
    count, n = len(sizes), len(array)
    if count < 2 or n <= count:
        return 0.0
    means = np.bincount(codes, weights=array) / sizes
    between = float((sizes * (means - array.mean()) ** 2).sum()) / (count - 1)
    within = float(((array - means[codes]) ** 2).sum()) / (n - count)
    size = (n - float((sizes**2).sum()) / n) / (count - 1)
    total = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / total)) if total > 0 else 0.0


def plan(config: PowerConfig, pilots: Sequence[FinishedRun] = ()) -> dict[str, Any]:
    """What a planned comparison of two models can find.

    Args:
        config: the plan, and what is assumed.
        pilots: none, one run, or two on the same questions; what the plan leaves open is taken from them.

    Returns:
        ``questions``, ``videos``, ``discordance``, ``icc``, ``design_effect``; ``power`` to find ``difference``;
        ``smallest_difference`` found with ``wanted_power`` and ``questions_needed`` for the difference, None where none
        is or are enough; ``accuracy`` and ``half_width`` of its 95 % interval, where known; ``notes``.

    Raises:
        InputError: more than two pilots, or pilots without common questions; or the plan lacks what no pilot tells.
    """
    known = _from_pilots(pilots)
    notes: list[str] = list(known.pop("notes", []))
    questions = config.questions or known.get("questions")
    accuracy = config.accuracy or known.get("accuracy")
    if questions is None:
        raise InputError("how many questions are planned?", hint="give --questions, or a pilot run")
    per_video = known.get("questions", 0) / known["videos"] if known else None
    videos = config.videos or (max(2, round(questions / per_video)) if per_video else questions)
    if config.videos is None and not known:
        notes.append("every question is taken to have a video of its own; --videos tells how many there are")
    discordance = config.discordance or known.get("discordance")
    if discordance is None:
        if accuracy is None:
            raise InputError("how often do the models differ?", hint="give --accuracy or --discordance, or a pilot run")
        other = min(1.0, accuracy + config.difference)
        discordance = accuracy * (1 - other) + other * (1 - accuracy)
        notes.append("discordance is that of models that err independently; models mostly err on the same questions")
    icc = config.icc if config.icc is not None else known.get("icc", 0.0)
    if config.icc is None and not known:
        notes.append("questions of one video are taken for independent; --icc or a pilot tells otherwise")
    design = Design(questions, min(videos, questions), discordance, icc, known.get("size_variation", 0.0))
    least = smallest_difference(design, config.power, config.level)
    result = {
        "schema_version": 1,
        "questions": design.questions,
        "videos": design.videos,
        "discordance": discordance,
        "icc": icc,
        "design_effect": design.design_effect,
        "difference": config.difference,
        "level": config.level,
        "power": power_of(config.difference, design, config.level),
        "wanted_power": config.power,
        "smallest_difference": least,
        "questions_needed": questions_needed(config.difference, design, config.power, config.level),
        "accuracy": accuracy,
        "half_width": None,
        "notes": notes,
    }
    if accuracy is not None:
        result["half_width"] = _half_width(accuracy, design, known.get("icc_of_answers", icc))
    if discordance < config.difference:
        notes.append("the discordance is smaller than the difference, which cannot be; the difference is taken for it")
    return result


def _half_width(accuracy: float, design: Design, icc: float) -> float:
    from scipy import stats

    single = Design(design.questions, design.videos, 1.0, icc, design.size_variation)
    spread = math.sqrt(accuracy * (1 - accuracy) * single.design_effect / design.questions)
    return float(stats.t.ppf(0.975, design.videos - 1)) * spread


def _from_pilots(pilots: Sequence[FinishedRun]) -> dict[str, Any]:
    if not pilots:
        return {}
    if len(pilots) > 2:
        raise InputError("power takes one pilot run or two")
    answers = [{item.question_id: item for item in run.predictions} for run in pilots]
    common = [one for one in answers[0] if all(one in other for other in answers)]
    if len(common) < 2:
        raise InputError("the pilot has less than two questions that can be used", file=pilots[-1].folder)
    videos = [answers[0][one].video_id for one in common]
    right = [np.array([answer[one].counted or 0.0 for one in common]) for answer in answers]
    sizes = np.unique(videos, return_counts=True)[1]
    found: dict[str, Any] = {
        "questions": len(common),
        "videos": len(sizes),
        "accuracy": float(right[0].mean()),
        "size_variation": float((sizes.std() / sizes.mean()) ** 2),
        "icc_of_answers": intraclass_correlation(right[0], videos),
        "notes": [],
    }
    if not 0 < found["accuracy"] < 1:
        found.pop("accuracy")
    if len(pilots) == 1:
        found["icc"] = found["icc_of_answers"]
        found["notes"].append(
            "correlation within videos is that of one model's answers; two pilots tell the differences'"
        )
    else:
        differences = right[1] - right[0]
        found["icc"] = intraclass_correlation(differences, videos)
        found["discordance"] = float(np.abs(differences).mean()) or None
        if abs(differences.mean()) > (found["discordance"] or 0) / 2:
            found["notes"].append("the pilots differ much, and so on more questions than models that are closer would")
    if len(sizes) < 10:
        found["notes"].append(f"the pilot has {len(sizes)} videos only, from which a correlation is hardly known")
    return found


def plan_text(found: Mapping[str, Any]) -> str:
    """The result of :func:`plan` in sentences."""
    least, needed = found["smallest_difference"], found["questions_needed"]
    lines = [
        f"{found['questions']:,} questions from {found['videos']:,} videos; two models differ on "
        f"{found['discordance']:.1%} of them; correlation within videos {found['icc']:.3f}, design effect "
        f"{found['design_effect']:.2f}",
        f"power to find a difference of {100 * found['difference']:.1f} points: {found['power']:.0%} "
        f"(two-sided, level {found['level']:g})",
        f"smallest difference found with {found['wanted_power']:.0%} power: "
        + ("none" if least is None else f"{100 * least:.1f} points"),
        f"questions needed to find {100 * found['difference']:.1f} points with {found['wanted_power']:.0%} power: "
        + ("no number is enough" if needed is None else f"{needed:,}, as many of each video as planned"),
    ]
    if found["half_width"] is not None:
        width = f"{100 * found['half_width']:.1f} points (95 %)"
        lines.append(f"an accuracy of {found['accuracy']:.1%} would be known to within {width}")
    return "\n".join([*lines, *(f"note: {note}" for note in found["notes"])])
