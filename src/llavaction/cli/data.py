"""``llavaction data``: data that is made, not downloaded, and records to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llavaction.cli.curate import curate, export_records, import_records
from llavaction.cli.keys import set_option
from llavaction.cli.options import FILE, FOLDER, as_json, emit, mapping, say_notes

if TYPE_CHECKING:
    from llavaction.datasets.kitchen_mini import KitchenMiniSummary


@click.group()
def data() -> None:
    """Make data: kitchen_mini, simulated specialists, training records."""


for command in (curate, import_records, export_records):
    data.add_command(command)


@data.command("kitchen-mini")
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--seed", default=0, show_default=True, help="Decides everything that is drawn.")
@click.option("--workers", default=2, show_default=True, help="Processes; the result does not depend on it.")
@set_option("llavaction.datasets.kitchen_mini.config:KitchenMiniConfig")
@as_json
def kitchen_mini(output: Path, seed: int, workers: int, settings: tuple[str, ...], json_out: bool) -> None:
    """Render short egocentric kitchen videos in the EPIC-KITCHENS-100 layout."""
    from llavaction.datasets.kitchen_mini import KitchenMiniConfig, generate

    config = KitchenMiniConfig.from_mapping(mapping(settings))
    summary = generate(output, seed=seed, workers=workers, settings=config)
    emit(summary.model_dump(mode="json"), describe(summary), json_out)


def describe(summary: KitchenMiniSummary) -> str:
    """A generation in one sentence."""
    counts = ", ".join(f"{count} {split}" for split, count in summary.segments.items())
    return (
        f"kitchen_mini in {summary.folder}: segments {counts}; "
        f"{summary.rendered_videos} videos drawn in {summary.seconds:.1f} s ({summary.clips_per_second:.0f} segments/s)"
    )


@data.command("simulate-specialist")
@click.option(
    "--annotations",
    type=FOLDER,
    required=True,
    help="Folder with EPIC_100_*.csv files, or one table with a label column.",
)
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
