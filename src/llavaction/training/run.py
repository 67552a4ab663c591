"""A whole training: its stages one after the other, each from where it was interrupted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.files import clear_away
from llavaction.base.records import read_json, write_json
from llavaction.base.registry import attribute
from llavaction.models.checkpoint import fingerprint
from llavaction.questions.schema import Benchmark
from llavaction.runs.folder import RunFolder
from llavaction.runs.identity import hold_to_noted, refuse_changes
from llavaction.runs.locks import PATIENCE
from llavaction.training.additions import Addition
from llavaction.training.base_trainer import arguments, train_and_save
from llavaction.training.checkpoints import BRING_BACK, DATA, UNFINISHED, hold_to_data
from llavaction.training.config import StageConfig, TrainConfig, accumulation
from llavaction.training.flops import FlopCounter, peak
from llavaction.training.in_loop_eval import InLoopEvaluation, spread
from llavaction.training.inputs import BatchMaker, ClipDataset, FrameStore, lengths_of, training_family
from llavaction.training.kinds import stage_kind
from llavaction.training.losses import pieces_of
from llavaction.training.meter import METRICS, MetricsWriter, ThroughputMeter, accuracy_text, read_metrics
from llavaction.training.mixture import files_of_records, load_mixture
from llavaction.training.sampler import RecordSampler, steps_of
from llavaction.training.trainable_model import TrainableModel, make_trainable_model, start_folder, start_path
from llavaction.training.trainer import SupervisedTrainer
from llavaction.video.library import VideoLibrary

MODEL = "model"
"""Folder of a finished stage's model; the last stage's lies in the run folder itself."""

START = "start.json"
"""What the model that a training starts from is known by."""

_FREE = ("log_steps", "save_steps", "keep_checkpoints", "evaluation")
"""Settings of a stage that may change when a training goes on."""


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        model: the trained model's folder.
        metrics: the lines of the log.
        is_main: whether this is the first of several processes.
    """

    model: Path
    metrics: list[dict[str, Any]]
    is_main: bool = True

    @property
    def final_loss(self) -> float | None:
        """The last loss in the log."""
        return self._last("loss")

    @property
    def accuracy(self) -> float | None:
        """The last accuracy in the log."""
        return self._last("eval_accuracy")

    @property
    def accuracy_text(self) -> str:
        """The last accuracy with what it is of; empty where none was measured."""
        lines = [line for line in self.metrics if "eval_accuracy" in line]
        return accuracy_text(lines[-1]) if lines else ""

    @property
    def losses_of_data(self) -> str:
        """What the stages had to do without, as a sentence; empty where nothing was missing."""
        said = []
        for stage in dict.fromkeys(line["stage"] for line in self.metrics):
            lines = [line for line in self.metrics if line["stage"] == stage]
            missing = sum(line.get("missing_records", 0) for line in lines)
            skipped, partial = (_risen([line.get(name, 0) for line in lines]) for name in ("skipped", "partial"))
            counts = [
                f"{count:.0f} {what}"
                for count, what in (
                    (missing, "records whose video is missing"),
                    (skipped, "times a record was skipped"),
                    (partial, "times a record's clip was not complete"),
                )
                if count
            ]
            said += [f"stage '{stage}': {', '.join(counts)}"] if counts else []
        return "; ".join(said)

    def _last(self, name: str) -> float | None:
        return next((line[name] for line in reversed(self.metrics) if name in line), None)


def _risen(counts: Sequence[float]) -> float:
    """How far a count rose altogether that begins anew whenever a training goes on."""
    pairs = zip([0, *counts], counts, strict=False)
    return sum(after - before if after >= before else after for before, after in pairs)


