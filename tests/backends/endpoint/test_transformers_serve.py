"""A real server: ``transformers serve`` with a tiny model, a process of its own; its answers are those in process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.asking import make_frames, make_query
from llavaction.backends.endpoint.backend import EndpointBackend
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.registry import make_backend

NEEDED = "fastapi, openai, rich, uvicorn"
PYTHON = os.environ.get("LLAVACTION_SERVE_PYTHON", sys.executable)
"""A Python that has transformers[serving]."""


@pytest.fixture(scope="module")
def address(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if subprocess.run([PYTHON, "-c", f"import {NEEDED}"], capture_output=True, check=False).returncode:
        pytest.skip(f"needs transformers[serving] ({NEEDED}); LLAVACTION_SERVE_PYTHON may name a Python that has it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    command = [PYTHON, "-m", "transformers.cli.transformers", "serve", str(tiny["llava"]), "--host", "127.0.0.1",
               "--port", str(port), "--device", "cpu", "--dtype", "float32"]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            deadline = time.monotonic() + 120
            while not healthy(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"transformers serve did not start: {log.read_text()[-500:]}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


def healthy(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
        return bool(reply.status == 200)
    return False


def test_written_answers_are_those_of_the_model_in_process(
    address: str, tiny: dict[str, Path], make: Callable[..., HuggingFaceBackend]
) -> None:
    queries = [
        make_query(number, 2 + number % 4, make_frames(number, 3), f"What happens in {number}?") for number in range(12)
    ]
    backend = make_backend(
        f"endpoint:{address}", model=str(tiny["llava"]), frames=3, max_new_tokens=12, concurrency=2, timeout=60
    )
    assert isinstance(backend, EndpointBackend)
    assert backend.capabilities == {"generate"}  # it passes over logprobs, or refuses them
    texts = backend.generate(queries)
    assert texts == make("llava", frames=3, max_new_tokens=12).generate(queries)
    assert len(set(texts)) > 6
