"""Several actions in one clip, from files: every class is scored for every clip, thresholds decide, metrics tell."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.backends.asking import backend_settings, free_keys, keep_in, pace_of, resolve
from llavaction.backends.base import Backend
from llavaction.backends.registry import make_backend
from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.base.records import file_sha256, write_records
from llavaction.base.text import same_when_read
from llavaction.datasets.multi_label import LabelledClip, MultiLabelAnnotations, open_multi_label
from llavaction.recognition.clip_scorer import ClipScorer, items_of
from llavaction.recognition.clip_scores import DECISIONS, SCORES, ClipDecision, ClipScores, ScoreTable, load_scores
from llavaction.recognition.multi_label import Thresholds, fit_thresholds
from llavaction.recognition.multi_label_config import MultiLabelConfig
from llavaction.recognition.multi_label_metrics import (
    decision_summary,
    held_out_decisions,
    per_class_decisions,
    ranking_summary,
)
from llavaction.recognition.offers import first_by_hash, sha256
from llavaction.runs.folder import RunFolder, go_through
from llavaction.video.decoded import Library
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import Rates

HELD_OUT = "fitted on clips of other videos of this split, in 5 folds"
"""Thresholds that metrics beside a fit are measured with."""


@dataclass(frozen=True)
class MultiLabelResult:
    """What came out of :func:`multi_label`.

    Attributes:
        folder: holds ``metrics.json``, ``config.yaml``, ``environment.json``, ``scores.jsonl`` where a model was asked,
            and ``decisions.jsonl`` where thresholds were given.
        metrics: as in ``metrics.json``.
        scores: of the clips that were scored.
        decisions: of the clips, where thresholds were given.
        thresholds: those fitted or given.
        errors: why clips could not be scored.
        asked_now: clips dealt with by this call; the others were on disk already.
        seconds: what this call took.
    """

    folder: Path
    metrics: Mapping[str, Any]
    scores: ScoreTable
    decisions: Sequence[ClipDecision]
    thresholds: Thresholds | None
    errors: Sequence[str]
    asked_now: int
    seconds: float


def multi_label(
    config: MultiLabelConfig,
    output: str | Path,
    *,
    fit: str | Path | None = None,
    thresholds: str | Path | None = None,
    fps: Rates | None = None,
    retry_failed: bool = False,
    say: Callable[[str], None] = note,
) -> MultiLabelResult:
    """Score the clips of a split by the files that the settings name; see :func:`run_multi_label`.

    Args:
        config: the settings.
        output: the run folder.
        fit: file to write thresholds to that are fitted on this split.
        thresholds: file of thresholds that decide.
        fps: rate of folders of images, see :mod:`llavaction.video.rates`.
        retry_failed: score those again whose video could not be read last time.
        say: takes what was understood of the annotations.

    Raises:
        InputError: a file cannot be read, or as :func:`run_multi_label`.
    """
    annotations = open_multi_label(config.annotations, config.classes)
    for remark in (*annotations.remarks, *annotations.notes):
        say(str(remark))
    backend = None if config.backend is None else make_backend(config.backend, **config.backend_options)
    looks = backend is not None and backend.needs_frames and config.videos
    library = VideoLibrary(str(config.videos), fps=fps) if looks else None
    return run_multi_label(
        config, annotations, backend, library, output, fit=fit, thresholds=thresholds, retry_failed=retry_failed
    )


def run_multi_label(
    config: MultiLabelConfig,
    annotations: MultiLabelAnnotations,
    backend: Backend | None,
    library: Library | None,
    output: str | Path,
    *,
    fit: str | Path | None = None,
    thresholds: str | Path | None = None,
    retry_failed: bool = False,
) -> MultiLabelResult:
    """Score the clips of a split for every class, and measure the scores and what is decided by them.

    The folder can be the one of a run that was killed: what is on disk is kept. Once all clips are scored, thresholds
    can be fitted on them or decide without anything being asked again. Clips that cannot be scored are kept with their
    error, count in no metric, and are counted.

    Args:
        config: the settings; written resolved to ``config.yaml``.
        annotations: the clips and classes.
        backend: who scores; None where ``config.scores`` names a file.
        library: where the frames come from; None for backends that do not look.
        output: the run folder.
        fit: file to write thresholds to that are fitted on these clips. The metrics are then those of thresholds fitted
            on the other videos, fold by fold.
        thresholds: file of thresholds that decide.
        retry_failed: score those again whose video could not be read last time.

    Raises:
        InputError: the run was started with other settings; the classes have no names to ask for; the backend does not
            read; no clip has scores; thresholds are of other classes or scores; or both files of thresholds are given.
        RunLockedError: another process writes the folder.
    """
    begun = time.perf_counter()
    if fit is not None and thresholds is not None:
        raise InputError("thresholds are either fitted here or given", hint="fit on one split, then decide on another")
    given = None if thresholds is None else _in_order(Thresholds.load(thresholds), annotations, Path(thresholds))
    clips = _limited(annotations.of_split(config.split), config.limit)
    digests = {
        "clips": len(clips),
        "clips_sha256": sha256("".join(f"{clip!r}\n" for clip in clips)),
        "classes_sha256": sha256("\n".join(annotations.classes.names)),
    }
    rule, notes, asked_now, errors = "", 0, 0, list[str]()
    with RunFolder(output) as home:
        if backend is None:
            table = _from_file(home, config, annotations, digests)
        else:
            records, asked_now = _ask(home, config, annotations, clips, backend, library, digests, retry_failed)
            rule = f"{config.decision_rule(backend)}, {_known_by(backend)}"
            table = _table(records, annotations.classes.names)
            notes = sum(record.note is not None for record in records)
            errors = [record.error for record in records if record.error is not None]
        there = set(table.clips)
        scored = [clip for clip in clips if clip.clip_id in there]
        failed = sum(clip.clip_id in table.failed for clip in clips)
        counts = {"clips": len(clips), "scored": len(scored), "failed": failed, "with_note": notes}
        counts["without_score"] = len(clips) - len(scored) - failed
        if not scored:
            raise InputError(f"not one of the {len(clips)} clips has scores", file=config.scores or home.path)
        scores = table.of([clip.clip_id for clip in scored])
        metrics, fitted = _measure(config, annotations, scored, scores, given, fit is not None, rule)
        decisions = [] if given is None else _decisions(annotations, scored, scores, given)
        if fitted is not None and fit is not None:
            fitted.save(fit)
        if decisions:
            write_records(home.path / DECISIONS, decisions)
        else:
            (home.path / DECISIONS).unlink(missing_ok=True)
        metrics = {"schema_version": 1, "split": config.split, "rule": rule, "counts": counts} | metrics
        home.complete(metrics)
    seconds = time.perf_counter() - begun
    return MultiLabelResult(home.path, metrics, table, decisions, given or fitted, errors, asked_now, seconds)


def _ask(
    home: RunFolder,
    config: MultiLabelConfig,
    annotations: MultiLabelAnnotations,
    clips: Sequence[LabelledClip],
    backend: Backend,
    library: Library | None,
    digests: Mapping[str, Any],
    retry_failed: bool,
) -> tuple[list[ClipScores], int]:
    """The records of all clips, and how many are new."""
    if not annotations.classes.named:
        raise InputError(
            "the classes have no names that a model could be asked for",
            file=annotations.path,
            hint="--classes FILE gives them: AR_metadata.xlsx, or a table with the columns id and name",
        )
    scorer = ClipScorer(config, backend, annotations.classes.names)
    pace = pace_of(config, backend, library, retry_failed)
    items = items_of(clips, library if pace.frames else None, config.workers)
    journal = home.journal(SCORES, ClipScores, "clip_id")
    home.settle(
        resolve(config, backend, pace.frames, **digests),
        started=bool(journal.done),
        free=free_keys(backend, "annotations", "videos", "classes"),
        videos=pace.facts(items),
        defaults=config.defaults(),
    )
    keep_in(home, backend)
    return go_through(home, journal, items, scorer, pace, f"asking {backend.name}")


def _from_file(
    home: RunFolder, config: MultiLabelConfig, annotations: MultiLabelAnnotations, digests: Mapping[str, Any]
) -> ScoreTable:
    """The scores of a file."""
    if config.scores is None:
        raise InputError("there is neither a backend nor a file of scores")
    table = load_scores(config.scores, annotations.classes.names)
    resolved = {**digests, "scores_sha256": file_sha256(config.scores)}
    values = {"schema_version": 1, **config.model_dump(mode="json"), "resolved": resolved}
    started = (home.path / "metrics.json").is_file() or (home.path / SCORES).is_file()
    home.settle(values, started=started, free=("annotations", "videos", "classes", "scores", "workers"))
    return table


def _measure(
    config: MultiLabelConfig,
    annotations: MultiLabelAnnotations,
    clips: Sequence[LabelledClip],
    scores: NDArray[np.float64],
    given: Thresholds | None,
    fit: bool,
    rule: str,
) -> tuple[dict[str, Any], Thresholds | None]:
    """Metrics of the scored clips, and the thresholds that were fitted."""
    names, truth, videos = annotations.classes.names, annotations.truth(clips), [clip.video_id for clip in clips]
    if given is not None and given.rule and rule and given.rule != rule:
        raise InputError(f"the thresholds were fitted on other scores ({given.rule}) than these ({rule})")
    fitted = fit_thresholds(scores, truth, names, rule) if fit else None
    if not truth.any():
        return {"map": None, "decisions": None}, fitted
    ranking = ranking_summary(scores, truth, videos, names, annotations.training_counts(), seed=config.seed)
    decided, source = (None, HELD_OUT) if given is None else (given.decide(scores), "given")
    if fitted is not None:
        decided = held_out_decisions(scores, truth, videos, names, seed=config.seed)
    if decided is None:
        return ranking | {"decisions": None}, fitted
    summary = {"thresholds": source} | decision_summary(decided, truth, videos, seed=config.seed)
    used = given or fitted
    per_class = [
        row | {"threshold": None if used is None else round(used.thresholds[place], 6)} | decision
        for place, (row, decision) in enumerate(
            zip(ranking["per_class"], per_class_decisions(decided, truth), strict=True)
        )
    ]
    return ranking | {"decisions": summary, "per_class": per_class}, fitted


def _decisions(
    annotations: MultiLabelAnnotations,
    clips: Sequence[LabelledClip],
    scores: NDArray[np.float64],
    thresholds: Thresholds,
) -> list[ClipDecision]:
    names, above = annotations.classes.names, scores - np.array(thresholds.thresholds)
    decided = thresholds.decide(scores)
    return [
        ClipDecision(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            start=clip.start,
            stop=clip.stop,
            classes=tuple(names[place] for place in np.argsort(-above[row], kind="stable") if decided[row, place]),
            truth=tuple(names[place] for place in clip.labels),
        )
        for row, clip in enumerate(clips)
    ]


def _table(records: Sequence[ClipScores], names: Sequence[str]) -> ScoreTable:
    scored = [record for record in records if record.error is None]
    values = np.array([[record.scores[name] for name in names] for record in scored]).reshape(len(scored), len(names))
    failed = frozenset(record.clip_id for record in records if record.error is not None)
    return ScoreTable(values, tuple(record.clip_id for record in scored), failed)


def _in_order(thresholds: Thresholds, annotations: MultiLabelAnnotations, file: Path) -> Thresholds:
    """Thresholds in the order of the annotated classes.

    Raises:
        InputError: they are of other classes.
    """
    names = annotations.classes.names
    place_of = {same_when_read(name): place for place, name in enumerate(thresholds.classes)}
    wanted = [same_when_read(name) for name in names]
    if sorted(wanted) != sorted(place_of):
        other = sorted(set(wanted) ^ set(place_of))[0]
        problem = f"has thresholds of {len(place_of)} classes, the annotations have {len(names)}; one has no '{other}'"
        raise InputError(problem, file=file, hint="fit them on a split of the same annotations")
    places = [place_of[name] for name in wanted]
    return Thresholds(
        classes=names,
        thresholds=tuple(thresholds.thresholds[place] for place in places),
        positives=tuple(thresholds.positives[place] for place in places),
        rule=thresholds.rule,
    )


def _known_by(backend: Backend) -> str:
    """What tells a model from others: its contents where they are on record, else its name."""
    fingerprint = backend_settings(backend).get("fingerprint")
    if fingerprint is None:
        return backend.name
    text = json.dumps(fingerprint, sort_keys=True, default=str)
    return f"model {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _limited(clips: Sequence[LabelledClip], limit: int | None) -> list[LabelledClip]:
    if limit is None or limit >= len(clips):
        return list(clips)
    kept = first_by_hash((clip.clip_id for clip in clips), limit)
    return [clip for clip in clips if clip.clip_id in kept]
