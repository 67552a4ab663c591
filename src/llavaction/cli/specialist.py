"""``llavaction specialist``: train classifiers that propose actions, and let them predict."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from llavaction.base.plugins import named_folder
from llavaction.cli.asking import INCOMPLETE, MOST_FAILED, allow_missing
from llavaction.cli.challenge import challenge_table
from llavaction.cli.keys import set_option
from llavaction.cli.options import FILE, FOLDER, annotations_option, as_json, emit, frame_rates, mapping

Command = Callable[..., None]


def source_options(default_split: str) -> Callable[[Command], Command]:
    """The options that name segments and their videos."""

    def add(command: Command) -> Command:
        for option in (
            click.option(
                "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that decode."
            ),
            frame_rates,
            click.option("--split", default=default_split, show_default=True, help="Split of the annotations."),
            click.option("--videos", type=FOLDER, required=True, help="Folder of the videos."),
            annotations_option,
        ):
            command = option(command)
        return command

    return add


@click.group()
def specialist() -> None:
    """Train specialists (verb, noun and action classifiers) and let them predict."""


@specialist.command()
@source_options("train")
@click.option("--output", type=FOLDER, required=True, help="The specialist's folder; a stopped training is continued.")
@allow_missing
@set_option("llavaction.specialists.config:SpecialistConfig")
@as_json
def train(output: Path, allow_missing: bool, settings: tuple[str, ...], json_out: bool, **source: Any) -> None:
    """Train a specialist on a split.

    The default is a small network for rendered videos. For filmed ones, start from a local VideoMAE checkpoint: --set
    architecture=videomae --set checkpoint=FOLDER; --set epochs=20 and the like.
    """
    from llavaction.specialists.config import SpecialistConfig
    from llavaction.specialists.workflows import Source, train_split

    config = SpecialistConfig.from_mapping(mapping(settings))
    result = train_split(Source(**source), config, output, log=_log)
    text = f"specialist written to {output}: trained on {_used(result)}, {result['seconds']:.0f} s"
    emit(result, "\n".join(filter(None, [text, *_left_out(result)])), json_out)
    _end_by_lost(result, allow_missing)


@specialist.command()
@click.argument("folder", type=FOLDER)
@source_options("validation")
@click.option("--output", type=FILE, required=True, help="The .jsonl file of predictions to write.")
@click.option("--top-k", default=50, show_default=True, type=click.IntRange(min=1), help="Pairs kept per segment.")
@click.option("--all-pairs", is_flag=True, help="Rank every verb with every noun, not the pairs met in training.")
@click.option("--scores", type=FILE, help="Also write every class's score (.npz, the challenge's dict format).")
@click.option("--challenge", type=FILE, help="Also write an EPIC-KITCHENS-100 submission (.zip, .json), and check it.")
@allow_missing
@set_option("llavaction.specialists.challenge:SupervisionLevels")
@as_json
def predict(
    folder: Path,
    output: Path,
    top_k: int,
    all_pairs: bool,
    scores: Path | None,
    challenge: Path | None,
    allow_missing: bool,
    settings: tuple[str, ...],
    json_out: bool,
    **source: Any,
) -> None:
    """Predict a split and say how often it is right, where its classes are known.

    FOLDER is a specialist's, or a name that a plug-in knows, such as "bundled" for that of kitchen_mini. --set gives
    the submission's supervision levels: pretraining, labels, data.
    """
    from llavaction.specialists.challenge import SupervisionLevels
    from llavaction.specialists.workflows import Source, predict_split

    levels = SupervisionLevels.from_mapping(mapping(settings))
    if not folder.exists():
        folder = named_folder("SPECIALISTS", str(folder)) or folder
    result = predict_split(
        folder,
        Source(**source, unlabelled=True),
        output,
        top_k=top_k,
        all_pairs=all_pairs,
        scores=scores,
        challenge=challenge,
        levels=levels,
        log=_log,
    )
    emit(result, f"{_accuracies(result)}\npredictions of {_used(result)} written to {output}", json_out)
    _end_by_lost(result, allow_missing)


@specialist.command()
@source_options("train")
@click.option("--folds", default=5, show_default=True, type=click.IntRange(min=2), help="Parts, by video.")
@click.option("--top-k", default=50, show_default=True, type=click.IntRange(min=1), help="Pairs kept per segment.")
@click.option("--output", type=FOLDER, required=True, help="Folder of predictions.jsonl and the folds' specialists.")
@allow_missing
@set_option("llavaction.specialists.config:SpecialistConfig")
@as_json
def folds(
    output: Path,
    folds: int,
    top_k: int,
    allow_missing: bool,
    settings: tuple[str, ...],
    json_out: bool,
    **source: Any,
) -> None:
    """Predict each part of a split by a specialist trained on the other parts; --set as for train."""
    from llavaction.specialists.config import SpecialistConfig
    from llavaction.specialists.workflows import Source, train_folds

    config = SpecialistConfig.from_mapping(mapping(settings))
    result = train_folds(Source(**source), config, output, folds=folds, top_k=top_k, log=_log)
    emit(result, f"{_accuracies(result)}\npredictions of {_used(result)} written to {result['output']}", json_out)
    _end_by_lost(result, allow_missing)


def _accuracies(result: dict[str, Any]) -> str:
    accuracy = result["accuracy"]
    said = challenge_table(accuracy, "accuracy") if accuracy else "the classes of this split are not known"
    return "\n".join([said, *_left_out(result)])


def _used(result: dict[str, Any]) -> str:
    return f"{result['used']} of {result['segments']} segments"


def _left_out(result: dict[str, Any]) -> list[str]:
    """Lines on what could not be used, and why."""
    without = result["segments"] - result["used"]
    faults = result["faults"] or (f"{without} of {result['segments']} segments left out" if without else "")
    rows = result["rows_left_out"]
    return [line for line in (faults, f"{rows} rows of the table left out, named above" if rows else "") if line]


def _end_by_lost(result: dict[str, Any], allow_missing: bool) -> None:
    """End with a status that tells if much could not be used."""
    if result["lost"] > MOST_FAILED and not allow_missing:
        click.echo(f"{result['lost']:.0%} of the segments could not be used, more than {MOST_FAILED:.0%}", err=True)
        click.echo("  hint: mend the cause and give another --output; or accept it with --allow-missing", err=True)
        sys.exit(INCOMPLETE)


def _log(line: str) -> None:
    click.echo(line, err=True)
