"""Scores of every class for clips that may show several: as a run writes them, and as files of others have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llavaction.base.archives import read_npz
from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_lines
from llavaction.base.registry import suggestion
from llavaction.base.text import same_when_read

SCORES = "scores.jsonl"
"""The file of a run's scores."""
DECISIONS = "decisions.jsonl"
"""The file of what was decided."""
_FORMS = (
    "expected .npz with the arrays scores [clips, classes], clips and classes (names), or JSON Lines of "
    '{"clip_id": ..., "scores": {"class": number, ...}}'
)


class ClipScores(Record):
    """What was said of every class of one clip."""

    clip_id: str
    video_id: str = ""
    start: float = Field(default=0.0, ge=0)
    stop: float | None = Field(default=None, description="None: to the video's end")
    scores: Mapping[str, float] = Field(default_factory=dict, description="by the class's name; larger is likelier")
    error: str | None = Field(default=None, description="why it could not be scored")
    note: str | None = Field(default=None, description="what the reader should know, e.g. only a part could be decoded")
    stand_ins: tuple[int, ...] = Field(
        default=(), description="places of the frames shown that stood in for missing ones; see note"
    )

    @model_validator(mode="after")
    def _either(self) -> ClipScores:
        if bool(self.scores) == (self.error is not None):
            raise ValueError("expected either scores or an error")
        return self


class ClipDecision(Record):
    """Which classes one clip was decided to show."""

    clip_id: str
    video_id: str
    start: float = Field(ge=0)
    stop: float | None = None
    classes: tuple[str, ...] = Field(description="names of the classes, best first by the score above the threshold")
    truth: tuple[str, ...] = Field(description="names of the annotated classes")


@dataclass(frozen=True)
class ScoreTable:
    """Scores of clips.

    Attributes:
        scores: float64 [clips, classes]; larger is likelier.
        clips: ids.
        failed: ids of clips that could not be scored.
    """

    scores: NDArray[np.float64]
    clips: tuple[str, ...]
    failed: frozenset[str] = frozenset()

    def of(self, clips: Sequence[str]) -> NDArray[np.float64]:
        """The rows of some clips, which are there."""
        row_of = {name: row for row, name in enumerate(self.clips)}
        return self.scores[[row_of[name] for name in clips]]


def load_scores(path: str | Path, classes: Sequence[str]) -> ScoreTable:
    """Read a file of scores.

    Args:
        path: ``.npz`` with the arrays ``scores`` [clips, classes] (larger is likelier), ``clips`` [clips] and
            ``classes`` [classes], both of texts; or JSON Lines as a run writes them.
        classes: names, in the order that the columns are to have. The file may have more.

    Raises:
        InputError: the file is none of these, a clip stands twice, a class is missing, or a score is no number.
    """
    path = Path(path)
    names = tuple(same_when_read(name) for name in classes)
    if path.suffix.lower() == ".npz":
        return _from_npz(path, classes, names)
    rows, failed = dict[str, NDArray[np.float64]](), set[str]()
    for line, values in read_lines(path, "clip scores"):
        record = ClipScores.from_mapping(values, file=path, line=line)
        if record.clip_id in rows or record.clip_id in failed:
            raise InputError(f"clip '{record.clip_id}' stands here for the second time", file=path, line=line)
        if record.error is not None:
            failed.add(record.clip_id)
            continue
        said = {same_when_read(name): score for name, score in record.scores.items()}
        if lacking := [name for name, reading in zip(classes, names, strict=True) if reading not in said]:
            raise _lacks(lacking, list(record.scores), path, line)
        rows[record.clip_id] = np.array([said[name] for name in names])
    if not rows:
        raise InputError("has no scored clip", file=path, hint=_FORMS)
    return ScoreTable(np.array(list(rows.values())), tuple(rows), frozenset(failed))


def _from_npz(path: Path, classes: Sequence[str], names: Sequence[str]) -> ScoreTable:
    arrays = read_npz(path, ("scores", "clips", "classes"), hint=_FORMS)
    if missing := {"scores", "clips", "classes"} - arrays.keys():
        raise InputError(f"lacks the array '{sorted(missing)[0]}'", file=path, hint=_FORMS)
    scores, clips, columns = arrays["scores"], arrays["clips"], arrays["classes"]
    for name, array in (("clips", clips), ("classes", columns)):
        if array.dtype.kind != "U" or array.ndim != 1:
            raise InputError(f"its '{name}' are {array.dtype} {list(array.shape)}, not a row of texts", file=path)
    if scores.dtype.kind not in "fiu" or scores.shape != (len(clips), len(columns)):
        problem = f"its scores are {scores.dtype} {list(scores.shape)}; expected [{len(clips)}, {len(columns)}] numbers"
        raise InputError(problem, file=path, hint=_FORMS)
    ids = tuple(map(str, clips))
    if len(set(ids)) < len(ids):
        twice = next(name for row, name in enumerate(ids) if name in ids[:row])
        raise InputError(f"has the clip '{twice}' twice", file=path)
    place_of = {same_when_read(str(name)): place for place, name in enumerate(columns)}
    if lacking := [name for name, reading in zip(classes, names, strict=True) if reading not in place_of]:
        raise _lacks(lacking, [str(name) for name in columns], path, None)
    values = np.asarray(scores, np.float64)[:, [place_of[name] for name in names]]
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(1))[0])
        raise InputError(f"clip '{ids[row]}' has a score that is no finite number", file=path)
    return ScoreTable(values, ids)


def _lacks(lacking: Sequence[str], there: Sequence[str], path: Path, line: int | None) -> InputError:
    problem = f"has no score of {len(lacking)} classes, the first '{lacking[0]}'"
    return InputError(problem, file=path, line=line, hint=suggestion(lacking[0], there))
