"""A specialist's predictions for training segments, each by a specialist that was not trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llavaction.actions.segments import SegmentTable
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.specialists.predictions import Expected, Predictions, check_classes, load_predictions


def load_out_of_fold(
    paths: Sequence[Path], table: SegmentTable, vocabulary: ActionVocabulary
) -> tuple[Predictions, list[str]]:
    """Join the predictions of several folds.

    A specialist names the right class of what it was trained on, and its mistakes there are not those it makes in use:
    distractors for training have to come from specialists that have not seen the segment.

    Args:
        paths: one file whose predictions name their fold, or one file a fold.
        table: the segments; predictions for others are left out.
        vocabulary: the classes that may be predicted.

    Returns:
        Predictions by segment id, and notes: of files that do not say which clips and classes they are about; and
        nobody can tell from a single file without folds whether it is out of fold.

    Raises:
        InputError: a file cannot be read or is of other clips or classes, two files predict the same segment, or a
            class does not exist.
    """
    ids = [segment.segment_id for segment in table]
    expected, notes = Expected.of(table, vocabulary), list[str]()
    joined: Predictions = {}
    origin: dict[str, Path] = {}
    for path in paths:
        predictions = load_predictions(
            path, ids, vocabulary.actions, partial=len(paths) > 1, expected=expected, say=notes.append
        )
        check_classes({name: item for name, item in predictions.items() if name in table}, vocabulary, path)
        for segment_id, prediction in predictions.items():
            if segment_id not in table:
                continue
            if segment_id in joined:
                raise InputError(
                    f"predicts '{segment_id}', which {origin[segment_id].name} predicts too",
                    file=path,
                    hint="out-of-fold predictions have each segment once, in the file of the fold it was held out with",
                )
            joined[segment_id], origin[segment_id] = prediction, path
    folds = {prediction.fold for prediction in joined.values()}
    if len(paths) == 1 and (None in folds or len(folds) < 2):
        notes.append(
            f"{paths[0].name} does not name folds: make sure that its specialist was not trained on these segments"
        )
    return joined, notes
