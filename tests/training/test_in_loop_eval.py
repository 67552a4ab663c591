"""Questions asked in training: one answer each, None where the video cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

from helpers.kitchenette import settings
from llavaction.questions.schema import Benchmark, Question
from llavaction.training.config import TrainConfig
from llavaction.training.in_loop_eval import InLoopEvaluation, Tally, spread
from llavaction.training.trainable_model import make_trainable_model, start_folder
from llavaction.video.library import VideoLibrary


def test_answers_and_their_tally(home: Path, tmp_path: Path) -> None:
    videos = Path(shutil.copytree(home / "videos", tmp_path / "videos"))
    (videos / "green.mp4").write_bytes(b"broken")
    config = TrainConfig.from_mapping(settings(home, str(tmp_path / "run")))
    trainable = make_trainable_model(start_folder(config), config.resolved()[0], seed=0)
    asked = Benchmark.load(home / "benchmark").questions

    def probe(questions: list[Question]) -> InLoopEvaluation:
        library = VideoLibrary(videos)
        return InLoopEvaluation(trainable.checkpoint, trainable.core, questions, library, frames=2, prompt="letters")

    own = probe(list(asked))
    model = trainable.core.train()
    answers = own.answers(model)
    assert model.training
    assert len(answers) == 6
    for question, answer in zip(asked, answers, strict=True):
        assert answer is None if question.clip.video_id == "green" else type(answer) is bool
    tally = own(model)
    assert tally == Tally(answers.count(True), 2, 6)
    shares = [own.answers(model, rank, 2) for rank in (0, 1)]
    assert [answer for pair in zip(*shares, strict=True) for answer in pair] == answers
    assert [sum(column) for column in zip(*(own(model, rank, 2) for rank in (0, 1)), strict=True)] == list(tally)
    each = [
        probe([question.model_copy(update={"answer": answer}) for question in asked]).answers(model)
        for answer in range(3)
    ]
    for said, question in zip(zip(*each, strict=True), asked, strict=True):
        assert said.count(True) == (0 if question.clip.video_id == "green" else 1)  # one option is chosen


def test_questions_at_even_distances(home: Path) -> None:
    asked = Benchmark.load(home / "benchmark").questions
    assert [question.question_id for question in spread(asked, 3)] == ["q0", "q2", "q5"]
    assert spread(asked, None) == spread(asked, 9) == list(asked)
