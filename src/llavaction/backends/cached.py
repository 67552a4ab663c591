"""A backend whose answers are kept: what was asked before of the same model is not asked again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llavaction.backends.answer_cache import AnswerCache, default_file
from llavaction.backends.asking import answered
from llavaction.backends.base import Backend, Capability, OptionScores, Query
from llavaction.runs.environment import count_cached
from llavaction.video.decoded import DecodedClip

KEYED_BY = "llavaction answers 1"
"""Stands in every key; another number where keys are made of other things, or answers are written otherwise."""

T = TypeVar("T")


class CachedBackend:
    """Asks a backend for what the cache lacks; otherwise it is that backend.

    What is looked up is all that decides an answer: the backend's fingerprint, whether it scores or writes, and of each
    query the prompt, the options in their order, the frames' bytes, their times and the clip's duration. Queries of a
    call that are one question (options in several orders) are looked up together, as they are read together. Of a
    backend that says ``joint`` (what is asked in one call moves its answers), the whole call is looked up as one. An
    answer from the cache is therefore the one that the backend would give, to the last bit, where the backend itself
    answers equal calls equally.

    Args:
        backend: who is asked; it has a ``fingerprint``.
        cache: where answers are kept.

    Attributes:
        hits: questions answered from the cache so far.
    """

    name: str
    needs_frames: int
    decision_rule: str
    capabilities: frozenset[Capability]

    def __init__(self, backend: Backend, cache: AnswerCache) -> None:
        self._backend, self._cache = backend, cache
        self.name, self.needs_frames = backend.name, backend.needs_frames
        self.decision_rule, self.capabilities = backend.decision_rule, backend.capabilities
        self.hits = 0

    def __getattr__(self, name: str) -> Any:
        """Whatever else the backend has: its settings, its checks, what it keeps in a run's folder."""
        return getattr(self.__dict__["_backend"], name)

    def without_clips(self) -> CachedBackend:
        """The same, blind, over the same cache, see :func:`llavaction.backends.blind.blind`."""
        from llavaction.backends.blind import blind

        return CachedBackend(blind(self._backend), self._cache)

    @contextmanager
    def in_folder(self, folder: Path) -> Iterator[None]:
        """Count in the run's ``environment.json`` how many answers came from the cache."""
        before = self.hits
        with ExitStack() as held:
            if hasattr(self._backend, "in_folder"):
                held.enter_context(self._backend.in_folder(folder))
            try:
                yield
            finally:
                count_cached(folder, self.hits - before)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """See :class:`llavaction.backends.base.Backend`."""
        return self._through("score", queries, self._backend.score_options, _scores_text, _scores_of)

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """See :class:`llavaction.backends.base.Backend`."""
        return self._through("generate", queries, self._backend.generate, _texts_text, _texts_of)

    def _through(
        self,
        method: str,
        queries: Sequence[Query],
        ask: Callable[[Sequence[Query]], list[T]],
        write: Callable[[Sequence[Query], Sequence[T]], bytes | None],
        read: Callable[[Sequence[Query], bytes], list[T] | None],
    ) -> list[T]:
        """The answers to the queries; only units that the cache lacks are asked, in their order and in one call."""
        units = self._units(queries)
        keys = self._keys(method, [[queries[index] for index in unit] for unit in units])
        known = self._cache.get(keys)
        answers: dict[int, T] = {}
        lacking = []
        for unit, key in zip(units, keys, strict=True):
            found = read([queries[index] for index in unit], known[key]) if key in known else None
            if found is None:
                lacking.append((unit, key))
            else:
                answers |= dict(zip(unit, found, strict=True))
                self.hits += len({queries[index].query_id for index in unit})
        open_indices = sorted(index for unit, _ in lacking for index in unit)
        fresh = answered(self._backend, [queries[index] for index in open_indices], ask)
        answers |= dict(zip(open_indices, fresh, strict=True))
        written = {key: write([queries[i] for i in unit], [answers[i] for i in unit]) for unit, key in lacking}
        self._cache.put({key: answer for key, answer in written.items() if answer is not None})
        return [answers[index] for index in range(len(queries))]

    def _units(self, queries: Sequence[Query]) -> list[list[int]]:
        """What is looked up together, as indices."""
        if getattr(self._backend, "joint", False):
            return [list(range(len(queries)))] if queries else []
        units: dict[str, list[int]] = {}
        for index, query in enumerate(queries):
            units.setdefault(query.query_id, []).append(index)
        return list(units.values())

    def _keys(self, method: str, units: Sequence[Sequence[Query]]) -> list[bytes]:
        looks = bool(self.needs_frames)
        asked = (KEYED_BY, self._backend.fingerprint, method, self.decision_rule)  # type: ignore[attr-defined]
        digests: dict[int, str] = {}  # by clip: the orders of a question share theirs
        keys = []
        for unit in units:
            parts: list[Any] = list(asked)
            numbers: dict[str, int] = {}  # ids say what belongs together, and nothing else
            for query in unit:
                clip = query.clip if looks else None
                if clip is not None and id(clip) not in digests:
                    digests[id(clip)] = clip_digest(clip)
                seen = None if clip is None else digests[id(clip)]
                question = numbers.setdefault(query.query_id, len(numbers))
                parts.append([question, query.prompt, list(query.options), seen])
            keys.append(hashlib.sha256(json.dumps(parts).encode()).digest())
        return keys


