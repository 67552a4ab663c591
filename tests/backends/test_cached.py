from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.asking import in_orders, make_frames, make_query, scores_of
from llavaction.backends.answer_cache import AnswerCache
from llavaction.backends.base import CAPABILITIES, Backend, Capability, OptionScores, Query, QuestionError
from llavaction.backends.baselines import ChanceBackend
from llavaction.backends.cached import CachedBackend, cached, clip_digest
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.base.errors import LlavactionError
from llavaction.base.seeding import hashed_rng
from llavaction.video.decoded import DecodedClip


@dataclass
class Careful:
    """Scores hang on what is asked in one call, as a model's may."""

    fingerprint: str | None = "weights 1"
    joint: bool = False
    name: str = "careful"
    needs_frames: int = 4
    decision_rule: str = "option letters"
    capabilities: frozenset[Capability] = CAPABILITIES
    refuse: str = ""
    calls: list[list[str]] = field(default_factory=list)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        self.calls.append([query.query_id for query in queries])
        if bad := [query.query_id for query in queries if query.query_id == self.refuse]:
            raise QuestionError("does not fit", question_id=bad[0])
        found = []
        for query in queries:
            together = [other.prompt for other in queries if self.joint or other.query_id == query.query_id]
            seen = "" if query.clip is None else clip_digest(query.clip)
            rng = hashed_rng(query.prompt, *together, seen)
            found.append(OptionScores(rng.normal(size=len(query.options)), float(rng.random())))
        return found

    def generate(self, queries: Sequence[Query]) -> list[str]:
        self.calls.append([query.query_id for query in queries])
        return [f"({query.options[0]}) \u00e9\n" for query in queries]


@pytest.fixture
def queries() -> list[Query]:
    return [make_query(number, 4, make_frames(number, 3)) for number in range(5)]


def test_what_was_asked_before_is_not_asked_again_and_is_the_same_to_the_last_bit(
    tmp_path: Path, queries: list[Query]
) -> None:
    backend, file = Careful(), tmp_path / "a.sqlite"
    first = CachedBackend(backend, AnswerCache(file)).score_options(queries[:3])
    again = CachedBackend(backend, AnswerCache(file))
    mixed = again.score_options(queries)
    assert backend.calls == [["q0", "q1", "q2"], ["q3", "q4"]]
    assert again.hits == 3
    for one, other in zip(first + Careful().score_options(queries[3:]), mixed, strict=True):
        assert one.log_probabilities.tobytes() == other.log_probabilities.tobytes()
        assert one.letter_mass == other.letter_mass
    texts = again.generate(queries[:2])
    assert texts == again.generate(queries[:2]) == Careful().generate(queries[:2])
    assert len(backend.calls) == 3


def changed(query: Query, **clip: object) -> Query:
    assert query.clip is not None
    return replace(query, clip=replace(query.clip, **clip))


def one_pixel(query: Query) -> Query:
    assert query.clip is not None
    frames = query.clip.frames.copy()
    frames[-1, -1, -1, -1] ^= 1
    return changed(query, frames=frames)


