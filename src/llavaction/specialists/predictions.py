"""Predictions of specialists: our record, and import from the formats in which they are published."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_records

TOP = 100
"""Verbs, nouns and action pairs kept per segment, as the official EPIC-KITCHENS-100 evaluation does."""


ARRAYS = ("verb_output", "noun_output", "narration_id")
"""Keys of the challenge's list and dict formats."""


class SpecialistPrediction(Record):
    """A specialist's ranking of action classes for one segment."""

    segment_id: str
    actions: tuple[Action, ...] = Field(min_length=1, description="(verb class, noun class), best first")
    scores: tuple[float, ...] = Field(description="one per action, larger is better; descending")
    fold: int | None = Field(
        default=None,
        ge=0,
        description="of out-of-fold predictions: the part of the training videos it was held out with",
    )

    @model_validator(mode="after")
    def _is_a_ranking(self) -> SpecialistPrediction:
        if len(self.scores) != len(self.actions):
            raise ValueError(f"{len(self.actions)} actions but {len(self.scores)} scores")
        if any(a < b for a, b in zip(self.scores, self.scores[1:], strict=False)):
            raise ValueError("scores must not rise: actions are listed best first")
        if len(set(self.actions)) < len(self.actions):
            raise ValueError("an action is listed twice")
        return self


Predictions = dict[str, SpecialistPrediction]


