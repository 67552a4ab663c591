"""The trainer of records: our loss and our log, see :mod:`llavaction.training.base_trainer` for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from llavaction.models.tokenisation import IGNORED
from llavaction.training.additions import Addition
from llavaction.training.base_trainer import BaseTrainer
from llavaction.training.config import StageConfig
from llavaction.training.flops import FlopCounter
from llavaction.training.in_loop_eval import InLoopEvaluation
from llavaction.training.inputs import PARTIAL, RECORDS, SKIPPED, BatchMaker, ClipDataset
from llavaction.training.losses import PIECES, Counts, combine, count, with_few_logits
from llavaction.training.meter import ThroughputMeter
from llavaction.training.sampler import RecordSampler
from llavaction.training.trainable_model import TrainableModel, parameter_groups


class SupervisedTrainer(BaseTrainer):
    """Trains a model on what the sampler draws.

    Args:
        trainable: the model.
        stage: how it is trained.
        args: the library's own settings.
        data: the records and their videos.
        batches: makes model inputs of them.
        sampler: which record when.
        meter: the log.
        flops: counts the work.
        evaluation: asks questions in between, or None.
        callbacks: of the library.
        addition: further losses.
    """

    def __init__(
        self,
        trainable: TrainableModel,
        stage: StageConfig,
        args: TrainingArguments,
        *,
        data: ClipDataset,
        batches: BatchMaker,
        sampler: RecordSampler,
        meter: ThroughputMeter,
        flops: FlopCounter,
        evaluation: InLoopEvaluation | None,
        callbacks: list[Any],
        addition: Addition | None = None,
    ) -> None:
        self._core, self._action = trainable.core, trainable.action
        self._flops, self._evaluation = flops, evaluation
        self._addition = addition or Addition()
        self._addition.attach(self._core)
        super().__init__(
            trainable.model,
            stage,
            args,
            data=data,
            batches=batches,
            sampler=sampler,
            meter=meter,
            evaluated=None if evaluation is None else evaluation.questions,
            callbacks=callbacks,
            tied=trainable.tied,
        )
        trainable.model.register_forward_hook(partial(_losses_alone, self._addition), with_kwargs=True)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for every part of the model."""
        if self.optimizer is None:
            groups = parameter_groups(model or self._trained, self._stage)
            self.optimizer = torch.optim.AdamW(groups, betas=(0.9, self._stage.beta2))
        return self.optimizer

    def get_batch_samples(  # type: ignore[override]  # the library only hands the counts on
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Counts]:
        """The micro-batches of a step, and what the means of the global batch are taken over."""
        batches = []
        for _ in range(num_batches):
            batch = next(epoch_iterator, None)
            if batch is None:
                break
            self._meter.note(batch.pop(SKIPPED), batch.pop(PARTIAL), batch.pop(RECORDS))
            batches.append(batch)
        counts = Counts.summed([count(self._core, batch, self._addition) for batch in batches], self._addition)
        numbers = torch.tensor([*counts[:3], *counts.wanted], dtype=torch.float64, device=device)
        totals = self.accelerator.reduce(numbers, "sum").tolist()
        tokens, labelled, videos = (round(value) for value in totals[:3])
        return batches, Counts(tokens, labelled, videos, tuple(totals[3:]))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The micro-batch's share of the loss, as many times as there are processes: their gradients are averaged."""
        counts = count(self._core, inputs)
        total_counts = num_items_in_batch or count(self._core, inputs, self._addition)
        if self._action is None:
            inputs.pop("action_labels", None)
        with self._addition.running(self._core, counts.tokens) as layers:
            outputs = model(**with_few_logits(inputs), num_items_in_batch=max(total_counts.tokens, 1))
        pieces = combine(outputs, counts, total_counts, self._action, self._addition)
        loss = pieces.pop("loss") * self.args.world_size
        mask = inputs["attention_mask"]
        learnt = (inputs["labels"] != IGNORED).any(1)
        if "action_labels" in inputs:
            learnt |= (inputs["action_labels"] >= 0).flatten(1).any(1)
        self._meter.add(
            rows=int(learnt.sum()),
            tokens=int(mask.sum()),
            places=mask.numel(),
            flops=self._flops(inputs, counts.tokens, layers),
            **{name: float(value) for name, value in pieces.items()},
        )
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *unused: Any, **also_unused: Any) -> dict[str, float]:
        """Accuracy on the benchmark, every process asking its share."""
        assert self._evaluation is not None
        with self._meter.paused(), self.accelerator.autocast():
            counts = self._evaluation(self._core, self.args.process_index, self.args.world_size)
        right, failed, total = self._sum(torch.tensor(counts)).tolist()
        metrics = {"eval_accuracy": right / max(total, 1), "eval_questions": total, "eval_failed": failed}
        return self._reported(metrics)


def _losses_alone(
    addition: Addition, module: nn.Module, args: Any, inputs: dict[str, Any], outputs: Any
) -> dict[str, torch.Tensor] | None:
    """In training, hand on nothing but the losses: what wraps a model for several processes cannot copy more.

    What the ``addition`` finds is added.

    A loss that no trained parameter had a part in, as of text where only the projector learns, gets a gradient of zero.
    """
    if not module.training:
        return None
    losses = {name: outputs[name] for name in ("loss", *PIECES) if name in outputs}
    losses |= addition.losses_of(inputs, outputs)
    if not any(value.requires_grad for value in losses.values()):
        smallest = min((item for item in module.parameters() if item.requires_grad), key=torch.numel)
        nothing = 0.0 * smallest.sum()
        losses = {name: value + nothing for name, value in losses.items()}
    return losses
