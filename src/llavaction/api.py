"""LLaVAction from Python: the whole way in a few functions, which the commands of these names wire.

Folders may be given as texts or paths. What was understood of files that could have been meant otherwise is handed to
``say``, which prints it to standard error by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavaction.base.errors import InputError
from llavaction.base.notes import note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llavaction.actions.segments import Clip
    from llavaction.backends.base import Backend
    from llavaction.evaluation.runner import RunResult
    from llavaction.questions.schema import Benchmark
    from llavaction.recognition.two_stage import RecognitionResult
    from llavaction.training.run import TrainResult
    from llavaction.video.rates import Rates

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
        settings: fields of :class:`llavaction.questions.builder.BuildConfig`: ``miner``, ``options``, ``text``,
            ``seed``, ``predictions``, and the miner's own ``settings``.

    Raises:
        InputError: files cannot be read, or the folder holds a benchmark made otherwise.

    Examples:
        >>> benchmark = build_benchmark(annotations, split="train", options=4)
        >>> {len(question.options) for question in benchmark.questions}
        {4}
    """
    from llavaction.datasets.registry import open_annotations
    from llavaction.questions.builder import BuildConfig
    from llavaction.questions.builder import build_benchmark as build

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
    say: Say = note,
    **settings: Any,
) -> RunResult:
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
        say: takes notes.
        settings: fields of :class:`llavaction.evaluation.runner.RunConfig`: ``frames``, ``decision``
            and others.

    Raises:
        InputError: the run was begun with something else, or nothing can be asked.

    Examples:
        >>> run = evaluate(benchmark, "oracle", folder / "oracle")
        >>> run.metrics["accuracy"]["value"]
        1.0
    """
    from llavaction.backends.registry import make_backend
    from llavaction.evaluation.known import known_to_baselines
    from llavaction.evaluation.runner import RunConfig, run
    from llavaction.video.library import VideoLibrary

    loaded, options = _benchmark(benchmark, videos, say), dict(model_options or {})
    config = RunConfig.from_mapping({
        "benchmark": str(benchmark if isinstance(benchmark, str | Path) else loaded.folder or loaded.card.name),
        "backend": str(model), "backend_options": options, "videos": _text(videos), **settings,
    })  # fmt: skip
    known = known_to_baselines(config.backend, loaded, annotations, say)
    if taken := sorted(options.keys() & known.keys()):
        raise InputError(f"'{taken[0]}' comes from the benchmark and cannot be set")
    backend = make_backend(config.backend, **options, **known)
    library = VideoLibrary(videos, fps=fps) if videos and backend.needs_frames else None
    return run(config, loaded, backend, library, output, retry_failed=retry_failed)


def recognise(
    annotations: str | Path,
    split: str,
    predictions: str | Path,
    model: str | Path,
    output: str | Path,
    *,
    videos: str | Path | None = None,
    fps: Rates | None = None,
    model_options: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    say: Say = note,
    **settings: Any,
) -> RecognitionResult:
    """Name the action of every segment of a split: a specialist proposes, a model chooses.

    Args:
        annotations: as for :func:`build_benchmark`.
        split: which split; one without classes will do.
        predictions: the specialist's.
        model: who chooses, see :func:`load_model`.
        output: the run folder; an interrupted run goes on.
        videos: folder of the videos, for models that look.
        fps: rate of folders of images.
        model_options: see :func:`load_model`.
        retry_failed: ask those again whose video could not be read last time.
        say: takes notes.
        settings: fields of :class:`llavaction.recognition.two_stage.RecognitionConfig`: ``candidates``,
            ``specialist_weight``, ``limit`` and others.

    Raises:
        InputError: the run was begun with something else, or predictions are of other segments or classes.
    """
    from llavaction.backends.registry import make_backend, parse_spec
    from llavaction.datasets.registry import open_annotations
    from llavaction.recognition.two_stage import RecognitionConfig
    from llavaction.recognition.two_stage import recognise as recognise_segments
    from llavaction.specialists.predictions import Expected, load_predictions
    from llavaction.video.library import VideoLibrary

    options = dict(model_options or {})
    config = RecognitionConfig.from_mapping({
        "annotations": str(annotations), "split": split, "predictions": str(predictions), "backend": str(model),
        "videos": _text(videos), "backend_options": options, **settings,
    })  # fmt: skip
    dataset = open_annotations(config.annotations)
    segments = list(dataset.segments(config.split, unlabelled=True))
    vocabulary = dataset.vocabulary
    for remark in (*dataset.remarks, *dataset.notes):
        say(str(remark))
    ids = [segment.segment_id for segment in segments]
    expected = Expected.of(segments, vocabulary)
    proposed = load_predictions(config.predictions, ids, vocabulary.actions, expected=expected)
    known: dict[str, Any] = {}
    kind, _ = parse_spec(config.backend)
    if kind in ("oracle", "prior", "specialist"):  # they are told what no query tells
        offers = config.offers(segments, proposed, vocabulary)
        known = {"answers": offers.answers} if kind == "oracle" else {"classes": offers.classes}
    if kind == "prior":
        known["counts"] = {action: vocabulary.count(action, "train") for action in vocabulary.actions}
    elif kind == "specialist":
        known |= {"segment_ids": ids, "actions": vocabulary.actions, "expected": expected}
    if taken := sorted(options.keys() & known.keys()):
        raise InputError(f"'{taken[0]}' comes from the annotations and cannot be set")
    backend = make_backend(config.backend, **options, **known)
    library = VideoLibrary(config.videos, fps=fps) if config.videos and backend.needs_frames else None
    groups = dataset.groups(config.split)
    return recognise_segments(
        config, segments, proposed, vocabulary, backend, library, output, groups=groups, retry_failed=retry_failed
    )


@dataclass(frozen=True)
class Answer:
    """What a model says of a clip.

    Attributes:
        text: the likeliest option, or the answer in its own words.
        clip: what was looked at.
        question: what was asked.
        options: what it could choose from.
        probabilities: float64 [options], adding up to 1; empty for an answer in words.
        letter_mass: probability that the answer begins with an option's letter at all; None where that is not known.
        decision_rule: how options were scored; empty for an answer in words.
        note: what kept the clip from being complete; None where nothing did.
        stand_ins: places of the frames that stood in for missing ones.
    """

    text: str
    clip: Clip
    question: str
    options: tuple[str, ...]
    probabilities: NDArray[np.float64]
    letter_mass: float | None = None
    decision_rule: str = ""
    note: str | None = None
    stand_ins: tuple[int, ...] = ()


def ask(
    video: str | Path,
    question: str | None = None,
    *,
    model: str | Path | Backend,
    options: Sequence[str] = (),
    start: float = 0.0,
    stop: float | None = None,
    frames: int | None = None,
    model_options: Mapping[str, Any] | None = None,
) -> Answer:
    """Ask a model about a video: in its own words, or which of the options is likeliest.

    Args:
        video: the file.
        question: None asks which action the video shows.
        model: see :func:`load_model`; one that was loaded before is not loaded again.
        options: possible answers, 2 to 26 different ones; none for an answer in the model's own words.
        start: when the clip begins, in seconds from the video's beginning.
        stop: when it ends; None for the video's end.
        frames: how many to look at; None as many as the model was trained with, or 16.
        model_options: see :func:`load_model`.

    Raises:
        InputError: the clip is not within the video, the options are no options, or the model does not look.
        VideoError: no frame can be decoded.

    Examples:
        >>> answer = ask(video, model="bundled", options=["open drawer", "close drawer"])
        >>> round(float(answer.probabilities.sum()), 6)
        1.0
    """
    import numpy as np

    from llavaction.backends.asking import check_capability, check_frames, option_answers
    from llavaction.backends.base import Query
    from llavaction.backends.choice import choose
    from llavaction.backends.registry import make_backend
    from llavaction.questions.asked import Asked, checked_options
    from llavaction.questions.prompts import QUESTION, multiple_choice_prompt
    from llavaction.video.decode import read_clip
    from llavaction.video.decoded import decoded

    words, texts = QUESTION if question is None else question, checked_options(options)
    if not words.strip():
        raise InputError("the question is empty", hint="leave it out to ask which action the video shows")
    path = Path(video)
    clip = _clip(path, start, stop, frames or 1)
    named = isinstance(model, str | Path)
    settings = {**(model_options or {}), **({} if frames is None else {"frames": frames})}
    if not named and settings:
        raise InputError("a model that is loaded already takes no options", hint="give them to load_model")
    backend = make_backend(str(model), **settings) if isinstance(model, str | Path) else model
    if not backend.needs_frames:
        raise InputError(
            f"'{backend.name}' would answer without looking at the video", hint="it needs at least one frame"
        )
    check_frames(backend, backend.needs_frames)
    check_capability(backend, "score" if texts else "generate")
    asked = Asked(path.name, clip, words, texts)
    seen = read_clip(path, clip.start, clip.stop, backend.needs_frames)
    if not len(seen):
        raise seen.error or InputError("no frame can be decoded", file=path)
    shown = decoded(seen, clip)
    query = Query(asked.query_id, multiple_choice_prompt(asked) if texts else words, texts, shown)
    if not texts:
        words_of_model = backend.generate([query])[0]
        return Answer(words_of_model, clip, words, (), np.empty(0), note=shown.note, stand_ins=shown.stand_ins)
    scores = option_answers(backend, [query])[0]
    choice = choose(scores.log_probabilities)
    return Answer(
        texts[choice.place],
        clip,
        words,
        texts,
        choice.shares,
        letter_mass=scores.letter_mass,
        decision_rule=backend.decision_rule,
        note=shown.note,
        stand_ins=shown.stand_ins,
    )


def train(config: str | Path, **changes: Any) -> TrainResult:
    """Train by a recipe, or go on with a training that was interrupted.

    Args:
        config: the recipe, a YAML file.
        changes: take the place of what it says; blocks as mappings, ``learning_rates={"vision_tower": None}``.

    Raises:
        InputError: the recipe or what it names cannot be used.
    """
    from llavaction.training.config import load_config
    from llavaction.training.run import check_output
    from llavaction.training.run import train as run

    recipe = load_config(Path(config), list(changes.items()))
    check_output(recipe)
    return run(recipe)


def _benchmark(benchmark: Benchmark | str | Path, videos: str | Path | None = None, say: Say = note) -> Benchmark:
    from llavaction.evaluation.benchmarks import open_benchmark

    return open_benchmark(benchmark, videos, say) if isinstance(benchmark, str | Path) else benchmark


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def _clip(video: Path, start: float, stop: float | None, frames: int) -> Clip:
    """The span to look at.

    Raises:
        InputError: it is empty, not within the video, or has fewer frames than were asked for.
    """
    from llavaction.actions.segments import Clip
    from llavaction.video.probe import probe

    info = probe(video)
    end = info.duration if stop is None else stop
    if end <= start:
        raise InputError(f"the clip would end at {end:g} s, which is not after its start at {start:g} s", file=video)
    if start < 0 or end > info.duration + 1e-6:
        raise InputError(
            f"asked for {start:g} to {end:g} s of a video that lasts {info.duration:.2f} s",
            file=video,
            hint="--start and --stop count from its beginning: seconds, MM:SS or HH:MM:SS",
        )
    if frames > (there := max(round((end - start) * info.rate), 1)):
        raise InputError(f"asked for {frames} frames of a clip that has {there}", file=video, hint="lower --frames")
    return Clip(video_id=video.stem, start=start, stop=end)
