"""Recognition of a whole split, from its files: annotations, the specialist's predictions, videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llavaction.backends.cached import cached
from llavaction.backends.known import informed_backend, known_of_segments
from llavaction.base.notes import note
from llavaction.datasets.registry import open_annotations
from llavaction.recognition.challenge import write_recognitions
from llavaction.recognition.config import FROM_READING, RecognitionConfig
from llavaction.recognition.runner import RecognitionResult, recognise
from llavaction.specialists.challenge import SupervisionLevels, check_target, verdict
from llavaction.specialists.predictions import Expected, load_predictions
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import Rates


def recognise_split(
    config: RecognitionConfig,
    output: str | Path,
    *,
    fps: Rates | None = None,
    retry_failed: bool = False,
    cache: bool | str | Path = True,
    challenge: str | Path | None = None,
    levels: SupervisionLevels | None = None,
    say: Callable[[str], None] = note,
) -> RecognitionResult:
    """Recognise the segments of a split, see :func:`recognise`.

    Args:
        config: the settings, which name all files.
        output: the run folder.
        fps: rate of folders of images, see :mod:`llavaction.video.rates`.
        retry_failed: ask those again whose video could not be read last time.
        cache: file of answers, see :func:`llavaction.backends.cached.cached`; used where no stage reads clips.
        challenge: file for an EPIC-KITCHENS-100 submission, see
            :func:`llavaction.recognition.challenge.write_recognitions`; what it would be refused for is said.
        levels: declared with it; their defaults by default.
        say: takes what was understood of the annotations.

    Raises:
        InputError: a file cannot be read, predictions are of other segments or classes, the submission is no
            .zip or .json file or the labels are no verb-noun pairs, or as :func:`recognise`.
    """
    dataset = open_annotations(config.annotations)
    segments, vocabulary = list(dataset.segments(config.split, unlabelled=True)), dataset.vocabulary
    if challenge is not None:
        check_target(challenge, one_label=vocabulary.one_label)
    for remark in (*dataset.remarks, *dataset.notes):
        say(str(remark))
    ids, expected = [segment.segment_id for segment in segments], Expected.of(segments, vocabulary)
    file = config.predictions if "specialist" in config.all_stages else None
    proposed = {} if file is None else load_predictions(file, ids, vocabulary.actions, expected=expected)
    known = known_of_segments(segments, vocabulary, lambda: config.offers(segments, proposed, vocabulary))
    backend = informed_backend(config.backend, config.backend_options, known, "annotations")
    if not any(stage in FROM_READING for stage in config.all_stages):
        backend = cached(backend, cache)
    library = VideoLibrary(config.videos, fps=fps) if config.videos and backend.needs_frames else None
    groups = dataset.groups(config.split)
    result = recognise(
        config, segments, proposed, vocabulary, backend, library, output, groups=groups, retry_failed=retry_failed
    )
    if challenge is not None:
        write_recognitions(challenge, result.recognitions, vocabulary, levels)
        left_out = len(dataset.refused(config.split)[0])
        for line in verdict(challenge, ids, vocabulary.verbs.keys(), vocabulary.nouns.keys(), left_out):
            say(line)
    return result
