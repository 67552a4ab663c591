"""A whole training: its stages one after the other, each from where it was interrupted."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from accelerate import PartialState

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.files import clear_away
from llavaction.base.locks import PATIENCE, folder_lock
from llavaction.base.records import write_json, write_text
from llavaction.models.checkpoint import fingerprint
from llavaction.questions.schema import Benchmark
from llavaction.training.checkpoints import UNFINISHED, hold_to_data
from llavaction.training.config import StageConfig, TrainConfig, accumulation
from llavaction.training.flops import FlopCounter, peak
from llavaction.training.inputs import BatchMaker, ClipDataset, FrameStore, lengths_of, rows_for
from llavaction.training.losses import pieces_of
from llavaction.training.meter import METRICS, Meter, MetricsWriter, read_metrics
from llavaction.training.mixture import load_mixture
from llavaction.training.probe import Probe, spread
from llavaction.training.schedule import Schedule, steps_of
from llavaction.training.scheduled import arguments, train_and_save
from llavaction.training.trainee import Trainee, make_trainee, start_folder, start_path
from llavaction.training.trainer import ActionTrainer
from llavaction.training.warm_up import warm_up
from llavaction.video.library import VideoLibrary

MODEL = "model"
"""Folder of a finished stage's model; the last stage's lies in the run folder itself."""

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

    def _last(self, name: str) -> float | None:
        return next((line[name] for line in reversed(self.metrics) if name in line), None)


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
    with folder_lock(config.output, PATIENCE) if first else nullcontext():
        with processes.main_process_first():
            check_output(config)
            if first:
                _claim(config)
            folder = start_folder(config)
        for stage, result in zip(stages, results, strict=True):
            if not _is_there(result):
                one_stage = _train_stage if stage.boxes is None else warm_up
                one_stage(config, stage, folder, config.output / stage.name, result)
            folder = result
    return TrainResult(folder, read_metrics(config.output / METRICS), first)


def _train_stage(config: TrainConfig, stage: StageConfig, start: Path, home: Path, result: Path) -> None:
    """One stage from the checkpoint folder ``start`` to the folder ``result``."""
    processes = PartialState()
    attention = None if config.attention == "auto" else config.attention
    afresh = partial(make_trainee, start, stage, seed=config.seed, attention=attention)
    trainee = afresh()
    library = None if stage.videos is None else VideoLibrary(stage.videos, fps=stage.video_fps)
    mixture = load_mixture(stage, library, config.seed, trainee.sizes)
    rows = rows_for(trainee.checkpoint, trainee.core, stage)
    schedule = Schedule(
        mixture,
        lengths_of(mixture, rows),
        stage.steps or steps_of(stage.epochs, mixture.pass_length, stage.global_batch),
        stage.global_batch,
        stage.micro_batch,
        stage.group,
        config.seed,
    )
    args = arguments(config, stage, home, schedule.steps, processes.num_processes)
    at_best = peak(args.device, stage.precision)
    flops = FlopCounter(trainee.model, trainee.core.config, adapters=stage.lora is not None)
    missing = dict(mixture.missing)
    facts = {
        "steps": schedule.steps,
        "records": len(mixture.records),
        "missing_records": sum(missing.values()),
        "missing_videos": sorted(missing)[:10],
        "peak_flops": at_best,
        "world_size": processes.num_processes,
        "trained_parameters": sum(p.numel() for p in trainee.model.parameters() if p.requires_grad),
    }
    hold_to_data(home, mixture.known_by(stage), write=processes.is_main_process)
    if processes.is_main_process:
        clear_away(home / UNFINISHED)
    trainer = ActionTrainer(
        trainee,
        stage,
        args,
        data=ClipDataset(mixture, library, config.seed if stage.jitter else None, _store(config.cache_gb)),
        batches=BatchMaker(rows, trainee.checkpoint.tokenizer),
        schedule=schedule,
        meter=Meter(at_best, processes.num_processes, pieces_of(trainee.action, stage.seeing)),
        flops=flops,
        probe=_probe(stage, trainee, library),
        callbacks=[MetricsWriter(config.output, stage.name, facts)],
    )
    train_and_save(trainer, trainee, home, result, afresh)


@lru_cache(maxsize=1)
def _store(gigabytes: float) -> FrameStore:
    """Shared by the stages of a training: they see the same clips."""
    return FrameStore(gigabytes)


def _probe(stage: StageConfig, trainee: Trainee, library: VideoLibrary | None) -> Probe | None:
    settings = stage.evaluation
    if settings is None:
        return None
    videos = library if settings.videos is None else VideoLibrary(settings.videos, fps=stage.video_fps)
    if videos is None:
        raise InputError("evaluation needs videos", hint="evaluation.videos=FOLDER")
    questions = spread(Benchmark.load(settings.benchmark).questions, settings.limit)
    core, frames = trainee.core, stage.frames
    return Probe(trainee.checkpoint, core, questions, videos, frames=frames, prompt=settings.prompt)


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
        places.append(("folder of boxes", stage.boxes.path if stage.boxes else None))
        if stage.evaluation is not None and stage.boxes is None:
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
        changed = _differences(_essence(there), _essence(config))
        if changed:
            raise InputError(
                f"holds a training of other settings ({'; '.join(changed[:5])})",
                file=config.output,
                hint="give another output folder, or the settings in its config.yaml",
            )


def _claim(config: TrainConfig) -> None:
    """Say in the output folder whose it is."""
    values = config.model_dump(mode="json")
    write_text(config.output / "config.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    write_json(config.output / "environment.json", _environment(config))


def _essence(config: TrainConfig) -> dict[str, Any]:
    """What decides the outcome."""
    own = config.model_dump(mode="json", include={"model", "seed", "mini", "attention"})
    stages = [stage.model_dump(mode="json", exclude=set(_FREE)) for stage in config.resolved()]
    return {**own, **{f"{stage['name']}.{key}": value for stage in stages for key, value in stage.items()}}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    changed = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    return [f"{key}: {there.get(key)!r} there, {here.get(key)!r} asked for" for key in changed]


def _environment(config: TrainConfig) -> dict[str, Any]:
    model = Path(config.model)
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "model": fingerprint(model) if model.is_dir() else config.model,
    }
