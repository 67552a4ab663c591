"""Option sets any member of which could as well be the answer.

Within a group of questions, usually those on one video, a set S of K classes has the weight
``prod_c w(c) * exp(sum over pairs of similarity)``. If each class is the answer of a K-th of the questions whose set
holds it, the set alone says nothing about which member is the answer, however alike the members are. So the distractors
are drawn from that law given the answer, with w fitted until every class is expected K-1 times as often as distractor
as it is the answer. Balancing within videos, not over the whole split, matters: classes come in clusters (somebody
washes up for ten minutes), and an attacker who has seen the other videos' answers would otherwise know which classes
are still "owed". docs/exchangeable.md derives and measures this.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, published_order
from llavaction.base.records import Strict

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFLICT = -1e4
"""Log-similarity of two classes that may not stand side by side; its exponential is zero."""
BLOCK = 32
"""Classes whose masses are summed up before one of them is sought."""
_ONES = np.ones(BLOCK)
CHUNK = 1 << 17
"""Cells (questions times classes) that are worked on at a time."""


class ExchangeableConfig(Strict):
    """How alike the members of a set are, and how long the sampler runs.

    Similarities are for sets of five. For K options they are multiplied by 4 / (K - 1), so that a full set pulls a like
    candidate as strongly whatever its size; with many options unscaled ones make sets collapse into a few clusters that
    cannot be balanced.
    """

    verb_similarity: float = Field(
        1.5, ge=0, description="Log-weight of two members that share the verb; of labels, the first word."
    )
    noun_similarity: float = Field(
        3.0, ge=0, description="Log-weight of two members that share the noun; of labels, a later word."
    )
    fit_sweeps: int = Field(60, ge=2, description="Gibbs sweeps over a group while its weights are fitted.")
    draw_sweeps: int = Field(
        20, ge=1, description="Gibbs sweeps of each question's own chain, in which the weights are fixed."
    )
    slack: float = Field(
        0.8, gt=0, le=1, description="Share of the limit of N/K that a class may use up in a group of N questions."
    )


def balance_groups(segments: Sequence[Segment], options: int, slack: float) -> list[list[Segment]]:
    """Split segments into the smallest groups within which classes can be balanced.

    A class that answers n of N questions has to be a distractor in (K-1)·n of the others, which takes n <= N/K. Videos
    where this holds (with ``slack`` to spare, and with at least 3K classes) stand alone; the others are joined with
    others of the same participant, and what is left with others of the split, until it holds. Where nothing helps (one
    class dominates), what is left is a group of its own and the others stay as they are.
    """
    by_video: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for segment in sorted(segments, key=lambda s: (s.participant_id, s.video_id, s.start, s.segment_id)):
        by_video[segment.participant_id, segment.video_id].append(segment)

    def balanced(group: Sequence[Segment]) -> bool:
        counts = Counter(segment.action for segment in group)
        return len(counts) >= 3 * options and max(counts.values()) * options <= slack * len(group)

    def join(parts: list[list[Segment]]) -> tuple[list[list[Segment]], list[Segment]]:
        complete: list[list[Segment]] = []
        open_group: list[Segment] = []
        for part in parts:
            open_group = open_group + part
            if balanced(open_group):
                complete.append(open_group)
                open_group = []
        return complete, open_group

    groups = []
    small: dict[str, list[list[Segment]]] = defaultdict(list)
    for (participant, _), part in by_video.items():
        if balanced(part):
            groups.append(part)
        else:
            small[participant].append(part)
    left = []
    for parts in small.values():
        complete, remainder = join(parts)
        groups += complete
        left += [remainder] if remainder else []
    complete, remainder = join(left)
    groups += complete
    for count in range(len(groups) + 1 if remainder else 0):
        joined = [segment for group in groups[len(groups) - count :] for segment in group] + remainder
        if balanced(joined):
            return [*groups[: len(groups) - count], joined]
    return groups + ([remainder] if remainder else [])


@dataclass(frozen=True)
class Fit:
    """A group's classes with their fitted weights.

    Attributes:
        classes: the action classes that answer some question of the group.
        log_weights: log w per class, rounded so that it is the same on every machine.
        log_similarity: [classes, classes], CONFLICT where two may not stand side by side.
        imbalance: mean over questions of |log(wanted / expected distractor count)| of the answer's class, averaged over
            the second half of the fit; what is left cannot be balanced (a class may be ruled out beside most others).
    """

    classes: tuple[Action, ...]
    log_weights: Floats
    log_similarity: Floats
    imbalance: float


class GroupSampler:
    """Gibbs sampling of the distractors of a group's questions, all at once.

    Within a sweep questions do not know of each other, so they are gone through in chunks that stay in the processor's
    cache. The weight of a class for a slot is a product over the other slots' members: over those before it, which are
    new already, times over those after it, which are not yet; neither needs an exponential or a division.

    Args:
        log_similarity: [classes, classes].
        answers: class of each question's answer, [questions].
        allowed: False where the filter rules a class out for a question, [questions, classes].
        distractors: how many each question gets.
    """

    def __init__(self, log_similarity: Floats, answers: Ints, allowed: NDArray[np.bool_], distractors: int) -> None:
        self.members = np.full((len(answers), distractors), -1, dtype=np.int64)
        classes = len(log_similarity)
        self._classes, self._width = classes, -(-classes // BLOCK) * BLOCK
        # one row more than there are classes, of ones: an empty slot; columns beyond the classes are never drawn
        self._factors = np.ones((classes + 1, self._width))
        self._factors[:classes, :classes] = np.exp(log_similarity)
        self._base = np.zeros((len(answers), self._width))
        self._base[:, :classes] = np.where(allowed, self._factors[answers, :classes], 0.0)
        rows = max(1, min(len(answers), CHUNK // self._width))
        self._behind = np.empty((distractors, rows, self._width))
        self._mass, self._ahead, self._slot_factors = np.empty((3, rows, self._width))

    def sweep(self, log_weights: Floats, uniforms: Floats, *, count: bool = True) -> Floats:
        """Redraw every distractor once given the others; empty slots are filled.

        Args:
            log_weights: [classes].
            uniforms: random numbers in [0, 1), [questions, distractors].
            count: whether the expected numbers are wanted; without them it is quicker.

        Returns:
            How often each class was expected to be drawn, [classes]; zeros if not wanted.
        """
        weights = np.zeros(self._width)
        weights[: self._classes] = np.exp(log_weights)
        expected = np.zeros(self._width)
        rows = self._behind.shape[1]
        for start in range(0, len(self.members), rows):
            chunk = slice(start, start + rows)
            self._sweep_chunk(self._base[chunk], weights, self.members[chunk], uniforms[chunk], expected, count)
        return expected[: self._classes]

    def _sweep_chunk(
        self, base: Floats, weights: Floats, members: Ints, uniforms: Floats, expected: Floats, count: bool
    ) -> None:
        """One sweep of some questions; ``members`` and ``expected`` are changed in place."""
        rows, slots = members.shape
        mass, ahead, factors = self._mass[:rows], self._ahead[:rows], self._slot_factors[:rows]
        behind = self._behind[:, :rows]
        behind[-1] = 1.0
        for slot in range(slots - 1, 0, -1):
            np.take(self._factors, members[:, slot], axis=0, out=factors, mode="wrap")
            np.multiply(behind[slot], factors, out=behind[slot - 1])
        np.multiply(base, weights, out=ahead)
        for slot in range(slots):
            np.multiply(ahead, behind[slot], out=mass)
            columns, total = _drawn(mass, uniforms[:, slot])
            members[:, slot] = columns
            if count:
                expected += np.divide(1.0, total, out=np.zeros(rows), where=total > 0) @ mass
            if slot + 1 < slots:
                np.take(self._factors, columns, axis=0, out=factors, mode="wrap")
                np.multiply(ahead, factors, out=ahead)


def _drawn(mass: Floats, uniforms: Floats) -> tuple[Ints, Floats]:
    """A class of each row, by its share of the row's mass, and the masses' sums; -1 where there is none.

    The class is where the running sum exceeds ``uniforms`` times the sum: sought first among blocks of classes, then in
    the block.
    """
    rows = np.arange(len(mass))
    blocks = mass.reshape(len(mass), -1, BLOCK)
    heights = np.cumsum((mass.reshape(-1, BLOCK) @ _ONES).reshape(len(mass), -1), axis=1)
    total = heights[:, -1]
    goal = uniforms * total
    block = np.minimum((heights <= goal[:, None]).sum(axis=1), heights.shape[1] - 1)
    below = np.where(block > 0, heights[rows, block - 1], 0.0)
    inside = blocks[rows, block]
    place = np.minimum((np.cumsum(inside, axis=1) <= (goal - below)[:, None]).sum(axis=1), BLOCK - 1)
    columns = block * BLOCK + place
    for row in np.flatnonzero(inside[rows, place] <= 0):  # no mass at all, or two sums that differ in the last digit
        possible = np.flatnonzero(mass[row])
        nearest = min(int(np.searchsorted(possible, columns[row])), len(possible) - 1)
        columns[row] = possible[nearest] if len(possible) else -1
    return columns, total


def fit_group(
    segments: Sequence[Segment],
    conflicts: Sequence[frozenset[Action]],
    allowed: NDArray[np.bool_],
    distractors: int,
    config: ExchangeableConfig,
    rng: np.random.Generator,
    labels: Sequence[str] | None = None,
) -> Fit:
    """Fit a group's class weights.

    One persistent Gibbs chain per question; after each sweep the weights move by the log-ratio of wanted to expected
    counts. (Expected counts come from the conditional probabilities, not from the draws, so that a class which is the
    answer only once is steered as smoothly as the others.) The second half of the path is averaged.

    Args:
        segments: the group's questions.
        conflicts: per class of ``group_classes(segments)``, the classes that may not stand beside it.
        allowed: [questions, classes] the filter's verdicts.
        distractors: K - 1.
        config: similarities and number of sweeps.
        rng: the chains' random numbers.
        labels: names of ``group_classes(segments)`` where these are no verb-noun pairs: a shared first word counts as
            the verb, another shared word as the noun.
    """
    classes = group_classes(segments)
    answers = answer_indices(segments, classes)
    similarity = _log_similarity(classes, conflicts, config, 4.0 / distractors, labels)
    target = np.bincount(answers, minlength=len(classes)) * float(distractors)
    log_weights = np.log(target / target.sum())
    sampler = GroupSampler(similarity, answers, allowed, distractors)
    sampler.sweep(log_weights, rng.random((len(answers), distractors)))
    path, ratios = [], []
    for sweep in range(config.fit_sweeps):
        expected = sampler.sweep(log_weights, rng.random((len(answers), distractors)))
        ratio = np.log(target) - np.log(np.maximum(expected, 1e-9))
        log_weights = log_weights + np.clip(ratio, -2.0, 2.0) / (1.0 + 4.0 * sweep / config.fit_sweeps)
        log_weights -= log_weights.max()
        path.append(log_weights)
        ratios.append(ratio)
    half = config.fit_sweeps // 2
    log_weights = np.asarray(np.round(np.mean(path[half:], axis=0), 6), dtype=np.float64)
    imbalance = np.average(np.abs(np.mean(ratios[half:], axis=0)), weights=target)
    return Fit(classes, log_weights, similarity, float(imbalance))


def draw_group(
    fit: Fit,
    segments: Sequence[Segment],
    allowed: NDArray[np.bool_],
    distractors: int,
    config: ExchangeableConfig,
    generators: Sequence[np.random.Generator],
) -> list[list[Action]]:
    """Distractors of each question from its own chain, which uses its own generator only.

    A question for which no further class is possible gets fewer than ``distractors``.
    """
    sampler = GroupSampler(fit.log_similarity, answer_indices(segments, fit.classes), allowed, distractors)
    uniforms = np.stack([rng.random((config.draw_sweeps, distractors)) for rng in generators])
    for sweep in range(config.draw_sweeps):
        sampler.sweep(fit.log_weights, uniforms[:, sweep], count=False)
    return [[fit.classes[member] for member in members if member >= 0] for members in sampler.members]


def group_classes(segments: Sequence[Segment]) -> tuple[Action, ...]:
    """The classes that answer some question of the group, in the published order."""
    return published_order(segment.action for segment in segments)


def answer_indices(segments: Sequence[Segment], classes: Sequence[Action]) -> Ints:
    """Index into ``classes`` of each segment's class, [segments]."""
    position = {action: i for i, action in enumerate(classes)}
    return np.array([position[segment.action] for segment in segments], dtype=np.int64)


def _log_similarity(
    classes: Sequence[Action],
    conflicts: Sequence[frozenset[Action]],
    config: ExchangeableConfig,
    scale: float,
    labels: Sequence[str] | None,
) -> Floats:
    if labels is None:
        verbs, nouns = np.array(classes, dtype=np.int64).T
        same_verb, same_noun = verbs[:, None] == verbs, nouns[:, None] == nouns
    else:
        same_verb, same_noun = _shared_words(labels)
    similarity = scale * (config.verb_similarity * same_verb + config.noun_similarity * same_noun)
    position = {action: i for i, action in enumerate(classes)}
    for i, against in enumerate(conflicts):
        for action in (classes[i], *against):
            if action in position:
                similarity[i, position[action]] = CONFLICT
    return similarity


def _shared_words(labels: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether two labels have the first word in common, and whether another one, each [labels, labels]."""
    words = [label.casefold().split() for label in labels]
    first = np.array([parts[0] if parts else "" for parts in words])
    tails = [frozenset(parts[1:]) for parts in words]
    return first[:, None] == first, np.array([[not row.isdisjoint(column) for column in tails] for row in tails])
