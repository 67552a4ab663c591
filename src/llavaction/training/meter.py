"""The log of a training: loss pieces, speed, FLOP utilisation and what was skipped; metrics.jsonl and TensorBoard."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.files import unwritable
from llavaction.base.records import read_lines, write_text
from llavaction.training.inputs import Skipped
from llavaction.training.losses import PIECES

HOPELESS = 64
"""So many records none of which could be read end a training."""
METRICS = "metrics.jsonl"
LAST = "train_loss"
"""What the last line of a stage has: the mean loss of all its steps."""
EVAL = "eval_"
"""How the names of what an evaluation found begin."""
_SUMS = ("rows", "tokens", "places", "flops", "skipped", "partial", "records")


class ThroughputMeter:
    """Adds up what happens between two lines of the log, in one process.

    Args:
        peak: operations per second at best of one process.
        world: processes.
        pieces: what the loss is put together from.
    """

    def __init__(self, peak: float, world: int, pieces: Sequence[str] = PIECES) -> None:
        self._peak, self._world, self._pieces = peak, world, tuple(pieces)
        self._sums = dict.fromkeys((*pieces, *_SUMS), 0.0)
        self._since = time.perf_counter()
        self._skipped = self._partial = self._records = 0.0
        self._said_partial = False
        self.first_skipped: Skipped | None = None

    def add(self, **values: float) -> None:
        """Add to the sums."""
        for name, value in values.items():
            self._sums[name] += value

    def note(self, skipped: Sequence[Skipped], partial: Sequence[str], records: int) -> None:
        """Count the records of a micro-batch, those left out of it and those whose clip is not complete.

        The first of either kind is shown.
        """
        self.add(skipped=len(skipped), partial=len(partial), records=records)
        if partial and not self._said_partial:
            self._said_partial = True
            print(f"record with an incomplete clip: {partial[0]}", file=sys.stderr)
        if skipped and self.first_skipped is None:
            self.first_skipped = skipped[0]
            print(f"skipped record {skipped[0].record_id}: {skipped[0].reason}", file=sys.stderr)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done here, evaluating or saving, does not count as time of training."""
        begin = time.perf_counter()
        yield
        self._since += time.perf_counter() - begin

    def drain(self, steps: int, reduce: Any) -> dict[str, float]:
        """The line of the log for the last ``steps`` steps, and a fresh start. Every process must call it.

        Args:
            steps: at least 1.
            reduce: sums a tensor over the processes.

        Raises:
            LlavactionError: no record could be used so far.
        """
        elapsed = time.perf_counter() - self._since
        values = reduce(torch.tensor(list(self._sums.values()), dtype=torch.float64)).tolist()
        total = dict(zip(self._sums, values, strict=True))
        self._sums, self._since = dict.fromkeys(self._sums, 0.0), time.perf_counter()
        self._skipped += total["skipped"]
        self._partial += total["partial"]
        self._records += total["records"]
        if self._records >= HOPELESS and self._skipped == self._records:
            first = f"; the first: {self.first_skipped.reason}" if self.first_skipped else ""
            raise LlavactionError(f"none of the first {self._records:.0f} records could be used{first}")
        return {
            **{name: total[name] / steps for name in self._pieces},
            "samples_per_second": total["rows"] / elapsed,
            "tokens_per_second": total["tokens"] / elapsed,
            "flop_utilisation": total["flops"] / elapsed / (self._peak * self._world),
            "padding": 1 - total["tokens"] / max(total["places"], 1),
            "skipped": self._skipped,
            "partial": self._partial,
            "world_size": self._world,
        }