def train(config: TrainConfig) -> TrainResult:
    """Train, or go on with a training that was interrupted; a finished one is left as it is.

    Started by ``torchrun``, every process calls it.

    Raises:
        RunLockedError: another process trains in the output folder.
        InputError: the output folder belongs to another training, the number of processes is not the one asked for, or
            model, records, videos or settings are not as they have to be.
        LlavactionError: none of the videos can be read.
    """
    processes = PartialState(cpu=config.device == "cpu")
    world, first = processes.num_processes, processes.is_main_process
    if config.world_size not in (None, world):
        raise InputError(
            f"started with {world} processes, world_size is {config.world_size}",
            hint=f"torchrun --nproc_per_node {config.world_size} -m llavaction.cli.main train ...",
        )
    stages = config.resolved()
    for stage in stages:
        accumulation(stage, world)
    results = [*(config.output / stage.name / MODEL for stage in stages[:-1]), config.output / MODEL]
    ahead = [stage for stage, result in zip(stages, results, strict=True) if not _is_there(result)]
    _look_for_inputs(start_path(config.model) if len(ahead) == len(stages) else None, ahead)
    _store.cache_clear()  # videos may have changed since another training in this process
    with RunFolder(config.output, PATIENCE) if first else nullcontext() as home:
        with processes.main_process_first():
            check_output(config)
            if home is not None:
                _claim(config, home)
            folder = start_folder(config)
        for stage, result in zip(stages, results, strict=True):
            if not _is_there(result):
                run = attribute(stage_kind(stage.kind).run)
                run(config, stage, folder, config.output / stage.name, result)
            folder = result
    return TrainResult(folder, read_metrics(config.output / METRICS), first)


def train_stage(
    config: TrainConfig,
    stage: StageConfig,
    start: Path,
    home: Path,
    result: Path,
    *,
    addition: Addition | None = None,
) -> None:
    """One stage that learns from records.

    Args:
        config: the training.
        stage: one of its stages, complete.
        start: checkpoint folder to start from.
        home: folder of the stage's own checkpoints.
        result: folder to write the model to.
        addition: what a plug-in adds.
    """
    processes, addition = PartialState(), addition or Addition()
    attention = None if config.attention == "auto" else config.attention
    afresh = partial(make_trainable_model, start, stage, seed=config.seed, attention=attention, addition=addition)
    trainable = afresh()
    library = None if stage.videos is None else VideoLibrary(stage.videos, fps=stage.video_fps)
    mixture = load_mixture(stage, library, config.seed, trainable.sizes)
    family = training_family(trainable.checkpoint, trainable.core, stage)
    schedule = RecordSampler(
        mixture,
        lengths_of(mixture, family),
        stage.steps or steps_of(stage.epochs, mixture.pass_length, stage.global_batch),
        stage.global_batch,
        stage.micro_batch,
        stage.length_group_batches,
        config.seed,
    )
    args = arguments(config, stage, home, schedule.steps, processes.num_processes)
    at_best = peak(args.device, stage.precision)
    flops = FlopCounter(trainable.model, trainable.core.config, adapters=stage.lora is not None)
    missing = dict(mixture.missing)
    facts = {
        "steps": schedule.steps,
        "records": len(mixture.records),
        "missing_records": sum(missing.values()),
        "missing_videos": sorted(missing)[:10],
        "peak_flops": at_best,
        "world_size": processes.num_processes,
        "trained_parameters": sum(p.numel() for p in trainable.model.parameters() if p.requires_grad),
    }
    hold_to_data(home, mixture.known_by(stage, library), write=processes.is_main_process)
    if processes.is_main_process:
        clear_away(home / UNFINISHED)
    trainer = SupervisedTrainer(
        trainable,
        stage,
        args,
        data=ClipDataset(mixture, library, config.seed if stage.jitter else None, _store(config.cache_gb)),
        batches=BatchMaker(family),
        sampler=schedule,
        meter=ThroughputMeter(at_best, processes.num_processes, pieces_of(trainable.action, addition)),
        flops=flops,
        evaluation=_probe(stage, trainable, library),
        callbacks=[MetricsWriter(config.output, stage.name, facts)],
        addition=addition,
    )
    train_and_save(trainer, trainable, home, result, afresh)


@lru_cache(maxsize=1)
def _store(gigabytes: float) -> FrameStore:
    """Shared by the stages of a training: they see the same clips."""
    return FrameStore(gigabytes)


