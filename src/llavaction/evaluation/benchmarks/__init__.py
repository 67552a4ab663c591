"""Benchmarks described as data: a YAML file says where questions are from, how their file is read and what counts.

``<name>.yaml`` beside this file are those of public benchmarks that come along; ``docs/add-a-benchmark.md`` says how
one is written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.base.plugins import with_plugins
from llavaction.base.registry import resolve
from llavaction.evaluation.benchmarks.protocol import Protocol, known_protocols, load_protocol
from llavaction.evaluation.benchmarks.tasks import refuse_recognition
from llavaction.evaluation.open_answers.schema import OpenBenchmark
from llavaction.questions.schema import Benchmark

READERS = {
    "multiple_choice": "llavaction.evaluation.benchmarks.multiple_choice:read_benchmark",
    "hd_epic": "llavaction.evaluation.benchmarks.hd_epic:read_hd_epic",
    "vinoground": "llavaction.evaluation.benchmarks.vinoground:read_vinoground",
    "open_answers": "llavaction.evaluation.benchmarks.open_ended:read_open_answers",
    "activitynet_qa": "llavaction.evaluation.benchmarks.open_ended:read_activitynet_qa",
    "egotempo": "llavaction.evaluation.benchmarks.open_ended:read_egotempo",
    "charades_sta": "llavaction.evaluation.benchmarks.open_ended:read_charades_sta",
}
"""Name of a reader to its place; see :data:`Reader`."""

ALWAYS_COUNTED = ("questions", "videos", "rows")
"""Counts that every card has; the others are said."""

Reader = Callable[[Protocol, Path, Path | None], Benchmark | OpenBenchmark]
"""Takes the protocol with its files where they lie, the file of questions, and the folder of videos or None."""


def open_benchmark(
    source: str | Path, videos: str | Path | None = None, say: Callable[[str], None] = note
) -> Benchmark:
    """The multiple-choice questions of a benchmark folder, or of a file of any form that a protocol describes.

    Args:
        source: the folder, or the protocol, a YAML file.
        videos: folder of the videos. Looked at only where a protocol names no times, for whole videos' lengths.

        say: takes notes on how files of other forms were understood, and what was left out.

    Raises:
        InputError: there is no such benchmark; the protocol or its file of questions is not as it has to be, which is
            named with file and line; the file holds no question, or not as many as the protocol expects; or its
            questions have no options.

    Examples:
        >>> open_benchmark(quiz / "quiz.yaml").questions[0].answer_letter
        'B'
    """
    benchmark = open_questions(source, videos, say)
    if isinstance(benchmark, OpenBenchmark):
        raise InputError("its questions have no options", file=source, hint="ask them with: llavaction eval")
    return benchmark


def open_questions(
    source: str | Path, videos: str | Path | None = None, say: Callable[[str], None] = note
) -> Benchmark | OpenBenchmark:
    """As :func:`open_benchmark`, questions without options included."""
    path = Path(source)
    if not path.is_file():
        if str(source) in known_protocols():
            refuse_recognition(load_protocol(known_protocols()[str(source)]), str(source), None)
            raise InputError(
                f"'{source}' is how a public benchmark is read; its files do not come along",
                hint=f"write a YAML file with the lines 'like: {source}' and 'file: FILE_OF_QUESTIONS', and give that",
            )
        return Benchmark.load(path)
    protocol = load_protocol(path)
    refuse_recognition(protocol, path, path.parent)
    protocol = protocol.seen_from(path.parent)
    if protocol.file is None:
        raise InputError("names no file of questions", file=path, hint="file: questions.csv")
    reader: Reader = resolve(with_plugins("BENCHMARK_READERS", READERS), protocol.reader, "reader of benchmarks")
    benchmark = reader(protocol, protocol.file, protocol.videos if videos is None else Path(videos))
    counts = benchmark.card.counts
    for told in (
        *benchmark.card.notes,
        *(f"{name}: {count}" for name, count in counts.items() if name not in ALWAYS_COUNTED),
    ):
        say(f"{protocol.file.name}: {told}")
    for name, expected in protocol.expected.items():
        if counts.get(name) != expected:
            raise InputError(
                f"has {counts.get(name, 'no')} {name}, expected are {expected}",
                file=protocol.file,
                hint=f"take the files of the version that {path.name} describes, or change what is 'expected' there",
            )
    return benchmark
