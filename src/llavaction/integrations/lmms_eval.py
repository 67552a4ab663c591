"""Our backends as a model of lmms-eval: ``lmms-eval --model llavaction --model_args backend=...``.

Written for lmms-eval 0.7.3 (EvolvingLMMs-Lab), which finds :func:`manifest` by the entry point group
``lmms_eval.models``. It is imported where it is used, so that this module can be read and tested without it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from llavaction.actions.segments import END_OF_VIDEO, Clip
from llavaction.backends.asking import check_capability, frames_wanted, option_answers
from llavaction.backends.base import LETTERS_RULE, Backend, Query, Reads
from llavaction.backends.registry import make_backend
from llavaction.base.errors import InputError, reason
from llavaction.base.notes import note
from llavaction.base.records import Strict
from llavaction.questions.asked import LETTERS
from llavaction.questions.lmms_functions import VARIABLE
from llavaction.video.decode import read_clip
from llavaction.video.decoded import Frames, clips_ahead
from llavaction.video.library import VideoLibrary

NAME = "llavaction"
"""What ``--model`` calls it."""
LETTER_MARKS = " .():"
"""May stand around a letter that is scored."""

T = TypeVar("T")
Loss = tuple[float, bool]
"""What lmms-eval takes for a scored text: its loss in nats, and whether greedy decoding would write it."""


class LmmsEvalConfig(Strict):
    """The keys of ``--model_args`` that are not the backend's own."""

    backend: str = Field(default="bundled", description="Who is asked, as llavaction eval --backend takes it.")
    videos: Path | None = Field(
        default=None,
        description="Folder of the videos, whatever its layout. Without it videos are read at the path a task gives.",
    )
    frames: int | None = Field(
        default=None, ge=1, description="Frames per clip. By default as many as the backend wants."
    )
    batch_size: int = Field(default=1, ge=1, description="Questions per call of the backend.")
    workers: int = Field(default=1, ge=1, description="Threads that decode clips.")
    missing: Literal["stop", "wrong"] = Field(
        default="stop",
        description="What becomes of a question that cannot be asked, say because its video is missing: stop ends the "
        "run; wrong answers nothing, or a loss that is no number, which our exported tasks count as wrong.",
    )


@dataclass(frozen=True)
class Request:
    """One question of lmms-eval.

    Attributes:
        query_id: the question's own id where its document has one, else task and number.
        clip: the span to look at; its ``video_id`` is an id of the videos' folder, or the path of a file.
        prompt: the complete user text.
        answers: texts to be scored; none where the answer is written.
    """

    query_id: str
    clip: Clip
    prompt: str
    answers: tuple[str, ...] = ()


class Videos:
    """Clips by the id of a video in a folder, or by the path of a file.

    Args:
        folder: the folder; None where only paths are given.
    """

    def __init__(self, folder: Path | None) -> None:
        self._library = None if folder is None else VideoLibrary(folder)

    def __contains__(self, video_id: str) -> bool:
        return self._library is not None and not self._library.missing([video_id])

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> Frames:
        """As :meth:`llavaction.video.library.VideoLibrary.read`."""
        if self._library is not None and clip.video_id in self:
            return self._library.read(clip, count, segment_id=segment_id)
        return read_clip(clip.video_id, clip.start, None if clip.ends_with_video else clip.stop, count)


