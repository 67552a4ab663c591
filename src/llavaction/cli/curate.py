"""``llavaction data curate | import | export``: records to train on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from llavaction.base.errors import InputError
from llavaction.base.records import write_records
from llavaction.cli.options import FILE, FOLDER, as_json, emit, frame_rates, say_notes, table
from llavaction.curation.clips import FPS, SHORT_SIDE
from llavaction.curation.exports import CLIPS, EXPORTS, export
from llavaction.curation.llava import read_llava
from llavaction.curation.mixture import RECORDS
from llavaction.curation.mixture import curate as curate_mixture
from llavaction.datasets.label_table import open_annotations
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe
from llavaction.video.rates import Rates

MOST_SAID = 5
"""Clips that cannot be cut, or only in part, are named up to here."""


@click.command("curate")
@click.option(
    "--annotations",
    type=FOLDER,
    required=True,
    help="Folder with EPIC_100_*.csv files, or one table with a label column.",
)
@click.option("--mixture", type=FILE, required=True, help="YAML: tasks with weights and caps; see recipes/mixtures/.")
@click.option("--split", help="Split to make records of, in place of the mixture's.")
@click.option(
    "--predictions",
    type=FILE,
    multiple=True,
    help="Out-of-fold predictions of a specialist; once a file where each fold has its own.",
)
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@as_json
def curate(
    annotations: Path, mixture: Path, split: str | None, predictions: tuple[Path, ...], output: Path, json_out: bool
) -> None:
    """Make training records of the segments of a split."""
    dataset = open_annotations(annotations)
    card = curate_mixture(dataset, mixture, output, split=split, predictions=predictions)
    say_notes(*dataset.remarks, *card.notes)
    rows = [
        [name, str(count), ", ".join(f"{lost} {why}" for why, lost in card.left_out.get(name, {}).items()) or "none"]
        for name, count in card.counts.items()
    ]
    emit(
        {"output": str(output), **card.model_dump(mode="json")},
        f"{table(rows, ['task', 'records', 'segments left out'])}\n"
        f"{sum(card.counts.values())} records written to {output}",
        json_out,
    )


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--videos", type=FOLDER, help="Folder of videos, for records that do not say where their clip ends.")
@as_json
def import_records(file: Path, output: Path, videos: Path | None, json_out: bool) -> None:
    """Turn LLaVA's conversation JSON (or JSON Lines) into training records."""
    library = None if videos is None else VideoLibrary(videos)

    def duration(video_id: str) -> float:
        assert library is not None
        path = library.path(video_id)
        if not path.is_file():
            raise InputError(f"the length of '{video_id}' is not known: it is kept in pieces")
        return probe(path).duration

    found = read_llava(file, None if library is None else duration)
    for place, why in found.refused:
        click.echo(f"note: record {place} of {file.name} left out: {why}", err=True)
    write_records(output / RECORDS, found.records)
    emit(
        {"output": str(output), "records": len(found.records), "left out": len(found.refused)},
        f"{len(found.records)} records written to {output}, {len(found.refused)} left out",
        json_out,
    )


@click.command("export")
@click.argument("records", type=FILE)
@click.option("--format", "style", required=True, help=f"One of {', '.join(EXPORTS)}.")
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--video", default="{video_id}.mp4", show_default=True, help="For llava: pattern of a video's path.")
@click.option("--videos", type=FOLDER, help="Folder of videos; the other formats' clips are cut from it.")
@frame_rates
@click.option("--clip-fps", default=FPS, show_default=True, help="Frames per second of the clips.")
@click.option("--clip-side", default=SHORT_SIDE, show_default=True, help="Most pixels of their shorter side.")
@as_json
def export_records(
    records: Path,
    style: str,
    output: Path,
    video: str,
    videos: Path | None,
    fps: Rates | None,
    clip_fps: float,
    clip_side: int,
    json_out: bool,
) -> None:
    """Write a records.jsonl as LLaVA, TRL, ms-swift or LLaMA-Factory read it.

    All but LLaVA need every clip as a file of its own: --videos cuts them.
    """
    library = None if videos is None else VideoLibrary(videos, fps=fps)
    found = export(records, output, style, video=video, library=library, fps=clip_fps, short_side=clip_side)
    text = f"{found.records} records written to {output}"
    if found.left_out:
        text += f"; {found.left_out} left out, in which words stand in for the clip"
    for name, problem in list(found.uncut.items())[:MOST_SAID]:
        click.echo(f"note: {name} cannot be cut: {problem}", err=True)
    for name, problem in list(found.partial.items())[:MOST_SAID]:
        click.echo(f"note: {name} is not the complete clip: {problem}", err=True)
    if found.partial:
        text += f"; {len(found.partial)} of the {found.clips} clips are not complete, see clips.jsonl"
    if found.uncut:
        text += f"; {found.without_clip} left out for want of {len(found.uncut)} clips that cannot be cut"
    if found.clips and library is None:
        text += f"; cut the {found.clips} clips listed in clips.jsonl into {output / CLIPS}, or give --videos"
    emit({"output": str(output), **asdict(found)}, text, json_out)
