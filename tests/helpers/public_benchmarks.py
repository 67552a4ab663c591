"""A few rows in the published form of each public benchmark, made up; and how they are opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.questions.schema import Benchmark


def opened(folder: Path, name: str, rows: Any = None, **described: Any) -> Benchmark:
    """The questions of a public benchmark's made-up rows, or of others; nothing is said or expected of their number."""
    values: dict[str, Any] = {"like": name, "expected": dict.fromkeys(("rows", "questions", "videos")), **described}
    if "file" not in values:
        values["file"] = FILES[name][0]
        write(folder, values["file"], FILES[name][1]() if rows is None else rows)
    (folder / "mine.yaml").write_text(yaml.safe_dump(values))
    return open_benchmark(folder / "mine.yaml", say=lambda said: None)


def write(folder: Path, file: str, rows: Any) -> None:
    """Rows as files: a mapping of names to rows where ``file`` has a star."""
    for name, content in rows.items() if "*" in file else [(file, rows)]:
        path = folder / file.replace("*", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in content) if path.suffix == ".jsonl" else None
        path.write_text(content if isinstance(content, str) else lines or json.dumps(content, indent=1))


def _nextqa() -> str:
    return (
        "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
        "401,369,640,480,how do the men play,0,6,CH,roll it,tap it,pull it,hit it,pat it\n"
        "488,269,640,480,what does he do after,2,6,TP,share it,sit there,unwrap it,play,gesture\n"
    )


def _egoschema() -> list[dict[str, str]]:
    options = {f"option {place}": f"C does thing {place}" for place in range(5)}
    return [{"q_uid": f"uid-{n}", "google_drive_id": "x", "question": "What does c do?", **options} for n in range(3)]


def _mvbench() -> dict[str, Any]:
    counted = {"video": "v_1.mp4", "question": "How many?", "candidates": ["3", "4", "2", "1"], "answer": "3"}
    cut = {"video": "A.mp4", "question": "What after?", "candidates": ["Ate.", "Sat."], "answer": "Sat."}
    return {"moving_count": [counted, counted | {"answer": "1"}], "action_sequence": [cut | {"start": 1.5, "end": 4.0}]}


def _perceptiontest() -> dict[str, Any]:
    asked = {"question": "Which cup?", "options": ["left", "middle", "right"], "area": "memory"}
    asked |= {"reasoning": "descriptive", "tag": ["occlusion"]}
    meta = {"split": "valid", "frame_rate": 30.0, "num_frames": 300, "is_cup_game": True}
    return {
        "video_1": {
            "metadata": meta,
            "mc_question": [{"id": 0, "answer_id": 2, **asked}, {"id": 1, "answer_id": 0, **asked}],
        },
        "video_2": {"metadata": meta, "mc_question": [{"id": 0, "answer_id": 1, **asked}]},
    }


