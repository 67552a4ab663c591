"""Questions without options, from the files of their makers and from anybody's table."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from llavaction import api
from llavaction.actions.segments import END_OF_VIDEO
from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks import open_benchmark, open_questions
from llavaction.evaluation.open_answers.schema import OpenBenchmark
from llavaction.video.write import write_video


def described(folder: Path, text: str) -> Path:
    (folder / "bench.yaml").write_text(text)
    return folder / "bench.yaml"


def opened(path: Path, videos: Path | None = None) -> OpenBenchmark:
    found = open_questions(path, videos, say=lambda _: None)
    assert isinstance(found, OpenBenchmark)
    return found


def film(path: Path, seconds: int = 2) -> None:
    frames = np.zeros((seconds * 10, 32, 32, 3), dtype=np.uint8)
    write_video(path, iter(frames), Fraction(10))


ACTIVITYNET = [
    {"video_name": "a-b_c", "question": "is it Red", "question_id": "v_a-b_c_1"},
    {"video_name": "d", "question": "how many", "question_id": "v_d_1"},
]
ANSWERS = [
    {"answer": "yes", "type": 3, "question_id": "v_a-b_c_1"},
    {"answer": "2", "type": 7, "question_id": "v_d_1"},
]


def activitynet(folder: Path, answers: object = ANSWERS) -> Path:
    (folder / "test_q.json").write_text(json.dumps(ACTIVITYNET))
    (folder / "test_a.json").write_text(json.dumps(answers))
    return described(folder, "like: activitynet_qa\nfile: test_q.json\nexpected: {rows: 2}\n")


def test_activitynet_qa_joins_questions_and_answers(tmp_path: Path) -> None:
    first, second = opened(activitynet(tmp_path)).questions
    assert (first.question_id, first.clip.video_id, first.answers, first.kind) == (
        "v_a-b_c_1",
        "v_a-b_c",
        ("yes",),
        "yes/no",
    )
    assert second.kind == "number" and second.clip.stop == END_OF_VIDEO


def test_activitynet_qa_needs_its_answers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no answer in test_a\.json"):
        opened(activitynet(tmp_path, [ANSWERS[0], {**ANSWERS[1], "question_id": "other"}]))
    with pytest.raises(InputError, match="is of type 9"):
        opened(activitynet(tmp_path, [ANSWERS[0], {**ANSWERS[1], "type": 9}]))
    with pytest.raises(InputError, match=r"2 questions, and test_a\.json 1 answers"):
        opened(activitynet(tmp_path, ANSWERS[:1]))
    (tmp_path / "test_a.json").unlink()
    with pytest.raises(InputError, match=r"test_a\.json: the answers are not beside the questions"):
        opened(tmp_path / "bench.yaml")


EGOTEMPO = {
    "info": {"version": "1.0"},
    "annotations": [
        {
            "question_id": "u1_1.5_9.0_0",
            "clip_id": "u1_1.5_9.0",
            "question_type": "t",
            "question": "What?",
            "answer": "A cup.",
        },
        {"question_id": "u2_0_4", "clip_id": "u2_-0.1_4.mp4", "question_type": "s", "question": "Who?", "answer": "C"},
    ],
}


def test_egotempo_clips_are_parts_of_videos_or_videos_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps(EGOTEMPO))
    path = described(tmp_path, "like: egotempo\nfile: q.json\nexpected: {questions: 2, kinds: 2}\n")
    first, second = opened(path).questions
    assert (first.clip.video_id, first.clip.start, first.clip.stop) == ("u1", 1.5, 9.0)
    assert (second.clip.video_id, second.clip.start, second.clip.stop) == ("u2", 0.0, 4.0)
    videos = tmp_path / "videos"
    videos.mkdir()
    film(videos / "u1_1.5_9.0.mp4")
    path = described(tmp_path, "like: egotempo\nfile: q.json\nexpected: {questions: 1, kinds: 1}\n")
    found = opened(path, videos)
    assert [q.clip.video_id for q in found.questions] == ["u1_1.5_9.0"] and found.questions[0].clip.stop == 2.0
    assert found.card.counts["rows left out: video missing or unreadable"] == 1


def test_charades_sta_asks_for_time(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("AB12 24.3 30.4##person turn a light on.\nCD 0.0 5.5##a person sits\n")
    path = described(tmp_path, "like: charades_sta\nfile: test.txt\nexpected: {rows: 2}\n")
    found = opened(path)
    assert [(q.clip.video_id, q.span, q.question) for q in found.questions] == [
        ("AB12", (24.3, 30.4), "person turn a light on"), ("CD", (0.0, 5.5), "a person sits")
    ]  # fmt: skip
    assert api.evaluate(path, "oracle", tmp_path / "run").metrics["scores"]["mean_overlap"]["all"]["value"] == 1.0
    (tmp_path / "test.txt").write_text("AB12 24.3##person\n")
    with pytest.raises(InputError, match=r"test\.txt:1: expected .VIDEO START STOP"):
        opened(path)


OWN = "reader: open_answers\nfile: q.csv\ncolumns: {id: n, answer: right, group: sort}\n"


def test_anybodys_table(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(
        "n,video,start,stop,question,right,sort\n"
        "1,v,0:01,0:03,What is held?,\"['cup', 'mug']\",object\n"
        "1,v,4,5,What is cut?,carrot,object\n"
        "2,w,4,5,What is cut?,NA,\n"
    )
    path = described(tmp_path, OWN)
    found = opened(path)
    first, second = found.questions
    assert first.answers == ("cup", "mug") and (first.clip.start, first.clip.stop) == (1.0, 3.0)
    assert second.question_id == "1-2" and "called '1-2'" in found.card.notes[0]
    assert found.card.counts["rows left out: answer hidden"] == 1
    with pytest.raises(InputError, match="its questions have no options"):
        open_benchmark(path)


def test_real_files_hold_what_their_makers_say(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    path = described(tmp_path, f"like: activitynet_qa\nfile: {data}/activitynetqa/test_q.json\n")
    found = opened(path)
    assert len(found.questions) == 8000 and found.card.counts["videos"] == 800
    kinds = [question.kind for question in found.questions]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "yes/no": 2094, "other": 1499, "motion": 800, "spatial relation": 800, "temporal relation": 800, "colour": 697,
        "number": 606, "location": 386, "object": 318,
    }  # fmt: skip
    result = api.evaluate(path, "oracle", tmp_path / "oracle", say=lambda _: None)
    assert result.metrics["scores"]["exact_match"]["all"]["value"] == 1.0
    path = described(tmp_path, f"like: egotempo\nfile: {data}/egotempo/egotempo_openQA.json\n")
    assert opened(path).card.counts["questions"] == 500
    result = api.evaluate(path, "oracle", tmp_path / "egotempo", say=lambda _: None)
    assert result.metrics["scores"]["anls"]["all"]["value"] == 1.0
