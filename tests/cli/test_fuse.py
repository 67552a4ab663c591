"""``llavaction fuse``: from a recognition to weights, and from these to a better one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from helpers.evaluation_fakes import FakeBackend, FakeLibrary
from helpers.reading_fakes import (
    PAIRS,
    SEGMENTS,
    VOCABULARY,
    FakeReading,
    ReadingBackend,
    config,
    log_shares,
    prediction,
    segment,
)
from llavaction import api
from llavaction.backends.base import HeadScores, OptionScores, Query
from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.base.seeding import hashed_rng
from llavaction.cli.main import cli
from llavaction.recognition.fusion import Fusion
from llavaction.recognition.records import RECOGNITIONS
from llavaction.recognition.runner import RecognitionResult, recognise

STAGES = ("specialist", "heads", "letters")
FITTED = [segment(number, f"P0{number % 8}_02", PAIRS[(5 * number) % 48]) for number in range(160)]
OTHERS = [segment(number, f"P1{number % 8}_02", PAIRS[(7 * number) % 48]) for number in range(160)]
KEY = {item.segment_id: item.action for item in (*FITTED, *OTHERS)}


class Knowing(ReadingBackend):
    """Its heads and letters each know something of the right action, which only the tests have told it."""

    def read(self, query: Query) -> FakeReading:
        return KnowingReading(self, query)

    def heads_of(self, query: Query) -> HeadScores:
        rng, (verb, noun) = hashed_rng("knowing", query.query_id), KEY[query.query_id]
        values = [rng.normal(size=size) for size in (8, 6, 48)]
        values[0][verb] += 1.5
        values[1][noun] += 1.5
        return HeadScores(*map(log_shares, values))


class KnowingReading(FakeReading):
    def letters(self, queries: Any) -> list[OptionScores]:
        name = VOCABULARY.action_name(KEY[self.query.query_id])
        found = []
        for query in queries:
            values = hashed_rng("letters", query.query_id).normal(0, 0.8, len(query.options))
            values[[place for place, text in enumerate(query.options) if text == name]] += 1.5
            found.append(OptionScores(log_shares(values), 0.9))
        return found


def recognised(folder: Path, segments: Any = FITTED, backend: Any = None, **values: Any) -> RecognitionResult:
    predictions = {item.segment_id: prediction(item, seed=3) for item in segments}
    settings = config(**{"stages": STAGES, "candidates": 8, "batch_size": 40, **values})
    return recognise(settings, segments, predictions, VOCABULARY, backend or Knowing(), FakeLibrary(), folder)


def call(*arguments: str | Path) -> Result:
    return CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recognition of a labelled split by a specialist, heads and letters."""
    folder = tmp_path_factory.mktemp("fuse") / "run"
    recognised(folder)
    return folder


def test_weights_are_fitted_said_and_written(run: Path, tmp_path: Path):
    path = tmp_path / "fusion.json"
    said = call("fuse", run, "--output", path).stdout
    fusion = Fusion.load(path)
    assert set(fusion.weights) == set(STAGES) and fusion.temperature > 0
    for stage, weight in fusion.weights.items():
        assert any(line.split()[:2] == [stage, f"{weight:.3f}"] for line in said.splitlines())
    assert "160 clips of 8 videos" in said and str(path) in said
    facts = fusion.fitted_on
    assert facts["clips"] == 160 and facts["right_not_offered"] > 0 and fusion.none is not None
    alone = facts["held_out_alone"]
    assert facts["held_out"]["log_likelihood"] > max(of["log_likelihood"] for of in alone.values())
    assert json.loads(call("fuse", run, "--output", tmp_path / "again.json", "--json").stdout) == read_json(path)
    assert api.fuse(run) == fusion
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_recognising_with_it_is_better_on_other_videos(run: Path, tmp_path: Path):
    call("fuse", run, "--output", tmp_path / "fusion.json")
    plain = recognised(tmp_path / "plain", OTHERS)
    joined = recognised(tmp_path / "joined", OTHERS, fusion=str(tmp_path / "fusion.json"))
    right = [result.metrics["overall"]["two_stage"]["action"]["value"] for result in (plain, joined)]
    assert right[1] > right[0] + 0.05
    calibration = joined.metrics["overall"]["calibration"]
    assert calibration["error"] < plain.metrics["overall"]["calibration"]["error"]
    rule = joined.recognitions[0].decision_rule
    assert rule == "fitted fusion of specialist, heads, letters"


