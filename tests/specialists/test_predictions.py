from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from llavaction.base.errors import InputError
from llavaction.base.records import write_records
from llavaction.specialists.predictions import SpecialistPrediction, load_predictions, pair_scores

IDS = ["P01_01_0", "P01_01_1"]
ACTIONS = [(0, 0), (0, 1), (1, 0)]


def scores(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 97)).astype(np.float32), rng.normal(size=(2, 300)).astype(np.float32)


def test_pairs_are_ranked_as_the_official_evaluation_does():
    verbs, nouns = scores()
    pairs, values = pair_scores(verbs[0], nouns[0])
    verb, noun = softmax(verbs[0].astype(float)), np.zeros(300)
    best = np.argsort(-nouns[0])[:100]
    noun[best] = softmax(nouns[0][best].astype(float))
    product = np.outer(verb, noun)
    order = np.argsort(-product.ravel())[:100]
    assert pairs == [(int(i) // 300, int(i) % 300) for i in order]
    assert values == pytest.approx(product.ravel()[order].tolist(), rel=1e-9)


@pytest.mark.parametrize("form", ["npz", "dict.pt", "tensors.pt", "list.pt", "json", "zip"])
def test_all_published_forms_give_the_same_ranking(tmp_path: Path, form: str):
    verbs, nouns = scores()
    path = tmp_path / f"predictions.{form}"
    arrays = {"verb_output": verbs, "noun_output": nouns, "narration_id": np.array(IDS)}
    submission = {
        "version": "0.2",
        "challenge": "action_recognition",
        "results": {
            name: {kind: {str(i): float(x) for i, x in enumerate(values[row])}
                   for kind, values in (("verb", verbs), ("noun", nouns))}
            for row, name in enumerate(IDS)
        },
    }  # fmt: skip
    match form:
        case "npz":
            np.savez(path, **arrays)
        case "dict.pt":
            torch.save(arrays, path)
        case "tensors.pt":
            torch.save(
                {"verb_output": torch.tensor(verbs), "noun_output": torch.tensor(nouns), "narration_id": IDS}, path
            )
        case "list.pt":
            entries = [{"verb_output": verbs[i], "noun_output": nouns[i], "narration_id": IDS[i]} for i in range(2)]
            torch.save(entries, path)
        case "json":
            path.write_text(json.dumps(submission))
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("test.json", json.dumps(submission))
    found = load_predictions(path, IDS, ACTIONS)
    assert list(found) == IDS
    for row, name in enumerate(IDS):
        assert list(found[name].actions) == pair_scores(verbs[row], nouns[row])[0]


def test_published_json_refers_to_rows_and_action_ids(tmp_path: Path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"1": {"predictions": [0, 2], "target": 1}, "0": {"predictions": [2, 1], "target": 2}}))
    found = load_predictions(path, IDS, ACTIONS)
    assert found["P01_01_0"].actions == ((1, 0), (0, 1))
    assert found["P01_01_1"].actions == ((0, 0), (1, 0))


def test_our_own_form_round_trips(tmp_path: Path):
    record = SpecialistPrediction(segment_id=IDS[0], actions=((0, 1), (1, 0)), scores=(0.5, 0.25))
    write_records(tmp_path / "p.jsonl", [record])
    assert load_predictions(tmp_path / "p.jsonl", IDS, ACTIONS) == {IDS[0]: record}


