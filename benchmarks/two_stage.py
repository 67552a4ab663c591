"""Which stage recognises how well: one table over the number of candidates and who scores them.

    llavaction train --config kitchen-mini    # or only its data: see "prepare" in the recipe
    llavaction specialist predict bundled --annotations D/annotations --videos D/videos --split validation --output V
    llavaction specialist predict bundled --annotations D/annotations --videos D/videos --split test --output T
    python benchmarks/two_stage.py --data D --predictions V T --output runs/two-stage

Every clip of both splits is read once; candidates are the specialist's best 1, 2, 5, 10, 20 and all actions. Weights
and temperature of the fusions are fitted on validation, for each number of candidates anew; the table is of the test
split. What was scored stays in the output folder, and an interrupted run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.backends.base import HeadScores, OptionScores, Query, Reading, TextScores
from llavaction.backends.registry import make_backend
from llavaction.base.calibration import calibration
from llavaction.base.fingerprints import digest_of_files
from llavaction.base.progress import progress
from llavaction.base.records import read_json, write_json
from llavaction.base.statistics import ClusteredBootstrap, paired_comparison
from llavaction.datasets.registry import open_annotations
from llavaction.recognition.accuracy import stage_accuracy
from llavaction.recognition.config import Stage
from llavaction.recognition.fusion import Fusion, ScoredClip, equal_weights, fit_fusion
from llavaction.recognition.offers import ClassTexts
from llavaction.recognition.recogniser import Recogniser, SegmentItem, rejoin
from llavaction.recognition.records import Recognition
from llavaction.recognition.stages import StageScorer, StageSettings
from llavaction.runs.folder import RunFolder
from llavaction.specialists.predictions import Expected, load_predictions
from llavaction.video.decoded import Clips, clips_ahead
from llavaction.video.library import VideoLibrary

NUMBERS: tuple[int | None, ...] = (1, 2, 5, 10, 20, None)
SINGLE: tuple[Stage, ...] = ("specialist", "heads", "label_set_raw", "label_set_prior")


class ReadOnce:
    """A backend whose reading of a clip serves several recognisers, and that counts the seconds of what is asked.

    Args:
        backend: reads clips.
    """

    def __init__(self, backend: Any) -> None:
        self._backend, self.seconds = backend, dict[str, float]()
        self.name, self.needs_frames = backend.name, backend.needs_frames
        self.decision_rule, self.capabilities = backend.decision_rule, backend.capabilities
        self.head_sizes, self.settings = backend.head_sizes, backend.settings
        self._last: tuple[str, Reading] | None = None
        self.clips = 0

    def read(self, query: Query) -> Reading:
        """The reading of a clip, the last one again where it is the same."""
        if self._last is None or self._last[0] != query.query_id:
            begun = time.perf_counter()
            self._last = query.query_id, _Timed(self._backend.read(query), self)
            self.clips += 1
            self.count("read", begun)
        return self._last[1]

    def count(self, what: str, begun: float) -> None:
        """Add the seconds since ``begun``."""
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - begun


class _Timed:
    """A reading whose label-set scores are kept, and whose seconds are counted."""

    def __init__(self, reading: Reading, owner: ReadOnce) -> None:
        self._reading, self._owner = reading, owner
        self._texts: dict[tuple[str, tuple[str, ...]], TextScores] = {}
        self.heads: HeadScores | None = reading.heads

    def letters(self, queries: Sequence[Query]) -> list[OptionScores]:
        """See the protocol."""
        begun = time.perf_counter()
        scores = self._reading.letters(queries)
        self._owner.count(f"letters {len(queries[0].options)}", begun)
        return scores

    def texts(self, query: Query, texts: Sequence[str]) -> TextScores:
        """See the protocol."""
        key = query.prompt, tuple(texts)
        if key not in self._texts:
            begun = time.perf_counter()
            self._texts[key] = self._reading.texts(query, texts)
            _ = self._texts[key].prior_corrected
            self._owner.count("label set", begun)
        return self._texts[key]


def stages_of(number: int | None) -> tuple[Stage, ...]:
    """What scores so many candidates; a single one needs no choice, and all are compared by the label set."""
    return (*SINGLE, "letters") if number is not None and number > 1 else SINGLE


def score_split(
    data: Path, split: str, predictions: Path, backend: ReadOnce, folder: Path, orders: int, limit: int | None
) -> tuple[dict[int | None, list[Recognition]], ActionVocabulary]:
    """Recognitions by all stages for each number of candidates; those on disk are not made again."""
    dataset = open_annotations(data / "annotations")
    vocabulary, segments = dataset.vocabulary, list(dataset.segments(split))[:limit]
    ranked = load_predictions(predictions, (), (), expected=Expected.of(segments, vocabulary))
    known = ClassTexts.of(vocabulary)
    recognisers = {
        number: Recogniser(
            StageScorer(StageSettings(stages_of(number), number, ("specialist",), orders), known, ranked),
            equal_weights(stages_of(number)),
            backend,
            vocabulary,
            "equal weights",
        )
        for number in NUMBERS
    }

    def answer(batch: Sequence[SegmentItem], clips: Clips) -> list[Recognition]:
        rows = []
        for item, clip in zip(batch, clips, strict=True):
            for number, recogniser in recognisers.items():
                (row,) = recogniser([item], [clip])
                rows.append(row.model_copy(update={"segment_id": f"{item.query_id} {number or 'all'}"}))
        return rows

    library, items = VideoLibrary(data / "videos"), [SegmentItem(segment) for segment in segments]
    with RunFolder(folder / split) as home:
        journal = home.journal("recognitions.jsonl", Recognition, "segment_id")
        config = {"split": split, "orders": orders, "predictions_sha256": digest_of_files([predictions])}
        home.settle(config | {"backend": backend.settings}, started=bool(journal.done))
        todo = [[item] for item in items if f"{item.query_id} all" not in journal.done]
        ahead = clips_ahead(todo, library, backend.needs_frames, workers=1)
        for batch, clips in progress(ahead, split, total=len(todo)):
            journal.append(answer(batch, clips))
        rows = {number: [journal.done[f"{item.query_id} {number or 'all'}"] for item in items] for number in NUMBERS}
    return rows, vocabulary


def fitted(rows: Sequence[Recognition], stages: Sequence[str]) -> Fusion:
    """A fusion of stages by what they said on the split it is fitted on."""
    return fit_fusion([ScoredClip(row.scores, row.place, row.clip.video_id) for row in rows], stages)


def lines_of(
    number: int | None,
    validation: Sequence[Recognition],
    test: Sequence[Recognition],
    vocabulary: ActionVocabulary,
    seconds: dict[str, float],
) -> list[dict[str, Any]]:
    """The rows of the table for one number of candidates."""
    stages = stages_of(number)
    read, label_set, letters = seconds["read"], seconds["label set"], seconds.get(f"letters {number}", 0.0)
    costs = {"specialist": 0.0, "heads": read, "letters": read + letters}
    costs |= {"label_set_raw": read + label_set, "label_set_prior": read + label_set}
    costs |= {"specialist, heads": read, "specialist, letters": read + letters}
    alone = tuple(stage for stage in stages if stage != "specialist")
    joined = {"model alone": alone, "specialist, heads": ("specialist", "heads"), "fusion": stages}
    if "letters" in stages:
        joined |= {"specialist, letters": ("specialist", "letters")}
    groups = {stage: (stage,) for stage in stages} | joined
    videos = [row.clip.video_id for row in test]
    bootstrap = ClusteredBootstrap(videos)
    first = [row.candidates[0] == row.truth for row in test]
    lines = []
    for who, members in groups.items():
        fusion = fitted(validation, members)
        rows = [rejoin(row, fusion, vocabulary) for row in test]
        right = [row.action == row.truth for row in rows]
        parts = stage_accuracy(rows, bootstrap)["joined"]
        gain = paired_comparison(first, right, videos)
        lines.append({
            "candidates": number or "all",
            "who": who,
            "accuracy": parts,
            "offered": float(np.mean([row.place >= 0 for row in test])),
            "against the specialist": {"difference": gain.difference, "low": gain.low, "high": gain.high,
                                       "p": gain.p_permutation},
            "ece": (calibration([row.confidence or 0 for row in rows], right, 15) or {})["error"],
            "weights": dict(fusion.weights),
            "seconds per clip": costs.get(who, read + label_set + letters),
        })  # fmt: skip
    return lines


def shown(lines: Sequence[dict[str, Any]]) -> str:
    """The table in Markdown; shares in percent."""
    columns = ("K", "who", "verb", "noun", "action", "95 %", "verb top-5", "noun top-5", "action top-5",
               "minus specialist, points", "p", "ECE", "s per clip")  # fmt: skip
    rows = [columns, ("---",) * len(columns)]
    for line in lines:
        gain = line["against the specialist"]
        tops = [line["accuracy"][part][f"top-{k}"] for k in (1, 5) for part in ("verb", "noun", "action")]
        shares = [f"{100 * top['value']:.1f}" for top in tops]
        ends = "" if gain["low"] is None else f" [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
        interval = f"{100 * tops[2]['low']:.1f} to {100 * tops[2]['high']:.1f}"
        rows.append((
            str(line["candidates"]), line["who"], *shares[:3], interval, *shares[3:],
            f"{100 * gain['difference']:+.1f}{ends}", f"{gain['p']:.4f}", f"{line['ece']:.3f}",
            f"{line['seconds per clip']:.3f}",
        ))  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with annotations and videos.")
@click.option("--predictions", type=click.Path(path_type=Path), nargs=2, required=True, help="Of validation and test.")
@click.option("--model", default="bundled", show_default=True)
@click.option("--orders", default=1, show_default=True, help="Cyclic orders of the candidates for the letters.")
@click.option("--limit", type=int, help="Only so many clips of each split.")
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(data: Path, predictions: tuple[Path, Path], model: str, orders: int, limit: int | None, output: Path) -> None:
    """Score both splits, fit on validation, print the table of test."""
    backend = ReadOnce(make_backend(model))
    splits = ("validation", "test")
    (validation, _), (test, vocabulary) = (
        score_split(data, split, file, backend, output, orders, limit)
        for split, file in zip(splits, predictions, strict=True)
    )
    timed, times = output / "seconds.json", backend.seconds
    if times:
        write_json(timed, {what: value / backend.clips for what, value in times.items()})
    seconds = read_json(timed)
    lines = [
        line for number in NUMBERS for line in lines_of(number, validation[number], test[number], vocabulary, seconds)
    ]
    write_json(output / "table.json", {"model": model, "orders": orders, "clips": len(test[1]), "lines": lines})
    click.echo(shown(lines))


if __name__ == "__main__":
    main()
