from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.candidates import CONFIG, PREDICTIONS, SEGMENTS, VOCABULARY
from helpers.challenge_rows import HANDS, NOUNS, VERBS, official_accuracies, random_split
from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass, WholeLabel
from llavaction.backends.baselines import OracleBackend
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_records
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.recognition.challenge import LEAST, ChallengeScores, challenge_accuracy, write_recognitions
from llavaction.recognition.records import Recognition
from llavaction.recognition.runner import RECOGNITIONS, recognise
from llavaction.specialists.challenge import SupervisionLevels, check_submission
from llavaction.specialists.predictions import load_predictions

Action = tuple[int, int]
KNOWN = [(verb, noun) for verb in range(VERBS) for noun in range(verb % 7, NOUNS + HANDS, 40)]
OFFICIAL = ActionVocabulary(
    verbs={i: LabelClass(id=i, key=f"verb-{i}") for i in range(VERBS)},
    nouns={i: LabelClass(id=i, key=f"noun-{i}") for i in range(NOUNS + HANDS)},
    actions=tuple(KNOWN),
)


def recognised(candidates: Sequence[Action], probabilities: Sequence[float], **more: Any) -> Recognition:
    """A recognition of the likeliest candidate."""
    best = int(np.argmax(probabilities or [more["confidence"]]))
    values: dict[str, Any] = {
        "segment_id": "P01_01_0",
        "clip": Clip(video_id="P01_01", start=0, stop=1),
        "verb": candidates[best][0],
        "noun": candidates[best][1],
        "confidence": max(probabilities, default=0.0),
        "candidates": tuple(candidates),
        "specialist_scores": (0.0,) * len(candidates),
        "scores": {"specialist": (-1.0,) * len(candidates)},
        "probabilities": tuple(probabilities),
        "decision_rule": "specialist",
    }
    return Recognition(**(values | more))


def test_scores_of_classes_are_sums_over_the_candidates():
    made = ChallengeScores(OFFICIAL).of(recognised([(3, 10), (3, 11), (90, 10), (5, 299)], [0.4, 0.2, 0.25, 0.05]))
    assert list(made.verbs) == list(range(97)) and list(made.nouns) == list(range(300))
    assert (made.verbs[3], made.verbs[90], made.verbs[5]) == pytest.approx((0.6, 0.25, 0.05))
    assert (made.nouns[10], made.nouns[11], made.nouns[299]) == pytest.approx((0.65, 0.2, 0.05))
    # the 0.1 that no candidate has, over the 94 other verbs and 297 other nouns
    assert {score for verb, score in made.verbs.items() if verb not in (3, 5, 90)} == {round(0.1 / 94, 8)}
    assert {score for noun, score in made.nouns.items() if noun not in (10, 11, 299)} == {round(0.1 / 297, 9)}
    assert sum(made.verbs.values()) == pytest.approx(1, abs=1e-6)
    assert sum(made.nouns.values()) == pytest.approx(1, abs=1e-6)
    assert list(made.actions.items())[:4] == [((3, 10), 0.4), ((90, 10), 0.25), ((3, 11), 0.2), ((5, 299), 0.05)]


def test_actions_are_filled_up_below_the_candidates():
    made = ChallengeScores(OFFICIAL).of(recognised([(3, 10), (90, 12)], [0.9, 0.1]))
    actions = list(made.actions.items())
    assert len(actions) == 100
    assert [score for _, score in actions] == sorted((score for _, score in actions), reverse=True)
    assert all(0 < score <= LEAST for _, score in actions[2:])
    # pairs of 3 and 90 with nouns that no candidate has, as none is known of 3 or 90 with 10 or 12
    assert (3, 10) not in KNOWN and not {(3, 12), (90, 10)} & set(KNOWN)
    first = [pair for pair, _ in actions[2:]][:15]
    assert {verb for verb, _ in first[:8]} == {3} and {verb for verb, _ in first[8:15]} == {90}
    assert {pair for pair, _ in actions[2:]} <= {pair for pair in KNOWN if pair[1] < 300}


def test_where_fewer_actions_are_known_all_pairs_fill_up():
    small = ActionVocabulary(OFFICIAL.verbs, OFFICIAL.nouns, ((3, 10), (4, 7)))
    made = ChallengeScores(small).of(recognised([(3, 10), (3, 301)], [0.5, 0.4]))
    assert (3, 301) not in made.actions and 301 not in made.nouns
    # 0.1 is missing: (other verb, 10) has 0.1 / 96 * 0.5, (3, other noun) 0.9 * 0.1 / 299
    others = [(verb, 10) for verb in range(97) if verb != 3] + [(3, 0), (3, 1), (3, 2)]
    assert list(made.actions) == [(3, 10), *others]
    tiny = ActionVocabulary(
        {i: OFFICIAL.verbs[i] for i in (0, 4)}, {i: OFFICIAL.nouns[i] for i in (2, 9, 300)}, ((0, 2), (4, 300))
    )
    made = ChallengeScores(tiny).of(recognised([(4, 9)], [1.0]))
    assert list(made.actions) == [(4, 9), (0, 9), (4, 2), (0, 2)]  # equal ones as the classes are numbered
    assert made.verbs == {0: LEAST, 4: 1.0} and made.nouns == {2: LEAST, 9: 1.0}


