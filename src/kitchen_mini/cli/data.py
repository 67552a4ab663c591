"""``llavaction data kitchen-mini``: rendered videos, to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llavaction.cli.keys import set_option
from llavaction.cli.options import FOLDER, as_json, emit, mapping

if TYPE_CHECKING:
    from kitchen_mini.renderer import KitchenMiniSummary


@click.command("kitchen-mini")
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--seed", default=0, show_default=True, help="Decides everything that is drawn.")
@click.option("--workers", default=2, show_default=True, help="Processes; the result does not depend on it.")
@set_option("kitchen_mini.renderer.config:KitchenMiniConfig")
@as_json
def kitchen_mini(output: Path, seed: int, workers: int, settings: tuple[str, ...], json_out: bool) -> None:
    """Render short egocentric kitchen videos in the EPIC-KITCHENS-100 layout."""
    from kitchen_mini.renderer import KitchenMiniConfig, generate

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
