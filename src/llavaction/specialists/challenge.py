"""The submission file of the EPIC-KITCHENS-100 action recognition challenge, written and checked by its rules."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import Field

from llavaction.base.archives import open_text, open_zip
from llavaction.base.errors import InputError
from llavaction.base.files import whole
from llavaction.base.json_stream import JsonCursor
from llavaction.base.records import Strict

if TYPE_CHECKING:  # with PyTorch behind them, which the settings do not need
    from llavaction.actions.vocabulary import Action
    from llavaction.specialists.labels import ClassName
    from llavaction.specialists.scores import Floats, SpecialistScores

VERSION, CHALLENGE, MEMBER = "0.2", "action_recognition", "test.json"
VERBS, NOUNS = 97, 300
"""Classes of the challenge; noun ids from 300 on (hands, feet, gloves of EPIC_100_noun_classes_v2.csv) are no part of
it."""
ACTIONS = 100
"""Action scores of a segment: exactly so many."""
LEVELS = {"sls_pt": "pretraining", "sls_tl": "labels", "sls_td": "data"}
"""Keys of a submission, and which supervision level each is."""
DIGITS = 6


class SupervisionLevels(Strict):
    """How much help a model had, each from 0 (none) to 5, as github.com/epic-kitchens/sls defines it."""

    pretraining: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Level of pretraining (sls_pt): 0 none, 2 public images and videos, 5 private ones.",
    )
    labels: int = Field(
        default=3, ge=0, le=5, description="Level of training labels (sls_tl): 3 start and stop times, 4 boxes too."
    )
    data: int = Field(
        default=3,
        ge=0,
        le=5,
        description="Level of training data (sls_td): 3 the training split, 4 training and validation.",
    )


@dataclass(frozen=True)
class SegmentScores:
    """What a submission says of one segment; the larger a score, the better.

    Attributes:
        segment_id: the segment's narration id.
        verbs: score of every verb class by its id, ids rising.
        nouns: score of every noun class below :data:`NOUNS`, likewise.
        actions: score of the best pairs (verb class, noun class), best first, :data:`ACTIONS` or all there are.
    """

    segment_id: str
    verbs: Mapping[int, float]
    nouns: Mapping[int, float]
    actions: Mapping[Action, float]


def check_target(path: str | Path, *, one_label: bool) -> None:
    """Refuse what cannot become a submission.

    Args:
        path: the file that is to be written.
        one_label: whether the labels are no verb-noun pairs.

    Raises:
        InputError: the suffix is neither .zip nor .json, or labels are no verb-noun pairs.
    """
    path = Path(path)
    if path.suffix.lower() not in (".zip", ".json"):
        raise InputError("a challenge submission is a .zip (or .json) file", file=path)
    if one_label:
        raise InputError("a challenge submission has verbs and nouns; these labels are no verb-noun pairs", file=path)


def write_challenge(path: str | Path, scores: SpecialistScores, levels: SupervisionLevels | None = None) -> None:
    """Write a specialist's submission.

    Pairs met in training are ranked; where there are fewer than 100, all pairs are.

    Args:
        path: the file, see :func:`write_submission`.
        scores: of every segment of the split; the official check refuses a submission that lacks one.
        levels: declared with the submission.

    Raises:
        InputError: as :func:`check_target`, or the file cannot be written.
    """
    check_target(path, one_label=scores.labels.one_label)
    write_submission(path, _of_specialist(scores), levels)


def write_submission(
    path: str | Path, results: Iterable[SegmentScores], levels: SupervisionLevels | None = None
) -> None:
    """Write a submission: a zip that holds ``test.json``, or with the suffix ``.json`` that file alone.

    Every verb and noun class has a score, as the official check demands, and the best 100 pairs. Source: the official
    ``create_submission.py`` of epic-kitchens/C1-Action-Recognition and the scoring program's validation.

    Args:
        path: the file; see :func:`check_target`.
        results: what it says, segment by segment; one is in memory at a time.
        levels: declared with the submission; their defaults by default.

    Raises:
        InputError: the file cannot be written.
    """
    path, levels = Path(path), levels or SupervisionLevels()
    heading = {"version": VERSION, "challenge": CHALLENGE}
    heading |= {key: getattr(levels, name) for key, name in LEVELS.items()}
    with whole(path) as part:
        if path.suffix.lower() == ".json":
            with part.open("wb") as stream:
                _write(stream, heading, results)
        else:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                member = zipfile.ZipInfo(MEMBER)  # without the time of day: the same scores give the same bytes
                member.external_attr, member.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                with archive.open(member, "w") as stream:
                    _write(stream, heading, results)


def _write(stream: IO[bytes], heading: Mapping[str, Any], results: Iterable[SegmentScores]) -> None:
    stream.write(f'{json.dumps(heading)[:-1]}, "results": {{'.encode())
    for number, scores in enumerate(results):
        entry = {
            "verb": {str(label): score for label, score in scores.verbs.items()},
            "noun": {str(label): score for label, score in scores.nouns.items()},
            "action": {f"{verb},{noun}": score for (verb, noun), score in scores.actions.items()},
        }
        separator = ", " if number else ""
        stream.write(f"{separator}{json.dumps(scores.segment_id)}: {json.dumps(entry)}".encode())
    stream.write(b"}}")


def _of_specialist(scores: SpecialistScores) -> Iterator[SegmentScores]:
    labels = scores.labels
    met = [pair for pair in labels.actions if pair[1] < NOUNS]
    candidates = met if len(met) >= ACTIONS else [pair for pair in labels.pairs if pair[1] < NOUNS]
    columns = [column for column, name in enumerate(labels.nouns) if name.id < NOUNS]
    nouns = [labels.nouns[column] for column in columns]
    for row, ranking in enumerate(scores.rankings(candidates, ACTIONS)):
        yield SegmentScores(
            ranking.segment_id,
            _named(labels.verbs, scores.verbs[row]),
            _named(nouns, scores.nouns[row, columns]),
            dict(zip(ranking.actions, ranking.scores, strict=True)),
        )


def _named(names: Sequence[ClassName], scores: Floats) -> dict[int, float]:
    return {name.id: round(float(score), DIGITS) for name, score in zip(names, scores, strict=True)}


def check_submission(
    path: str | Path,
    segment_ids: Iterable[str],
    verbs: Iterable[int] = range(VERBS),
    nouns: Iterable[int] = range(NOUNS),
) -> list[str]:
    """What the challenge would refuse a submission for.

    It demands the version, the challenge's name and three supervision levels from 0 to 5; a result for every segment of
    the split and for no other; in each a finite score for every verb and every noun class and for no other; and scores
    of exactly 100 pairs "verb,noun" (all, where the classes have fewer), or of none in any segment. Source: the
    validation of the scoring program that recognition and anticipation share.

    Args:
        path: the submission.
        segment_ids: of the split.
        verbs: the verb classes; by default the challenge's own.
        nouns: the noun classes, likewise.

    Returns:
        The problems, one a line; empty where there is none.

    Raises:
        InputError: the file cannot be read, is no JSON, or the zip holds anything else than ``test.json``.
    """
    check = _Check(segment_ids, frozenset(verbs), frozenset(nouns))
    with _submission_text(Path(path)) as stream:
        cursor = JsonCursor(stream, path)
        if cursor.peek() != "{":
            raise InputError("is no challenge submission: it holds no JSON object", file=path)
        for key in cursor.object_keys():
            if key == "results" and cursor.peek() == "{":
                check.has_results = True
                for segment_id in cursor.object_keys():
                    check.result(segment_id, cursor.value())
            else:
                check.heading[key] = cursor.value()
        cursor.end()
    return check.problems()


@contextmanager
def _submission_text(path: Path) -> Iterator[IO[str]]:
    if path.suffix.lower() == ".zip":
        with open_zip(path) as archive:
            members = archive.infolist()
            if [member.filename for member in members] != [MEMBER]:
                found = ", ".join(member.filename for member in members[:5]) or "nothing"
                raise InputError(f"holds {found:.200}; expected {MEMBER} and nothing else", file=path)
            with open_text(archive, members[0], path) as stream:
                yield stream
        return
    try:
        with path.open(encoding="utf-8-sig") as stream:
            yield stream
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from None


class _Check:
    """What is found in a submission while it is read: faults by kind, how many segments have each, and the first."""

    def __init__(self, segment_ids: Iterable[str], verbs: frozenset[int], nouns: frozenset[int]) -> None:
        self.heading: dict[str, Any] = {}
        self.has_results = False
        self._absent = dict.fromkeys(segment_ids)
        self._segments = len(self._absent)
        self._sides = {"verb": verbs, "noun": nouns}
        self._count = min(ACTIONS, len(verbs) * len(nouns))
        self._has_actions: bool | None = None
        self._faults: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def result(self, segment_id: str, entry: Any) -> None:
        """Check what is said of one segment."""
        if segment_id in self._absent:
            del self._absent[segment_id]
        else:
            self._fault("not of this split", segment_id)
        if not isinstance(entry, dict):
            return self._fault("without scores", segment_id)
        for side, classes in self._sides.items():
            scores = entry.get(side)
            if not isinstance(scores, dict):
                self._fault(f"without {side} scores", segment_id)
                continue
            labels = {_class_id(key) for key in scores}
            if lacking := classes - labels:
                self._fault(f"without a score of every {side} class", segment_id, f"lacks class {min(lacking)}")
            if labels - classes:
                strange = next(key for key in scores if _class_id(key) not in classes)
                self._fault(f"with a score of what is no {side} class", segment_id, f"'{strange:.20}'")
            self._numbers(side, scores, segment_id)
        has_actions = "action" in entry
        self._has_actions = has_actions if self._has_actions is None else self._has_actions
        if has_actions != self._has_actions:
            self._fault(f"{'with' if has_actions else 'without'} action scores, unlike those before", segment_id)
        if has_actions:
            self._actions(entry["action"], segment_id)
        return None

    def problems(self) -> list[str]:
        """All that was found, the heading first."""
        found = []
        for key, wanted in (("version", VERSION), ("challenge", CHALLENGE)):
            if self.heading.get(key) != wanted:
                found.append(f'{key} is {self._said(key)}, expected "{wanted}"')
        for key, name in LEVELS.items():
            level = self.heading.get(key)
            if type(level) is not int or not 0 <= level <= 5:
                found.append(f"{key}, the supervision level of {name}, is {self._said(key)}, expected 0 to 5")
        if not self.has_results:
            return [*found, 'there is no object "results"']
        if self._absent:
            first = next(iter(self._absent))
            found.append(f"lacks {len(self._absent)} of the split's {self._segments} segments, the first '{first}'")
        for fault, count in self._faults.items():
            found.append(f"{count} segment{'s' if count > 1 else ''} {fault}, the first {self._first[fault]}")
        return found

    def _actions(self, scores: Any, segment_id: str) -> None:
        if not isinstance(scores, dict):
            return self._fault("whose action scores are no object", segment_id)
        if len(scores) != self._count:
            self._fault(f"without exactly {self._count} action scores", segment_id, f"has {len(scores)}")
        pairs = set()
        for key in scores:
            verb, _, noun = key.partition(",")
            pair = _class_id(verb), _class_id(noun)
            pairs.add(pair)
            if pair[0] not in self._sides["verb"] or pair[1] not in self._sides["noun"]:
                self._fault("with an action that is no 'verb,noun' of the classes", segment_id, f"'{key:.20}'")
                break
        else:
            if len(pairs) < len(scores):
                self._fault("with an action that is scored twice", segment_id)
        return self._numbers("action", scores, segment_id)

    def _numbers(self, side: str, scores: Mapping[str, Any], segment_id: str) -> None:
        for score in scores.values():
            if not _is_number(score):
                said = json.dumps(score)[:20]
                return self._fault(f"whose {side} scores are not all finite numbers", segment_id, said)
        return None

    def _fault(self, what: str, segment_id: str, detail: str = "") -> None:
        self._faults[what] = self._faults.get(what, 0) + 1
        self._first.setdefault(what, f"'{segment_id:.80}'" + (f" ({detail})" if detail else ""))

    def _said(self, key: str) -> str:
        return f"{json.dumps(self.heading[key])[:40]}" if key in self.heading else "absent"


def _class_id(key: str) -> int:
    """The class that a key stands for; -1 for none."""
    return int(key) if key.isascii() and key.strip().isdecimal() and len(key) <= 7 else -1


def _is_number(score: Any) -> bool:
    try:
        return type(score) in (int, float) and math.isfinite(score)
    except OverflowError:  # a whole number that no float holds
        return False


def verdict(
    path: str | Path, segment_ids: Iterable[str], verbs: Collection[int], nouns: Collection[int], left_out: int = 0
) -> list[str]:
    """Lines on what a submission that was just written would be refused for, to be said to who wrote it.

    Args:
        path, segment_ids, verbs, nouns: as for :func:`check_submission`; nouns from :data:`NOUNS` on are left out.
        left_out: rows of the split's table that could not be used.

    Raises:
        InputError: as :func:`check_submission`.
    """
    found = check_submission(path, segment_ids, verbs, [noun for noun in nouns if noun < NOUNS])
    lines = [f"{path} would be refused: {problem}" for problem in found]
    if left_out:
        lines.append(f"{path} would be refused: it lacks {left_out} segments whose rows were left out")
    return lines
