"""Actions that were kept out of training: verbs and nouns that were seen, never together.

    llavaction train --config kitchen-mini    # or only its data: see "prepare" in the recipe
    python benchmarks/compositions.py --data runs/kitchen-mini/data --output runs/compositions

Verb-noun pairs are drawn whose verb and noun occur in other pairs; all their segments are taken out of train and
validation. The bundled model's recipe and its specialist are then trained anew on the rest, weights that join
specialist, heads and letters are fitted on validation, and the table tells test segments of the pairs kept out from the
others. To be chosen among are all actions of the dataset, those kept out included. The vision tower is taken over from
the bundled model: it has learnt from object boxes, never from verbs or actions.

A specialist's own ranking weighs its action head, which knows the pairs of its training alone; what its verbs and nouns
say apart from each other stands beside it, and is what ranks the candidates together with the model's heads.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

from kitchen_mini.model.config import MiniConfig
from kitchen_mini.model.mini import write_mini
from kitchen_mini.weights import model_folder
from llavaction.actions.vocabulary import Action
from llavaction.base.records import read_records, write_json
from llavaction.base.seeding import hashed_rng
from llavaction.base.statistics import ClusteredBootstrap, paired_comparison
from llavaction.curation.records import TrainingRecord
from llavaction.datasets.registry import open_annotations
from llavaction.recipes import recipe_file
from llavaction.recognition.fusion import Fusion
from llavaction.recognition.recogniser import rejoin
from llavaction.recognition.records import Recognition
from llavaction.specialists.predictions import load_predictions

MIXTURES = ("words-2", "words", "clutter", "see", "hard")
STAGES = ("specialist", "heads", "letters")
LEAST_TEST, MOST_ALIKE = 5, 3
"""Test segments that a pair needs; pairs kept out that may share a verb or a noun."""


def pairs_of(path: Path) -> list[tuple[Action, dict[str, str]]]:
    """The rows of a table of annotations, each with its action."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [((int(row["verb_class"]), int(row["noun_class"])), row) for row in csv.DictReader(stream)]


def drawn_pairs(folder: Path, count: int, seed: int) -> list[Action]:
    """Pairs to keep out: with test segments, and with a verb and a noun that two other pairs have."""
    train = Counter(action for action, _ in pairs_of(folder / "EPIC_100_train.csv"))
    test = Counter(action for action, _ in pairs_of(folder / "EPIC_100_test.csv"))
    able = sorted(action for action in train if test[action] >= LEAST_TEST)
    kept, out = set(train), list[Action]()
    for place in hashed_rng("compositions", seed).permutation(len(able)):
        action = able[place]
        others = kept - {action}
        supported = all(sum(other[side] == action[side] for other in others) >= 2 for side in (0, 1))
        alike = max(sum(other[side] == action[side] for other in out) for side in (0, 1)) if out else 0
        if supported and alike < MOST_ALIKE:
            out.append(action)
            kept = others
        if len(out) == count:
            break
    return out


