"""What predictions are about, and whether the dataset at hand has it: segments by clip, classes by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.base.records import Record
from llavaction.base.text import same_when_read

SAME_TIME = 0.01
"""Seconds by which the times of a clip may differ, as they do where a spreadsheet has rounded them."""
_SPARE = 10**9
"""Numbers from here on stand for classes that occur in no question."""
_HINT = (
    "predict these segments anew with: llavaction specialist predict; or give the annotations that the predictions "
    "were made with"
)


class PredictedClasses(Record):
    """The line before our predictions: what their class numbers stand for."""

    verbs: Mapping[int, str] = Field(min_length=1, description="name of each verb class, or label, by its number")
    nouns: Mapping[int, str] = Field(min_length=1, description="name of each noun class; empty where there are none")

    @classmethod
    def of(cls, vocabulary: ActionVocabulary) -> PredictedClasses:
        """The classes of a dataset."""
        return cls(
            verbs={number: label.name for number, label in sorted(vocabulary.verbs.items())},
            nouns={number: label.name for number, label in sorted(vocabulary.nouns.items())},
        )


@dataclass(frozen=True)
class Expected:
    """What predictions have to be about.

    Attributes:
        clips: by segment id.
        verbs: name of each verb class by its number; empty where names are not known.
        nouns: of each noun class.
        all_classes: these are all classes there are, not only those that occur in some questions.
    """

    clips: Mapping[str, Clip]
    verbs: Mapping[int, str]
    nouns: Mapping[int, str]
    all_classes: bool = True

    @classmethod
    def of(cls, segments: Iterable[Segment], vocabulary: ActionVocabulary) -> Expected:
        """What predictions for segments of a dataset have to be about."""
        classes = PredictedClasses.of(vocabulary)
        return cls({segment.segment_id: segment.clip for segment in segments}, classes.verbs, classes.nouns)

    @property
    def one_label(self) -> bool:
        """Whether an action is one label, not a verb with a noun."""
        return bool(self.nouns) and not any(self.nouns.values())


class Agreement:
    """Holds the predictions of a file against what is expected, one at a time.

    Args:
        path: the file.
        expected: what they have to be about; without it nothing is held against anything.
        say: is given what cannot be told for want of clips or names; by default it is said on standard error.
    """

    def __init__(self, path: Path, expected: Expected | None, say: Callable[[str], None] | None = None) -> None:
        self._path, self._expected, self._say = path, expected, say
        self._numbers: tuple[Mapping[int, int], Mapping[int, int]] | None = None
        self._predicted: PredictedClasses | None = None
        self._checked = self._by_id = self._by_number = self._elsewhere = 0
        self._example = ""

    def name_classes(self, classes: PredictedClasses) -> None:
        """Take what the class numbers of the following predictions stand for.

        Raises:
            InputError: the file lacks a class that the questions are about.
        """
        self._predicted, self._numbers = classes, None
        expected = self._expected
        if expected is None or not expected.verbs:
            return
        verbs = self._renumbered(self._verb, classes.verbs, expected.verbs)
        self._numbers = verbs, self._renumbered("noun", classes.nouns, expected.nouns)
        if any(number != new for numbers in self._numbers for number, new in numbers.items() if new < _SPARE):
            self._note("numbers the classes otherwise than they are here: they are matched by name")

    def count_labels(self, columns: int) -> None:
        """Refuse a file that scores more or fewer labels than there are: their numbers are their alphabetical places.

        Raises:
            InputError: it does.
        """
        expected = self._expected
        if expected is not None and expected.one_label and expected.all_classes and columns != len(expected.verbs):
            raise InputError(
                f"has scores of {columns} labels; the dataset has {len(expected.verbs)}",
                file=self._path,
                hint=f"was a label added, renamed or removed? {_HINT}",
            )

    def actions(self, segment_id: str, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """The actions of a segment as their classes are numbered here.

        Raises:
            InputError: the file does not name one, or no class here is called so.
        """
        if self._numbers is None:
            return actions
        verbs, nouns = self._numbers
        for verb, noun in actions:
            if verb not in verbs:
                raise self._unknown(segment_id, verb, "verb")
            if noun not in nouns:
                raise self._unknown(segment_id, noun, "noun")
        return tuple((verbs[verb], nouns[noun]) for verb, noun in actions)

    def _unknown(self, segment_id: str, number: int, kind: str) -> InputError:
        assert self._predicted is not None
        names, kind = (self._predicted.verbs, self._verb) if kind == "verb" else (self._predicted.nouns, kind)
        if number not in names:
            problem = f"predicts {kind} {number} for '{segment_id}', which is none of the {len(names)} that it names"
            return InputError(problem, file=self._path, hint="were files of different classes put together?")
        problem = f"predicts {kind} '{names[number]}' for '{segment_id}', and no {kind} of the dataset is called so"
        return InputError(problem, file=self._path, hint=f"was it renamed or removed? {_HINT}")

    @property
    def _verb(self) -> str:
        """What a verb class is called: a label, where there are no nouns."""
        return "label" if self._expected is not None and self._expected.one_label else "verb"

    def place(self, segment_id: str, clip: Clip | None) -> None:
        """Hold a prediction's clip against the segment's of that id."""
        if self._expected is None:
            return
        self._checked += 1
        self._by_number += self._numbers is None
        self._by_id += clip is None
        expected_clip = self._expected.clips.get(segment_id)
        if clip is None or expected_clip is None:
            return
        near = max(abs(clip.start - expected_clip.start), abs(clip.stop - expected_clip.stop)) <= SAME_TIME
        if clip.video_id != expected_clip.video_id or not near:
            if not self._elsewhere:
                self._example = f"'{segment_id}' is {_span(clip)} there and {_span(expected_clip)} here"
            self._elsewhere += 1

    def settle(self) -> None:
        """Say what could not be told.

        Raises:
            InputError: segments are of other videos or times than those of the same ids here.
        """
        if self._elsewhere:
            raise InputError(
                f"predicts other segments than those of the same ids here, {self._elsewhere} of {self._checked}; the "
                f"first: {self._example}",
                file=self._path,
                hint=f"were rows added, removed or changed? {_HINT}",
            )
        unsaid = [
            problem
            for problem, count in (
                ("which videos and times its segments are: they are matched by id", self._by_id),
                ("what its classes are called: they are matched by number", self._by_number),
            )
            if count
        ]
        if unsaid:
            self._note(f"does not say {'; nor '.join(unsaid)}. Make sure that it was made with these annotations")

    def _renumbered(self, kind: str, theirs: Mapping[int, str], ours: Mapping[int, str]) -> dict[int, int]:
        """Number here of each class there that has one; by its name, and of names that occur twice by its number."""
        names_there, names_here = ({n: same_when_read(name) for n, name in names.items()} for names in (theirs, ours))
        often = Counter(names_there.values())
        often_here = Counter(names_here.values())
        place_of = {name: number for number, name in names_here.items() if often_here[name] == 1}
        numbers: dict[int, int] = {}
        for number, name in names_there.items():
            if names_here.get(number) == name:
                numbers[number] = number
            elif often[name] == 1 and name in place_of:
                numbers[number] = place_of[name]
        unknown = [ours[number] for number in sorted(ours.keys() - set(numbers.values()))]
        if unknown and self._expected is not None and not self._expected.all_classes:
            raise InputError(
                f"knows no {kind} '{unknown[0]}', nor {len(unknown) - 1} others of the questions' {len(ours)}",
                file=self._path,
                hint=f"was it renamed or added? {_HINT}",
            )
        if unknown:
            self._note(f"does not know {len(unknown)} of the {len(ours)} {kind}s here, such as '{unknown[0]}'")
        if self._expected is not None and not self._expected.all_classes:  # the others are in no question
            numbers |= {number: _SPARE + number for number in theirs.keys() - numbers.keys()}
        return numbers

    def _note(self, problem: str) -> None:
        if self._say is None:
            note(problem, file=self._path)
        else:
            self._say(f"{self._path.name} {problem}")


def _span(clip: Clip) -> str:
    return f"{clip.video_id} {clip.start:.2f}-{clip.stop:.2f} s"
