"""A run is known by its content: what was swapped under an unchanged path is refused and named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from helpers.evaluation_fakes import CONFIG, FakeBackend, make_benchmark
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import PART, PARTS, FileFacts, file_facts, same_content
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.runner import RunResult, run
from llavaction.models.checkpoint import fingerprint
from llavaction.questions.schema import Benchmark
from llavaction.runs.identity import settle_videos
from llavaction.testing.tiny import write_tiny
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import Rates
from llavaction.video.write import write_video

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, two short videos, and a run on them that was interrupted after three questions."""
    home = tmp_path_factory.mktemp("identity")
    write_tiny(home / "model", "llava_onevision")
    for number in (1, 2):
        write_film(home / "videos" / f"P0{number}_01.mp4", 40 * number)
    ask(home)
    journal = home / "run" / "predictions.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:3]))
    return home


@pytest.fixture
def home(stored: Path, tmp_path: Path) -> Path:
    """A copy for one test."""
    return Path(shutil.copytree(stored, tmp_path / "home"))


def test_the_rate_of_images_is_part_of_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for number in range(1, 101):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "v" / f"{number:05d}.png")

    def known(fps: Rates | None) -> FileFacts:
        return VideoLibrary(tmp_path, fps=fps).facts([("v", None)])["v"]

    assert known(10) == known({"v": 10}) and not same_content(known(10), known(30))
    assert VideoLibrary(tmp_path, fps=10).known_by != VideoLibrary(tmp_path, fps=30).known_by
    (tmp_path / "fps.json").write_text('{"v": 10}')
    at_first = known(None)
    assert same_content(at_first, known(10))
    (tmp_path / "fps.json").write_text('{"v": {"film_fps": 10}}')
    assert not same_content(at_first, known(None))
    Image.new("RGB", (16, 16), (200, 0, 0)).save(tmp_path / "v" / "00100.png")  # the last of a hundred
    assert not same_content(known(10), at_first)


def write_film(path: Path, brightness: int) -> None:
    path.parent.mkdir(exist_ok=True)
    write_video(path, np.full((20, 64, 64, 3), brightness, np.uint8), Fraction(5))


def questions() -> Benchmark:
    made = make_benchmark(questions=6, videos=2)
    clips = [question.clip.model_copy(update={"start": 0.5, "stop": 2.5}) for question in made.questions]
    return Benchmark([q.model_copy(update={"clip": c}) for q, c in zip(made.questions, clips, strict=True)], made.card)


def ask(home: Path, model: str = "model", videos: str = "videos", benchmark: Benchmark | None = None) -> RunResult:
    spec = f"transformers:{home / model}"
    config = RunConfig(benchmark="bench", backend=spec, videos=str(home / videos), batch_size=3)
    backend = HuggingFaceBackend.from_spec(str(home / model), frames=2, device="cpu")
    return run(config, benchmark or questions(), backend, VideoLibrary(home / videos), home / "run")


def negate_weights(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    save_file({name: -value for name, value in weights.items()}, model / "model.safetensors", metadata={"format": "pt"})


def flip_one_weight(model: Path) -> None:
    content = bytearray((model / "model.safetensors").read_bytes())
    content[len(content) // 2 + 7] ^= 1
    (model / "model.safetensors").write_bytes(content)


def edit_json(name: str, **values: object) -> Change:
    def change(model: Path) -> None:
        path = model / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def edit_template(model: Path) -> None:
    path = model / "chat_template.jinja"
    path.write_text(path.read_text() + "{%- set unused = 1 %}")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (negate_weights, "the weights changed"),
        (flip_one_weight, "the weights changed"),
        (edit_template, "the chat template changed"),
        (edit_json("video_preprocessor_config.json", image_mean=[0, 0, 0]), "the processor changed"),
        (edit_json("tokenizer_config.json", model_max_length=77), "the tokenizer changed"),
        (edit_json("generation_config.json", top_k=3), "the configuration changed"),
    ],
)
def test_a_changed_model_at_the_same_path_is_refused(home: Path, change: Change, named: str) -> None:
    before = (home / "run" / "predictions.jsonl").read_bytes()
    change(home / "model")
    with pytest.raises(InputError, match=named) as caught:
        ask(home)
    assert str(caught.value).count(" changed") == 1
    assert (home / "run" / "predictions.jsonl").read_bytes() == before