class MetricsWriter(TrainerCallback):
    """Writes every line of the log to ``metrics.jsonl``, TensorBoard and standard error.

    Where a training goes on, the lines are taken back that will be written again: those of steps after its checkpoint,
    the first line of a stage that begins anew, and the last one, which says that all steps are done.

    Args:
        folder: of the run.
        stage: its name is in every line.
        facts: said once, in the first line.
    """

    def __init__(self, folder: Path, stage: str, facts: Mapping[str, Any]) -> None:
        self._path, self._stage, self._facts = folder / METRICS, stage, dict(facts)
        self._board_folder = folder / "tensorboard" / stage
        self._board: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Take back what will be done again, and say what is trained."""
        if not state.is_world_process_zero:
            return
        from torch.utils.tensorboard import SummaryWriter

        lines = read_metrics(self._path)
        last_step = state.global_step
        stays = [last_step > 0 and line["step"] <= last_step and LAST not in line for line in lines]
        valid_lines = [line for line, stay in zip(lines, stays, strict=True) if stay or line["stage"] != self._stage]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in valid_lines))
        with self._board_is_written():
            self._board = SummaryWriter(str(self._board_folder), purge_step=state.global_step + 1)
        if not state.global_step:
            self._write({"step": 0, **self._facts})

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Have a line written at every checkpoint and at the end, so that no step is in none of them."""
        if control.should_save or state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **rest: Any) -> None:
        """Write one line."""
        if not state.is_world_process_zero or not logs:
            return
        values = {name: value for name, value in logs.items() if name not in ("epoch", "total_flos")}
        if LAST in values:  # the library's own leaves out what came before a training went on
            values[LAST] = mean_loss(line for line in read_metrics(self._path) if line["stage"] == self._stage)
        self._write({"step": state.global_step, **values})
        for name, value in values.items():
            with self._board_is_written():
                self._board.add_scalar(name, value, state.global_step)
        if "loss" in values:
            losses = {name.removesuffix("_loss"): value for name, value in values.items() if name.endswith("_loss")}
            pieces = " ".join(f"{name} {value:.3f}" for name, value in losses.items() if value)
            if "tokens_per_second" in values:
                text = (
                    f"({pieces}), {values['tokens_per_second']:,.0f} tokens/s, "
                    f"{values['flop_utilisation']:.0%} of peak, {values['skipped']:.0f} skipped, "
                    f"{values['partial']:.0f} with an incomplete clip"
                )
            else:
                text = f"{values['samples_per_second']:,.0f} frames/s"
            place = f"{self._stage} {state.global_step}/{state.max_steps}"
            print(f"{place}: loss {values['loss']:.4f} {text}", file=sys.stderr)
        elif "eval_accuracy" in values:
            print(f"{self._stage} {state.global_step}: {accuracy_text(values)}", file=sys.stderr)
        elif any(name.startswith(EVAL) for name in values):
            accuracies = {name.removeprefix(EVAL): value for name, value in values.items() if name.startswith(EVAL)}
            text = ", ".join(f"{name} {value:.2f}" for name, value in accuracies.items())
            print(f"{self._stage} {state.global_step}: {text}", file=sys.stderr)

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Close the board."""
        if self._board is not None:
            with self._board_is_written():
                self._board.close()

    @contextmanager
    def _board_is_written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # of the thread that writes it
            raise unwritable(self._board_folder, error) from error

    def _write(self, values: Mapping[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"stage": self._stage, **values}) + "\n")
        except OSError as error:
            raise unwritable(self._path, error) from error


def accuracy_text(values: Mapping[str, Any]) -> str:
    """An accuracy of the log with what it is of."""
    failed, question_count = values.get("eval_failed", 0), values["eval_questions"]
    missing = f", {failed:.0f} could not be asked and count as wrong" if failed else ""
    return f"accuracy {values['eval_accuracy']:.1%} of {question_count:.0f} questions{missing}"


def mean_loss(lines: Iterable[Mapping[str, Any]]) -> float:
    """The mean loss of all steps of a stage; each line of the log has that of the steps since the line before it."""
    total, step = 0.0, 0
    for line in lines:
        if "loss" in line:
            total += line["loss"] * (line["step"] - step)
            step = line["step"]
    return total / step if step else math.nan


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; one that was cut short by a kill is left out.

    Raises:
        InputError: another line is damaged (names file and line).
    """
    if not path.is_file():
        return []
    lines = []
    for number, values in read_lines(path, "line of the log", journal=True):
        has_stage = isinstance(values, dict) and isinstance(values.get("stage"), str)
        if not has_stage or not isinstance(values.get("step"), int):
            raise InputError("is no line of a training's log: it has no 'stage' and 'step'", file=path, line=number)
        lines.append(values)
    return lines
