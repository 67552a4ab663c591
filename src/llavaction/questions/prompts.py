"""Prompts: the words a question is put into.

Strings marked "published" are those of the published prompt builder (arXiv 2503.18712; repository
AdaptiveMotorControlLab/LLaVAction at commit bd9f465, ``llavaction/action/utils.py``), reproduced character for
character with their missing and double blanks and their misspelling: published checkpoints were trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from llavaction.base.errors import InputError
from llavaction.base.registry import suggestion
from llavaction.questions.asked import LETTERS, Asked, PriorAction
from llavaction.questions.schema import Question

QUESTION = "Which action does the video show?"
"""The question every benchmark of ours asks; prompts wrap it."""

PromptStyle = Literal[
    "letters", "published", "published_timed", "published_frame_times", "open", "published_open", "official"
]
"""``letters``: ours, asks for the letter alone. ``published``: the paper's prompt, asks for "A. move knife";
``published_timed`` begins with its sentence on the clip's length, ``published_frame_times`` names the frames' times.
``open`` and ``published_open`` do not list the options: the answer is to be the text of one. The latter is the paper's
prompt for direct narration, which asks for "move knife". ``official`` is the benchmark's own."""

SUBTITLES = "What is said in the video:"
"""Stands before subtitles in our own prompts; the published ones tell none."""

WITH_TIMES = {"published_timed": False, "published_frame_times": True}
"""Published prompts with the sentence on the clip's length, and whether the frames' times are in it."""

OPEN_PROMPTS: tuple[PromptStyle, ...] = ("open", "published_open")
"""Those that do not list the options."""

Perspective = Literal["first_person", "third_person"]
"""Whether the prompt says "you are the person" or speaks of "the person"."""

PRIOR_PROBABILITY = 0.3
"""How often prior actions entered a published training prompt."""

# Published. The first ends in a blank, the second does not; what follows sometimes brings its own.
_OPENINGS: dict[str, str] = {
    "first_person": (
        "You are seeing this video from egocentric view and you are the person. "
        "Your hands are sometimes interacting with objects. What action are you doing? "
    ),
    "third_person": (
        "The video is taken from egocentric view. The person's hands are sometimes interacting with objects. "
        "What action is the person doing?"
    ),
}
# Published.
_CHOICE = (
    "Given multiple choices, format your answer briefly such as 'A. move knife'. \n"
    "Here are the options of actions you are selecting:\n"
)
_CHOICE_AFTER_PRIOR = " What action are you currently performing? Here are the options of actions you can select:\n"
_DESCRIBE = (
    " Describe in details what you see from the video frames. "
    "You must talk in the first person perspective. Try to focus on what you are doing."
)
_AFTER_OPENING: dict[str, str] = {
    "direct_narration": " What action are you performing? Give a short sentence such as 'move knife'.",
    "gpt-gt-reason": _DESCRIBE + " ",
    "caption": _DESCRIBE + " ",
}
_AFTER_OPENING_WITH_OPTIONS: dict[str, str] = {
    "gpt-gt-strong-reason": (
        " Describe in details what you see and answer the multi-choice question. "
        "Explain why wrong answers are wrong and why the correct answer is correct. "
        "Here are the options of actions you are selecting:\n"
    ),
    "cot_mc": (
        " Describe what you see in details. Afterwards, briefly format your answer such as 'A. move knife'. \n"
        "Here are the options of choices you are selecting:\n"
    ),
}
_DPO = (
    "You are seeing this video from egocentric view and you are the person. "
    "Your hands are sometimes interacting with obects. Describe in details what you see and what you are doing."
)
_AS_ASKED: dict[str, str] = {
    "open-ended": "You are seeing this video from egocentric view and you are the person. ",
    "temporal_detection": "",
    "gpt-gt-instruct-reason": "",
    "gpt-hand-object": "",
}
_PRIOR_ALWAYS = ("temporal_cot_caption", "temporal_cot_pseudo", "temporal_cot_oracle")
_KNOWN_TYPES = (
    "mc_",
    *_PRIOR_ALWAYS,
    *_AFTER_OPENING,
    *_AFTER_OPENING_WITH_OPTIONS,
    "dpo",
    *_AS_ASKED,
)


