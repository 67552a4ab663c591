"""A prompt read once, and what may follow it: log-probabilities of many continuations behind one shared prefix."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers.cache_utils import Cache, DynamicLayer

from llavaction.backends.huggingface_config import Branching
from llavaction.backends.scoring.token_tree import TokenTree, token_tree
from llavaction.base.errors import InputError, LlavactionError
from llavaction.models.families.base import ModelInputs
from llavaction.models.tokenisation import shared_length

_MASKING = ("eager", "sdpa")
"""Attention implementations that take a mask of any form."""
_CAPS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings of text models by which they change their logits behind the output layer."""
_SLICE = 8192
"""Vocabulary entries whose logits are held at a time."""


@dataclass(frozen=True)
class Prefix:
    """What remains of a prompt once a model has read it.

    Attributes:
        cache: its keys and values.
        length: tokens read.
        position: the position of the next token.
        axes: rows of position ids the decoder wants (3 where positions have time, height and width); 0 for a plain one.
        states: [1, length, hidden size], what the decoder gives for each token; from the last the next is predicted.
    """

    cache: Cache
    length: int
    position: int
    axes: int
    states: torch.Tensor

    @property
    def state(self) -> torch.Tensor:
        """The last token's state, [1, hidden size]."""
        return self.states[:, -1]


