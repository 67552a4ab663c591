"""``llavaction fuse``: fit the weights that join the stages of a recognition."""

from __future__ import annotations

from pathlib import Path

import click

from llavaction import api
from llavaction.cli.options import FILE, FOLDER, as_json, emit, table


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--stages", help="Which to join, with commas between them. By default all that scored.")
@click.option("--output", type=FILE, required=True, help="The JSON file to write, for: llavaction recognise --fusion.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the folds.")
@as_json
def fuse(run: Path, stages: str | None, output: Path, seed: int, json_out: bool) -> None:
    """Fit weights and a temperature that join the stages of RUN, the recognition of a labelled split.

    Take a split that neither the model nor the specialist was trained on, such as validation.
    """
    wanted = None if stages is None else [stage.strip() for stage in stages.split(",") if stage.strip()]
    fusion = api.fuse(run, output, stages=wanted, seed=seed)
    facts = fusion.fitted_on
    rows = [
        [stage, f"{weight:.3f}", f"{alone['accuracy']:.1%}", f"{alone['log_likelihood']:.3f}"]
        for stage, weight in fusion.weights.items()
        for alone in (facts["held_out_alone"][stage],)
    ]
    joined = facts["held_out"]
    rows.append(["all joined", "", f"{joined['accuracy']:.1%}", f"{joined['log_likelihood']:.3f}"])
    header = ["stage", "weight", "right", "log-likelihood"]
    text = (
        f"{table(rows, header)}\non clips of videos that the weights were not fitted on; {facts['clips']} clips of "
        f"{facts['videos']} videos, temperature {fusion.temperature:.2f}\nwritten to {output}"
    )
    emit(fusion.model_dump(mode="json"), text, json_out)
