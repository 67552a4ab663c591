"""The submission file of the EPIC-KITCHENS-100 action recognition challenge."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from llavaction.base.errors import InputError
from llavaction.base.files import whole
from llavaction.base.records import Strict

if TYPE_CHECKING:  # with PyTorch behind them, which the settings do not need
    from llavaction.specialists.labels import ClassName
    from llavaction.specialists.scores import Floats, SpecialistScores

VERSION, CHALLENGE, MEMBER = "0.2", "action_recognition", "test.json"
NOUNS = 300
"""Noun ids from here on (hands, feet, gloves of EPIC_100_noun_classes_v2.csv) are no part of the challenge."""
DIGITS = 6


class SupervisionLevels(Strict):
    """How much help a model had, each from 0 (none) to 5, as github.com/epic-kitchens/sls defines it."""

    pretraining: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Level of pretraining (sls_pt): 0 none, 2 public images and videos, 5 private ones.",
    )
    labels: int = Field(
        default=3, ge=0, le=5, description="Level of training labels (sls_tl): 3 start and stop times, 4 boxes too."
    )
    data: int = Field(
        default=3,
        ge=0,
        le=5,
        description="Level of training data (sls_td): 3 the training split, 4 training and validation.",
    )


def write_challenge(path: str | Path, scores: SpecialistScores, levels: SupervisionLevels | None = None) -> None:
    """Write a submission: a zip that holds ``test.json``, or with the suffix ``.json`` that file alone.

    Every verb and noun class has a score, as the official check demands, and the best 100 pairs (all, where there are
    fewer). Pairs met in training are ranked; where there are fewer than 100, all pairs are. Source: the official
    ``create_submission.py`` of epic-kitchens/C1-Action-Recognition and the scoring program's validation.

    Args:
        path: the file.
        scores: of every segment of the split; the official check refuses a submission that lacks one.
        levels: declared with the submission.

    Raises:
        InputError: the suffix is neither .zip nor .json, or the file cannot be written.
    """
    path, levels = Path(path), levels or SupervisionLevels()
    if path.suffix.lower() not in (".zip", ".json"):
        raise InputError("a challenge submission is a .zip (or .json) file", file=path)
    from llavaction.specialists.predictions import TOP

    labels = scores.labels
    if labels.one_label:
        raise InputError("a challenge submission has verbs and nouns; these labels are no verb-noun pairs", file=path)
    met = [pair for pair in labels.actions if pair[1] < NOUNS]
    candidates = met if len(met) >= TOP else [pair for pair in labels.pairs if pair[1] < NOUNS]
    nouns = [column for column, name in enumerate(labels.nouns) if name.id < NOUNS]
    results = {
        ranking.segment_id: {
            "verb": _named(labels.verbs, scores.verbs[row]),
            "noun": _named([labels.nouns[column] for column in nouns], scores.nouns[row, nouns]),
            "action": {f"{v},{n}": score for (v, n), score in zip(ranking.actions, ranking.scores, strict=True)},
        }
        for row, ranking in enumerate(scores.rankings(candidates, TOP))
    }
    submission = {
        "version": VERSION,
        "challenge": CHALLENGE,
        "sls_pt": levels.pretraining,
        "sls_tl": levels.labels,
        "sls_td": levels.data,
        "results": results,
    }
    text = json.dumps(submission)
    with whole(path) as part:
        if path.suffix.lower() == ".json":
            part.write_text(text, encoding="utf-8")
        else:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                member = zipfile.ZipInfo(MEMBER)  # without the time of day: the same scores give the same bytes
                member.external_attr = 0o644 << 16
                archive.writestr(member, text, zipfile.ZIP_DEFLATED)


def _named(names: Sequence[ClassName], scores: Floats) -> dict[str, float]:
    return {str(name.id): round(float(score), DIGITS) for name, score in zip(names, scores, strict=True)}