class PrefixScorer:
    """Scores continuations of prompts by a model's log-probability.

    Args:
        model: a Hugging Face image-text-to-text model.
        forward: puts prepared questions through it, with further arguments for its forward pass.
        inference: the context every other pass runs in.
        branching: see :data:`Branching`.
        nodes_per_pass: most nodes of a tree read at once behind a mask.
        pass_tokens: most tokens of a pass in rows, each row's copy of the prefix counted.
    """

    def __init__(
        self,
        model: Any,
        forward: Callable[..., Any],
        inference: Callable[[], AbstractContextManager[None]],
        *,
        branching: Branching = "auto",
        nodes_per_pass: int = 2048,
        pass_tokens: int = 32768,
    ) -> None:
        self._forward, self._inference, self._kind = forward, inference, type(model).__name__
        self._decoder, self._head = model.get_decoder(), model.get_output_embeddings()
        self._branching, self._nodes_per_pass, self._pass_tokens = branching, nodes_per_pass, pass_tokens
        text = model.config.get_text_config()
        self._capped = any(
            getattr(text, name, None) not in (None, 0, 1) for name in _CAPS
        )  # too little to be seen where logits are small
        self._head_checked = False

    def score(
        self, prompts: Sequence[ModelInputs], endings: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[NDArray[np.float64]]:
        """Log-probability of endings behind prompts that begin alike, visual tokens included.

        What all prompts begin with is read once. The rest of each and its endings are branches of one tree.

        Args:
            prompts: at least one; the visual inputs are taken from the first.
            endings: for each prompt the token ids that may follow it, at least one token each.

        Returns:
            For each prompt its endings' log-probabilities: the sum over the tokens of each, in nats.

        Raises:
            InputError: a mask was asked for and the model cannot take it.
            LlavactionError: the model keeps no cache, changes its logits behind the output layer, or has a decoder that
                does not give that layer its states.
        """
        length = shared_length(*(prompt.ids for prompt in prompts))
        prefix = self.read(beginning(prompts[0], length))
        return self.score_behind(prefix, [prompt.ids[length:] for prompt in prompts], endings)

    def score_behind(
        self, prefix: Prefix, rests: Sequence[tuple[int, ...]], endings: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[NDArray[np.float64]]:
        """As :meth:`score`, behind a prefix that has been read; it can be used again afterwards.

        Args:
            prefix: what all prompts begin with.
            rests: how each goes on; may be empty.
            endings: for each prompt the token ids that may follow it, at least one token each.
        """
        tree = token_tree(
            tuple(tail + tuple(ending) for tail, group in zip(rests, endings, strict=True) for ending in group)
        )
        with self._inference():
            values = self._log_probabilities(prefix, tree)
        skip = [len(tail) for tail, group in zip(rests, endings, strict=True) for _ in group]
        borders = np.cumsum([len(group) for group in endings])[:-1]
        return np.split(tree.sums(values, skip), borders)

    def read(self, prompt: ModelInputs) -> Prefix:
        """Put a prompt through the whole model and keep what its continuations need.

        Raises:
            LlavactionError: as :meth:`score`.
        """
        captured: dict[str, Any] = {}

        def note(_: Any, __: Any, arguments: Mapping[str, Any], output: Any) -> None:
            captured.update(positions=arguments.get("position_ids"), states=output[0])

        hook = self._decoder.register_forward_hook(note, with_kwargs=True)
        try:
            outputs = self._forward([prompt], use_cache=True)
        finally:
            hook.remove()
        cache, positions, states = outputs.past_key_values, captured["positions"], captured["states"]
        if not isinstance(cache, Cache):
            raise LlavactionError(
                f"{self._kind} keeps no keys and values of what it reads, so prompts cannot share any"
            )
        with self._inference():
            self._check_head(states[:, -1], outputs.logits[:, -1])
        length = len(prompt.ids)
        position = length if positions is None else int(positions[..., -1].max()) + 1  # a video may reach further
        axes = len(positions) if positions is not None and positions.ndim == 3 else 0
        return Prefix(cache, length, position, axes, states)

    def _check_head(self, state: torch.Tensor, logits: torch.Tensor) -> None:
        """Make sure, once, that the model's logits are its output layer's: some scale or cap them afterwards."""
        if self._head_checked:
            return
        width, needed = state.shape[-1], self._head.weight.shape[-1]
        if width != needed:
            raise LlavactionError(
                f"the decoder of {self._kind} gives {width} values for a token where its output layer reads {needed}, "
                "which scoring behind a prefix cannot follow"
            )
        recomputed, logits = self._head(state).float(), logits.float()
        near = 1e-4 if state.dtype == torch.float32 else 1e-2
        if self._capped or not torch.allclose(recomputed, logits, rtol=near, atol=near * float(logits.abs().max())):
            raise LlavactionError(
                f"{self._kind} changes its logits behind the output layer, which scoring behind a prefix cannot follow"
            )
        self._head_checked = True

    def _log_probabilities(self, prefix: Prefix, tree: TokenTree) -> NDArray[np.float64]:
        """Log-probability of every node's token, given the prefix and its ancestors, float64 [nodes]."""
        values = np.empty(len(tree.tokens), np.float64)
        first = np.flatnonzero(tree.parents < 0)
        values[first] = self._next_tokens(prefix.state, np.zeros_like(first), tree.tokens[first])
        read_tree = self._read_masked if self._takes_mask(prefix.cache) else self._read_rows
        row_of = np.full(len(tree.tokens) + 1, -1)  # the last entry is that of "parent -1"
        for nodes, states in read_tree(prefix, tree):
            row_of[nodes] = np.arange(len(nodes))
            children = np.flatnonzero(row_of[tree.parents] >= 0)
            values[children] = self._next_tokens(states, row_of[tree.parents[children]], tree.tokens[children])
            row_of[nodes] = -1
        return values

    def _takes_mask(self, cache: Cache) -> bool:
        """Whether a mask keeps branches apart: not in sliding windows, recurrent layers or flash attention."""
        attention = getattr(self._decoder.config, "_attn_implementation", None)
        kinds = {type(layer) for layer in cache.layers}
        able = kinds == {DynamicLayer} and attention in _MASKING
        if self._branching == "mask" and not able:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise InputError(
                f"branching 'mask' does not suit {self._kind} ({attention} attention, cache of {names})",
                hint="branching 'auto' or 'rows'",
            )
        return able and self._branching != "rows"

    def _read_masked(self, prefix: Prefix, tree: TokenTree) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """States [nodes, hidden size] of the inner nodes, pass by pass; the prefix's cache is as before afterwards."""
        dtype, device = prefix.state.dtype, prefix.state.device
        for nodes, skipped in tree.passes(self._nodes_per_pass):
            mask = torch.zeros((len(nodes), prefix.length + len(nodes)), dtype=dtype, device=device)
            hidden = ~torch.from_numpy(tree.visible(nodes)).to(device)
            mask[:, prefix.length :].masked_fill_(hidden, torch.finfo(dtype).min)
            states = self._continue(
                prefix, prefix.cache, tree.tokens[nodes][None], tree.depths[nodes][None], mask[None, None]
            )
            prefix.cache.crop(-len(nodes))
            yield nodes[skipped:], states[0, skipped:]

    def _read_rows(self, prefix: Prefix, tree: TokenTree) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """As :meth:`_read_masked`, each branch in a row of its own, filled up on the right, where nothing looks."""
        branches = sorted(tree.branches(), key=len)
        read_nodes: set[int] = set()
        while branches:
            longest = len(branches[-1])
            rows = [branches.pop() for _ in range(min(len(branches), self._most_rows(prefix.length + longest)))]
            tokens, depths = np.zeros((2, len(rows), longest), np.int64)
            depths += np.arange(longest)
            for row, branch in enumerate(rows):
                tokens[row, : len(branch)] = tree.tokens[branch]
            cache, copies = copy.deepcopy(prefix.cache), torch.zeros(len(rows), dtype=torch.int64)
            cache.reorder_cache(copies.to(prefix.state.device))  # type: ignore[arg-type]  # row 0, so many times
            states = self._continue(prefix, cache, tokens, depths, None)
            places = {node: (row, step) for row, branch in enumerate(rows) for step, node in enumerate(branch)}
            new_nodes = [node for node in places if node not in read_nodes]
            read_nodes.update(new_nodes)
            at = torch.tensor([places[node] for node in new_nodes], device=states.device)
            yield np.asarray(new_nodes, np.int64), states[at[:, 0], at[:, 1]]

    def _most_rows(self, length: int) -> int:
        return max(1, self._pass_tokens // length)

    def _continue(
        self,
        prefix: Prefix,
        cache: Cache,
        tokens: NDArray[np.int64],
        depths: NDArray[np.int64],
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """The decoder's states [rows, length, hidden size] for tokens [rows, length] behind a prefix."""
        device = prefix.state.device
        positions = torch.from_numpy(depths).to(device) + prefix.position
        if prefix.axes:
            positions = positions.expand(prefix.axes, -1, -1)
        outputs = self._decoder(
            input_ids=torch.from_numpy(tokens).to(device),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        states: torch.Tensor = outputs[0]
        return states

    def _next_tokens(
        self, states: torch.Tensor, rows: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Log-probability of ``tokens`` [n] as the next one after ``states[rows]``, in float32 over the vocabulary."""
        weight, bias = self._head.weight, self._head.bias
        states = states.to(weight.device).float()
        total: torch.Tensor | None = None
        for start in range(0, len(weight), _SLICE):
            some = slice(start, start + _SLICE)
            logits = functional.linear(states, weight[some].float(), None if bias is None else bias[some].float())
            part = logits.logsumexp(-1)
            total = part if total is None else torch.logaddexp(total, part)
        assert total is not None
        at, words = torch.from_numpy(rows).to(weight.device), torch.from_numpy(tokens).to(weight.device)
        token_logits = (states[at] * weight[words].float()).sum(-1)
        if bias is not None:
            token_logits = token_logits + bias[words].float()
        result: NDArray[np.float64] = (token_logits - total[at]).to("cpu", torch.float64).numpy()
        return result


def beginning(prompt: ModelInputs, length: int) -> ModelInputs:
    """The first ``length`` tokens of a prompt, all visual ones among them, with everything that belongs to them."""
    count = len(prompt.ids)
    if length == count:
        return prompt
    tensors = {
        name: value[:, :length] if tuple(value.shape) == (1, count) else value for name, value in prompt.tensors.items()
    }  # those with one value per token are cut, see ModelInputs.followed_by
    return replace(prompt, ids=prompt.ids[:length], tensors=tensors)
