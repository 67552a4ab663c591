"""The public face: its functions do what the commands do, and its examples run."""

from __future__ import annotations

import doctest
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import llavaction
from llavaction import api
from llavaction.base.errors import InputError
from llavaction.questions.schema import Benchmark
from llavaction.testing.tiny import write_tiny
from llavaction.video.write import write_video

LABELS = ("groom", "rear", "dig", "walk")


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotations")
    rows = [f"v{place % 6},{place}.5,{place + 1}.5,{LABELS[place * 7 % 4]}" for place in range(60)]
    (folder / "mice.csv").write_text("video,start,stop,label\n" + "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    write_video(path, [np.full((48, 64, 3), 3 * number, dtype=np.uint8) for number in range(40)], 10)
    return path


def test_a_benchmark_is_made_audited_and_asked(annotations: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    made = api.build_benchmark(
        annotations, "all", output=tmp_path / "bench", say=notes.append, options=3, miner="random", seed=5
    )
    assert len(made.questions) == 60 and any("has no column 'split'" in note for note in notes)
    assert Benchmark.load(tmp_path / "bench").questions == made.questions
    assert api.audit(tmp_path / "bench")["chance"] == pytest.approx(1 / 3, abs=1e-4)
    assert (tmp_path / "bench" / "audit.json").is_file()
    for benchmark in (made, tmp_path / "bench"):
        found = api.evaluate(benchmark, "oracle", tmp_path / "oracle")
        assert found.metrics["accuracy"]["value"] == 1.0
    with pytest.raises(InputError, match="'answers' comes from the benchmark"):
        api.evaluate(made, "oracle", tmp_path / "x", model_options={"answers": {}})
    with pytest.raises(InputError, match="did you mean 'options'"):
        api.build_benchmark(annotations, "all", optoins=3)


def test_a_model_is_asked_by_name_or_as_it_is(video: Path, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "tiny", "llava_onevision")
    texts = ["take plate", "put plate"]
    named = api.ask(video, model=folder, options=texts, start=1, stop=3, frames=2)
    loaded = api.load_model(folder, frames=2)
    again = api.ask(video, model=loaded, options=texts, start=1, stop=3)
    assert named.text == again.text == texts[int(named.probabilities.argmax())]
    assert named.probabilities == pytest.approx(again.probabilities) and named.probabilities.sum() == pytest.approx(1)
    assert (named.clip.start, named.clip.stop, named.question) == (1, 3, "Which action does the video show?")
    assert 0 < (named.letter_mass or 0) < 1 and named.note is None
    assert isinstance(api.ask(video, "What is seen?", model=loaded).text, str)
    for wrong, message in (
        ({"options": ["a"]}, "needed are 2 to 26 different texts"),
        ({"question": " "}, "the question is empty"),
        ({"start": 3, "stop": 2}, "not after its start"),
        ({"stop": 9}, "lasts 4.00 s"),
        ({"frames": 2}, "takes no options"),
    ):
        with pytest.raises(InputError, match=message):
            api.ask(video, model=loaded, **wrong)


def test_the_examples_in_the_docstrings_hold(annotations: Path, video: Path, tmp_path: Path) -> None:
    benchmark = api.build_benchmark(annotations, split="train", options=4, miner="random")
    names = {name: getattr(api, name) for name in llavaction.__all__ if hasattr(api, name)}
    known = {**names, "benchmark": benchmark, "annotations": annotations, "folder": tmp_path, "video": video}
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    tried = 0
    for name in ("build_benchmark", "audit", "load_model", "evaluate", "ask"):
        for example in finder.find(getattr(api, name), name, globs=known):
            tried += runner.run(example).attempted
    assert runner.failures == 0 and tried >= 8


def test_the_examples_of_the_folder_run(annotations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
    assert scripts
    for script in scripts:
        monkeypatch.setattr(sys, "argv", [str(script), str(annotations), str(tmp_path / script.stem)])
        runpy.run_path(str(script), run_name="__main__")
        assert (tmp_path / script.stem / "prior" / "metrics.json").is_file()


def test_importing_takes_no_time_and_names_are_known() -> None:
    code = (
        "import sys, llavaction; assert 'torch' not in sys.modules and 'numpy' not in sys.modules;"
        "from llavaction import evaluate; assert 'torch' not in sys.modules; print(llavaction.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == llavaction.__version__
    with pytest.raises(AttributeError, match="has no attribute 'evalute'"):
        _ = llavaction.evalute  # type: ignore[attr-defined]
