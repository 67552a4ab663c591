"""The model that is trained: loaded, given its action token, frozen in parts, wrapped in adapters, and saved again."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llavaction.base.errors import InputError
from llavaction.base.files import Part, clear_away, unwritable
from llavaction.base.plugins import named_folder
from llavaction.base.registry import attribute
from llavaction.models.action_token import TRAINED_WHOLE, ActionTokenConfig, action_settings
from llavaction.models.add_action_token import add_action_token
from llavaction.models.checkpoint import TRAINED_FRAMES, Checkpoint, load_model, open_checkpoint, quiet
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.models.param_groups import PARAM_GROUPS, param_group_of
from llavaction.testing.tiny import write_tiny
from llavaction.training.additions import Addition
from llavaction.training.config import LoraConfig, StageConfig, TrainConfig
from llavaction.training.kinds import model_start

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")
TINY = "tiny:"


@dataclass(frozen=True)
class TrainableModel:
    """A model ready to be trained.

    Attributes:
        checkpoint: where it comes from; configuration and tokenizer are those of the model as it is now.
        core: the model itself; its layers may hold adapters.
        model: what is trained: ``core``, or the adapters around it.
        dtype: in which it is saved.
    """

    checkpoint: Checkpoint
    core: Any
    model: Any
    dtype: torch.dtype

    @property
    def sizes(self) -> tuple[int, int, int] | None:
        """Classes of the heads; None without."""
        settings = self.action
        return None if settings is None else settings.sizes

    @property
    def action(self) -> ActionTokenConfig | None:
        """The action token's settings, or None."""
        return action_settings(self.core.config)

    @property
    def tied(self) -> frozenset[str]:
        """Names of weights that are not stored, as others are equal to them."""
        return frozenset(getattr(self.core, "all_tied_weights_keys", None) or ())


def start_path(spec: str) -> Path | None:
    """The folder a recipe's ``model`` names, or one that a plug-in knows by this name; None for one yet to be made."""
    if spec.startswith(TINY) or model_start(spec) is not None:
        return None
    return named_folder("CHECKPOINTS", spec) or Path(spec)


def start_folder(config: TrainConfig) -> Path:
    """The checkpoint folder a recipe names; ``tiny:FAMILY`` and what a plug-in makes are written below its output."""
    spec, folder = config.model, config.output / "start"
    named_path = start_path(spec)
    if named_path is not None:
        return named_path
    if (folder / "config.json").is_file():
        return folder
    with _whole_folder(folder, "the model to start from cannot be written") as unfinished:
        start = model_start(spec)
        if start is None:
            write_tiny(unfinished, spec.removeprefix(TINY), config.seed)
        else:
            attribute(start.write)(unfinished, config)
    return folder


def make_trainable_model(
    folder: Path, stage: StageConfig, *, seed: int, attention: str | None = None, addition: Addition | None = None
) -> TrainableModel:
    """Load a checkpoint and make of it what the stage trains.

    Args:
        folder: the checkpoint.
        stage: its action token, learning rates, adapters and precision.
        seed: of new weights.
        attention: see :func:`llavaction.models.checkpoint.load_model`.
        addition: changes the model first, and says which parameters do not learn.

    Raises:
        InputError: the checkpoint is not sound, the action token does not go with it, or nothing is left to train.
    """
    half, addition = stage.precision == "bfloat16", addition or Addition()
    checkpoint = open_checkpoint(folder)
    first = torch.bfloat16 if half and stage.lora is not None else torch.float32
    core = load_model(checkpoint, device=torch.device("cpu"), dtype=first, attention=attention)
    if stage.action is not None and getattr(checkpoint.config, "action", None) is None:
        core = add_action_token(core, checkpoint.tokenizer, stage.action, seed)
    elif stage.action is not None:
        _same_action(checkpoint, stage.action)
        core.action = stage.action.model_copy(update={"token_ids": core.action.token_ids})
        core.config.action = core.action.model_dump(mode="json")
    if stage.videos is not None:
        setattr(core.config, TRAINED_FRAMES, stage.num_frames)
    addition.change(core, checkpoint, seed)
    checkpoint = replace(checkpoint, config=core.config)
    rates = stage.learning_rates.model_dump()
    for name, parameter in core.named_parameters():
        learns = rates[param_group_of(name)] is not None and addition.learns(name)
        parameter.requires_grad_(stage.lora is None and learns)
    model = core if stage.lora is None else _with_adapters(core, stage.lora, rates, seed)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("nothing is left to train", hint="the parts with a learning rate are not in this model")
    for parameter in model.parameters():
        # what learns in steps too small for bfloat16 is kept in full
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad or not half else torch.bfloat16)
    return TrainableModel(checkpoint, core, model.train(), torch.bfloat16 if half else torch.float32)


