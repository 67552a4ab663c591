"""An OpenAI-compatible server in a thread: it answers by a model of ours or by a hash, and fails as it is told to."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from llavaction.backends.base import Query
from llavaction.backends.endpoint.probe import WORDS
from llavaction.base.seeding import hashed_rng
from llavaction.video.decoded import DecodedClip

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FIRST_ID = 100
"""Token of the letter A in :class:`HashModel`."""


@dataclass
class Fault:
    """How a request fails: an error status, an answer that is late, cut off, half or none at all."""

    kind: str = "status"
    status: int = 500
    retry_after: str | None = None
    seconds: float = 0.0
    message: str = "as it was told to"


@dataclass
class HashModel:
    """Says of every request what a hash says; letters are tokens 100 to 125, "the" and others are tokens, too."""

    name: str = "hash"
    owned_by: str = "vllm"
    dialect: str = "vllm"
    context: int | None = 1000
    delay: float = 0.0
    tokens_in: int = 100

    def card(self) -> dict[str, Any]:
        return {"id": self.name, "owned_by": self.owned_by, "max_model_len": self.context}

    def tokens(self, body: dict[str, Any]) -> list[int] | None:
        if self.dialect == "none":
            return None
        if "messages" in body:
            last = body["messages"][-1]
            return [1, 2, 3] + ([FIRST_ID + LETTERS.index(last["content"])] if last["role"] == "assistant" else [])
        return [FIRST_ID + LETTERS.index(body["prompt"])]

    def logprobs(self, body: dict[str, Any]) -> np.ndarray:
        """Log-probabilities of 200 tokens."""
        logits = hashed_rng("hash model", digest(body)).normal(size=200) * 2
        logits[FIRST_ID : FIRST_ID + 5] += 3
        return logits - np.logaddexp.reduce(logits)

    def word(self, token: int) -> str:
        place = token - FIRST_ID
        return LETTERS[place] if 0 <= place < 26 else f"<{token}>"

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        time.sleep(self.delay)
        values = self.logprobs(body)
        return self.completion(
            body, values, f" {LETTERS[int(values[FIRST_ID : FIRST_ID + 3].argmax())]}", self.tokens_in
        )

    def completion(self, body: dict[str, Any], values: np.ndarray, text: str, tokens_in: int) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        if body.get("logprobs") and self.dialect != "none":
            best = int(values.argmax())
            by_id = self.dialect == "vllm" and body.get("return_tokens_as_token_ids")
            if self.dialect == "vllm" and "logprob_token_ids" in body:
                ids = [best, *body["logprob_token_ids"]]
            else:
                ids = np.argsort(-values)[: body.get("top_logprobs") or 0].tolist()
            entries = [
                {"token": f"token_id:{number}" if by_id else self.word(number), "logprob": float(values[number])}
                for number in ids[: body.get("top_logprobs") or 0]
            ]
            first = {"token": f"token_id:{best}" if by_id else self.word(best), "logprob": float(values[best])}
            choice["logprobs"] = {"content": [first | {"top_logprobs": entries}]}
        usage = {"prompt_tokens": tokens_in, "completion_tokens": 1, "total_tokens": tokens_in + 1}
        return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


class RealModel(HashModel):
    """A backend of ours behind vLLM's interface."""

    def __init__(self, backend: Any) -> None:
        super().__init__(name="tiny")
        self.backend, self.lock = backend, threading.Lock()
        self.tokenizer = backend.checkpoint.tokenizer

    def tokens(self, body: dict[str, Any]) -> list[int] | None:
        if "prompt" in body:
            return list(self.tokenizer(body["prompt"], add_special_tokens=False)["input_ids"])
        text = self.tokenizer.apply_chat_template(
            body["messages"],
            add_generation_prompt=body["add_generation_prompt"],
            continue_final_message=body.get("continue_final_message", False),
            tokenize=False,
        )
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        query = query_of(body)
        with self.lock:
            if query.clip is None:  # a probe
                values = np.log(np.full(1000, 1e-3))
                return self.completion(body, values, "A", 1)
            inputs = self.backend.inputs(query)
            row = self.backend._forward([inputs]).logits[0, -1].double().log_softmax(-1).numpy()
            text = "" if "logprobs" in body else self.backend.generate([query])[0]
        return self.completion(body, row, text, len(inputs.ids))


def digest(body: dict[str, Any]) -> str:
    """What a question is known by, whatever else is in the request."""
    return hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()


