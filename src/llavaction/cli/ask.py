"""``llavaction ask``: one question about one video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from llavaction.actions.segments import Clip
from llavaction.backends.asking import check_frames, option_answers
from llavaction.backends.base import Query
from llavaction.backends.letter_mass import LITTLE
from llavaction.backends.registry import make_backend
from llavaction.base.errors import InputError
from llavaction.base.plugins import with_plugins
from llavaction.base.text import same_when_read
from llavaction.cli.keys import set_option
from llavaction.cli.options import FILE, MOMENT, as_json, emit, mapping, table
from llavaction.questions.prompts import QUESTION, multiple_choice_prompt
from llavaction.questions.schema import LETTERS, OpenQuestion, Option, Provenance, Question
from llavaction.video.decode import read_clip
from llavaction.video.probe import probe


@click.command("ask")
@click.argument("video", type=FILE)
@click.argument("question", default=QUESTION)
@click.option("--model", required=True, help="A checkpoint folder, or bundled.")
@click.option(
    "--start", type=MOMENT, default=0.0, show_default=True, help="When the clip begins: seconds, MM:SS or HH:MM:SS."
)
@click.option("--stop", type=MOMENT, help="When it ends; the video's end by default.")
@click.option(
    "--options", multiple=True, metavar="TEXT", help="A possible answer; repeat it, or give all, separated by commas."
)
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    help="Frames to look at; by default as many as the model was trained with, or 16.",
)
@set_option("llavaction.backends.huggingface_config:HuggingFaceConfig")
@as_json
def ask(
    video: Path,
    question: str,
    model: str,
    start: float,
    stop: float | None,
    options: tuple[str, ...],
    frames: int | None,
    settings: tuple[str, ...],
    json_out: bool,
) -> None:
    """Ask a model QUESTION about VIDEO: in its own words, or which of --options is likeliest."""
    texts = answers(options)
    if not question.strip():
        raise InputError("the question is empty", hint="leave it out to ask which action the video shows")
    clip = _clip(video, start, stop, frames or 1)
    backend = make_backend(model, **mapping(settings), **({} if frames is None else {"frames": frames}))
    if not backend.needs_frames:
        raise InputError(f"'{model}' would answer without looking at the video", hint="it needs at least one frame")
    check_frames(backend, backend.needs_frames)
    if said := with_plugins("NOTES").get(model):
        click.echo(f"note: {said}", err=True)
    asked: Question | OpenQuestion
    if texts:
        asked = Question(
            question_id=video.name,
            clip=clip,
            question=question,
            options=tuple(Option(text=text) for text in texts),
            answer=0,  # not known; only the oracle would look at it
            provenance=Provenance(miner="person", text_pool="person"),
        )
        prompt = multiple_choice_prompt(asked)
    else:
        asked, prompt = OpenQuestion(question_id=video.name, clip=clip, question=question), question
    seen = read_clip(video, clip.start, clip.stop, backend.needs_frames)
    if not len(seen):
        raise seen.error or InputError("no frame can be decoded", file=video)
    lacking = {}
    if seen.error is not None:
        lacking = {"note": seen.error.problem, "stand_ins": list(seen.stand_ins)}
        click.echo(f"note: the clip is not complete: {seen.error.problem}", err=True)
    query = Query(asked, prompt, seen.images, seen.times - clip.start)
    if not texts:
        answer = backend.generate([query])[0]
        said = {"question": question, "clip": clip.model_dump(), "answer": answer}
        emit(said | lacking, answer or "(nothing)", json_out)
        return
    found = option_answers(backend, [query])[0]
    scores = found.log_probabilities
    shares = np.exp(scores - np.logaddexp.reduce(scores))
    order = np.argsort(-shares, kind="stable")
    rows = [[f"{LETTERS[i]}. {texts[i]}", f"{shares[i]:.1%}"] for i in order]
    result = {
        "question": question,
        "clip": clip.model_dump(),
        "answer": texts[order[0]],
        "decision_rule": backend.decision_rule,
        "letter_mass": found.letter_mass,
        "options": [{"text": texts[i], "probability": float(shares[i])} for i in range(len(texts))],
    }
    text = table(rows, ["option", "probability"])
    if found.letter_mass is not None:
        text += f"\nprobability on the letters: {found.letter_mass:.1%}"
        text += "\nthe model would hardly answer by a letter" if found.letter_mass < LITTLE else ""
    emit(result | lacking, text, json_out)


def answers(options: Sequence[str]) -> list[str]:
    """The possible answers: one per option given, or the parts of a single one between its commas.

    Raises:
        InputError: there is only one, too many, or one twice.
    """
    texts = [part.strip() for part in (options[0].split(",") if len(options) == 1 else options)]
    if len(texts) == 1 or "" in texts or len(set(map(same_when_read, texts))) < len(texts) or len(texts) > len(LETTERS):
        raise InputError(
            f"--options are {texts}; needed are 2 to {len(LETTERS)} different texts",
            hint="--options 'take plate' --options 'put plate', or --options 'take plate, put plate'",
        )
    return texts


def _clip(video: Path, start: float, stop: float | None, frames: int) -> Clip:
    """The span to look at.

    Raises:
        InputError: it is empty, not within the video, or has fewer frames than were asked for.
    """
    info = probe(video)
    duration = info.duration
    stop = duration if stop is None else stop
    if stop <= start:
        raise InputError(f"the clip would end at {stop:g} s, which is not after its start at {start:g} s", file=video)
    if stop > duration + 1e-6:
        raise InputError(
            f"asked for {start:g} to {stop:g} s of a video that lasts {duration:.2f} s",
            file=video,
            hint="--start and --stop count from its beginning: seconds, MM:SS or HH:MM:SS",
        )
    if frames > (there := max(round((stop - start) * info.rate), 1)):
        raise InputError(f"asked for {frames} frames of a clip that has {there}", file=video, hint="lower --frames")
    return Clip(video_id=video.stem, start=start, stop=stop)