def test_no_class_of_a_candidate_falls_behind_for_want_of_digits():
    made = ChallengeScores(OFFICIAL).of(recognised([(3, 10), (90, 299)], [1.0, 0.0]))
    assert sorted(made.verbs, key=lambda verb: -made.verbs[verb])[:2] == [3, 90]
    assert made.nouns[299] == 2 * LEAST and made.nouns[0] == LEAST
    assert list(made.actions)[:2] == [(3, 10), (90, 299)]


def test_the_best_hundred_of_more_candidates_are_kept_the_chosen_one_first():
    candidates = [(verb, noun) for verb in range(10) for noun in range(15)]
    shares = [0.004] * 149 + [0.3]
    made = ChallengeScores(OFFICIAL).of(recognised(candidates, shares))
    assert list(made.actions) == [(9, 14), *candidates[:99]]
    chosen = recognised(candidates[:3], [0.3, 0.3, 0.3], verb=0, noun=1)  # ahead before it was rounded
    assert list(ChallengeScores(OFFICIAL).of(chosen).actions)[:3] == [(0, 1), (0, 0), (0, 2)]


def test_records_of_earlier_versions_have_the_model_s_scores():
    logs = tuple(np.log([0.2, 0.7, 0.1]).tolist())
    old = recognised([(1, 1), (2, 2), (3, 3)], [], verb=2, noun=2, confidence=0.7, option_scores=logs, scores={})
    made = ChallengeScores(OFFICIAL).of(old)
    assert [made.verbs[verb] for verb in (1, 2, 3)] == pytest.approx([0.2, 0.7, 0.1], abs=1e-6)
    assert made.verbs[4] == LEAST
    weighed = old.model_copy(update={"verb": 1, "noun": 1, "confidence": 0.6})  # a specialist had its say
    made = ChallengeScores(OFFICIAL).of(weighed)
    assert [made.verbs[verb] for verb in (1, 2, 3)] == pytest.approx([0.6, 0.35, 0.05], abs=1e-6)
    single = recognised([(1, 1)], [], confidence=1.0, option_scores=(0.0,), scores={})
    assert ChallengeScores(OFFICIAL).of(single).verbs[1] == 1.0


def random_recognitions(rows: Sequence[Any], seed: int) -> list[Recognition]:
    """1 to 130 candidates with probabilities of two decimals, many of them equal, the right one among them or not."""
    draw = random.Random(seed)
    found = []
    for row in rows:
        pool = {(draw.randrange(VERBS), draw.randrange(NOUNS + HANDS)) for _ in range(draw.choice((1, 3, 5, 20, 130)))}
        if draw.random() < 0.6:
            pool |= {(row.verb, row.noun), (row.verb, draw.randrange(NOUNS)), (draw.randrange(VERBS), row.noun)}
        candidates = draw.sample(sorted(pool), len(pool))
        weights = [draw.choice((1, 1, 2, 5, 30)) for _ in candidates]
        if (row.verb, row.noun) in candidates:
            weights[candidates.index((row.verb, row.noun))] *= draw.choice((1, 10))
        total = sum(weights) * draw.choice((1.0, 1.3))
        shares = [round(weight / total, 2) for weight in weights]
        error = "its video is gone" if draw.random() < 0.02 else None
        made = recognised(candidates, [min(share, 1.0) for share in shares], segment_id=row.name)
        gone = {"error": error, "verb": None, "noun": None, "confidence": None}
        found.append(made if error is None else made.model_copy(update=gone))
    return found


def test_accuracies_equal_an_independent_computation_on_the_file(tmp_path: Path):
    """1,500 random recognitions: what plain Python works out from the submission is what metrics say."""
    split = random_split(1500, seed=11)
    dataset = split.write(tmp_path / "annotations")
    segments, vocabulary = list(dataset.segments("validation")), dataset.vocabulary
    recognitions = random_recognitions(split.rows, seed=12)
    assert 10 < sum(found.error is not None for found in recognitions) < 60
    write_recognitions(tmp_path / "c.zip", recognitions, vocabulary, SupervisionLevels(pretraining=5))
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        submission = json.loads(archive.read("test.json"))
    assert submission["sls_pt"] == 5
    ranked = {}
    for name, result in submission["results"].items():
        sides = [{int(label): score for label, score in result[side].items()} for side in ("verb", "noun")]
        verbs, nouns = (sorted(side, key=lambda label, of=side: (-of[label], label)) for side in sides)
        pairs = [
            tuple(map(int, key.split(","))) for key, _ in sorted(result["action"].items(), key=lambda item: -item[1])
        ]
        ranked[name] = (verbs, nouns, pairs)
    expected = official_accuracies(split, ranked)
    assert 0.1 < expected["overall"]["action"]["top-1"] < expected["overall"]["action"]["top-5"] < 0.8
    assert challenge_accuracy(recognitions, segments, vocabulary, dataset.groups("validation")) == expected
    failed = [found.segment_id for found in recognitions if found.error is not None]
    assert check_submission(tmp_path / "c.zip", [row.name for row in split.rows]) == [
        f"lacks {len(failed)} of the split's 1500 segments, the first '{failed[0]}'"
    ]
    asked = [found for found in recognitions if found.error is None]
    assert check_submission(tmp_path / "c.zip", [found.segment_id for found in asked]) == []
    back = load_predictions(tmp_path / "c.zip", [row.name for row in split.rows], [], say=lambda _: None)
    assert all(back[found.segment_id].actions[0] == found.action for found in asked if found.noun < NOUNS)


