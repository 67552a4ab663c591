"""Prior actions: what a prompt tells of the two actions before, in an order in which it is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.evaluation_fakes import FakeBackend, FakeLibrary
from helpers.reading_fakes import PREDICTIONS, SECRET, SEGMENTS, VOCABULARY, ReadingBackend, config, prediction, segment
from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.recognition.prior import turns_of_videos
from llavaction.recognition.recogniser import SegmentItem
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.recognition.runner import RecognitionResult, recognise

STAGES = ("specialist", "heads", "letters")
MIXED = [SEGMENTS[place * 7 % 24] for place in range(24)]
"""The same in an order that is not that of time."""


def run(
    folder: Path,
    backend: Any = None,
    segments: Sequence[Segment] = MIXED,
    library: FakeLibrary | None = None,
    retry_failed: bool = False,
    **values: Any,
) -> RecognitionResult:
    settings = config(**{"stages": STAGES, "prior_actions": "own", **values})
    predictions = {item.segment_id: PREDICTIONS.get(item.segment_id) or prediction(item) for item in segments}
    return recognise(
        settings, segments, predictions, VOCABULARY, backend or ReadingBackend(), library or FakeLibrary(), folder,
        retry_failed=retry_failed,
    )  # fmt: skip


def by_id(result: RecognitionResult) -> dict[str, Recognition]:
    return {item.segment_id: item for item in result.recognitions}


def test_own_recognitions_are_told_in_the_order_of_the_video(tmp_path: Path):
    backend = ReadingBackend()
    result = run(tmp_path, backend)
    found = by_id(result)
    assert [item.segment_id for item in result.recognitions] == [item.segment_id for item in MIXED]
    prompts = {query.query_id: query.prompt for query in backend.prompts}
    wrong = 0
    for item in SEGMENTS:
        video, _, number = item.segment_id.rpartition("_")
        before = [found[f"{video}_{int(number) - back}"] for back in (2, 1)] if int(number) >= 2 else []
        assert found[item.segment_id].prior == tuple(one.name for one in before)
        story = [
            f"{seconds} seconds before this clip, this began: {one.name}."
            for seconds, one in zip((4.0, 2.0), before, strict=False)
        ]
        assert prompts[item.segment_id].split("\n")[: len(story)] == story
        assert ("before this clip" in prompts[item.segment_id]) is bool(before)
        wrong += sum(one.action != one.truth for one in before)
    assert wrong > 5  # what is told is what was recognised, not what is true
    assert not any(SECRET in prompt for prompt in prompts.values())


def test_what_is_told_matters_and_nothing_is_told_by_default(tmp_path: Path):
    told, untold = run(tmp_path / "a"), run(tmp_path / "b", prior_actions=None)
    assert all(item.prior == () for item in untold.recognitions)
    pairs = list(zip(told.recognitions, untold.recognitions, strict=True))
    assert all((one.scores["letters"] == other.scores["letters"]) is (one.prior == ()) for one, other in pairs)


def test_the_order_is_that_of_time_whatever_ids_and_rows_say(tmp_path: Path):
    backwards = [segment(9 - place, "P07_01", (place, 0), start=2.0 * place) for place in range(6)]
    found = run(tmp_path, segments=backwards[::-1]).recognitions[::-1]
    for place in range(2, 6):
        assert found[place].prior == (found[place - 2].name, found[place - 1].name)


def test_videos_go_on_side_by_side():
    items = [SegmentItem(item) for item in MIXED]
    batches = turns_of_videos(items, 3)
    assert sorted(item.query_id for batch in batches for item in batch) == sorted(item.query_id for item in items)
    assert [len(batch) for batch in batches] == [3] * 6 + [1] * 6
    seen: dict[str, float] = {}
    for batch in batches:
        assert len({item.clip.video_id for item in batch}) == len(batch)
        for item in batch:
            assert seen.get(item.clip.video_id, -1.0) < item.clip.start
            seen[item.clip.video_id] = item.clip.start
    assert turns_of_videos([], 3) == []
    assert [len(batch) for batch in turns_of_videos(items, 1)] == [1] * 24


def test_the_result_does_not_depend_on_how_many_videos_go_side_by_side(tmp_path: Path):
    files = []
    for size in (1, 2, 4):
        run(tmp_path / str(size), batch_size=size)
        files.append((tmp_path / str(size) / RECOGNITIONS).read_bytes())
    run(tmp_path / "turned", segments=MIXED[::-1], batch_size=2)
    lines = (tmp_path / "turned" / RECOGNITIONS).read_bytes().splitlines(keepends=True)
    assert files[0] == files[1] == files[2] == b"".join(lines[::-1])


@pytest.mark.parametrize("after", [1, 5, 8, 14, 23])
def test_interrupted_in_the_middle_the_rest_gives_the_same_bytes(tmp_path: Path, after: int):
    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", ReadingBackend(stop_after=after))
    path = tmp_path / "cut" / RECOGNITIONS
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * 0.8)])  # killed in the middle of a line
    run(tmp_path / "cut")
    for name in (RECOGNITIONS, "metrics.json", "config.yaml"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_failed_predecessor_tells_nothing(tmp_path: Path):
    bad = SEGMENTS[2].segment_id
    found = by_id(run(tmp_path, library=FakeLibrary(bad=frozenset({bad}))))
    assert found[bad].error is not None
    told = [len(found[item.segment_id].prior) for item in SEGMENTS[:6]]
    assert told == [0, 0, 0, 0, 0, 2]  # both that follow at once are told nothing


def test_once_it_is_mended_all_that_followed_is_asked_again(tmp_path: Path):
    run(tmp_path / "whole")
    bad = frozenset({SEGMENTS[2].segment_id, SEGMENTS[13].segment_id})
    run(tmp_path / "mended", library=FakeLibrary(bad=bad))
    backend = ReadingBackend()
    again = run(tmp_path / "mended", backend, retry_failed=True)
    assert again.asked_now == 15  # five batches of three; the first came before, and the fourth video stood apart
    assert (tmp_path / "mended" / RECOGNITIONS).read_bytes() == (tmp_path / "whole" / RECOGNITIONS).read_bytes()
    assert run(tmp_path / "mended", retry_failed=True).asked_now == 0


def test_of_a_drawn_part_only_what_was_recognised_is_told(tmp_path: Path):
    found = by_id(run(tmp_path, limit=16))
    assert len(found) == 16
    for name, item in found.items():
        video, _, number = name.rpartition("_")
        before = [f"{video}_{int(number) - back}" for back in (2, 1)]
        assert (len(item.prior) == 2) is all(one in found for one in before)


def test_true_tells_the_annotation(tmp_path: Path):
    backend = ReadingBackend()
    found = by_id(run(tmp_path, backend, prior_actions="true"))
    for item in SEGMENTS:
        video, _, number = item.segment_id.rpartition("_")
        before = [one for one in SEGMENTS if one.video_id == video and 0 < item.start - one.start <= 4]
        assert found[item.segment_id].prior == (tuple(map(VOCABULARY.action_name, (one.action for one in before)))
                                               if int(number) >= 2 else ())  # fmt: skip
    hidden = [item.model_copy(update={"verb_class": -1, "noun_class": -1}) for item in SEGMENTS]
    settings = config(stages=("heads", "letters"), prior_actions="true", predictions=None)
    untold = recognise(settings, hidden, {}, VOCABULARY, ReadingBackend(), FakeLibrary(), tmp_path / "hidden")
    assert all(item.prior == () for item in untold.recognitions)


def test_overlaps_and_long_pauses(tmp_path: Path):
    video = "P07_01"
    times = {0: 0.0, 1: 2.0, 2: 10.0, 3: 12.0, 4: 14.0, 5: 14.2}  # a pause before 2; 4 and 5 overlap
    segments = [segment(number, video, (number, number), start=start) for number, start in times.items()]
    found = run(tmp_path, segments=segments).recognitions
    assert [len(item.prior) for item in found] == [0, 0, 0, 0, 2, 2]
    assert found[5].prior == (found[3].name, found[4].name)


@pytest.mark.parametrize("stages", [("specialist", "letters"), STAGES])
def test_the_published_prompt_takes_them_too(tmp_path: Path, stages: tuple[str, ...]):
    asked: list[tuple[str, str]] = []

    class Notes(FakeBackend):
        def score_options(self, queries: Any) -> Any:
            asked.extend((query.query_id, query.prompt) for query in queries)
            return super().score_options(queries)

    backend = Notes(needs_frames=2) if stages[1] == "letters" else ReadingBackend()
    found = by_id(run(tmp_path, backend, stages=stages, prompt="published"))
    if isinstance(backend, ReadingBackend):
        asked = [(query.query_id, query.prompt) for query in backend.prompts]
    assert len(asked) == 24
    for name, prompt in asked:
        item = found[name]
        if item.prior:
            first, second = item.prior
            assert (
                f"\n4.0 seconds ago, you started an action {first}. 2.0 seconds ago, you started an action {second}. "
                "What action are you currently performing?"
            ) in prompt
        assert ("seconds ago" in prompt) is bool(item.prior)


def test_texts_are_asked_with_them(tmp_path: Path):
    backend = ReadingBackend()
    found = by_id(run(tmp_path, backend, stages=("heads", "texts"), predictions=None))
    told = {query.query_id for query in backend.prompts if "before this clip" in query.prompt}
    assert told == {name for name, item in found.items() if item.prior} and len(told) == 16


def test_another_kind_is_another_run(tmp_path: Path):
    run(tmp_path)
    with pytest.raises(InputError, match="prior_actions was 'own', now 'true'"):
        run(tmp_path, prior_actions="true")
