"""A stage in which the model learns to see: new layers below, heads named by words, what guards the words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from kitchen_mini.lessons.config import LessonConfig
from kitchen_mini.lessons.reading import Reading
from kitchen_mini.model.depth import add_layers_below, first_layers
from kitchen_mini.model.names import name_heads
from llavaction.base.errors import InputError
from llavaction.datasets.registry import open_annotations
from llavaction.models.action_token import action_settings
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.param_groups import param_group_of
from llavaction.training.additions import Addition
from llavaction.training.config import StageConfig, TrainConfig
from llavaction.training.run import train_stage


class Seeing(Addition):
    """What a lesson adds to learning from records.

    Args:
        settings: of the lesson.
    """

    def __init__(self, settings: LessonConfig) -> None:
        self._settings, self._seeing = settings, settings.seeing
        self._reading: Reading | None = None

    @property
    def losses(self) -> Mapping[str, float]:
        """What the first layers change of the words, and how far the action token is from what it should say."""
        seeing = self._seeing
        return {} if seeing is None else {"words_loss": seeing.words, "saying_loss": seeing.action}

    def change(self, core: Any, checkpoint: Checkpoint, seed: int) -> None:
        """Put new layers below, and name the heads."""
        if self._settings.new_layers:
            add_layers_below(core, self._settings.new_layers, seed)
        if self._settings.name_heads is not None:
            _name_heads(core, checkpoint, self._settings.name_heads)

    def learns(self, name: str) -> bool:
        """All but what lies above the first layers, where these learn alone."""
        if self._seeing is None or not self._seeing.alone or param_group_of(name) != "language_model":
            return True
        place = re.search(r"\blayers\.(\d+)\.", name)
        return place is not None and int(place[1]) < self._seeing.layers

    def attach(self, core: Any) -> None:
        """Look at what the first layers of this model put out."""
        self._reading = None if self._seeing is None else Reading(core, self._seeing.layers)

    def wanted(self, inputs: Mapping[str, torch.Tensor]) -> tuple[float, ...]:
        """See :meth:`Reading.wanted`."""
        return () if self._reading is None else self._reading.wanted(inputs)

    def losses_of(self, inputs: Mapping[str, torch.Tensor], outputs: Any) -> dict[str, torch.Tensor]:
        """See :class:`Reading`."""
        if self._reading is None or "action_loss" not in outputs:
            return {}
        return dict(zip(self.losses, self._reading(inputs, outputs["hidden_states"]), strict=True))

    @contextmanager
    def running(self, core: Any, tokens: int) -> Iterator[int | None]:
        """Run the first layers only, where they learn alone and there is no text to learn."""
        layers = self._seeing.layers if self._seeing is not None and self._seeing.alone and not tokens else None
        with first_layers(core, layers):
            yield layers


def teach(config: TrainConfig, stage: StageConfig, start: Path, home: Path, result: Path) -> None:
    """One lesson; see :func:`llavaction.training.run.train_stage`."""
    addition = Seeing(LessonConfig.from_mapping(stage.extra))
    train_stage(config, stage, start, home, result, addition=addition)


def _name_heads(core: Any, checkpoint: Checkpoint, annotations: Path) -> None:
    """See :func:`kitchen_mini.model.names.name_heads`."""
    settings = action_settings(core.config)
    if settings is None:
        raise InputError("name_heads: the model has no action heads", hint="give it an action token: action: {...}")
    words = open_annotations(annotations).vocabulary
    verbs = [words.verb_name(index) for index in range(settings.verbs)]
    nouns = [words.noun_name(index) for index in range(settings.nouns)]
    name_heads(core, checkpoint.tokenizer, verbs, nouns, words.actions)
