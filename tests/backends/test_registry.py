"""Backends by name."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.asking import make_query, make_question, scores_of
from llavaction.backends.registry import BACKENDS, make_backend, parse_spec
from llavaction.base.errors import InputError
from llavaction.base.records import to_line, write_records
from llavaction.base.registry import resolve
from llavaction.questions.keys import option_classes
from llavaction.specialists.predictions import SpecialistPrediction

CLASSES = option_classes([make_question(0)])


def test_every_name_resolves() -> None:
    for name in BACKENDS:
        assert callable(resolve(BACKENDS, name, "backend").from_spec)


def test_makes_each_baseline() -> None:
    assert make_backend("chance").name == "chance"
    assert make_backend("chance:3").settings == {"seed": 3}  # type: ignore[attr-defined]
    assert make_backend("oracle:0.25", answers={}).settings == {"error_rate": 0.25, "seed": 0}  # type: ignore[attr-defined]
    prior = make_backend("prior", counts={(0, 0): 2, (1, 0): 3}, classes=CLASSES)
    assert scores_of(prior, [make_query(0)])[0].argmax() == 1
    assert prior.settings["training segments"] == 5  # type: ignore[attr-defined]


def test_makes_a_specialist_from_a_file_or_a_mapping(tmp_path: Path) -> None:
    prediction = SpecialistPrediction(segment_id="q0", actions=((4, 0), (0, 0)), scores=(2.0, 1.0))
    write_records(tmp_path / "tim.jsonl", [prediction])
    backend = make_backend(f"specialist:{tmp_path / 'tim.jsonl'}", name="TIM", classes=CLASSES)
    assert backend.name == "TIM"
    assert backend.generate([make_query(0)]) == ["E. wash plate"]
    digest = {"specialist's predictions": hashlib.sha256(to_line(prediction, ("clip",)).encode()).hexdigest()}
    assert backend.settings == {"predictions": 1, "fingerprint": digest}  # type: ignore[attr-defined]
    same = make_backend("specialist", predictions={"q0": prediction}, classes=CLASSES)
    assert same.generate([make_query(0)]) == ["E. wash plate"]


def test_a_folder_is_a_transformers_backend(tiny: dict[str, Path]) -> None:
    folder = tiny["llava_onevision"]
    assert parse_spec(str(folder)) == ("transformers", str(folder))
    for spec in (str(folder), f"transformers:{folder}"):
        backend = make_backend(spec, frames=2, device="cpu")
        assert (backend.name, backend.needs_frames) == ("transformers:llava_onevision", 2)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("chnace", {}, "unknown backend 'chnace'[\\s\\S]*did you mean 'chance'"),
        ("models/absent", {}, "no such checkpoint folder"),
        ("transformers:models/absent", {}, "no such folder"),
        ("transformers", {}, "which checkpoint folder"),
        ("transformers:x", {"frmaes": 3}, "did you mean 'frames'"),
        ("specialist", {"classes": {}}, "which predictions file"),
        ("specialist:x.jsonl", {}, "the specialist backend needs the action classes of the options"),
        ("specialist:absent.jsonl", {"classes": {}}, "no such predictions file"),
        ("prior", {}, "action counts of a training split"),
        ("prior", {"counts": {(0, 0): 1}}, "the prior backend needs the action classes"),
        ("prior:5", {"counts": {(0, 0): 1}}, "nothing after a colon"),
        ("prior", {"count": {}}, "no option 'count'[\\s\\S]*did you mean 'counts'"),
        ("chance", {"sead": 1}, "did you mean 'seed'"),
        ("chance:often", {}, "'often' is not a seed"),
        ("oracle", {}, "the oracle backend needs the right answers"),
        ("oracle:most", {"answers": {}}, "'most' is not an error rate"),
    ],
)
def test_refusals_say_what_to_write(spec: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_backend(spec, **options)


def test_torch_is_not_imported_for_baselines() -> None:
    code = (
        "import sys; from llavaction.backends.registry import make_backend; "
        "make_backend('chance'); make_backend('prior', counts={(0, 0): 1}, classes={}); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