def keep_out(source: Path, target: Path, out: set[Action]) -> None:
    """Annotations without the segments of some pairs in train and validation."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    for split in ("train", "validation"):
        path = target / f"EPIC_100_{split}.csv"
        rows = [row for action, row in pairs_of(path) if action not in out]
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


def start_model(folder: Path, records: Path) -> None:
    """A mini model with new weights, but for the tower and the tokenizer's settings, which are the bundled ones."""
    texts = [
        text
        for name in MIXTURES
        for record in read_records(records / name / "records.jsonl", TrainingRecord)
        for text in (*(message.content for message in record.messages), f" {record.words or ''}")
    ]
    write_mini(folder, texts, MiniConfig(), 0)
    weights, bundled = load_file(folder / "model.safetensors"), load_file(model_folder() / "model.safetensors")
    tower = {name: value for name, value in bundled.items() if "vision_tower" in name}
    if not tower or not tower.keys() <= weights.keys():
        raise click.ClickException("the bundled model's tower does not fit")
    save_file({**weights, **{n: v.to(weights[n].dtype) for n, v in tower.items()}}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip


def recipe_of(data: Path, output: Path, share: float, last: str) -> dict[str, Any]:
    """The recipe kitchen-mini on other records, from the model made above, with this share of its steps and rows."""
    stored = recipe_file("kitchen-mini").read_text(encoding="utf-8")
    recipe = yaml.safe_load(stored.replace("runs/kitchen-mini/records", str(output / "records")))
    recipe |= {"model": str(output / "start"), "output": str(output / "model"), "videos": str(data / "videos")}
    recipe.pop("prepare")
    names = [stage["name"] for stage in recipe["stages"]]
    recipe["stages"] = recipe["stages"][names.index("tower") + 1 : names.index(last) + 1]
    for stage in recipe["stages"]:
        stage.pop("evaluation", None)
        if "steps" in stage:
            stage["steps"] = round(share * stage["steps"])
        else:
            stage["epochs"] = share
        if "name_heads" in stage.get("extra", {}):
            stage["extra"]["name_heads"] = str(output / "annotations")
    return recipe


def run(*arguments: Any) -> None:
    """A llavaction command, in a process of its own."""
    subprocess.run([sys.executable, "-m", "llavaction.cli.main", *map(str, arguments)], check=True)


def table(
    rows: list[Recognition], joined: list[Recognition], first: dict[str, Action], out: set[Action]
) -> list[dict[str, Any]]:
    """Accuracy of the specialist's first choice, of each stage and of the fusion, on pairs kept out and the others."""
    lines = []
    for group, inside in (("kept out", True), ("others", False)):
        members = [place for place, row in enumerate(rows) if (row.truth in out) == inside]
        videos = [rows[place].clip.video_id for place in members]
        bootstrap = ClusteredBootstrap(videos)
        right = {"specialist, action head and all": [first[rows[place].segment_id] == rows[place].truth
                                                     for place in members]}  # fmt: skip
        right |= {
            stage: [rows[place].candidates[int(np.argmax(rows[place].scores[stage]))] == rows[place].truth
                    for place in members]
            for stage in STAGES
        }  # fmt: skip
        right["fusion"] = [joined[place].action == joined[place].truth for place in members]
        offered = np.mean([rows[place].place >= 0 for place in members])
        for who, hits in right.items():
            gain = paired_comparison(right["specialist"], hits, videos)
            lines.append({
                "pairs": group, "who": who, "segments": len(members), "offered": float(offered),
                "accuracy": bootstrap.interval(hits).rounded(),
                "against the specialist": [gain.difference, gain.low, gain.high, gain.p_permutation],
            })  # fmt: skip
    return lines


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Of kitchen_mini, as its recipe makes it.")
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--pairs", default=18, show_default=True, help="How many are kept out.")
@click.option("--share", default=1.0, show_default=True, help="Of the recipe's steps and rows.")
@click.option(
    "--last", default="hard", show_default=True, type=click.Choice(MIXTURES), help="The recipe's last lesson."
)
@click.option("--epochs", default=6, show_default=True, help="Of the specialist.")
@click.option("--candidates", default=5, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the pairs that are drawn.")
def main(
    data: Path, output: Path, pairs: int, share: float, last: str, epochs: int, candidates: int, seed: int
) -> None:
    """Keep pairs out, train anew, recognise, compare; what is there already is not made again."""
    torch.manual_seed(0)
    data, output = data.resolve(), output.resolve()
    out = drawn_pairs(data / "annotations", pairs, seed)
    keep_out(data / "annotations", output / "annotations", set(out))
    source = ("--annotations", output / "annotations", "--videos", data / "videos")
    for name in MIXTURES:
        if not (output / "records" / name / "records.jsonl").is_file():
            run("data", "curate", "--annotations", output / "annotations", "--mixture", f"kitchen-mini-{name}",
                "--output", output / "records" / name)  # fmt: skip
    if not (output / "start" / "model.safetensors").is_file():
        start_model(output / "start", output / "records")
    (output / "recipe.yaml").write_text(yaml.safe_dump(recipe_of(data, output, share, last), sort_keys=False))
    run("train", "--config", output / "recipe.yaml")
    run("specialist", "train", *source, "--output", output / "specialist", "--workers", 1, "--set", f"epochs={epochs}",
        "--set", "precision=bfloat16")  # fmt: skip
    # weights are fitted without the pairs kept out; the test has them among the actions that can be chosen
    for split, home in (("validation", output), ("test", data)):
        of_split = ("--annotations", home / "annotations", "--videos", data / "videos", "--split", split)
        run("specialist", "predict", output / "specialist", *of_split, "--all-pairs", "--output",
            output / f"{split}.jsonl", "--scores", output / f"{split}.npz")  # fmt: skip
        run("recognise", *of_split, "--predictions", output / f"{split}.npz", "--backend", output / "model" / "model",
            "--stages", ",".join(STAGES), "--ranked-by", "specialist,heads", "--candidates", candidates, "--output",
            output / split)  # fmt: skip
    run("fuse", output / "validation", "--output", output / "fusion.json")
    recognitions = read_records(output / "test" / "recognitions.jsonl", Recognition)
    rows = [row for row in recognitions if row.error is None]
    fusion, vocabulary = Fusion.load(output / "fusion.json"), open_annotations(data / "annotations").vocabulary
    joined = [rejoin(row, fusion, vocabulary) for row in rows]
    predicted = load_predictions(output / "test.jsonl", [row.segment_id for row in rows], vocabulary.actions)
    first = {name: entry.actions[0] for name, entry in predicted.items()}
    lines = table(rows, joined, first, set(out))
    write_json(output / "table.json", {"pairs": out, "share": share, "last": last, "epochs": epochs, "lines": lines})
    for line in lines:
        share_right, gain = line["accuracy"], line["against the specialist"]
        interval = f"[{share_right['low']:.1%}, {share_right['high']:.1%}]"
        click.echo(
            f"{line['pairs']:9} {line['who']:32} {share_right['value']:6.1%} {interval} of {line['segments']}, offered "
            f"{line['offered']:.1%}; minus specialist {json.dumps(gain)}"
        )


if __name__ == "__main__":
    main()
