"""Several benchmarks at once, from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavaction.api.common import Say
from llavaction.api.evaluation import evaluate
from llavaction.api.recognition import multi_label, recognise
from llavaction.base.notes import note

if TYPE_CHECKING:
    from llavaction.evaluation.suites.runner import SuiteResult


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
