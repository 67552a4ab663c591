"""What a training is: one YAML file, every field explained, unknown keys refused with a suggestion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.plugins import in_todays_form
from llavaction.base.records import Strict
from llavaction.base.registry import suggestion
from llavaction.models.action_config import ActionTokenConfig
from llavaction.questions.prompts import PromptStyle
from llavaction.training.kinds import complete, model_start, stage_kind
from llavaction.training.old_keys import todays_keys, todays_path

RESERVED = ("model", "start", "tensorboard")
"""Folders of a run that are no stage's."""


class Part(Strict):
    """A block within the configuration; an unknown key names the nearest one of this block."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any, info: ValidationInfo) -> Any:
        for key in values if isinstance(values, Mapping) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key '{key}'; {suggestion(str(key), cls.model_fields)}")
        return values


class RecordsConfig(Part):
    """One file of training records in the mixture."""

    path: Path = Field(description="JSON Lines of TrainingRecord")
    weight: float = Field(default=1.0, gt=0, le=1000, description="times each record is seen in one pass")
    cap: int | None = Field(default=None, ge=1, description="take at most so many records, chosen by the seed")
    num_frames: int | None = Field(
        default=None, ge=1, description="frames per clip of this file; the run's own if None"
    )


class LearningRates(Part):
    """Of every part of the model; null freezes the part. The defaults are the published ones."""

    vision_tower: float | None = Field(default=2e-6, gt=0, description="vision tower")
    projector: float | None = Field(default=1e-5, gt=0, description="projector and newline vector")
    language_model: float | None = Field(default=1e-5, gt=0, description="language model and its output layer")
    action: float | None = Field(default=1e-5, gt=0, description="action token and heads")


class LoraConfig(Part):
    """Low-rank adapters in every linear layer of the parts that have a learning rate; action parts are trained whole.

    They are merged at the end: what is saved is a model like any other.
    """

    rank: int = Field(default=64, ge=1, description="rank of the adapters")
    alpha: float = Field(default=128.0, gt=0, description="their scale is alpha / rank")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="dropout before the adapters")


class EvaluationConfig(Part):
    """Multiple-choice accuracy while training: option letters in one forward pass."""

    benchmark: Path = Field(description="benchmark folder")
    videos: Path | None = Field(default=None, description="folder of its videos; that of the training if None")
    every: int = Field(default=500, ge=1, description="steps between two evaluations")
    limit: int | None = Field(default=200, ge=1, description="ask so many questions, spread over the benchmark")
    prompt: PromptStyle = Field(default="letters", description="how the question is put")


class StageConfig(Part):
    """Everything that may differ between the stages of a training."""

    name: str = Field(default="train", pattern=r"^[\w.-]+$", description="of the stage, and of its folder")
    kind: str = Field(default="records", description="what is done: learn from records, or what a plug-in adds")
    extra: dict[str, Any] = Field(default_factory=dict, description="settings that only stages of this kind have")
    records: tuple[RecordsConfig, ...] = Field(default=(), description="the mixture")
    videos: Path | None = Field(default=None, description="folder of the videos; not needed for text alone")
    video_fps: float | None = Field(default=None, gt=0, description="rate of folders of extracted frames")
    num_frames: int = Field(default=16, ge=1, description="frames per clip")
    frames_per_second: float | None = Field(
        default=None, gt=0, description="take fewer frames from short clips: at most so many a second (at least 1)"
    )
    jitter: bool = Field(default=False, description="move each frame at random within its part of the clip")
    max_length: int | None = Field(default=None, ge=1, description="tokens after which a record is cut")
    supervise: Literal["published", "answer", "nothing"] = Field(
        default="published",
        description="which tokens are learnt, see TokenisationConfig; with 'nothing' only the heads",
    )
    action: ActionTokenConfig | None = Field(
        default=None, description="give a model without action token this one; null trains what the model has"
    )
    learning_rates: LearningRates = Field(default_factory=LearningRates, description="per part of the model")
    lora: LoraConfig | None = Field(default=None, description="train adapters instead of the weights")
    weight_decay: float = Field(default=0.0, ge=0, description="of matrices; 0 as published")
    beta2: float = Field(
        default=0.999, gt=0, lt=1, description="AdamW's memory of squared gradients; less suits short trainings"
    )
    lr_schedule: Literal["cosine", "linear", "constant"] = Field(default="cosine", description="after the warm-up")
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1, description="share of the steps in which the rates rise")
    epochs: float = Field(default=2.0, gt=0, description="passes over the mixture, where steps is null")
    steps: int | None = Field(default=None, ge=1, description="optimiser steps")
    global_batch: int = Field(default=64, ge=1, description="records per optimiser step, over all processes")
    micro_batch: int = Field(default=1, ge=1, description="records per forward pass of one process")
    length_group_batches: int = Field(
        default=16,
        ge=0,
        description="global batches whose records are sorted by length before they are cut into batches: the more, the "
        "less padding; 1 sorts only within a batch, so that what is learnt in a step stays random; 0 never sorts",
    )
    max_grad_norm: float = Field(default=1.0, ge=0, description="largest norm of the gradient; 0 leaves it as it is")
    gradient_checkpointing: bool = Field(default=False, description="compute activations twice to save memory")
    precision: Literal["float32", "bfloat16"] = Field(
        default="bfloat16",
        description="bfloat16 computes in it; weights that are trained stay in float32, frozen ones do not",
    )
    evaluation: EvaluationConfig | None = Field(default=None, description="accuracy in training")
    save_steps: int = Field(default=500, ge=1, description="steps between checkpoints")
    keep_checkpoints: int = Field(default=2, ge=1, description="checkpoints that are kept")
    log_steps: int = Field(default=10, ge=1, description="steps between two lines of metrics.jsonl")

    @field_validator("name")
    @classmethod
    def _folder_is_free(cls, name: str) -> str:
        if name in RESERVED or not name.strip("."):
            raise ValueError(f"'{name}' is no name for a stage: its folder has another use")
        return name


class TrainConfig(StageConfig):
    """A training. Its own fields hold for every stage that does not say otherwise."""

    model: str = Field(
        description="checkpoint folder; tiny:FAMILY for a tiny model with random weights (tiny:llava_video); or a name "
        "that a plug-in knows, such as bundled"
    )
    start: dict[str, Any] = Field(
        default_factory=dict, description="settings of a model that a plug-in makes anew, such as its shape"
    )
    prepare: tuple[str, ...] = Field(
        default=(),
        description="llavaction commands that make what the recipe reads, such as 'data curate ...'; the command line "
        "runs each once before the training",
    )
    output: Path = Field(description="folder of the run; one that was interrupted goes on where it was")
    stages: tuple[dict[str, Any], ...] = Field(
        default=(), description="stages in order, each from the model before it: a name and what differs"
    )
    seed: int = Field(default=0, ge=0, description="of the order of records, new weights and dropout")
    cache_gb: float = Field(
        default=0.0,
        ge=0,
        description="keep decoded clips while they fit into so many gigabytes a process; needs workers: 0",
    )
    workers: int = Field(default=2, ge=0, description="processes per process that decode videos; 0 decodes in between")
    device: Literal["auto", "cpu"] = Field(default="auto", description="'auto' takes a GPU if there is one")
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", description="attention kernel; 'auto' leaves the choice to transformers"
    )
    world_size: int | None = Field(default=None, ge=1, description="refuse to start with other than so many processes")
    deepspeed: Path | None = Field(
        default=None,
        description="DeepSpeed's JSON file, looked for beside the recipe, too (untested here: it needs GPUs)",
    )
    fsdp: dict[str, Any] | None = Field(
        default=None, description="fsdp_config of transformers for FSDP2 (untested here: it needs GPUs)"
    )

    @model_validator(mode="before")
    @classmethod
    def _todays_form(cls, values: Any) -> Any:
        return in_todays_form("recipe", todays_keys(values)) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _stages_are_sound(self) -> Self:
        self.whole_start()
        names = [stage.name for stage in self.resolved()]
        if len(set(names)) < len(names):
            raise ValueError(f"every stage needs a name of its own, these are {names}")
        if self.deepspeed is not None and self.fsdp is not None:
            raise ValueError("deepspeed and fsdp exclude each other")
        asking = [stage.name for stage in self.resolved() if stage.evaluation is not None]
        if asking and (self.deepspeed is not None or self.fsdp is not None):
            raise ValueError(
                f"evaluation in training needs whole weights on every process, which deepspeed and fsdp do not keep; "
                f"take it out of stage '{asking[0]}' and ask the finished model with llavaction eval"
            )
        if self.cache_gb and self.workers:
            raise ValueError("cache_gb needs workers: 0, for every worker would keep clips of its own")
        return self

    def whole_start(self) -> dict[str, Any]:
        """The settings of a model that a plug-in makes anew, complete; empty where it makes none."""
        start = model_start(self.model)
        return complete(None if start is None else start.settings, self.start, "start", f"model '{self.model}'")

    def resolved(self) -> list[StageConfig]:
        """The stages, each complete."""
        own = self.model_dump(include=set(StageConfig.model_fields))
        found = []
        for number, values in enumerate(self.stages or ({},), start=1):
            try:
                name = {} if "name" in values or not self.stages else {"name": f"stage-{number}"}
                alike = values.get("kind", self.kind) == self.kind  # settings of another kind mean nothing here
                above = own if alike else {**own, "extra": {}}
                found.append(_completed(StageConfig.from_mapping(merged(above, {**name, **values}))))
            except InputError as error:
                raise ValueError(f"stage {number}: {error.problem}") from None
        for stage in found:
            rates, kind = stage.learning_rates.model_dump().values(), stage_kind(stage.kind)
            if kind.records and not stage.records:
                raise ValueError("records: name at least one file of training records")
            if all(rate is None for rate in rates):
                raise ValueError(f"learning_rates: every part of the model is frozen in stage '{stage.name}'")
            kind.check(stage)
        return found


def _completed(stage: StageConfig) -> StageConfig:
    """A stage with all settings of its kind.

    Raises:
        ValueError: there is no such kind, or they are not as they have to be.
    """
    try:
        settings = stage_kind(stage.kind).settings
        return stage.model_copy(update={"extra": complete(settings, stage.extra, "extra", f"kind '{stage.kind}'")})
    except InputError as error:
        raise ValueError(f"stage '{stage.name}': {error.problem}; {error.hint}") from None
    except ValueError as error:
        raise ValueError(f"stage '{stage.name}': {error}") from None


def accumulation(stage: StageConfig, world: int) -> int:
    """Micro-batches per process and step.

    Raises:
        InputError: the global batch is not a multiple of what all processes do at once.
    """
    at_once = stage.micro_batch * world
    if stage.global_batch % at_once:
        raise InputError(
            f"global_batch {stage.global_batch} is no multiple of micro_batch {stage.micro_batch} x {world} processes",
            hint=f"{math.ceil(stage.global_batch / at_once) * at_once} would be",
        )
    return stage.global_batch // at_once


def load_config(file: str | Path, settings: Sequence[tuple[str, Any]] = ()) -> TrainConfig:
    """Read a recipe.

    Args:
        file: YAML.
        settings: (key, value) that replace what the file says; dots lead into blocks ("learning_rates.vision_tower",
            "records.0.cap").

    Raises:
        InputError: the file is missing or is not such a recipe (suggests the nearest key), or a setting leads nowhere.
    """
    file = Path(file)
    values = read_yaml(file)
    if not isinstance(values, dict):
        raise InputError("is not a recipe: expected 'key: value' lines", file=file)
    values = todays_keys(values)
    for key, value in settings:
        _put(values, todays_path(key), value)
    config = TrainConfig.from_mapping(values, file=file)
    other = config.deepspeed
    if other is not None and other.name == str(other) and not other.exists() and (file.parent / other).is_file():
        return config.model_copy(update={"deepspeed": file.parent / other})
    return config


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``; blocks that are mappings in both are merged key by key."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if nested else value  # type: ignore[arg-type]
    return result


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set one value by its dotted key."""
    *path, last = key.split(".")
    place: Any = values
    for number, step in enumerate(path):
        if isinstance(place, dict):
            if not isinstance(place.get(step), dict | list):
                place[step] = {}
            place = place[step]
        elif isinstance(place, list) and step.isdigit() and int(step) < len(place):
            place = place[int(step)]
        else:
            raise InputError(f"setting '{key}': there is no '{'.'.join(path[: number + 1])}'")
    if isinstance(place, dict):
        place[last] = value
    elif isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    else:
        raise InputError(f"setting '{key}' leads nowhere")
