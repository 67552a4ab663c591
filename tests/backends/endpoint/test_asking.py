"""Who asks backends asks one behind a server as any other: recognition, and one question about one video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from helpers.candidates import CONFIG, PREDICTIONS, SEGMENTS, VOCABULARY
from helpers.evaluation_fakes import FakeLibrary
from helpers.filming import film
from helpers.scripted_server import HashModel, RealModel, ScriptedServer, serving
from llavaction import api
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.registry import make_backend
from llavaction.base.errors import InputError
from llavaction.cli.main import cli
from llavaction.recognition.runner import recognise


def test_recognition_by_letters_is_kept_in_the_ledger(tmp_path: Path) -> None:
    with serving(ScriptedServer(HashModel(delay=0.02))) as server:
        backend = make_backend(f"endpoint:{server.url}", frames=2, letters="vllm")
        result = recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, backend, FakeLibrary(), tmp_path)
        asked = len(server.chats)
        assert result.metrics["counts"]["recognised"] == len(SEGMENTS) == 24
        assert result.metrics["letter_mass"]["n"] > 0 and server.most_at_once > CONFIG.batch_size
        before = (tmp_path / "recognitions.jsonl").read_bytes()
        (tmp_path / "recognitions.jsonl").unlink()
        again = make_backend(f"endpoint:{server.url}", frames=2, letters="vllm")
        recognise(CONFIG, SEGMENTS, PREDICTIONS, VOCABULARY, again, FakeLibrary(), tmp_path)
        assert len(server.chats) == asked and (tmp_path / "recognitions.jsonl").read_bytes() == before


def test_one_question_about_one_video(tmp_path: Path, make: Callable[..., HuggingFaceBackend]) -> None:
    model, video = make("llava_onevision", frames=4), film(tmp_path / "P01_01.mp4")
    options = ["open drawer", "close drawer", "wash cup"]
    with serving(ScriptedServer(RealModel(model))) as server:
        spec = f"endpoint:{server.url}"
        settings = {"media": "video_jpeg", "letters": "vllm"}
        there = api.ask(video, model=spec, options=options, frames=4, model_options=settings)
        here = api.ask(video, model=model, options=options)
        assert np.abs(there.probabilities - here.probabilities).max() < 1e-5 and there.text == here.text
        assert there.letter_mass == pytest.approx(here.letter_mass, rel=1e-4)
        assert api.ask(video, model=spec, frames=4, model_options=settings).text == api.ask(video, model=model).text
        with pytest.raises(InputError, match="without looking"):
            api.ask(video, model=spec, model_options={"frames": 0})
        command = ["ask", str(video), "--model", spec, "--frames", "4", "--options", ",".join(options)]
        said = CliRunner().invoke(cli, [*command, "--set", "media=video_jpeg"])
        assert (
            said.exit_code == 0
            and here.text in said.output.splitlines()[2]
            and "probability on the letters" in said.output
        )
