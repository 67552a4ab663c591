from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.candidates import CONFIG, PREDICTIONS, SEGMENTS, VOCABULARY, ranking
from helpers.evaluation_fakes import FakeLibrary
from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass
from llavaction.backends.base import CAPABILITIES, Capability, OptionScores, Query, QuestionError
from llavaction.backends.baselines import OracleBackend, SpecialistBackend
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.records import read_json, read_records
from llavaction.base.statistics import ONE_VIDEO
from llavaction.recognition.accuracy import summary
from llavaction.recognition.config import RecognitionConfig
from llavaction.recognition.records import Recognition
from llavaction.recognition.runner import RECOGNITIONS, recognise
from llavaction.specialists.predictions import SpecialistPrediction

ORACLE = OracleBackend({segment.segment_id: VOCABULARY.action_name(segment.action) for segment in SEGMENTS})


@dataclass
class FirstOption:
    """Always chooses A; its scores hang on the batch, so that other batches after a restart would show."""

    name: str = "first"
    needs_frames: int = 2
    decision_rule: str = "option letters"
    capabilities: frozenset[Capability] = CAPABILITIES
    delay: float = 0.0
    lacking: int = 0
    asked: list[Query] = field(default_factory=list)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        time.sleep(self.delay)
        self.asked += queries
        size = sum(len(query.query_id) for query in queries) / 1000
        return [OptionScores(np.log([0.7 + size, *[(0.3 - size) / (n - 1)] * (n - 1)])) for n in (
            len(query.options) - self.lacking for query in queries
        )]  # fmt: skip

    def generate(self, queries: Sequence[Query]) -> list[str]:
        raise NotImplementedError


def counted(**values: int) -> dict[str, int]:
    none = dict.fromkeys(("recognised", "without_prediction", "failed", "with_note", "stand_ins"), 0)
    return {"segments": 24, **none, **values}


def test_the_oracle_is_right_wherever_the_right_action_is_a_candidate(tmp_path: Path):
    result = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, ORACLE, None, tmp_path)
    for i, (segment, found) in enumerate(zip(SEGMENTS, result.recognitions, strict=True)):
        assert found.segment_id == segment.segment_id
        assert found.truth == segment.action
        assert found.candidates == PREDICTIONS[segment.segment_id].actions[:3]
        assert found.specialist_scores == (0.4, 0.3, 0.2)
        assert len(found.option_scores) == 3
        assert found.confidence == pytest.approx(0.9, abs=1e-6)
        if i % 4 < 3:
            assert found.action == segment.action
            assert int(np.argmax(found.option_scores)) == i % 4
    overall = result.metrics["overall"]
    assert overall["specialist_top_k"]["value"] == 0.75
    assert overall["specialist"]["action"]["value"] == 0.25
    # its first candidate: right at place 0; else the one with the right verb and another noun
    assert overall["specialist"]["verb"]["value"] == 1.0
    assert overall["specialist"]["noun"]["value"] == 0.25
    assert overall["two_stage"]["action"]["value"] == 0.75
    assert overall["difference"]["action"]["difference"] == 0.5
    assert (overall["difference"]["action"]["only_first"], overall["difference"]["action"]["only_second"]) == (0, 12)
    assert overall["two_stage"]["action"]["clusters"] == 4
    assert result.metrics["counts"] == counted(recognised=24)
    assert read_json(tmp_path / "metrics.json") == result.metrics


def test_the_specialist_as_chooser_changes_nothing(tmp_path: Path):
    offers = CONFIG.offers(SEGMENTS, PREDICTIONS, VOCABULARY)
    backend = SpecialistBackend(PREDICTIONS, offers.classes)
    result = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, backend, None, tmp_path)
    assert all(found.action == found.candidates[0] for found in result.recognitions)
    assert result.metrics["overall"]["difference"]["action"]["difference"] == 0.0
    assert result.recognitions[0].confidence == pytest.approx(0.4 / 0.9, abs=1e-5)


