"""A warm-up of the vision tower: every patch learns which things object boxes say are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import nn
from torch.nn import functional
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from kitchen_mini.lessons.config import BoxesConfig
from kitchen_mini.lessons.patches import BoxedFrames, FrameBatches, FrameScaler, channel_groups, load_frames
from llavaction.base.errors import InputError
from llavaction.base.files import clear_away
from llavaction.base.records import file_sha256
from llavaction.base.seeding import hashed_seed
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.training.base_trainer import BaseTrainer, arguments, train_and_save
from llavaction.training.checkpoints import UNFINISHED, hold_to_data
from llavaction.training.config import LearningRates, StageConfig, TrainConfig
from llavaction.training.meter import EVAL, MetricsWriter, ThroughputMeter
from llavaction.training.mixture import Mixture
from llavaction.training.sampler import Draw, RecordSampler, steps_of
from llavaction.training.trainable_model import make_trainable_model
from llavaction.video.library import VideoLibrary

_BETAS = (0.9, 0.98)


class PatchLabeller(nn.Module):
    """A model's vision tower, up to where the projector reads it, and a head that says what lies on each patch.

    The tower is the model's own: what it learns, the model has learnt. The head is thrown away afterwards.

    Args:
        core: a LLaVA-Video model.
        nouns: noun classes.
        positive_weight: of what is there, in the loss.
        seed: of the head's weights.
    """

    def __init__(self, core: Any, nouns: int, *, positive_weight: float = 2.0, seed: int = 0) -> None:
        super().__init__()
        tower = core.model.vision_tower
        self.embeddings, self.encoder = tower.embeddings, tower.encoder
        self._checkpointing = tower.activation_checkpointing_enable
        width, channels = tower.config.hidden_size, channel_groups(nouns)["on"].stop
        self.head = nn.Linear(width, channels)
        generator = torch.Generator().manual_seed(hashed_seed("patch head", seed) % 2**63)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(channels, width, generator=generator) * width**-0.5)
            self.head.bias.zero_()
        self._positive_weight = positive_weight

    def forward(self, pixel_values: torch.Tensor, targets: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Say what lies on each patch.

        Args:
            pixel_values: [frames, 3, side, side].
            targets: 0 or 1, [frames, patches, channels], see :func:`kitchen_mini.lessons.patches.patch_targets`.

        Returns:
            ``logits`` [frames, patches, channels] and, with targets, ``loss``, their mean binary cross-entropy.
        """
        hidden = self.embeddings(pixel_values)
        logits = self.head(self.encoder(inputs_embeds=hidden).last_hidden_state).float()
        if targets is None:
            return {"logits": logits}
        weight = torch.tensor(self._positive_weight, device=logits.device)
        loss = functional.binary_cross_entropy_with_logits(logits, targets.to(logits), pos_weight=weight)
        return {"loss": loss, "logits": logits}

    def activation_checkpointing_enable(self, **settings: Any) -> None:
        """Compute the tower's activations twice to save memory; called by the library."""
        self._checkpointing(**settings)


class WarmUpTrainer(BaseTrainer):
    """Trains a :class:`PatchLabeller`; arguments as for its parent, which has the frames held out as ``evaluated``."""

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with one learning rate; matrices decay, the rest does not."""
        if self.optimizer is None:
            trained = [item for item in (model or self._trained).parameters() if item.requires_grad]
            groups = [
                {"params": [item for item in trained if (item.dim() > 1) == matrices], "weight_decay": decay}
                for matrices, decay in ((True, self._stage.weight_decay), (False, 0.0))
            ]
            rate = self._stage.learning_rates.vision_tower
            assert rate is not None
            self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=_BETAS)
        return self.optimizer

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The micro-batch's share of the loss; all are of one size."""
        outputs = model(**inputs)
        self._meter.add(rows=len(inputs["pixel_values"]))
        loss = outputs["loss"] / self.args.gradient_accumulation_steps
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *unused: Any, **also_unused: Any) -> dict[str, float]:
        """F1 of every group of channels on the frames held out, every process looking at its share."""
        frames: Any = self.eval_dataset
        with self._meter.paused(), self.accelerator.autocast():
            counts = self._counts(frames, self.args.process_index, self.args.world_size)
        right, predicted, present = self._sum(counts).unbind(1)
        scores = (2 * right / (predicted + present).clamp(min=1)).tolist()
        names = channel_groups(1)
        return self._reported({f"{EVAL}f1_{name}": score for name, score in zip(names, scores, strict=True)})

    @torch.no_grad()
    def _counts(self, frames: BoxedFrames, rank: int, world: int) -> torch.Tensor:
        """Per group of channels how many are rightly said, said, and there: float64 [groups, 3]."""
        batches: Any = self.data_collator
        groups = list(channel_groups(batches.nouns).values())
        counts = torch.zeros(len(groups), 3, dtype=torch.float64)
        indices, size = range(rank, len(frames), world), max(self._stage.micro_batch, 8)
        self._trained.eval()
        for start in range(0, len(indices), size):
            batch = batches([frames[Draw(index, 0)] for index in indices[start : start + size]])
            predicted = self._trained(batch["pixel_values"].to(self.args.device))["logits"].cpu() > 0
            present = batch["targets"] > 0
            for number, group in enumerate(groups):
                pair = predicted[..., group], present[..., group]
                counts[number] += torch.tensor([int(cells.sum()) for cells in (pair[0] & pair[1], *pair)])
        self._trained.train()
        return counts

    def _measured(self, values: dict[str, float]) -> dict[str, float]:
        return {name: values[name] for name in ("samples_per_second", "world_size")}


