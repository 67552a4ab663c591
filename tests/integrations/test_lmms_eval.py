"""Our backends as a model of lmms-eval: with its base class faked, and in a real run where it is installed.

LLAVACTION_LMMS_PYTHON names the Python of an environment that has lmms-eval and this package, see docs/lmms-eval.md.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.evaluation_fakes import card
from helpers.filming import film
from llavaction import api
from llavaction.actions.segments import Clip
from llavaction.backends.base import CAPABILITIES, LETTERS_RULE, Capability, OptionScores, Query
from llavaction.base.errors import InputError
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.foreign_results import load_run
from llavaction.integrations import lmms_eval
from llavaction.integrations.lmms_eval import Videos, are_letters, clip_of, letter_losses, settings_of, until
from llavaction.questions.lmms_functions import VARIABLE
from llavaction.questions.schema import Benchmark, Option, Question
from llavaction.testing.tiny import write_tiny
from llavaction.video.decode import read_clip


@dataclass
class Fake:
    """Prefers B by one nat, and writes how many frames it saw."""

    name: str = "fake"
    needs_frames: int = 2
    decision_rule: str = LETTERS_RULE
    capabilities: frozenset[Capability] = CAPABILITIES
    asked: list[Query] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        self._heard(queries)
        logits = [np.array([float(i == 1) for i in range(len(query.options))]) for query in queries]
        return [OptionScores(row - np.logaddexp.reduce(row), 0.5) for row in logits]

    def generate(self, queries: Sequence[Query]) -> list[str]:
        self._heard(queries)
        return [f"B. {0 if query.clip is None else len(query.clip.frames)}\n\nmore" for query in queries]

    def _heard(self, queries: Sequence[Query]) -> None:
        self.calls.append(len(queries))
        self.asked += queries


class Lmms:
    """What lmms-eval's base class has that the plug-in uses."""

    def __init__(self) -> None:
        self.task_dict: dict[str, Any] = {}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """A fake backend in a fake lmms-eval."""
    for name in ("", ".api", ".api.instance", ".api.model", ".models", ".models.registry_v2"):
        monkeypatch.setitem(sys.modules, f"lmms_eval{name}", ModuleType(f"lmms_eval{name}"))
    monkeypatch.setattr(sys.modules["lmms_eval.api.instance"], "GenerationResult", tuple, raising=False)
    monkeypatch.setattr(sys.modules["lmms_eval.api.model"], "lmms", Lmms, raising=False)
    monkeypatch.setattr(sys.modules["lmms_eval.models.registry_v2"], "ModelManifest", SimpleNamespace, raising=False)
    fake = Fake()
    monkeypatch.setattr(lmms_eval, "make_backend", lambda spec, **options: fake)
    monkeypatch.setenv(VARIABLE, "kept")
    lmms_eval.model_class.cache_clear()
    yield fake
    lmms_eval.model_class.cache_clear()


def span(doc: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "video", "url": doc["file"], "video_start": 0.5, "video_end": 1.0}]


def model_of(docs: list[dict[str, Any]], **arguments: Any) -> Any:
    model = lmms_eval.LlavactionModel(batch_size="1", **arguments)
    model.task_dict = {"task": {"test": docs}}
    return model


def written(number: int, **settings: Any) -> Any:
    return SimpleNamespace(args=("which?", {"until": ["\n\n"], **settings}, span, number, "task", "test"))


def scored(number: int, texts: Sequence[str]) -> list[Any]:
    return [SimpleNamespace(args=(f"which {number}?", text, span, number, "task", "test")) for text in texts]


def test_the_manifest_names_a_class_of_lmms_eval(backend: Fake) -> None:
    manifest = lmms_eval.manifest()
    module, _, name = manifest.simple_class_path.rpartition(".")
    cls = getattr(sys.modules[module], name)
    assert manifest.model_id == "llavaction" and issubclass(cls, Lmms) and cls.is_simple
    with pytest.raises(AttributeError):
        _ = lmms_eval.Nothing


