"""Loaders with workers where there is no shared memory, or where a worker ends: they work, or end with what to do."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from llavaction.base.errors import LlavactionError
from llavaction.base.loaders import Loader

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and signals")

_USES = """
import os, resource, signal, sys, time
import numpy as np
import torch
from llavaction.base.errors import LlavactionError
from llavaction.base.loaders import Loader

class Unsendable:
    def __reduce__(self):
        raise OSError(28, "No space left on device")

class Items:
    def __len__(self):
        return 6
    def __getitem__(self, place):
        if sys.argv[1] == "killed" and place == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1] == "unsent" and place == 3:
            return Unsendable()
        return {"frames": torch.full((1 << 20,), place, dtype=torch.uint8), "text": str(place)}

if __name__ == "__main__":
    if sys.argv[1] == "limited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # no file in shared memory may be larger
    try:
        found = list(Loader(Items(), 2, batch_size=None, collate_fn=lambda item: item))
    except LlavactionError as error:
        print(f"error: {error}")
    else:
        print([int(item["frames"].sum()) >> 20 for item in found], [item["text"] for item in found])
"""


def outcome(tmp_path: Path, way: str) -> str:
    (tmp_path / "uses.py").write_text(_USES)
    done = subprocess.run(
        [sys.executable, tmp_path / "uses.py", way], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_nothing_is_handed_over_in_shared_memory(tmp_path: Path) -> None:
    assert outcome(tmp_path, "limited") == "[0, 1, 2, 3, 4, 5] ['0', '1', '2', '3', '4', '5']\n"


@pytest.mark.parametrize("way", ["killed", "unsent"])
def test_a_worker_that_ends_is_noticed(tmp_path: Path, way: str) -> None:
    begun = time.monotonic()
    said = outcome(tmp_path, way)
    assert said.startswith("error: a worker process ended unexpectedly")
    assert "--workers 0" in said
    assert time.monotonic() - begun < 40


class Tensors(Dataset[Any]):
    """Tensors of every form."""

    made = (
        torch.arange(6.0).reshape(2, 3).T,
        torch.tensor(3.5, dtype=torch.bfloat16),
        torch.zeros((0, 4), dtype=torch.int64),
        torch.tensor([[True, False]]),
        torch.arange(10)[::3],
    )

    def __len__(self) -> int:
        return len(self.made)

    def __getitem__(self, place: int) -> Any:
        return {"deep": [self.made[place]]}


def test_tensors_arrive_as_they_were_sent() -> None:
    for workers in (0, 2):
        found = [item["deep"][0] for item in Loader(Tensors(), workers, batch_size=None, collate_fn=_as_it_is)]
        for sent, arrived in zip(Tensors.made, found, strict=True):
            assert (arrived.dtype, arrived.shape) == (sent.dtype, sent.shape)
            assert torch.equal(arrived, sent)
    arrived += 1  # may be changed in place


def _as_it_is(item: Any) -> Any:
    return item


def test_workers_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", full)
    with pytest.raises(LlavactionError, match=r"No space left on device\n.*/dev/shm.*--workers 0"):
        list(Loader(Tensors(), 2, batch_size=None, collate_fn=_as_it_is))
