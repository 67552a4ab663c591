"""What grouping by length, few logits and one loss over the global batch save, against a plain loop of the library.

The same model, records and micro-batches go through ``SupervisedTrainer`` and a plain ``transformers.Trainer`` that
draws records at random, pads them on the right and computes all logits.

    python benchmarks/training.py                   # a table, on two threads or on a GPU if there is one
    python benchmarks/training.py --lengths equal   # all records alike: what is left is the logits
    python benchmarks/training.py --json            # for machines

Records are made up, their pictures in memory: text alone, clips of 1 to 16 frames, questions of 5 to 120 words. The
model is a LLaVA-Video of random weights with an action token; on a CPU narrow and shallow (float32), on a GPU of the
published 0.5B shape, trained whole (bfloat16), or with --shape 7b its adapters. The two take turns, in each of which
every record comes once; medians over the turns are reported, the ratio's being that of ratios within a turn, so that
what else the machine does hits both. Useful operations (real tokens, learnt logits) are counted alike for both.
"""

from __future__ import annotations

import copy
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from llavaction.base.seeding import hashed_rng
from llavaction.curation.records import TrainingRecord
from llavaction.models.families.base import DecodedClip
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoForConditionalGeneration
from llavaction.testing.tiny import write_tiny
from llavaction.training.config import LoraConfig, RecordsConfig, StageConfig
from llavaction.training.flops import FlopCounter, peak
from llavaction.training.inputs import PARTIAL, RECORDS, SKIPPED, BatchMaker, TrainingItem, training_family
from llavaction.training.losses import with_few_logits
from llavaction.training.meter import ThroughputMeter
from llavaction.training.mixture import Mixture
from llavaction.training.sampler import Draw, RecordSampler
from llavaction.training.trainable_model import TrainableModel, make_trainable_model
from llavaction.training.trainer import SupervisedTrainer

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"side": 98, "vocabulary": 4096, "tower": (128, 344, 2, 4), "text": (192, 640, 4, 6, 2)},
    "0.5b": {"side": 384, "vocabulary": 151936, "tower": (1152, 4304, 26, 16), "text": (896, 4864, 24, 14, 2)},
    "7b": {"side": 384, "vocabulary": 152064, "tower": (1152, 4304, 26, 16), "text": (3584, 18944, 28, 28, 4)},
}
"""Pixels, vocabulary; width, inner width, layers, heads of tower and text model, the latter's key-value heads."""

WORDS = ("take", "the", "plate", "from", "table", "and", "put", "into", "sink", "while", "water", "runs", "over", "cut")


class Made(Dataset[TrainingItem]):
    """Items by the record's number, or by its place in a sampler."""

    def __init__(self, items: Sequence[TrainingItem]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, which: int | Draw) -> TrainingItem:
        return self._items[which.record if isinstance(which, Draw) else which]


class Clock(TrainerCallback):
    """Seconds from the first step's beginning, its data not yet read, to the last step's end."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Note the time."""
        self._begin = time.perf_counter()

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Note the time."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self._begin


class PlainTrainer(Trainer):
    """The library's own loop; it only counts what it is given."""

    def __init__(self, counter: FlopCounter, **rest: Any) -> None:
        super().__init__(**rest)
        self.counter, self.flops, self.samples = counter, 0.0, 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
        """As the library, after counting."""
        self.flops += self.counter(inputs, int((inputs["labels"][:, 1:] != -100).sum()))
        self.samples += len(inputs["input_ids"])
        return super().compute_loss(model, inputs, *rest, **more)


class CountingTrainer(SupervisedTrainer):
    """Ours; it counts the same."""

    flops, samples = 0.0, 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
        """As ours, after counting."""
        self.flops += self._flops(inputs, int((inputs["labels"][:, 1:] != -100).sum()))
        self.samples += len(inputs["input_ids"])
        return super().compute_loss(model, inputs, *rest, **more)


