from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from llavaction.actions.segments import Clip, Segment
from llavaction.base.errors import InputError
from llavaction.base.records import write_records
from llavaction.specialists.accuracy import measure
from llavaction.specialists.challenge import SupervisionLevels, write_challenge
from llavaction.specialists.labels import ClassName, SpecialistLabels
from llavaction.specialists.predictions import Expected, load_predictions, pair_scores
from llavaction.specialists.scores import SpecialistScores

SEGMENTS = 5


def labels(verbs: int, nouns: int, actions: list[tuple[int, int]]) -> SpecialistLabels:
    return SpecialistLabels(
        verbs=tuple(ClassName(id=i, key=f"verb-{i}") for i in range(verbs)),
        nouns=tuple(ClassName(id=i, key=f"noun-{i}") for i in range(nouns)),
        actions=tuple(actions),
    )


def log_probabilities(rng: np.random.Generator, classes: int) -> np.ndarray:
    values = rng.normal(size=(SEGMENTS, classes))
    return (values - np.log(np.exp(values).sum(1, keepdims=True))).astype(np.float32)


def scores(verbs: int = 3, nouns: int = 4, actions: int = 5, share: float = 0.5) -> SpecialistScores:
    rng = np.random.default_rng(0)
    pairs = [(v, n) for v in range(verbs) for n in range(nouns)]
    met = [pairs[i] for i in sorted(rng.permutation(len(pairs))[:actions])]
    parts = [log_probabilities(rng, size) for size in (verbs, nouns, actions)]
    names = tuple(f"P01_01_{i}" for i in range(SEGMENTS))
    return SpecialistScores(labels(verbs, nouns, met), names, parts[0], parts[1], parts[2] if share else None, share)


def test_a_pair_is_scored_by_its_parts_and_as_a_whole():
    made = scores(share=0.25)
    assert made.actions is not None
    found = np.array(list(made.pairs(made.labels.pairs)))
    assert found.shape == (SEGMENTS, 12)
    for column, (verb, noun) in enumerate(made.labels.pairs):
        parts = made.verbs[:, verb] + made.nouns[:, noun]
        whole = (
            made.actions[:, made.labels.actions.index((verb, noun))]
            if (verb, noun) in made.labels.actions
            else made.actions.min(1)
        )
        np.testing.assert_allclose(found[:, column], 0.75 * parts + 0.25 * whole, rtol=1e-6)
    with pytest.raises(InputError, match=r"\(0, 4\) is not of this specialist"):
        next(made.pairs([(0, 4)]))


def test_rankings_are_predictions_that_can_be_read_back(tmp_path: Path):
    made = scores()
    rankings = list(made.rankings(made.labels.actions, 3, fold=2))
    for ranking, values in zip(rankings, made.pairs(made.labels.actions), strict=True):
        order = sorted(range(5), key=lambda i: -values[i])[:3]
        assert ranking.actions == tuple(made.labels.actions[i] for i in order)
        assert ranking.scores == pytest.approx([values[i] for i in order], abs=1e-5)
    write_records(tmp_path / "p.jsonl", rankings)
    found = load_predictions(tmp_path / "p.jsonl", made.segment_ids, made.labels.actions)
    assert list(found.values()) == rankings
    assert {prediction.fold for prediction in found.values()} == {2}
    with pytest.raises(InputError, match="at least 1"):
        list(made.rankings(made.labels.actions, 0))


def test_class_scores_are_read_back_as_the_challenge_has_them(tmp_path: Path):
    made = scores(share=0.0)
    made.save(tmp_path / "scores.npz")
    found = load_predictions(tmp_path / "scores.npz", made.segment_ids, made.labels.actions)
    for row, name in enumerate(made.segment_ids):
        assert list(found[name].actions) == pair_scores(made.verbs[row], made.nouns[row])[0]
        ranking = next(iter(SpecialistScores.joined([made]).rankings(made.labels.pairs, 12)))
    assert ranking.actions == found[made.segment_ids[0]].actions


@pytest.mark.parametrize(("nouns", "actions", "suffix"), [(300, 3806, ".zip"), (305, 50, ".json"), (305, 200, ".zip")])
def test_a_submission_passes_the_official_check_and_is_read_back(nouns: int, actions: int, suffix: str, tmp_path: Path):
    made = scores(97, nouns, actions)
    path = tmp_path / f"new/submission{suffix}"
    write_challenge(path, made, SupervisionLevels(pretraining=2))
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == ["test.json"]
            submission = json.loads(archive.read("test.json"))
    else:
        submission = json.loads(path.read_text())
    heading = {key: value for key, value in submission.items() if key != "results"}
    assert heading == {"version": "0.2", "challenge": "action_recognition", "sls_pt": 2, "sls_tl": 3, "sls_td": 3}
    assert set(submission["results"]) == set(made.segment_ids)
    pairs = made.labels.actions if actions >= 100 else made.labels.pairs
    candidates = [pair for pair in pairs if pair[1] < 300]
    assert (len(candidates) < len(pairs)) == (nouns > 300)
    for result in submission["results"].values():
        assert [int(key) for key in result["verb"]] == list(range(97))
        assert [int(key) for key in result["noun"]] == list(range(300))
        assert len(result["action"]) == 100
        assert {tuple(map(int, key.split(","))) for key in result["action"]} <= set(candidates)
        values = [*result["verb"].values(), *result["noun"].values(), *result["action"].values()]
        assert all(isinstance(value, float) for value in values)
    found = load_predictions(path, made.segment_ids, made.labels.actions)
    assert [found[name] for name in made.segment_ids] == list(made.rankings(candidates, 100))
    assert submission["results"]["P01_01_3"]["verb"]["7"] == pytest.approx(float(made.verbs[3, 7]), abs=1e-6)