def _probe(stage: StageConfig, trainable: TrainableModel, library: VideoLibrary | None) -> InLoopEvaluation | None:
    settings = stage.evaluation
    if settings is None:
        return None
    videos = library if settings.videos is None else VideoLibrary(settings.videos, fps=stage.video_fps)
    if videos is None:
        raise InputError("evaluation needs videos", hint="evaluation.videos=FOLDER")
    questions = spread(Benchmark.load(settings.benchmark).with_answers, settings.limit)
    core, frames = trainable.core, stage.num_frames
    return InLoopEvaluation(trainable.checkpoint, core, questions, videos, frames=frames, prompt=settings.prompt)


def _is_there(model: Path) -> bool:
    return (model / "config.json").is_file()


def _look_for_inputs(model: Path | None, stages: Sequence[StageConfig]) -> None:
    """Refuse what is not there before the output folder belongs to this training."""
    if model is not None and not model.is_dir():
        raise InputError(
            "no such folder", file=model, hint="give a local checkpoint folder for model; nothing is downloaded"
        )
    for stage in stages:
        places: list[tuple[str, Path | None]] = [("file of records", records.path) for records in stage.records]
        places.append(("folder of videos", stage.videos))
        kind = stage_kind(stage.kind)
        places += kind.places(stage)
        if stage.evaluation is not None and kind.records:
            places.append(("benchmark", stage.evaluation.benchmark))
        for what, place in places:
            if place is not None and not place.exists():
                raise InputError(f"no such {what}", file=place, hint=f"stage '{stage.name}' of the recipe needs it")


def check_output(config: TrainConfig) -> None:
    """Make sure that the output folder is this training's, or nobody's.

    Raises:
        InputError: it holds a training of other settings.
    """
    path = config.output / "config.yaml"
    if path.is_file():
        there = TrainConfig.from_mapping(read_yaml(path), file=path)
        problem, hint = "holds a training of other settings", "give another output folder, or bring back what was then"
        refuse_changes(_essence(there), _essence(config), problem, file=config.output, hint=hint)
        then, now = _noted_start(config.output), _start_of(config)
        if then and now:
            problem = f"its model {config.model} changed since the training was started"
            refuse_changes(then, now, problem, file=config.output, hint=hint)
        for stage in config.resolved():
            problem = f"stage '{stage.name}' was trained on other records"
            hold_to_noted(config.output / stage.name / DATA, files_of_records(stage), problem, hint=BRING_BACK)


def _claim(config: TrainConfig, home: RunFolder) -> None:
    """Say in the output folder whose it is."""
    if start := _noted_start(config.output) or _start_of(config):
        write_json(config.output / START, start)
    processes = {"threads": torch.get_num_threads(), "processes": int(os.environ.get("WORLD_SIZE", "1"))}
    home.settle(config.model_dump(mode="json"), started=False, environment=processes)  # compared before, by meaning


def _start_of(config: TrainConfig) -> dict[str, Any]:
    """What the model that a training starts from is known by; nothing where it is made here, or gone since."""
    start = start_path(config.model)
    return {} if start is None or not start.is_dir() else {"fingerprint": fingerprint(start)}


def _noted_start(output: Path) -> dict[str, Any]:
    """The same as noted when the training was started; earlier versions did so in ``environment.json``."""
    for name, key in ((START, "fingerprint"), ("environment.json", "model")):
        noted = read_json(output / name) if (output / name).is_file() else {}
        if isinstance(noted, dict) and isinstance(noted.get(key), dict):
            return {"fingerprint": noted[key]}
    return {}


def _essence(config: TrainConfig) -> dict[str, Any]:
    """What decides the outcome."""
    start = start_path(config.model)
    own = config.model_dump(mode="json", include={"seed", "attention"})
    own["start"] = _comparable(config.whole_start())
    own["model"] = config.model if start is None else os.path.realpath(start)
    for stage in config.resolved():
        values = stage.model_dump(exclude=set(_FREE))
        own |= {f"{stage.name}.{key}": _comparable(value) for key, value in values.items()}
    return own


def _comparable(value: Any) -> Any:
    """Paths as where they lead to, however they are spelled."""
    if isinstance(value, Path):
        return os.path.realpath(value)
    if isinstance(value, Mapping):
        return {key: _comparable(item) for key, item in value.items()}
    return [_comparable(item) for item in value] if isinstance(value, list | tuple) else value