CHANGES: dict[str, Callable[[Query], Query]] = {
    "prompt": lambda query: replace(query, prompt=query.prompt + " "),
    "option": lambda query: replace(query, options=(*query.options[:-1], "wash horse")),
    "order": lambda query: replace(query, options=query.options[1:] + query.options[:1]),
    "pixel": one_pixel,
    "frames reversed": lambda query: changed(query, frames=query.clip.frames[::-1]),  # type: ignore[union-attr]
    "times": lambda query: changed(query, times=query.clip.times + 1e-9),  # type: ignore[union-attr]
    "duration": lambda query: changed(query, duration=3.0),
    "shape": lambda query: changed(query, frames=query.clip.frames.reshape(3, 160, 90, 3)),  # type: ignore[union-attr]
    "no clip": lambda query: replace(query, clip=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_an_answer_is_looked_up(tmp_path: Path, queries: list[Query], change: str) -> None:
    backend = CachedBackend(Careful(), AnswerCache(tmp_path / "a.sqlite"))
    backend.score_options(queries[:1])
    backend.score_options([CHANGES[change](queries[0])])
    assert backend.hits == 0
    backend.score_options([replace(queries[0], query_id="called otherwise")])
    assert backend.hits == 1  # what it is filed under decides nothing


def test_other_weights_another_rule_and_the_other_method_are_looked_up(tmp_path: Path, queries: list[Query]) -> None:
    cache = AnswerCache(tmp_path / "a.sqlite")
    CachedBackend(Careful(), cache).score_options(queries)
    others = [Careful(fingerprint="weights 2"), Careful(decision_rule="label texts")]
    for other in others:
        assert CachedBackend(other, cache).score_options(queries) and other.calls
    backend = CachedBackend(Careful(), cache)
    assert backend.generate(queries)[0].startswith("(")
    assert backend.hits == 0


def test_a_backend_that_does_not_look_does_not_care_for_the_clip(tmp_path: Path, queries: list[Query]) -> None:
    backend = CachedBackend(Careful(needs_frames=0), AnswerCache(tmp_path / "a.sqlite"))
    backend.score_options(queries[:1])
    backend.score_options([replace(queries[0], clip=None)])
    assert backend.hits == 1


def test_orders_of_a_question_are_looked_up_together(tmp_path: Path, queries: list[Query]) -> None:
    backend = CachedBackend(Careful(), AnswerCache(tmp_path / "a.sqlite"))
    orders = in_orders(queries[0], 3)
    together = scores_of(backend, [*orders, queries[1]])
    assert (together, backend.hits) != (scores_of(backend, orders[:1]), 1)  # alone it is another question
    assert backend.hits == 0
    again = scores_of(backend, [queries[1], *orders])
    assert backend.hits == 2
    np.testing.assert_array_equal(again[1:], together[:3])


def test_of_a_joint_backend_whole_calls_are_looked_up(tmp_path: Path, queries: list[Query]) -> None:
    backend = CachedBackend(Careful(joint=True), AnswerCache(tmp_path / "a.sqlite"))
    first = scores_of(backend, queries[:3])
    scores_of(backend, queries[1:3])
    assert backend.hits == 0
    np.testing.assert_array_equal(scores_of(backend, queries[:3]), first)
    assert backend.hits == 3


def test_a_refused_question_and_wrong_scores_are_not_kept(tmp_path: Path, queries: list[Query]) -> None:
    cache = AnswerCache(tmp_path / "a.sqlite")
    with pytest.raises(QuestionError, match="does not fit"):
        CachedBackend(Careful(refuse="q1"), cache).score_options(queries)
    assert len(cache) == 0

    class Wrong(Careful):
        def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
            rows = ([0.0, np.nan, 0.0, 0.0], [0.0, 0.0], [0.0, np.inf, 0.0, 0.0], [-np.inf, -1.5, -0.0, 1e-320])
            return [OptionScores(np.array(row)) for row in rows[: len(queries)]]

    wrong = CachedBackend(Wrong(), cache)
    told = wrong.score_options(queries[:4])
    assert (np.isnan(told[0].log_probabilities[1]), len(cache)) == (True, 1)  # the caller sees them, and only them
    kept = wrong.score_options(queries[3:4])[0]
    assert (kept.log_probabilities.tobytes(), kept.letter_mass) == (told[3].log_probabilities.tobytes(), None)

    class Silent(Careful):
        def generate(self, queries: Sequence[Query]) -> list[str]:
            return []

    with pytest.raises(LlavactionError, match="gave 0 answers to 2 questions"):
        CachedBackend(Silent(), cache).generate(queries[:2])


@pytest.mark.parametrize("text", [b"[]", b"{", b'[{"scores": [1.0], "mass": null}]', b'["A"]', b"\xff"])
def test_what_is_no_answer_to_this_question_is_asked_again(tmp_path: Path, queries: list[Query], text: bytes) -> None:
    cache = AnswerCache(tmp_path / "a.sqlite")
    backend = CachedBackend(Careful(), cache)
    first = scores_of(backend, queries[:1])
    key = backend._keys("score", [queries[:1]])[0]
    cache.put({key: text})
    np.testing.assert_array_equal(scores_of(backend, queries[:1]), first)
    assert backend.hits == 0


def test_only_a_backend_that_says_what_it_is_known_by_is_cached(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    chance, nameless = ChanceBackend(), Careful(fingerprint=None)
    assert cached(chance, file) is chance
    assert cached(nameless, file) is nameless
    assert not file.exists()
    known: Backend = Careful()
    assert cached(known, False) is known
    assert isinstance(cached(known, file), CachedBackend)
    file.write_text("no database" * 500)
    assert cached(known, file) is known


def test_a_checkpoint_answers_from_the_cache_to_the_last_bit(
    tmp_path: Path, make: Callable[..., HuggingFaceBackend], mixed: list[Query]
) -> None:
    model = make()
    fresh = model.score_options(mixed)
    backend = CachedBackend(model, AnswerCache(tmp_path / "a.sqlite"))
    backend.score_options(mixed[:2])
    found = backend.score_options(mixed[::-1])[::-1]
    assert backend.hits == 2
    for one, other in zip(fresh, found, strict=True):
        assert one.log_probabilities.tobytes() == other.log_probabilities.tobytes()
        assert one.letter_mass == other.letter_mass
    orders = in_orders(mixed[0], 3)
    together = scores_of(model, orders)
    backend.score_options(orders)
    np.testing.assert_array_equal(scores_of(backend, orders), together)


def test_what_a_checkpoint_is_known_by(make: Callable[..., HuggingFaceBackend]) -> None:
    model = make()
    others = [
        make(dtype="bfloat16"), make(rule="texts"), make(frames=3), make(max_new_tokens=3), make("qwen2_5_vl"),
        model.without_clips(),
    ]  # fmt: skip
    prints = {one.fingerprint for one in (model, *others)}
    assert len(prints) == 7
    assert HuggingFaceBackend(model.config).fingerprint == model.fingerprint
    assert (make(shared_passes=True).joint, model.joint) == (True, False)


def test_a_blind_checkpoint_is_the_one_made_without_frames(
    make: Callable[..., HuggingFaceBackend], mixed: list[Query], tmp_path: Path
) -> None:
    blind, made = make().without_clips(), make(frames=0)
    np.testing.assert_array_equal(scores_of(blind, mixed)[0], scores_of(made, mixed)[0])
    assert (blind.fingerprint, blind.settings, blind.model) == (made.fingerprint, made.settings, make().model)
    kept = CachedBackend(make(), AnswerCache(tmp_path / "a.sqlite")).without_clips()
    kept.score_options(mixed)
    kept.score_options([replace(query, clip=None) for query in mixed])
    assert (kept.hits, make().needs_frames) == (4, 4)


def test_looking_up_a_clip_is_cheap() -> None:
    clip = DecodedClip.evenly(np.zeros((16, 540, 960, 3), np.uint8), 2.0)  # 25 MB
    begun = time.process_time()
    clip_digest(clip)
    assert time.process_time() - begun < 0.5  # a forward pass on such a clip takes seconds of a CPU
