"""``llavaction multilabel``: which actions each clip shows, where it may be several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llavaction import api
from llavaction.cli.asking import asking_options, end_by_failures
from llavaction.cli.options import FILE, as_json, emit, mapping, say_notes, table

if TYPE_CHECKING:
    from llavaction.video.rates import Rates

RANKED, DECIDED = ("head", "middle", "tail"), ("jaccard", "f1_micro", "f1_macro", "precision", "recall", "exact")


@click.command("multilabel")
@asking_options(
    "llavaction.recognition.multi_label_config:MultiLabelConfig",
    "annotations",
    "split",
    "classes",
    "videos",
    "backend",
    "scores",
    "form",
    without=("option_orders",),
    annotations=click.Path(path_type=Path),
    classes=FILE,
    scores=FILE,
)
@click.option("--fit", type=FILE, help="File to write thresholds to, fitted on this split. It has to be labelled.")
@click.option("--thresholds", type=FILE, help="File of thresholds that decide, from --fit on another split.")
@as_json
def multilabel(
    output: Path,
    fps: Rates | None,
    retry_failed: bool,
    allow_missing: bool,
    settings: tuple[str, ...],
    json_out: bool,
    **values: Any,
) -> None:
    """Say which actions each clip shows, where it may be several: score all, decide by thresholds."""
    result = api.multi_label(
        model=values.pop("backend"),
        output=output,
        fps=fps,
        model_options=mapping(settings),
        retry_failed=retry_failed,
        say=say_notes,
        **values,
    )
    written = f"written to {output} ({result.seconds:.1f} s)"
    if values["fit"]:
        written += f", thresholds to {values['fit']}"
    emit(dict(result.metrics), f"{summary(result.metrics)}\n{written}", json_out)
    end_by_failures(result.errors, result.metrics["counts"]["clips"], "clips could not be scored", allow_missing)


def summary(metrics: Mapping[str, Any]) -> str:
    """The metrics as a table, and what was left out."""
    counts, lines = metrics["counts"], list[str]()
    if metrics["map"] is None:
        lines.append("the clips are not labelled, so nothing can be measured")
    else:
        rows = [[f"mAP, {metrics['map']['classes']} classes", _cell(metrics["map"])]]
        rows.append(["mAP of random scores", f"{metrics['map_of_chance']:.1%}"])
        for name in RANKED:
            if found := (metrics["groups"] or {}).get(name):
                rows.append([f"mAP, {name}, {found['classes']} classes", _cell(found)])
        decisions = metrics["decisions"] or {}
        rows += [[name.replace("_", ", "), _cell(decisions[name])] for name in DECIDED if decisions.get(name)]
        lines.append(table(rows, ["", "value [95 % interval]"]))
        if decisions:
            true, decided = decisions["labels_per_clip"]
            lines.append(f"thresholds: {decisions['thresholds']}; {true:.2f} labels a clip, {decided:.2f} decided")
    said = f"{counts['scored']} of {counts['clips']} clips scored"
    for key, what in (("failed", "could not be"), ("without_score", "without score"), ("with_note", "incomplete")):
        said += f", {counts[key]} {what}" if counts[key] else ""
    return "\n".join([*lines, said])


def _cell(found: Mapping[str, Any]) -> str:
    ends = "no interval" if found["low"] is None else f"{found['low']:.1%}, {found['high']:.1%}"
    return f"{found['value']:.1%} [{ends}]"
