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

    path: Path = Field(description="JSON Lines file of training records.")
    weight: float = Field(
        default=1.0, gt=0, le=1000, description="How many times each record is seen in one pass over the mixture."
    )
    cap: int | None = Field(
        default=None, ge=1, description="The most records that are taken, chosen by the seed. By default all are."
    )
    num_frames: int | None = Field(
        default=None, ge=1, description="Frames per clip of this file. By default they are the run's own num_frames."
    )


class LearningRates(Part):
    """Of every part of the model; null freezes the part. The defaults are the published ones."""

    vision_tower: float | None = Field(
        default=2e-6, gt=0, description="Rate of the vision tower, a fifth of the others as published."
    )
    projector: float | None = Field(
        default=1e-5, gt=0, description="Rate of the projector and the newline vector, as published."
    )
    language_model: float | None = Field(
        default=1e-5, gt=0, description="Rate of the language model and its output layer, as published."
    )
    action: float | None = Field(default=1e-5, gt=0, description="Rate of the action token and heads, as published.")


class LoraConfig(Part):
    """Low-rank adapters in every linear layer of the parts that have a learning rate; action parts are trained whole.

    They are merged at the end: what is saved is a model like any other.
    """

    rank: int = Field(default=64, ge=1, description="Rank of the adapters.")
    alpha: float = Field(
        default=128.0,
        gt=0,
        description="Scale of the adapters, which are multiplied by alpha / rank; by default twice the rank.",
    )
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Probability of dropout before the adapters.")


class EvaluationConfig(Part):
    """Multiple-choice accuracy while training: option letters in one forward pass."""

    benchmark: Path = Field(description="Benchmark folder whose questions are asked.")
    videos: Path | None = Field(
        default=None, description="Folder of the benchmark's videos. By default it is that of the training."
    )
    every: int = Field(default=500, ge=1, description="Optimiser steps between two evaluations.")
    limit: int | None = Field(
        default=200,
        ge=1,
        description="The most questions that are asked, spread over the benchmark so that a part of it will do; "
        "null asks all.",
    )
    prompt: PromptStyle = Field(
        default="letters", description="How the question is put; the default asks for the letter of an option alone."
    )


