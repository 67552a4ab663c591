"""LLaVAction from Python: the whole way in a few functions, which the commands of these names wire.

Folders may be given as texts or paths. What was understood of files that could have been meant otherwise is handed to
``say``, which prints it to standard error by default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llavaction.backends.one_question import Answer, ask
from llavaction.base.notes import note

if TYPE_CHECKING:
    from llavaction.backends.base import Backend
    from llavaction.evaluation.open_answers.runner import OpenRunResult
    from llavaction.evaluation.runner import RunResult
    from llavaction.evaluation.suites.runner import SuiteResult
    from llavaction.questions.prompts import PromptStyle
    from llavaction.questions.schema import Benchmark
    from llavaction.recognition.fusion import Fusion
    from llavaction.recognition.multi_label_run import MultiLabelResult
    from llavaction.recognition.runner import RecognitionResult
    from llavaction.training.preparation import RunCommand
    from llavaction.training.run import TrainResult
    from llavaction.video.rates import Rates

__all__ = [
    "Answer",
    "ask",
    "audit",
    "build_benchmark",
    "evaluate",
    "export_benchmark",
    "fuse",
    "judge",
    "load_model",
    "multi_label",
    "recognise",
    "suite",
    "train",
]

Say = Callable[[str], None]


def build_benchmark(
    annotations: str | Path,
    split: str = "validation",
    *,
    output: str | Path | None = None,
    workers: int = 1,
    say: Say = note,
    **settings: Any,
) -> Benchmark:
    """Make one multiple-choice question of every segment of a split.

    Args:
        annotations: folder with EPIC_100_*.csv files, or one table with a column of labels.
        split: which split.
        output: the benchmark folder to write; None keeps it in memory.
        workers: processes; the result does not depend on them.
        say: takes notes.
        settings: fields of :class:`llavaction.questions.config.BuildConfig`: ``miner``, ``options``, ``text``,
            ``seed``, ``predictions``, and the miner's own ``settings``.

    Raises:
        InputError: files cannot be read, or the folder holds a benchmark made otherwise.

    Examples:
        >>> benchmark = build_benchmark(annotations, split="train", options=4)
        >>> {len(question.options) for question in benchmark.questions}
        {4}
    """
    from llavaction.datasets.registry import open_annotations
    from llavaction.questions.builder import build_benchmark as build
    from llavaction.questions.config import BuildConfig

    dataset = open_annotations(annotations)
    benchmark = build(dataset, BuildConfig.from_mapping({"split": split, **settings}), workers)
    if output is not None:
        benchmark = benchmark.save(output)
    for remark in (*dataset.remarks, *benchmark.card.notes):
        say(str(remark))
    return benchmark


def audit(benchmark: Benchmark | str | Path) -> dict[str, Any]:
    """Try to answer a benchmark without looking at its videos; one that lies in a folder gets an ``audit.json``.

    Returns:
        ``chance``, ``attacks`` (strongest first, accuracies with 95 % intervals), ``smallest_leak``, ``verdict`` and
        more; see :func:`llavaction.questions.audit.audit`.

    Raises:
        InputError: there are too few questions.

    Examples:
        >>> audit(benchmark)["chance"]
        0.25
    """
    from llavaction.questions.audit import audit as attack
    from llavaction.questions.audit import audit_folder

    loaded = _benchmark(benchmark)
    return attack(loaded) if loaded.folder is None else audit_folder(loaded)


def export_benchmark(
    benchmark: Benchmark | str | Path,
    output: str | Path,
    *,
    form: Literal["hf", "lmms-eval"] = "hf",
    name: str | None = None,
    prompt: PromptStyle = "letters",
    say: Say = note,
) -> Path:
    """Write a benchmark for others, without its videos.

    Args:
        benchmark: its folder, one in memory, or a YAML file that says how it is read.
        output: the folder to write.
        form: a folder that Hugging Face ``datasets`` loads, with its card, or one with tasks of lmms-eval.
        name: of the dataset or task; by default the benchmark's.
        prompt: the words of the questions, which tasks hold.
        say: takes notes.

    Raises:
        InputError: there is no such benchmark, or the folder holds something else.
    """
    from llavaction.questions import export, lmms_tasks

    opened = _benchmark(benchmark, None, say)
    if form == "lmms-eval":
        return lmms_tasks.export_tasks(opened, output, name=name, prompt=prompt)
    return export.export_benchmark(opened, output, name=name)


def load_model(model: str | Path, **options: Any) -> Backend:
    """A model, or a baseline, that can be asked.

    Args:
        model: a checkpoint folder, ``bundled``, or what ``llavaction eval --backend`` takes.
        options: fields of :class:`llavaction.backends.huggingface_config.HuggingFaceConfig`: ``frames``,
            ``dtype``, ``rule`` and others.

    Raises:
        InputError: there is no such model, or an option is unknown or wrong.

    Examples:
        >>> load_model("chance").name
        'chance'
    """
    from llavaction.backends.registry import make_backend

    return make_backend(str(model), **options)


def evaluate(
    benchmark: Benchmark | str | Path,
    model: str | Path,
    output: str | Path,
    *,
    videos: str | Path | None = None,
    fps: Rates | None = None,
    annotations: str | Path | None = None,
    model_options: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    cache: bool | str | Path = True,
    audit: bool = False,
    say: Say = note,
    **settings: Any,
) -> RunResult | OpenRunResult:
    """Ask a model every question of a benchmark and write a run folder; one that was interrupted goes on.

    Args:
        benchmark: its folder, one in memory, or a YAML file, see :mod:`llavaction.evaluation.benchmarks`.
        model: see :func:`load_model`.
        output: the run folder.
        videos: folder of the videos, for models that look.
        fps: rate of folders of images, see :mod:`llavaction.video.rates`.
        annotations: for specialist files that refer to rows and action ids.
        model_options: see :func:`load_model`.
        retry_failed: ask those again whose video could not be read last time.
        cache: file of answers that were given before, see :func:`llavaction.backends.cached.cached`; True for the
            user's own, False for none.
        audit: ask everything again with something taken away, see :mod:`llavaction.evaluation.full_audit`; the table
            is ``metrics["audit"]``.
        say: takes notes.
        settings: fields of :class:`llavaction.evaluation.config.RunConfig`: ``frames``, ``decision``
            and others. Questions without options take those of
            :class:`llavaction.evaluation.open_answers.config.OpenRunConfig`.

    Raises:
        InputError: the run was begun with something else, or nothing can be asked.

    Examples:
        >>> run = evaluate(benchmark, "oracle", folder / "oracle")
        >>> run.metrics["accuracy"]["value"]
        1.0
    """
    from llavaction.backends.cached import cached
    from llavaction.backends.known import informed_backend, known_of_benchmark
    from llavaction.evaluation.benchmarks import open_questions
    from llavaction.evaluation.config import RunConfig
    from llavaction.evaluation.full_audit import full_audit
    from llavaction.evaluation.open_answers.config import OpenRunConfig
    from llavaction.evaluation.open_answers.runner import run_open
    from llavaction.evaluation.open_answers.schema import OpenBenchmark
    from llavaction.evaluation.runner import run
    from llavaction.video.library import VideoLibrary

    loaded = open_questions(benchmark, videos, say) if isinstance(benchmark, str | Path) else benchmark
    if isinstance(loaded, OpenBenchmark):
        open_config = OpenRunConfig.from_mapping({
            "benchmark": str(benchmark), "backend": str(model), "backend_options": model_options or {},
            "videos": _text(videos), **settings,
        })  # fmt: skip
        answers = {"answers": lambda: {question.question_id: question.right_text for question in loaded.questions}}
        writer = informed_backend(open_config.backend, open_config.backend_options, answers, "benchmark")
        written = cached(writer, cache)
        seen = VideoLibrary(videos, fps=fps) if videos and written.needs_frames else None
        return run_open(open_config, loaded, written, seen, output, retry_failed=retry_failed)
    config = RunConfig.from_mapping({
        "benchmark": str(benchmark if isinstance(benchmark, str | Path) else loaded.folder or loaded.card.name),
        "backend": str(model), "backend_options": model_options or {}, "videos": _text(videos), **settings,
    })  # fmt: skip
    known = known_of_benchmark(loaded, annotations, say)
    backend = cached(informed_backend(config.backend, config.backend_options, known, "benchmark"), cache)
    library = VideoLibrary(videos, fps=fps) if videos and backend.needs_frames else None
    result = run(config, loaded, backend, library, output, retry_failed=retry_failed)
    if audit:
        result = full_audit(result, config, loaded, backend, library, retry_failed=retry_failed)
    return result


def judge(
    run: str | Path,
    model: str | Path,
    prompt: str | Path = "video_chatgpt",
    *,
    model_options: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
) -> dict[str, Any]:
    """Have a language model judge the answers of a run on questions without options.

    Args:
        run: folder of the run; gets ``judged-PROMPT/``.
        model: the judge, see :func:`load_model`; it is shown no video.
        prompt: ``video_chatgpt``, ``egotempo``, or a YAML file with ``text``, ``right`` and ``wrong``.
        model_options: see :func:`load_model`.
        retry_failed: ask again about answers it could not be asked about.

    Returns:
        Accuracies and the mean score with 95 % intervals, see :func:`llavaction.evaluation.open_answers.judge.judge`.

    Raises:
        InputError: the folder is no such run, or the judge cannot write.
    """
    from llavaction.backends.registry import make_backend, parse_spec
    from llavaction.evaluation.open_answers.judge import judge as ask_judge

    blind = {"frames": 0} if parse_spec(str(model))[0] == "transformers" else {}
    backend = make_backend(str(model), **{**blind, **(model_options or {})})
    return ask_judge(run, backend, prompt, retry_failed=retry_failed)


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
        "annotations": str(annotations), "split": split, "predictions": _text(predictions), "backend": str(model),
        "videos": _text(videos), "fusion": _text(fusion), "backend_options": model_options or {}, **settings,
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
        "annotations": str(annotations), "split": split, "backend": _text(model), "scores": _text(scores),
        "classes": _text(classes), "videos": _text(videos), "backend_options": model_options or {}, **settings,
    })  # fmt: skip
    return run(config, output, fit=fit, thresholds=thresholds, fps=fps, retry_failed=retry_failed, say=say)


def suite(
    suite: str | Path,
    model: str | Path,
    data: str | Path,
    output: str | Path,
    *,
    only: Sequence[str] = (),
    model_options: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    say: Say = note,
    **changes: Any,
) -> SuiteResult:
    """Run the benchmarks of a suite whose files are there, and write one table beside published figures.

    Args:
        suite: the name of one that comes along (``paper``, ``mini``), or a YAML file.
        model: who is asked, see :func:`load_model`.
        data: a folder with one folder for each benchmark, or a YAML file with lines "NAME: FOLDER".
        output: the suite's folder; an interrupted one goes on.
        only: names of benchmarks; all by default.
        model_options: see :func:`load_model`.
        retry_failed: ask those again whose video could not be read last time.
        say: takes notes.
        changes: settings that take the place of the suite's, for all benchmarks: ``limit``, ``frames``, ...

    Raises:
        InputError: there is no such suite or data. What is wrong with a benchmark is told in its row.
    """
    from llavaction.evaluation.suites.config import load_suite
    from llavaction.evaluation.suites.runner import SuiteSettings, run_suite
    from llavaction.recipes import suite_file

    options = {"model_options": model_options, "retry_failed": retry_failed, "say": say}
    settings = SuiteSettings(str(model), changes, options)
    runners: dict[str, Callable[..., Any]] = {
        "questions": evaluate,
        "recognition": recognise,
        "multi_label": multi_label,
    }
    return run_suite(load_suite(suite_file(suite)).only(tuple(only)), data, settings, output, runners, say)


def train(config: str | Path, run_command: RunCommand | None = None, /, **changes: Any) -> TrainResult:
    """Train by a recipe, or go on with a training that was interrupted.

    Args:
        config: the recipe, a YAML file or the name of one that comes along.
        run_command: runs a llavaction command of the recipe's ``prepare``, given its arguments; by default each is a
            process of its own.
        changes: take the place of what it says; blocks as mappings, ``learning_rates={"vision_tower": None}``.

    Raises:
        InputError: the recipe or what it names cannot be used, or a command of its ``prepare`` fails.
    """
    from llavaction.recipes import recipe_file
    from llavaction.training.config import load_config
    from llavaction.training.preparation import PREPARED, as_process, prepare
    from llavaction.training.run import check_output
    from llavaction.training.run import train as run

    recipe = load_config(recipe_file(config), list(changes.items()))
    if os.environ.get("RANK", "0") == "0":  # the other processes wait for the first when the training begins
        check_output(recipe)
        prepare(recipe.prepare, recipe.output / PREPARED, run_command or as_process)
    return run(recipe)


def _benchmark(benchmark: Benchmark | str | Path, videos: str | Path | None = None, say: Say = note) -> Benchmark:
    from llavaction.evaluation.benchmarks import open_benchmark

    return open_benchmark(benchmark, videos, say) if isinstance(benchmark, str | Path) else benchmark


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
