from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from helpers.evaluation_fakes import CONFIG, LIBRARY, FakeBackend, FakeFrames, FakeLibrary, make_benchmark
from llavaction.actions.segments import Clip
from llavaction.backends.base import Capability, OptionScores, Query, QuestionError
from llavaction.base.errors import InputError, LlavactionError
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.predictions import read_predictions
from llavaction.evaluation.runner import asked_questions, run
from llavaction.questions.schema import Benchmark
from llavaction.runs.folder import HOPELESS
from llavaction.runs.locks import RunLockedError

SCRIPT = Path(__file__).parents[1] / "helpers" / "evaluation_fakes.py"
RESULTS = ("predictions.jsonl", "metrics.json", "config.yaml")


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


def start(folder: Path, delay: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(delay)], stderr=subprocess.PIPE)


def wait_for_lines(folder: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    path = folder / "predictions.jsonl"
    deadline = time.monotonic() + 30
    while not path.is_file() or path.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    run(CONFIG, make_benchmark(), FakeBackend(needs_frames=2), LIBRARY, folder)
    return folder


def test_killed_twice_and_started_again_leaves_the_bytes_of_an_unbroken_run(tmp_path: Path, unbroken: Path) -> None:
    folder = tmp_path / "run"
    for lines in (4, 11):
        process = start(folder, 0.15)
        wait_for_lines(folder, lines, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        assert not (folder / "metrics.json").exists()
    assert lines <= len(read_predictions(folder)) < 24
    result = run(CONFIG, make_benchmark(), FakeBackend(needs_frames=2), LIBRARY, folder)
    assert 0 < result.asked_now < 24
    assert bytes_of(folder) == bytes_of(unbroken)


@pytest.mark.parametrize("keep", [0, 2, 700, 0.4, 0.77, 1.0])
def test_cut_off_at_any_byte(tmp_path: Path, unbroken: Path, keep: float) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_bytes((unbroken / "config.yaml").read_bytes())
    whole = (unbroken / "predictions.jsonl").read_bytes()
    (folder / "predictions.jsonl").write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    backend = FakeBackend(needs_frames=2)
    run(CONFIG, make_benchmark(), backend, LIBRARY, folder)
    assert bytes_of(folder) == bytes_of(unbroken)
    if keep == 1.0:
        assert backend.asked == []  # nothing is done twice


def test_a_finished_run_is_not_asked_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = run(CONFIG, make_benchmark(), FakeBackend(), None, folder)
    before = bytes_of(folder)
    backend = FakeBackend()
    again = run(CONFIG, make_benchmark(), backend, None, folder)
    assert (backend.asked, again.asked_now, first.asked_now) == ([], 0, 24)
    assert bytes_of(folder) == before
    assert again.predictions == first.predictions


def test_two_processes_do_not_write_the_same_run(tmp_path: Path) -> None:
    process = start(tmp_path, 0.3)
    try:
        wait_for_lines(tmp_path, 1, process)
        with pytest.raises(RunLockedError, match="another process is writing this run"):
            run(CONFIG, make_benchmark(), FakeBackend(needs_frames=2), LIBRARY, tmp_path)
    finally:
        process.kill()
        process.communicate()


def test_bad_videos_are_reported_and_count_as_wrong(tmp_path: Path, benchmark: Benchmark) -> None:
    library = FakeLibrary(
        bad=frozenset({"P01_01_4"}), crash=frozenset({"P01_01_5"}), partial=frozenset({"P02_01_7", "P02_01_8"})
    )
    result = run(CONFIG, benchmark, FakeBackend(needs_frames=2), library, tmp_path)
    by_id = {prediction.question_id: prediction for prediction in result.predictions}
    bad, crash, partial = by_id["P01_01_4"], by_id["P01_01_5"], by_id["P02_01_7"]
    assert (bad.parse_status, bad.choice, bad.correct) == ("failed", None, False)
    assert bad.error == "P01_01.mp4: is damaged from its first byte on"
    assert crash.error == "ValueError: the decoder fell over"
    assert partial.parse_status == "scored"
    assert partial.note == "P02_01.mp4: ends early"
    counts = result.metrics["counts"]
    assert (counts["questions"], counts["failed"], counts["with_note"], counts["answered"]) == (24, 2, 2, 22)


def test_backends_are_told_when_in_the_clip_a_frame_was_taken(tmp_path: Path, benchmark: Benchmark) -> None:
    times: list[NDArray[np.float64]] = []

    class Backend(FakeBackend):
        def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
            times.extend(query.clip.times for query in queries if query.clip)
            return super().score_options(queries)

    run(CONFIG, benchmark, Backend(needs_frames=3), FakeLibrary(), tmp_path)
    assert len(times) == 24
    for found in times:
        assert found == pytest.approx([0.25, 0.75, 1.25])


def test_failed_questions_can_be_asked_again(tmp_path: Path, benchmark: Benchmark) -> None:
    whole, mended = tmp_path / "whole", tmp_path / "mended"
    run(CONFIG, benchmark, FakeBackend(needs_frames=2), FakeLibrary(), whole)
    run(CONFIG, benchmark, FakeBackend(needs_frames=2), FakeLibrary(bad=frozenset({"P01_01_4"})), mended)
    assert bytes_of(mended) != bytes_of(whole)
    backend = FakeBackend(needs_frames=2)
    run(CONFIG, benchmark, backend, FakeLibrary(), mended, retry_failed=True)
    assert backend.asked == [["P01_01_3", "P01_01_4", "P01_01_5"]]
    assert bytes_of(mended) == bytes_of(whole)


def test_a_wrong_folder_of_videos_stops_the_run_early(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=60)
    everything = FakeLibrary(bad=frozenset(question.question_id for question in benchmark.questions))
    with pytest.raises(InputError, match=rf"none of the first {HOPELESS + 1} questions .* damaged"):
        run(CONFIG, benchmark, FakeBackend(needs_frames=2), everything, tmp_path)
    corrected = CONFIG.model_copy(update={"videos": "elsewhere"})
    result = run(corrected, benchmark, FakeBackend(needs_frames=2), FakeLibrary(), tmp_path)
    assert result.metrics["counts"]["failed"] == 0


def test_a_small_benchmark_of_bad_videos_is_reported(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=5, videos=1)
    everything = FakeLibrary(bad=frozenset(question.question_id for question in benchmark.questions))
    result = run(CONFIG, benchmark, FakeBackend(needs_frames=2), everything, tmp_path)
    assert (result.metrics["accuracy"]["value"], result.metrics["counts"]["failed"]) == (0, 5)


def test_other_settings_are_refused_and_named(tmp_path: Path, benchmark: Benchmark) -> None:
    run(CONFIG, benchmark, FakeBackend(), None, tmp_path)
    changed = CONFIG.model_copy(
        update={"batch_size": 5, "prompt": "published", "workers": 7, "benchmark": "moved/here"}
    )
    with pytest.raises(InputError) as caught:
        run(changed, benchmark, FakeBackend(decision_rule="label texts"), None, tmp_path)
    message = str(caught.value)
    assert "batch_size was 3, now 5" in message
    assert "prompt was 'letters', now 'published'" in message
    assert "resolved.decision_rule was 'option letters', now 'label texts'" in message
    assert "workers" not in message
    assert "benchmark" not in message
    with pytest.raises(InputError, match="the questions changed"):
        run(CONFIG, make_benchmark(options=3), FakeBackend(), None, tmp_path)


def test_workers_and_place_may_change(tmp_path: Path, benchmark: Benchmark) -> None:
    run(CONFIG, benchmark, FakeBackend(), None, tmp_path)
    moved = CONFIG.model_copy(update={"workers": 5, "benchmark": "moved/here"})
    assert run(moved, benchmark, FakeBackend(), None, tmp_path).asked_now == 0


def test_a_folder_whose_settings_stand_in_an_earlier_order_goes_on(tmp_path: Path, unbroken: Path) -> None:
    earlier = [
        "schema_version",
        "benchmark",
        "backend",
        "backend_options",
        "videos",
        "frames",
        "decision",
        "parsing",
        "parser",
        "prompt",
        "perspective",
        "option_orders",
        "limit",
        "batch_size",
        "workers",
        "seed",
        "resolved",
    ]
    config = yaml.safe_load((unbroken / "config.yaml").read_text())
    assert set(config) == {*earlier, "subtitles"} and list(config) != earlier  # subtitles: a setting of later versions
    ordered = yaml.safe_dump({name: config[name] for name in earlier}, sort_keys=False)
    (tmp_path / "config.yaml").write_text(ordered)
    lines = (unbroken / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "predictions.jsonl").write_text("".join(lines[:5]))
    with pytest.raises(InputError, match="seed was 0, now 1"):
        run(CONFIG.model_copy(update={"seed": 1}), make_benchmark(), FakeBackend(needs_frames=2), LIBRARY, tmp_path)
    assert run(CONFIG, make_benchmark(), FakeBackend(needs_frames=2), LIBRARY, tmp_path).asked_now == 24 - 5
    assert bytes_of(tmp_path) == bytes_of(unbroken)


def test_the_run_folder_tells_how_it_was_made(tmp_path: Path, benchmark: Benchmark) -> None:
    run(CONFIG, benchmark, FakeBackend(needs_frames=8), FakeLibrary(), tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["batch_size"] == 3
    assert config["resolved"]["backend"] == "fake"
    assert config["resolved"]["frames"] == 8
    assert len(config["resolved"]["questions_sha256"]) == 64
    environments = json.loads((tmp_path / "environment.json").read_text())["environments"]
    assert len(environments) == 1
    assert environments[0]["packages"]["numpy"] == np.__version__


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (4, 4), (3, 24)])
def test_workers_do_not_change_a_result(tmp_path: Path, benchmark: Benchmark, workers: int, batch_size: int) -> None:
    lines = []
    for count in (1, workers):
        config = CONFIG.model_copy(update={"workers": count, "batch_size": batch_size})
        run(config, benchmark, FakeBackend(needs_frames=3), LIBRARY, tmp_path / str(count))
        lines.append((tmp_path / str(count) / "predictions.jsonl").read_bytes())
    assert lines[0] == lines[1]


def test_decoding_runs_ahead_but_not_far(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=60)
    lock, read, answered = threading.Lock(), itertools.count(1), [0]
    distances = []

    class Library(FakeLibrary):
        def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> FakeFrames:
            with lock:
                distances.append(next(read) - answered[0])
            return super().read(clip, count, segment_id=segment_id)

    class Backend(FakeBackend):
        def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
            time.sleep(0.01)
            found = super().score_options(queries)
            answered[0] += len(found)
            return found

    config = CONFIG.model_copy(update={"batch_size": 5, "workers": 3})
    run(config, benchmark, Backend(needs_frames=2), Library(), tmp_path)
    assert 5 < max(distances) <= 5 + 5 + 3  # the batch being asked, and those decoded ahead


def test_backends_that_do_not_look_need_no_videos(tmp_path: Path, benchmark: Benchmark) -> None:
    everything = FakeLibrary(bad=frozenset(question.question_id for question in benchmark.questions))
    result = run(CONFIG, benchmark, FakeBackend(), everything, tmp_path / "blind")
    assert result.metrics["counts"]["failed"] == 0
    with pytest.raises(InputError, match="looks at 4 frames per clip but no videos were given"):
        run(CONFIG, benchmark, FakeBackend(needs_frames=4), None, tmp_path / "seeing")


def test_generated_text_is_kept_and_parsed(tmp_path: Path, benchmark: Benchmark) -> None:
    config = CONFIG.model_copy(update={"decision": "generation"})
    first, second = benchmark.questions[:2]
    wrong = next(i for i in range(4) if i != second.answer)
    texts = {first.question_id: "no idea", second.question_id: f"The answer is ({'ABCD'[wrong]})."}
    result = run(config, benchmark, FakeBackend(texts=texts), None, tmp_path)
    unparsed, mistaken = result.predictions[:2]
    assert (unparsed.parse_status, unparsed.text, unparsed.parse_rule) == ("unparsed", "no idea", "no option named")
    assert (mistaken.choice, mistaken.parse_rule) == (wrong, "stated letter")
    assert result.metrics["counts"]["correct"] == 22
    assert result.metrics["decision_rules"] == ["generated text, robust parsing"]


@dataclass
class Captioner(FakeBackend):
    """Writes a caption that names the right option, and knows the answer only where that stands in its prompt."""

    captions: dict[str, str] = field(default_factory=dict)
    frames: dict[str, list[bytes]] = field(default_factory=dict)

    def _look(self, query: Query) -> None:
        assert query.clip is not None and len(query.clip.frames) == self.needs_frames
        self.frames.setdefault(query.query_id, []).append(query.clip.frames.tobytes())

    def generate(self, queries: Sequence[Query]) -> list[str]:
        for query in queries:
            self._look(query)
            assert not query.options and "A. " not in query.prompt  # a caption is written before the options are seen
        return [self.captions[query.query_id] for query in queries]

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        for query in queries:
            self._look(query)
        seen = [[f"I see: {text}\n" in query.prompt for text in query.options] for query in queries]
        return [OptionScores(np.log(np.where(any(row), np.where(row, 0.97, 0.01), 0.25))) for row in seen]


def test_an_answer_behind_the_model_s_own_caption(tmp_path: Path, benchmark: Benchmark) -> None:
    config = CONFIG.model_copy(update={"decision": "caption_then_answer"})
    mute = next(question for question in benchmark.questions[1:] if question.answer != 0)
    captions = {q.question_id: f"I see: {q.asked.options[q.answer]}" for q in benchmark.questions}
    backend = Captioner(needs_frames=3, captions=captions | {mute.question_id: ""})
    result = run(config, benchmark, backend, FakeLibrary(bad=frozenset({"P01_01_0"})), tmp_path / "captions")
    for question, prediction in zip(benchmark.questions, result.predictions, strict=True):
        if prediction.parse_status == "failed":
            assert question.question_id == "P01_01_0"
        elif question is mute:
            assert (prediction.text, prediction.choice) == ("", 0)
        else:
            assert prediction.text == captions[question.question_id] and prediction.correct
    counts = result.metrics["counts"]
    assert (counts["captions"], counts["empty_captions"], counts["correct"]) == (23, 1, 22)
    assert result.metrics["decision_rules"] == ["option letters, behind the model's own caption"]
    assert all(len(looks) == 2 and looks[0] == looks[1] for looks in backend.frames.values())
    unaided = run(CONFIG, benchmark, Captioner(needs_frames=3), FakeLibrary(), tmp_path / "unaided")
    assert unaided.predictions[0].text is None and "captions" not in unaided.metrics["counts"]
    assert all(prediction.choice == 0 for prediction in unaided.predictions)


def test_a_limit_draws_from_everywhere_and_is_nested() -> None:
    benchmark = make_benchmark(questions=200, videos=4)
    few, more = asked_questions(benchmark, 20), asked_questions(benchmark, 50)
    assert {q.question_id for q in few} < {q.question_id for q in more}
    assert {q.clip.video_id for q in few} == {q.clip.video_id for q in benchmark.questions}
    assert few == [q for q in benchmark.questions if q in few]
    assert asked_questions(benchmark, 500) == list(benchmark.questions)


def test_a_backend_that_loses_answers_is_stopped(tmp_path: Path, benchmark: Benchmark) -> None:
    class Forgetful(FakeBackend):
        def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
            return super().score_options(queries)[1:]

    with pytest.raises(LlavactionError, match="2 answers to 3 questions"):
        run(CONFIG, benchmark, Forgetful(), None, tmp_path)


def test_an_unknown_setting_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'batch_size'"):
        RunConfig.from_mapping({"benchmark": "b", "backend": "chance", "batchsize": 3})


def test_letters_of_options_that_are_not_listed_are_refused(tmp_path: Path, benchmark: Benchmark) -> None:
    for prompt in ("open", "published_open"):
        unlisted = CONFIG.model_copy(update={"prompt": prompt})
        with pytest.raises(InputError, match=rf"prompt '{prompt}' does not list the options"):
            run(unlisted, benchmark, FakeBackend(), None, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        run(unlisted, benchmark, FakeBackend(decision_rule="label texts"), None, tmp_path / f"{prompt} texts")
        written = unlisted.model_copy(update={"decision": "generation"})
        run(written, benchmark, FakeBackend(), None, tmp_path / f"{prompt} written")


def test_a_rule_of_scoring_is_nothing_to_written_answers() -> None:
    with pytest.raises(InputError, match="decision 'generation' scores none"):
        RunConfig.from_mapping({
            "benchmark": "b", "backend": "bundled", "decision": "generation", "backend_options": {"rule": "texts"},
        })  # fmt: skip


@dataclass
class Picky(FakeBackend):
    """Refuses the questions in ``refused``, by their name or without a word of which one it is."""

    refused: frozenset[str] = frozenset()
    named: bool = True

    def _check(self, queries: Sequence[Query]) -> None:
        for query in queries:
            name = query.query_id
            if name in self.refused:
                raise QuestionError("is too long", question_id=name) if self.named else InputError("is too long")

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        self._check(queries)
        return super().score_options(queries)

    def generate(self, queries: Sequence[Query]) -> list[str]:
        self._check(queries)
        return super().generate(queries)


@pytest.mark.parametrize("decision", ["likelihood", "generation"])
@pytest.mark.parametrize("named", [True, False])
def test_bad_questions_fail_alone(benchmark: Benchmark, tmp_path: Path, decision: str, named: bool) -> None:
    ids = [question.question_id for question in benchmark.questions]
    bad = frozenset({ids[1], ids[4], ids[5]})
    config = CONFIG.model_copy(update={"decision": decision})
    backend = Picky(refused=bad, named=named)
    found = run(config, benchmark, backend, None, tmp_path / "run").predictions
    assert [p.question_id for p in found if p.parse_status == "failed"] == sorted(bad, key=ids.index)
    assert {p.error for p in found if p.question_id in bad} == {"is too long"}
    if named:  # the others of a batch are asked as if it were not there
        assert backend.asked[:2] == [[ids[0], ids[2]], [ids[3]]]
    else:
        assert backend.asked[:3] == [[ids[0]], [ids[2]], [ids[3]]]
    metrics = run(config, benchmark, backend, None, tmp_path / "run").metrics
    assert metrics["counts"]["failed"] == 3 and metrics["counts"]["answered"] == len(ids) - 3


def test_all_orders_of_a_bad_question_fail_with_it(benchmark: Benchmark, tmp_path: Path) -> None:
    ids = [question.question_id for question in benchmark.questions]
    backend = Picky(refused=frozenset({ids[1]}))
    config = CONFIG.model_copy(update={"option_orders": 2})
    found = run(config, benchmark, backend, None, tmp_path / "run").predictions
    assert [p.question_id for p in found if p.parse_status == "failed"] == [ids[1]]
    assert backend.asked[0] == [ids[0], ids[0], ids[2], ids[2]]


@pytest.mark.parametrize(("decision", "able"), [("likelihood", "generate"), ("generation", "score")])
def test_what_a_backend_cannot_do_is_said_first(
    benchmark: Benchmark, tmp_path: Path, decision: str, able: Capability
) -> None:
    class Unread(FakeLibrary):
        def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> FakeFrames:
            raise AssertionError

    backend = FakeBackend(needs_frames=2, capabilities=frozenset({able}))
    config = CONFIG.model_copy(update={"decision": decision})
    with pytest.raises(InputError, match=r"backend 'fake' does not (say how likely|answer in words)"):
        run(config, benchmark, backend, Unread(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