def warm_up(config: TrainConfig, stage: StageConfig, start: Path, home: Path, result: Path) -> None:
    """One stage with boxes from the checkpoint folder ``start`` to the folder ``result``.

    Raises:
        InputError: the model is of another family than LLaVA-Video, or boxes or videos are not as they have to be.
    """
    boxes, videos = BoxesConfig.from_mapping(stage.extra), stage.videos
    assert videos is not None
    if config.deepspeed is not None or config.fsdp is not None:
        raise InputError(
            "a stage with boxes does not go with deepspeed or fsdp", hint="warm the tower up in a run before"
        )
    processes = PartialState()
    rate = stage.learning_rates.vision_tower
    rates = LearningRates(vision_tower=rate, projector=None, language_model=None, action=None)
    stage = stage.model_copy(update={"learning_rates": rates, "evaluation": None})
    attention = None if config.attention == "auto" else config.attention
    trainable = make_trainable_model(start, stage, seed=config.seed, attention=attention)
    checkpoint = trainable.checkpoint
    if checkpoint.config.model_type != "llava_video":
        raise InputError(
            f"boxes warm up the tower of 'llava_video' models, this is a '{checkpoint.config.model_type}'",
            file=start,
        )
    scaler = FrameScaler(
        LlavaVideoProcessor.for_config(
            checkpoint.config, checkpoint.tokenizer, image_settings=checkpoint.image_settings
        )
    )
    loaded = load_frames(boxes, VideoLibrary(videos), scaler, config.seed, config.workers)
    count = len(loaded.training)
    sampler = RecordSampler(
        Mixture((), (), [(0, count, 1.0)], config.seed),  # of frames, not records: all it tells is their order
        [1] * count,
        stage.steps or steps_of(stage.epochs, count, stage.global_batch),
        stage.global_batch,
        stage.micro_batch,
        0,
        config.seed,
    )
    model = PatchLabeller(trainable.core, boxes.nouns, positive_weight=boxes.positive_weight, seed=config.seed)
    facts: Mapping[str, Any] = {
        "steps": sampler.steps,
        "frames": count,
        "held_out_frames": len(loaded.held_out),
        "held_out_videos": loaded.held_out_videos,
        "missing_frames": sum(loaded.missing.values()),
        "missing_videos": sorted(loaded.missing)[:10],
        "world_size": processes.num_processes,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    args = arguments(config, stage, home, sampler.steps, processes.num_processes)
    if len(loaded.held_out):
        _evaluate_at_the_end(args)
    digests = digests_of_boxes(boxes.path)
    digests |= {"frames": f"{count}, {len(loaded.held_out)}"}
    digests |= {f"video {name}": facts["sha256_of_parts"][:16] for name, facts in loaded.videos.items()}
    hold_to_data(home, digests, write=processes.is_main_process)
    if processes.is_main_process:
        clear_away(home / UNFINISHED)
    trainer = WarmUpTrainer(
        model.train(),
        stage,
        args,
        data=loaded.training,
        batches=FrameBatches(scaler, checkpoint.config.patches_per_side, boxes.nouns),
        sampler=sampler,
        meter=ThroughputMeter(1.0, processes.num_processes),
        evaluated=loaded.held_out,
        callbacks=[MetricsWriter(config.output, stage.name, facts)],
    )
    train_and_save(trainer, trainable, home, result, lambda: trainable)  # never spread, see above


def digests_of_boxes(folder: Path) -> dict[str, str]:
    """What a folder's files of boxes are known by, by their places in it: two of one name do not hide each other."""
    files = sorted(folder.rglob("*.jsonl"))
    return {f"boxes {path.relative_to(folder).as_posix()}": file_sha256(path)[:16] for path in files}


def _evaluate_at_the_end(args: TrainingArguments) -> None:
    args.eval_strategy, args.eval_steps = IntervalStrategy.STEPS, args.max_steps
