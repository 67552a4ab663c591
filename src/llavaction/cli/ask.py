"""``llavaction ask``: one question about one video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from llavaction import api
from llavaction.base.plugins import with_plugins
from llavaction.cli.asking import model_settings
from llavaction.cli.generated import config_options
from llavaction.cli.options import FILE, MOMENT, as_json, emit, mapping, table
from llavaction.questions.asked import lettered
from llavaction.questions.prompts import QUESTION


@click.command("ask")
@click.argument("video", type=FILE)
@click.argument("question", default=QUESTION)
@click.option("--model", required=True, help="A checkpoint folder, bundled, or endpoint:URL.")
@click.option(
    "--start", type=MOMENT, default=0.0, show_default=True, help="When the clip begins: seconds, MM:SS or HH:MM:SS."
)
@click.option("--stop", type=MOMENT, help="When it ends; the video's end by default.")
@click.option(
    "--options", multiple=True, metavar="TEXT", help="A possible answer; repeat it, or give all, separated by commas."
)
@config_options("llavaction.backends.asking_config:AskingConfig", "frames")
@model_settings
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
    if note := with_plugins("NOTES").get(model):
        click.echo(f"note: {note}", err=True)
    answer = api.ask(
        video,
        question,
        model=model,
        options=parted(options),
        start=start,
        stop=stop,
        frames=frames,
        model_options=mapping(settings),
    )
    if answer.note is not None:
        click.echo(f"note: the clip is not complete: {answer.note}", err=True)
    lacking = {} if answer.note is None else {"note": answer.note, "stand_ins": list(answer.stand_ins)}
    said: dict[str, Any] = {"question": answer.question, "clip": answer.clip.model_dump(), "answer": answer.text}
    if not answer.options:
        emit(said | lacking, answer.text or "(nothing)", json_out)
        return
    lettered_options, shares = lettered(answer.options), answer.probabilities
    rows = [[lettered_options[i], f"{shares[i]:.1%}"] for i in sorted(range(len(shares)), key=lambda i: -shares[i])]
    said |= {
        "decision_rule": answer.decision_rule,
        "letter_mass": answer.letter_mass,
        "options": [
            {"text": option, "probability": float(share)} for option, share in zip(answer.options, shares, strict=True)
        ],
    }
    text = table(rows, ["option", "probability"])
    if answer.letter_mass is not None:
        from llavaction.backends.letter_mass import LITTLE

        text += f"\nprobability on the letters: {answer.letter_mass:.1%}"
        text += "\nthe model would hardly answer by a letter" if answer.letter_mass < LITTLE else ""
    emit(said | lacking, text, json_out)


def parted(options: Sequence[str]) -> list[str]:
    """The possible answers: one per option given, or the parts of a single one between its commas."""
    return options[0].split(",") if len(options) == 1 else list(options)