class Bridge:
    """Puts questions of lmms-eval to a backend.

    Args:
        config: the settings.
        options: the backend's own.

    Raises:
        InputError: the backend, an option or the folder of videos is wrong.
    """

    def __init__(self, config: LmmsEvalConfig, options: Mapping[str, Any]) -> None:
        self.config = config
        self.backend: Backend = make_backend(config.backend, **options)
        self.videos = Videos(config.videos)
        self.frames = frames_wanted(self.backend, config.frames, self.videos)

    def request(self, arguments: Sequence[Any], doc: Mapping[str, Any], answers: Sequence[str] = ()) -> Request:
        """A question from the arguments of an lmms-eval instance.

        Args:
            arguments: context, answer or settings, ``doc_to_visual``, number of the document, task, split.
            doc: the document.
            answers: texts to be scored.

        Raises:
            InputError: it shows something else than one video.
        """
        name = str(doc.get("question_id") or f"{arguments[4]} {arguments[3]}")
        nothing = Clip(video_id=name, start=0.0, stop=END_OF_VIDEO)
        visuals = arguments[2](doc) if self.frames and callable(arguments[2]) else ()
        clip = clip_of(visuals, name, self.videos) if self.frames else nothing
        return Request(name, clip, str(arguments[0]), tuple(answers))

    def written(self, requests: Sequence[Request]) -> list[str]:
        """What the backend writes to each.

        Raises:
            InputError: it cannot write; or a question cannot be asked and ``missing`` is "stop".
        """
        check_capability(self.backend, "generate")
        return self._each(requests, self.backend.generate, "")

    def losses(self, requests: Sequence[Request]) -> list[list[Loss]]:
        """The loss of each answer of each request, see :func:`letter_losses`.

        Letters are scored in one pass, as :meth:`Backend.score_options` does it. Other texts are scored as whole
        answers, the end of the turn included, by backends that read.

        Raises:
            InputError: the backend cannot score them; or a question cannot be asked and ``missing`` is "stop".
        """
        lettered = all(are_letters(request.answers) for request in requests)
        if lettered and self.backend.decision_rule == LETTERS_RULE:
            check_capability(self.backend, "score")
            return self._each(requests, self._letters, [])
        check_capability(self.backend, "read")
        return self._each(requests, self._texts, [])

    def _letters(self, queries: Sequence[Query]) -> list[list[Loss]]:
        return [
            letter_losses(scores.log_probabilities.tolist(), scores.letter_mass)
            for scores in option_answers(self.backend, queries)
        ]

    def _texts(self, queries: Sequence[Query]) -> list[list[Loss]]:
        assert isinstance(self.backend, Reads)
        scored = [self.backend.read(query).texts(query, query.options).raw.tolist() for query in queries]
        return [[(-score, score > math.log(0.5)) for score in scores] for scores in scored]

    def _each(self, requests: Sequence[Request], ask: Callable[[Sequence[Query]], Sequence[T]], lost: T) -> list[T]:
        """Answers in the order of the requests; ``lost`` stands for those that could not be asked."""
        size = max(self.config.batch_size, getattr(self.backend, "at_once", 0))
        batches = [requests[i : i + size] for i in range(0, len(requests), size)]
        library = self.videos if self.frames else None
        found: list[T] = []
        for batch, clips in clips_ahead(batches, library, self.frames, self.config.workers):
            asked = [Query(one.query_id, one.prompt, one.answers, clip) for one, clip in zip(batch, clips, strict=True)]
            found += self._batch(asked, ask, lost)
        return found

    def _batch(self, queries: Sequence[Query], ask: Callable[[Sequence[Query]], Sequence[T]], lost: T) -> list[T]:
        try:
            for query in queries:
                if query.clip is not None and query.clip.error is not None:
                    raise InputError(f"question '{query.query_id}': {query.clip.error}")
            return list(ask(queries))
        except InputError as error:
            if len(queries) > 1:
                return [answer for query in queries for answer in self._batch([query], ask, lost)]
            if self.config.missing == "stop":
                hint = error.hint or "missing=wrong in --model_args counts such a question as wrong"
                raise InputError(error.problem, file=error.file, line=error.line, hint=hint) from error
            note(f"not asked, counts as wrong: {reason(error)}")
            return [lost]


def are_letters(texts: Sequence[str]) -> bool:
    """Whether texts are the first letters of the alphabet, as "A", "A." or "(A)"."""
    return len(texts) > 1 and [text.strip(LETTER_MARKS) for text in texts] == list(LETTERS[: len(texts)])


def letter_losses(log_probabilities: Sequence[float], mass: float | None) -> list[Loss]:
    """Losses of option letters: minus the log-probability of each among all tokens, nats.

    lmms-eval's base class speaks of a log-probability, but its ``multiple_choice`` tasks take the smallest number
    (``api/task.py``: "since we return the actual loss in many model loglikelihood we just use the argmin here"), as
    its own models return losses. A letter is said to be greedy only where no other token can be likelier.

    Args:
        log_probabilities: of the letters, normalised over them.
        mass: probability of all of them among all tokens; None where not known, losses are then among them.
    """
    known = 1.0 if mass is None else mass
    shift = math.log(known) if known > 0 else -math.inf
    best = max(range(len(log_probabilities)), key=lambda place: log_probabilities[place])
    surely = mass is not None and math.exp(log_probabilities[best]) * known > 1 - known
    return [(-(score + shift), surely and place == best) for place, score in enumerate(log_probabilities)]


