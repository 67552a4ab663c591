"""Loaders whose workers hand over what they make through a pipe, not in shared memory, and whose end is noticed."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from multiprocessing import queues
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from llavaction.base.errors import LlavactionError
from llavaction.base.workers import end_with_parent

Item = TypeVar("Item")
_WITHOUT = "use --workers 0 (in a recipe workers: 0)"


class Loader(DataLoader[Item]):
    """PyTorch's loader, for machines with little shared memory (containers have 64 MB) or none left.

    Args:
        dataset: what is loaded.
        workers: processes that load; 0 loads in this one. They end with it.
        rest: as PyTorch's takes it.
    """

    def __init__(self, dataset: Dataset[Item], workers: int, **settings: Any) -> None:
        super().__init__(dataset, num_workers=workers, worker_init_fn=_start, **settings)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # what it gives is all that anybody needs of it
        """The batches.

        Raises:
            LlavactionError: the workers cannot be started, or one ended.
        """
        try:
            if self.num_workers:
                torch.multiprocessing.Lock()  # what they need most; a loader that fails half-way is loud
            batches = super().__iter__()
        except OSError as error:
            raise LlavactionError(
                f"no worker processes can be started: {error.strerror or error}\n"
                f"  hint: shared memory (/dev/shm) may be full: {_WITHOUT}"
            ) from None
        try:
            yield from batches
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise LlavactionError(
                f"a worker process ended unexpectedly ({str(error).splitlines()[0]})\n"
                f"  hint: memory may be short, or shared memory (/dev/shm) full: {_WITHOUT}"
            ) from None


def _start(number: int) -> None:
    """Prepare this worker: it ends with its parent, sends tensors whole, and ends where something cannot be sent."""
    end_with_parent(number)
    ForkingPickler.register(Tensor, _whole)
    queues.Queue._on_queue_feeder_error = staticmethod(_end_unsent)  # type: ignore[attr-defined]


def _end_unsent(error: Exception, _: Any) -> None:
    """End the worker: its parent would wait for ever for what could not be sent, but notices that it has ended."""
    traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(1)


def _whole(tensor: Tensor) -> tuple[Any, ...]:
    """A tensor as its bytes; PyTorch would send the name of a file in shared memory."""
    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return _tensor, (content, tensor.dtype, tuple(tensor.shape))


def _tensor(content: NDArray[np.uint8], dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(content).view(dtype).reshape(shape)
