"""LLaVA's conversation JSON, there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.kitchen_days import predictions
from llavaction.base.errors import InputError
from llavaction.base.records import read_records, write_records
from llavaction.curation.exports import EXPORTS, Exported, export
from llavaction.curation.llava import from_llava, read_llava, to_llava, video_id
from llavaction.curation.messages import ClipFile, forged_mark
from llavaction.curation.mixture import curate
from llavaction.curation.records import TrainingRecord
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.recipes import collected

MIXTURES = collected("mixtures")
TALK = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]


@pytest.fixture(scope="module")
def records(kitchen: EpicKitchens, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    write_records(folder / "p.jsonl", predictions(kitchen).values())
    curate(kitchen, MIXTURES["kitchen-mini"], folder, predictions=[folder / "p.jsonl"])
    return folder / "records.jsonl"


def test_every_record_there_and_back(records: Path, tmp_path: Path) -> None:
    counts = export(records, tmp_path, "llava", video="{video_id}.MP4")
    ours = list(read_records(records, TrainingRecord))
    theirs = json.loads((tmp_path / "llava.json").read_text())
    assert counts.records == len(ours) == len(theirs) > 1000
    first = theirs[0]
    assert first["video"] == f"{ours[0].clip.video_id}.MP4"
    assert [turn["from"] for turn in first["conversations"]] == ["human", "gpt"]
    assert first["conversations"][0]["value"].startswith("<image>\nWhich action does the video show?\nA. ")
    assert float(first["start_timestamp"]) == ours[0].clip.start
    assert first["verb_id"] == ours[0].labels.verb
    assert read_llava(tmp_path / "llava.json").records == ours
    lines = "".join(json.dumps(entry) + "\n" for entry in theirs)
    (tmp_path / "llava.jsonl").write_text(lines)
    assert read_llava(tmp_path / "llava.jsonl").records == ours


def test_the_published_records(shared: Path) -> None:
    for entry in json.loads((shared / "golden/text/temporal.json").read_text())["seed0"]["first40"]:
        record = from_llava(entry)
        assert record.task == "temporal_detection"
        assert record.clip.video_id == entry["video"].split("-")[1]
        assert record.clip.stop == float(entry["end_timestamp"])
        assert record.messages[0].content == f"<video>\n{entry['conversations'][0]['value']}"
        assert record.labels.action == entry["action_id"]


def test_text_alone_and_system_turns(tmp_path: Path) -> None:
    turns = [{"from": "system", "value": "Be brief."}, *TALK[:1], *TALK[1:]]
    turns[1] = {"from": "human", "value": "What?"}
    record = from_llava({"id": "t", "conversations": turns})
    assert record.clip is None
    assert [message.role for message in record.messages] == ["system", "user", "assistant"]
    assert from_llava(to_llava(record)) == record


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([], "no list of 'conversations'"),
        ({"image": "a.jpg", "conversations": TALK}, "about a picture"),
        ({"video": "v.mp4", "conversations": TALK}, "does not say where the clip in 'v.mp4' ends"),
        ({"video": ["v.mp4", "w.mp4"], "conversations": TALK}, "expected one path"),
        (
            {"video": "v", "start_timestamp": "1", "end_timestamp": "x", "conversations": TALK},
            "end_timestamp: timestamp 'x' is not",
        ),
        ({"video": "v", "start_timestamp": "3", "end_timestamp": "2", "conversations": TALK}, "greater than start"),
        ({"conversations": TALK}, "stands 1 times in the messages of a record with no clip"),
        ({"video": "v", "end_timestamp": 2, "conversations": TALK[:1]}, "messages"),
        ({"video": "v", "end_timestamp": 2, "conversations": [{"from": "robot", "value": "x"}]}, "a turn is"),
        ({"video": "v", "end_timestamp": 2, "conversations": TALK, "verb_id": "take"}, "verb"),
    ],
)
def test_records_that_cannot_be_used_are_named(tmp_path: Path, entry: Any, message: str) -> None:
    good = {"id": "g", "video": "a/v.mp4", "end_timestamp": 2, "conversations": TALK}
    path = tmp_path / "x.json"
    path.write_text(json.dumps([good, entry]))
    found = read_llava(path)
    assert [record.record_id for record in found.records] == ["g"]
    assert [place for place, _ in found.refused] == [2]
    assert message in found.refused[0][1]
    path.write_text(json.dumps([entry]))
    with pytest.raises(InputError, match=r"holds no usable record; the first: "):
        read_llava(path)


def test_videos_of_one_name_in_several_folders(tmp_path: Path) -> None:
    names = ("a/1.mp4", "b/1.mp4", "b/1.mp4", "c/2.mp4", "P01-P01_11")
    entries = [{"video": name, "end_timestamp": 2, "conversations": TALK} for name in names]
    (tmp_path / "x.json").write_text(json.dumps(entries))
    found = [record.clip.video_id for record in read_llava(tmp_path / "x.json").records if record.clip]
    assert found == ["a/1", "b/1", "b/1", "2", "P01_11"]


@pytest.mark.parametrize("pattern", ["all.mp4", "{participant}/{video_id}.mp4", "{}{video_id}.mp4"])
def test_patterns_that_name_no_video(records: Path, tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=r"is no pattern of a video's path\n.*put \{video_id\}"):
        export(records, tmp_path, "llava", video=pattern)


def test_lengths_and_ids_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"id": "a", "video": "v.mp4", "conversations": TALK}] * 2))
    found = read_llava(path, {"v": 12.5}.__getitem__).records
    assert [record.record_id for record in found] == ["a", "a:2"]
    assert (found[0].clip.start, found[0].clip.stop) == (0.0, 12.5)
    path.write_text("{}")
    with pytest.raises(InputError, match="expected a list"):
        read_llava(path)
    with pytest.raises(InputError, match="no such file"):
        read_llava(tmp_path / "nowhere.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{}\n{"id": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"latin.jsonl:2: is not UTF-8 text"):
        read_llava(tmp_path / "latin.jsonl")
    (tmp_path / "bad.jsonl").write_text("{}\n{\n")
    with pytest.raises(InputError, match=r"bad.jsonl:2: not JSON"):
        read_llava(tmp_path / "bad.jsonl")


def test_ids_of_videos() -> None:
    assert video_id("P01/P01-P01_11.MP4") == video_id("P01-P01_11") == video_id("P01_11.mp4") == "P01_11"
    assert video_id("a/b-c.d") == "b-c.d"


def test_their_placeholder_in_our_text() -> None:
    record = from_llava({"id": "g", "video": "v", "end_timestamp": 2, "conversations": TALK})
    turns = (record.messages[0], record.messages[1].model_copy(update={"content": "an <image>"}))
    with pytest.raises(InputError, match="record 'g' says '<image>'"):
        to_llava(record.model_copy(update={"messages": turns}))


@pytest.mark.parametrize("style", ["ms-swift", "llama-factory", "trl"])
def test_messages_hold_the_same_texts_and_clips(records: Path, tmp_path: Path, style: str) -> None:
    counts = export(records, tmp_path, style)
    ours = list(read_records(records, TrainingRecord))
    theirs = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    clips = {entry.file: entry.clip for entry in read_records(tmp_path / "clips.jsonl", ClipFile)}
    assert counts == Exported(len(ours), left_out=0, clips=len(clips))
    assert len(clips) == len({record.clip.model_dump_json() for record in ours})
    for mine, other in zip(ours, theirs, strict=True):
        (file,) = other["videos"]
        assert clips[file] == mine.clip
        assert [message["role"] for message in other["messages"]] == ["user", "assistant"]
        contents = [message["content"] for message in other["messages"]]
        if style == "trl":
            assert contents[0][0] == {"type": "video", "video": file}
            contents = [
                "".join("<video>\n" if part["type"] == "video" else part["text"] for part in parts)
                for parts in contents
            ]
        assert contents == [message.content for message in mine.messages]
    description = tmp_path / "dataset_info.json"
    assert description.exists() == (style == "llama-factory")
    if description.exists():
        entry = json.loads(description.read_text())["llavaction"]
        assert entry["columns"]["videos"] in theirs[0]
        assert (tmp_path / entry["file_name"]).is_file()


@pytest.mark.parametrize("style", EXPORTS)
def test_records_with_words_are_left_out_and_counted(records: Path, tmp_path: Path, style: str) -> None:
    first, second, third = list(read_records(records, TrainingRecord))[:3]
    told = second.model_copy(update={"clip": None, "words": "cut onion", "labels": None})
    write_records(tmp_path / "r.jsonl", [first, told, third])
    counts = export(tmp_path / "r.jsonl", tmp_path / "out", style)
    assert (counts.records, counts.left_out) == (2, 1)
    text = (tmp_path / "out" / ("llava.json" if style == "llava" else "train.jsonl")).read_text()
    entries = json.loads(text) if style == "llava" else [json.loads(line) for line in text.splitlines()]
    assert len(entries) == 2
    with pytest.raises(InputError, match="words in place of a clip"):
        to_llava(told)


@pytest.mark.parametrize("style", EXPORTS)
@pytest.mark.parametrize("mark", ["<image>", "<audio>", "<|im_end|>", "<bbox>", "</s>", "<end_of_turn>"])
def test_a_text_that_trainers_take_for_a_mark_is_left_out_and_named(
    records: Path, tmp_path: Path, style: str, mark: str
) -> None:
    first, second, third = list(read_records(records, TrainingRecord))[:3]
    asked, answered = second.messages[-2:]
    forged = second.model_copy(update={"messages": (asked, answered.model_copy(update={"content": f"cut {mark}"}))})
    write_records(tmp_path / "r.jsonl", [first, forged, third])
    found = export(tmp_path / "r.jsonl", tmp_path / "out", style)
    assert (found.records, found.forged) == (2, {second.record_id: mark})
    assert f"cut {mark}" not in (tmp_path / "out" / ("llava.json" if style == "llava" else "train.jsonl")).read_text()


def test_an_ordinary_text_is_no_mark(records: Path) -> None:
    record = next(read_records(records, TrainingRecord))
    said = record.messages[-1].model_copy(update={"content": "a < b, <b>put</b> |x| <3 <- [INST]"})
    assert forged_mark(record.model_copy(update={"messages": (*record.messages[:-1], said)})) is None


def test_an_unknown_format(records: Path, tmp_path: Path) -> None:
    assert len(EXPORTS) == 4
    with pytest.raises(InputError, match="did you mean 'ms-swift'"):
        export(records, tmp_path, "mswift")


GOOD: dict[str, Any] = {"id": "g", "video": "a/v.mp4", "end_timestamp": 2, "conversations": TALK}


@pytest.mark.parametrize(
    "entry",
    [
        {
            **GOOD,
            "conversations": [{"role": "user", "content": "<image>\nWhat?"}, {"role": "assistant", "content": "That."}],
        },
        {**{key: value for key, value in GOOD.items() if key != "conversations"}, "messages": TALK},
        {**{key: value for key, value in GOOD.items() if key != "video"}, "videos": ["a/v.mp4"]},
        {**GOOD, "start_timestamp": "00:00:00", "end_timestamp": "00:00:02.0"},
        {**GOOD, "end_timestamp": "2,0"},
        {**GOOD, "data_source": "0_30_s", "dataset_name": "x"},
        {
            **GOOD,
            "messages": None,
            "conversations": [
                {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What?"}]},
                {"from": "gpt", "value": "That."},
            ],
        },
    ],
)
def test_other_peoples_styles_give_the_same_record(tmp_path: Path, entry: dict[str, Any]) -> None:
    for name, text in (("x.json", json.dumps([entry])), ("x.jsonl", json.dumps(entry))):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_llava(tmp_path / name).records == [from_llava(GOOD)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end_timstamp": 3}, "unknown key 'end_timstamp'; did you mean 'end_timestamp'?"),
        ({"conversation": []}, "did you mean 'conversations'?"),
        ({"messages": TALK}, "has both 'conversations' and 'messages'"),
        ({"videos": ["b.mp4"]}, "has both 'video' and 'videos'"),
        ({"id": ["x"]}, "'id' is ['x'], expected a text"),
        ({"video": "a\0b"}, "expected one path"),
        ({"end_timestamp": float("nan")}, "not a number of seconds"),
        ({"end_timestamp": 1e9}, "within ten days"),
        ({"end_timestamp": "00:00:02:10"}, "depend on the rate"),
        ({"conversations": [{"from": "human", "value": 3}]}, "a turn is"),
        (
            {"conversations": [{"from": "human", "value": "x", "vlaue": "y"}]},
            "unknown key 'vlaue'; did you mean 'value'?",
        ),
        ({"conversations": [{"from": "human", "role": "user", "value": "x"}]}, "has both 'from' and 'role'"),
        ({"conversations": [{"from": ["human"], "value": "x"}]}, "a turn is"),
        ({"conversations": "x"}, "no list of 'conversations'"),
        ({"provenance": 3}, "provenance"),
    ],
)
def test_what_is_not_understood_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        from_llava({**GOOD, **change})
    assert message in str(error.value)


def test_ids_that_collide_with_made_ones_are_kept_apart(tmp_path: Path) -> None:
    names = ["a:2", "a", "a", "a:3"]
    (tmp_path / "x.json").write_text(json.dumps([{**GOOD, "id": name} for name in names]))
    found = [record.record_id for record in read_llava(tmp_path / "x.json").records]
    assert len(set(found)) == 4
    (tmp_path / "x.json").write_text(json.dumps([GOOD])[:-1] + ",\n{]")
    with pytest.raises(InputError, match=r"x.json:2: not JSON"):
        read_llava(tmp_path / "x.json")