def test_the_specialist_has_a_say_as_far_as_it_is_given_weight(tmp_path: Path):
    # the oracle gives its choice 0.9 and the others 0.05: log 18 = 2.9 apart; candidates lie 0.29 apart or more
    enough = CONFIG.model_copy(update={"specialist_weight": 50.0})
    result = recognise(enough, SEGMENTS, PREDICTIONS, VOCABULARY, ORACLE, None, tmp_path / "much")
    assert all(found.action == found.candidates[0] for found in result.recognitions)
    assert result.recognitions[0].decision_rule.endswith("specialist's scores times 50 added")
    little = CONFIG.model_copy(update={"specialist_weight": 1.0})
    result = recognise(little, SEGMENTS, PREDICTIONS, VOCABULARY, ORACLE, None, tmp_path / "little")
    assert result.metrics["overall"]["two_stage"]["action"]["value"] == 0.75


def test_probabilities_weigh_as_much_as_their_logarithms(tmp_path: Path):
    weighed = CONFIG.model_copy(update={"specialist_weight": 6.0})
    logs = {
        name: found.model_copy(update={"scores": tuple(np.log(found.scores).tolist())})
        for name, found in PREDICTIONS.items()
    }
    first, second = (
        recognise(weighed, SEGMENTS, made, VOCABULARY, ORACLE, None, tmp_path / name).recognitions
        for name, made in (("p", PREDICTIONS), ("logs", logs))
    )
    assert [found.action for found in first] == [found.action for found in second]
    assert [found.confidence for found in first] == pytest.approx([found.confidence for found in second], abs=1e-5)
    ranks = {name: found.model_copy(update={"scores": (0.0, -1.0, -2.0, -3.0)}) for name, found in PREDICTIONS.items()}
    with pytest.raises(InputError, match="rankings without scores"):
        recognise(weighed, SEGMENTS, ranks, VOCABULARY, ORACLE, None, tmp_path / "ranks")
    assert recognise(CONFIG, SEGMENTS, ranks, VOCABULARY, ORACLE, None, tmp_path / "free").recognitions


def test_letters_do_not_tell_the_rank(tmp_path: Path):
    segments = [
        SEGMENTS[0].model_copy(update={"segment_id": f"s{i}", "start": float(i), "stop": i + 1.0}) for i in range(300)
    ]
    predictions = {segment.segment_id: ranking(segment, 0) for segment in segments}
    backend = FirstOption(needs_frames=0)
    config = CONFIG.model_copy(update={"batch_size": 1})
    result = recognise(config, segments, predictions, VOCABULARY, backend, None, tmp_path)
    first = [found.candidates.index(found.action) for found in result.recognitions if found.action]
    counts = np.bincount(first, minlength=3)
    assert counts.sum() == 300
    assert counts.min() > 75  # 100 each are expected
    assert all("take plate" in query.prompt for query in backend.asked)
    other = recognise(
        config.model_copy(update={"seed": 1}), segments, predictions, VOCABULARY, FirstOption(needs_frames=0), None,
        tmp_path / "other",
    )  # fmt: skip
    assert [found.action for found in other.recognitions] != [found.action for found in result.recognitions]


def test_orders_of_the_options_cancel_a_preference_for_a_letter(tmp_path: Path):
    config = CONFIG.model_copy(update={"option_orders": 3, "batch_size": 1})
    backend = FirstOption(needs_frames=0)
    result = recognise(config, SEGMENTS, PREDICTIONS, VOCABULARY, backend, None, tmp_path)
    assert len(backend.asked) == 72
    for found in result.recognitions:
        assert found.confidence == pytest.approx(1 / 3, abs=1e-5)
        assert found.action == found.candidates[0]  # of equals, the specialist's best
        assert found.decision_rule == "option letters, mean of 3 option orders"


