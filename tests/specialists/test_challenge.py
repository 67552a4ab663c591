from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llavaction.base.errors import InputError
from llavaction.specialists.challenge import (
    SegmentScores,
    SupervisionLevels,
    check_submission,
    check_target,
    verdict,
    write_submission,
)

NAMES = ("P01_0", "P01_1", "P22_107_3")
PAIRS = [(verb, noun) for verb in range(97) for noun in range(300)]


def scores(name: str) -> SegmentScores:
    return SegmentScores(
        name,
        {verb: -0.5 * verb for verb in range(97)},
        {noun: 1 / (noun + 1) for noun in range(300)},
        {pair: 1e-21 * -place for place, pair in enumerate(PAIRS[7:107])},
    )


@pytest.fixture
def submission(tmp_path: Path) -> dict[str, Any]:
    """What the writer made, read back."""
    write_submission(tmp_path / "s.json", map(scores, NAMES), SupervisionLevels(pretraining=2, data=4))
    found = json.loads((tmp_path / "s.json").read_text())
    return dict(found)


@pytest.mark.parametrize("name", ["c.zip", "c.json", "new/C.ZIP"])
def test_what_is_written_passes_the_rules(name: str, tmp_path: Path):
    write_submission(tmp_path / name, map(scores, NAMES))
    assert check_submission(tmp_path / name, NAMES) == []
    assert verdict(tmp_path / name, NAMES, range(97), range(303)) == []  # hands, feet, gloves need no score
    (line,) = verdict(tmp_path / name, NAMES, range(97), range(300), left_out=2)
    assert line.endswith("would be refused: it lacks 2 segments whose rows were left out")


def test_a_submission_is_written_as_the_official_script_does(submission: dict[str, Any], tmp_path: Path):
    heading = {key: value for key, value in submission.items() if key != "results"}
    assert heading == {"version": "0.2", "challenge": "action_recognition", "sls_pt": 2, "sls_tl": 3, "sls_td": 4}
    assert list(submission["results"]) == list(NAMES)
    first = submission["results"]["P01_0"]
    assert first["verb"]["96"] == -48.0 and first["noun"]["299"] == 1 / 300
    assert list(first["action"])[:2] == ["0,7", "0,8"] and first["action"]["0,106"] == 1e-21 * -99
    write_submission(tmp_path / "s.zip", map(scores, NAMES), SupervisionLevels(pretraining=2, data=4))
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert archive.read("test.json") == (tmp_path / "s.json").read_bytes()
    assert (tmp_path / "s.json").read_text() == json.dumps(submission)


def test_classes_of_another_dataset_can_be_asked_for(tmp_path: Path):
    made = SegmentScores("a", {0: 1.0, 4: 0.0}, {2: 1.0, 3: 0.5}, {(0, 2): 1, (4, 2): 1, (0, 3): 1, (4, 3): 1})
    write_submission(tmp_path / "c.zip", [made])
    assert check_submission(tmp_path / "c.zip", ["a"], [0, 4], [2, 3]) == []
    found = check_submission(tmp_path / "c.zip", ["a"])
    assert found == [
        "1 segment without a score of every verb class, the first 'a' (lacks class 1)",
        "1 segment without a score of every noun class, the first 'a' (lacks class 0)",
        "1 segment without exactly 100 action scores, the first 'a' (has 4)",
    ]