class StageConfig(Part):
    """Everything that may differ between the stages of a training."""

    name: str = Field(default="train", pattern=r"^[\w.-]+$", description="Name of the stage and of its folder.")
    kind: str = Field(default="records", description="What the stage does: learn from records, or what a plug-in adds.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Settings that only stages of this kind have.")
    records: tuple[RecordsConfig, ...] = Field(default=(), description="The files of training records in the mixture.")
    videos: Path | None = Field(default=None, description="Folder of the videos. Records of text alone do not need it.")
    video_fps: float | None = Field(
        default=None,
        gt=0,
        description="Frame rate of folders of extracted frames, in frames per second. By default fps.json beside "
        "them says it.",
    )
    num_frames: int = Field(default=16, ge=1, description="Frames per clip, 16 as published.")
    frames_per_second: float | None = Field(
        default=None,
        gt=0,
        description="The most frames taken per second of a clip, at least one in all, so that short clips get "
        "fewer. By default all get num_frames.",
    )
    jitter: bool = Field(
        default=False, description="Whether each frame is moved at random within its part of the clip."
    )
    max_length: int | None = Field(
        default=None, ge=1, description="Tokens after which a record is cut. By default none is."
    )
    supervise: Literal["published", "answer", "nothing"] = Field(
        default="published",
        description="Tokens that are learnt: published is the assistant's whole turn and every line break and turn "
        "marker, answer is the assistant's text and its end, nothing leaves the heads alone to learn.",
    )
    action: ActionTokenConfig | None = Field(
        default=None, description="The action token that a model without one is given; null trains what the model has."
    )
    learning_rates: LearningRates = Field(
        default_factory=LearningRates,
        description="Learning rate of each part of the model; null freezes a part. The defaults are the published "
        "ones.",
    )
    lora: LoraConfig | None = Field(
        default=None, description="Adapters that are trained instead of the weights; null trains the weights."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's weight decay of matrices, 0 as published.")
    beta2: float = Field(
        default=0.999,
        gt=0,
        lt=1,
        description="AdamW's memory of squared gradients. Short trainings do better with less than the usual 0.999.",
    )
    lr_schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="How the learning rates go on after the warm-up, cosine as published."
    )
    warmup_ratio: float = Field(
        default=0.03, ge=0, lt=1, description="Share of the steps in which the learning rates rise, 0.03 as published."
    )
    epochs: float = Field(default=2.0, gt=0, description="Passes over the mixture where steps is null, 2 as published.")
    steps: int | None = Field(default=None, ge=1, description="Optimiser steps. By default epochs decides.")
    global_batch: int = Field(
        default=64, ge=1, description="Records per optimiser step over all processes, 64 as published."
    )
    micro_batch: int = Field(
        default=1, ge=1, description="Records per forward pass of one process; more need more memory."
    )
    length_group_batches: int = Field(
        default=16,
        ge=0,
        description="Global batches whose records are sorted by length before they are cut into batches. The more, "
        "the less padding; 1 sorts within a batch only, so that what is learnt in a step stays random; 0 never "
        "sorts.",
    )
    max_grad_norm: float = Field(
        default=1.0,
        ge=0,
        description="Largest norm of the gradient, to which longer ones are cut, 1 as in transformers; 0 leaves the "
        "gradient as it is.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Whether activations are computed a second time in the backward pass to save memory."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="bfloat16",
        description="Data type that is computed in. Weights that are trained stay in float32; frozen ones have this "
        "type, too.",
    )
    evaluation: EvaluationConfig | None = Field(
        default=None, description="Multiple-choice accuracy that is measured while training; null measures none."
    )
    save_steps: int = Field(default=500, ge=1, description="Optimiser steps between two checkpoints.")
    keep_checkpoints: int = Field(default=2, ge=1, description="Number of checkpoints that are kept, the last ones.")
    log_steps: int = Field(default=10, ge=1, description="Optimiser steps between two lines of metrics.jsonl.")

    @field_validator("name")
    @classmethod
    def _folder_is_free(cls, name: str) -> str:
        if name in RESERVED or not name.strip("."):
            raise ValueError(f"'{name}' is no name for a stage: its folder has another use")
        return name


class TrainConfig(StageConfig):
    """A training. Its own fields hold for every stage that does not say otherwise."""

    model: str = Field(
        description="Model to start from: a checkpoint folder; tiny:FAMILY for a tiny model with random weights, "
        "such as tiny:llava_video; or a name that a plug-in knows, such as bundled."
    )
    start: dict[str, Any] = Field(
        default_factory=dict, description="Settings of a model that a plug-in makes anew, such as its shape."
    )
    prepare: tuple[str, ...] = Field(
        default=(),
        description="The llavaction commands that make what the recipe reads, such as 'data curate ...'. Each is "
        "run once before the training.",
    )
    output: Path = Field(description="Folder of the run. A training that was interrupted goes on where it was.")
    stages: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="The stages in order, each from the model before it: a name and what differs. By default there "
        "is one.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the order of records, of new weights and of dropout.")
    cache_gb: float = Field(
        default=0.0,
        ge=0,
        description="Gigabytes per process in which decoded clips are kept while they fit; needs workers: 0. By "
        "default none are.",
    )
    workers: int = Field(
        default=2,
        ge=0,
        description="Processes that decode videos for each training process; 0 decodes between the steps.",
    )
    device: Literal["auto", "cpu"] = Field(
        default="auto", description="Where the training runs; auto takes a GPU if there is one."
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", description="Attention kernel; auto leaves the choice to transformers."
    )
    world_size: int | None = Field(
        default=None,
        ge=1,
        description="Number of processes without which the training is refused. By default any number will do.",
    )
    deepspeed: Path | None = Field(
        default=None,
        description="DeepSpeed's JSON file, looked for beside the recipe, too. It needs GPUs and is untested here.",
    )
    fsdp: dict[str, Any] | None = Field(
        default=None, description="The fsdp_config of transformers, for FSDP2. It needs GPUs and is untested here."
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