def test_metrics_hold_the_challenge_s_where_its_groups_are_known(tmp_path: Path):
    oracle = OracleBackend({segment.segment_id: VOCABULARY.action_name(segment.action) for segment in SEGMENTS})
    ids = [segment.segment_id for segment in SEGMENTS]
    groups = {"unseen participants": set(ids[18:]), "tail verbs": set(ids[:4]), "tail nouns": set(ids[4:8])}
    groups["tail actions"] = groups["tail verbs"] | groups["tail nouns"]
    rest = dict(list(PREDICTIONS.items())[1:])
    found = recognise(CONFIG, SEGMENTS, rest, VOCABULARY, oracle, None, tmp_path / "a", groups=groups).metrics
    assert read_json(tmp_path / "a" / "metrics.json")["challenge"] == found["challenge"]
    table = found["challenge"]
    assert set(table) == {"overall", "unseen participants", "tail"}
    # right where the right action is among the three candidates, and a candidate: three in four but the first
    assert table["overall"]["action"]["top-1"] == round(17 / 24, 6)
    assert found["overall"]["two_stage"]["action"]["value"] == round(17 / 23, 6)  # those without prediction left out
    assert table["tail"]["verb"] == {"top-1": 0.75, "top-5": 0.75, "segments": 4}
    assert [table["tail"][part]["segments"] for part in ("verb", "noun", "action")] == [4, 4, 8]
    assert table["unseen participants"]["action"]["segments"] == 6
    some = CONFIG.model_copy(update={"limit": 7})
    few = recognise(some, SEGMENTS, rest, VOCABULARY, oracle, None, tmp_path / "b", groups=groups).metrics
    assert few["challenge"]["overall"]["verb"]["segments"] == 7
    for other in ({}, {"weekends": {ids[0]}}):
        folder = tmp_path / f"c{len(other)}"
        plain = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, oracle, None, folder, groups=other).metrics
        assert "challenge" not in plain
    unlabelled = [segment.model_copy(update={"verb_class": -1, "noun_class": -1}) for segment in SEGMENTS]
    assert challenge_accuracy([], unlabelled, VOCABULARY, groups) == {}


def test_a_folder_of_an_earlier_version_goes_on_with_challenge_s_accuracies(tmp_path: Path):
    oracle = OracleBackend({segment.segment_id: VOCABULARY.action_name(segment.action) for segment in SEGMENTS})
    groups = {"unseen participants": {segment.segment_id for segment in SEGMENTS[:5]}}
    first = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, oracle, None, tmp_path, groups=groups)
    fields = ("scores", "probabilities", "verb_marginal", "verb_confidence", "noun_marginal", "noun_confidence")
    empty = {name: Recognition.model_fields[name].get_default(call_default_factory=True) for name in fields}
    write_records(tmp_path / RECOGNITIONS, [found.model_copy(update=empty) for found in first.recognitions])
    again = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, oracle, None, tmp_path, groups=groups)
    assert again.asked_now == 0 and not again.recognitions[0].probabilities
    assert again.metrics["challenge"] == first.metrics["challenge"]


def test_labels_without_nouns_are_no_submission(tmp_path: Path):
    labels = ActionVocabulary({0: WholeLabel(id=0, key="run")}, {0: LabelClass(id=0, key="")}, ((0, 0),))
    with pytest.raises(InputError, match="no verb-noun pairs"):
        write_recognitions(tmp_path / "c.zip", [], labels)
    assert challenge_accuracy([], SEGMENTS, labels, {"unseen participants": {"x"}}) == {}


def test_classes_of_the_real_annotations_are_the_challenge_s(shared: Path, tmp_path: Path):
    dataset = EpicKitchens(shared / "data" / "ek100")
    segments, vocabulary = list(dataset.segments("validation")), dataset.vocabulary
    some = [
        recognised([segment.action], [0.9], segment_id=segment.segment_id)
        for segment in segments[:: len(segments) // 300]
    ]
    write_recognitions(tmp_path / "c.zip", some, vocabulary)
    assert check_submission(tmp_path / "c.zip", [found.segment_id for found in some]) == []  # 97 verbs, 300 nouns
    table = challenge_accuracy(some, segments, vocabulary, dataset.groups("validation"))
    counts = {row: [found[part]["segments"] for part in ("verb", "noun", "action")] for row, found in table.items()}
    assert counts == {"overall": [9668] * 3, "unseen participants": [1065] * 3, "tail": [1760, 1900, 3105]}
    assert {table["overall"][part]["top-1"] for part in ("verb", "noun", "action")} == {round(len(some) / 9668, 6)}