def test_some_of_the_stages(run: Path, tmp_path: Path):
    call("fuse", run, "--stages", "heads, letters", "--output", tmp_path / "two.json")
    assert set(Fusion.load(tmp_path / "two.json").weights) == {"heads", "letters"}
    found = recognised(tmp_path / "run", OTHERS[:9], fusion=str(tmp_path / "two.json")).recognitions
    assert all(set(item.scores) == set(STAGES) for item in found)  # the third is scored, and has no weight


def test_segments_that_failed_or_are_not_labelled_are_left_out(tmp_path: Path):
    hidden = [
        item.model_copy(update={"verb_class": -1, "noun_class": -1}) if number % 4 == 0 else item
        for number, item in enumerate(FITTED)
    ]
    recognised(tmp_path / "run", hidden, Knowing(broken=frozenset()))
    assert api.fuse(tmp_path / "run").fitted_on["clips"] == 120


def test_a_run_that_is_not_complete_is_read_as_far_as_it_goes(run: Path, tmp_path: Path):
    raw = (run / RECOGNITIONS).read_bytes().splitlines(keepends=True)
    (tmp_path / RECOGNITIONS).write_bytes(b"".join(raw[:40]) + raw[40][:30])
    assert api.fuse(tmp_path).fitted_on["clips"] == 40


def test_what_cannot_be_fused(run: Path, tmp_path: Path):
    def refused(folder: Path, message: str, *more: str) -> None:
        with pytest.raises(InputError, match=message):
            call("fuse", folder, "--output", tmp_path / "fusion.json", *more)
        assert not (tmp_path / "fusion.json").exists()

    refused(run, "stage 'texts' has not scored all clips", "--stages", "heads,texts")
    refused(run, "stage 'heads' is named twice", "--stages", "heads,heads")
    refused(run, "no stage is named", "--stages", "")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"no such file \(expected JSON Lines of Recognition\)")
    hidden = [item.model_copy(update={"verb_class": -1, "noun_class": -1}) for item in SEGMENTS]
    recognised(tmp_path / "hidden", hidden, ReadingBackend())
    refused(tmp_path / "hidden", "holds no labelled segment that stages have scored")
    recognised(tmp_path / "few", FITTED[:12])
    refused(tmp_path / "few", "12 labelled clips are too few")
    recognised(tmp_path / "cut", FITTED[:30], kept=2)
    refused(tmp_path / "cut", "keep too few of the candidates that 'letters' compared")
    recognised(tmp_path / "damaged", SEGMENTS, FakeBackend(needs_frames=2), stages=("specialist", "letters"))
    lines = (tmp_path / "damaged" / RECOGNITIONS).read_text().splitlines()
    (tmp_path / "damaged" / RECOGNITIONS).write_text("\n".join([*lines[:3], lines[3][:50], *lines[4:]]) + "\n")
    refused(tmp_path / "damaged", r"recognitions.jsonl:4")


def test_earlier_runs_have_no_scores_of_stages(run: Path, tmp_path: Path):
    rows = [json.loads(line) for line in (run / RECOGNITIONS).read_text().splitlines()]
    newer = ("scores", "probabilities", "prior", "verb_marginal", "noun_marginal", "verb_confidence", "noun_confidence")
    earlier = [{name: value for name, value in row.items() if name not in newer} for row in rows]
    (tmp_path / RECOGNITIONS).write_text("".join(json.dumps(row) + "\n" for row in earlier))
    with pytest.raises(InputError, match="holds no labelled segment that stages have scored"):
        api.fuse(tmp_path)


def test_a_fusion_is_the_same_whatever_the_order_of_the_lines(run: Path, tmp_path: Path):
    lines = (run / RECOGNITIONS).read_text().splitlines(keepends=True)
    (tmp_path / RECOGNITIONS).write_text("".join(lines[::-1]))
    weights, turned = (np.array(list(api.fuse(folder).weights.values())) for folder in (run, tmp_path))
    assert np.abs(weights - turned).max() < 1e-3
