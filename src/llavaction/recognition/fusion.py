"""Fusion: what several stages say of the candidates as one probability, by weights fitted on labelled clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_json, write_json
from llavaction.base.seeding import hashed_rng
from llavaction.recognition.config import OVER_CANDIDATES

LEAST = 1e-6
"""Stands for a probability of 0 where its logarithm is taken."""
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Strengths tried of the pull towards equal weights."""
FOLDS = 5
FEWEST = 20
"""Labelled clips that a fit needs."""


@dataclass(frozen=True)
class ScoredClip:
    """What the stages say of one clip.

    Attributes:
        scores: log-probability of each candidate by stage, [candidates]; over all classes that the stage knows, or for
            stages of :data:`OVER_CANDIDATES` over the candidates.
        truth: place of the right candidate; -1 where it is not among them.
        video: its video.
    """

    scores: Mapping[str, Sequence[float]]
    truth: int = -1
    video: str = ""


class Fusion(Record):
    """Weights of stages, a temperature, and what speaks for none of the candidates.

    The probability of a candidate is exp((sum over stages of weight * log-probability) / temperature), normalised over
    the candidates and "none of them". For the latter a stage that knows all classes has the probability it leaves to
    the classes that are no candidates, a stage that compares candidates alone has 0, and ``none`` is added.
    """

    weights: Mapping[str, float] = Field(min_length=1, description="Weight of each stage; none is negative.")
    temperature: float = Field(default=1.0, gt=0, description="Divides the joint scores.")
    none: float | None = Field(default=None, description="Log-weight of none of the candidates; null: one is right.")
    fitted_on: Mapping[str, Any] = Field(
        default_factory=dict, description="What it was fitted on, and how well it did on clips it was not fitted on."
    )

    @field_validator("weights")
    @classmethod
    def _not_negative(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if any(not 0 <= weight < np.inf for weight in weights.values()) or not any(weights.values()):
            raise ValueError(f"weights must not be negative, and one must be positive; found {dict(weights)}")
        return weights

    @classmethod
    def load(cls, path: str | Path) -> Fusion:
        """Read the file.

        Raises:
            InputError: it is missing, or is no fusion.
        """
        return cls.from_mapping(read_json(Path(path)), file=Path(path))

    def save(self, path: str | Path) -> None:
        """Write the file."""
        write_json(Path(path), self.model_dump(mode="json"))

    def joint(self, scores: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
        """Probability of each candidate, float64 [candidates]; what is missing from 1 is that of none of them.

        Args:
            scores: as in :class:`ScoredClip`; stages without a weight are left out.

        Raises:
            InputError: a stage that has a weight is missing.
        """
        if absent := [stage for stage, weight in self.weights.items() if weight and stage not in scores]:
            raise InputError(
                f"the fusion weighs '{absent[0]}', which has not scored the candidates",
                hint=f"scored have: {', '.join(scores)}; name the stages that it was fitted on",
            )
        table = features(scores, [stage for stage, weight in self.weights.items() if weight])
        weights = np.array([weight for weight in self.weights.values() if weight])
        values = table @ weights
        values[-1] = -np.inf if self.none is None else values[-1] + self.none
        values = values / self.temperature
        return np.asarray(np.exp(values - np.logaddexp.reduce(values)))[:-1]


def equal_weights(stages: Sequence[str]) -> Fusion:
    """Where nothing was fitted: the product of the stages' probabilities."""
    return Fusion(weights=dict.fromkeys(stages, 1.0))


def features(scores: Mapping[str, Sequence[float]], stages: Sequence[str]) -> NDArray[np.float64]:
    """Log-probabilities by stage, float64 [candidates + 1, stages]; the last row is that of none of the candidates."""
    columns = []
    for stage in stages:
        values = np.maximum(np.asarray(scores[stage], np.float64), np.log(LEAST) * 4)
        left = 0.0 if stage in OVER_CANDIDATES else float(np.log(max(1 - np.exp(values).sum(), LEAST)))
        columns.append([*values, left])
    return np.array(columns).T


def fit_fusion(clips: Sequence[ScoredClip], stages: Sequence[str], *, seed: int = 0) -> Fusion:
    """Fit weights and a temperature by the log-likelihood of the right candidates.

    The weights maximise the likelihood of what is right, or of "none of them" where the right class is not among the
    candidates, pulled towards equal weights as strongly as serves clips of other videos best. The temperature is then
    fitted to what each fold's weights say of the clips they were not fitted on, so that it is not that of memory.

    Args:
        clips: labelled, of a split that the stages were not trained on.
        stages: which are joined.
        seed: of the folds.

    Returns:
        The fusion; in ``fitted_on`` the mean log-likelihood per clip and the share of right choices on held-out folds,
        of the fusion and of each stage by itself with its own temperature.

    Raises:
        InputError: there are too few clips, no stage or one twice, or a stage has not scored them.
    """
    if not stages:
        raise InputError("no stage is named", hint=f"scored have: {', '.join(clips[0].scores) if clips else 'none'}")
    if twice := [stage for place, stage in enumerate(stages) if stage in stages[:place]]:
        raise InputError(f"stage '{twice[0]}' is named twice")
    if len(clips) < FEWEST:
        raise InputError(f"{len(clips)} labelled clips are too few to fit weights on", hint=f"give {FEWEST} or more")
    for stage in stages:
        if any(stage not in clip.scores for clip in clips):
            raise InputError(
                f"stage '{stage}' has not scored all clips", hint=f"scored have: {', '.join(clips[0].scores)}"
            )
    tables = [features(clip.scores, stages) for clip in clips]
    truths = np.array([clip.truth for clip in clips])
    folds = _folds([clip.video for clip in clips], seed)
    everything = _Fitter(tables, truths)
    by_ridge = {ridge: everything.held_out(folds, ridge) for ridge in RIDGES}
    ridge = max(by_ridge, key=lambda strength: by_ridge[strength].likelihood)
    weights, none = everything.fit(np.ones(len(clips), bool), ridge)
    alone = {
        stage: _Fitter([table[:, [column]] for table in tables], truths).held_out(folds, RIDGES[0])
        for column, stage in enumerate(stages)
    }
    return Fusion(
        weights={stage: round(float(weight), 6) for stage, weight in zip(stages, weights, strict=True)},
        temperature=round(by_ridge[ridge].temperature, 6),
        none=None if none is None else round(none, 6),
        fitted_on={
            "clips": len(clips),
            "videos": len({clip.video for clip in clips}),
            "right_not_offered": int((truths < 0).sum()),
            "folds": len(set(folds.tolist())),
            "ridge": ridge,
            "held_out": by_ridge[ridge].summary,
            "held_out_alone": {stage: held_out.summary for stage, held_out in alone.items()},
        },
    )


@dataclass(frozen=True)
class _HeldOut:
    """How well weights do on clips they were not fitted on."""

    likelihood: float
    accuracy: float
    temperature: float

    @property
    def summary(self) -> dict[str, float]:
        return {"log_likelihood": round(self.likelihood, 6), "accuracy": round(self.accuracy, 6)}


class _Fitter:
    """The log-likelihood of labelled clips and its maximum.

    Args:
        tables: see :func:`features`, of each clip.
        truths: [clips], place of the right candidate, -1 for none.
    """

    def __init__(self, tables: Sequence[NDArray[np.float64]], truths: NDArray[np.int64]) -> None:
        most = max(len(table) for table in tables)
        self.stages = tables[0].shape[1]
        self.values = np.zeros((len(tables), most, self.stages))
        self.there = np.zeros((len(tables), most), bool)
        for row, table in enumerate(tables):  # none of the candidates comes first, so that -1 + 1 is its place
            self.values[row, 0], self.values[row, 1 : len(table)] = table[-1], table[:-1]
            self.there[row, : len(table)] = True
        self.places = truths + 1
        self.open = bool((truths < 0).any())
        if not self.open:
            self.there[:, 0] = False

    def logits(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        logits = self.values @ parameters[: self.stages]
        logits[:, 0] += parameters[-1]
        return np.where(self.there, logits, -np.inf)

    def fit(self, chosen: NDArray[np.bool_], ridge: float) -> tuple[NDArray[np.float64], float | None]:
        """Weights of the stages and of none of the candidates, by the chosen clips [clips]."""
        from scipy.optimize import minimize

        values, there, places = self.values[chosen], self.there[chosen], self.places[chosen]
        rows, count = np.arange(len(places)), max(len(places), 1)
        start = np.append(np.full(self.stages, 1 / self.stages), 0.0)

        def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logits = np.where(there, values @ parameters[:-1], -np.inf)
            logits[:, 0] += parameters[-1]
            shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
            shares[rows, places] -= 1
            gradient = np.append(np.einsum("nk,nks->s", shares, values), shares[:, 0].sum()) / count
            likelihood = (logits[rows, places] - np.logaddexp.reduce(logits, axis=1)).sum() / count
            away = parameters[:-1] - parameters[:-1].mean()
            gradient[:-1] += 2 * ridge * away
            return -likelihood + ridge * float((away**2).sum()), gradient

        bounds = [(0.0, None)] * self.stages + [(None, None) if self.open else (0.0, 0.0)]
        best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        weights = best[:-1] if best[:-1].any() else start[:-1]
        return weights, float(best[-1]) if self.open else None

    def held_out(self, folds: NDArray[np.int64], ridge: float) -> _HeldOut:
        """What the weights of all other folds say of each fold [clips], with one temperature for all of it."""
        from scipy.optimize import minimize_scalar

        logits = np.empty(self.there.shape)
        for fold in np.unique(folds):
            weights, none = self.fit(folds != fold, ridge)
            logits[folds == fold] = self.logits(np.append(weights, none or 0.0))[folds == fold]
        rows = np.arange(len(logits))

        def loss(log_temperature: float) -> float:
            cooled = logits / np.exp(log_temperature)
            return -float((cooled[rows, self.places] - np.logaddexp.reduce(cooled, axis=1)).mean())

        best = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
        candidates = np.where(self.there, logits, -np.inf)[:, 1:]
        right = candidates.argmax(1) + 1 == self.places
        return _HeldOut(-float(best.fun), float(right.mean()), float(np.exp(best.x)))


def _folds(videos: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The fold of each clip, by video; by clip where there are fewer videos than folds."""
    names = sorted(set(videos))
    if len(names) < FOLDS:
        return np.asarray(hashed_rng("fusion folds", seed).permutation(len(videos)) % FOLDS, np.int64)
    order = hashed_rng("fusion folds", seed).permutation(len(names))
    fold_of = {names[place]: number % FOLDS for number, place in enumerate(order)}
    return np.array([fold_of[video] for video in videos])
