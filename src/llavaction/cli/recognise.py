"""``llavaction recognise``: two-stage recognition of a split's segments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llavaction.base.errors import InputError
from llavaction.cli.asking import asking_options, end_by_failures, warn_of_letter_mass
from llavaction.cli.options import FILE, FOLDER, as_json, emit, mapping, say_notes, table

if TYPE_CHECKING:
    from llavaction.video.rates import Rates


@click.command("recognise")
@click.option(
    "--annotations",
    type=FOLDER,
    required=True,
    help="Folder with EPIC_100_*.csv files, or one table with a label column.",
)
@click.option("--split", required=True, help="Split to recognise.")
@click.option("--videos", type=FOLDER, help="Folder of the videos, for backends that look.")
@click.option("--predictions", type=FILE, required=True, help="The specialist's, from: llavaction specialist predict.")
@click.option("--backend", required=True, help="Who chooses: bundled, a checkpoint folder, or what eval takes.")
@click.option("--candidates", type=int, default=5, show_default=True, help="The specialist's best that are offered.")
@click.option("--output", type=FOLDER, required=True, help="The run folder; an interrupted run goes on where it was.")
@click.option("--specialist-weight", type=float, default=0.0, show_default=True, help="Of its scores in the choice.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the candidates' order and the intervals.")
@asking_options
@as_json
def recognise(
    output: Path,
    fps: Rates | None,
    retry_failed: bool,
    allow_missing: bool,
    settings: tuple[str, ...],
    json_out: bool,
    **values: Any,
) -> None:
    """Name each segment's action: a specialist proposes, a model chooses. --set gives the backend's own options."""
    from llavaction.backends.registry import make_backend, parse_spec
    from llavaction.datasets.label_table import open_annotations
    from llavaction.recognition.two_stage import RecognitionConfig
    from llavaction.recognition.two_stage import recognise as recognise_segments
    from llavaction.specialists.predictions import Expected, load_predictions
    from llavaction.video.library import VideoLibrary

    options = mapping(settings)
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    config = RecognitionConfig.from_mapping({**plain, "backend_options": options})
    dataset = open_annotations(config.annotations)
    segments = list(dataset.segments(config.split, unlabelled=True))
    vocabulary = dataset.vocabulary
    say_notes(*dataset.remarks, *dataset.notes)
    ids = [segment.segment_id for segment in segments]
    expected = Expected.of(segments, vocabulary)
    kind, _ = parse_spec(config.backend)
    predictions = load_predictions(config.predictions, ids, vocabulary.actions, expected=expected)
    inputs: dict[str, Any] = {}
    if kind in ("oracle", "prior", "specialist"):  # they are told what no query tells
        offers = config.offers(segments, predictions, vocabulary)
        inputs = {"answers": offers.answers} if kind == "oracle" else {"classes": offers.classes}
    if kind == "prior":
        inputs["counts"] = {action: vocabulary.count(action, "train") for action in vocabulary.actions}
    elif kind == "specialist":
        inputs |= {"segment_ids": ids, "actions": vocabulary.actions, "expected": expected}
    if taken := sorted(options.keys() & inputs.keys()):
        raise InputError(f"'{taken[0]}' comes from the annotations and cannot be set")
    backend = make_backend(config.backend, **options, **inputs)
    library = VideoLibrary(config.videos, fps=fps) if config.videos and backend.needs_frames else None
    result = recognise_segments(
        config, segments, predictions, vocabulary, backend, library, output,
        groups=dataset.groups(config.split), retry_failed=retry_failed,
    )  # fmt: skip
    emit(dict(result.metrics), f"{summary(result.metrics)}\nwritten to {output} ({result.seconds:.1f} s)", json_out)
    warn_of_letter_mass(result.metrics)
    failed = [found.error for found in result.recognitions if found.error]
    end_by_failures(failed, len(result.recognitions), "segments could not be recognised", allow_missing)


def summary(metrics: Mapping[str, Any]) -> str:
    """The accuracies as a table, and what was left out."""
    from llavaction.recognition.accuracy import PARTS, SEEN, UNSEEN

    rows = []
    parts = tuple(metrics["overall"]["two_stage"]) if metrics["overall"] else PARTS
    groups = {"all": metrics["overall"], **{name: metrics["groups"].get(name) for name in (SEEN, UNSEEN)}}
    for group, found in groups.items():
        if found and (group == "all" or found["specialist_top_k"]["n"] < metrics["overall"]["specialist_top_k"]["n"]):
            for name, key in (("two-stage", "two_stage"), ("specialist", "specialist"), ("difference", "difference")):
                rows.append([f"{name}, {group}", *(_cell(found[key][part]) for part in parts)])
            blank = [""] * (len(parts) - 1)
            rows.append(
                [f"specialist's top {metrics['candidates']}, {group}", *blank, _cell(found["specialist_top_k"])]
            )
    counts = metrics["counts"]
    said = f"{counts['recognised']} of {counts['segments']} segments recognised"
    for key, what in (
        ("without_prediction", "without prediction"),
        ("failed", "could not be asked and count in no accuracy"),
        ("with_note", "with an incomplete clip"),
    ):
        said += f", {counts[key]} {what}" if counts.get(key) else ""
    return "\n".join([table(rows, ["accuracy [95 % interval]", *parts]), said])


def _cell(found: Mapping[str, Any]) -> str:
    value = f"{found['value']:.1%}" if "value" in found else f"{found['difference']:+.1%}"
    return f"{value} [no interval]" if found["low"] is None else f"{value} [{found['low']:.1%}, {found['high']:.1%}]"
