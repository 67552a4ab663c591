"""Commands with workers, killed: nobody is left."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from llavaction.base.errors import LlavactionError
from llavaction.base.workers import process_pool

PATIENCE = 5.0
COMMAND = (sys.executable, "-m", "llavaction.cli.main")

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="looks into /proc")


def children(pid: int) -> list[int]:
    """Descendants of a process."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*own, *(grandchild for child in own for grandchild in children(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def killed(command: Sequence[str | Path], workers: int, sign: tuple[Path, str]) -> list[int]:
    """Start a command and kill it when its workers work, to be seen by files in a folder; all processes below it."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        begun = time.monotonic()
        while len(list(sign[0].rglob(sign[1]))) < workers:
            assert process.poll() is None, "ended before it had its workers"
            assert time.monotonic() - begun < 60
            time.sleep(0.02)
        found = children(process.pid)
        assert len(found) >= workers
        process.send_signal(signal.SIGKILL)
        process.wait()
    begun = time.monotonic()
    while any(map(alive, found)) and time.monotonic() - begun < PATIENCE:
        time.sleep(0.02)
    left = [pid for pid in found if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"{len(left)} of {len(found)} are left"
    return found


def test_kitchen_mini(tmp_path: Path) -> None:
    command = [*COMMAND, "data", "kitchen-mini", "--workers", "2", "--output", tmp_path / "k"]
    found = killed(command, 2, (tmp_path, "*.MP4"))
    assert len(found) >= 3  # two that draw, one that tracks what they share


_USES = """
import os, sys, time
from pathlib import Path
from llavaction.base.loaders import Loader
from llavaction.base.workers import process_pool

def busy(seconds):
    (Path(__file__).parent / f"{os.getpid()}.works").touch()
    time.sleep(seconds)

class Slow:
    def __len__(self):
        return 100
    def __getitem__(self, place):
        busy(60)

if __name__ == "__main__":
    if sys.argv[1] == "pool":
        with process_pool(2) as pool:
            list(pool.map(busy, [60, 60, 60, 60]))
    else:
        import torch
        context = sys.argv[1]
        list(Loader(Slow(), 2, multiprocessing_context=context))
"""


@pytest.mark.parametrize("way", ["pool", "fork", "forkserver"])
def test_every_way_to_start_workers(tmp_path: Path, way: str) -> None:
    """Asleep in a task, so that nothing but the parent's end can wake them."""
    (tmp_path / "uses.py").write_text(_USES)
    killed([sys.executable, tmp_path / "uses.py", way], 2, (tmp_path, "*.works"))


def test_without_the_kernel_s_help(tmp_path: Path) -> None:
    """The watch of the pipe alone, as where there is no prctl."""
    code = _USES.replace("import torch\n", "import torch\n        sys.platform = 'elsewhere'\n", 1)
    (tmp_path / "uses.py").write_text(code)
    killed([sys.executable, tmp_path / "uses.py", "fork"], 2, (tmp_path, "*.works"))


def _dies(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_ends_is_a_clear_error() -> None:
    with pytest.raises(LlavactionError, match="ended unexpectedly"), process_pool(1) as pool:
        list(pool.map(_dies, [0]))


def test_every_place_that_starts_workers_has_them_end_with_it() -> None:
    """Pools come from process_pool alone, and every loader is our own, which gives them the watch."""
    source = Path(__file__).resolve().parents[2] / "src"
    loaders = 0
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            if path.name != "workers.py":
                assert called not in ("ProcessPoolExecutor", "Process", "Pool", "fork", "get_context"), path
            assert called != "DataLoader", path
            loaders += called == "Loader"
    assert loaders == 3