def test_pickles_are_refused_with_the_way_out_and_never_run(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))

    for name in ("p.pkl", "p.npz", "p.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(InputError, match="convert it once"):
            load_predictions(tmp_path / name, IDS, ACTIONS)
    np.savez(tmp_path / "q.npz", verb_output=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="without unpickling"):
        load_predictions(tmp_path / "q.npz", IDS, ACTIONS)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", '{"0": {"predictions": [0]}}', "1 predictions, the split has 2"),
        ("p.json", '{"0": {"predictions": [0]}, "1": {"predictions": [7]}}', "action ids from 0 to 2"),
        ("p.json", '{"0": {"predictions": [0]}, "2": {"predictions": [1]}}', 'row "1" is missing'),
        ("p.json", '{"results": {"a": {"verb": {"0": 1}}}}', "result of 'a'"),
        ("p.json", "[1]", "neither a challenge submission"),
        ("p.json", "{", "not JSON"),
        ("p.zip", "no zip", "no zip file"),
        ("p.csv", "", "not a known kind"),
        (
            "p.jsonl",
            '{"segment_id": "a", "actions": [[0, 1]], "scores": [1, 2]}',
            "p.jsonl:1: .*1 actions but 2 scores",
        ),
    ],
)
def test_clear_errors(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load_predictions(tmp_path / name, IDS, ACTIONS)


def test_arrays_of_unequal_length(tmp_path: Path):
    verbs, nouns = scores()
    np.savez(tmp_path / "p.npz", verb_output=verbs[:1], noun_output=nouns, narration_id=np.array(IDS))
    with pytest.raises(InputError, match=r"found \(1, 97\), \(2, 300\), 2"):
        load_predictions(tmp_path / "p.npz", IDS, ACTIONS)
    np.savez(tmp_path / "q.npz", verb_output=verbs)
    with pytest.raises(InputError, match="lacks noun_output, narration_id"):
        load_predictions(tmp_path / "q.npz", IDS, ACTIONS)


def test_scores_that_are_not_finite_are_never_ranked_by(tmp_path: Path) -> None:
    verbs, nouns = scores()
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = verbs.copy()
        spoilt[1, 4] = bad
        np.savez(tmp_path / "p.npz", verb_output=spoilt, noun_output=nouns, narration_id=np.array(IDS))
        torch.save(
            {"verb_output": torch.tensor(spoilt), "noun_output": torch.tensor(nouns), "narration_id": IDS},
            tmp_path / "p.pt",
        )
        entries = [{"verb_output": spoilt[i], "noun_output": nouns[i], "narration_id": IDS[i]} for i in range(2)]
        torch.save(entries, tmp_path / "list.pt")
        verb, noun = ({str(i): float(x) for i, x in enumerate(row)} for row in (spoilt[1], nouns[1]))
        text = json.dumps({"results": {IDS[1]: {"verb": verb, "noun": noun}}})
        (tmp_path / "p.json").write_text(text)
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            archive.writestr("test.json", text)
        (tmp_path / "action.json").write_text(json.dumps({"results": {IDS[1]: {"action": {"0,1": 0.5, "1,1": bad}}}}))
        for name in ("p.npz", "p.pt", "list.pt", "p.json", "p.zip", "action.json"):
            with pytest.raises(InputError, match=rf"{name}: scores of 1 segments .*NaN.* the first '{IDS[1]}'"):
                load_predictions(tmp_path / name, IDS, ACTIONS)
    (tmp_path / "p.jsonl").write_text(f'{{"segment_id": "{IDS[0]}", "actions": [[0, 1]], "scores": [NaN]}}\n')
    with pytest.raises(InputError, match=r"p.jsonl:1: .*finite number"):
        load_predictions(tmp_path / "p.jsonl", IDS, ACTIONS)


def test_swapped_arrays_are_refused(tmp_path: Path) -> None:
    verbs, nouns = scores()
    np.savez(tmp_path / "p.npz", verb_output=nouns, noun_output=verbs, narration_id=np.array(IDS))
    with pytest.raises(InputError, match="verb_output has 300 columns and noun_output 97: the two are swapped"):
        load_predictions(tmp_path / "p.npz", IDS, [])
    few = {"verb_output": verbs[:, :9], "noun_output": nouns[:, :4], "narration_id": np.array(IDS)}
    np.savez(tmp_path / "q.npz", **few)
    with pytest.raises(InputError, match="are swapped"):
        load_predictions(tmp_path / "q.npz", IDS, [(3, 8), (0, 0)])
    assert len(load_predictions(tmp_path / "q.npz", IDS, [(8, 3)])) == 2


def test_ids_as_bytes_and_ids_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verbs, nouns = scores()
    names = np.array([IDS[0].encode(), b"X_1"])
    np.savez(tmp_path / "p.npz", verb_output=verbs, noun_output=nouns, narration_id=names)
    found = load_predictions(tmp_path / "p.npz", IDS, [])
    assert list(found) == [IDS[0]]
    assert list(found[IDS[0]].actions) == pair_scores(verbs[0], nouns[0])[0]
    said = capsys.readouterr().err
    assert "1 of its segments are not of this split, the first 'X_1'; they are left out" in said
    assert f"has no prediction for 1 of 2 segments, such as '{IDS[1]}'" in said
    with pytest.raises(InputError, match=r"predicts 2 segments, .*no prediction for any of the 1 asked for"):
        load_predictions(tmp_path / "p.npz", ["Y"], [])
    np.savez(tmp_path / "q.npz", verb_output=verbs, noun_output=nouns, narration_id=np.array([IDS[0]] * 2))
    with pytest.raises(InputError, match=f"predicts '{IDS[0]}' twice"):
        load_predictions(tmp_path / "q.npz", IDS, [])


def test_scores_too_far_apart_for_a_float_keep_their_order() -> None:
    verbs, nouns = np.array([0.0, -4000.0, -2000.0]), np.array([0.0, -9000.0])
    pairs, values = pair_scores(verbs, nouns)
    assert pairs == [(0, 0), (2, 0), (1, 0), (0, 1), (2, 1), (1, 1)]
    assert values == [1.0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("key", ["900000000", "-1", "1.0", "x", "٣"])
def test_class_ids_of_a_submission(tmp_path: Path, key: str) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"results": {IDS[0]: {"verb": {key: 1}, "noun": {"0": 1}}}}))
    with pytest.raises(InputError, match=r"p.json:1: result of 'P01_01_0' .*no class id"):
        load_predictions(tmp_path / "p.json", IDS, ACTIONS)


def test_classes_without_a_score_are_not_ranked(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"results": {"P01_01_0": {"verb": {"7": 1, "2": 2}, "noun": {"5": 0}}}}')
    assert load_predictions(tmp_path / "p.json", IDS, ACTIONS)[IDS[0]].actions == ((2, 5), (7, 5))