def multiple_choice_prompt(
    question: Question | Asked,
    style: PromptStyle = "letters",
    *,
    perspective: Perspective = "first_person",
    seen: tuple[float, int] | None = None,
) -> str:
    """The whole user text of a question: what is asked, the options, how to answer. It holds no video placeholder.

    Args:
        question: the question.
        style: ``letters`` (question, one option a line, "Answer with the option's letter."), ``open`` (question,
            "Answer in a few words."), ``official`` (the benchmark's own), or one of the published ones, with their own
            wording of the question.
        perspective: for the published styles only.
        seen: seconds of the clip and how many frames of it are shown, for the styles with times.

    Raises:
        InputError: the style or the perspective is unknown, a style with times has no clip, or the benchmark has no
            official prompt.
    """
    prior = question.prior if isinstance(question, Asked) else ()
    story = [f"{action.offset} seconds before this clip, this began: {action.narration}." for action in prior]
    said = [line.text for line in question.subtitles] if isinstance(question, Asked) else []
    if style == "official":
        return _official_prompt(question, said)
    story += [SUBTITLES, *said] if said else []
    if style == "letters":
        return "\n".join([*story, question.question, *question.lettered_options, "Answer with the option's letter."])
    if style == "published" or style in WITH_TIMES:
        timing = ""
        if style in WITH_TIMES:
            if seen is None:
                raise InputError(f"prompt '{style}' tells a clip's length, and none is shown")
            timing = format_time_instruction(*seen, include_frame_time=WITH_TIMES[style])
        options = question.lettered_options
        return timing + format_task_related_prompt(options, "mc_", perspective=perspective, prior_actions=prior)
    if style == "open":
        return "\n".join([*story, open_prompt(question.question)])
    if style == "published_open":
        return format_task_related_prompt(question.question, "direct_narration", perspective=perspective)
    raise InputError(f"unknown prompt style '{style}'", hint=suggestion(style, get_args(PromptStyle)))


def _official_prompt(question: Question | Asked, said: Sequence[str]) -> str:
    template = question.template if isinstance(question, Asked) else None
    if template is None:
        raise InputError(
            "the benchmark has no official prompt", hint="take prompt 'letters', or name one under source.prompt"
        )
    texts = question.options if isinstance(question, Asked) else [option.text for option in question.options]
    return template.fill(question.question, list(zip(LETTERS, texts, strict=False)), said)


def open_prompt(question: str) -> str:
    """The user text of a question that is answered in free words."""
    return f"{question}\nAnswer in a few words."


def caption_prompt(style: PromptStyle, perspective: Perspective = "first_person") -> str:
    """The user text that asks for a caption of the clip: the published one for the published styles, else ours."""
    if "published" in style:
        return format_task_related_prompt((), "caption", perspective=perspective)
    return "Describe in one or two sentences what the person in the video does, with which objects, and how it ends."


def with_caption(prompt: str, caption: str, style: PromptStyle) -> str:
    """A prompt that begins with the model's own caption of the clip; the prompt alone where that is empty.

    The published code puts its sentence before the video, and repeats every n-th of the frames it had already thinned
    out; here video and caption stand in the usual order, and both turns see the same frames.
    """
    if not caption:
        return prompt
    if "published" in style:  # published, its blank at the end included
        return (
            f"You observed the video before and wrote down the notes: {caption}. "
            f"Now you watch the same video again and you can do better. {prompt}"
        )
    return f"Your caption of this video: {caption}\n{prompt}"