def _videomme() -> list[dict[str, Any]]:
    options = ["A. Apples.", "B. Candles.", "C. Berries.", "D. All the same."]
    asked = {"task_type": "Counting Problem", "question": "Which is largest?", "options": options}
    video = {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Geography"}
    return [{**video, "questions": [{"question_id": f"001-{n}", "answer": "CAD"[n - 1], **asked} for n in (1, 2, 3)]}]


def _videomme_v2() -> list[dict[str, Any]]:
    options = "\n".join(f"{letter}. thing {letter}" for letter in "ABCDEFGH")
    rows = []
    for video, kind, structure in (("001", "relevance", "[1, 2, 3, 4]"), ("002", "logic", "[1, [2, 3], 4]")):
        for n in range(1, 5):
            last = (
                {"level": 2, "second_head": "s", "third_head": "t"}
                if n == 4
                else dict.fromkeys(("level", "second_head", "third_head"))
            )
            rows.append({
                "video_id": video, "question_id": f"{video}-{n}", "question": f"What {n}?", "options": options,
                "answer": "AHCD"[n - 1], "group_type": kind, "group_structure": structure, **last,
            })  # fmt: skip
    return rows


def _longvideobench() -> list[dict[str, Any]]:
    asked = {"question": "What is next?", "candidates": ["a cat", "a dog", "N/A"], "duration_group": 15}
    asked |= {"question_category": "T3E", "duration": 12.5, "starting_timestamp_for_subtitles": 10.0}
    return [
        {"id": "v1_0", "video_path": "v1.mp4", "subtitle_path": "v1_en.json", "correct_choice": 1, **asked},
        {"id": "v2_0", "video_path": "v2.mp4", "subtitle_path": "v2_en.json", **asked},
    ]


def _lemonade() -> str:
    return (
        "Question,QID,Answers,Correct Answer,Clip,Start,End,Category,Subcategory,Difficulty\n"
        "What is done?,3,\"['cut', 'wash', 'stir']\",B,YH1_a,30,89,Behavior understanding,Perception,easy\n"
        "Where is it?,4,\"['left', 'right']\",A,YH1_a,0,0,Behavior understanding,Reasoning,hard\n"
    )


def _tomato() -> dict[str, Any]:
    asked = {
        "question": "How many turns?",
        "options": ["2", "1", "3"],
        "demonstration_type": "human",
        "motion_type": "count",
    }
    return {"count": {"0": asked | {"answer": 2, "key": "0209-03"}, "1": asked | {"answer": 0, "key": "0210-01"}}}


def _hd_epic() -> dict[str, Any]:
    asked = {"question": "What at <TIME 00:00:05.0 video 1>?", "choices": ["cut", "wash", "stir", "pour", "peel"]}
    cut = {"id": "P01-1", "start_time": "00:01:02.500", "end_time": "00:01:04.000"}
    return {
        "gaze": {
            "gaze_0": asked | {"inputs": {"video 1": cut}, "correct_idx": 1},
            "gaze_1": asked | {"inputs": {"video 1": {"id": "P01-1"}, "video 2": {"id": "P02-1"}}, "correct_idx": 1},
            "gaze_2": asked | {"inputs": {"image 1": {"id": "P01-1", "time": "00:00:01.0"}}, "correct_idx": 1},
            "gaze_3": asked | {"inputs": {"video 1": {"id": "P02-1"}}, "correct_idx": 4},
        }
    }


def _motionbench() -> list[dict[str, Any]]:
    told = "How often does he jump?\nA. once\nB. twice\nC. never"
    asked = [{"uid": "m1", "start": 0, "end": 5, "answer": "B", "question": told}]
    asked += [{"uid": "m2", "start": 0, "end": 5, "answer": "NA", "question": told}]
    head = {"question_type": "Repetition Count", "video_type": "web", "key": "k", "video_path": "k.mp4"}
    return [{**head, "video_info": {"fps": 30}, "qa": asked}]


def _tempcompass(*asked: tuple[str, str]) -> dict[str, Any]:
    return {"1034": {"action": [{"question": question, "answer": answer} for question, answer in asked]}}


def _vinoground() -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for kind in ("text", "video"):
        told = f"Which {kind}?\nA. first\nB. second\nAnswer with the option's letter from the given choices directly."
        rows[kind] = [
            {"idx": f"{pair}_{side}", "question": told, "GT": answer, "video_name": f"videos/{pair}_{side}.mp4"}
            for pair in (0, 1) for side, answer in (("pos", "A"), ("neg", "B"))
        ]  # fmt: skip
    return rows


FILES: dict[str, tuple[str, Callable[[], Any]]] = {
    "nextqa": ("val.csv", _nextqa),
    "egoschema": ("questions.json", _egoschema),
    "egoschema_subset": ("questions.json", _egoschema),
    "mvbench": ("json/*.json", _mvbench),
    "tvbench": ("json/*.json", _mvbench),
    "perceptiontest": ("mc_question_valid.json", _perceptiontest),
    "videomme": ("videomme.json", _videomme),
    "videomme_v2": ("test.jsonl", _videomme_v2),
    "longvideobench": ("lvb_val.json", _longvideobench),
    "lemonade": ("lemonade_benchmark.csv", _lemonade),
    "tomato": ("data/*.json", _tomato),
    "hd_epic": ("vqa-benchmark/*.json", _hd_epic),
    "motionbench": ("video_info.meta.jsonl", _motionbench),
    "tempcompass_multi_choice": (
        "multi-choice.json",
        lambda: _tempcompass(("What?\nA. dunk\nB. pass", "B. pass"), ("Why?\nA. fun\nB. work\nC. rest", "A. fun")),
    ),
    "tempcompass_yes_no": ("yes_no.json", lambda: _tempcompass(("Is it?", "yes"), ("Was it?", "no"))),
    "tempcompass_caption_matching": (
        "caption_matching.json",
        lambda: _tempcompass(
            ("Which fits?\nOption 1: A man runs.\nOption 2: A man sits.", "Option 2: A man sits."),
            ("Which fits?\nCaption A: A man runs.\nCaption B: A man sits.", "Caption A: A man runs."),
        ),
    ),
    "vinoground": ("vinoground_*score.json", _vinoground),
}
"""By benchmark: its file, or files, and its rows."""
