"""Training a specialist: deterministic by its seed, and continued where it was stopped, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from llavaction.base.errors import InputError
from llavaction.base.files import sweep
from llavaction.base.fingerprints import digest_of_files
from llavaction.base.seeding import hashed_rng, hashed_seed
from llavaction.runs.locks import PATIENCE, folder_lock
from llavaction.specialists.classifier import CONFIG, Specialist, read_config, read_notes, read_tensors, write_tensors
from llavaction.specialists.clip_cache import ClipCache
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.labels import SpecialistLabels

STATE = "training.safetensors"
"""Weights, the optimiser's moments and the history after the last whole epoch; gone once training is complete."""
LARGEST_GRADIENT = 1.0


def train_specialist(
    cache: ClipCache,
    labels: SpecialistLabels,
    output: str | Path,
    *,
    places: Sequence[int] | None = None,
    facts: dict[str, Any] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Specialist:
    """Train on a table of segments and write the specialist's folder.

    The same data and settings give the same weights on the same machine, whether the training was stopped in between
    or not: what is drawn in an epoch (order, augmentation, dropout) depends on the seed and the epoch's number alone.
    Segments whose video cannot be decoded are left out (:attr:`ClipCache.faults` names them).

    Args:
        cache: the segments' frames, and the settings.
        labels: what is to be told apart.
        output: folder to write. A stopped training in it is continued, a finished one is loaded.
        places: segments of the clip cache to train on; all by default.
        facts: kept in the folder's configuration, beside the history of losses.
        log: is given a line after each epoch.

    Raises:
        RunLockedError: another process trains in the folder.
        InputError: the folder holds a training on other data or with other settings; a segment's class is not among the
            labels; nothing could be decoded; the loss is not finite; the folder cannot be written.
    """
    output, config = Path(output), cache.config
    places = list(range(len(cache.segments))) if places is None else list(places)
    if not places:
        raise InputError("there are no segments to train a specialist on")
    targets = torch.from_numpy(labels.targets(cache.segments))
    identity = _identity(cache, labels, places)
    if (output / CONFIG).is_file():
        if (read_config(output).get("facts") or {}).get("identity") != identity:
            raise InputError(
                "holds a specialist of other annotations, videos, checkpoint or settings",
                file=output,
                hint="give another folder",
            )
        log(f"already trained: {output}")
        (output / STATE).unlink(missing_ok=True)  # of a call that was killed at its very end
        sweep(output)
        return Specialist.load(output)
    with folder_lock(output, PATIENCE):
        run = _Run(Specialist.untrained(config, labels), len(places))
        if (output / STATE).is_file():
            run.resume(output / STATE, identity)
            log(f"continued after epoch {len(run.history)} of {config.epochs}")
        for epoch in range(len(run.history), config.epochs):
            run.epoch(epoch, cache, targets, places)
            if epoch + 1 < config.epochs:
                run.store(output / STATE, identity)
            log(f"epoch {epoch + 1} of {config.epochs}: loss {run.history[-1][0]:.3f}, {run.history[-1][1]:.1f} s")
        specialist = run.specialist.eval().cpu()
        facts_of_run = {"identity": identity, "segments": len(places), "left_out": sorted(cache.faults.skipped)}
        facts_of_run |= {
            "loss": [round(loss, 6) for loss, _ in run.history],
            "seconds": round(sum(t for _, t in run.history), 1),
        }
        specialist.facts = (facts or {}) | facts_of_run
        specialist.save(output)
        (output / STATE).unlink(missing_ok=True)
    return specialist


def device() -> torch.device:
    """The accelerator where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Run:
    """A specialist in training, its optimiser, and (mean loss, seconds) of the epochs so far."""

    def __init__(self, specialist: Specialist, segments: int) -> None:
        self.specialist, self.config = specialist.to(device()), specialist.config
        self.history: list[tuple[float, float]] = []
        self.steps_per_epoch = math.ceil(segments / self.config.batch_size)
        parameters = list(specialist.parameters())
        decay = self.config.weight_decay
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.config.learning_rate,
        )

    def epoch(self, number: int, cache: ClipCache, targets: Tensor, places: Sequence[int]) -> None:
        """One pass over the segments."""
        started_at, config, total, clip_count = time.perf_counter(), self.config, 0.0, 0
        draws = hashed_rng("specialist epoch", config.seed, number)
        order = [places[i] for i in draws.permutation(len(places))]
        plan = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
        self.specialist.train()
        with torch.random.fork_rng():
            torch.manual_seed(hashed_seed("specialist dropout", config.seed, number) % 2**63)
            for step, (batch, frames) in enumerate(cache.batches(plan, f"epoch {number + 1}")):
                if not batch:
                    continue
                changed = augmented(frames, config, draws).to(device())
                loss = self._loss(self.specialist(changed), targets[batch].to(device()))
                if not torch.isfinite(loss):
                    raise InputError(
                        f"the loss is {loss.item()} in epoch {number + 1}",
                        hint=f"lower learning_rate ({config.learning_rate})",
                    )
                self._step(loss, number * self.steps_per_epoch + step)
                total, clip_count = total + float(loss.detach()) * len(batch), clip_count + len(batch)
        if not clip_count:
            raise InputError("no segment could be decoded", hint=cache.faults.summary(len(places)))
        self.history.append((total / clip_count, time.perf_counter() - started_at))

    def _loss(self, logits: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Sum of the heads' cross entropies."""
        smoothing = self.config.label_smoothing
        parts = [
            functional.cross_entropy(scores, targets[:, head], label_smoothing=smoothing)
            for head, scores in enumerate(logits)
        ]
        return torch.stack(parts).sum()

    def _step(self, loss: Tensor, step: int) -> None:
        share = step / (self.steps_per_epoch * self.config.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rate_at(share, self.config.warmup)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.specialist.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()

    def store(self, path: Path, identity: str) -> None:
        """Write what is needed to go on, in one file."""
        tensors = {f"weights.{name}": value for name, value in self.specialist.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in moments.items()}
        notes = {"identity": identity, "history": self.history}
        write_tensors(path, tensors, notes)

    def resume(self, path: Path, identity: str) -> None:
        """Go on from a stored state.

        Raises:
            InputError: it is damaged, or of a training on other data or with other settings.
        """
        tensors, notes = read_tensors(path), read_notes(path)
        if notes.get("identity") != identity:
            raise InputError(
                "is of a training on other data or with other settings",
                file=path,
                hint="give another folder, or delete this file to begin anew",
            )
        weights = {name.removeprefix("weights."): v for name, v in tensors.items() if name.startswith("weights.")}
        self.specialist.load_state_dict(weights)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, moment = name.split(".")
                state.setdefault(int(index), {})[moment] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        self.history = [(float(loss), float(seconds)) for loss, seconds in notes["history"]]


def rate_at(share: float, warmup: float) -> float:
    """Factor on the learning rate when ``share`` of the steps are done: a straight rise, then a cosine to 0."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) if warmup < 1 else 1.0


def augmented(frames: Tensor, config: SpecialistConfig, draws: np.random.Generator) -> Tensor:
    """Move each clip's pictures (edges are repeated) and scale its colours; float32 of 0..255, shape kept.

    Args:
        frames: bytes [batch, frames, height, width, 3].
        config: how far.
        draws: where the randomness comes from.
    """
    height, width = frames.shape[2:4]
    reach = np.array([int(config.shift * height), int(config.shift * width)])
    moves = draws.integers(-reach, reach + 1, size=(len(frames), 2))
    scales = 1 + config.brightness * (2 * draws.random((len(frames), 1, 1, 1, 3)) - 1)
    moved = torch.empty(frames.shape, dtype=torch.uint8)
    rows, columns = torch.arange(height), torch.arange(width)
    for clip, (down, right) in enumerate(moves.tolist()):
        from_rows, from_columns = (rows - down).clamp(0, height - 1), (columns - right).clamp(0, width - 1)
        moved[clip] = frames[clip][:, from_rows][:, :, from_columns]
    return (moved * torch.from_numpy(scales).float()).clamp(0, 255)


def _identity(cache: ClipCache, labels: SpecialistLabels, places: Sequence[int]) -> str:
    """A digest of what a training is on and with; names of folders and where frames are kept do not change it."""
    segments = [cache.segments[place].model_dump_json(include=_USED) for place in places]
    settings = cache.config.model_dump_json(exclude={"cache_gb", "checkpoint"})
    start = cache.config.checkpoint
    contents = [] if start is None else [digest_of_files((start / "config.json", *start.glob("*.safetensors")))]
    contents += [facts["sha256_of_parts"] for facts in cache.facts(places).values()]
    return f"{hashed_seed(settings, labels.model_dump_json(), *segments, *contents):032x}"


_USED = {"segment_id", "video_id", "start", "stop", "verb_class", "noun_class"}
