"""What every trainer here does alike: Hugging Face's, on our sampler, with checkpoints that are whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, TrainerCallback

from llavaction.base.byte_budget import AHEAD, loader_workers
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.files import clear_away
from llavaction.base.loaders import Loader
from llavaction.models.checkpoint import quiet
from llavaction.training.checkpoints import UNFINISHED, checkpoints, kept_intact, publish
from llavaction.training.config import StageConfig, TrainConfig, accumulation
from llavaction.training.inputs import ClipDataset
from llavaction.training.meter import ThroughputMeter
from llavaction.training.sampler import MicroBatches, RecordSampler
from llavaction.training.trainable_model import TrainableModel, save_trainable_model

AHEAD_IN_TRAINING = 4 * AHEAD
"""Bytes of frames that the workers of one process may have ready; a step may take more clips than a question."""


class BaseTrainer(Trainer):
    """Trains a model on what the sampler draws; what the loss is, and what is logged, is up to the class below.

    Args:
        model: what is trained.
        stage: how it is trained.
        args: the library's own settings.
        data: the items, by :class:`~llavaction.training.sampler.Draw`.
        batches: makes model inputs of them.
        sampler: which item when.
        meter: the log.
        evaluated: what ``evaluate`` looks at, or None.
        callbacks: of the library.
        tied: names of weights that are not stored, as others are equal to them.
    """

    def __init__(
        self,
        model: nn.Module,
        stage: StageConfig,
        args: TrainingArguments,
        *,
        data: Dataset[Any],
        batches: Any,
        sampler: RecordSampler,
        meter: ThroughputMeter,
        evaluated: Any,
        callbacks: list[Any],
        tied: frozenset[str] = frozenset(),
    ) -> None:
        self._trained, self._stage, self._sampler = model, stage, sampler
        self._home, self._data, self._meter, self._tied = Path(str(args.output_dir)), data, meter, tied
        self._saving = False
        super().__init__(
            model=model,
            args=args,
            data_collator=batches,
            train_dataset=data,
            eval_dataset=evaluated,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(_PresentIntervals)
        self.loss_is_scaled_for_ga = True  # every micro-batch's loss is its share of the global batch's
        self._last_logged = 0

    def get_train_dataloader(self) -> DataLoader[Any]:
        """All that the sampler draws: every process gets its own micro-batches, nothing is dealt out again."""
        args = self.args
        batch_bytes = self._stage.micro_batch * self._data.clip_bytes() if isinstance(self._data, ClipDataset) else 0
        workers, prefetch = loader_workers(args.dataloader_num_workers, batch_bytes, AHEAD_IN_TRAINING)
        return Loader(
            self._data,
            workers,
            batch_sampler=MicroBatches(self._sampler, args.process_index, args.world_size),
            collate_fn=self.data_collator,
            pin_memory=args.dataloader_pin_memory and args.device.type == "cuda",
            prefetch_factor=prefetch,
        )

    def training_step(self, *args: Any, **rest: Any) -> torch.Tensor:
        """Forward and backward; a loss that is no number ends the training before it spoils the weights."""
        loss = super().training_step(*args, **rest)
        self._refuse("loss", loss, self.state.global_step + 1)
        return loss

    def _maybe_log_save_evaluate(self, tr_loss: torch.Tensor, grad_norm: Any, *args: Any, **settings: Any) -> None:
        if grad_norm is not None:
            self._refuse("gradient", grad_norm, self.state.global_step)  # the weights are spoilt, but not saved yet
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **settings)

    def _refuse(self, quantity: str, value: Any, step: int) -> None:
        if not math.isfinite(float(value)):
            folders = checkpoints(self._home)
            advice = f"the same command goes on from {folders[-1].name}" if folders else "there is no checkpoint yet"
            raise LlavactionError(
                f"{self._home.name}: the {quantity} is {float(value)} in step {step}\n"
                f"  hint: lower the learning rates, in another output folder; {advice}"
            )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a line of losses what the meter has."""
        if "loss" in logs:
            steps = self.state.global_step - self._last_logged
            self._last_logged = self.state.global_step
            logs |= self._measured(self._meter.drain(max(steps, 1), self._sum))
        super().log(logs, start_time)

    def _measured(self, values: dict[str, float]) -> dict[str, float]:
        """What of the meter's line is logged."""
        return values

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(values.to(self.args.device), "sum").cpu()

    def _reported(self, metrics: dict[str, float]) -> dict[str, float]:
        """Log what an evaluation found, and tell the callbacks."""
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._home / UNFINISHED if self._saving else self._home)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write beside, then move: a checkpoint is complete or not there."""
        step = self.state.global_step
        with self._meter.paused(), kept_intact(self._home, step):
            if self.args.should_save:
                clear_away(self._home / UNFINISHED)
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
        missing, surplus = set(load_result.missing_keys) - self._tied, set(load_result.unexpected_keys)
        if missing or surplus:
            raise InputError(
                f"its checkpoint lacks {sorted(missing)[:3]} and has {sorted(surplus)[:3]} too many",
                file=self._home,
                hint="it is not a checkpoint of this recipe; give another output folder",
            )


def arguments(config: TrainConfig, stage: StageConfig, home: Path, steps: int, world: int) -> TrainingArguments:
    """The library's settings for a stage of ``steps`` steps in the folder ``home``, done by ``world`` processes."""
    checkpointing = {"use_reentrant": False} if stage.gradient_checkpointing else None
    rates = [rate for rate in stage.learning_rates.model_dump().values() if rate is not None]
    return TrainingArguments(
        output_dir=str(home),
        per_device_train_batch_size=stage.micro_batch,
        gradient_accumulation_steps=accumulation(stage, world),
        max_steps=steps,
        learning_rate=max(rates),
        lr_scheduler_type="constant_with_warmup" if stage.lr_schedule == "constant" else stage.lr_schedule,
        warmup_steps=math.ceil(stage.warmup_ratio * steps),
        max_grad_norm=stage.max_grad_norm,
        activation_checkpointing=stage.gradient_checkpointing,
        activation_checkpointing_kwargs=checkpointing,
        bf16=stage.precision == "bfloat16",
        seed=config.seed,
        logging_steps=stage.log_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=stage.save_steps,
        eval_strategy="no" if stage.evaluation is None else "steps",
        eval_steps=None if stage.evaluation is None else stage.evaluation.every,
        dataloader_num_workers=config.workers,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=config.device == "cpu",
        ddp_find_unused_parameters=True,  # a micro-batch without video does not use the tower
        deepspeed=None if config.deepspeed is None else str(config.deepspeed),
        fsdp=None if config.fsdp is None else "full_shard",
        fsdp_config=config.fsdp,
    )