def test_a_submission_is_a_zip_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"a \.zip \(or \.json\) file"):
        write_challenge(tmp_path / "x.pkl", scores())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_challenge(tmp_path / "file" / "x.zip", scores())
    with pytest.raises(InputError, match="less than or equal to 5"):
        SupervisionLevels.from_mapping({"data": 6})


def test_accuracy_follows_the_official_groups():
    """Ranks of the right classes are laid down by hand: verb, noun, action of six segments."""
    made = scores(6, 6, 36)
    wanted = [(0, 0, 0), (1, 0, 3), (0, 4, 6), (5, 5, 1), (0, 1, 4)]
    segments, predictions = [], list(made.rankings(made.labels.pairs, 10))
    for row, (verb_rank, noun_rank, action_rank) in enumerate(wanted):
        verb = int(np.argsort(-made.verbs[row])[verb_rank])
        noun = int(np.argsort(-made.nouns[row])[noun_rank])
        others = [pair for pair in predictions[row].actions if pair != (verb, noun)]
        actions = (*others[:action_rank], (verb, noun), *others[action_rank:])[:10]
        falling = tuple(float(-i) for i in range(len(actions)))
        predictions[row] = predictions[row].model_copy(update={"actions": actions, "scores": falling})
        segments.append(
            Segment(segment_id=made.segment_ids[row], video_id="v", start=0, stop=1, narration="", verb_class=verb,
                    noun_class=noun)
        )  # fmt: skip
    lost = segments[0].model_copy(update={"segment_id": "lost"})
    ids = list(made.segment_ids)
    groups = {"tail verbs": {ids[1], ids[2]}, "tail nouns": {ids[3]}, "tail actions": {ids[1], ids[2], ids[3]}}
    found = measure(made, predictions, [*segments, lost], groups)
    assert set(found) == {"overall", "tail"}
    assert found["overall"]["verb"] == {"top-1": 0.5, "top-5": round(4 / 6, 6), "segments": 6}
    assert found["overall"]["noun"] == {"top-1": round(2 / 6, 6), "top-5": round(4 / 6, 6), "segments": 6}
    assert found["overall"]["action"] == {"top-1": round(1 / 6, 6), "top-5": round(4 / 6, 6), "segments": 6}
    assert found["tail"]["verb"] == {"top-1": 0.5, "top-5": 1.0, "segments": 2}
    assert found["tail"]["noun"] == {"top-1": 0.0, "top-5": 0.0, "segments": 1}
    assert found["tail"]["action"] == {"top-1": 0.0, "top-5": round(2 / 3, 6), "segments": 3}
    groups["unseen participants"] = {ids[0], "lost"}
    unseen = measure(made, predictions, [*segments, lost], groups)["unseen participants"]
    assert [unseen[part]["top-1"] for part in ("verb", "noun", "action")] == [0.5, 0.5, 0.5]
    with pytest.raises(InputError, match="no segments"):
        measure(made, predictions, [], {})


def test_an_immense_class_id_does_not_fill_the_memory(tmp_path: Path) -> None:
    labels = SpecialistLabels(
        verbs=(ClassName(id=0, key="take"), ClassName(id=900_000_000, key="put")),
        nouns=(ClassName(id=0, key="plate"),),
        actions=((0, 0),),
    )
    verbs, nouns = np.zeros((2, 2), dtype=np.float32), np.zeros((2, 1), dtype=np.float32)
    with pytest.raises(InputError, match="up to 900,000,000"):
        SpecialistScores(labels, ("a", "b"), verbs, nouns, None, 0.0).save(tmp_path / "s.npz")
    assert not (tmp_path / "s.npz").exists()


def test_columns_of_no_class_are_not_ranked(tmp_path: Path) -> None:
    """Class ids with a gap: the saved file has a column for what lies between, and nobody may be offered it."""
    verbs = (ClassName(id=0, key="take"), ClassName(id=3, key="put"))
    labels = SpecialistLabels(verbs=verbs, nouns=(ClassName(id=2, key="plate"),), actions=((0, 2),))
    scores = SpecialistScores(
        labels, ("a",), np.log([[0.25, 0.75]]).astype(np.float32), np.zeros((1, 1), np.float32), None, 0.0
    )
    scores.save(tmp_path / "s.npz")
    found = load_predictions(tmp_path / "s.npz", ["a"], [])["a"]
    assert found.actions == ((3, 2), (0, 2))
    assert found.scores == pytest.approx((0.75, 0.25), rel=1e-6)


def test_class_scores_say_their_clips_and_classes(tmp_path: Path):
    clips = tuple(Clip(video_id="v", start=i, stop=i + 1.5) for i in range(SEGMENTS))
    made = dataclasses.replace(scores(share=0.0), clips=clips)
    made.save(tmp_path / "s.npz")
    names, classes = made.segment_ids, made.labels.classes
    turned = dict(enumerate(reversed(classes.verbs.values())))
    expected = Expected(dict(zip(names, clips, strict=True)), turned, classes.nouns)
    found = load_predictions(tmp_path / "s.npz", names, made.labels.pairs, expected=expected)
    for row, name in enumerate(names):
        assert found[name].actions == tuple((2 - v, n) for v, n in pair_scores(made.verbs[row], made.nouns[row])[0])
        assert found[name].clip == clips[row]
    moved = Expected(dict(zip(names, reversed(clips), strict=True)), classes.verbs, classes.nouns)
    with pytest.raises(InputError, match=r"4 of 5; the first: 'P01_01_0' is v 0\.00-1\.50 s there and v 4\.00-5\.50"):
        load_predictions(tmp_path / "s.npz", names, made.labels.pairs, expected=moved)
    assert SpecialistScores.joined([made, made]).clips == clips * 2
