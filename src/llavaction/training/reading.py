"""Learning to see without forgetting to read.

Layers put under a language model that can read learn to gather on the action token what the frames show. Nothing in the
heads' loss asks them to leave the words alone, and after a hundred steps the layers above do not know the words any
more (docs/log.md). So the words' states behind those layers shall be what they were before them, and the action token's
what it would be if the names of its classes stood there, as in the text-only rows the layers above have learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from llavaction.base.errors import InputError
from llavaction.models.action_token import action_settings


class Reading:
    """Compares what the first layers of a language model put out with what the others can read.

    Args:
        core: a model with an action token, whose language model has a norm behind its layers.
        layers: how many are the first.

    Raises:
        InputError: the model has no action token, or no more layers than that.
    """

    def __init__(self, core: Any, layers: int) -> None:
        if action_settings(core.config) is None:
            raise InputError("seeing: the model has no action token", hint="give it one: action: {...}")
        depth = len(core.model.language_model.layers)
        if layers >= depth:
            raise InputError(f"seeing.layers is {layers}, but the language model has {depth} layers")
        self._core, self._layers = core, layers
        self._last: torch.Tensor | None = None
        core.model.language_model.norm.register_forward_pre_hook(self._note)

    def _note(self, module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        self._last = inputs[0]

    def __call__(
        self, inputs: Mapping[str, torch.Tensor], states: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Two losses, each a mean squared difference as a share of the mean square of what should be there.

        Args:
            inputs: the model's, with ``input_ids``, ``attention_mask`` [rows, length] and ``action_labels`` [rows, 3].
            states: hidden states [rows, length, width]: what went in, then the layers' outputs, the last normalised.

        Returns:
            That of the words, and that of the action tokens of labelled videos (0 without any).
        """
        core, ids = self._core, inputs["input_ids"]
        before = states[0].detach().float()
        raw = states[self._layers] if self._layers + 1 < len(states) else self._last
        assert raw is not None
        after = raw.float()
        words = inputs["attention_mask"].bool()
        for token in (core.config.video_token_id, core.config.image_token_id, *core.action.token_ids):
            words = words & (ids != token)
        told = _share(after[words], before[words])
        rest = {name: value for name, value in inputs.items() if name not in ("input_ids", "labels", "action_labels")}
        positions = core.action_positions(ids, **rest)
        labels = positions.labels(inputs["action_labels"]).to(ids.device)
        known = (labels[:, :2] >= 0).all(1)
        if not bool(known.any()):
            return told, told.new_zeros(())
        verb, noun = labels[known, 0], labels[known, 1]
        names = (core.verb_head.weight[verb] + core.noun_head.weight[noun]).detach().float()
        target = positions.take(before)[known].mean(1) + names
        return told, _share(positions.take(after)[known].mean(1), target)


def _share(values: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return (values - wanted).square().mean() / wanted.square().mean().clamp_min(1e-12)
