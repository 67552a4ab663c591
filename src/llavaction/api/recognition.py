"""Naming actions, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavaction.api.common import Say, text_of
from llavaction.base.notes import note

if TYPE_CHECKING:
    from llavaction.recognition.fusion import Fusion
    from llavaction.recognition.multi_label_run import MultiLabelResult
    from llavaction.recognition.runner import RecognitionResult
    from llavaction.video.rates import Rates


def recognise(
    annotations: str | Path,
    split: str,
    predictions: str | Path | None,
    model: str | Path,
    output: str | Path,
    *,
    videos: str | Path | None = None,
    fusion: str | Path | None = None,
    fps: Rates | None = None,
    model_options: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    cache: bool | str | Path = True,
    challenge: str | Path | None = None,
    levels: Mapping[str, int] | None = None,
    say: Say = note,
    **settings: Any,
) -> RecognitionResult:
    """Name the action of every segment of a split: candidates first, then a choice among them.

    Args:
        annotations: as for :func:`build_benchmark`.
        split: which split; one without classes will do.
        predictions: the specialist's; None where it is no stage.
        model: who chooses, see :func:`load_model`.
        output: the run folder; an interrupted run goes on.
        videos: folder of the videos, for models that look.
        fusion: weights that join the stages, see :func:`fuse`.
        fps: rate of folders of images.
        model_options: see :func:`load_model`.
        retry_failed: ask those again whose video could not be read last time.
        cache: as for :func:`evaluate`, where the only thing that a model is asked for are letters.
        challenge: also write an EPIC-KITCHENS-100 submission (.zip or .json); what it would be refused for is said.
        levels: its supervision levels, fields of :class:`llavaction.specialists.challenge.SupervisionLevels`.
        say: takes notes.
        settings: fields of :class:`llavaction.recognition.config.RecognitionConfig`: ``stages``,
            ``candidates``, ``prior_actions``, ``limit`` and others.

    Raises:
        InputError: the run was begun with something else, or predictions are of other segments or classes.
    """
    from llavaction.recognition.config import RecognitionConfig
    from llavaction.recognition.split import recognise_split
    from llavaction.specialists.challenge import SupervisionLevels

    config = RecognitionConfig.from_mapping({
        "annotations": str(annotations), "split": split, "predictions": text_of(predictions), "backend": str(model),
        "videos": text_of(videos), "fusion": text_of(fusion), "backend_options": model_options or {}, **settings,
    })  # fmt: skip
    return recognise_split(
        config,
        output,
        fps=fps,
        retry_failed=retry_failed,
        cache=cache,
        challenge=challenge,
        levels=SupervisionLevels.from_mapping(levels or {}),
        say=say,
    )


def fuse(
    run: str | Path, output: str | Path | None = None, *, stages: Sequence[str] | None = None, seed: int = 0
) -> Fusion:
    """Fit what joins the stages of a recognition: their weights and a temperature.

    Args:
        run: the folder of a recognition of labelled segments that neither model nor specialist was trained on.
        output: the file to write; None keeps it in memory.
        stages: which to join; all that scored by default.
        seed: of the folds.

    Raises:
        InputError: the folder holds no such recognition, or too few labelled segments.
    """
    from llavaction.recognition.fusion import fit_fusion
    from llavaction.recognition.records import scored_clips

    clips = scored_clips(run)
    fusion = fit_fusion(clips, tuple(clips[0].scores if stages is None else stages), seed=seed)
    if output is not None:
        fusion.save(output)
    return fusion


def multi_label(
    annotations: str | Path,
    split: str,
    output: str | Path,
    *,
    model: str | Path | None = None,
    scores: str | Path | None = None,
    fit: str | Path | None = None,
    thresholds: str | Path | None = None,
    classes: str | Path | None = None,
    videos: str | Path | None = None,
    fps: Rates | None = None,
    model_options: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    say: Say = note,
    **settings: Any,
) -> MultiLabelResult:
    """Say which of all classes each clip shows, where clips may show several: score every class, then decide.

    Args:
        annotations: see :func:`llavaction.datasets.multi_label.open_multi_label`.
        split: which split; "all" for every clip.
        output: the run folder; an interrupted run goes on.
        model: who scores, see :func:`load_model`; it has to read clips, as checkpoints do.
        scores: a file of scores in place of a model.
        fit: file to write thresholds to, fitted on this split.
        thresholds: file of thresholds that decide.
        classes: file of the classes' names.
        videos: folder of the videos.
        fps: rate of folders of images.
        model_options: see :func:`load_model`.
        retry_failed: score those again whose video could not be read last time.
        say: takes notes.
        settings: fields of :class:`llavaction.recognition.multi_label_config.MultiLabelConfig`: ``form``, ``frames``,
            ``limit`` and others.

    Raises:
        InputError: the run was begun with something else, or files do not belong together.
    """
    from llavaction.recognition.multi_label_config import MultiLabelConfig
    from llavaction.recognition.multi_label_run import multi_label as run

    config = MultiLabelConfig.from_mapping({
        "annotations": str(annotations), "split": split, "backend": text_of(model), "scores": text_of(scores),
        "classes": text_of(classes), "videos": text_of(videos), "backend_options": model_options or {}, **settings,
    })  # fmt: skip
    return run(config, output, fit=fit, thresholds=thresholds, fps=fps, retry_failed=retry_failed, say=say)
