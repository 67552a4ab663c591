"""LLaVAction from Python: the whole way in a few functions, which the commands of these names wire.

Folders may be given as texts or paths. What was understood of files that could have been meant otherwise is handed to
``say``, which prints it to standard error by default.
"""

from __future__ import annotations

from llavaction.api.benchmarks import audit, build_benchmark, export_benchmark
from llavaction.api.evaluation import evaluate, judge, load_model
from llavaction.api.recognition import fuse, multi_label, recognise
from llavaction.api.suites import suite
from llavaction.api.training import train
from llavaction.backends.one_question import Answer, ask

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
