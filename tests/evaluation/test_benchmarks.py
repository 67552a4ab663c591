"""Anybody's multiple-choice questions, described by a few lines of YAML."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from llavaction import api
from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.evaluation.benchmarks.option_cells import answer_place
from llavaction.evaluation.benchmarks.protocol import known_protocols, load_protocol
from llavaction.questions.schema import Benchmark
from llavaction.video.write import write_video

QUIZ = """name: my-quiz
file: questions.csv
columns:
  id: qid
  video: film
  start: from
  stop: to
  question: text
  options: [a, b, c]
  answer: right
"""
HEAD = "qid,film,from,to,text,a,b,c,right\n"
ROWS = (
    "q1,P01_01,0:01.5,0:03,What is washed?,plate,cup,pan,B\n"
    "q2,P01_01,4,5,What is taken?,plate,cup,,0\n"
    "q1,P02_01,1,2,What is put?,plate,cup,pan,Pan\n"
    "q3,P02_01,1,2,What is cut?,plate,cup,pan,NA\n"
    "q4,P02_01,1,2,What is cut?,plate,cup,pan,\n"
)


def quiz(folder: Path, rows: str = ROWS, text: str = QUIZ) -> Path:
    (folder / "questions.csv").write_text(HEAD + rows)
    (folder / "quiz.yaml").write_text(text)
    return folder / "quiz.yaml"


def test_ten_lines_describe_a_table(tmp_path: Path) -> None:
    said: list[str] = []
    found = open_benchmark(quiz(tmp_path), say=said.append)
    first, second, third = found.questions
    assert (first.question_id, first.question, first.answer_letter) == ("q1", "What is washed?", "B")
    assert (first.clip.video_id, first.clip.start, first.clip.stop) == ("P01_01", 1.5, 3.0)
    assert first.asked.options == ("plate", "cup", "pan") and first.provenance is None
    assert second.asked.options == ("plate", "cup") and second.answer == 0
    assert third.answer == 2
    assert third.question_id == "q1-2" and "questions.csv: line 4: id 'q1' is also on line 2; called 'q1-2'" in said
    counts = {"questions": 3, "videos": 2, "rows": 5, "rows left out: answer hidden": 2}
    assert found.card.counts == counts and "questions.csv: rows left out: answer hidden: 2" in said
    assert (found.card.name, found.card.miner, found.card.text, found.card.licence) == ("my-quiz", *["unknown"] * 3)
    assert list(found.card.sources) == ["questions.csv"]


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_other_forms_give_the_same_questions(suffix: str, tmp_path: Path) -> None:
    wanted = open_benchmark(quiz(tmp_path)).questions
    entries: list[dict[str, Any]] = [
        {"qid": "q1", "film": "P01_01", "from": 1.5, "to": 3, "text": "What is washed?", "right": 1},
        {"qid": "q2", "film": "P01_01", "from": 4, "to": 5, "text": "What is taken?", "right": "(a)"},
        {"qid": "q1", "film": "P02_01", "from": 1, "to": 2, "text": "What is put?", "right": "C. pan"},
        {"qid": "q3", "film": "P02_01", "from": 1, "to": 2, "text": "What is cut?", "right": None},
    ]
    for number, entry in enumerate(entries):
        entry["options"] = ["A. plate", "B. cup", "C. pan"][: 2 if number == 1 else 3]

    def written() -> str:
        return json.dumps(entries, indent=1) if suffix == "json" else "\n".join(map(json.dumps, entries))

    (tmp_path / f"questions.{suffix}").write_text(written())
    described = yaml.safe_load(QUIZ) | {"file": f"questions.{suffix}"}
    described["columns"]["options"] = "options"
    (tmp_path / "quiz.yaml").write_text(yaml.safe_dump(described))
    assert open_benchmark(tmp_path / "quiz.yaml").questions == wanted
    entries[2]["right"] = "D"
    (tmp_path / f"questions.{suffix}").write_text(written())
    line = 27 if suffix == "json" else 3
    with pytest.raises(InputError, match=rf"questions\.{suffix}:{line}: answer 'D' is no option; expected a letter"):
        open_benchmark(tmp_path / "quiz.yaml")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "q1,v,1,2,What?,plate,cup,pan,D",
            "answer 'D' is no option; expected a letter from A to C, a number",
        ),
        ("q1,v,1,2,What?,plate,cup,pan,3", r"answer '3' is no option; (?s:.*)'answers: index_from_1'"),
        ("q1,v,1,2,What?,plate,cup,,C", "answer 'C' is no option"),
        ("q1,v,1,2,What?,1,2,0,1", "answer '1' may mean '1' or '2'.*\n.*'answers'"),
        ("q1,v,1,2,What?,plate,,,A", "has the options .* expected are 2 to 26"),
        ("q1,v,2,1,What?,plate,cup,,A", "stop .1.0. must be greater"),
        ("q1,v,x,2,What?,plate,cup,,A", "timestamp 'x' is not"),
        ("q1,,1,2,What?,plate,cup,,A", "names no video"),
        ("q1,v,1,2,,plate,cup,,A", "has no question"),
        ("q1,v,1,2,What?,plate,cup,,A,x", "has 10 cells, the header has 9"),
        ("q1,v,1,2,What?,plate,cup,,NA", r"holds no question that can be asked \(1 rows left out: answer hidden\)"),
        ("q1,v,1,2,What?,plate,Plate ,,A", r"\(1 rows left out: two options the same\)"),
    ],
)
def test_errors_name_the_line(row: str, problem: str, tmp_path: Path) -> None:
    place = r"questions\.csv: " if "holds" in problem or problem.startswith(r"\(") else r"questions\.csv:2: "
    with pytest.raises(InputError, match=f"{place}.*{problem}"):
        open_benchmark(quiz(tmp_path, row + "\n"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"file": "none.csv"}, r"none\.csv: no such file of questions"),
        ({"file": None}, r"quiz\.yaml: names no file of questions"),
        ({"colums": {}}, r"quiz\.yaml: .*unknown key; did you mean 'columns'"),
        ({"columns": {"video": "movie"}}, r"questions\.csv:1: lacks the column\(s\) movie"),
        ({"reader": "multiple_chioce"}, "multiple_choice"),
        ({"like": "nextqe"}, "no benchmark is called 'nextqe'.*\n.*nextqa"),
        ({"expected": {"rows": 6}}, r"questions\.csv: has 5 rows, expected are 6"),
    ],
)
def test_a_wrong_description_is_named(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    described = yaml.safe_load(QUIZ)
    for name, value in change.items():
        described[name] = {**described[name], **value} if name in described and isinstance(value, dict) else value
    with pytest.raises(InputError, match=problem):
        open_benchmark(quiz(tmp_path, text=yaml.safe_dump(described)))


@pytest.mark.parametrize(
    ("answer", "form", "place"),
    [
        ("b", "auto", 1),
        ("B.", "letter", 1),
        ("2", "index", 2),
        ("2", "index_from_1", 1),
        ("2", "text", 0),
        ("2.0", "index", 2),
    ],
)
def test_answers_are_told_in_several_ways(answer: str, form: Any, place: int) -> None:
    assert answer_place(answer, ["2", "5", "7"], form) == place


def test_whole_videos_are_as_long_as_they_are(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "v.mp4", np.zeros((20, 32, 32, 3), np.uint8), Fraction(5))
    (tmp_path / "q.csv").write_text("video,question,a,b,answer\nv,What?,x,y,A\ngone,What?,x,y,A\nv.mp4,Why?,x,y,B\n")
    described = {"file": "q.csv", "columns": {"options": ["a", "b"]}}
    (tmp_path / "q.yaml").write_text(yaml.safe_dump(described))
    found = open_benchmark(tmp_path / "q.yaml", films)
    assert [(q.question_id, q.clip.start, q.clip.stop) for q in found.questions] == [("1", 0, 4), ("3", 0, 4)]
    assert found.card.counts["rows left out: video missing or unreadable"] == 1 and found.card.name == "q"
    (tmp_path / "q.yaml").write_text(yaml.safe_dump(described | {"videos": "films"}))
    assert open_benchmark(tmp_path / "q.yaml").questions == found.questions


def test_a_described_benchmark_is_asked_audited_and_saved(tmp_path: Path) -> None:
    rows = "".join(f"q{i},P{i % 7},1,2,What?,plate,cup,pan,{'ABC'[i * i % 3]}\n" for i in range(30))
    source = "source: {url: https://example.org/quiz, licence: CC0-1.0, metric: accuracy}\n"
    path = quiz(tmp_path, rows, QUIZ + "version: '3'\n" + source)
    result = api.evaluate(path, "oracle", tmp_path / "run")
    assert result.metrics["accuracy"]["value"] == 1.0
    assert result.metrics["benchmark"]["miner"] == "unknown" and result.metrics["benchmark"]["version"] == "3"
    assert api.evaluate(path, "oracle", tmp_path / "run").asked_now == 0
    assert api.audit(path)["benchmark"]["miner"] == "unknown"
    saved = open_benchmark(path).save(tmp_path / "bench")
    assert Benchmark.load(tmp_path / "bench") == saved == open_benchmark(tmp_path / "bench")
    card = json.loads((tmp_path / "bench" / "card.json").read_text())
    assert card["source"] == {"url": "https://example.org/quiz", "licence": "CC0-1.0", "metric": "accuracy"}


def test_protocols_that_come_along(tmp_path: Path) -> None:
    for name, path in known_protocols().items():
        asked = load_protocol(path).task == "questions"
        with pytest.raises(InputError, match=f"like: {name}" if asked else "asks no questions"):
            open_benchmark(name)
    (tmp_path / "val.csv").write_text(
        "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
        "401,369,640,480,how do the men play,0,6,CH,roll it,tap it,pull it,hit it,pat it\n"
        "488,269,640,480,what does he do after,2,6,TP,share it,sit there,unwrap it,play,gesture\n"
    )
    films = tmp_path / "films" / "1164"
    films.mkdir(parents=True)
    for name in ("401", "488"):
        write_video(films / f"{name}.mp4", np.zeros((20, 32, 32, 3), np.uint8), Fraction(5))
    own = "like: nextqa\nfile: val.csv\nvideos: films\n"
    (tmp_path / "mine.yaml").write_text(own)
    with pytest.raises(InputError, match=r"val\.csv: has 2 rows, expected are 4996"):
        open_benchmark(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text(own + "expected: {rows: 2, questions: null}\n")
    found = open_benchmark(tmp_path / "mine.yaml")
    assert [question.question_id for question in found.questions] == ["401_6", "488_6"]
    assert [question.answer for question in found.questions] == [0, 2]
    assert (found.facts.groups["causal"], found.facts.groups["temporal"]) == (("401_6",), ("488_6",))
    assert found.card.name == "NExT-QA" and found.card.source is not None and found.card.licence == "MIT"
