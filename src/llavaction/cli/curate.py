"""``llavaction data curate | import | export``: records to train on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llavaction.base.errors import InputError
from llavaction.base.records import write_records
from llavaction.cli.asking import allow_missing, end_by_failures
from llavaction.cli.options import FILE, FOLDER, annotations_option, as_json, emit, frame_rates, say_notes, table
from llavaction.curation.messages import CLIPS, EXPORTS, FPS, SHORT_SIDE
from llavaction.curation.records import TrainingRecord
from llavaction.recipes import mixture_file
from llavaction.video.errors import VideoError

if TYPE_CHECKING:
    from llavaction.video.rates import Rates

MOST_SAID = 5
"""Records that are left out and clips that cannot be cut, or only in part, are named up to here."""
ROUNDED = 0.1
"""Seconds by which a clip may end after its video for rounding's sake."""
AGAIN = "run the same command again"


@click.command("curate")
@annotations_option
@click.option(
    "--mixture",
    type=FILE,
    required=True,
    help="YAML: tasks with weights and caps; or the name of a mixture that comes along, such as ek100.",
)
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
    from llavaction.curation.mixture import curate as curate_mixture
    from llavaction.datasets.registry import open_annotations

    dataset = open_annotations(annotations)
    card = curate_mixture(dataset, mixture_file(mixture), output, split=split, predictions=predictions)
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
@click.option(
    "--videos",
    type=FOLDER,
    help="Folder of videos: tells where clips end whose records do not say it, and which end after their video.",
)
@allow_missing
@as_json
def import_records(file: Path, output: Path, videos: Path | None, allow_missing: bool, json_out: bool) -> None:
    """Turn LLaVA's conversation JSON (or JSON Lines) into training records."""
    from llavaction.curation.llava import read_llava
    from llavaction.curation.mixture import RECORDS
    from llavaction.video.library import VideoLibrary
    from llavaction.video.probe import probe

    library = None if videos is None else VideoLibrary(videos)

    @cache
    def duration(video_id: str) -> float:
        assert library is not None
        path = library.path(video_id)
        if not path.is_file():
            raise InputError(f"the length of '{video_id}' is not known: it is kept in pieces")
        return probe(path).duration

    found = read_llava(file, None if library is None else duration)
    for place, why in found.refused[:MOST_SAID]:
        click.echo(f"note: record {place} of {file.name} left out: {why}", err=True)
    if library is not None:
        say_notes(*_past_the_end(found.records, duration))
    write_records(output / RECORDS, found.records)
    emit(
        {"output": str(output), "records": len(found.records), "left out": len(found.refused)},
        f"{len(found.records)} records written to {output}, {len(found.refused)} left out",
        json_out,
    )
    errors = [f"{why} (record {place})" for place, why in found.refused]
    end_by_failures(errors, len(errors) + len(found.records), "records were left out", allow_missing, AGAIN)


def _past_the_end(records: Sequence[TrainingRecord], duration: Callable[[str], float]) -> list[str]:
    """A note on clips that end after their video, or whose video is not there."""
    late, lost = [], []
    for record in records:
        if record.clip is not None:
            try:
                end = duration(record.clip.video_id)
            except (VideoError, InputError):
                lost.append(record.clip.video_id)
                continue
            if record.clip.stop > end + ROUNDED:
                late.append(f"record '{record.record_id}' until {record.clip.stop} s, its video ends at {end:.2f} s")
    notes = [f"{len(late)} clips end after their video, e.g. {late[0]}; they will be partial"] if late else []
    if lost:
        notes.append(f"the videos of {len(lost)} records cannot be looked into, e.g. '{lost[0]}'")
    return notes


@click.command("export")
@click.argument("records", type=FILE)
@click.option("--format", "style", required=True, help=f"One of {', '.join(EXPORTS)}.")
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--video", default="{video_id}.mp4", show_default=True, help="For llava: pattern of a video's path.")
@click.option(
    "--videos",
    type=FOLDER,
    help="Folder of videos: LLaVA's records name each by its path in it, the other formats' clips are cut from it.",
)
@frame_rates
@click.option("--clip-fps", default=FPS, show_default=True, help="Frames per second of the clips.")
@click.option("--clip-side", default=SHORT_SIDE, show_default=True, help="Most pixels of their shorter side.")
@allow_missing
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
    allow_missing: bool,
    json_out: bool,
) -> None:
    """Write a records.jsonl as LLaVA, TRL, ms-swift or LLaMA-Factory read it.

    All but LLaVA need every clip as a file of its own: --videos cuts them.
    """
    from llavaction.curation.exports import export
    from llavaction.video.library import VideoLibrary

    library = None if videos is None else VideoLibrary(videos, fps=fps)
    found = export(records, output, style, video=video, library=library, fps=clip_fps, short_side=clip_side)
    text = f"{found.records} records written to {output}"
    if found.left_out:
        text += f"; {found.left_out} left out, in which words stand in for the clip"
    if found.forged:
        text += f"; {len(found.forged)} left out, whose texts hold a mark that trainers do not take for text"
    for name, mark in list(found.forged.items())[:MOST_SAID]:
        click.echo(f"note: record {name} says {mark!r}", err=True)
    for name, problem in list(found.uncut.items())[:MOST_SAID]:
        click.echo(f"note: {name} cannot be {'named' if style == 'llava' else 'cut'}: {problem}", err=True)
    for name, problem in list(found.partial.items())[:MOST_SAID]:
        click.echo(f"note: {name} is not the complete clip: {problem}", err=True)
    if found.partial:
        text += f"; {len(found.partial)} of the {found.clips} clips are not complete, see clips.jsonl"
    if found.uncut:
        what = "videos that are not there" if style == "llava" else "clips that cannot be cut"
        text += f"; {found.without_clip} left out for want of {len(found.uncut)} {what}"
    if found.clips and library is None:
        text += f"; cut the {found.clips} clips listed in clips.jsonl into {output / CLIPS}, or give --videos"
    emit({"output": str(output), **asdict(found)}, text, json_out)
    errors = [f"{name} says {mark!r}" for name, mark in found.forged.items()]
    errors += [next(iter(found.uncut.values()))] * found.without_clip if found.uncut else []
    end_by_failures(errors, len(errors) + found.records, "records were not written", allow_missing, AGAIN)