def test_what_cannot_be_asked_is_skipped_and_counted(tmp_path: Path):
    predictions = {name: p for name, p in PREDICTIONS.items() if name != "P01_01_0"}
    library = FakeLibrary(bad=frozenset({"P01_01_1"}), crash=frozenset({"P02_01_8"}), partial=frozenset({"P01_01_2"}))
    backend = FirstOption()
    result = recognise(CONFIG, SEGMENTS, predictions, VOCABULARY, backend, library, tmp_path)
    assert result.metrics["counts"] == counted(recognised=21, without_prediction=1, failed=2, with_note=1, stand_ins=1)
    assert result.metrics["overall"]["two_stage"]["action"]["n"] == 21
    by_id = {found.segment_id: found for found in result.recognitions}
    assert by_id["P01_01_1"].error == "P01_01.mp4: is damaged from its first byte on"
    assert by_id["P01_01_1"].action is None
    assert by_id["P02_01_8"].error == "ValueError: the decoder fell over"
    assert by_id["P01_01_2"].note == "P01_01.mp4: ends early"
    assert by_id["P01_01_2"].stand_ins == (1,) and by_id["P01_01_3"].stand_ins == ()
    again = recognise(CONFIG, SEGMENTS, predictions, VOCABULARY, FirstOption(), library, tmp_path)
    assert again.asked_now == 0
    mended = recognise(
        CONFIG, SEGMENTS, predictions, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path, retry_failed=True
    )
    assert mended.metrics["counts"]["failed"] == 0
    assert mended.asked_now == 6  # whole batches, so that scores do not hang on what failed before


def test_an_interrupted_run_goes_on_and_leaves_the_same_bytes(tmp_path: Path):
    class InterruptedError(Exception):
        pass

    @dataclass
    class Interrupted(FirstOption):
        calls: int = 0

        def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
            self.calls += 1
            if self.calls > 3:
                raise InterruptedError
            return super().score_options(queries)

    whole = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path / "whole")
    assert whole.asked_now == 24
    with pytest.raises(InterruptedError):
        recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, Interrupted(), FakeLibrary(), tmp_path / "cut")
    assert not (tmp_path / "cut" / "metrics.json").exists()
    path = tmp_path / "cut" / RECOGNITIONS
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 9
    path.write_bytes(b"".join(lines[:7]) + lines[7][:20])  # killed in the middle of a line
    rest = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path / "cut")
    assert rest.asked_now == 17
    for name in (RECOGNITIONS, "metrics.json", "config.yaml"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(InputError, match="candidates was 3, now 2"):
        recognise(
            CONFIG.model_copy(update={"candidates": 2}), SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(),
            FakeLibrary(), tmp_path / "cut",
        )  # fmt: skip


def test_a_folder_whose_settings_stand_in_an_earlier_order_goes_on(tmp_path: Path):
    earlier = [
        "schema_version",
        "annotations",
        "split",
        "predictions",
        "backend",
        "backend_options",
        "videos",
        "candidates",
        "frames",
        "prompt",
        "perspective",
        "option_orders",
        "specialist_weight",
        "limit",
        "batch_size",
        "workers",
        "seed",
        "resolved",
    ]
    recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path)
    whole = (tmp_path / RECOGNITIONS).read_bytes()
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert all(config[name] is None for name in set(config) - set(earlier)) and list(config) != earlier
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({name: config[name] for name in earlier}, sort_keys=False))
    (tmp_path / RECOGNITIONS).write_bytes(b"".join(whole.splitlines(keepends=True)[:7]))
    rest = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path)
    assert rest.asked_now == 24 - 7 and (tmp_path / RECOGNITIONS).read_bytes() == whole


def test_a_killed_process_loses_nothing(tmp_path: Path):
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, __file__, str(tmp_path / "run")], env=environment)
    path = tmp_path / "run" / RECOGNITIONS
    deadline = time.monotonic() + 60
    while not (path.is_file() and path.read_bytes().count(b"\n") >= 6):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = path.read_bytes().count(b"\n")
    assert 6 <= kept < 24
    rest = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path / "run")
    assert rest.asked_now == 24 - kept
    assert len(list(read_records(path, Recognition))) == 24