def test_a_finished_run_is_not_the_new_models_either(home: Path) -> None:
    assert ask(home).asked_now == 3
    negate_weights(home / "model")
    with pytest.raises(InputError, match="the weights changed"):
        ask(home)


def test_changed_questions_are_refused(home: Path) -> None:
    made = questions()
    first = made.questions[0]
    options = (first.options[0].model_copy(update={"text": "something new"}), *first.options[1:])
    changed = Benchmark([first.model_copy(update={"options": options}), *made.questions[1:]], made.card)
    with pytest.raises(InputError, match="the questions changed"):
        ask(home, benchmark=changed)


def test_changed_videos_are_refused(home: Path) -> None:
    write_film(home / "videos" / "P02_01.mp4", 200)
    with pytest.raises(InputError, match=r"1 of the run's 2 videos changed .* 'P02_01'"):
        ask(home)


def test_other_spellings_and_copies_are_no_change(home: Path) -> None:
    shutil.copytree(home / "model", home / "elsewhere" / "again")
    shutil.copytree(home / "videos", home / "copied", copy_function=shutil.copy)
    (home / "linked").symlink_to(home / "copied")
    os.utime(home / "copied" / "P01_01.mp4", (1, 1))
    (home / "model" / "trainer_state.json").write_text("{}")
    assert ask(home, model="../home/model", videos="videos/../videos").asked_now == 3
    assert ask(home, model="elsewhere/again", videos="linked").asked_now == 0


def test_a_video_of_another_suffix_is_another_video(home: Path) -> None:
    write_film(home / "P01_01.mkv", 200)
    (home / "videos" / "P01_01.mp4").unlink()
    (home / "P01_01.mkv").rename(home / "videos" / "P01_01.mkv")
    with pytest.raises(InputError, match="the first: 'P01_01'"):
        ask(home)


def test_videos_may_come_later(home: Path) -> None:
    shutil.rmtree(home / "run")
    (home / "videos" / "P02_01.mp4").rename(home / "P02_01.mp4")
    assert ask(home).metrics["counts"]["failed"] == 3
    (home / "P02_01.mp4").rename(home / "videos" / "P02_01.mp4")
    assert ask(home).asked_now == 0
    known = json.loads((home / "run" / "videos.json").read_text())["videos"]
    assert list(known) == ["P01_01", "P02_01"]
    write_film(home / "videos" / "P02_01.mp4", 200)
    with pytest.raises(InputError, match=r"1 of the run's 2 videos changed"):
        ask(home)


def test_the_record_says_what_was_asked(home: Path) -> None:
    ask(home)
    recorded = (home / "run" / "config.yaml").read_text()
    for digest in fingerprint(home / "model").values():
        assert digest in recorded


def test_a_setting_that_no_answer_depends_on_may_be_in_older_folders(home: Path) -> None:
    config = home / "run" / "config.yaml"
    settings = "  backend_settings:\n"
    assert settings in config.read_text()
    config.write_text(config.read_text().replace(settings, settings + "    pooling: last\n"))
    assert ask(home).asked_now == 3


def test_another_kind_of_backend_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match="kind_of_backend was 'transformers', now 'fake'"):
        run(CONFIG, questions(), FakeBackend(), None, home / "run")


def test_facts_of_a_large_file_read_parts_of_it(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = bytearray(np.random.default_rng(0).bytes(PART * PARTS * 3))
    path.write_bytes(content)
    before = file_facts(path)
    assert before["bytes"] == PART * PARTS * 3
    for place in (0, PART // 2, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert file_facts(path)["sha256_of_parts"] != before["sha256_of_parts"]
    path.write_bytes(content)
    assert file_facts(path)["sha256_of_parts"] == before["sha256_of_parts"]


@pytest.mark.parametrize("text", ["{}", '{"videos": 3}', '{"videos": {"a": 3}}', '{"videos": {"a": {}}}'])
def test_a_damaged_list_of_videos_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "videos.json").write_text(text)
    with pytest.raises(InputError, match=r"videos\.json"):
        settle_videos(tmp_path, {}, started=True)