def query_of(body: dict[str, Any]) -> Query:
    """The question that a request asks, its frames as they came."""
    parts = body["messages"][0]["content"]
    words = [part["text"] for part in parts if part["type"] == "text"][-1]
    frames = [picture(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
    times = duration = None
    for part in parts:
        if part["type"] == "video_url":
            frames = [picture("," + one) for one in part["video_url"]["url"].partition(",")[2].split(",")]
            facts = body["media_io_kwargs"]["video"]
            assert facts["num_frames"] == -1 and facts["total_num_frames"] >= len(frames)
            times, duration = np.array(facts["frames_indices"]) / facts["fps"], facts["duration"]
    if not frames:
        return Query("asked", words)
    shown = np.stack(frames)
    if times is None or duration is None:
        return Query("asked", words, (), DecodedClip.evenly(shown, 2.0))
    return Query("asked", words, (), DecodedClip(shown, times, duration))


def picture(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


@dataclass
class ScriptedServer:
    """What the server does and has seen.

    Attributes:
        model: who answers.
        fault: says how a chat request fails, given its number (0, 1, ...) and its body; None where it does not.
        chats: bodies of chat requests, in the order in which they came.
        answered: how often each question (by :func:`digest`) was answered with 200 to the last byte.
        most_at_once: chat requests under way at the same time, the most there were.
        keys: Authorization headers that came.
        url: of the server.
    """

    model: Any
    fault: Callable[[int, dict[str, Any]], Fault | None] = lambda number, body: None
    chats: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    now: int = 0
    keys: set[str | None] = field(default_factory=set)
    lock: Any = field(default_factory=threading.Lock)
    url: str = ""

    @property
    def questions(self) -> dict[str, int]:
        """Answers by question, those to probes left out."""
        probes = {digest(body) for body in self.chats if query_of(body).prompt in (WORDS, "Say A.")}
        return {name: count for name, count in self.answered.items() if name not in probes}

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any], Fault | None]:
        if path == "/tokenize":
            tokens = self.model.tokens(body)
            return (404, {"detail": "Not Found"}, None) if tokens is None else (200, {"tokens": tokens}, None)
        if path == "/v1/score" and self.model.dialect == "sglang":
            values = np.exp(self.model.logprobs({"messages": body["query"]})[body["label_token_ids"]])
            return 200, {"scores": [values.tolist()], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}, None
        if path != "/v1/chat/completions":
            return 404, {"detail": "Not Found"}, None
        with self.lock:
            number = len(self.chats)
            self.chats.append(body)
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            fault = self.fault(number, body)
            if fault is not None and fault.kind == "status":
                return fault.status, {"error": {"message": fault.message, "code": fault.status}}, fault
            return 200, self.model.chat(body), fault
        finally:
            with self.lock:
                self.now -= 1


@contextmanager
def serving(server: ScriptedServer) -> Iterator[ScriptedServer]:
    """Run a server for the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *said: Any) -> None:
            """Nothing is logged."""

        def do_GET(self) -> None:
            server.keys.add(self.headers.get("Authorization"))
            self.reply(200, {"object": "list", "data": [server.model.card()]}, None)

        def do_POST(self) -> None:
            server.keys.add(self.headers.get("Authorization"))
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, value, fault = server.post(self.path, body)
            if self.reply(status, value, fault) and status == 200 and self.path.endswith("completions"):
                with server.lock:
                    server.answered[digest(body)] += 1

        def reply(self, status: int, value: dict[str, Any], fault: Fault | None) -> bool:
            """Whether the whole answer went out."""
            raw = json.dumps(value).encode()
            kind = "status" if fault is None else fault.kind
            if kind == "slow":
                time.sleep(fault.seconds if fault else 0)
            if kind == "garbage":
                raw = b"<html>502 Bad Gateway</html>"
            if kind == "truncated":
                raw = raw[: len(raw) // 2]
            try:
                self.send_response(status)
                if fault is not None and fault.retry_after is not None:
                    self.send_header("Retry-After", fault.retry_after)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                if kind == "cut":
                    self.wfile.write(raw[: len(raw) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    return False
                self.wfile.write(raw)
            except OSError:
                self.close_connection = True
                return False
            return kind in ("status",)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def process_request(self, request: Any, client_address: Any) -> None:
            """Remember the connection, which outlives the listening socket."""
            connections.append(request)
            super().process_request(request, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is no error here."""

    connections: list[socket.socket] = []
    httpd = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}/v1"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