def make_items(count: int, side: int, lengths: str) -> list[TrainingItem]:
    """Items of mixed or of equal lengths."""
    items = []
    for number in range(count):
        rng = hashed_rng("training benchmark", number)
        frames = int(rng.choice([0, 1, 2, 4, 8, 16])) if lengths == "mixed" else 8
        words = int(rng.integers(5, 121)) if lengths == "mixed" else 40
        text = " ".join(rng.choice(WORDS, words))
        pictures = rng.integers(0, 256, (frames, side, side, 3), dtype=np.uint8)
        clip = DecodedClip.evenly(pictures, float(frames)) if frames else None
        asked = f"<video>\n{text}" if frames else text
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": "take plate"}]
        items.append(TrainingItem(messages, clip, labels={"verb": 1, "noun": 2, "action": 3} if frames else None))
    return items


def write_model(folder: Path, shape: dict[str, Any], dtype: torch.dtype, device: torch.device) -> None:
    """A checkpoint of random weights with the tokenizer of the tiny one."""
    write_tiny(folder, "llava_video", context=32768)
    values = LlavaVideoConfig.from_pretrained(folder).to_dict()
    for part, names in (
        ("tower", ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")),
        (
            "text",
            ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
        ),
    ):
        where = values["vision_config" if part == "tower" else "text_config"]
        where.update(zip(names, shape[part], strict=True))
    values["text_config"].pop("layer_types", None)  # one for each of the tiny model's layers
    values["vision_config"]["image_size"] = shape["side"]
    values["text_config"]["vocab_size"] = shape["vocabulary"]
    config = LlavaVideoConfig.from_dict(values)
    with torch.device(device):
        model = LlavaVideoForConditionalGeneration._from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["size"] = {"height": shape["side"], "width": shape["side"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def arguments(folder: Path, steps: int, micro: int, device: torch.device, workers: int = 0) -> TrainingArguments:
    """The same for both."""
    return TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=micro, max_steps=steps, logging_steps=1000,
        save_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False, learning_rate=1e-5,
        use_cpu=device.type == "cpu", bf16=device.type == "cuda", lr_scheduler_type="constant",
        dataloader_num_workers=workers,
    )  # fmt: skip


def one_turn(
    name: str,
    trainable: TrainableModel,
    stage: StageConfig,
    items: Sequence[TrainingItem],
    steps: int,
    at_best: float,
    data: Dataset[TrainingItem] | None = None,
    workers: int = 0,
) -> dict[str, float]:
    """Train for some steps and say how fast it was; ``data`` gives the items where they are not in memory."""
    own = copy.deepcopy(trainable.model)
    turn = replace(trainable, model=own, core=own.get_base_model() if stage.lora else own)
    family, data = training_family(trainable.checkpoint, turn.core, stage), data or Made(items)
    make = BatchMaker(family)
    counter = FlopCounter(own, turn.core.config, adapters=stage.lora is not None)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(Path(folder), steps, stage.micro_batch, device, workers)
        trainer: PlainTrainer | CountingTrainer
        if name == "plain":
            plain = partial(without_counts, make)
            trainer = PlainTrainer(
                counter, model=own, args=args, data_collator=plain, train_dataset=data, callbacks=[clock]
            )
        else:
            message = {"role": "user", "content": "-"}, {"role": "assistant", "content": "-"}
            stand_in = TrainingRecord(record_id="-", task="-", messages=message)
            mixture = Mixture([stand_in] * len(items), [0] * len(items), [(0, len(items), 1.0)])
            lengths = [family.length(item.messages, len(item.clip.frames) if item.clip else 0) for item in items]
            trainer = CountingTrainer(
                turn, stage, args, data=data, batches=make,  # type: ignore[arg-type]
                sampler=RecordSampler(
                    mixture, lengths, steps, stage.global_batch, stage.micro_batch, stage.length_group_batches, 0
                ),
                meter=ThroughputMeter(at_best, 1), flops=counter, evaluation=None, callbacks=[clock],
            )  # fmt: skip
        trainer.train()
    return {
        "samples_per_second": trainer.samples / clock.seconds,
        "flop_utilisation": trainer.flops / clock.seconds / at_best,
    }


def without_counts(make: BatchMaker, items: Sequence[TrainingItem]) -> dict[str, Any]:
    """The model's inputs of a batch, and nothing else."""
    return {name: value for name, value in make(items).items() if name not in (SKIPPED, PARTIAL, RECORDS)}


def difference(trainable: TrainableModel, items: Sequence[TrainingItem]) -> float:
    """Between the loss with all logits and with few: both compute the same."""
    stage = StageConfig(records=(RecordsConfig(path=Path("-")),))
    made = without_counts(BatchMaker(training_family(trainable.checkpoint, trainable.core, stage)), items[:2])
    made.pop("action_labels")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs = {name: value.to(device) for name, value in made.items()}
    model = trainable.core.to(device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        return abs(float(model(**inputs).loss) - float(model(**with_few_logits(inputs)).loss))


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--lengths", type=click.Choice(["mixed", "equal"]), default="mixed", show_default=True)
@click.option("--shape", type=click.Choice(list(SHAPES)), help="small on a CPU, 0.5b on a GPU by default.")
@click.option("--steps", default=6, show_default=True, help="Steps of a turn, in which every record comes once.")
@click.option("--micro-batch", default=8, show_default=True, help="Records per step.")
@click.option("--turns", default=3, show_default=True, help="Turns of which the median is taken.")
@click.option("--threads", default=2, show_default=True, help="Threads on a CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(
    *, lengths: str, shape: str | None, steps: int, micro_batch: int, turns: int, threads: int, as_json: bool
) -> None:
    """Build, measure in turns, print."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = shape or ("0.5b" if device.type == "cuda" else "small")
    precision = "bfloat16" if device.type == "cuda" else "float32"
    stage = StageConfig(
        records=(RecordsConfig(path=Path("-")),),
        precision=precision,  # type: ignore[arg-type]
        global_batch=micro_batch,
        micro_batch=micro_batch,
        length_group_batches=steps,
        gradient_checkpointing=False,
        lora=LoraConfig() if shape == "7b" else None,
    )
    items = make_items(steps * micro_batch, SHAPES[shape]["side"], lengths)
    with tempfile.TemporaryDirectory() as folder:
        dtype = torch.bfloat16 if shape == "7b" else torch.float32
        write_model(Path(folder), SHAPES[shape], dtype, device)
        trainable = make_trainable_model(Path(folder), stage, seed=0)
        at_best = peak(device, precision)
        found: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        for _ in range(turns):
            for name, runs in found.items():
                runs.append(one_turn(name, trainable, stage, items, steps, at_best))
        apart = difference(trainable, items)
    rows = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, {threads} threads"
    speeds = {name: [run["samples_per_second"] for run in runs] for name, runs in found.items()}
    ratio = statistics.median(ours / plain for ours, plain in zip(speeds["ours"], speeds["plain"], strict=True))
    report = {
        "machine": name,
        "shape": shape, "lengths": lengths, "peak_flops": at_best, "loss_difference": apart, **rows, "ratio": ratio,
        "all": speeds,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    click.echo(f"{report['machine']}, {shape}, {lengths} lengths, peak {at_best / 1e9:,.0f} GFLOP/s")
    for name, row in rows.items():
        low, high = min(speeds[name]), max(speeds[name])
        click.echo(
            f"{name:<6}{row['samples_per_second']:8.2f} samples/s ({low:.2f}-{high:.2f}), "
            f"{row['flop_utilisation']:6.1%} of the peak"
        )
    if lengths == "mixed":
        click.echo(f"ratio {ratio:.2f}, target >= 1.5: {'met' if ratio >= 1.5 else 'MISSED'}")
    else:
        click.echo(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
