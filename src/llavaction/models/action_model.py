"""A video-language model with an action token: any Hugging Face backbone, joined by one class statement."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoModelForMultimodalLM

from llavaction.base.errors import InputError
from llavaction.models.action_loss import action_losses, apply_heads
from llavaction.models.action_token import HEADS, ActionPositions, ActionTokenConfig, TokenEmbedding, action_settings


class ActionTokenMixin:
    """Gives a model the action token, its heads and their loss: ``class Model(ActionTokenMixin, Backbone)``.

    The backbone's configuration needs a field ``action``, the fields of ``ActionTokenConfig`` or None. Nothing of its
    forward is repeated: the token's vector comes in through the input embedding, its hidden states are read from the
    output, and ``action_labels`` is the only new input, but for ``action_words`` where a model names it in
    ``more_inputs``: its backbone must take ``input_ids`` and ``inputs_embeds`` together.

    The forward returns the backbone's output with more in it. Where hidden states were asked for or labels given:
    ``verb_logits``, ``noun_logits``, ``action_logits``, each [videos, classes], of the last state. Where labels were
    given: ``lm_loss``, ``action_loss`` and ``distillation_loss`` before their weights; ``loss`` is their weighted sum.

    Attributes:
        more_inputs: inputs of the forward beyond the backbone's own.
        action: the settings, or None.
    """

    more_inputs: tuple[str, ...] = ("action_labels",)
    accepts_loss_kwargs = False  # the heads' loss is a mean: over several batches, trainers must average, not sum
    action: ActionTokenConfig | None

    def __init_subclass__(cls, **options: Any) -> None:
        """Name every input in the signature of the forward, by which ``generate`` and the trainers go."""
        super().__init_subclass__(**options)
        backbone = next(base for base in cls.__mro__[1:] if issubclass(base, nn.Module) and "forward" in vars(base))
        signature = inspect.signature(backbone.forward)
        parameters = [item for item in signature.parameters.values() if item.kind is not item.VAR_KEYWORD]
        keywords = [item for item in signature.parameters.values() if item.kind is item.VAR_KEYWORD]
        more = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in cls.more_inputs]

        def forward(self: Any, input_ids: Any = None, **inputs: Any) -> Any:
            return ActionTokenMixin.forward(self, input_ids, **inputs)

        forward.__signature__ = signature.replace(parameters=[*parameters, *more, *keywords])  # type: ignore[attr-defined]
        cls.forward = forward  # type: ignore[method-assign]

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.add_action_parts()
        self.post_init()  # type: ignore[attr-defined]

    def add_action_parts(self: Any) -> None:
        """Put the token embedding and the heads in their places, with weights yet to be drawn or loaded.

        Raises:
            InputError: the backbone does more to its word vectors than looking them up, as Gemma, which scales them.
        """
        self.action = action_settings(self.config)
        table = self.get_input_embeddings()
        if type(table).forward not in (nn.Embedding.forward, TokenEmbedding.forward):
            raise InputError(
                f"{type(table).__name__} of models of type '{self.config.model_type}' is no plain table of word "
                "vectors, so an action token beside it would change what the model reads",
                hint="take a backbone with a plain embedding, such as Qwen2.5-VL or LLaVA-OneVision",
            )
        ids = () if self.action is None else self.action.token_ids
        visual_ids = (getattr(self.config, name, None) for name in ("image_token_id", "video_token_id"))
        self.set_input_embeddings(TokenEmbedding(table, ids, [index for index in visual_ids if index is not None]))
        if self.action is not None:
            like = {"device": table.weight.device, "dtype": table.weight.dtype, "bias": False}
            for name, classes in zip(HEADS, self.action.sizes, strict=True):
                setattr(self, name, nn.Linear(table.embedding_dim, classes, **like))

    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        *,
        action_labels: torch.Tensor | None = None,
        action_words: torch.Tensor | None = None,
        **inputs: Any,
    ) -> Any:
        """The backbone's forward, then the heads.

        Args:
            input_ids: int64 [rows, length] with the action tokens behind the visual ones.
            action_labels: int64 [rows, 3] (every video of a row carries its row's label) or [rows, videos, 3]: verb,
                noun and action class, -1 where there is none.
            action_words: int64 [rows, words], ids of words whose vectors are added to that of the row's first action
                token, in place of a video; -1 where there is none.
            inputs: the backbone's inputs.

        Raises:
            InputError: ``action_labels`` do not suit the rows or the heads, or ``action_words`` the rows or the model.
        """
        as_tuple = inputs.pop("return_dict", None) is False
        reads_states = action_labels is not None or bool(inputs.get("output_hidden_states"))
        if action_labels is not None and input_ids is not None:
            shape = tuple(action_labels.shape)
            if len(shape) not in (2, 3) or shape[0] != len(input_ids) or shape[-1] != 3:
                raise InputError(f"action_labels of {list(shape)} for {len(input_ids)} rows", hint="expected [rows, 3]")
        reads_action = reads_states and self.action is not None and input_ids is not None
        if reads_action:
            inputs["output_hidden_states"] = True
        arguments = inputs
        if action_words is not None:
            vectors = self.with_words(input_ids, action_words, inputs.get("inputs_embeds"))
            arguments = inputs | {"inputs_embeds": vectors}
        outputs = super().forward(input_ids=input_ids, return_dict=True, **arguments)  # type: ignore[misc]
        labels = inputs.get("labels")
        if labels is not None and not bool((labels[:, 1:] != -100).any()):
            outputs["loss"] = 0 * outputs.logits.sum()  # nothing to learn from this text; its mean would be undefined
        if reads_action:
            self._read_actions(outputs, self.action_positions(input_ids, **inputs), action_labels)
        return outputs.to_tuple() if as_tuple else outputs

    def with_words(
        self: Any, input_ids: torch.Tensor | None, words: torch.Tensor, inputs_embeds: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Vectors [rows, length, width] of the ids, the sum of its words' added to each row's first action token.

        Args:
            input_ids: int64 [rows, length].
            words: int64 [rows, words], -1 where there is none; a row may have none at all.
            inputs_embeds: vectors of the ids where they are known already.

        Raises:
            InputError: the model cannot take words, they are not as many rows, or a row with words has no action token.
        """
        if "action_words" not in self.more_inputs:
            raise InputError(f"models of type '{self.config.model_type}' cannot take action_words")
        if self.action is None or not self.action.token_ids:
            raise InputError(
                "action_words for a model without an action token",
                hint="its heads read a newline of the video" if self.action is not None else "",
            )
        if input_ids is None or words.dim() != 2 or len(words) != len(input_ids):
            rows = "no input_ids" if input_ids is None else f"{len(input_ids)} rows"
            raise InputError(f"action_words of {list(words.shape)} for {rows}", hint="expected [rows, words]")
        marker = input_ids == self.action.token_ids[0]
        lacking = (words >= 0).any(1) & ~marker.any(1)
        if bool(lacking.any()):
            raise InputError(f"row {int(lacking.nonzero()[0, 0])} has action_words but no action token")
        table = self.get_input_embeddings()
        vectors = table(input_ids) if inputs_embeds is None else inputs_embeds
        vectors_of_words = table(words.clamp_min(0))
        if self.training and self.action.word_noise:
            spread = self.action.word_noise * table.weight.detach().std()
            vectors_of_words = vectors_of_words + spread * torch.randn_like(vectors_of_words)
        summed = (vectors_of_words * (words >= 0).unsqueeze(-1).to(vectors)).sum(1)
        first = marker & (marker.cumsum(1) == 1)
        return vectors + first.unsqueeze(-1).to(vectors) * summed.unsqueeze(1)

    def action_positions(self: Any, input_ids: torch.Tensor, **inputs: Any) -> ActionPositions:
        """Where the action tokens of ``input_ids`` stand; ``inputs`` are the forward's others."""
        return ActionPositions.of_tokens(input_ids, self.action.token_ids)

    def _read_actions(self: Any, outputs: Any, positions: ActionPositions, labels: torch.Tensor | None) -> None:
        heads = [getattr(self, name) for name in HEADS]
        device = heads[0].weight.device
        states = [positions.take(state).to(device) for state in outputs.hidden_states]
        if labels is None:
            logits = apply_heads(states[-1], heads)
        else:
            losses = action_losses(states, positions.labels(labels).to(device), heads, self.action.training)
            logits = losses.logits
            total = self.action.head_weight * losses.action + self.action.distillation_weight * losses.distillation
            outputs["lm_loss"] = outputs.loss
            outputs["action_loss"], outputs["distillation_loss"] = losses.action, losses.distillation
            outputs["loss"] = total if outputs.loss is None else outputs.loss + total.to(outputs.loss)
        outputs["verb_logits"], outputs["noun_logits"], outputs["action_logits"] = logits


@torch.no_grad()
def initialise_action_parts(model: Any, seed: int = 0) -> None:
    """Draw the action token and the heads of a model whose checkpoint has none.

    The token is drawn around the mean of the word vectors with their spread per dimension, so that it looks like a
    word to the first layer; the heads are normal with the backbone's own ``initializer_range``.

    Args:
        model: a model with an action token.
        seed: of the generator; the global state of the random numbers is left alone.
    """
    generator = torch.Generator().manual_seed(seed)
    table = model.get_input_embeddings()
    if model.action.token_ids:
        token_vectors = table.weight.float().cpu()
        shape = (len(model.action.token_ids), token_vectors.shape[1])
        drawn_vectors = token_vectors.mean(0) + token_vectors.std(0) * torch.randn(shape, generator=generator)
        table.action_token.weight.copy_(drawn_vectors)
    spread = getattr(model.config.get_text_config(), "initializer_range", 0.02)
    for name in HEADS:
        weight = getattr(model, name).weight
        weight.copy_(torch.randn(weight.shape, generator=generator) * spread)


def register_action_model(model_class: Any) -> None:
    """Make the Auto classes of transformers know a model class with an action token, and its configuration."""
    AutoConfig.register(model_class.config_class.model_type, model_class.config_class, exist_ok=True)
    for auto_class in (AutoModelForImageTextToText, AutoModelForMultimodalLM):
        auto_class.register(model_class.config_class, model_class, exist_ok=True)
