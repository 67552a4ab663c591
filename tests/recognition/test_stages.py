"""Stages of recognition: each clip is read once, candidates are ranked as asked for, and nothing knows the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.evaluation_fakes import FakeBackend, FakeLibrary
from helpers.reading_fakes import (
    PAIRS,
    PREDICTIONS,
    SECRET,
    SEGMENTS,
    VOCABULARY,
    ReadingBackend,
    config,
    log_shares,
    prediction,
    segment,
)
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass
from llavaction.backends.base import Query
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.records import read_json
from llavaction.recognition.config import RecognitionConfig
from llavaction.recognition.fusion import Fusion
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.recognition.runner import RecognitionResult, recognise

NAMES = dict(zip(VOCABULARY.actions, map(VOCABULARY.action_name, VOCABULARY.actions), strict=True))


class Unread:
    """A library that nobody may ask."""

    def read(self, *_: object, **__: object) -> Any:
        raise AssertionError("a clip was decoded before the settings were checked")


def run(
    folder: Path,
    backend: Any = None,
    settings: RecognitionConfig | None = None,
    segments: Sequence[Any] = SEGMENTS,
    library: Any = None,
    predictions: Any = None,
    **values: Any,
) -> RecognitionResult:
    return recognise(
        settings or config(**values),
        segments,
        PREDICTIONS if predictions is None else predictions,
        VOCABULARY,
        backend or ReadingBackend(),
        library or FakeLibrary(),
        folder,
        retry_failed=False,
    )


def heads_of(item: Recognition, backend: ReadingBackend) -> dict[tuple[int, int], float]:
    """The product of the heads, computed beside the code that is tested."""
    frames = FakeLibrary().read(item.clip, 2).images
    heads = backend.heads_of(Query(item.segment_id, "", (), type("Clip", (), {"frames": frames})()))
    assert heads is not None
    values = log_shares(np.array([heads.verb[verb] + heads.noun[noun] for verb, noun in PAIRS]))
    return dict(zip(PAIRS, values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("stages", "more"),
    [
        (("heads",), {}),
        (("heads", "letters"), {"option_orders": 4}),
        (("specialist", "heads", "action_head", "label_set_raw", "label_set_length", "label_set_prior", "letters"), {}),
        (("specialist", "letters", "texts"), {"ranked_by": ("specialist",), "option_orders": 3}),
        (("label_set_prior", "letters", "texts"), {"candidates": 2, "option_orders": 2}),
        (("action_head", "texts"), {"candidates": 0, "predictions": None}),
    ],
)
def test_each_clip_is_read_once_whatever_is_asked(tmp_path: Path, stages: tuple[str, ...], more: dict[str, Any]):
    backend = ReadingBackend()
    result = run(tmp_path, backend, stages=stages, **more)
    assert sorted(backend.reads) == sorted(item.segment_id for item in SEGMENTS)
    asked = config(stages=stages, **more)
    turns = min(asked.option_orders, asked.candidates) if "letters" in stages else 0
    label_set = any(stage.startswith("label_set") for stage in stages)
    assert len(backend.prompts) == 24 * (turns + label_set + ("texts" in stages))
    for item in result.recognitions:
        assert item.error is None
        assert set(item.scores) == set(stages)
        assert len(item.candidates) == (asked.candidates or 48)
        assert item.action in item.candidates and item.name == NAMES[item.action]
        for comparing in set(stages) & {"letters", "texts"}:
            assert np.exp(item.scores[comparing]).sum() == pytest.approx(1, abs=1e-4)
        for spread in set(stages) - {"letters", "texts"}:
            assert np.exp(item.scores[spread]).sum() <= 1 + 1e-4
        assert len(item.option_scores) == (asked.candidates if "letters" in stages else 0)


def test_the_specialist_and_letters_alone_need_no_reading(tmp_path: Path):
    backend = FakeBackend(needs_frames=2)
    explicit = run(tmp_path / "a", backend, stages=("specialist", "letters"))
    default = run(tmp_path / "b", FakeBackend(needs_frames=2))
    assert len(backend.asked) == 8
    for one, other in zip(explicit.recognitions, default.recognitions, strict=True):
        assert one.model_copy(update={"decision_rule": ""}) == other.model_copy(update={"decision_rule": ""})


@pytest.mark.parametrize("ranked_by", ["specialist", "heads", "label_set_raw", "mix"])
def test_candidates_are_the_best_of_the_stages_that_rank(tmp_path: Path, ranked_by: str):
    stages = ("specialist", "heads", "label_set_raw", "letters")
    ranking = ("specialist", "heads") if ranked_by == "mix" else (ranked_by,)
    backend = ReadingBackend()
    found = run(tmp_path, backend, stages=stages, ranked_by=ranking, candidates=4).recognitions
    for item in found:
        shares = PREDICTIONS[item.segment_id]
        specialist = dict(zip(shares.actions, np.log(shares.scores).tolist(), strict=True))
        heads = heads_of(item, backend)
        if ranked_by == "label_set_raw":
            assert list(item.scores["label_set_raw"]) == sorted(item.scores["label_set_raw"], reverse=True)
            continue
        of_stage = {"specialist": specialist, "heads": heads}
        total = {pair: sum(of_stage[stage][pair] for stage in ranking) for pair in PAIRS}
        assert list(item.candidates) == sorted(total, key=lambda pair: -total[pair])[:4]
        assert item.scores["heads"] == pytest.approx([heads[pair] for pair in item.candidates], abs=1e-5)
        assert item.scores["specialist"] == pytest.approx([specialist[pair] for pair in item.candidates], abs=1e-5)


def test_the_label_set_ranks_all_classes(tmp_path: Path):
    few, whole = (
        run(tmp_path / str(count), stages=("label_set_length", "texts"), candidates=count).recognitions
        for count in (3, 0)
    )
    for item, complete in zip(few, whole, strict=True):
        values = dict(zip(complete.candidates, complete.scores["label_set_length"], strict=True))
        assert len(values) == 48 and np.exp(list(values.values())).sum() == pytest.approx(1, abs=1e-4)
        assert list(item.candidates) == sorted(values, key=lambda pair: -values[pair])[:3]


@pytest.mark.parametrize(("count", "choosing"), [(1, "letters"), (2, "letters"), (26, "letters"), (27, "texts")])
def test_any_number_of_candidates(tmp_path: Path, count: int, choosing: str):
    backend = ReadingBackend()
    found = run(tmp_path, backend, stages=("heads", choosing), candidates=count).recognitions
    for item in found:
        assert item.error is None and len(set(item.candidates)) == count
        place = int(np.argmax(item.scores[choosing]))
        assert item.action == item.candidates[place]
        assert item.confidence == pytest.approx(np.exp(item.scores[choosing][place]), abs=1e-5)
        if count == 1:
            assert item.confidence == 1.0 and item.scores["letters"] == (0.0,)
    if count == 26:
        assert all("\nZ. " in query.prompt for query in backend.prompts)


@pytest.mark.parametrize("stages", [("heads",), ("heads", "letters"), ("heads", "texts")])
def test_the_right_class_is_never_put_among_the_candidates(tmp_path: Path, stages: tuple[str, ...]):
    last = {item.segment_id: item.action for item in SEGMENTS}
    found = run(tmp_path / "a", ReadingBackend(last=last), stages=stages, candidates=26)
    assert all(item.truth not in item.candidates and item.place == -1 for item in found.recognitions)
    assert found.metrics["overall"]["specialist_top_k"]["value"] == 0.0
    hidden = [item.model_copy(update={"verb_class": -1, "noun_class": -1}) for item in SEGMENTS]
    blind = run(tmp_path / "b", ReadingBackend(last=last), segments=hidden, stages=stages, candidates=26)
    for item, other in zip(found.recognitions, blind.recognitions, strict=True):
        assert other == item.model_copy(update={"truth": None})  # what is true changes nothing that is said


def test_a_fusion_joins_and_ranks_as_its_file_says(tmp_path: Path):
    weights = {"specialist": 0.5, "heads": 1.5, "letters": 1.0}
    Fusion(weights=weights, temperature=2.0, none=-0.5).save(tmp_path / "f.json")
    stages = ("specialist", "heads", "letters")
    backend = ReadingBackend()
    found = run(tmp_path / "run", backend, stages=stages, candidates=4, fusion=str(tmp_path / "f.json")).recognitions
    for item in found:
        heads, shares = heads_of(item, backend), PREDICTIONS[item.segment_id]
        ranked = {
            pair: 0.5 * np.log(share) + 1.5 * heads[pair]
            for pair, share in zip(shares.actions, shares.scores, strict=True)
        }
        assert list(item.candidates) == sorted(ranked, key=lambda pair: -ranked[pair])[:4]
        joint = sum(weight * np.array(item.scores[stage]) for stage, weight in weights.items()) / 2
        left = [1 - np.exp(item.scores[stage]).sum() for stage in ("specialist", "heads")]
        none = (0.5 * np.log(left[0]) + 1.5 * np.log(left[1]) - 0.5) / 2
        shares_of = np.exp(joint - np.logaddexp.reduce([*joint, none]))
        assert item.probabilities == pytest.approx(shares_of, abs=1e-4)
        assert item.action == item.candidates[int(joint.argmax())]
        assert item.decision_rule == "fitted fusion of specialist, heads, letters"
        verbs: dict[int, float] = {}
        for (verb, _), share in zip(item.candidates, shares_of, strict=True):
            verbs[verb] = verbs.get(verb, 0.0) + share
        assert item.verb_marginal == max(verbs, key=lambda verb: verbs[verb])
        assert item.verb_confidence == pytest.approx(max(verbs.values()), abs=1e-4)


def test_the_content_of_a_fusion_is_part_of_what_a_run_is(tmp_path: Path):
    stages = ("heads", "letters")
    for name, weight in (("one", 1.0), ("same", 1.0), ("other", 2.0)):
        Fusion(weights={"heads": weight, "letters": 1.0}).save(tmp_path / f"{name}.json")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", ReadingBackend(stop_after=7), stages=stages, fusion=str(tmp_path / "one.json"))
    with pytest.raises(InputError, match=r"fusion.weights.heads was 1.0, now 2.0"):
        run(tmp_path / "run", stages=stages, fusion=str(tmp_path / "other.json"))
    with pytest.raises(InputError, match="started with other settings"):
        run(tmp_path / "run", stages=stages)
    rest = run(tmp_path / "run", stages=stages, fusion=str(tmp_path / "same.json"))
    assert rest.asked_now == 24 - 6  # two batches of three were on disk; where the file lies does not count
    whole = run(tmp_path / "whole", stages=stages, fusion=str(tmp_path / "one.json"))
    assert rest.recognitions == whole.recognitions
    assert read_json(tmp_path / "run" / "metrics.json") == read_json(tmp_path / "whole" / "metrics.json")


def test_narrations_are_those_of_training_and_clashes_give_way_to_labels(tmp_path: Path):
    train = [
        segment(0, "P09_01", (0, 0), "grab a plate"), segment(1, "P09_01", (0, 0), "grab a plate"),
        segment(2, "P09_01", (0, 0), "lift a plate"),
        segment(3, "P09_01", (1, 0), "Grab a Plate"),  # said of another class too
        segment(4, "P09_01", (2, 2), "close drawer"),  # the label of another class
        segment(5, "P09_01", (3, 2), "shut it"),
    ]  # fmt: skip
    own = [segment(0, "P01_01", (0, 0), SECRET), segment(1, "P01_01", (4, 5), SECRET)]
    verbs, nouns = (
        [LabelClass(id=i, key=key) for i, key in enumerate(keys)]
        for keys in (("take", "put", "open", "close", "wash"), ("plate", "cup", "drawer", "knife", "onion", "tap"))
    )
    vocabulary = ActionVocabulary.from_segments(verbs, nouns, {"train": train, "validation": own})
    backend = ReadingBackend(head_sizes=(5, 6, 5))
    settings = config(stages=("heads", "label_set_raw", "letters"), option_text="narration", predictions=None)
    found = recognise(settings, own, {}, vocabulary, backend, FakeLibrary(), tmp_path).recognitions
    called = {
        (0, 0): "grab a plate",
        (1, 0): "put plate",
        (2, 2): "open drawer",
        (3, 2): "shut it",
        (4, 5): "wash tap",  # nobody said it in training
    }
    for item in found:
        assert dict(zip(item.candidates, item.candidate_names, strict=True)) == called
    assert not any(SECRET in query.prompt for query in backend.prompts)
    assert set(backend.texts) == {tuple(called[action] for action in vocabulary.actions)}


def test_of_classes_that_read_alike_the_better_one_is_offered(tmp_path: Path):
    verbs = [LabelClass(id=0, key="take"), LabelClass(id=1, key="Take"), LabelClass(id=2, key="put")]
    train = [segment(i, "P09_01", (i, 0)) for i in range(3)]
    vocabulary = ActionVocabulary.from_segments(verbs, [LabelClass(id=0, key="cup")], {"train": train})
    settings = config(stages=("heads", "letters"), predictions=None, candidates=3)
    backend = ReadingBackend(head_sizes=(3, 1, 3))
    for item in recognise(settings, SEGMENTS[:9], {}, vocabulary, backend, FakeLibrary(), tmp_path).recognitions:
        assert len(item.candidates) == 2 and (2, 0) in item.candidates


def test_what_is_kept_holds_the_choice_and_the_best_ranked(tmp_path: Path):
    whole = run(tmp_path / "a", stages=("heads", "letters"), candidates=20).recognitions
    result = run(tmp_path / "b", stages=("heads", "letters"), candidates=20, kept=1)
    for item, complete in zip(result.recognitions, whole, strict=True):
        assert (item.action, item.confidence) == (complete.action, complete.confidence)
        assert item.candidates == tuple(dict.fromkeys((complete.candidates[0], complete.action)))
    assert result.metrics["ranked_by"] == ["heads"]
    firsts = [item.candidates[0] == item.truth for item in whole]
    assert result.metrics["overall"]["specialist"]["action"]["value"] == pytest.approx(np.mean(firsts), abs=1e-6)


def test_a_clip_whose_scores_are_no_numbers_fails_alone(tmp_path: Path):
    broken = frozenset({SEGMENTS[4].segment_id})
    result = run(tmp_path, ReadingBackend(broken=broken), stages=("heads", "letters"))
    assert {item.segment_id for item in result.recognitions if item.error} == broken
    assert result.recognitions[4].error == "the scores of stage 'letters' are not all numbers"
    assert result.metrics["counts"]["failed"] == 1


def test_actions_that_an_action_head_does_not_know_come_last(tmp_path: Path):
    """A specialist pairs verbs and nouns that no segment has."""
    vocabulary = ActionVocabulary.from_segments(
        VOCABULARY.verbs.values(), VOCABULARY.nouns.values(), {"validation": SEGMENTS}
    )
    known = len(vocabulary.actions)
    assert known < 48
    settings = config(stages=("specialist", "action_head"), ranked_by=("action_head",), candidates=0)
    backend = ReadingBackend(head_sizes=(8, 6, known))
    for item in recognise(settings, SEGMENTS, PREDICTIONS, vocabulary, backend, FakeLibrary(), tmp_path).recognitions:
        assert len(item.candidates) == 48
        assert set(item.candidates[:known]) == set(vocabulary.actions)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stages": ("heads", "letters"), "candidates": 0}, "letters compare 1 to 26 candidates, not all"),
        ({"stages": ("heads", "letters"), "candidates": 27}, "letters compare 1 to 26 candidates, not 27"),
        ({"stages": ("specialist", "heads"), "predictions": None}, "stage 'specialist' needs predictions"),
        ({"stages": ("letters",)}, "no stage ranks the candidates"),
        ({"stages": ("heads", "letters"), "ranked_by": ("letters",)}, "'letters' cannot rank the candidates"),
        ({"stages": ("heads", "letters"), "ranked_by": ("specialist",)}, "'specialist' cannot rank the candidates"),
        ({"stages": ("heads", "heads")}, "stage 'heads' is named twice"),
        ({"stages": ("heads", "lettres")}, "lettres"),
        ({"stages": ("heads", "letters"), "specialist_weight": 1.0}, "specialist_weight joins"),
        ({"stages": ("specialist", "heads"), "specialist_weight": 1.0}, "specialist_weight joins"),
        ({"fusion": "f.json", "specialist_weight": 1.0}, "a fusion has all weights"),
        (
            {"stages": ("heads", "texts"), "prompt": "published", "prior_actions": "own"},
            "the published prompt behind 'texts' tells no prior actions",
        ),
    ],
)
def test_settings_that_do_not_go_together(values: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        config(**values)


def test_what_cannot_be_scored_is_said_before_anything_is_decoded(tmp_path: Path):
    def refused(message: str, backend: Any = None, predictions: Any = None, **values: Any) -> None:
        with pytest.raises(InputError, match=message):
            run(tmp_path / "run", backend, library=Unread(), predictions=predictions, **values)
        assert not (tmp_path / "run").exists()

    no_heads = ReadingBackend(head_sizes=None)
    refused("stage 'heads' needs action heads and this model has none", no_heads, stages=("heads",))
    refused("'action_head' needs action heads", no_heads, stages=("action_head", "letters"))
    refused("heads know 7 verbs and 6 nouns", ReadingBackend(head_sizes=(7, 6, 48)), stages=("heads",))
    refused("action head knows 47 classes and the dataset has 48", ReadingBackend(head_sizes=(8, 6, 47)),
            stages=("action_head",))  # fmt: skip
    refused("'fake' does not read a clip once for several stages", FakeBackend(), stages=("heads",))
    with pytest.raises(LlavactionError, match="'fake' says that it can read and lacks what reading takes"):
        run(
            tmp_path / "run", FakeBackend(capabilities=ReadingBackend.capabilities), library=Unread(), stages=("heads",)
        )
    refused("to decide by label texts, raw", ReadingBackend(decision_rule="label texts, raw"),
            stages=("heads", "letters"))  # fmt: skip
    refused("prompt 'open' does not list the options", stages=("heads", "letters"), prompt="open")
    both = ("specialist", "heads", "letters")
    refused("no prediction for any of the 24 segments", predictions={}, stages=both)
    strange = {
        name: item.model_copy(update={"actions": ((60, 0), *item.actions[1:])}) for name, item in PREDICTIONS.items()
    }
    refused("predicts verb 60", predictions=strange, stages=both)
    counted = tuple(-float(rank) for rank in range(48))
    ranks = {name: item.model_copy(update={"scores": counted}) for name, item in PREDICTIONS.items()}
    refused("rankings without scores, which cannot be weighed", predictions=ranks, stages=both)
    refused("rankings without scores, which cannot be weighed", predictions=ranks, stages=both[:2],
            ranked_by=("specialist",))  # fmt: skip
    assert run(tmp_path / "ranked", predictions=ranks, stages=both, ranked_by=("specialist",)).recognitions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("", "JSON"),
        ('{"weights": {"heads": 1', "JSON"),
        ("[1, 2]", "Fusion"),
        ("{}", "weights"),
        ('{"weights": {}}', "weights"),
        ('{"weights": {"heads": -1}}', "must not be negative"),
        ('{"weights": {"heads": 0}}', "one must be positive"),
        ('{"weights": {"heads": 1e400}}', "must not be negative|JSON|number"),
        ('{"weights": {"heads": NaN}}', "must not be negative|JSON|number"),
        ('{"weights": {"heads": 1}, "temperature": 0}', "temperature"),
        ('{"weights": {"heads": 1}, "temperature": 1e400}', "temperature|JSON|number"),
        ('{"weights": {"heads": 1}, "none": NaN}', "none|JSON|number"),
        ('{"weights": {"heads": 1}, "wieghts": 1}', "unknown key"),
        ('{"weights": {"heads": 1, "texts": 1}}', "weighs 'texts', which is none of the stages heads, letters"),
    ],
)
def test_a_fusion_that_cannot_be_used(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "fusion.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path / "run", library=Unread(), stages=("heads", "letters"), fusion=str(path))
    assert "fusion.json" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_segments_without_prediction_are_counted_where_a_specialist_is_a_stage(tmp_path: Path):
    fewer = {item.segment_id: prediction(item) for item in SEGMENTS[2:]}
    for stages, recognised in ((("specialist", "heads"), 22), (("heads", "letters"), 24)):
        result = run(tmp_path / str(recognised), predictions=fewer, stages=stages)
        counts = result.metrics["counts"]
        assert (counts["recognised"], counts["without_prediction"]) == (recognised, 24 - recognised)
    lines = (tmp_path / "22" / RECOGNITIONS).read_text().splitlines()
    assert len(lines) == 22