def cached(backend: Backend, where: bool | str | Path = True) -> Backend:
    """A backend whose answers are kept, if it says what it is known by (``fingerprint``); else the backend itself.

    Baselines say nothing of the kind: they cost less than looking their answers up.

    Args:
        backend: who is asked.
        where: the file; True for the user's own, see :func:`llavaction.backends.answer_cache.default_file`; False
            keeps nothing.
    """
    if where is False or getattr(backend, "fingerprint", None) is None:
        return backend
    cache = AnswerCache(default_file() if where is True else where)
    return CachedBackend(backend, cache) if cache.usable else backend


def clip_digest(clip: DecodedClip) -> str:
    """SHA-256 of what is seen: the frames' bytes, type and shape, their times, the duration."""
    times = np.ascontiguousarray(clip.times, dtype=np.float64)
    digest = hashlib.sha256(f"{clip.frames.dtype} {clip.frames.shape} {len(times)} {clip.duration!r}\n".encode())
    digest.update(times.data)
    digest.update(np.ascontiguousarray(clip.frames).data)
    return digest.hexdigest()


def _scores_text(queries: Sequence[Query], scores: Sequence[OptionScores]) -> bytes | None:
    """Scores as JSON, whose numbers are read back to the bit; None for what is not to be kept: scores that are no
    scores of these options, which the caller is told.
    """
    rows = []
    for query, found in zip(queries, scores, strict=True):
        values, mass = np.asarray(found.log_probabilities), found.letter_mass
        wrong = values.shape != (len(query.options),) or np.isnan(values).any() or np.isposinf(values).any()
        if wrong or found.caption is not None:
            return None
        rows.append({"scores": [float(value) for value in values], "mass": None if mass is None else float(mass)})
    return json.dumps(rows).encode()


def _scores_of(queries: Sequence[Query], text: bytes) -> list[OptionScores] | None:
    """What :func:`_scores_text` wrote; None where it is something else."""
    rows = _rows(text, len(queries))
    if rows is None or not all(isinstance(row, Mapping) and row.keys() == {"scores", "mass"} for row in rows):
        return None
    if [len(row["scores"]) for row in rows] != [len(query.options) for query in queries]:
        return None
    return [OptionScores(np.array(row["scores"], dtype=np.float64), row["mass"]) for row in rows]


def _texts_text(queries: Sequence[Query], texts: Sequence[str]) -> bytes | None:
    return json.dumps(list(texts)).encode()


def _texts_of(queries: Sequence[Query], text: bytes) -> list[str] | None:
    rows = _rows(text, len(queries))
    return rows if rows is not None and all(isinstance(row, str) for row in rows) else None


def _rows(text: bytes, count: int) -> list[Any] | None:
    try:
        rows = json.loads(text)
    except ValueError:
        return None
    return rows if isinstance(rows, list) and len(rows) == count else None
