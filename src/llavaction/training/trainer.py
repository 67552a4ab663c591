"""The trainer: Hugging Face's, with our order of records, our loss, our log and checkpoints that are whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from llavaction.base.errors import InputError
from llavaction.models.checkpoint import quiet
from llavaction.models.tokenisation import IGNORED
from llavaction.training.checkpoints import UNFINISHED, kept_intact, publish
from llavaction.training.config import StageConfig
from llavaction.training.flops import FlopCounter
from llavaction.training.inputs import RECORDS, SKIPPED, BatchMaker, ClipDataset
from llavaction.training.losses import PIECES, Counts, combine, count, with_few_logits
from llavaction.training.meter import Meter
from llavaction.training.probe import Probe
from llavaction.training.schedule import MicroBatches, Schedule
from llavaction.training.trainee import Trainee, parameter_groups


class ActionTrainer(Trainer):
    """Trains a model on a schedule.

    Args:
        trainee: the model.
        stage: how it is trained.
        args: the library's own settings.
        data: the records and their videos.
        batches: makes model inputs of them.
        schedule: which record when.
        meter: the log.
        flops: counts the work.
        probe: asks questions in between, or None.
        callbacks: of the library.
    """

    def __init__(
        self,
        trainee: Trainee,
        stage: StageConfig,
        args: TrainingArguments,
        *,
        data: ClipDataset,
        batches: BatchMaker,
        schedule: Schedule,
        meter: Meter,
        flops: FlopCounter,
        probe: Probe | None,
        callbacks: list[Any],
    ) -> None:
        self._core, self._trained, self._stage, self._schedule = trainee.core, trainee.model, stage, schedule
        self._home, self._data = Path(str(args.output_dir)), data
        self._meter, self._flops, self._probe = meter, flops, probe
        self._action = trainee.action
        self._saving = False
        super().__init__(
            model=trainee.model,
            args=args,
            data_collator=batches,
            train_dataset=data,
            eval_dataset=None if probe is None else probe.questions,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        trainee.model.register_forward_hook(_losses_alone)
        self.loss_is_scaled_for_ga = True  # every micro-batch's loss is its share of the global batch's
        self._last_logged = 0

    def get_train_dataloader(self) -> DataLoader[Any]:
        """One pass over the whole schedule: every process gets its own micro-batches, nothing is dealt out again."""
        args = self.args
        return DataLoader(
            self._data,
            batch_sampler=MicroBatches(self._schedule, args.process_index, args.world_size),
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory and args.device.type == "cuda",
            prefetch_factor=2 if args.dataloader_num_workers else None,
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for every part of the model."""
        if self.optimizer is None:
            groups = parameter_groups(model or self._trained, self._stage)
            self.optimizer = torch.optim.AdamW(groups)
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
            self._meter.note(batch.pop(SKIPPED), batch.pop(RECORDS))
            batches.append(batch)
        own = [count(self._core, batch) for batch in batches]
        total = torch.tensor([sum(column) for column in zip(*own, strict=True)] if own else [0, 0, 0])
        whole = self.accelerator.reduce(total.to(device), "sum").tolist()
        return batches, Counts(*whole)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The micro-batch's share of the loss, as many times as there are processes: their gradients are averaged."""
        own, whole = count(self._core, inputs), num_items_in_batch or count(self._core, inputs)
        if self._action is None:
            inputs.pop("action_labels", None)
        outputs = model(**with_few_logits(inputs), num_items_in_batch=max(whole.tokens, 1))
        pieces = combine(outputs, own, whole, self._action)
        loss = pieces.pop("loss") * self.args.world_size
        mask = inputs["attention_mask"]
        learnt = (inputs["labels"] != IGNORED).any(1)
        self._meter.add(
            rows=int(learnt.sum()),
            tokens=int(mask.sum()),
            places=mask.numel(),
            flops=self._flops(inputs, own.tokens),
            **{name: float(value) for name, value in pieces.items()},
        )
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a line of losses what the meter has."""
        if "loss" in logs:
            steps = self.state.global_step - self._last_logged
            self._last_logged = self.state.global_step
            logs |= self._meter.drain(max(steps, 1), self._sum)
        super().log(logs, start_time)

    def evaluate(self, *unused: Any, **also_unused: Any) -> dict[str, float]:
        """Accuracy on the benchmark, every process asking its share."""
        assert self._probe is not None
        with self._meter.paused(), self.accelerator.autocast():
            own = self._probe(self._core, self.args.process_index, self.args.world_size)
        right, failed, asked = self._sum(torch.tensor(own)).tolist()
        metrics = {"eval_accuracy": right / max(asked, 1), "eval_questions": asked, "eval_failed": failed}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(values.to(self.args.device), "sum").cpu()

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._home / UNFINISHED if self._saving else self._home)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write beside, then move: a checkpoint is complete or not there."""
        step = self.state.global_step
        with self._meter.paused(), kept_intact(self._home, step):
            if self.args.should_save:
                shutil.rmtree(self._home / UNFINISHED, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            self._saving = True
            try:
                with quiet():
                    super()._save_checkpoint(model, trial)
            finally:
                self._saving = False
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                publish(self._home, step, self._stage.keep_checkpoints)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Write weights under the names the model has in memory: those are what a checkpoint is loaded by."""
        if not isinstance(self.model, PreTrainedModel):
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            self.model.save_pretrained(str(output_dir), state_dict=state_dict, save_original_format=False)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._last_logged = _step_of(resume_from_checkpoint)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Weights that do not fit would silently start anew: refuse them."""
        tied = set(getattr(self._core, "all_tied_weights_keys", None) or ())
        missing, surplus = set(load_result.missing_keys) - tied, set(load_result.unexpected_keys)
        if missing or surplus:
            raise InputError(
                f"its checkpoint lacks {sorted(missing)[:3]} and has {sorted(surplus)[:3]} too many",
                file=self._home,
                hint="it is not a checkpoint of this recipe; give another output folder",
            )


def _losses_alone(module: nn.Module, inputs: Any, outputs: Any) -> dict[str, torch.Tensor] | None:
    """In training, hand on nothing but the losses: what wraps a model for several processes cannot copy more.

    A loss that no trained parameter had a part in, as of text where only the projector learns, gets a gradient of zero.
    """
    if not module.training:
        return None
    losses = {name: outputs[name] for name in ("loss", *PIECES) if name in outputs}
    if not any(value.requires_grad for value in losses.values()):
        smallest = min((item for item in module.parameters() if item.requires_grad), key=torch.numel)
        nothing = 0.0 * smallest.sum()
        losses = {name: value + nothing for name, value in losses.items()}
    return losses


def _step_of(checkpoint: str) -> int:
    return int(Path(checkpoint).name.rpartition("-")[2])
