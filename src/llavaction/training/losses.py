"""Losses that do not depend on how a global batch is cut up.

Every mean is taken over the global batch: the text's over all of its learnt tokens, the heads' over its labelled
videos, the distillation's over its videos; those of plug-ins are shares of what there is in it (additions.py). So
accumulated gradients, those of several processes and those of one large batch are equal. (The published code takes the
text's mean within each micro-batch, which weighs the tokens of short answers more; with one micro-batch a step both are
the same.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from llavaction.models.tokenisation import IGNORED
from llavaction.training.additions import Addition

PIECES = ("lm_loss", "action_loss", "distillation_loss")
"""What the loss is put together from, as named in the log."""


def pieces_of(action: Any, addition: Addition) -> tuple[str, ...]:
    """The pieces that a training with these settings has; see :func:`combine`."""
    return PIECES[:1] if action is None else (*PIECES, *addition.losses)


class Counts(NamedTuple):
    """What the means of a batch are taken over.

    Attributes:
        tokens: learnt tokens.
        labelled: videos with a label.
        videos: videos with an action token.
        wanted: of the further losses, see :meth:`llavaction.training.additions.Addition.wanted`.
    """

    tokens: int
    labelled: int
    videos: int
    wanted: tuple[float, ...] = ()

    @classmethod
    def summed(cls, parts: Sequence[Counts], addition: Addition) -> Counts:
        """Those of several micro-batches together."""
        nothing = cls(0, 0, 0, (0.0,) * len(addition.losses))
        rows = [(*part[:3], *part.wanted) for part in (nothing, *parts)]
        tokens, labelled, videos, *additional = (sum(column) for column in zip(*rows, strict=True))
        return cls(int(tokens), int(labelled), int(videos), tuple(additional))


def count(core: Any, inputs: Mapping[str, torch.Tensor], addition: Addition | None = None) -> Counts:
    """The counts of one micro-batch.

    Args:
        core: the model, without wrappers.
        inputs: its inputs, with ``labels``, and ``action_labels`` where it has an action token.
        addition: has further losses.
    """
    tokens = int((inputs["labels"][:, 1:] != IGNORED).sum())
    labels = inputs.get("action_labels")
    if labels is None or getattr(core, "action", None) is None:
        return Counts(tokens, 0, 0, () if addition is None else (0.0,) * len(addition.losses))
    more = {name: value for name, value in inputs.items() if name not in ("input_ids", "labels", "action_labels")}
    positions = core.action_positions(inputs["input_ids"], **more)
    additional = () if addition is None else addition.wanted(inputs)
    return Counts(tokens, int((positions.labels(labels) >= 0).any(1).sum()), len(positions.rows), additional)


def with_few_logits(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same inputs, asking for logits only where some row of the batch learns the next token.

    Visual tokens are the bulk of a row and are never learnt; at the size of a vocabulary their logits would take most
    of the memory of a step.
    """
    targets = functional.pad(inputs["labels"][:, 1:], (0, 1), value=IGNORED)
    columns = (targets != IGNORED).any(0).nonzero()[:, 0]
    if not len(columns):
        columns = columns.new_zeros(1)
    targets = targets[:, columns].contiguous()
    labels = functional.pad(targets, (1, 0), value=IGNORED)  # the same once more, in the form of labels not yet shifted
    return inputs | {"labels": labels, "shift_labels": targets, "logits_to_keep": columns}


def combine(
    outputs: Any, counts: Counts, totals: Counts, action: Any, addition: Addition | None = None
) -> dict[str, torch.Tensor]:
    """The share of a micro-batch in every piece of the global batch's loss, and in their weighted sum as "loss".

    Args:
        outputs: of the model, which was told ``num_items_in_batch=totals.tokens``: its text loss is a share already.
        counts: of the micro-batch.
        totals: the same of the global batch.
        action: the action token's settings, or None.
        addition: names and weights of further losses.
    """
    if action is None or "action_loss" not in outputs:
        text = outputs["loss"]
        return {"loss": text, "lm_loss": text.detach()}
    text = outputs["lm_loss"]
    heads = outputs["action_loss"] * (counts.labelled / max(totals.labelled, 1))
    distillation = outputs["distillation_loss"] * (counts.videos / max(totals.videos, 1))
    total = text + action.head_weight * heads.to(text) + action.distillation_weight * distillation.to(text)
    pieces = dict(zip(PIECES, (text, heads, distillation), strict=False))
    further = []
    for (name, weight), number in zip({} if addition is None else addition.losses.items(), totals.wanted, strict=False):
        if name in outputs:
            pieces[name] = outputs[name] / (number or 1)
            further.append(weight * pieces[name])
    if further:
        total = total + sum(further[1:], further[0]).to(text)
    return {"loss": total, **{name: value.detach() for name, value in pieces.items()}}
