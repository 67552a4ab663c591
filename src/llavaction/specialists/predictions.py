"""Predictions of specialists: our record, and import from the formats in which they are published."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.archives import MOST_ARRAY_BYTES, MOST_ARRAY_ITEMS, open_text, open_zip, read_npz
from llavaction.base.errors import InputError
from llavaction.base.json_stream import JsonCursor
from llavaction.base.records import read_lines, write_records
from llavaction.specialists.agreement import Agreement, Expected, PredictedClasses
from llavaction.specialists.rankings import (
    MOST_SEGMENTS,
    TOP,
    Collected,
    Predictions,
    Ranked,
    SpecialistPrediction,
    pair_scores,
)
from llavaction.specialists.tensors import as_array, listed

MOST_COLUMNS = 100_000
OFFICIAL_VERBS, OFFICIAL_NOUNS = 97, 300
"""Classes of EPIC-KITCHENS-100."""

ARRAYS = ("verb_output", "noun_output", "narration_id")
"""Keys of the challenge's list and dict formats."""
CLIPS, NAMES = ("video_id", "start", "stop"), ("verb_names", "noun_names")
"""Keys that we add to the dict: which clip each row is, and what each column stands for (empty: no class)."""

__all__ = [
    "TOP",
    "Expected",
    "PredictedClasses",
    "Predictions",
    "SpecialistPrediction",
    "check_classes",
    "load_predictions",
    "pair_scores",
    "write_predictions",
]


def write_predictions(path: str | Path, predictions: Iterable[SpecialistPrediction], classes: PredictedClasses) -> int:
    """Write our JSON Lines: the names of the classes in the first line, then a prediction a line.

    Raises:
        InputError: the file cannot be written.
    """
    return write_records(path, (classes, *predictions)) - 1


