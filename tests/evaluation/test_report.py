from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.evaluation_fakes import CONFIG, FakeBackend, FakeLibrary, card, make_benchmark, make_question
from llavaction.backends.asking import choose
from llavaction.backends.baselines import ChanceBackend
from llavaction.base.errors import InputError
from llavaction.evaluation.failures import excess, film_strip, worst
from llavaction.evaluation.figures import heat_map, write_figures
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.metrics import match
from llavaction.evaluation.names import OptionNames
from llavaction.evaluation.predictions import Prediction, failed, scored
from llavaction.evaluation.report import clock, environment_of, percent, plain, points, write_report
from llavaction.evaluation.runner import run
from llavaction.questions.schema import Benchmark, Option

AUDIT = {
    "verdict": "Leaks: without the video 'learnt' gets 82 %.",
    "chance": 0.25,
    "attacks": [
        {"name": "learnt", "accuracy": 0.82, "low": 0.8, "high": 0.84, "note": "text & classes"},
        {"name": "longest", "accuracy": 0.2},
    ],
    "filter": {"same class": 12, "synonyms": {"taps": 3}},
    "miner": {},
}


class Page(HTMLParser):
    """Checks that elements are closed in order; collects text, references and elements."""

    VOID = frozenset({"meta", "img", "br", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.references: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Benchmark]:
    """Two runs: one that looks (with a bad and a partial clip), one that writes text."""
    folder = tmp_path_factory.mktemp("report")
    benchmark = make_benchmark(questions=40, videos=8)
    bad, partial = benchmark.questions[3].question_id, benchmark.questions[9].question_id
    library = FakeLibrary(bad=frozenset({bad}), partial=frozenset({partial}))
    run(CONFIG, benchmark, FakeBackend(name="looks", needs_frames=2), library, folder / "a")
    texts = {question.question_id: "A" for question in benchmark.questions}
    texts[benchmark.questions[0].question_id] = "<script>alert(1)</script> & I cannot tell"
    writes = CONFIG.model_copy(update={"decision": "generation"})
    run(writes, benchmark, FakeBackend(name="writes", texts=texts), None, folder / "b")
    return folder, benchmark


def test_one_file_with_everything_in_it(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    path = write_report(tmp_path / "report.html", [folder / "a", folder / "b"], benchmark, FakeLibrary(), AUDIT)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert "http" not in text
    assert "//" not in re.sub(r"base64,[^\"]*|^// A click.*$", "", text, flags=re.MULTILINE)
    assert all(reference.startswith(("#", "data:image/jpeg;base64,")) for reference in page.references)
    anchors = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert anchors <= {attributes.get("id") for _, attributes in page.elements}
    assert not {"link", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
    for words in (
        "writes minus looks",  # the paired comparison
        "Leaks: without the video 'learnt' gets 82 %.",
        "text & classes",
        "best answer without the video (learnt): 82.0 %",
        "Which verbs are taken for which",
        "The worst failures",
        "✓ right answer",
        "✗ model's choice",
        "is damaged from its first byte on",
        "ends early",
        "How to read it.",
        "taps",
    ):
        assert words in page.text, words


def test_everything_is_escaped(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    audit = {"verdict": "<img src=x onerror=alert(1)>", "attacks": [{"name": "<b>x</b>", "accuracy": 0.5}]}
    text = write_report(tmp_path / "report.html", [folder / "b"], benchmark, None, audit).read_text()
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<img src=x" not in text
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    Page(text)


def test_numbers_in_the_report_are_those_of_the_run(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    page = Page(write_report(tmp_path / "report.html", [folder / "b"], benchmark).read_text())
    right = sum(question.answer == 0 for question in benchmark.questions[1:])
    assert f"{right} of 40 right" in page.text
    assert percent(right / 40).replace("\u00a0", " ") in page.text
    assert "Answers that could not be read (1)" in page.text
    assert "no option named" in page.text


def test_the_report_is_the_same_every_time(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    runs = [folder / "a", folder / "b"]
    first = write_report(tmp_path / "1.html", runs, benchmark, FakeLibrary(), AUDIT).read_bytes()
    assert write_report(tmp_path / "2.html", runs, benchmark, FakeLibrary(), AUDIT).read_bytes() == first


def test_the_audit_of_the_benchmark_folder_is_found(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    saved = benchmark.save(tmp_path / "bench")
    assert 'id="audit"' not in write_report(tmp_path / "1.html", [folder / "b"], saved).read_text()
    (tmp_path / "bench" / "audit.json").write_text('{"verdict": "Blind-proof as far as tested."}')
    assert "Blind-proof as far as tested." in write_report(tmp_path / "2.html", [folder / "b"], saved).read_text()


def test_runs_of_the_same_name_are_told_apart(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    run(CONFIG, benchmark, FakeBackend(name="looks"), None, tmp_path / "again")
    page = Page(write_report(tmp_path / "report.html", [folder / "a", tmp_path / "again"], benchmark).read_text())
    assert "looks (a)" in page.text
    assert "looks (again)" in page.text


def test_what_cannot_be_reported(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    with pytest.raises(InputError, match="at least one run"):
        write_report(tmp_path / "report.html", [], benchmark)
    with pytest.raises(InputError, match=r"a: \d+ predictions are for questions .* does not hold"):
        write_report(tmp_path / "report.html", [folder / "a"], make_benchmark(questions=4, videos=1))


def test_questions_without_classes_or_frames(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=8)
    bare = [
        question.model_copy(update={"options": tuple(Option(text=option.text) for option in question.options)})
        for question in benchmark.questions
    ]
    benchmark = Benchmark(bare, benchmark.card)
    run(CONFIG, benchmark, FakeBackend(), None, tmp_path / "run")
    page = Page(write_report(tmp_path / "report.html", [tmp_path / "run"], benchmark).read_text())
    assert "Which verbs are taken" not in page.text
    assert "made without the videos" in page.text


def test_the_worst_failures_are_the_surest_ones() -> None:
    questions = [make_question(i, "v", [(0, 0), (1, 0), (2, 0)], 0) for i in range(4)]
    shares = [(0.8, 0.1, 0.1), (0.3, 0.6, 0.1), (0.05, 0.05, 0.9), (0.0, 0.0, 0.0)]
    predictions: list[Prediction] = [
        scored(question, choose(np.log(share)), "x") for question, share in zip(questions[:3], shares[:3], strict=True)
    ]
    predictions.append(failed(questions[3], "x", "damaged"))
    pairs = match(Benchmark(questions, card(3)), predictions)
    assert [question.question_id for question, _ in worst(pairs, 5)] == ["v_2", "v_1"]
    assert excess(predictions[1]) == pytest.approx(np.log(2), abs=1e-5)
    assert excess(predictions[3]) is None


def test_heat_map_rows_add_up() -> None:
    benchmark = make_benchmark(questions=30)
    predictions = [scored(q, choose(np.log([0.4, 0.3, 0.2, 0.1])), "x") for q in benchmark.questions]
    found = heat_map(match(benchmark, predictions), OptionNames(benchmark.questions))
    assert found is not None
    assert sum(n for _, n, _ in found.rows) == 30
    for _, n, cells in found.rows:
        assert sum(count for count, _ in cells) == n
        assert sum(share for _, share in cells) == pytest.approx(1)
        assert len(cells) == len(found.names) + 1


def test_film_strip_is_a_small_jpeg_of_all_frames() -> None:
    question = make_benchmark().questions[0]
    strip = film_strip(FakeLibrary(), question, 6)
    assert strip.source is not None
    image = Image.open(io.BytesIO(base64.b64decode(strip.source.partition("base64,")[2])))
    assert image.format == "JPEG"
    assert image.size == (strip.width, strip.height) == (6 * 80 + 5 * 3, 60)
    lost = film_strip(FakeLibrary(bad=frozenset({question.question_id})), question, 6)
    assert (lost.source, lost.remark) == (None, "P01_01.mp4: is damaged from its first byte on")
    assert film_strip(FakeLibrary(partial=frozenset({question.question_id})), question, 6).remark is not None


def test_numbers_as_text() -> None:
    assert percent(0.4119) == "41.2\u00a0%"
    assert percent(None) == "–"
    assert points(-0.0312) == "−3.1"
    assert clock(62.5) == "1:02.50"
    assert clock(59.999) == "1:00.00"
    assert (plain(9668), plain(True), plain(None), plain(0.12345), plain("x")) == ("9,668", "yes", "–", "0.1235", "x")


def test_models_stand_before_baselines_and_successes_beside_failures(
    finished: tuple[Path, Benchmark], tmp_path: Path
) -> None:
    folder, benchmark = finished
    run(CONFIG, benchmark, ChanceBackend(), None, tmp_path / "chance")
    path = write_report(tmp_path / "report.html", [tmp_path / "chance", folder / "a"], benchmark)
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings[-1] == "chance" and len(headings) == 3
    assert text.count("✓ right answer, chosen") == 8  # four of each run


def test_what_was_not_answered_stands_in_the_tiles(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=8, videos=2)
    bad = frozenset(question.question_id for question in benchmark.questions[:6])
    run(CONFIG, benchmark, FakeBackend(needs_frames=2), FakeLibrary(bad=bad), tmp_path / "run")
    text = write_report(tmp_path / "report.html", [tmp_path / "run"], benchmark).read_text(encoding="utf-8")
    assert "2 answered · 0 unread · 6 not asked" in text and "of the answered" in text


def test_a_run_without_an_answer_has_no_accuracy(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=8, videos=2)
    backend = FakeBackend(texts={question.question_id: "?" for question in benchmark.questions})
    run(CONFIG.model_copy(update={"decision": "generation"}), benchmark, backend, None, tmp_path / "run")
    text = write_report(tmp_path / "report.html", [tmp_path / "run"], benchmark).read_text(encoding="utf-8")
    assert "Not one answered of 8 questions" in text
    assert '<td>fake</td><td class="n">–</td>' in text and 'role="listitem">fake' not in text
    write_figures(tmp_path / "figures", [FinishedRun.load(tmp_path / "run")], [[]], None)
    with (tmp_path / "figures/accuracy.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert (row["accuracy"], row["answered"], row["unread"]) == ("", "0", "8")


def test_the_audit_is_shown_as_tables(finished: tuple[Path, Benchmark], tmp_path: Path) -> None:
    folder, benchmark = finished
    audit = AUDIT | {
        "position": {"right": {"A": 11, "B": 13}, "p": 0.68},
        "similarity": {"same verb": 0.5, "same noun": 0.25, "either": 0.625},
        "filter": {"overlap": 3},
        "miner": {"fit_sweeps": 60},
    }
    text = write_report(tmp_path / "report.html", [folder / "a"], benchmark, audit=audit).read_text(encoding="utf-8")
    cells = (("B", "13"), ("verb or noun", "62.5\u00a0%"), ("overlap", "3"), ("fit sweeps", "60"))
    for name, value in cells:
        assert f'<td>{name}</td><td class="n">{value}</td>' in text
    assert "probability 0.68" in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("environment.json", "{}"),
        ("environment.json", '{"environments": []}'),
        ("environment.json", '{"environments": [3]}'),
        ("metrics.json", "{}"),
        ("metrics.json", "[]"),
        ("config.yaml", "resolved: 3"),
    ],
)
def test_damaged_run_folders_are_named(tmp_path: Path, name: str, text: str) -> None:
    run_folder = tmp_path / "run"
    run(CONFIG, make_benchmark(questions=6, videos=2), ChanceBackend(0), None, run_folder)
    assert environment_of(FinishedRun.load(run_folder).folder)["python"]
    (run_folder / name).write_text(text)
    with pytest.raises(InputError) as refused:
        environment_of(FinishedRun.load(run_folder).folder)
    assert name in str(refused.value)
