"""``llavaction data``: data that is made, not downloaded, and records to train on."""

from __future__ import annotations

from pathlib import Path

import click

from llavaction.cli.keys import set_option
from llavaction.cli.lazy import LazyGroup
from llavaction.cli.options import FILE, annotations_option, as_json, emit, mapping, say_notes

COMMANDS = {
    "curate": ("llavaction.cli.curate:curate", "Make training records of the segments of a split."),
    "import": (
        "llavaction.cli.curate:import_records",
        "Turn LLaVA's conversation JSON (or JSON Lines) into training records.",
    ),
    "export": (
        "llavaction.cli.curate:export_records",
        "Write a records.jsonl as LLaVA, TRL, ms-swift or LLaMA-Factory read it.",
    ),
    "simulate-specialist": (
        "llavaction.cli.data:simulate_specialist",
        "Make up a specialist's predictions by a documented noise model (to try things out).",
    ),
}
"""Command name to where it is and what it does; imported only when called. Plug-ins add to them."""


@click.group(cls=LazyGroup, lazy=COMMANDS, plugins="DATA_COMMANDS")
def data() -> None:
    """Make data: training records, made-up predictions; rendered videos."""


@click.command("simulate-specialist")
@annotations_option
@click.option("--split", required=True, help="Split to predict.")
@click.option("--output", type=FILE, required=True, help="The .jsonl file to write.")
@set_option("llavaction.specialists.simulated:NoiseModel")
@as_json
def simulate_specialist(annotations: Path, split: str, output: Path, settings: tuple[str, ...], json_out: bool) -> None:
    """Make up a specialist's predictions by a documented noise model (for trying things out, not for results)."""
    from llavaction.datasets.registry import open_annotations
    from llavaction.specialists.predictions import PredictedClasses, write_predictions
    from llavaction.specialists.simulated import NoiseModel, simulate_predictions

    dataset = open_annotations(annotations)
    vocabulary, segments = dataset.vocabulary, list(dataset.segments(split))
    say_notes(*dataset.remarks, *dataset.notes)
    counts = {action: vocabulary.count(action, "train") for action in vocabulary.actions}
    model = NoiseModel.from_mapping(mapping(settings))
    predictions = simulate_predictions(segments, vocabulary.actions, counts, model)
    write_predictions(output, predictions.values(), PredictedClasses.of(vocabulary))
    ranks = {
        k: sum(s.action in predictions[s.segment_id].actions[:k] for s in segments) / len(segments) for k in (1, 5)
    }
    emit(
        {"output": str(output), "segments": len(segments), "top-1": ranks[1], "top-5": ranks[5]},
        f"{len(segments)} simulated predictions written to {output}: top-1 {ranks[1]:.1%}, top-5 {ranks[5]:.1%}",
        json_out,
    )