def load_predictions(path: str | Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    """Read predictions in any of the known formats, told apart by their content.

    Known are: our JSON Lines of :class:`SpecialistPrediction`; the published implementation's JSON
    (row number to {"predictions": action ids, "target": action id}); the EPIC-KITCHENS-100 challenge's submission
    (JSON, or a zip that holds one); and the challenge's list or dict of verb_output / noun_output / narration_id as
    ``.npz`` or ``.pt``.

    Args:
        path: the file.
        segment_ids: ids of the split in the order of its annotation file (row numbers refer to it).
        actions: all action classes in the published order (action ids refer to it).

    Raises:
        InputError: the file is missing, is a pickle, is of no known format, or does not fit the split.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such predictions file", file=path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"'{path.suffix}' is not a known kind of predictions file", file=path, hint=f"known: {', '.join(_READERS)}"
        )
    return reader(path, segment_ids, actions)


def check_classes(predictions: Predictions, vocabulary: ActionVocabulary, path: Path) -> None:
    """Refuse predictions of classes that the dataset does not have.

    Raises:
        InputError: names the first such class and its segment.
    """
    for prediction in predictions.values():
        for verb, noun in prediction.actions:
            if verb not in vocabulary.verbs or noun not in vocabulary.nouns:
                raise InputError(
                    f"predicts verb {verb} with noun {noun} for '{prediction.segment_id}', which the class files lack",
                    file=path,
                    hint="are these predictions for this dataset?",
                )


def pair_scores(
    verb_scores: NDArray[np.floating[Any]], noun_scores: NDArray[np.floating[Any]]
) -> tuple[list[Action], list[float]]:
    """Best (verb, noun) pairs of one segment from separate scores.

    As the official evaluation does (epic-kitchens/C1-Action-Recognition, utils/scoring.py): softmax over the best 100
    verbs times softmax over the best 100 nouns, best 100 products.

    Args:
        verb_scores: [verbs], any real numbers.
        noun_scores: [nouns].
    """
    verbs, nouns = np.argsort(-verb_scores, kind="stable")[:TOP], np.argsort(-noun_scores, kind="stable")[:TOP]
    product = np.outer(_softmax(verb_scores[verbs]), _softmax(noun_scores[nouns])).ravel()
    best = np.argsort(-product, kind="stable")[:TOP]
    rows, columns = np.divmod(best, len(nouns))
    pairs = [(int(v), int(n)) for v, n in zip(verbs[rows], nouns[columns], strict=True)]
    return pairs, [float(p) for p in product[best]]


def _softmax(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    powers = np.exp(values.astype(np.float64) - values.max())
    return np.asarray(powers / powers.sum())


def _read_jsonl(path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    predictions: Predictions = {}
    for prediction in read_records(path, SpecialistPrediction):
        if prediction.segment_id in predictions:
            raise InputError(f"predicts '{prediction.segment_id}' twice", file=path)
        predictions[prediction.segment_id] = prediction
    return predictions


def _read_json(path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    return _from_json(path.read_bytes(), path, segment_ids, actions)


def _read_zip(path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            if len(names) != 1:
                raise InputError(f"expected one JSON file in the submission, found {names}", file=path)
            content = archive.read(names[0])
    except zipfile.BadZipFile:
        raise InputError("is not a zip file", file=path) from None
    return _from_json(content, path, segment_ids, actions)


def _from_json(content: bytes, path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise InputError(f"not JSON ({error})", file=path) from None
    if isinstance(value, dict) and isinstance(value.get("results"), dict):
        return _from_submission(value["results"], path)
    first = next(iter(value.values()), None) if isinstance(value, dict) else None
    if isinstance(first, dict) and "predictions" in first:
        return _from_published(value, path, segment_ids, actions)
    raise InputError(
        'is neither a challenge submission ({"results": {narration_id: {"verb": .., "noun": ..}}}) nor the published '
        'format ({"0": {"predictions": [..], "target": ..}})',
        file=path,
    )


def _from_submission(results: Mapping[str, Any], path: Path) -> Predictions:
    predictions: Predictions = {}
    for segment_id, scores in results.items():
        try:
            if scores.get("action"):
                ranked = sorted(scores["action"].items(), key=lambda item: -float(item[1]))
                pairs = [_pair(key) for key, _ in ranked]
                values = [float(score) for _, score in ranked]
            else:
                pairs, values = pair_scores(_dense(scores["verb"]), _dense(scores["noun"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"result of '{segment_id}' is not {{'verb': {{id: score}}, 'noun': ..}} ({error!r})",
                file=path,
            ) from None
        predictions[segment_id] = _record(segment_id, pairs, values, path)
    return predictions


def _pair(key: str) -> Action:
    verb, noun = key.split(",")
    return int(verb), int(noun)


def _dense(scores: Mapping[str, float]) -> NDArray[np.float64]:
    dense = np.full(max(int(key) for key in scores) + 1, -np.inf)
    for key, score in scores.items():
        dense[int(key)] = float(score)
    return dense


def _from_published(
    value: Mapping[str, Any], path: Path, segment_ids: Sequence[str], actions: Sequence[Action]
) -> Predictions:
    if len(value) != len(segment_ids):
        raise InputError(f"has {len(value)} predictions, the split has {len(segment_ids)} segments", file=path)
    predictions: Predictions = {}
    for row, segment_id in enumerate(segment_ids):
        entry = value.get(str(row))
        if not isinstance(entry, dict) or not isinstance(entry.get("predictions"), list):
            raise InputError(f'row "{row}" is missing or has no list of predictions', file=path)
        ids = entry["predictions"]
        if not all(isinstance(i, int) and 0 <= i < len(actions) for i in ids):
            raise InputError(
                f'row "{row}": predictions must be action ids from 0 to {len(actions) - 1}',
                file=path,
                hint="action ids need the same train and validation files as the specialist had (3,806 classes)",
            )
        pairs = list(dict.fromkeys(actions[i] for i in ids))
        predictions[segment_id] = _record(segment_id, pairs, [-float(rank) for rank in range(len(pairs))], path)
    return predictions


def _read_npz(path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return _from_arrays({name: arrays[name] for name in arrays.files}, path)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot be read as .npz without unpickling ({error})", file=path, hint=_NO_PICKLE) from None


def _read_pt(path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    import torch  # only this format needs it

    numpy_parts: list[Any] = [np.dtype, np.ndarray, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "U1"))]
    rebuild = getattr(np, "_core", np).multiarray._reconstruct
    try:
        with torch.serialization.safe_globals([*numpy_parts, rebuild]):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be read with weights_only=True ({first_line})", file=path, hint=_NO_PICKLE) from None
    if isinstance(value, list):
        try:
            value = {key: [_array(entry[key]) for entry in value] for key in ARRAYS}
        except (KeyError, TypeError) as error:
            raise InputError(f"an entry of the list lacks {error}", file=path) from None
    if not isinstance(value, dict):
        raise InputError(f"holds a {type(value).__name__}, expected a list or a dict", file=path)
    return _from_arrays({key: _array(entry) for key, entry in value.items()}, path)


def _array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else value


def _from_arrays(arrays: Mapping[str, Any], path: Path) -> Predictions:
    missing = [key for key in ARRAYS if key not in arrays]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}; found {sorted(arrays)}", file=path)
    verbs, nouns = np.asarray(arrays["verb_output"]), np.asarray(arrays["noun_output"])
    ids = [str(segment_id) for segment_id in np.asarray(arrays["narration_id"]).tolist()]
    if verbs.ndim != 2 or nouns.ndim != 2 or not len(ids) == len(verbs) == len(nouns):
        raise InputError(
            f"expected verb_output [N, verbs], noun_output [N, nouns], narration_id [N]; "
            f"found {verbs.shape}, {nouns.shape}, {len(ids)}",
            file=path,
        )
    return {
        segment_id: _record(segment_id, *pair_scores(verb, noun), path)
        for segment_id, verb, noun in zip(ids, verbs, nouns, strict=True)
    }


def _record(segment_id: str, pairs: Iterable[Action], scores: Iterable[float], path: Path) -> SpecialistPrediction:
    values = {"segment_id": segment_id, "actions": tuple(pairs), "scores": tuple(scores)}
    return SpecialistPrediction.from_mapping(values, file=path)


def _refuse_pickle(path: Path, segment_ids: Sequence[str], actions: Sequence[Action]) -> Predictions:
    raise InputError("is a pickle; loading one runs whatever code is in it", file=path, hint=_NO_PICKLE)


_NO_PICKLE = (
    'where you trust the file, convert it once: python -c "import pickle, numpy as np; '
    "d = pickle.load(open('IN.pkl', 'rb')); np.savez('OUT.npz', **{k: np.asarray([e[k] for e in d]) "
    'for k in d[0]} if isinstance(d, list) else {k: np.asarray(v) for k, v in d.items()})"'
)

_READERS: dict[str, Callable[[Path, Sequence[str], Sequence[Action]], Predictions]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".zip": _read_zip,
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".pkl": _refuse_pickle,
    ".pickle": _refuse_pickle,
}
