"""Asking a model how likely every label is for a clip: each clip is read once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from llavaction.actions.segments import Clip
from llavaction.backends.asking import DECIMALS, FLOOR, query
from llavaction.backends.base import Backend, Query, Reads, TextScores
from llavaction.base.errors import InputError, reason
from llavaction.datasets.multi_label import LabelledClip
from llavaction.questions.asked import Asked
from llavaction.questions.prompts import QUESTION, PromptStyle
from llavaction.recognition.clip_scores import ClipScores
from llavaction.recognition.multi_label_config import MultiLabelConfig, ScoreForm
from llavaction.recognition.stages import Floats
from llavaction.video.decoded import Clips, DecodedClip, Library

UNKNOWN_LENGTH = 1.0
"""Seconds that a whole video is said to last where nobody looks at it."""

_FORMS: Mapping[ScoreForm, Callable[[TextScores], Floats]] = {
    "prior": lambda likelihoods: likelihoods.prior_corrected,
    "length": lambda likelihoods: likelihoods.per_token,
    "raw": lambda likelihoods: likelihoods.raw,
}


@dataclass(frozen=True)
class ClipItem:
    """A clip that is to be scored, as a run deals with it.

    Attributes:
        labelled: as it is annotated.
        clip: its span, a whole video's length found out.
        problem: why that cannot be known.
    """

    labelled: LabelledClip
    clip: Clip
    problem: str | None = None

    @property
    def query_id(self) -> str:
        """The clip's id."""
        return self.labelled.clip_id


def items_of(clips: Sequence[LabelledClip], library: Library | None, workers: int) -> list[ClipItem]:
    """The clips with their spans in seconds.

    Args:
        clips: a whole video has no end.
        library: knows how long videos are; None where nobody looks.
        workers: threads that look into videos.
    """
    length_of: Callable[[str, str], float] | None = getattr(library, "length", None)

    def item(clip: LabelledClip) -> ClipItem:
        stop, problem = clip.stop, None
        if stop is None:
            stop = clip.start + UNKNOWN_LENGTH
            if length_of is not None:
                try:
                    length = length_of(clip.video_id, clip.clip_id)
                    if length > clip.start:
                        stop = length
                    else:
                        problem = f"the video ends at {length:.2f} s, before the clip starts at {clip.start:.2f} s"
                except Exception as error:  # a damaged file may raise anything
                    problem = reason(error)
        return ClipItem(clip, Clip(video_id=clip.video_id, start=clip.start, stop=stop), problem)

    with ThreadPoolExecutor(workers, thread_name_prefix="lengths") as pool:
        return list(pool.map(item, clips))


class ClipScorer:
    """Scores every class for batches of clips.

    Args:
        config: how it is asked.
        backend: the model; it reads a clip once and is then asked about every class.
        classes: their names.

    Raises:
        InputError: the backend does not read.
    """

    def __init__(self, config: MultiLabelConfig, backend: Backend, classes: Sequence[str]) -> None:
        if not isinstance(backend, Reads) or "read" not in backend.capabilities:
            raise InputError(
                f"backend '{backend.name}' does not say how likely every label is for a clip",
                hint="take a Hugging Face checkpoint, or give a file of scores",
            )
        self._reads: Reads = backend
        self._config, self._classes = config, tuple(classes)

    def __call__(self, batch: Sequence[ClipItem], clips: Clips) -> list[ClipScores]:
        """One record a clip; one that cannot be scored has an error, the others are as without it."""
        return [self._record(item, clip) for item, clip in zip(batch, clips, strict=True)]

    def _record(self, item: ClipItem, clip: DecodedClip | None) -> ClipScores:
        labelled, kept = item.labelled, {} if clip is None else clip.record_fields
        place = {"clip_id": item.query_id, "video_id": labelled.video_id, "start": labelled.start}
        place |= {"stop": labelled.stop, **kept}
        problem = item.problem or (None if clip is None else clip.error)
        if problem is None:
            try:
                return ClipScores(**place, scores=self._scores(item, clip))
            except InputError as error:
                problem = reason(error)
        return ClipScores(**place, error=problem)

    def _scores(self, item: ClipItem, clip: DecodedClip | None) -> dict[str, float]:
        style: PromptStyle = "published_open" if self._config.prompt.startswith("published") else "open"
        asked = query(Asked(item.query_id, item.clip, QUESTION), clip, style, self._config.perspective)
        likelihoods = self._reads.read(Query(item.query_id, "", (), clip)).texts(asked, self._classes)
        scores = np.maximum(_FORMS[self._config.form](likelihoods), FLOOR)
        if scores.shape != (len(self._classes),) or not np.isfinite(scores).all():
            raise InputError(f"the backend's scores of {len(self._classes)} classes are not all numbers")
        return {name: round(float(score), DECIMALS) + 0.0 for name, score in zip(self._classes, scores, strict=True)}
