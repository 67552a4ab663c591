"""The false-negative filter: which classes would be right answers too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from llavaction.actions.segments import Segment, SegmentTable
from llavaction.actions.synonyms import Synonyms
from llavaction.actions.vocabulary import Action, ActionVocabulary

REASONS = {
    "same class": "the answer's own class",
    "synonym": "a verb or noun that the class files list for the answer's class too",
    "other noun": "another noun of the segment's narration (or a synonym of it), whatever the verb",
    "overlap": "the class, or a synonym of it, of a segment that overlaps this one in time",
}
"""What can rule a distractor out, in the order in which it is looked for."""


class TruthFilter:
    """Tells whether a class may be true of a segment, and why.

    Args:
        table: all segments of the split (for overlaps).
        vocabulary: its class files say which classes are synonyms.
    """

    def __init__(self, table: SegmentTable, vocabulary: ActionVocabulary) -> None:
        self.table = table
        self.synonyms = Synonyms(vocabulary)
        self._labels = {verb: vocabulary.verb_name(verb) for verb in vocabulary.verbs} if vocabulary.one_label else None
        self._facts = lru_cache(maxsize=None)(self._facts_of)

    def labels(self, actions: Sequence[Action]) -> list[str] | None:
        """Names of actions that are no verb-noun pairs; None where they are."""
        return None if self._labels is None else [self._labels[verb] for verb, _ in actions]

    def reason(self, segment: Segment, action: Action) -> str | None:
        """Why ``action`` may not be a distractor of ``segment`` (a key of REASONS), or None if it may."""
        same, other_nouns, overlapping = self._facts(segment.segment_id)
        if action == segment.action:
            return "same class"
        if action in same:
            return "synonym"
        if action[1] in other_nouns:
            return "other noun"
        if action in overlapping:
            return "overlap"
        return None

    def verdicts(
        self, segment: Segment, columns: Mapping[Action, int], by_noun: Mapping[int, Sequence[Action]]
    ) -> dict[int, str]:
        """The columns of the classes that may not be distractors of ``segment``, with :meth:`reason`.

        Args:
            segment: the segment.
            columns: place of every class that is asked about.
            by_noun: the same classes by their noun.
        """
        same, other_nouns, overlapping = self._facts(segment.segment_id)
        reasons = {columns[action]: "overlap" for action in overlapping if action in columns}
        reasons |= {columns[action]: "other noun" for noun in other_nouns for action in by_noun.get(noun, ())}
        reasons |= {columns[action]: "synonym" for action in same if action in columns}
        if segment.action in columns:
            reasons[columns[segment.action]] = "same class"
        return reasons

    def _facts_of(self, segment_id: str) -> tuple[frozenset[Action], frozenset[int], frozenset[Action]]:
        segment = self.table[segment_id]
        same = self.synonyms.also_true(segment.action)
        further_nouns = [noun for noun in segment.all_noun_classes if noun != segment.noun_class]
        other_nouns = {near for noun in further_nouns for near in self.synonyms.nouns(noun)} - {segment.noun_class}
        overlapping = {
            action
            for neighbour in self.table.overlapping(segment)
            for action in self.synonyms.also_true(neighbour.action, neighbour.all_noun_classes)
        }
        return same, frozenset(other_nouns), frozenset(overlapping)

    def __getstate__(self) -> dict[str, object]:
        """Leave the cache behind when sent to a worker process."""
        return {"table": self.table, "synonyms": self.synonyms, "_labels": self._labels}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._facts = lru_cache(maxsize=None)(self._facts_of)
