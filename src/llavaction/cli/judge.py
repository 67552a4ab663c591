"""``llavaction judge``: let a language model judge answers in free words."""

from __future__ import annotations

from pathlib import Path

import click

from llavaction import api
from llavaction.cli.asking import allow_missing, end_by_failures
from llavaction.cli.keys import set_option
from llavaction.cli.options import FOLDER, as_json, emit, mapping


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--backend", required=True, help="The judge: bundled, a checkpoint folder, or endpoint:URL.")
@click.option(
    "--prompt",
    default="video_chatgpt",
    show_default=True,
    help="How it is asked: video_chatgpt (as for ActivityNet-QA), egotempo, or a YAML file with text, right, wrong.",
)
@click.option("--retry-failed", is_flag=True, help="Ask again about answers it could not be asked about.")
@allow_missing
@set_option("llavaction.backends.huggingface_config:HuggingFaceConfig")
@as_json
def judge(
    run: Path,
    backend: str,
    prompt: str,
    retry_failed: bool,
    allow_missing: bool,
    settings: tuple[str, ...],
    json_out: bool,
) -> None:
    """Have the answers of RUN, a run on questions without options, judged right or wrong.

    The judge sees the question, the right answer and the answer given, not the video. What it says is kept in
    RUN/judged-PROMPT.
    """
    metrics = api.judge(run, backend, prompt, model_options=mapping(settings), retry_failed=retry_failed)
    counts, accuracy, judged = metrics["counts"], metrics["accuracy"], metrics["accuracy_of_judged"]
    lines = [f"right {accuracy['value']:.1%} [{accuracy['low']:.1%}, {accuracy['high']:.1%}] of {counts['answers']}"]
    if judged is not None and counts["judged"] < counts["answers"]:
        lines.append(f"of the {counts['judged']} judged {judged['value']:.1%}; {counts['unread']} could not be read")
    if metrics["score"] is not None:
        lines.append(f"mean score {metrics['score']['value']:.2f} of 5")
    emit(metrics, "\n".join(lines), json_out)
    failed = ["the judge could not be asked"] * counts["failed"]
    end_by_failures(failed, counts["answers"], "answers were not judged", allow_missing)
