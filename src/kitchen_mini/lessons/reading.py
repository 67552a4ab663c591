"""Learning to see without forgetting to read.

Layers put under a language model that can read learn to gather on the action token what the frames show. Nothing in the
heads' loss asks them to leave the words alone, and after a hundred steps the layers above do not know the words any
more (docs/log.md). So the words' states behind those layers shall be what they were before them, and the action token's
what it would be if the names of its classes stood there, as in the text-only rows the layers above have learnt from.
Either loss is the sum of squared differences as a share of the sum of squares of what should be there, both over the
global batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from llavaction.base.errors import InputError
from llavaction.models.action_token import ActionPositions, action_settings


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
        self._final_state: torch.Tensor | None = None
        core.model.language_model.norm.register_forward_pre_hook(self._note)

    def _note(self, module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        self._final_state = inputs[0]

    def wanted(self, inputs: Mapping[str, torch.Tensor]) -> tuple[float, float]:
        """Sums of squares of what should be there, known before the model is run: what the two losses are shares of.

        Args:
            inputs: see the call.

        Returns:
            That of the words' vectors, and that of the action tokens' with the names of their classes added. (Words
            that stand in for a clip are not in it.)
        """
        table, ids = self._core.get_input_embeddings(), inputs["input_ids"]
        with torch.no_grad():
            words = table(ids[self._words(inputs)]).float()
            positions, labelled, names = self._named(inputs)
            tokens = table(ids[positions.rows[:, None], positions.columns]).float()[labelled].mean(1) + names
        return float(words.square().sum()), float(tokens.square().sum())

    def __call__(
        self, inputs: Mapping[str, torch.Tensor], states: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Two sums of squared differences from what should be there.

        Args:
            inputs: the model's, with ``input_ids``, ``attention_mask`` [rows, length] and ``action_labels`` [rows, 3].
            states: hidden states [rows, length, width]: what went in, then the layers' outputs, the last normalised.

        Returns:
            That of the words, and that of the action tokens of videos whose verb and noun are labelled.
        """
        raw = states[self._layers] if self._layers + 1 < len(states) else self._final_state
        assert raw is not None
        before, after = states[0].detach().float(), raw.float()
        words = self._words(inputs)
        word_loss = (after[words] - before[words]).square().sum()
        positions, labelled, names = self._named(inputs)
        target = positions.take(before)[labelled].mean(1) + names
        return word_loss, (positions.take(after)[labelled].mean(1) - target).square().sum()

    def _words(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Where words are, bool [rows, length]."""
        core, ids = self._core, inputs["input_ids"]
        words = inputs["attention_mask"].bool()
        for token in (core.config.video_token_id, core.config.image_token_id, *core.action.token_ids):
            words = words & (ids != token)
        return words

    def _named(self, inputs: Mapping[str, torch.Tensor]) -> tuple[ActionPositions, torch.Tensor, torch.Tensor]:
        """The action tokens, which [videos] have verb and noun, and the vectors [so many, width] of these names."""
        core, ids = self._core, inputs["input_ids"]
        more = {name: value for name, value in inputs.items() if name not in ("input_ids", "labels", "action_labels")}
        positions: ActionPositions = core.action_positions(ids, **more)
        labels = positions.labels(inputs["action_labels"]).to(ids.device)
        labelled = (labels[:, :2] >= 0).all(1)
        names = core.verb_head.weight[labels[labelled, 0]] + core.noun_head.weight[labels[labelled, 1]]
        return positions, labelled, names.detach().float()