def entry(change: Callable[[dict[str, Any]], Any], name: str = "P01_1") -> Callable[[dict[str, Any]], Any]:
    return lambda submission: change(submission["results"][name])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.update(version="0.1"), 'version is "0.1", expected "0.2"'),
        (lambda s: s.pop("version"), 'version is absent, expected "0.2"'),
        (lambda s: s.update(challenge="action_anticipation"), 'challenge is "action_anticipation"'),
        (lambda s: s.update(sls_td=6), "sls_td, the supervision level of data, is 6, expected 0 to 5"),
        (lambda s: s.update(sls_pt=True), "sls_pt, the supervision level of pretraining, is true"),
        (lambda s: s.pop("sls_tl"), "sls_tl, the supervision level of labels, is absent"),
        (lambda s: s.pop("results"), 'there is no object "results"'),
        (lambda s: s.update(results=[1]), 'there is no object "results"'),
        (lambda s: s["results"].pop("P01_1"), "lacks 1 of the split's 3 segments, the first 'P01_1'"),
        (lambda s: s["results"].update(P99_1=s["results"]["P01_1"]), "1 segment not of this split, the first 'P99_1'"),
        (lambda s: s["results"].update(P01_1=3), "1 segment without scores, the first 'P01_1'"),
        (entry(lambda e: e.pop("verb")), "1 segment without verb scores, the first 'P01_1'"),
        (entry(lambda e: e.update(noun=[0.5])), "1 segment without noun scores"),
        (entry(lambda e: e["verb"].pop("96")), "of every verb class, the first 'P01_1' (lacks class 96)"),
        (entry(lambda e: e["noun"].update({"300": 0.1})), "of what is no noun class, the first 'P01_1' ('300')"),
        (entry(lambda e: e["verb"].update(take=0.1)), "a score of what is no verb class, the first 'P01_1' ('take')"),
        (entry(lambda e: e["noun"].update({"5": float("nan")})), "not all finite numbers, the first 'P01_1' (NaN)"),
        (entry(lambda e: e["verb"].update({"5": "0.5"})), "whose verb scores are not all finite numbers"),
        (entry(lambda e: e["verb"].update({"5": None})), "whose verb scores are not all finite numbers"),
        (entry(lambda e: e["verb"].update({"5": 10**400})), "whose verb scores are not all finite numbers"),
        (entry(lambda e: e["action"].update({"0,7": float("-inf")})), "action scores are not all finite numbers"),
        (entry(lambda e: e["action"].pop("0,7")), "exactly 100 action scores, the first 'P01_1' (has 99)"),
        (entry(lambda e: e["action"].update({"9,9": 0.1})), "exactly 100 action scores, the first 'P01_1' (has 101)"),
        (entry(lambda e: e.update(action=[1])), "whose action scores are no object"),
        (entry(lambda e: e.pop("action")), "1 segment without action scores, unlike those before"),
        (entry(lambda e: e.pop("action"), "P01_0"), "2 segments with action scores, unlike those before"),
    ],
)  # fmt: skip
def test_what_the_challenge_refuses_is_named(
    change: Callable[[dict[str, Any]], Any], problem: str, submission: dict[str, Any], tmp_path: Path
):
    change(submission)
    (tmp_path / "x.json").write_text(json.dumps(submission))
    (found,) = check_submission(tmp_path / "x.json", NAMES)
    assert problem in found
    (line,) = verdict(tmp_path / "x.json", NAMES, range(97), range(300))
    assert line == f"{tmp_path / 'x.json'} would be refused: {found}"


@pytest.mark.parametrize("key", ["7", "0,300", "97,0", "0;9", "take,plate", "0,-1", "0,7.5", "0, 7,"])
def test_actions_are_a_verb_and_a_noun(key: str, submission: dict[str, Any], tmp_path: Path):
    actions = submission["results"]["P01_1"]["action"]
    actions[key] = actions.pop("0,8")
    (tmp_path / "x.json").write_text(json.dumps(submission))
    (found,) = check_submission(tmp_path / "x.json", NAMES)
    assert found == f"1 segment with an action that is no 'verb,noun' of the classes, the first 'P01_1' ('{key}')"


def test_an_action_is_scored_once_and_none_at_all_will_do(submission: dict[str, Any], tmp_path: Path):
    actions = submission["results"]["P01_1"]["action"]
    actions["0, 7"] = actions.pop("0,8")
    (tmp_path / "x.json").write_text(json.dumps(submission))
    assert check_submission(tmp_path / "x.json", NAMES) == [
        "1 segment with an action that is scored twice, the first 'P01_1'"
    ]
    for result in submission["results"].values():
        del result["action"]
    (tmp_path / "x.json").write_text(json.dumps(submission))
    assert check_submission(tmp_path / "x.json", NAMES) == []


def test_what_is_no_submission_at_all(tmp_path: Path):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json: is no challenge submission: it holds no JSON object"):
        check_submission(tmp_path / "x.json", NAMES)
    (tmp_path / "x.json").write_text('{"version": "0.2",\n oh}')
    with pytest.raises(InputError, match=r"x\.json:2: not JSON"):
        check_submission(tmp_path / "x.json", NAMES)
    (tmp_path / "x.json").write_text('{"results": {"a": 1, "a": 2}}')
    with pytest.raises(InputError, match="stands twice"):
        check_submission(tmp_path / "x.json", NAMES)
    with pytest.raises(InputError, match=r"none\.json: cannot be read: No such file"):
        check_submission(tmp_path / "none.json", NAMES)
    with pytest.raises(InputError, match=r"none\.zip: no such file"):
        check_submission(tmp_path / "none.zip", NAMES)
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="no zip file"):
        check_submission(tmp_path / "x.zip", NAMES)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("results.json", "{}")
    with pytest.raises(InputError, match=r"holds results\.json; expected test\.json and nothing else"):
        check_submission(tmp_path / "y.zip", NAMES)
    with pytest.raises(InputError, match=r"a \.zip \(or \.json\) file"):
        check_target(tmp_path / "x.pkl", one_label=False)
    with pytest.raises(InputError, match="no verb-noun pairs"):
        check_target(tmp_path / "x.zip", one_label=True)