def load_predictions(
    path: str | Path,
    segment_ids: Sequence[str],
    actions: Sequence[Action],
    *,
    partial: bool = False,
    expected: Expected | None = None,
    say: Callable[[str], None] | None = None,
) -> Predictions:
    """Read predictions in any of the known formats, told apart by their content.

    Known are: our JSON Lines of :class:`SpecialistPrediction` behind a line of :class:`PredictedClasses`; the published
    implementation's JSON (row number to {"predictions": action ids, "target": action id}); the EPIC-KITCHENS-100
    challenge's submission (JSON, or a zip that holds one); and the challenge's list or dict of verb_output /
    noun_output / narration_id as ``.npz`` or ``.pt``.

    What a file has beyond the split's segments, and which of them it lacks, is said on standard error. Where it says
    which clips its segments are and what its classes are called, both are held against the dataset: classes that are
    numbered otherwise there are matched by name. What it does not say is matched by id and number, which is said.

    Args:
        path: the file.
        segment_ids: ids of the split in the order of its annotation file (row numbers refer to it); none for all that
            the file has.
        actions: all action classes in the published order (action ids refer to it).
        partial: the file is one of several, so nothing is said of the segments it lacks.
        expected: the clips and classes of the dataset; without them nothing is held against anything.
        say: is given what the file does not say of clips and classes; by default it is said on standard error.

    Raises:
        InputError: the file is missing, is a pickle, is of no known format, is damaged or expands to more than is
            read, does not fit the split, is of other clips or classes than those of the dataset, or has scores that are
            not finite (names how many segments, and the first).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such predictions file", file=path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"'{path.suffix}' is not a known kind of predictions file", file=path, hint=f"known: {', '.join(_READERS)}"
        )
    try:
        agreement = Agreement(path, expected, say)
        return reader(path, Collected(path, segment_ids, partial, agreement), segment_ids, actions)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from None


def check_classes(predictions: Predictions, vocabulary: ActionVocabulary, path: Path) -> None:
    """Refuse predictions of classes that the dataset does not have.

    Raises:
        InputError: names the first such class and its segment.
    """
    for prediction in predictions.values():
        for verb, noun in prediction.actions:
            if verb not in vocabulary.verbs or noun not in vocabulary.nouns:
                class_text = f"label {verb}" if vocabulary.one_label else f"verb {verb} with noun {noun}"
                raise InputError(
                    f"predicts {class_text} for '{prediction.segment_id}', which the dataset lacks",
                    file=path,
                    hint="are these predictions for this dataset?",
                )


def _read_jsonl(path: Path, collected: Collected, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    for line, values in read_lines(path, SpecialistPrediction.__name__):
        if isinstance(values, dict) and "verbs" in values and "segment_id" not in values:
            collected.name_classes(PredictedClasses.from_mapping(values, file=path, line=line))
            continue
        prediction = SpecialistPrediction.from_mapping(values, file=path, line=line)
        if collected.wants(prediction.segment_id):
            collected.take(prediction)
    return collected.settled()


def _read_json(path: Path, collected: Collected, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    with path.open(encoding="utf-8-sig") as stream:
        return _from_json(stream, path, collected, segment_ids, actions)


def _read_zip(path: Path, collected: Collected, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    with open_zip(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".json")]
        if len(members) != 1:
            names = [member.filename for member in members[:5]]
            raise InputError(f"expected one JSON file in the submission, found {names}", file=path)
        with open_text(archive, members[0], path) as stream:
            return _from_json(stream, path, collected, segment_ids, actions)


def _from_json(
    stream: IO[str], path: Path, collected: Collected, segment_ids: Sequence[str], actions: Sequence[Action]
) -> Predictions:
    cursor = JsonCursor(stream, path)
    submitted: Predictions | None = None
    rows: dict[int, SpecialistPrediction] = {}
    if cursor.peek() == "{":
        for key in cursor.object_keys():
            if key == "results" and cursor.peek() == "{":
                submitted = _from_submission(cursor, path, collected)
                continue
            value = cursor.value()
            if submitted is None and isinstance(value, dict) and "predictions" in value:
                row = int(key) if key.isascii() and key.isdecimal() and len(key) <= 9 else -1
                if row < 0 or row in rows or len(rows) > len(segment_ids):
                    raise InputError(f'"{key}" is no row number, or comes twice', file=path, line=cursor.line)
                rows[row] = _published_row(row, value["predictions"], path, segment_ids, actions)
        cursor.end()
    elif cursor.peek():
        cursor.value()  # so that what is no JSON is said to be none
    if submitted is not None:
        return submitted
    if not rows:
        raise InputError(
            'is neither a challenge submission ({"results": {narration_id: {"verb": .., "noun": ..}}}) nor the '
            'published format ({"0": {"predictions": [..], "target": ..}})',
            file=path,
        )
    if len(rows) != len(segment_ids):
        raise InputError(f"has {len(rows)} predictions, the split has {len(segment_ids)} segments", file=path)
    absent = next((row for row in range(len(segment_ids)) if row not in rows), None)
    if absent is not None:
        raise InputError(f'row "{absent}" is missing', file=path)
    for row in range(len(segment_ids)):
        collected.take(rows[row])
    return collected.settled()


def _from_submission(cursor: JsonCursor, path: Path, collected: Collected) -> Predictions:
    for segment_id in cursor.object_keys():
        line = cursor.line
        scores = cursor.value()
        try:
            if scores.get("action"):
                ranked = {_pair(key): float(score) for key, score in scores["action"].items()}
                pairs = sorted(ranked, key=lambda pair: -ranked[pair])
                if collected.wants(segment_id):
                    collected.add(segment_id, pairs, [ranked[pair] for pair in pairs])
            else:
                verbs, nouns = _by_class(scores["verb"]), _by_class(scores["noun"])
                if collected.wants(segment_id):
                    collected.add_scores(segment_id, verbs, nouns)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"result of '{segment_id}' is not {{'verb': {{id: score}}, 'noun': ..}} ({error!r:.200})",
                file=path,
                line=line,
            ) from None
    return collected.settled()


def _class_id(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= 7):
        raise ValueError(f"'{key:.40}' is no class id")
    return int(key)


def _pair(key: str) -> Action:
    verb, noun = key.split(",")
    return _class_id(verb.strip()), _class_id(noun.strip())


def _by_class(scores: Mapping[str, float]) -> Ranked:
    """Class ids in rising order and their scores; memory goes with how many there are, not with the largest id."""
    by_id = {_class_id(key): float(score) for key, score in scores.items()}
    if not by_id:
        raise ValueError("no class has a score")
    ids = sorted(by_id)
    return np.array(ids), np.array([by_id[index] for index in ids])


def _published_row(
    row: int, ids: Any, path: Path, segment_ids: Sequence[str], actions: Sequence[Action]
) -> SpecialistPrediction:
    if not isinstance(ids, list) or not all(type(i) is int and 0 <= i < len(actions) for i in ids):
        raise InputError(
            f'row "{row}": predictions must be action ids from 0 to {len(actions) - 1}',
            file=path,
            hint="action ids need the same train and validation files as the specialist had (3,806 classes)",
        )
    pairs = tuple(dict.fromkeys(actions[i] for i in ids))
    values: dict[str, Any] = {
        "segment_id": segment_ids[row] if row < len(segment_ids) else str(row),
        "actions": pairs,
        "scores": [-float(rank) for rank in range(len(pairs))],
    }
    return SpecialistPrediction.from_mapping(values, file=path)


def _read_npz(path: Path, collected: Collected, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    return _from_arrays(read_npz(path, (*ARRAYS, *CLIPS, *NAMES), hint=_NO_PICKLE), path, collected, actions)


def _read_pt(path: Path, collected: Collected, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    import torch  # only this format needs it

    if path.stat().st_size > MOST_ARRAY_BYTES:
        raise InputError(f"is larger than {MOST_ARRAY_BYTES >> 20} MiB, more than is read", file=path)
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    if zipped:
        with open_zip(path) as archive:
            packed = [member.filename for member in archive.infolist() if member.compress_type != zipfile.ZIP_STORED]
            if packed or sum(member.file_size for member in archive.infolist()) > MOST_ARRAY_BYTES:
                raise InputError("unpacks to more than is there, which torch.save never does", file=path)
    numpy_parts: list[Any] = [np.dtype, np.ndarray, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "U1"))]
    rebuild = getattr(np, "_core", np).multiarray._reconstruct
    try:
        with torch.serialization.safe_globals([*numpy_parts, rebuild]):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be read with weights_only=True ({first_line})", file=path, hint=_NO_PICKLE) from None
    try:
        if isinstance(value, list):
            value = {key: listed([as_array(entry[key]) for entry in value]) for key in ARRAYS}
        if not isinstance(value, dict):
            raise InputError(f"holds a {type(value).__name__}, expected a list or a dict", file=path)
        arrays = {key: np.asarray(as_array(value[key])) for key in ARRAYS if key in value}
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, MemoryError) as error:
        raise InputError(f"an entry is not as it should be ({error!r:.200})", file=path) from None
    return _from_arrays(arrays, path, collected, actions)


def _from_arrays(arrays: Mapping[str, Any], path: Path, collected: Collected, actions: Sequence[Action]) -> Predictions:
    missing = [key for key in ARRAYS if key not in arrays]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}; found {sorted(map(str, arrays))}", file=path)
    verbs, nouns, names = (arrays[key] for key in ARRAYS)
    if verbs.ndim != 2 or nouns.ndim != 2 or names.ndim != 1 or not len(names) == len(verbs) == len(nouns):
        raise InputError(
            f"expected verb_output [N, verbs], noun_output [N, nouns], narration_id [N]; "
            f"found {verbs.shape}, {nouns.shape}, {len(names) if names.ndim else 0}",
            file=path,
        )
    for key, scores in (("verb_output", verbs), ("noun_output", nouns)):
        if scores.dtype.kind not in "fiu" or not 0 < scores.shape[1] <= MOST_COLUMNS or scores.size > MOST_ARRAY_ITEMS:
            raise InputError(
                f"{key} is {list(scores.shape)} of {scores.dtype}, expected a column of numbers per class", file=path
            )
    if len(names) > MOST_SEGMENTS:
        raise InputError(f"predicts {len(names):,} segments, more than {MOST_SEGMENTS:,}", file=path)
    _check_sides(verbs.shape[1], nouns.shape[1], actions, path)
    if all(key in arrays for key in NAMES):
        sides = zip(("verbs", "nouns"), NAMES, (verbs, nouns), strict=True)
        class_names = {side: _names(arrays[key], key, scores.shape[1], path) for side, key, scores in sides}
        collected.name_classes(PredictedClasses.from_mapping(class_names, file=path))
    else:
        collected.agreement.count_labels(verbs.shape[1])
    clips = _clips([arrays[key] for key in CLIPS], len(names), path) if all(key in arrays for key in CLIPS) else None
    for row, name in enumerate(names):
        segment_id = _segment_id(name, path, row)
        if collected.wants(segment_id):
            clip = None if clips is None else clips(row)
            collected.add_scores(segment_id, _of_row(verbs[row]), _of_row(nouns[row]), clip)
    return collected.settled()


def _names(array: Any, key: str, columns: int, path: Path) -> dict[int, str]:
    """Names of the classes by column; where no column has one there is the nameless class alone."""
    if array.dtype.kind != "U" or array.shape != (columns,):
        raise InputError(f"{key} is {list(array.shape)} of {array.dtype}, expected a name per column", file=path)
    return {column: name for column, name in enumerate(array.tolist()) if name} or {0: ""}


def _clips(arrays: Sequence[Any], rows: int, path: Path) -> Callable[[int], Clip]:
    """What gives the clip of a row."""
    for key, array, kind in zip(CLIPS, arrays, ("U", "f", "f"), strict=True):
        if array.dtype.kind != kind or array.shape != (rows,):
            raise InputError(f"{key} is {list(array.shape)} of {array.dtype}, expected one per segment", file=path)
    return lambda row: Clip.from_mapping({key: a[row].item() for key, a in zip(CLIPS, arrays, strict=True)}, file=path)


def _of_row(scores: np.ndarray[Any, Any]) -> Ranked:
    """Class ids and scores of a row without the columns of no class, which hold the lowest float."""
    ids = np.flatnonzero(scores != np.finfo(np.float32).min)
    return ids, scores[ids].astype(np.float64)


def _check_sides(verbs: int, nouns: int, actions: Sequence[Action], path: Path) -> None:
    """Refuse arrays that were swapped: the verbs' has a column per noun class, and the nouns' is too short.

    Told by the classes that occur, and for EPIC-KITCHENS-100 by its numbers of classes.
    """
    least_verbs, least_nouns = (1 + max((action[side] for action in actions), default=-1) for side in (0, 1))
    short = verbs < least_verbs or nouns < least_nouns
    if (verbs, nouns) == (OFFICIAL_NOUNS, OFFICIAL_VERBS) or (short and verbs >= least_nouns and nouns >= least_verbs):
        raise InputError(f"verb_output has {verbs} columns and noun_output {nouns}: the two are swapped", file=path)


def _segment_id(name: Any, path: Path, row: int) -> str:
    """The id as text; ids stored as bytes are read as UTF-8."""
    if isinstance(name, bytes):
        try:
            return name.decode()
        except UnicodeDecodeError:
            raise InputError(f"narration_id {row} ({name!r:.60}) is no text", file=path) from None
    text = str(name)
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"narration_id {row} ({text!a:.60}) is no text", file=path)
    return text


def _refuse_pickle(path: Path, *_: object) -> Predictions:
    raise InputError("is a pickle; loading one runs whatever code is in it", file=path, hint=_NO_PICKLE)


_NO_PICKLE = (
    'where you trust the file, convert it once: python -c "import pickle, numpy as np; '
    "d = pickle.load(open('IN.pkl', 'rb')); np.savez('OUT.npz', **{k: np.asarray([e[k] for e in d]) "
    'for k in d[0]} if isinstance(d, list) else {k: np.asarray(v) for k, v in d.items()})"'
)

_READERS: dict[str, Callable[[Path, Collected, Sequence[str], Sequence[Action]], Predictions]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".zip": _read_zip,
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".pkl": _refuse_pickle,
    ".pickle": _refuse_pickle,
}