def test_written_answers_see_the_clip_alone(backend: Fake, tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4")
    model = model_of([{"file": str(path), "question_id": "q7"}])
    assert model.generate_until([written(0)]) == ["B. 2"]
    (query,) = backend.asked
    assert (query.query_id, query.prompt, query.options) == ("q7", "which?", ())
    assert query.clip is not None and query.clip.times.min() >= 0 and query.clip.times.max() < 0.5
    np.testing.assert_array_equal(query.clip.frames, read_clip(path, 0.5, 1.0, 2).images)


def test_letters_of_a_question_are_scored_in_one_pass(backend: Fake, tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4")
    model = model_of([{"file": str(path)}] * 3)
    found = model.loglikelihood([one for number in range(3) for one in scored(number, ["A", " B", "C"])])
    assert backend.calls == [1, 1, 1] and len(found) == 9
    among = np.log(np.exp([0.0, 1.0, 0.0]) / (2 + math.e)) + math.log(0.5)
    np.testing.assert_allclose([loss for loss, _ in found[:3]], -among, atol=1e-12)
    assert int(np.argmin([loss for loss, _ in found[3:6]])) == 1 and not any(greedy for _, greedy in found)
    assert [query.query_id for query in backend.asked] == ["task 0", "task 1", "task 2"]


def test_other_texts_need_a_backend_that_reads(backend: Fake, tmp_path: Path) -> None:
    model = model_of([{"file": str(film(tmp_path / "v.mp4"))}])
    with pytest.raises(InputError, match="does not read a clip once"):
        model.loglikelihood(scored(0, ["take cup", "put cup"]))


def test_a_question_that_cannot_be_asked_stops_or_counts_as_wrong(backend: Fake, tmp_path: Path) -> None:
    docs = [{"file": str(film(tmp_path / "v.mp4"))}, {"file": str(tmp_path / "gone.mp4")}]
    with pytest.raises(InputError, match=r"'task 1'.*gone"):
        model_of(docs).generate_until([written(0), written(1)])
    lenient = model_of(docs, missing="wrong")
    assert lenient.generate_until([written(0), written(1)]) == ["B. 2", ""]
    losses = lenient.loglikelihood(scored(1, "AB") + scored(0, "AB"))
    assert all(math.isnan(loss) for loss, _ in losses[:2]) and not any(math.isnan(loss) for loss, _ in losses[2:])


def test_videos_are_found_by_id_in_their_folder(backend: Fake, tmp_path: Path) -> None:
    (tmp_path / "P01").mkdir()
    film(tmp_path / "P01" / "P01_01.mp4")
    videos = Videos(tmp_path)
    visual = {"url": "elsewhere/P01_01.mp4", "video_id": "P01_01", "video_start": 0.25, "video_end": 1.5}
    clip = clip_of([visual], "q", videos)
    assert clip == Clip(video_id="P01_01", start=0.25, stop=1.5) and len(videos.read(clip, 3).images) == 3
    whole = clip_of("a.mp4", "q", Videos(None))
    assert whole.ends_with_video and whole.start == 0.0 and whole.video_id == "a.mp4"
    with pytest.raises(InputError, match="one video a question"):
        clip_of(["a.mp4", "b.mp4"], "q", videos)
    with pytest.raises(InputError, match="shows ndarray"):
        clip_of([np.zeros(3)], "q", videos)


def test_losses_are_of_all_tokens() -> None:
    losses = letter_losses([math.log(0.75), math.log(0.25)], 0.9)
    np.testing.assert_allclose([math.exp(-loss) for loss, _ in losses], [0.675, 0.225])
    assert [greedy for _, greedy in losses] == [True, False]  # 0.675 is more than the 0.1 of all other tokens
    assert [greedy for _, greedy in letter_losses([math.log(0.75), math.log(0.25)], None)] == [False, False]


@pytest.mark.parametrize(
    ("texts", "answer"),
    [(["A", "B"], True), (["A.", "(B)"], True), (["B", "A"], False), (["A"], False), (["a cup", "B"], False)],
)
def test_what_letters_are(texts: list[str], answer: bool) -> None:
    assert are_letters(texts) is answer


def test_settings_are_told_apart() -> None:
    config, rest = settings_of({"backend": "chance:3", "frames": 8, "dtype": "bfloat16", "max_batch_size": 4})
    assert (config.backend, config.frames, rest) == ("chance:3", 8, {"dtype": "bfloat16"})
    assert until("A\n\nb", ["\n\n", "x"]) == "A" and until("A", []) == "A"
    with pytest.raises(InputError, match="missing"):
        settings_of({"missing": "guess"})


LMMS = os.environ.get("LLAVACTION_LMMS_PYTHON")


@pytest.mark.skipif(not LMMS, reason="LLAVACTION_LMMS_PYTHON does not name a Python with lmms-eval")
def test_lmms_eval_gives_the_scores_that_we_give(tmp_path: Path) -> None:
    """The same tiny model, the same questions: equal choices, and equal scores to the last digits."""
    (tmp_path / "videos").mkdir()
    film(tmp_path / "videos" / "P01_01.mp4", 120)
    words = ("take plate", "wash cup", "open drawer")
    questions = [
        Question(
            question_id=f"q{i}",
            clip=Clip(video_id="P01_01", start=i * 0.5, stop=i * 0.5 + 1.0),
            question="Which action does the video show?",
            options=tuple(Option(text=words[(i + k) % 3]) for k in range(3)),
            answer=i % 3,
            provenance=None,
        )
        for i in range(4)
    ]
    benchmark = Benchmark(questions, card(3, "tiny mqa"))
    model = write_tiny(tmp_path / "model")
    run = api.evaluate(benchmark, model, tmp_path / "ours", videos=tmp_path / "videos", frames=2)
    tasks = api.export_benchmark(benchmark, tmp_path / "tasks", form="lmms-eval")
    assert LMMS is not None
    done = subprocess.run(
        [
            *(LMMS, "-m", "lmms_eval", "--model", "llavaction", "--log_samples", "--include_path", str(tasks)),
            *("--model_args", f"backend={model},videos={tmp_path / 'videos'},frames=2"),
            *("--tasks", "tiny_mqa_likelihood", "--output_path", str(tmp_path / "theirs")),
        ],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
    )
    assert done.returncode == 0, done.stdout[-2000:]
    (samples,) = (tmp_path / "theirs").rglob("*_samples_tiny_mqa_likelihood.jsonl")
    theirs, ours = load_run(samples), FinishedRun.load(run.folder)
    assert [item.question_id for item in theirs.predictions] == ["q0", "q1", "q2", "q3"]
    assert [item.choice for item in theirs.predictions] == [item.choice for item in ours.predictions]
    for a, b in zip(theirs.predictions, ours.predictions, strict=True):
        np.testing.assert_allclose(np.array(a.scores) - np.logaddexp.reduce(a.scores), b.scores, atol=1e-5)
        assert a.credit == float(b.correct)