def test_a_single_candidate_is_taken(tmp_path: Path):
    only = SpecialistPrediction(segment_id="P01_01_0", actions=(SEGMENTS[0].action,), scores=(0.6,))
    backend = FirstOption(needs_frames=0)
    result = recognise(CONFIG, SEGMENTS[:1], {"P01_01_0": only}, VOCABULARY, backend, None, tmp_path)
    assert result.recognitions[0].action == SEGMENTS[0].action
    assert result.recognitions[0].confidence == 1.0


def test_limit_is_the_same_for_all_and_grows(tmp_path: Path):
    few, more = (
        recognise(
            CONFIG.model_copy(update={"limit": limit}), SEGMENTS, PREDICTIONS, VOCABULARY, ORACLE, None,
            tmp_path / str(limit),
        )
        for limit in (5, 9)
    )  # fmt: skip
    names = [[found.segment_id for found in result.recognitions] for result in (few, more)]
    assert (len(names[0]), len(names[1])) == (5, 9)
    assert set(names[0]) < set(names[1])


def test_errors_name_what_is_wrong(tmp_path: Path):
    with pytest.raises(InputError, match="no prediction for any of the 24 segments"):
        recognise(CONFIG, SEGMENTS, {}, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path)
    with pytest.raises(InputError, match="looks at 2 frames per clip but no videos"):
        recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(), None, tmp_path)
    strange = {"P01_01_0": SpecialistPrediction(segment_id="P01_01_0", actions=((9, 0), (1, 1)), scores=(0.5, 0.1))}
    with pytest.raises(InputError, match="predicts verb 9 with noun 0"):
        recognise(CONFIG, SEGMENTS, strange, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path)
    first = PREDICTIONS["P01_01_0"]
    other = SEGMENTS[0].clip.model_copy(update={"video_id": "P09_09"})
    moved = {**PREDICTIONS, "P01_01_0": first.model_copy(update={"clip": other})}
    with pytest.raises(InputError, match=r"other segments .*, 1 of 24; the first: 'P01_01_0' is P09_09 "):
        recognise(CONFIG, SEGMENTS, moved, VOCABULARY, FirstOption(), FakeLibrary(), tmp_path)
    with pytest.raises(LlavactionError, match="which has 3 options"):
        recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(lacking=1), FakeLibrary(), tmp_path)
    with pytest.raises(InputError, match="candidates"):
        RecognitionConfig.from_mapping({**CONFIG.model_dump(), "candidates": 27})
    many = [SEGMENTS[0].model_copy(update={"segment_id": f"s{i}"}) for i in range(40)]
    library = FakeLibrary(bad=frozenset(segment.segment_id for segment in many))
    with pytest.raises(InputError, match="none of the first"):
        recognise(
            CONFIG, many, {s.segment_id: ranking(s, 0) for s in many}, VOCABULARY, FirstOption(), library,
            tmp_path / "hopeless",
        )  # fmt: skip


