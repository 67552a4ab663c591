"""One question about one video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavaction.base.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llavaction.actions.segments import Clip
    from llavaction.backends.base import Backend


@dataclass(frozen=True)
class Answer:
    """What a model says of a clip.

    Attributes:
        text: the likeliest option, or the answer in its own words.
        clip: what was looked at.
        question: what was asked.
        options: what it could choose from.
        probabilities: float64 [options], adding up to 1; empty for an answer in words.
        letter_mass: probability that the answer begins with an option's letter at all; None where that is not known.
        decision_rule: how options were scored; empty for an answer in words.
        note: what kept the clip from being complete; None where nothing did.
        stand_ins: places of the frames that stood in for missing ones.
    """

    text: str
    clip: Clip
    question: str
    options: tuple[str, ...]
    probabilities: NDArray[np.float64]
    letter_mass: float | None = None
    decision_rule: str = ""
    note: str | None = None
    stand_ins: tuple[int, ...] = ()


def ask(
    video: str | Path,
    question: str | None = None,
    *,
    model: str | Path | Backend,
    options: Sequence[str] = (),
    start: float = 0.0,
    stop: float | None = None,
    frames: int | None = None,
    model_options: Mapping[str, Any] | None = None,
) -> Answer:
    """Ask a model about a video: in its own words, or which of the options is likeliest.

    Args:
        video: the file.
        question: None asks which action the video shows.
        model: see :func:`llavaction.load_model`; one that was loaded before is not loaded again.
        options: possible answers, 2 to 26 different ones; none for an answer in the model's own words.
        start: when the clip begins, in seconds from the video's beginning.
        stop: when it ends; None for the video's end.
        frames: how many to look at; None as many as the model was trained with, or 16.
        model_options: see :func:`llavaction.load_model`.

    Raises:
        InputError: the clip is not within the video, the options are no options, or the model does not look.
        VideoError: no frame can be decoded.

    Examples:
        >>> answer = ask(video, model="bundled", options=["open drawer", "close drawer"])
        >>> round(float(answer.probabilities.sum()), 6)
        1.0
    """
    import numpy as np

    from llavaction.backends.asking import check_capability, check_frames, choose, option_answers
    from llavaction.backends.base import Query
    from llavaction.backends.registry import make_backend
    from llavaction.questions.asked import Asked, checked_options
    from llavaction.questions.prompts import QUESTION, multiple_choice_prompt
    from llavaction.video.decode import read_clip
    from llavaction.video.decoded import decoded

    words, texts = QUESTION if question is None else question, checked_options(options)
    if not words.strip():
        raise InputError("the question is empty", hint="leave it out to ask which action the video shows")
    path = Path(video)
    clip = _clip(path, start, stop, frames or 1)
    named = isinstance(model, str | Path)
    settings = {**(model_options or {}), **({} if frames is None else {"frames": frames})}
    if not named and settings:
        raise InputError("a model that is loaded already takes no options", hint="give them to load_model")
    backend = make_backend(str(model), **settings) if isinstance(model, str | Path) else model
    if not backend.needs_frames:
        raise InputError(
            f"'{backend.name}' would answer without looking at the video", hint="it needs at least one frame"
        )
    check_frames(backend, backend.needs_frames)
    check_capability(backend, "score" if texts else "generate")
    asked = Asked(path.name, clip, words, texts)
    seen = read_clip(path, clip.start, clip.stop, backend.needs_frames)
    if not len(seen):
        raise seen.error or InputError("no frame can be decoded", file=path)
    shown = decoded(seen, clip)
    query = Query(asked.query_id, multiple_choice_prompt(asked) if texts else words, texts, shown)
    if not texts:
        words_of_model = backend.generate([query])[0]
        return Answer(words_of_model, clip, words, (), np.empty(0), note=shown.note, stand_ins=shown.stand_ins)
    scores = option_answers(backend, [query])[0]
    choice = choose(scores.log_probabilities)
    return Answer(
        texts[choice.place],
        clip,
        words,
        texts,
        choice.shares,
        letter_mass=scores.letter_mass,
        decision_rule=backend.decision_rule,
        note=shown.note,
        stand_ins=shown.stand_ins,
    )


def _clip(video: Path, start: float, stop: float | None, frames: int) -> Clip:
    """The span to look at.

    Raises:
        InputError: it is empty, not within the video, or has fewer frames than were asked for.
    """
    from llavaction.actions.segments import Clip
    from llavaction.video.probe import probe

    info = probe(video)
    end = info.duration if stop is None else stop
    if end <= start:
        raise InputError(f"the clip would end at {end:g} s, which is not after its start at {start:g} s", file=video)
    if start < 0 or end > info.duration + 1e-6:
        raise InputError(
            f"asked for {start:g} to {end:g} s of a video that lasts {info.duration:.2f} s",
            file=video,
            hint="--start and --stop count from its beginning: seconds, MM:SS or HH:MM:SS",
        )
    if frames > (there := max(round((end - start) * info.rate), 1)):
        raise InputError(f"asked for {frames} frames of a clip that has {there}", file=video, hint="lower --frames")
    return Clip(video_id=video.stem, start=start, stop=end)