def format_task_related_prompt(
    question: str | Sequence[str],
    question_type: str,
    *,
    perspective: Perspective = "first_person",
    prior_actions: Sequence[PriorAction] = (),
    draw: float = 0.0,
) -> str:
    """The published prompt of a task, without image token and time instruction.

    Args:
        question: the lettered options ("A. wash plate", ...) of multiple-choice types; the question's text of
            ``open-ended``, ``temporal_detection``, ``gpt-gt-instruct-reason``, ``gpt-hand-object``; not used otherwise.
        question_type: any name that begins with ``mc_``, or one of the other published ones.
        perspective: has no effect on ``dpo``, ``open-ended`` and the types that are asked as they stand.
        prior_actions: what came before, oldest first; none by default. Only ``mc_*`` and ``temporal_cot_*`` use them.
        draw: the published code draws a uniform number in [0, 1) here; prior actions enter an ``mc_*`` prompt when it
            is below ``PRIOR_PROBABILITY`` (``temporal_cot_*`` always has them). The default, 0, lets them in.

    Raises:
        InputError: the type or the perspective is unknown, or a multiple-choice type got no list of options.
    """
    if perspective not in _OPENINGS:
        raise InputError(f"unknown perspective '{perspective}'", hint=suggestion(perspective, _OPENINGS))
    opening = _OPENINGS[perspective]
    if question_type in _AS_ASKED:
        return _AS_ASKED[question_type] + _text(question, question_type)
    if question_type in _AFTER_OPENING:
        return opening + _AFTER_OPENING[question_type]
    if question_type in _AFTER_OPENING_WITH_OPTIONS:
        return opening + _AFTER_OPENING_WITH_OPTIONS[question_type] + _joined(question, question_type)
    if question_type == "dpo":
        return _DPO
    return _choice_prompt(opening, question, question_type, prior_actions, draw)


def _choice_prompt(
    opening: str, question: str | Sequence[str], question_type: str, prior_actions: Sequence[PriorAction], draw: float
) -> str:
    always = question_type in _PRIOR_ALWAYS
    if not always and not question_type.startswith("mc_"):
        raise InputError(f"unknown question type '{question_type}'", hint=suggestion(question_type, _KNOWN_TYPES))
    if prior_actions and (always or draw < PRIOR_PROBABILITY):
        story = " ".join(
            f"{action.offset} seconds ago, you started an action {action.narration}." for action in prior_actions
        )
        if question_type == "temporal_cot_caption":
            return f"{opening} {story}{_DESCRIBE}"
        return f"{opening}\n{story}{_CHOICE_AFTER_PRIOR}{_joined(question, question_type)}"
    return opening + _CHOICE + _joined(question, question_type)


def format_time_instruction(video_duration: float, n_frames: int, *, include_frame_time: bool = False) -> str:
    """The published sentence on the clip's length (seconds) and number of frames.

    Args:
        video_duration: length of the clip in seconds.
        n_frames: how many frames are shown.
        include_frame_time: add the published frame times, multiples of duration / frames from 0 on (they name the start
            of each of the equal parts, although the frames are taken at the centres).
    """
    # Published; no blank follows the first sentence.
    text = (
        f"The provided video lasts for {video_duration:.3f} seconds, "
        f"and {n_frames} frames are uniformly sampled from it."
    )
    if include_frame_time:
        times = ", ".join(f"{index * (video_duration / n_frames):.2f}s" for index in range(n_frames))
        text += f"These frames are located at {times}. The video duration is {video_duration:.3f} seconds. "
    return text


def _joined(options: str | Sequence[str], question_type: str) -> str:
    if isinstance(options, str) or not options:
        raise InputError(f"question type '{question_type}' needs a list of lettered options, got {options!r:.80}")
    return ", ".join(options)


def _text(question: str | Sequence[str], question_type: str) -> str:
    if not isinstance(question, str):
        raise InputError(f"question type '{question_type}' needs the question as one text, got {question!r:.80}")
    return question