def train_and_save(
    trainer: BaseTrainer, trainable: TrainableModel, home: Path, result: Path, afresh: Callable[[], TrainableModel]
) -> None:
    """Train from the newest checkpoint in ``home``, if there is one, and write the model to the folder ``result``.

    Args:
        trainer: not started.
        trainable: what it trains.
        home: folder of the checkpoints.
        result: folder of the model.
        afresh: makes the trainable again, which takes the weights where they are spread over the processes.
    """
    folders = checkpoints(home)
    trainer.train(resume_from_checkpoint=str(folders[-1]) if folders else None)
    if is_spread(trainer):
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # every process takes part
        trainable = _filled(afresh(), weights) if trainer.args.should_save else trainable
    if trainer.args.should_save:
        save_trainable_model(trainable, result)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.free_memory()


def is_spread(trainer: Trainer) -> bool:
    """Whether no process has all weights (DeepSpeed, FSDP)."""
    return bool(trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled)


def _filled(trainable: TrainableModel, weights: dict[str, torch.Tensor]) -> TrainableModel:
    """A trainable with trained weights; those tied to others may be absent from them.

    Raises:
        LlavactionError: they are not its own.
    """
    mismatch = trainable.model.load_state_dict(weights, strict=False)
    absent = {name.rpartition("base_model.model.")[2] for name in mismatch.missing_keys} - trainable.tied
    if absent or mismatch.unexpected_keys:
        raise LlavactionError(
            f"gathered weights lack {sorted(absent)[:3]} and have {mismatch.unexpected_keys[:3]} too many"
        )
    return trainable


class _PresentIntervals(TrainerCallback):
    """Steps between logs, checkpoints and evaluations as they are set now, not as a checkpoint remembers them."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        state.compute_steps(args, state.max_steps)


def _step_of(checkpoint: str) -> int:
    return int(Path(checkpoint).name.rpartition("-")[2])
