"""Frames delivered as good are those of a decode from the beginning, in every window of every file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from llavaction.video.layouts import VIDEO_SUFFIXES


@pytest.fixture(scope="module")
def seeks() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "seeks.py"
    spec = importlib.util.spec_from_file_location("seeks_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def test_every_window_of_made_files(seeks: ModuleType, tmp_path: Path) -> None:
    """Each kind of file is read, and most of what an undamaged one holds is delivered."""
    tallies = []
    for name, settings in seeks.MADE.items():
        path = seeks.make(tmp_path, name)
        tally = seeks.check(path, step=1.0, rows=seeks.MADE_ROWS, fps=seeks.made_fps(name))
        assert (tally.differing, tally.misplaced, tally.unreadable) == (0, 0, 0), tally
        assert tally.frames > 0, name
        is_whole = not settings.keys() & {"change", "join"}
        over_the_end = seeks.MADE_ROWS // 2 if "fps" not in settings else tally.stand_ins
        assert not is_whole or tally.stand_ins == over_the_end, tally
        is_holed = name.split("_")[0] in {"zeroed", "random", "deleted"}
        assert not is_holed or tally.stand_ins > seeks.MADE_ROWS, tally
        tallies.append(tally)
    everything = seeks.total(tallies)
    assert everything.files == len(seeks.MADE) >= 25
    assert everything.windows > 300 and everything.frames > 5000


def test_every_window_of_real_clips(seeks: ModuleType, shared: Path) -> None:
    paths = [path for path in (shared / "data/clips").rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]
    everything = seeks.total([seeks.check(path, step=seeks.WINDOW) for path in paths])
    assert everything.files >= 13
    assert (everything.differing, everything.unreadable) == (0, 0)
    assert everything.frames > 500
