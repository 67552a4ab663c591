from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.specialists.classifier import Specialist
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.folds import FoldPlan, predict_folds
from llavaction.specialists.scores import score_segments
from llavaction.specialists.workflows import Source


def table(sizes: list[int]) -> list[Segment]:
    return [
        Segment(segment_id=f"v{video}_{i}", video_id=f"v{video}", start=i, stop=i + 1, narration="", verb_class=0,
                noun_class=0)
        for video, size in enumerate(sizes)
        for i in range(size)
    ]  # fmt: skip


def test_folds_hold_whole_videos_and_are_of_like_size():
    segments = table([9, 1, 4, 4, 7, 3, 3, 8, 2, 5, 6, 8])
    plan = FoldPlan.draw(segments, 4)
    held = Counter(plan.of_video[segment.video_id] for segment in segments)
    assert sum(held.values()) == 60
    assert max(held.values()) - min(held.values()) <= 2
    seen: list[int] = []
    for fold in range(4):
        train, held_out = plan.places(segments, fold)
        assert sorted(train + held_out) == list(range(len(segments)))
        assert not {segments[i].video_id for i in train} & {segments[i].video_id for i in held_out}
        seen += held_out
    assert sorted(seen) == list(range(len(segments)))
    assert FoldPlan.draw(segments[::-1], 4) == plan
    assert FoldPlan.draw(segments, 4, seed=1) != plan
    for count in (1, 13):
        with pytest.raises(InputError, match=f"{count} folds of 12 videos"):
            FoldPlan.draw(segments, count)


def test_each_segment_is_predicted_by_the_specialist_that_did_not_see_it(
    toy: Source, brief: SpecialistConfig, tmp_path: Path
):
    config = brief.model_copy(update={"epochs": 1})
    cache, labels = toy.cache(config), toy.labels
    plan = FoldPlan.draw(toy.segments, 2)
    lines: list[str] = []
    scores, predictions = predict_folds(cache, labels, plan, tmp_path, top_k=4, log=lines.append)
    assert [p.segment_id for p in predictions] == [s.segment_id for s in toy.segments]
    assert [p.fold for p in predictions] == [plan.of_video[s.video_id] for s in toy.segments]
    assert all(len(p.actions) == 4 for p in predictions)
    assert sorted(scores.segment_ids) == sorted(s.segment_id for s in toy.segments)
    by_id = {p.segment_id: p for p in predictions}
    for fold in range(2):
        specialist = Specialist.load(tmp_path / f"fold-{fold}")
        assert specialist.facts["segments"] == 24
        _, held_out = plan.places(toy.segments, fold)
        for ranking in score_segments(specialist, cache, held_out).rankings(labels.actions, 4, fold):
            assert by_id[ranking.segment_id] == ranking
    before = len([line for line in lines if line.startswith("epoch")])
    again = predict_folds(cache, labels, plan, tmp_path, top_k=4, log=lines.append)[1]
    assert again == predictions
    assert len([line for line in lines if line.startswith("epoch")]) == before == 2
