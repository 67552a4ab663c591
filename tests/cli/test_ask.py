"""``llavaction ask``."""

from __future__ import annotations

import json
from pathlib import Path

import av
import click
import numpy as np
import pytest
from click.testing import CliRunner

from helpers.filming import film
from llavaction.actions.segments import Clip
from llavaction.backends.base import Query
from llavaction.backends.registry import make_backend
from llavaction.base.errors import InputError
from llavaction.cli.ask import parted
from llavaction.cli.main import cli
from llavaction.questions.asked import Asked
from llavaction.questions.prompts import multiple_choice_prompt
from llavaction.testing.tiny import write_tiny
from llavaction.video.decode import read_clip
from llavaction.video.decoded import decoded


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("video") / "kitchen.mp4", count=60, fps=30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model"), "llava_onevision")


def ask(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, ["ask", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)
    if isinstance(result.exception, click.ClickException):
        raise result.exception
    return result.output


def test_options_are_scored_on_the_clip_asked_for(video: Path, model: Path) -> None:
    question = "What is being done?"
    arguments = (video, question, "--model", model, "--frames", "4", "--options", "take plate, put plate,wash pan")
    found = json.loads(ask(*arguments, "--start", "0.5", "--stop", "1.5", "--json"))
    assert found["clip"] == {"video_id": "kitchen", "start": 0.5, "stop": 1.5}
    texts = ("take plate", "put plate", "wash pan")
    seen = read_clip(video, 0.5, 1.5, 4)
    backend = make_backend(str(model), frames=4)
    clip = Clip(video_id="kitchen", start=0.5, stop=1.5)
    prompt = multiple_choice_prompt(Asked("q", clip, question, texts))
    query = Query("q", prompt, texts, decoded(seen, clip))
    expected = np.exp(backend.score_options([query])[0].log_probabilities)
    assert [item["text"] for item in found["options"]] == list(texts)
    np.testing.assert_allclose([item["probability"] for item in found["options"]], expected, atol=1e-6)
    assert found["answer"] == texts[int(expected.argmax())]
    shown = ask(*arguments, "--start", "0.5", "--stop", "1.5").splitlines()
    assert shown[2].startswith(f"{'ABC'[int(expected.argmax())]}. {found['answer']}")


def test_without_options_the_model_speaks(video: Path, model: Path) -> None:
    found = json.loads(ask(video, "--model", model, "--frames", "2", "--set", "max_new_tokens=5", "--json"))
    assert found["question"] == "Which action does the video show?"
    assert found["clip"]["stop"] == pytest.approx(2.0)
    assert isinstance(found["answer"], str)


def test_bad_input_is_explained(video: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"asked for 1 to 5 s of a video that lasts 2.00 s"):
        ask(video, "--model", model, "--start", "1", "--stop", "5")
    with pytest.raises(InputError, match="asked for 61 frames of a clip that has 60"):
        ask(video, "--model", model, "--frames", "61")
    with pytest.raises(InputError, match="without looking"):
        ask(video, "--model", model, "--set", "frames=0")
    with pytest.raises(click.ClickException, match="not in the range"):
        ask(video, "--model", model, "--frames", "0")
    with pytest.raises(InputError, match="no such video file"):
        ask(tmp_path / "none.mp4", "--model", model)
    with pytest.raises(InputError, match="no such checkpoint folder"):
        ask(video, "--model", tmp_path / "none")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava_qwen"}), encoding="utf-8")
    with pytest.raises(InputError, match="published format") as caught:
        ask(video, "--model", tmp_path)
    assert "llavaction convert" in str(caught.value)


def test_times_as_people_write_them(video: Path, model: Path) -> None:
    arguments = (video, "--model", model, "--frames", "2", "--options", "a,b", "--json")
    for start, stop in (("0:00.5", "00:00:01.5"), ("0.5", "0:1.5"), ("0,5", "1.5")):
        found = json.loads(ask(*arguments, "--start", start, "--stop", stop))
        assert found["clip"] == {"video_id": "kitchen", "start": 0.5, "stop": 1.5}
    with pytest.raises(click.ClickException, match="is not HH:MM:SS"):
        ask(*arguments, "--start", "half past")


def test_an_empty_question_is_refused(video: Path, model: Path) -> None:
    with pytest.raises(InputError, match="the question is empty"):
        ask(video, "  ", "--model", model)


def test_a_clip_that_is_not_complete_is_said(tmp_path: Path, model: Path) -> None:
    path = film(tmp_path / "cut.mp4", count=60, fps=30)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in packets[40:]:
        content[place : place + size] = bytes(size)
    path.write_bytes(content)
    result = CliRunner().invoke(
        cli, ["ask", str(path), "--model", str(model), "--frames", "4", "--options", "a,b", "--json"]
    )
    found = json.loads(result.stdout)
    assert found["stand_ins"] and set(found["stand_ins"]) < {1, 2, 3} and "cannot be read" in found["note"]
    assert "note: the clip is not complete" in result.stderr


def test_options_are_split_at_commas_only_where_one_is_given(video: Path, model: Path) -> None:
    assert parted(()) == []
    assert parted(("a, b",)) == ["a", " b"]
    assert parted(("turn on tap, then wash", "dry")) == ["turn on tap, then wash", "dry"]
    for wrong in (("a",), ("a,,b",), ("a", "--options", "a")):
        with pytest.raises(InputError, match="2 to 26 different texts"):
            ask(video, "What?", "--model", model, "--options", *wrong)


def test_more_frames_than_the_context_holds_are_refused_before_decoding(model: Path, tmp_path: Path) -> None:
    long = film(tmp_path / "long.mp4", count=1200, fps=30)
    with pytest.raises(
        InputError, match=r"1200 frames per clip take at least \d+ tokens, the model's context holds 8192"
    ):
        ask(long, "What now?", "--model", model, "--frames", "1200")