def clip_of(visuals: Any, name: str, videos: Videos) -> Clip:
    """The span of video a task shows: a path, or a mapping with the keys that lmms-eval's chat protocol uses.

    Args:
        visuals: what the task's ``doc_to_visual`` gave: a list of one path, or of one mapping with ``url`` or ``path``,
            ``video_start`` and ``video_end`` in seconds, and ``video_id`` where it comes from an exported benchmark.
        name: of the question, for messages.
        videos: where an id is looked for before a path.

    Raises:
        InputError: it is something else, such as images or several videos.
    """
    shown = list(visuals) if isinstance(visuals, list | tuple) else [visuals]
    if len(shown) != 1 or not isinstance(shown[0], str | Path | Mapping):
        kinds = ", ".join(type(one).__name__ for one in shown) or "nothing"
        raise InputError(f"question '{name}' shows {kinds}", hint="this model is asked about one video a question")
    visual = shown[0] if isinstance(shown[0], Mapping) else {"url": str(shown[0])}
    path, video_id = visual.get("url") or visual.get("path"), visual.get("video_id")
    place = video_id if isinstance(video_id, str) and video_id in videos else path
    if not place:
        raise InputError(f"question '{name}' shows no video that can be found", hint="videos=FOLDER names their folder")
    start, stop = visual.get("video_start"), visual.get("video_end")
    return Clip(video_id=str(place), start=start or 0.0, stop=END_OF_VIDEO if stop is None else stop)


def settings_of(arguments: Mapping[str, Any]) -> tuple[LmmsEvalConfig, dict[str, Any]]:
    """``--model_args`` as our settings and those of the backend, which checks them itself.

    lmms-eval adds ``batch_size`` (text), ``max_batch_size`` (not used here) and ``device`` to them.
    """
    own = {name: value for name, value in arguments.items() if name in LmmsEvalConfig.model_fields}
    rest = {name: value for name, value in arguments.items() if name not in own and name != "max_batch_size"}
    return LmmsEvalConfig.from_mapping(own), rest


def until(text: str, stops: Sequence[str]) -> str:
    """A text up to where the first of the stops begins."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


@cache
def model_class() -> type[Any]:
    """The class that lmms-eval makes, derived from its own.

    Raises:
        ModuleNotFoundError: lmms-eval is not installed.
    """
    from lmms_eval.api.instance import GenerationResult
    from lmms_eval.api.model import lmms

    class LlavactionModel(lmms):  # type: ignore[misc, unused-ignore]
        """Our backends; the arguments are the fields of :class:`LmmsEvalConfig` and the backend's own."""

        is_simple = True

        def __init__(self, **arguments: Any) -> None:
            super().__init__()
            self.bridge = Bridge(*settings_of(arguments))
            if self.bridge.config.videos is not None:
                os.environ.setdefault(VARIABLE, str(self.bridge.config.videos))  # where exported tasks look

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            """What the backend writes, up to the task's ``until``."""
            if any(request.args[1].get("do_sample") for request in requests):
                note("tasks ask for samples (do_sample); backends of llavaction write greedily")
            asked = [self.bridge.request(request.args, self._doc(request)) for request in requests]
            texts = self.bridge.written(asked)
            stops = [request.args[1].get("until") or () for request in requests]
            return [until(text, [s] if isinstance(s, str) else s) for text, s in zip(texts, stops, strict=True)]

        def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
            """The loss of each continuation; those of one question are scored together.

            They are wrapped, for 0.7.3 makes a text of a bare pair (``api/instance.py: unwrap_generation_output``).
            """
            if any(len(request.args) != 6 for request in requests):
                raise InputError("a text is to be scored without its question", hint="acc_mutual_info is not supported")
            asked, sizes = [], []
            for _, same in groupby(requests, key=lambda request: (*request.args[3:6], request.args[0])):
                group = list(same)
                answers = [self._continuation(request) for request in group]
                asked.append(self.bridge.request(group[0].args, self._doc(group[0]), answers))
                sizes.append(len(group))
            losses = self.bridge.losses(asked)
            rows = (row or [(math.nan, False)] * size for row, size in zip(losses, sizes, strict=True))
            return [GenerationResult(loss) for row in rows for loss in row]

        def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
            """Not to be had: every question is asked once."""
            raise InputError("tasks of several rounds cannot be asked", hint="take one with generate_until")

        def _doc(self, request: Any) -> Mapping[str, Any]:
            number, task, split = request.args[3:6]
            doc: Mapping[str, Any] = self.task_dict[task][split][number]
            return doc

        def _continuation(self, request: Any) -> str:
            text = request.args[1]
            return str(text(self._doc(request)) if callable(text) else text).strip()

    return LlavactionModel


def __getattr__(name: str) -> Any:
    if name == "LlavactionModel":
        return model_class()
    raise AttributeError(name)


def manifest() -> Any:
    """What the entry point gives to lmms-eval: the model's name and where its class is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, simple_class_path=f"{__name__}.LlavactionModel")
