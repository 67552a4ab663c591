"""What it costs to recognise one clip by several stages, against reading its prompt once.

The claims: all 3,806 labels of EPIC-KITCHENS-100 in at most 6 readings of the prompt; 20 candidates in at most 1.2
times what 5 take, five orders of them in at most 1.5 times one; heads, a specialist's candidates and letters together
in hardly more than letters, for the tower and the prefix run once.

    python benchmarks/recognition.py                        # a table, on two threads or on a GPU if there is one
    python benchmarks/recognition.py --labels actions.csv   # with the real label texts (column "action")

The model is that of benchmarks/scoring.py: 16 frames of 384 px, 3,360 visual tokens, random weights. Stages take turns;
other programs can only make one slower, so claims are judged by the lowest times.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scoring import PUBLISHED, SIDE, SMALL, label_texts, timed, write_checkpoint

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.records import write_json
from llavaction.base.seeding import hashed_rng
from llavaction.recognition.config import Stage
from llavaction.recognition.fusion import equal_weights
from llavaction.recognition.offers import ClassTexts
from llavaction.recognition.recogniser import Recogniser, SegmentItem
from llavaction.recognition.stages import StageScorer, StageSettings
from llavaction.specialists.predictions import SpecialistPrediction
from llavaction.video.decoded import DecodedClip

ORDERS = 5


def vocabulary_of(labels: Sequence[str]) -> ActionVocabulary:
    """Labels as classes: the first word is the verb, the rest the noun."""
    pairs = [label.partition(" ")[::2] for label in labels]
    verbs, nouns = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    verb_of, noun_of = ({name: number for number, name in enumerate(names)} for names in (verbs, nouns))
    return ActionVocabulary(
        verbs={number: LabelClass(id=number, key=name) for name, number in verb_of.items()},
        nouns={number: LabelClass(id=number, key=name) for name, number in noun_of.items()},
        actions=tuple((verb_of[verb], noun_of[noun]) for verb, noun in pairs),
    )


def checkpoint(folder: Path, labels: Sequence[str], vocabulary: ActionVocabulary, device: str) -> HuggingFaceBackend:
    """The model of random weights, with heads for the classes."""
    shape, dtype = (PUBLISHED, torch.bfloat16) if device == "cuda" else (SMALL, torch.float32)
    sizes = {"verbs": len(vocabulary.verbs), "nouns": len(vocabulary.nouns), "actions": len(vocabulary.actions)}
    write_checkpoint(folder, shape, labels, device, dtype, action=sizes)
    return HuggingFaceBackend(HuggingFaceConfig(path=folder, device=device))


def stages(backend: HuggingFaceBackend, vocabulary: ActionVocabulary, frames: int) -> dict[str, Callable[[], Any]]:
    """Everything that is timed, by name."""
    rng = hashed_rng("recognition benchmark")
    segment = Segment(
        segment_id="V_0", video_id="V", start=0.0, stop=2.0, narration="", verb_class=0, noun_class=0,
        participant_id="P01",
    )  # fmt: skip
    images = rng.integers(0, 256, (frames, SIDE, SIDE, 3), dtype=np.uint8)
    clip, known = DecodedClip.evenly(images, 2.0), ClassTexts.of(vocabulary)
    best = [known.classes[place] for place in rng.permutation(len(known.classes))[:100]]
    ranked = {"V_0": SpecialistPrediction(segment_id="V_0", actions=best, scores=[-float(n) for n in range(100)])}

    def recognise(*names: Stage, candidates: int | None, ranked_by: tuple[Stage, ...], orders: int = 1) -> Any:
        settings = StageSettings(names, candidates, ranked_by, orders)
        recogniser = Recogniser(
            StageScorer(settings, known, ranked, vocabulary.actions), equal_weights(names), backend, vocabulary, ""
        )

        def run() -> None:
            (row,) = recogniser([SegmentItem(segment)], [clip])
            assert row.error is None, row.error

        return run

    specialist: tuple[Stage, ...] = ("specialist",)
    return {
        "reading": lambda: backend.read(Query("V_0", "What is done?", (), clip)),
        "heads": recognise("heads", candidates=5, ranked_by=("heads",)),
        "specialist, 5 letters": recognise("specialist", "letters", candidates=5, ranked_by=specialist),
        "specialist, 5 texts": recognise("specialist", "texts", candidates=5, ranked_by=specialist),
        "specialist, 20 texts": recognise("specialist", "texts", candidates=20, ranked_by=specialist),
        "heads, 5 letters": recognise("heads", "letters", candidates=5, ranked_by=("heads",)),
        "heads, 20 letters": recognise("heads", "letters", candidates=20, ranked_by=("heads",)),
        f"heads, 5 letters, {ORDERS} orders": recognise(
            "heads", "letters", candidates=5, ranked_by=("heads",), orders=ORDERS
        ),
        "specialist, heads, 5 letters": recognise(
            "specialist", "heads", "letters", candidates=5, ranked_by=("specialist", "heads")
        ),
        "label set": recognise("label_set_raw", candidates=5, ranked_by=("label_set_raw",)),
        "all stages": recognise(
            "specialist", "heads", "action_head", "label_set_raw", "label_set_length", "letters", candidates=5,
            ranked_by=("specialist", "heads"),
        ),
    }  # fmt: skip


def verdicts(lowest: dict[str, float], labels: int) -> list[dict[str, Any]]:
    """The ratios that were to be reached."""
    claims = (
        (f"{labels} labels, in readings of the prompt", "label set", "reading", 6.0),
        ("20 candidates by letters, in 5", "heads, 20 letters", "heads, 5 letters", 1.2),
        ("20 candidates by texts, in 5", "specialist, 20 texts", "specialist, 5 texts", 1.2),
        (f"{ORDERS} orders, in one", f"heads, 5 letters, {ORDERS} orders", "heads, 5 letters", 1.5),
        ("a specialist and heads more, in letters", "specialist, heads, 5 letters", "heads, 5 letters", 1.1),
        ("heads, in readings", "heads", "reading", 1.1),
    )
    return [
        {"claim": claim, "value": lowest[above] / lowest[below], "target": target,
         "met": lowest[above] / lowest[below] <= target}
        for claim, above, below, target in claims
    ]  # fmt: skip


def tower_runs(backend: HuggingFaceBackend, act: Callable[[], Any]) -> int:
    """How often the vision tower runs."""
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    tower = next(module for name, module in backend.model.named_modules() if name.endswith("patch_embedding"))
    hook = tower.register_forward_hook(note)
    try:
        act()
    finally:
        hook.remove()
    return count


@click.command()
@click.option("--labels", "labels_file", type=click.Path(path_type=Path), help='CSV with the column "action".')
@click.option("--frames", default=16, show_default=True)
@click.option("--repeats", default=7, show_default=True)
@click.option("--threads", default=2, show_default=True, help="On a CPU.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures as JSON, too.")
def main(labels_file: Path | None, frames: int, repeats: int, threads: int, output: Path | None) -> None:
    """Time all stages in turns and judge the claims."""
    torch.set_num_threads(threads)
    labels = label_texts(labels_file)
    vocabulary = vocabulary_of(labels)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        backend = checkpoint(Path(folder), labels, vocabulary, device)
        acts = stages(backend, vocabulary, frames)
        spent: dict[str, list[float]] = {name: [] for name in acts}
        for act in acts.values():
            act()
        for _ in range(repeats):
            for name, act in acts.items():
                spent[name].append(timed(act, backend.device))
        towers = tower_runs(backend, acts["all stages"])
    lowest = {name: min(values) for name, values in spent.items()}
    claims = verdicts(lowest, len(labels))
    claims.append({"claim": "runs of the tower for all stages", "value": towers, "target": 1, "met": towers == 1})
    for name, values in spent.items():
        click.echo(f"{name:32} {min(values):8.3f} s lowest {statistics.median(values):8.3f} s median")
    for claim in claims:
        verdict = "met" if claim["met"] else "MISSED"
        click.echo(f"{claim['claim']:46} {claim['value']:6.2f}  at most {claim['target']:g}: {verdict}")
    if output is not None:
        write_json(
            output, {"labels": len(labels), "frames": frames, "device": device, "seconds": spent, "claims": claims}
        )


if __name__ == "__main__":
    main()