def parameter_groups(model: nn.Module, stage: StageConfig) -> list[dict[str, Any]]:
    """What the optimiser gets: parameters by part, matrices with weight decay apart from the rest."""
    rates = stage.learning_rates.model_dump()
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((param_group_of(name), parameter.dim() > 1), []).append(parameter)
    return [
        {
            "name": part,
            "params": groups[part, matrices],
            "lr": rates[part],
            "weight_decay": stage.weight_decay if matrices else 0.0,
        }
        for part in PARAM_GROUPS
        for matrices in (True, False)
        if (part, matrices) in groups
    ]


def merge_adapters(model: Any) -> Any:
    """The plain model with its adapters, if it has any, added to the weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def save_trainable_model(trainable: TrainableModel, folder: Path) -> None:
    """Merge adapters and write a complete checkpoint folder, whole or not at all.

    Raises:
        InputError: the disk does not take it.
    """
    merged = merge_adapters(trainable.model)
    merged.config.use_cache = True  # trainers turn it off
    with _whole_folder(folder, "the model cannot be written") as unfinished:
        with quiet():
            merged.to(trainable.dtype).save_pretrained(unfinished)
        _save_surroundings(trainable.checkpoint, unfinished)


@contextmanager
def _whole_folder(folder: Path, problem: str) -> Iterator[Path]:
    """A folder that takes the place of ``folder`` when the block has ended without an error.

    Raises:
        InputError: ``problem``, and why.
    """
    part = None
    try:
        part = Part(folder, folder=True)
        yield part.path
        clear_away(folder)
        part.take_place()
    except InputError:
        raise
    except Exception as error:  # what a full disk raises depends on the library that writes
        raise unwritable(folder, error, problem) from error
    finally:
        if part is not None:
            part.drop()


def _save_surroundings(checkpoint: Checkpoint, folder: Path) -> None:
    """Tokenizer, templates and the settings of the processors."""
    weight_files = {path.name for pattern in _WEIGHTS for path in checkpoint.folder.glob(pattern)}
    for path in checkpoint.folder.iterdir():
        if path.suffix in (".json", ".jinja", ".txt", ".model") and path.name not in weight_files:
            shutil.copy(path, folder / path.name)
    checkpoint.tokenizer.save_pretrained(folder)
    if checkpoint.config.model_type == "llava_video":  # its processor knows the action tokens
        LlavaVideoProcessor.for_config(
            checkpoint.config,
            checkpoint.tokenizer,
            image_settings=checkpoint.image_settings,
            chat_template=checkpoint.chat_template,
        ).save_pretrained(folder)


def _with_adapters(core: Any, lora: LoraConfig, rates: dict[str, float | None], seed: int) -> Any:
    import peft

    layers = [
        name
        for name, module in core.named_modules()
        if isinstance(module, nn.Linear)
        and param_group_of(name) != "action"
        and rates[param_group_of(name)] is not None
        and "lm_head" not in name
    ]
    if not layers:
        raise InputError("adapters have nowhere to go", hint="give tower, projector or language a learning rate")
    names = {name.rpartition(".")[2] for name, _ in core.named_modules()}
    trained_modules = [name for name in TRAINED_WHOLE if name in names and rates["action"] is not None]
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=layers,
        modules_to_save=trained_modules or None,
    )
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        return peft.get_peft_model(core, config)


def _same_action(checkpoint: Checkpoint, settings: ActionTokenConfig) -> None:
    """Refuse an action token other than the one the model has; how it is trained may differ."""
    model_settings = action_settings(checkpoint.config)
    for name in ("supervision", "verbs", "nouns", "actions"):
        if getattr(model_settings, name) != getattr(settings, name):
            raise InputError(
                f"action.{name} is {getattr(settings, name)!r}, that of the model is {getattr(model_settings, name)!r}",
                file=checkpoint.folder / "config.json",
                hint="leave action out to train the token the model has",
            )