def test_seen_and_unseen_participants_are_told_apart():
    def found(number: int, chosen: tuple[int, int], first: tuple[int, int]) -> Recognition:
        segment = SEGMENTS[number]
        other = next(action for action in (chosen, segment.action, (4, 3)) if action != first)
        return Recognition(
            segment_id=segment.segment_id,
            clip=segment.clip,
            verb=chosen[0],
            noun=chosen[1],
            confidence=0.5,
            candidates=(first, other),
            specialist_scores=(0.5, 0.4),
            option_scores=(-0.7, -0.7),
            truth=segment.action,
            decision_rule="option letters",
        )

    right = [s.action for s in SEGMENTS]
    recognitions = [
        found(0, right[0], right[0]),
        found(1, right[1], (2, 2)),
        found(2, (0, 2), right[2]),
        found(23, right[23], (0, 0)),
    ]
    unseen = {s.segment_id for s in SEGMENTS if s.participant_id == "P04"}
    metrics = summary(recognitions, {"unseen participants": unseen, "tail verbs": {"P09_01_1"}})
    assert metrics["overall"]["two_stage"]["action"]["value"] == 0.75
    assert metrics["overall"]["two_stage"]["noun"]["value"] == 1.0
    assert metrics["overall"]["specialist"]["action"]["value"] == 0.5
    assert metrics["overall"]["difference"]["action"]["difference"] == 0.25
    seen = metrics["groups"]["seen participants"]
    assert seen["two_stage"]["action"] | {"low": 0, "high": 1} == {
        "value": 0.666667, "low": 0, "high": 1, "n": 3, "clusters": 1,
        "method": ONE_VIDEO,
    }  # fmt: skip
    assert seen["difference"]["action"]["low"] is None  # a single video tells no spread of differences
    assert metrics["groups"]["unseen participants"]["two_stage"]["action"]["n"] == 1
    assert metrics["groups"]["tail verbs"] is None
    assert summary([], {})["overall"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verb": 3}, "is none of the candidates"),
        ({"option_scores": (-0.1,)}, "2 candidates but 1 scores of a stage"),
        ({"specialist_scores": (0.5,)}, "2 candidates but 1 specialist_scores"),
        ({"error": "unreadable"}, "both an error and an action"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(change: dict[str, object], message: str):
    values = {
        "segment_id": "s", "clip": {"video_id": "v", "start": 0, "stop": 1}, "verb": 1, "noun": 2, "confidence": 0.5,
        "candidates": [(1, 2), (0, 0)], "specialist_scores": (0.5, 0.4), "option_scores": (-0.7, -0.7),
        "decision_rule": "option letters",
    }  # fmt: skip
    assert Recognition.from_mapping(values).action == (1, 2)
    with pytest.raises(InputError, match=message):
        Recognition.from_mapping(values | change)


if __name__ == "__main__":
    recognise(
        CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, FirstOption(delay=0.1), FakeLibrary(), Path(sys.argv[1])
    )  # fmt: skip


def test_of_candidates_that_read_alike_the_better_one_is_offered(tmp_path: Path):
    verbs = {i: LabelClass(id=i, key=key) for i, key in enumerate(("take", "Take", "put"))}
    vocabulary = ActionVocabulary(verbs, {0: LabelClass(id=0, key="plate")}, ((0, 0), (1, 0), (2, 0)))
    segment = Segment(
        segment_id="s", video_id="v", start=0, stop=1, narration="", verb_class=0, noun_class=0, participant_id="p"
    )
    ranked = SpecialistPrediction(segment_id="s", actions=((1, 0), (0, 0), (2, 0)), scores=(0.5, 0.3, 0.2))
    config = RecognitionConfig(annotations="a", split="s", predictions="p", backend="oracle", candidates=3)
    result = recognise(config, [segment], {"s": ranked}, vocabulary, OracleBackend({}), None, tmp_path)
    assert result.recognitions[0].candidates == ((1, 0), (2, 0))


class Refuses(FirstOption):
    """Cannot ask about one segment."""

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        for query in queries:
            if query.query_id == SEGMENTS[1].segment_id:
                raise QuestionError("the prompt is too long", question_id=query.query_id)
        return super().score_options(queries)


def test_a_segment_that_cannot_be_asked_fails_alone(tmp_path: Path) -> None:
    result = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, Refuses(), FakeLibrary(), tmp_path)
    assert [found.segment_id for found in result.recognitions if found.error] == [SEGMENTS[1].segment_id]
    assert result.recognitions[1].error == "the prompt is too long"
    assert result.metrics["counts"]["failed"] == 1 and result.metrics["counts"]["recognised"] == 23
