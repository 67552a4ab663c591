"""Asking models the questions of benchmarks, from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavaction.api.common import Say, text_of
from llavaction.base.notes import note

if TYPE_CHECKING:
    from llavaction.backends.base import Backend
    from llavaction.evaluation.open_answers.runner import OpenRunResult
    from llavaction.evaluation.runner import RunResult
    from llavaction.questions.schema import Benchmark
    from llavaction.video.rates import Rates


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
            "videos": text_of(videos), **settings,
        })  # fmt: skip
        answers = {"answers": lambda: {question.question_id: question.right_text for question in loaded.questions}}
        writer = informed_backend(open_config.backend, open_config.backend_options, answers, "benchmark")
        written = cached(writer, cache)
        seen = VideoLibrary(videos, fps=fps) if videos and written.needs_frames else None
        return run_open(open_config, loaded, written, seen, output, retry_failed=retry_failed)
    config = RunConfig.from_mapping({
        "benchmark": str(benchmark if isinstance(benchmark, str | Path) else loaded.folder or loaded.card.name),
        "backend": str(model), "backend_options": model_options or {}, "videos": text_of(videos), **settings,
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
