"""How files of questions may be described beyond a row a question: several files, nested rows, lookups, subtitles."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from llavaction import api
from llavaction.actions.segments import END_OF_VIDEO, Clip
from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks import open_benchmark, rows
from llavaction.evaluation.benchmarks.option_cells import lines_of
from llavaction.questions.schema import Benchmark
from llavaction.video.library import VideoLibrary
from llavaction.video.write import write_video

ASKED = {"video": "v", "question": "What?", "options": ["x", "y"], "answer": "A"}


def described(folder: Path, content: Any, file: str = "q.json", **values: Any) -> Benchmark:
    """The benchmark of a file, as ``values`` say it is read."""
    path = folder / file
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / "quiz.yaml").write_text(yaml.safe_dump({"file": file, **values}))
    return open_benchmark(folder / "quiz.yaml", say=lambda said: None)


def test_without_videos_clips_go_to_an_end_that_no_one_can_look_at(tmp_path: Path) -> None:
    found = described(tmp_path, [ASKED, {**ASKED, "start": 3}])
    assert [(q.clip.start, q.clip.stop) for q in found.questions] == [(0, END_OF_VIDEO), (3, END_OF_VIDEO)]
    assert any(note.startswith("2 clips go to the end of their video") for note in found.card.notes)
    assert api.evaluate(tmp_path / "quiz.yaml", "chance", tmp_path / "run").metrics["counts"]["answered"] == 2
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "v.mp4", np.zeros((20, 32, 32, 3), np.uint8), Fraction(5))
    with pytest.raises(InputError, match=r"where the clip of 'v' stops is not known(?s:.*)--videos"):
        VideoLibrary(films).read(found.questions[0].clip, 4)
    assert len(VideoLibrary(films).read(Clip(video_id="v", start=0, stop=4), 4).images) == 4
    seen = open_benchmark(tmp_path / "quiz.yaml", films, say=lambda said: None)
    assert [q.clip.stop for q in seen.questions] == [4.0, 4.0]


def test_videos_that_are_missing_are_counted(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "v.mp4", np.zeros((5, 32, 32, 3), np.uint8), Fraction(5))
    found = described(tmp_path, [{**ASKED, "stop": 1}, {**ASKED, "video": "w", "stop": 1}], videos="films")
    assert len(found.questions) == 2 and found.card.counts["videos missing"] == 1


def test_several_files_and_what_their_names_tell(tmp_path: Path) -> None:
    for name, answer in (("b", "B"), ("a", "A")):
        described(tmp_path, [{**ASKED, "answer": answer}, ASKED], f"json/{name}.json")
    columns = {"stem": "task", "group": "task", "id": ["task", "#"], "facts": ["task"]}
    found = described(tmp_path, None, "json/*.json", columns=columns)
    assert [q.question_id for q in found.questions] == ["a_1", "a_2", "b_1", "b_2"]
    assert found.facts.groups == {"a": ("a_1", "a_2"), "b": ("b_1", "b_2")} and found.questions[2].answer == 1
    assert list(found.card.sources) == ["a.json", "b.json"] and found.questions[3].facts == {"task": "b"}
    assert described(tmp_path, None, "json", columns=columns).questions == found.questions
    (tmp_path / "json" / "b.json").write_text(json.dumps([ASKED, {**ASKED, "answer": "Z"}], indent=1))
    with pytest.raises(InputError, match=r"b\.json:11: answer 'Z' is no option"):
        described(tmp_path, None, "json/*.json", columns=columns)
    with pytest.raises(InputError, match=r"none/\*\.json: no such file of questions"):
        described(tmp_path, None, "none/*.json")


def test_groups_facts_and_sets(tmp_path: Path) -> None:
    rows = [{**ASKED, "kind": "count", "level": 1, "pair": "p"}, {**ASKED, "kind": "order", "level": 1, "pair": "q"}]
    rows.append({**ASKED, "kind": "order", "pair": "p"})
    columns = {"group": ["kind", "level"], "facts": ["level"], "set": "pair", "optional": ["level"]}
    found = described(tmp_path, rows, columns=columns)
    assert found.facts.groups == {"kind: count": ("1",), "kind: order": ("2", "3"), "level: 1": ("1", "2")}
    assert found.facts.sets == {"p": ("1", "3"), "q": ("2",)}
    assert [q.facts for q in found.questions] == [{"level": "1"}, {"level": "1"}, {}]
    joined = described(
        tmp_path, rows, columns=columns, groups={"some": ["level: 1"], "all": ["level: 1", "kind: order"]}
    )
    assert joined.facts.groups == {"all": ("1", "2", "3"), "some": ("1", "2")}
    with pytest.raises(InputError, match=r"q\.json:1: lacks level; found #, video"):
        described(tmp_path, rows, columns={**columns, "optional": []})


def test_nested_rows_keep_what_stands_beside_the_way(tmp_path: Path) -> None:
    rows = {"v1": {"meta": {"fps": 10}, "asked": [ASKED | {"to": 25}]}, "v2": {"meta": {"fps": 5}, "asked": []}}
    for row in rows["v1"]["asked"]:
        del row["video"]
    values: dict[str, Any] = {"rows": ["<video>", "asked"], "columns": {"stop": "to"}, "frames": {"fps": "meta.fps"}}
    (question,) = described(tmp_path, rows, **values).questions
    assert (question.clip.video_id, question.clip.stop) == ("v1", 2.5)
    values["frames"] = {"fps": "meta.fps", "stop_included": True}
    assert described(tmp_path, rows, **values).questions[0].clip.stop == 2.6
    with pytest.raises(InputError, match=r"q\.json:1: lacks the key 'ask'; found meta, asked"):
        described(tmp_path, rows, **{**values, "rows": ["<video>", "ask"]})
    with pytest.raises(InputError, match=r"q\.json:1: expected a list of questions\n.*'rows'"):
        described(tmp_path, rows)
    with pytest.raises(InputError, match="to 'soon' is no number of a frame"):
        described(tmp_path, {"v1": {"meta": {"fps": 10}, "asked": [{**ASKED, "to": "soon"}]}}, **values)
    assert len(described(tmp_path, {"data": {"asked": [ASKED] * 3}}, rows=["data", "asked"]).questions) == 3


def test_columns_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text('{"q1": 1, "q2": 0, "q9": 1}')
    rows = [{**ASKED, "id": f"q{n}", "kind": "k" if n < 3 else "l"} for n in (1, 2, 3)]
    for row in rows:
        del row["answer"]
    lookup = {
        "answer": {"by": "id", "file": "answers.json", "empty": ["0"]},
        "folder": {"by": "kind", "values": {"k": "films/k"}},
    }
    columns = {"video": ["{folder}/{video}", "video"]}
    asked = described(tmp_path, rows, columns=columns, lookup=lookup, hidden="ask")
    assert [q.answer for q in asked.questions] == [1, None, None]
    assert [q.clip.video_id for q in asked.questions] == ["films/k/v", "films/k/v", "v"]
    assert (
        asked.card.counts["answers hidden"] == 2
        and "1 entries of answers.json (answer) belong to no row" in asked.card.notes
    )
    (left,) = described(tmp_path, rows, columns=columns, lookup=lookup).questions
    assert left.question_id == "q1"
    (tmp_path / "answers.json").write_text("[1]")
    with pytest.raises(InputError, match=r"answers\.json: expected a mapping to plain values"):
        described(tmp_path, rows, columns=columns, lookup=lookup)


def test_options_may_stand_in_the_text(tmp_path: Path) -> None:
    told = "What is seen?\nLook well.\nA. a plate,\nand a cup\nB. a pan"
    row = {"video": "v", "question": told, "answer": "B"}
    (question,) = described(tmp_path, [row], columns={"options": "question", "question": "question"}).questions
    assert question.question == "What is seen?\nLook well." and question.asked.options == (
        "a plate,\nand a cup",
        "a pan",
    )
    (listed,) = described(tmp_path, [{**ASKED, "options": "(A) x\n(B) y"}]).questions
    assert listed.asked.options == ("x", "y")
    (fixed,) = described(tmp_path, [{**ASKED, "answer": "no"}], choices=["yes", "no"]).questions
    assert fixed.asked.options == ("yes", "no") and fixed.answer == 1
    with pytest.raises(InputError, match="no options stand in 'What"):
        lines_of("What?\nA. only one")


def test_options_that_stand_twice(tmp_path: Path) -> None:
    rows = [{**ASKED, "options": ["x", "y", "x"], "answer": "B"}, {**ASKED, "options": ["x", "y", "x"], "answer": "C"}]
    rows += [{**ASKED, "options": ["x", "x", "y"], "answer": "y"}]
    assert described(tmp_path, [*rows, ASKED]).card.counts["rows left out: two options the same"] == 3
    found = described(tmp_path, rows, repeated_options="once")
    assert [(q.asked.options, q.answer) for q in found.questions] == [(("x", "y"), 1)] * 2
    assert found.card.counts["rows left out: two options the same"] == 1
    assert found.card.counts["wrong options that stood twice, asked once"] == 2


def test_commas_with_nothing_behind_them(tmp_path: Path) -> None:
    text = (
        json.dumps([{**ASKED, "question": 'Is it ",]" or ",}"?'}], indent=1)
        .replace('"A"', '"A",')
        .replace("}\n", "},\n")
    )
    found = described(tmp_path, text)
    assert found.questions[0].question == 'Is it ",]" or ",}"?'
    assert found.card.notes[0] == "is no JSON: 2 commas with nothing behind them are taken off"
    with pytest.raises(InputError, match=r"q\.json:1: not JSON"):
        described(tmp_path, '[{"a": 1,, }]')


def test_subtitles_come_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "said").mkdir()
    (tmp_path / "said" / "v.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\n<b>Hello</b>\nthere &amp; here\n")
    rows = [ASKED, {**ASKED, "video": "sub/v.mp4"}, {**ASKED, "video": "w"}]
    found = described(tmp_path, rows, subtitles="said")
    assert found.card.counts["videos without subtitles"] == 1 and set(found.subtitles) == {"v", "sub/v.mp4"}
    assert [(s.start, s.stop, s.text) for s in found.subtitles["v"]] == [(1.0, 2.5, "Hello there & here")]
    saved = found.save(tmp_path / "bench")
    assert Benchmark.load(tmp_path / "bench").subtitles == saved.subtitles
    with pytest.raises(InputError, match="none: no such folder of subtitles"):
        described(tmp_path, rows, subtitles="none")


def test_parquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "q.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(rows, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"q\.parquet: .*pyarrow, which is not installed\n.*pip install pyarrow"):
        described(tmp_path, None, "q.parquet")


def test_parquet_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, with which Parquet and Arrow files are read")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    wanted = described(tmp_path, [ASKED, {**ASKED, "answer": "B"}]).questions
    table = pyarrow.Table.from_pylist([ASKED, {**ASKED, "answer": "B"}])
    parquet.write_table(table, tmp_path / "q.parquet")
    assert described(tmp_path, None, "q.parquet").questions == wanted
    with pyarrow.OSFile(str(tmp_path / "q.arrow"), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert described(tmp_path, None, "q.arrow").questions == wanted
    (tmp_path / "q.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match=r"q\.parquet: cannot be read as parquet"):
        described(tmp_path, None, "q.parquet")


def test_rows_of_parquet_are_those_that_pyarrow_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Table:
        def to_pylist(self) -> list[dict[str, Any]]:
            return [ASKED]

    fake, parquet = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    fake.__spec__ = ModuleSpec("pyarrow", None)
    fake.ArrowException = RuntimeError  # type: ignore[attr-defined]
    parquet.read_table = lambda path: Table()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", fake)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    (tmp_path / "q.parquet").write_bytes(b"PAR1")
    assert described(tmp_path, None, "q.parquet").questions[0].asked.options == ("x", "y")


def test_null_takes_away_what_a_description_is_like(tmp_path: Path) -> None:
    header = "video,question,answer,qid,type,a0,a1\n"
    values: dict[str, Any] = {"like": "nextqa", "columns": {"options": ["a0", "a1"]}}
    with pytest.raises(InputError, match="has 1 rows, expected are 4996"):
        described(tmp_path, header + "v,what,0,1,CH,x,y\n", "q.csv", **values)
    values["expected"] = {"rows": None, "questions": None}
    assert len(described(tmp_path, header + "v,what,0,1,CH,x,y\n", "q.csv", **values).questions) == 1
