"""``llavaction recognise``: recognition of a split's segments, by stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llavaction import api
from llavaction.cli.asking import asking_options, cache_of, cache_options, end_by_failures, warn_of_letter_mass
from llavaction.cli.challenge import challenge_table
from llavaction.cli.generated import prefixed_options
from llavaction.cli.options import FILE, FOLDER, as_json, emit, mapping, say_notes, table
from llavaction.recognition.records import RECOGNITIONS, Recognition

if TYPE_CHECKING:
    from llavaction.video.rates import Rates

LEVELS = ("pretraining", "labels", "data")
"""Of supervision, which a submission declares."""
MOST_LISTED = 20
"""Segments of unknown actions are listed up to here."""


@click.command("recognise")
@asking_options(
    "llavaction.recognition.config:RecognitionConfig",
    "annotations",
    "split",
    "videos",
    "predictions",
    "backend",
    "stages",
    "candidates",
    "ranked_by",
    "fusion",
    "specialist_weight",
    "prior_actions",
    "option_text",
    annotations=FOLDER,
    predictions=FILE,
    fusion=FILE,
)
@click.option("--challenge", type=FILE, help="Also write an EPIC-KITCHENS-100 submission (.zip, .json), and check it.")
@prefixed_options("sls-", "llavaction.specialists.challenge:SupervisionLevels", *LEVELS)
@cache_options
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
    """Name each segment's action: stages score all actions, the best become candidates, a model chooses.

    By default, as in the paper, a specialist proposes and the model chooses by letters. --set gives the backend's own
    options.
    """
    result = api.recognise(
        model=values.pop("backend"),
        output=output,
        fps=fps,
        model_options=mapping(settings),
        retry_failed=retry_failed,
        cache=cache_of(values),
        say=say_notes,
        levels={level: values.pop(f"sls_{level}") for level in LEVELS},
        **values,
    )
    said = summary(result.metrics) if result.metrics["overall"] else listing(result.recognitions)
    emit(dict(result.metrics), f"{said}\nwritten to {output} ({result.seconds:.1f} s)", json_out)
    warn_of_letter_mass(result.metrics)
    failed = [found.error for found in result.recognitions if found.error]
    end_by_failures(failed, len(result.recognitions), "segments could not be recognised", allow_missing)


def listing(recognitions: Sequence[Recognition]) -> str:
    """What segments of unknown actions were recognised as, the first of them, and how many there are."""
    rows = [
        [found.clip.video_id, f"{found.clip.start:.2f}", f"{found.clip.stop:.2f}", found.name or "", _share(found)]
        for found in recognitions[:MOST_LISTED]
    ]
    rest = len(recognitions) - len(rows)
    more = f"\nand {rest} more, see {RECOGNITIONS}" if rest else ""
    done = sum(found.error is None for found in recognitions)
    said = f"{done} of {len(recognitions)} segments recognised; their actions are not known"
    return f"{table(rows, ['video', 'start (s)', 'stop (s)', 'action', 'confidence'])}{more}\n{said}"


def _share(found: Recognition) -> str:
    return f"{found.confidence:.0%}" if found.confidence is not None else found.error or ""


def summary(metrics: Mapping[str, Any]) -> str:
    """The accuracies as a table, and what was left out."""
    from llavaction.recognition.accuracy import PARTS, SEEN, UNSEEN

    rows = []
    parts = tuple(metrics["overall"]["two_stage"]) if metrics["overall"] else PARTS
    ranking, k = metrics.get("ranked_by"), metrics["candidates"]
    first = "specialist" if ranking is None else "best ranked"
    top = f"specialist's top {k}" if ranking is None else f"among the {k} candidates" if k else "among those kept"
    groups = {"all": metrics["overall"], **{name: metrics["groups"].get(name) for name in (SEEN, UNSEEN)}}
    for group, found in groups.items():
        if found and (group == "all" or found["specialist_top_k"]["n"] < metrics["overall"]["specialist_top_k"]["n"]):
            for name, key in (("two-stage", "two_stage"), (first, "specialist"), ("difference", "difference")):
                rows.append([f"{name}, {group}", *(_cell(found[key][part]) for part in parts)])
            blank = [""] * (len(parts) - 1)
            rows.append([f"{top}, {group}", *blank, _cell(found["specialist_top_k"])])
    counts = metrics["counts"]
    said = f"{counts['recognised']} of {counts['segments']} segments recognised"
    said += f", candidates ranked by {' and '.join(ranking)}" if ranking else ""
    for key, what in (
        ("without_prediction", "without prediction"),
        ("failed", "could not be asked and count in no accuracy"),
        ("with_note", "with an incomplete clip"),
    ):
        said += f", {counts[key]} {what}" if counts.get(key) else ""
    official = [challenge_table(metrics["challenge"], "challenge's accuracy")] if "challenge" in metrics else []
    return "\n".join([table(rows, ["accuracy [95 % interval]", *parts]), *official, said])


def _cell(found: Mapping[str, Any]) -> str:
    value = f"{found['value']:.1%}" if "value" in found else f"{found['difference']:+.1%}"
    return f"{value} [no interval]" if found["low"] is None else f"{value} [{found['low']:.1%}, {found['high']:.1%}]"
