"""Public benchmarks, described as data: their published forms on made-up rows, and real files where there are some."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.public_benchmarks import FILES, opened
from llavaction import api
from llavaction.actions.segments import END_OF_VIDEO
from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks import READERS
from llavaction.evaluation.benchmarks.protocol import known_protocols, load_protocol
from llavaction.evaluation.metrics import compute_metrics
from llavaction.evaluation.predictions import Prediction
from llavaction.questions.prompts import multiple_choice_prompt
from llavaction.questions.schema import Benchmark, Question

SOURCE = ("url", "version", "licence", "metric", "metric_source", "prompt")
"""What every description tells of where its questions are from."""


def chosen(question: Question, place: int | None) -> Prediction:
    status = "unparsed" if place is None else "parsed"
    fields: dict[str, Any] = {
        "choice": place,
        "parse_status": status,
        "decision_rule": "test",
        "answer": question.answer,
    }
    return Prediction(question_id=question.question_id, video_id=question.clip.video_id, **fields)


def accuracy(benchmark: Benchmark, place: int | None = None) -> float:
    """Of the right answers, or of always the same place."""
    asked = benchmark.with_answers
    predictions = [chosen(question, question.answer if place is None else place) for question in asked]
    return float(compute_metrics(benchmark, predictions)["accuracy"]["value"])


def prompt(benchmark: Benchmark, place: int = 0) -> str:
    assert benchmark.card.source is not None and benchmark.card.source.prompt is not None
    asked = benchmark.questions[place].asked
    return benchmark.card.source.prompt.fill(asked.question, list(zip("ABCDEFGH", asked.options, strict=False)))


def with_options() -> list[str]:
    """Descriptions of benchmarks whose questions have options."""
    found = {name: load_protocol(path) for name, path in known_protocols().items() if path.parent.name == "benchmarks"}
    return sorted(
        name
        for name, protocol in found.items()
        if ".open_ended:" not in READERS[protocol.reader] and getattr(protocol, "task", "questions") == "questions"
    )


@pytest.mark.parametrize("name", with_options())
def test_each_is_read_and_measured(name: str, tmp_path: Path) -> None:
    protocol = load_protocol(known_protocols()[name])
    for told in SOURCE:
        assert getattr(protocol.source, told), f"{name} lacks source.{told}"
    assert protocol.source.prompt is not None and protocol.source.prompt.source
    lookup: dict[str, Any] = {}
    if name == "egoschema_subset":
        (tmp_path / "answers.json").write_text(json.dumps({"uid-0": 3, "uid-2": 0}))
        lookup = {"lookup": {"answer": {"file": "answers.json"}}}
    found = opened(tmp_path, name, **lookup)
    assert len(found.questions) >= 2 or name == "motionbench"
    if not found.with_answers:
        return
    assert accuracy(found) == 1.0
    firsts = sum(question.answer == 0 for question in found.with_answers)
    assert accuracy(found, 0) == pytest.approx(firsts / len(found.with_answers), abs=1e-6)
    assert found.card.source == protocol.source and found.card.licence == protocol.source.licence
    saved = found.save(tmp_path / "bench")
    assert Benchmark.load(tmp_path / "bench") == saved
    result = api.evaluate(tmp_path / "mine.yaml", "oracle", tmp_path / "run", say=lambda said: None)
    assert result.metrics["accuracy"]["value"] == 1.0
    for value in ("mean over tasks", "group score", "text score"):
        assert result.metrics.get("official_scores", {}).get(value, 1.0) == 1.0


def test_every_description_has_rows_in_its_form() -> None:
    assert set(FILES) == set(with_options())


def test_nextqa_counts_kinds_as_its_evaluation_does(tmp_path: Path) -> None:
    found = opened(tmp_path, "nextqa")
    assert found.facts.groups == {
        "causal": ("401_6",), "CH": ("401_6",), "temporal": ("488_6",), "TN": ("488_6",)
    }  # fmt: skip
    assert [question.facts for question in found.questions] == [{"type": "CH"}, {"type": "TP"}]
    assert prompt(found).startswith("how do the men play\nA. roll it\nB. tap it\n")
    (tmp_path / "map.json").write_text('{"401": "1164/401", "488": "1164/488", "9": "1/9"}')
    lookup = {"path": {"by": "video", "file": "map.json"}}
    placed = opened(tmp_path, "nextqa", lookup=lookup, columns={"video": "{path}"})
    assert [question.clip.video_id for question in placed.questions] == ["1164/401", "1164/488"]
    assert "1 entries of map.json (path) belong to no row" in placed.card.notes


def test_nextqa_as_published(shared: Path, tmp_path: Path) -> None:
    found = opened(tmp_path, "nextqa", file=str(shared / "data/nextqa/val.csv"), expected={"rows": 4996, "videos": 570})
    assert len(found.questions) == 4996 and not any("left out" in name for name in found.card.counts)
    assert found.card.counts["wrong options that stood twice, asked once"] == 3
    (twice,) = (question for question in found.questions if question.question_id == "13884293626_2")
    assert twice.asked.options == ("stabilize food", "resting", "blow the candles", "writing") and twice.answer == 3
    kinds = Counter(question.facts["type"] for question in found.questions)
    assert kinds == {"CW": 1924, "TN": 895, "CH": 683, "TC": 663, "DO": 305, "DL": 295, "DC": 177, "TP": 54}
    sizes = {name: len(ids) for name, ids in found.facts.groups.items()}
    assert (sizes["causal"], sizes["temporal"], sizes["descriptive"], sizes["TN"]) == (2607, 1612, 777, 949)
    told = csv.DictReader((shared / "data/nextqa/val.csv").open(newline=""))
    first = Counter((row["type"], row["answer"] == "0") for row in told)
    metrics = compute_metrics(found, [chosen(question, 0) for question in found.questions])
    for name, members in {"TN": ("TN", "TP"), "CW": ("CW",), "descriptive": ("DC", "DL", "DO")}.items():
        right, wrong = (sum(first[kind, is_first] for kind in members) for is_first in (True, False))
        assert metrics["groups"][name]["value"] == pytest.approx(right / (right + wrong), abs=1e-6)
    lookup = {"path": {"by": "video", "file": str(shared / "data/nextqa/map_vid_vidorID.json")}}
    placed = opened(
        tmp_path, "nextqa", file=str(shared / "data/nextqa/val.csv"), lookup=lookup, columns={"video": "{path}"}
    )
    assert all("/" in question.clip.video_id for question in placed.questions)


def test_egoschema_asks_all_and_knows_some_answers(tmp_path: Path) -> None:
    assert [question.answer for question in opened(tmp_path, "egoschema").questions] == [None] * 3
    (tmp_path / "answers.json").write_text(json.dumps({"uid-0": 3, "uid-2": 0, "uid-9": 1}))
    lookup = {"lookup": {"answer": {"file": "answers.json"}}}
    joined = opened(tmp_path, "egoschema", **lookup)
    assert [question.answer for question in joined.questions] == [3, None, 0]
    assert joined.card.counts["answers hidden"] == 1 and list(joined.card.sources) == ["questions.json", "answers.json"]
    assert "1 entries of answers.json (answer) belong to no row" in joined.card.notes
    assert [question.answer for question in opened(tmp_path, "egoschema_subset", **lookup).questions] == [3, 0]
    assert prompt(joined).endswith(
        "E. C does thing 4\nAnswer with the option's letter from the given choices directly."
    )


def test_egoschema_as_published(shared: Path, tmp_path: Path) -> None:
    answers = str(shared / "data/egoschema/subset_answers.json")
    described: dict[str, Any] = {
        "file": str(shared / "data/egoschema/questions.json"), "lookup": {"answer": {"file": answers}}
    }  # fmt: skip
    found = opened(tmp_path, "egoschema", **described)
    assert len(found.questions) == 20 and found.card.counts["answers hidden"] == 20
    assert "500 entries of subset_answers.json (answer) belong to no row" in found.card.notes
    with pytest.raises(InputError, match=r"holds no question that can be asked \(20 rows left out: answer hidden\)"):
        opened(tmp_path, "egoschema_subset", **described)


def test_mvbench_cuts_where_times_are_told(tmp_path: Path) -> None:
    found = opened(tmp_path, "mvbench")
    cut, first, second = found.questions
    assert (cut.question_id, cut.clip.video_id) == ("action_sequence_1", "star/Charades_v1_480/A.mp4")
    assert (cut.clip.start, cut.clip.stop) == (1.5, 4.0) and first.clip.stop == END_OF_VIDEO
    assert first.clip.video_id == "clevrer/video_validation/v_1.mp4" and first.answer == 0 and second.answer == 3
    assert found.facts.groups == {
        "action_sequence": ("action_sequence_1",),
        "moving_count": ("moving_count_1", "moving_count_2"),
    }
    assert prompt(found) == "Question:What after?\nOption:\n(A) Ate.\n(B) Sat.\nOnly give the best option.\n"
    metrics = compute_metrics(found, [chosen(question, 0) for question in found.questions])
    assert metrics["accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert metrics["official_scores"] == {"mean over tasks": 0.25, "tasks": 2}  # 0 of 1, 1 of 2


def test_mvbench_samples_as_published(shared: Path, tmp_path: Path) -> None:
    samples = json.loads((shared / "data/mvbench/derived_mvbench_published_samples.json").read_text())
    whole = {sample["task"]: [sample["record"]] for sample in samples if "answer" in sample["record"]}
    (question,) = opened(tmp_path, "mvbench", whole).questions
    assert (question.clip.video_id, question.right_option.text) == ("ssv2_video/166583.mp4", "Piling something up")


def test_tvbench_digits_are_texts(tmp_path: Path) -> None:
    found = opened(tmp_path, "tvbench")
    assert [question.answer for question in found.questions] == [1, 0, 3]  # "3" is the first of 3, 4, 2, 1
    assert (found.questions[0].clip.start, found.questions[0].clip.stop) == (1.5, 4.0)
    assert prompt(found) == "What after?\nA. Ate.\nB. Sat.\nAnswer with the option letter only."


def test_perception_test_is_cut_and_hides_its_test_answers(tmp_path: Path) -> None:
    (tmp_path / "cuts.json").write_text('{"video_1": 90, "video_2": -1}')
    found = opened(tmp_path, "perceptiontest", lookup={"cut": {"file": "cuts.json"}})
    assert [question.question_id for question in found.questions] == ["video_1_0", "video_1_1", "video_2_0"]
    assert [question.clip.stop for question in found.questions] == [3.0, 3.0, END_OF_VIDEO]
    assert [question.answer for question in found.questions] == [2, 0, 1]
    assert set(found.facts.groups) == {"area: memory", "reasoning: descriptive"}
    test = FILES["perceptiontest"][1]()
    for video in test.values():
        for asked in video["mc_question"]:
            del asked["answer_id"]
    assert [question.answer for question in opened(tmp_path, "perceptiontest", test).questions] == [None] * 3


def test_videomme_is_read_in_both_forms_and_with_commas_too_many(tmp_path: Path) -> None:
    found = opened(tmp_path, "videomme")
    assert [question.question_id for question in found.questions] == ["001-1", "001-2", "001-3"]
    assert found.questions[0].asked.options[2] == "Berries." and found.questions[0].answer == 2
    assert (
        found.facts.groups["duration: short"] == found.facts.groups["domain: Knowledge"] == ("001-1", "001-2", "001-3")
    )
    text = (
        json.dumps(FILES["videomme"][1](), indent=1)
        .replace('"\n', '",\n')
        .replace("]\n", "],\n")
        .replace("}\n", "},\n")
    )
    mended = opened(tmp_path, "videomme", text)
    assert mended.questions == found.questions
    assert any("commas with nothing behind them are taken off" in note for note in mended.card.notes)
    flat = [{**{k: v for k, v in video.items() if k != "questions"}, **asked, "videoID": "fFjv93ACGo8"}
            for video in FILES["videomme"][1]() for asked in video["questions"]]  # fmt: skip
    rows = opened(tmp_path, "videomme", flat)
    assert rows.questions[0].clip.video_id == "fFjv93ACGo8"
    assert [question.asked.options for question in rows.questions] == [q.asked.options for q in found.questions]


def test_videomme_tells_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "001.srt").write_text(
        '1\n00:00:01,000 --> 00:00:02,000\n<font color="white" size=".72c">Merry Christmas</font>\n\n'
        '2\n00:00:03,000 --> 00:00:04,000\n<font color="white" size=".72c">to all</font>\n'
    )
    found = opened(tmp_path, "videomme", subtitles="subtitle")
    assert found.card.source is not None and found.card.source.prompt is not None
    asked, said = found.questions[0].asked, [line.text for line in found.subtitles["001"]]
    told = found.card.source.prompt.fill(asked.question, [("A", "Apples.")], said)
    begin = "This video's subtitles are listed below: \nMerry Christmas\nto all\nSelect the best answer"
    assert told.startswith(begin) and told.endswith("A. Apples.\nThe best answer is:")


def test_videomme_v2_tells_words_as_one_text(tmp_path: Path) -> None:
    (tmp_path / "subtitle").mkdir()
    words = [{"text": text, "start_time": n, "end_time": n + 0.3} for n, text in enumerate(("We", "go."))]
    (tmp_path / "subtitle" / "001.jsonl").write_text("".join(json.dumps(word) + "\n" for word in words))
    found = opened(tmp_path, "videomme_v2", subtitles="subtitle")
    assert found.card.counts["videos without subtitles"] == 1 and len(found.subtitles["001"]) == 2
    assert found.card.source is not None and found.card.source.prompt is not None
    told = found.card.source.prompt.fill("Why?", [("A", "x")], [line.text for line in found.subtitles["001"]])
    assert told.startswith("This video's subtitles are listed below:\nWe go.\n\nQuestion: Why?\nA. x\nSelect the best")


def test_videomme_as_published(shared: Path, tmp_path: Path) -> None:
    found = opened(tmp_path, "videomme", file=str(shared / "data/videomme/output_test_template.json"))
    counts = {name: found.card.counts[name] for name in ("questions", "videos", "rows")}
    assert counts == {"questions": 9, "videos": 3, "rows": 9}
    assert [question.answer_letter for question in found.questions] == list("CADCDBBCD")
    assert any("no JSON" in note for note in found.card.notes)
    fixed = opened(tmp_path, "videomme", file=str(shared / "data/videomme/derived_output_test_template_fixed.json"))
    assert fixed.questions == found.questions


def test_videomme_v2_scores_groups(tmp_path: Path) -> None:
    found = opened(tmp_path, "videomme_v2")
    assert len(found.questions[0].options) == 8 and found.questions[1].answer_letter == "H"
    assert found.facts.sets == {v: tuple(f"{v}-{n}" for n in (1, 2, 3, 4)) for v in ("001", "002")}
    wrong = {"001-4", "002-2"}
    predictions = [chosen(q, 5 if q.question_id in wrong else q.answer) for q in found.questions]
    official = compute_metrics(found, predictions)["official_scores"]
    # three of four: 9/16; a logic chain whose first and third hold, and either of the middle may come first: 4/12
    assert official["relevance"] == 0.5625 and official["logic"] == pytest.approx(4 / 12, abs=1e-6)
    assert official["group score"] == pytest.approx((9 / 16 + 4 / 12) / 2, abs=1e-6) == official["level: 2"]
    assert official["groups"] == 2 and official["groups not asked whole"] == 0
    assert compute_metrics(found, predictions[1:])["official_scores"]["groups not asked whole"] == 1


def test_longvideobench_leaves_what_is_no_option_and_asks_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "subtitles").mkdir()
    lines = [
        {"start": "00:00:11.000", "end": "00:00:12.500", "line": "hello"},
        {"timestamp": [13, None], "text": "bye"},
    ]
    (tmp_path / "subtitles" / "v1_en.json").write_text(json.dumps(lines))
    found = opened(tmp_path, "longvideobench", subtitles="subtitles")
    assert [question.answer for question in found.questions] == [1, None]
    assert found.questions[0].asked.options == ("a cat", "a dog")
    said = found.subtitles["v1.mp4"]
    assert [(line.start, line.stop, line.text) for line in said] == [(1.0, 2.5, "hello"), (3.0, 1e9 - 10, "bye")]
    assert found.card.counts["videos without subtitles"] == 1
    assert set(found.facts.groups) == {"duration_group: 15", "question_category: T3E"}


def test_lemonade_counts_frames(tmp_path: Path) -> None:
    found = opened(tmp_path, "lemonade")
    assert [(q.clip.video_id, q.clip.start, q.clip.stop) for q in found.questions] == [
        ("YH1_a_hololens", 1.0, 3.0), ("YH1_a_hololens", 0.0, 0.033333)
    ]  # fmt: skip
    assert found.questions[0].answer_letter == "B" and found.facts.groups["QID: 4"] == ("2",)


def test_tomato_as_published(shared: Path, tmp_path: Path) -> None:
    made = opened(tmp_path, "tomato")
    assert [(q.question_id, q.clip.video_id, q.answer) for q in made.questions] == [
        ("count_0", "human/0209-03", 2), ("count_1", "human/0210-01", 0)
    ]  # fmt: skip
    assert "<options> \n{'A': '2', 'B': '1', 'C': '3'} \n</options>" in prompt(made)
    found = opened(tmp_path, "tomato", file=str(shared / "data/tomato/*.json"), expected={"questions": 1484})
    sizes = {
        name.removeprefix("motion_type: "): len(ids) for name, ids in found.facts.groups.items() if "motion" in name
    }
    assert sizes == {
        "count": 292, "direction": 403, "rotation": 286,
        "shape&trend": 223, "velocity&frequency": 210, "visual cues": 70,
    }  # fmt: skip
    assert found.card.options == 7 and len(found.card.sources) == 6
    assert opened(tmp_path, "tomato", file=str(shared / "data/tomato")).questions == found.questions


def test_hd_epic_reads_what_is_about_one_video(tmp_path: Path) -> None:
    found = opened(tmp_path, "hd_epic")
    assert [(q.question_id, q.clip.video_id, q.answer) for q in found.questions] == [
        ("gaze_0", "P01-1", 1), ("gaze_3", "P02-1", 4)
    ]  # fmt: skip
    assert (found.questions[0].clip.start, found.questions[0].clip.stop) == (62.5, 64.0)
    left = {name: count for name, count in found.card.counts.items() if "left out" in name}
    assert left == {"rows left out: several videos or images": 1, "rows left out: an image, not a video": 1}
    asked = "Question: What at <TIME 00:00:05.0 video 1>?. Answers: (A) cut. (B) wash. (C) stir. (D) pour. (E) peel. "
    assert prompt(found) == asked + "Correct: "


def test_hd_epic_as_published(shared: Path, tmp_path: Path) -> None:
    found = opened(tmp_path, "hd_epic", file=str(shared / "data/hd_epic/*.json"), expected={"rows": 1200})
    left = {name: count for name, count in found.card.counts.items() if "left out" in name}
    assert left == {"rows left out: several videos or images": 120}
    assert found.card.counts["wrong options that stood twice, asked once"] == 2
    assert {name: len(ids) for name, ids in found.facts.groups.items()} == {
        "fine_grained_how_recognition": 500, "fine_grained_why_recognition": 500,
        "recipe_prep_localization": 50, "recipe_step_localization": 30,
    }  # fmt: skip


def test_motionbench_hides_answers(tmp_path: Path) -> None:
    found = opened(tmp_path, "motionbench")
    (question,) = found.questions
    assert (question.question_id, question.question, question.answer_letter) == ("m1", "How often does he jump?", "B")
    assert found.card.counts["rows left out: answer hidden"] == 1
    assert prompt(found).endswith("C. never\nAnswer with only the option letter (A, B, C, D, E, or F).")
    assert [question.answer for question in opened(tmp_path, "motionbench", hidden="ask").questions] == [1, None]


def test_tempcompass_prompts_are_the_published_ones(tmp_path: Path) -> None:
    ends = "\nPlease directly give the best option:"
    choice = opened(tmp_path, "tempcompass_multi_choice")
    assert prompt(choice) == "What?\nA. dunk\nB. pass" + ends and [q.answer for q in choice.questions] == [1, 0]
    assert choice.questions[1].question_id == "1034_action_2" and set(choice.facts.groups) == {"action"}
    yes_no = opened(tmp_path, "tempcompass_yes_no")
    assert prompt(yes_no) == "Is it?\nPlease answer yes or no:" and [q.answer for q in yes_no.questions] == [0, 1]
    captions = opened(tmp_path, "tempcompass_caption_matching")
    assert prompt(captions) == "Which fits?\nOption 1: A man runs.\nOption 2: A man sits." + ends
    assert [q.answer for q in captions.questions] == [1, 0]
    rows = [{"video_id": "1034", "dim": "action", "question": "What?\nA. dunk\nB. pass", "answer": "B. pass"}]
    (flat,) = opened(tmp_path, "tempcompass_multi_choice", rows).questions
    assert flat.clip.video_id == "1034" and flat.asked.options == ("dunk", "pass")


def test_vinoground_scores_pairs(tmp_path: Path) -> None:
    found = opened(tmp_path, "vinoground")
    assert len(found.questions) == 8 and found.facts.sets["0"] == (
        "0_pos_text",
        "0_neg_text",
        "0_pos_video",
        "0_neg_video",
    )
    assert found.questions[0].asked.options == ("first", "second")
    wrong = {"0_neg_video"}
    predictions = [chosen(q, 1 - (q.answer or 0) if q.question_id in wrong else q.answer) for q in found.questions]
    assert compute_metrics(found, predictions)["official_scores"] == {
        "text score": 1.0, "video score": 0.5, "group score": 0.5, "pairs": 2, "pairs not asked whole": 0
    }  # fmt: skip
    firsts = compute_metrics(found, [chosen(q, 0) for q in found.questions])["official_scores"]
    assert firsts["text score"] == 0.0 and firsts["group score"] == 0.0


def test_official_prompts_are_asked(tmp_path: Path) -> None:
    found = opened(tmp_path, "egoschema")
    asked = found.questions[0].asked
    assert found.card.source is not None
    told = multiple_choice_prompt(replace(asked, template=found.card.source.prompt), "official")
    assert told == prompt(found)
