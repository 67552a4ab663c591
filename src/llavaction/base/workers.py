"""Worker processes that never outlive the process they work for."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from llavaction.base.errors import LlavactionError

_PR_SET_PDEATHSIG = 1
"""Linux: the signal a process gets when the thread that started it ends (sys/prctl.h)."""


def end_with_parent(*_: Any) -> None:
    """Make this worker process end when the one that started it ends, however that ended.

    To be called first thing in a worker of :mod:`multiprocessing`; in any other process it does nothing. A thread
    waits for the end of the pipe that the parent holds open. On Linux the kernel is asked to kill the worker too,
    because a thread gets no turn while a decoder or a matrix product holds the interpreter.

    Args:
        _: what those who call it pass along, such as the number of a DataLoader's worker.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux" and os.getppid() == parent.pid:  # under a fork server the kernel's parent is another
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:  # it ended before the kernel was asked
            os._exit(1)
    threading.Thread(target=_end_after, args=(parent,), name="end with parent", daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def process_pool(
    workers: int, initializer: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """Processes started afresh ("spawn") that end with this one; what waits is dropped when the block ends.

    Args:
        workers: how many.
        initializer: called in each before its first task.
        arguments: for it.

    Raises:
        LlavactionError: one of them ended unexpectedly.
    """
    context = multiprocessing.get_context("spawn")
    packed = pickle.dumps((initializer, arguments))  # opened in the worker once it is watched: that may take a while
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(packed,))
    try:
        yield pool
    except BrokenProcessPool:
        raise LlavactionError(
            "a worker process ended unexpectedly\n"
            "  hint: memory may be short: try one worker; a script that asks for several needs "
            "'if __name__ == \"__main__\":'"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(packed: bytes) -> None:
    end_with_parent()
    initializer, arguments = pickle.loads(packed)
    if initializer is not None:
        initializer(*arguments)
